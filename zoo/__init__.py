"""Fine-tune pretrained transformers on text: tasks, datamodules and a registry of backbones.

    >>> from zoo import NERDataModule, NERTask
    >>> data = NERDataModule("ner-sample")
    >>> task = NERTask("minilm-l6", labels=data.labels)

Names are imported on first use, so `import zoo` costs almost nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from zoo.backbones.spec import BackboneSpec
    from zoo.classification.datamodule import ClassificationDataModule
    from zoo.classification.task import ClassificationTask
    from zoo.errors import BackboneError, DataError, RunError, ZooError
    from zoo.ner.datamodule import NERDataModule
    from zoo.ner.metrics import EntityF1
    from zoo.ner.task import NERTask
    from zoo.pretraining.causal_datamodule import CausalLMDataModule
    from zoo.pretraining.causal_task import CausalLMTask
    from zoo.pretraining.datamodule import MaskedLMDataModule
    from zoo.pretraining.task import MaskedLMTask
    from zoo.qa.datamodule import QADataModule
    from zoo.qa.task import QATask
    from zoo.summarization.abstractive.datamodule import SummarizationDataModule
    from zoo.summarization.abstractive.task import SummarizationTask
    from zoo.summarization.extractive.datamodule import ExtractiveSummarizationDataModule
    from zoo.summarization.extractive.task import ExtractiveSummarizationTask
    from zoo.tracking.quiet import quiet

__version__ = "0.1.0"

__all__ = [
    "BackboneError",
    "BackboneSpec",
    "CausalLMDataModule",
    "CausalLMTask",
    "ClassificationDataModule",
    "ClassificationTask",
    "DataError",
    "EntityF1",
    "ExtractiveSummarizationDataModule",
    "ExtractiveSummarizationTask",
    "MaskedLMDataModule",
    "MaskedLMTask",
    "NERDataModule",
    "NERTask",
    "QADataModule",
    "QATask",
    "RunError",
    "SummarizationDataModule",
    "SummarizationTask",
    "ZooError",
    "__version__",
    "quiet",
]

_HOME = {
    "BackboneError": "zoo.errors",
    "BackboneSpec": "zoo.backbones.spec",
    "CausalLMDataModule": "zoo.pretraining.causal_datamodule",
    "CausalLMTask": "zoo.pretraining.causal_task",
    "ClassificationDataModule": "zoo.classification.datamodule",
    "ClassificationTask": "zoo.classification.task",
    "DataError": "zoo.errors",
    "EntityF1": "zoo.ner.metrics",
    "ExtractiveSummarizationDataModule": "zoo.summarization.extractive.datamodule",
    "ExtractiveSummarizationTask": "zoo.summarization.extractive.task",
    "MaskedLMDataModule": "zoo.pretraining.datamodule",
    "MaskedLMTask": "zoo.pretraining.task",
    "NERDataModule": "zoo.ner.datamodule",
    "NERTask": "zoo.ner.task",
    "QADataModule": "zoo.qa.datamodule",
    "QATask": "zoo.qa.task",
    "RunError": "zoo.errors",
    "SummarizationDataModule": "zoo.summarization.abstractive.datamodule",
    "SummarizationTask": "zoo.summarization.abstractive.task",
    "ZooError": "zoo.errors",
    "quiet": "zoo.tracking.quiet",
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
