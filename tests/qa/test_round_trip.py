"""Right answers -> features -> perfect logits -> answers: nothing is lost on the way."""

import json
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import ARCHITECTURES
from zoo.qa.datamodule import QADataModule
from zoo.qa.encoding import Fit
from zoo.qa.prediction import AnsweredQuestion
from zoo.qa.reading import ReadingNotes, read_questions
from zoo.qa.task import QATask

_WORDS = [
    *("Ada", "Lovelace", "lived", "in", "London", ",", "isn't", "0123456789", "fox", "Löwe"),
    *("同样", "的力", "🎉", "👨‍👩‍👧", "e\u0301te", "شهر", "॥", "a\u0300", "\t", "x" * 40),
]


class PerfectTask(QATask):
    """Knows the answers: high at the right tokens, and noise on everything, padding included."""

    def forward(self, batch: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        rows = torch.arange(len(batch["start"]))
        logits = []
        for name in ("start", "end"):
            scores = torch.rand(batch["input_ids"].shape)
            # Outside the text and the first token even more than right: those must not count.
            outside = ~batch["context_mask"]
            outside[:, 0] = False
            scores[outside] = 99.0
            scores[rows, batch[name]] = 9.0
            logits.append(scores)
        return logits[0], logits[1]


def _answered(data: QADataModule, **options: Any) -> dict[int, AnsweredQuestion]:
    task = PerfectTask(data.backbone, **options)
    task.configure_model()
    found: list[AnsweredQuestion] = []
    for number, batch in enumerate(data.test_dataloader()):
        found += task.test_step(batch, number)["predictions"]
    assert len(found) == len({one.example for one in found}) == len(data.examples("test"))
    return {one.example: one for one in found}


def _fits(data: QADataModule) -> dict[int, Fit]:
    """How the one answer of each question fits."""
    table = data.features("test")
    columns = zip(table["example"], table["fits"], strict=True)
    return {row: Fit(fits[0]) for row, fits in columns if fits}


def _random_questions(chance: random.Random) -> Iterator[tuple[str, str, str, int]]:
    """Question, text and answer anywhere in it, its first and last character among them."""
    for length in (1, 2, 3, 7, 20, 60, 200):
        for number in range(6):
            words = [chance.choice(_WORDS) for _ in range(length)]
            text = " ".join(words)
            first = {0: 0, 1: length - 1}.get(number, chance.randrange(length))
            last = min(length, first + 1 + chance.randrange(3))
            begin = len(" ".join(words[:first])) + bool(first)
            answer = " ".join(words[first:last])
            if answer.strip():
                yield (
                    " ".join(chance.choices(_WORDS, k=chance.randrange(1, 9))),
                    text,
                    answer,
                    begin,
                )


@pytest.mark.parametrize(("max_length", "stride"), [(64, 16), (128, 0)])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_perfect_logits_give_back_every_answer_that_tokens_can_say(
    architecture: str,
    max_length: int,
    stride: int,
    tiny: Callable[[str], Path],
    squad: Callable[..., str],
) -> None:
    questions = list(_random_questions(random.Random(4)))
    file = squad("all", [(text, [(asked, [(said, at)])]) for asked, text, said, at in questions])
    data = QADataModule(
        test=file,
        backbone=str(tiny(architecture)),
        max_length=max_length,
        stride=stride,
        batch_size=7,
    )
    fits = _fits(data)
    assert len(fits) == len(questions)
    assert sum(fit is Fit.EXACT for fit in fits.values()) > 0.6 * len(questions)
    for row, one in _answered(data, max_answer_length=max_length).items():
        _, text, said, at = questions[row]
        if fits[row] is Fit.EXACT:
            stripped = said.strip()
            assert (one.text, one.start) == (stripped, text.index(stripped, at))
            assert one.scores.em == 1.0
        elif fits[row] is Fit.INSIDE_TOKEN:
            assert said.strip() in one.text
        else:
            assert one.text == ""


def _one_answer_a_question(path: Path, folder: Path) -> tuple[str, ReadingNotes]:
    """The corpus with a question of its own for each answer that is written differently."""
    notes = ReadingNotes()
    target = folder / "answers.jsonl"
    with target.open("w", encoding="utf-8") as file:
        for one in read_questions(path, notes=notes):
            for text, start in dict.fromkeys(one.answers) or [("", 0)]:
                answers = {"text": [text] * bool(text), "answer_start": [start] * bool(text)}
                row = {"question": one.question, "context": one.context, "answers": answers}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    return str(target), notes


#: Corpus, length and overlap of windows; then answers that fit, begin or end inside a token, are
#: longer than a window, lie across windows; and questions that are cut.
_CORPORA = [
    ("squad2_half_dev/dev-v2.0.json", 384, 128, (5098, 11, 0, 0), 0),
    ("squad2_half_dev/dev-v2.0.json", 128, 32, (5097, 11, 0, 1), 0),
    ("squadshifts/new_wiki_v1.0.json", 384, 128, (14199, 41, 0, 0), 0),
    ("squadshifts/new_wiki_v1.0.json", 128, 32, (14197, 41, 0, 2), 3),
    ("drcd/DRCD_dev.json", 384, 128, (4344, 3, 0, 0), 0),
    ("drcd/DRCD_dev.json", 128, 32, (4344, 3, 0, 0), 2),
    ("cmrc2018/cmrc2018_trial.json", 384, 128, (996, 1, 2, 3), 0),
    ("cmrc2018/cmrc2018_trial.json", 128, 32, (910, 1, 26, 65), 0),
]


@pytest.mark.slow
@pytest.mark.parametrize(("corpus", "max_length", "stride", "expected", "cut"), _CORPORA)
def test_perfect_logits_give_back_every_answer_of_a_real_corpus(
    corpus: str,
    max_length: int,
    stride: int,
    expected: tuple[int, int, int, int],
    cut: int,
    real_data: Path,
    tmp_path: Path,
) -> None:
    file, notes = _one_answer_a_question(real_data / "qa" / corpus, tmp_path)
    assert notes.moved == (5 if "cmrc" in corpus else 0)
    assert notes.dropped == notes.left_out == 0
    data = QADataModule(
        test=file, backbone="minilm-l6", max_length=max_length, stride=stride, batch_size=256
    )
    fits = _fits(data)
    answered = _answered(data, max_answer_length=max_length, n_best=1)
    for row, one in answered.items():
        fit = fits.get(row)
        if fit is None or fit in (Fit.TOO_LONG, Fit.ACROSS_WINDOWS):
            assert one.text == ""
        elif fit is Fit.EXACT:
            assert one.scores.em == 1.0
            assert one.text == one.golds[0].strip()
        else:
            # A little more; or less, where the tokenizer leaves a character out (U+200D).
            said = one.golds[0].strip().strip("\u200d")
            assert said in one.text
    counts = Counter(fits.values())
    assert tuple(counts[fit] for fit in list(Fit)[:4]) == expected
    assert counts.total() == sum(expected)
    assert sum(tokens > 0 for tokens in data.features("test")["cut"]) == cut
