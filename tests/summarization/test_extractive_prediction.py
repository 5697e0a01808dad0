"""Summaries of texts in any form, where their sentences stand, and the exported model."""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForTokenClassification, AutoTokenizer

from zoo.errors import DataError, RunError
from zoo.summarization.extractive.task import ExtractiveSummarizationTask
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]

_TEXT = "  Ada lived in London. The quick fox jumps!\nA dog , isn't it? Bob ran "
_SENTENCES = ["Ada lived in London.", "The quick fox jumps!", "A dog , isn't it?", "Bob ran"]


def _trained(backbone: Path, **options: Any) -> ExtractiveSummarizationTask:
    """Weights that are nobody's initial ones, so that loading has something to get wrong."""
    task = ExtractiveSummarizationTask(str(backbone), **options)
    task.configure_model()
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    task.net.eval()
    return task


def test_sentences_stand_where_they_say(tiny: Tiny) -> None:
    task = _trained(tiny("bert"), max_sentences=4)
    (found,) = task.predict(_TEXT)
    assert [_TEXT[one.start : one.end] for one in found.sentences] == _SENTENCES
    assert [one.index for one in found.sentences] == [0, 1, 2, 3]
    assert found.summary == " ".join(_SENTENCES)
    task.max_sentences = 2
    (two,) = task.predict([_TEXT])
    best = sorted(found.sentences, key=lambda one: -one.score)[:2]
    assert [one.index for one in two.sentences] == sorted(one.index for one in best)
    (given,) = task.predict({"id": 7, "source": ["Ada sang.", " ", "Bob ran."]})
    assert given.to_dict()["id"] == "7"
    assert given.to_dict()["summary"] == "Ada sang. Bob ran."
    assert [(one.start, one.end) for one in given.sentences] == [(0, 9), (10, 18)]


def test_predictions_come_in_the_order_of_the_input_whatever_the_batch(tiny: Tiny) -> None:
    task = _trained(tiny("bert"), max_length=40)
    letters = "abcdefghijklmnopqrstuvwxyz"
    inputs: list[Any] = [
        " ".join(f"{letters[(number + at) % 26]} fox {at} ." for at in range(1 + 5 * number % 17))
        for number in range(9)
    ]
    inputs += ["", "  \n", {"text": "A fox."}]
    together = [one.to_dict() for one in task.predict(inputs, batch_size=5)]
    alone = [task.predict([one], batch_size=1)[0].to_dict() for one in inputs]
    assert [one["summary"] for one in together] == [one["summary"] for one in alone]
    for one, other in zip(together, alone, strict=True):
        scores = [[each.pop("score") for each in some["sentences"]] for some in (one, other)]
        assert scores[0] == pytest.approx(scores[1], abs=2e-4)
        assert one == other
    assert together[9] == together[10] == {"summary": "", "sentences": []}
    assert len(task.predict([])) == 0


def test_chinese_and_emoji_are_placed_in_code_points(tiny: Tiny) -> None:
    task = _trained(tiny("bert"), max_sentences=2)
    text = "🦊同样的力。不同的物体👩‍🚀上！"
    (found,) = task.predict(text)
    assert [text[one.start : one.end] for one in found.sentences] == [
        "🦊同样的力。",
        "不同的物体👩‍🚀上！",
    ]
    assert found.summary == text


def test_a_text_of_a_hundred_thousand_words_is_summarized(tiny: Tiny) -> None:
    task = _trained(tiny("bert"), max_sentences=3)
    begin = time.process_time()
    (found,) = task.predict("The quick brown fox jumps over the dog, doesn't it? " * 10_000)
    assert time.process_time() - begin < 120
    # All sentences are the same: the others are blocked.
    assert found.summary == "The quick brown fox jumps over the dog, doesn't it?"


def test_what_is_no_text_is_refused(tiny: Tiny) -> None:
    task = _trained(tiny("bert"))
    wrong: list[Any] = [[3], [["a", "b"]], {"txt": "a"}, {"source": 3}]
    for one in wrong:
        with pytest.raises(DataError, match="string"):
            task.predict(one)


def test_a_notebook_shows_the_summary_marked_in_its_text(tiny: Tiny) -> None:
    task = _trained(tiny("bert"), max_sentences=1)
    text = "A <b> fox & a dog. " * 200 + "Bob ran."
    found = task.predict([text] * 25)
    page = found._repr_html_()
    assert "and 5 more" in page
    (chosen,) = found[0].sentences
    marked = page.split("</mark>")[0].rsplit(">", 1)[1]
    assert (
        marked.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
        == (text[chosen.start : chosen.end])
    )
    assert "<b>" not in page
    assert len(page) < 25 * 4000
    assert "<mark" not in task.predict("")[0]._repr_html_()


@pytest.mark.parametrize("architecture", ["bert", "roberta", "deberta-v2", "distilbert"])
@torch.inference_mode()
def test_plain_transformers_gives_the_scores_that_sentences_are_chosen_by(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    task = _trained(tiny(architecture), max_sentences=4)
    export_model(task, tmp_path / "model", metadata={"calibration": task.calibration})
    net = AutoModelForTokenClassification.from_pretrained(tmp_path / "model")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "model")
    scores = _plain(net, tokenizer, _SENTENCES)
    (found,) = task.predict(_TEXT)
    assert [one.score for one in found.sentences] == pytest.approx(scores, abs=1e-4)
    again = ExtractiveSummarizationTask.from_run(tmp_path / "model")
    (theirs,) = again.predict(_TEXT)
    assert [one.score for one in theirs.sentences] == pytest.approx(scores, abs=1e-4)


def _plain(net: Any, tokenizer: Any, sentences: Sequence[str]) -> list[float]:
    """Scores of sentences from transformers alone, as the README shows it."""
    encoded = [tokenizer(sentence, add_special_tokens=True)["input_ids"] for sentence in sentences]
    ids = torch.tensor([[token for one in encoded for token in one]])
    options = {}
    several = getattr(net.config, "type_vocab_size", 0) > 1
    if several and "token_type_ids" in tokenizer.model_input_names:
        types = [at % 2 for at, one in enumerate(encoded) for _ in one]
        options["token_type_ids"] = torch.tensor([types])
    logits = net(input_ids=ids, attention_mask=torch.ones_like(ids), **options).logits[0, :, 0]
    return [part.mean().item() for part in logits.split(list(map(len, encoded)))]


def test_how_to_select_and_to_window_comes_back_with_the_model(tiny: Tiny, tmp_path: Path) -> None:
    task = _trained(tiny("bert"), max_sentences=2, max_words=9, block_trigrams=False)
    metadata = {
        "calibration": task.calibration,
        "max_length": 24,
        "encoding": {"overlap": 1, "language": "en"},
    }
    export_model(task, tmp_path / "model", metadata=metadata)
    known = json.loads((tmp_path / "model" / "zoo.json").read_text(encoding="utf-8"))
    assert known["family"] == "summarization"
    again = ExtractiveSummarizationTask.from_run(tmp_path / "model")
    assert again.calibration == task.calibration
    assert task.calibration == {"max_sentences": 2, "max_words": 9, "block_trigrams": False}
    task.max_length, task.overlap = 24, 1
    # No sentence stands in it twice: which of two equal ones is chosen would be down to rounding.
    text = (
        _TEXT + "over a lazy dog.\nThe fox sang in London? Bob and Ada jump! It isn't quick, Bob."
    )
    ours, theirs = (one.predict([text])[0] for one in (task, again))
    assert [one.index for one in ours.sentences] == [one.index for one in theirs.sentences]
    assert ours.summary == theirs.summary
    scores = [one.score for one in ours.sentences]
    assert [one.score for one in theirs.sentences] == pytest.approx(scores, abs=1e-4)
    task.max_length, task.overlap = 512, 0
    assert task.predict([text])[0].to_dict() != ours.to_dict()
    with pytest.raises(RunError, match="no head for summarization"):
        ExtractiveSummarizationTask.from_run(tiny("bert"))


def test_a_null_source_is_an_empty_document_as_in_the_data_to_learn_from(tiny: Tiny) -> None:
    task = _trained(tiny("bert"))
    given: list[Any] = [{"source": None, "id": 3}, {"source": None, "text": "Ada sang."}]
    found = task.predict(given)
    assert [one.summary for one in found] == ["", "Ada sang."]
    assert found[0].id == "3"


def test_a_dropout_of_attention_alone_is_switched_off(tiny: Tiny) -> None:
    for architecture in ("bert", "roberta", "distilbert", "electra"):
        task = ExtractiveSummarizationTask(str(tiny(architecture)))
        task.configure_model()
        rates = {
            name: module.p
            for name, module in task.net.named_modules()
            if isinstance(module, torch.nn.Dropout)
        }
        zero = {name for name, rate in rates.items() if rate == 0}
        assert len(zero) == 2, architecture  # one in each of the two layers
        assert all("attention" in name for name in zero)
        assert len(rates) > len(zero)
