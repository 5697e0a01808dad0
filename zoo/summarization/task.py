"""What both kinds of summarization do with the summaries of an evaluation."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from zoo.summarization.evaluation import ScoredSummary
from zoo.summarization.inputs import DocumentInput, input_of
from zoo.summarization.report import report
from zoo.summarization.rouge import RougeIn
from zoo.tracking.report import TaskReport
from zoo.training.task import FineTuningTask


class SummaryTask(FineTuningTask):
    """A task whose predictions are summaries; it has `metrics`, of `val` and of `test`."""

    family = "summarization"
    monitor = "val/rougeL"
    #: Whether the last evaluation compared words or characters.
    _rouge_in: RougeIn = "words"

    def on_validation_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores("val")

    def on_test_epoch_end(self) -> None:
        """Log the scores."""
        self._log_scores("test")

    def _log_scores(self, split: Literal["val", "test"]) -> None:
        metric: Any = self.metrics[split]  # type: ignore[index]
        scores = metric.compute()
        metric.reset()
        self.log_scores(split, scores)

    def report(self, predictions: Sequence[ScoredSummary], examples: Any) -> TaskReport:
        """Tables and texts for the report of a test.

        Args:
            predictions: What `test_step` returned, of all processes, in any order.
            examples: The table of test examples.
        """
        return report(predictions, examples, rouge_in=self._rouge_in)

    @classmethod
    def input_of(cls, record: Mapping[str, Any]) -> DocumentInput:
        """The document of an object of a .jsonl file.

        Raises:
            DataError: It has none.
        """
        return input_of(record)
