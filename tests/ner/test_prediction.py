"""Entities of texts: places, order, batches, and how a notebook shows them."""

from collections.abc import Callable, Mapping, Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.conftest import ARCHITECTURES
from zoo.ner.prediction import NERPrediction, NERPredictions, PredictedEntity
from zoo.ner.task import NERTask

Tiny = Callable[[str], Path]

_LABELS = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
_TEXTS = [
    "Ada Lovelace lived in London and worked for the Analytical Engine Company.",
    "",
    "fox",
    "Ein Löwe und ein Bär aßen Käse. " * 12,
    "同样的力作用在不同的物体上。",
    " \n\t\u00a0\u3000",
    "isn't it? " * 60,
    "The quick brown fox jumps over the lazy dog",
]


class Everything(NERTask):
    """Calls every word an entity of its own."""

    def forward(self, batch: Mapping[str, Any]) -> Tensor:
        ids = torch.ones_like(batch["input_ids"])
        return torch.nn.functional.one_hot(ids, len(self.labels)) * 5.0


def _varied(task: NERTask) -> NERTask:
    """A random head that gives many different tags, with scores far apart."""
    task.configure_model()
    generator = torch.Generator().manual_seed(5)
    head: Any = task.net.classifier
    head = getattr(head, "out_proj", head)
    with torch.no_grad():
        head.weight.copy_(torch.randn(head.weight.shape, generator=generator) * 4)
        head.bias.zero_()
    return task


def _everything(tiny: Tiny) -> NERTask:
    task = Everything(str(tiny("bert")), labels=_LABELS)
    task.configure_model()
    return task


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_texts_predicted_together_and_one_at_a_time_give_the_same(
    architecture: str, tiny: Tiny
) -> None:
    task = _varied(NERTask(str(tiny(architecture)), labels=_LABELS, max_length=48, stride=12))
    together = task.predict(_TEXTS, batch_size=3)
    alone = [task.predict(text, batch_size=1)[0] for text in _TEXTS]
    assert [one.text for one in together] == _TEXTS
    found = {entity.type for one in together for entity in one.entities}
    assert found == {"PER", "LOC"}
    for one, other in zip(together, alone, strict=True):
        assert [entity[:4] for entity in map(_plain, one.entities)] == [
            entity[:4] for entity in map(_plain, other.entities)
        ]
        assert [entity.score for entity in one.entities] == pytest.approx(
            [entity.score for entity in other.entities], abs=1e-4
        )


def _plain(entity: PredictedEntity) -> tuple[str, str, int, int, float]:
    return entity.type, entity.text, entity.start, entity.end, entity.score


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("👩‍👩‍👧 Ada 🇩🇪🇫🇷 x", [(0, 5), (6, 9), (10, 12), (12, 14), (15, 16)]),
        ("e\u0301te\u0301 Zo\u00eb", [(0, 5), (6, 9)]),
        ("שלום, עולם", [(0, 4), (4, 5), (6, 10)]),
        ("ذهب علي", [(0, 3), (4, 7)]),
        ("力は A", [(0, 1), (1, 2), (3, 4)]),
        ("𝒜da\n\n😀 \u00a0b", [(0, 3), (5, 6), (8, 9)]),
    ],
)
def test_offsets_count_characters_in_every_script(
    text: str, words: list[tuple[int, int]], tiny: Tiny
) -> None:
    (prediction,) = _everything(tiny).predict(text)
    assert [(one.start, one.end) for one in prediction.entities] == words
    for one in prediction.entities:
        assert text[one.start : one.end] == one.text
        assert one.type == "PER"


def test_offsets_hold_beyond_the_first_window(tiny: Tiny) -> None:
    text = "😀 Ada\u0301  力 " * 200
    (prediction,) = _everything(tiny).predict(text)
    expected = [
        (at * 10 + start, at * 10 + end)
        for at in range(200)
        for start, end in ((0, 1), (2, 6), (8, 9))
    ]
    assert [(one.start, one.end) for one in prediction.entities] == expected


def test_an_entity_of_several_words_spans_the_text_between_them(tiny: Tiny) -> None:
    class OneEntity(NERTask):
        def forward(self, batch: Mapping[str, Any]) -> Tensor:
            scores = torch.zeros(*batch["input_ids"].shape, 5)
            scores[:, 1, 1] = scores[:, 2:4, 2] = 20  # B-PER I-PER I-PER at the first words
            scores[:, 4:, 0] = 20
            return scores

    task = OneEntity(str(tiny("bert")), labels=_LABELS)
    task.configure_model()
    (prediction,) = task.predict("a  b\u00a0c d")
    (entity,) = prediction.entities
    assert _plain(entity)[:4] == ("PER", "a  b\u00a0c", 0, 6)
    assert entity.score == pytest.approx(1.0, abs=1e-6)


@pytest.mark.parametrize("text", ["", " ", "\n\t \u00a0\u3000"])
def test_a_text_without_words_has_no_entities(text: str, tiny: Tiny) -> None:
    task = _everything(tiny)
    for texts in (text, [text], [text, text]):
        predictions = task.predict(texts)
        assert [one.entities for one in predictions] == [[]] * len(predictions)
        assert all(one.text == text for one in predictions)
    assert [len(one.entities) for one in task.predict(["a", text, "b c"])] == [1, 0, 2]
    assert list(task.predict([])) == []


def test_lists_of_words_get_a_tag_for_each_word(tiny: Tiny) -> None:
    lists: list[Sequence[str]] = [["New York", "", "\ufe0f"], [], ["don't"], ("a", "b")]
    predictions = _everything(tiny).predict(lists)
    assert [one.tags for one in predictions] == [["B-PER"] * len(words) for words in lists]
    assert [one.tokens for one in predictions] == [list(words) for words in lists]
    assert [one.text for one in predictions] == ["New York  \ufe0f", "", "don't", "a b"]
    first = [(entity.start, entity.end) for entity in predictions[0].entities]
    assert first == [(0, 8), (9, 9), (10, 11)]
    assert predictions[0].to_dict()["tags"] == ["B-PER"] * 3


def test_predictions_come_in_the_order_of_the_input(tiny: Tiny) -> None:
    lengths = [5, 400, 1, 0, 37, 2, 150, 1, 0, 90, 400, 3]
    texts = [f"t{number} " * length for number, length in enumerate(lengths)]
    predictions = _everything(tiny).predict(texts, batch_size=4)
    assert [one.text for one in predictions] == texts
    assert [len(one.entities) for one in predictions] == lengths
    for number, one in enumerate(predictions):
        assert {entity.text for entity in one.entities} <= {f"t{number}"}


def test_predicting_in_the_middle_of_a_test_does_not_disturb_it(tiny: Tiny) -> None:
    task = _everything(tiny)
    task.net.train()
    task.predict(["a b"])
    assert task.net.training
    task.net.eval()
    task.predict(["a b"])
    assert not task.net.training


def test_plain_data_is_json_with_rounded_scores() -> None:
    one = NERPrediction("Ada ran", [PredictedEntity("PER", "Ada", 0, 3, 0.123456)])
    assert one.to_dict() == {
        "text": "Ada ran",
        "entities": [{"type": "PER", "text": "Ada", "start": 0, "end": 3, "score": 0.1235}],
    }


class _Page(HTMLParser):
    """Text as a browser shows it, in and outside of `mark` and `small`."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.parts: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.parts.append((self.open[-1] if self.open else "", data))


def test_html_shows_entities_and_escapes_everything() -> None:
    text = "<script>alert(1)</script> & <b>Ada</b> \"x\" 'y' <Bo> <i>&amp;"
    start, bo = text.index("<b>"), text.index("<Bo>")
    one = NERPrediction(
        text,
        [
            PredictedEntity("<PER>&", text[start : start + 10], start, start + 10, 0.5),
            PredictedEntity("LOC", "<Bo>", bo, bo + 4, 0.75),
        ],
    )
    for shown in (one, NERPredictions([one])):
        page = shown._repr_html_()
        assert "<script" not in page
        assert "<b>" not in page
        parts = _Page(page).parts
        assert "".join(data for tag, data in parts if tag == "p") == "".join(
            [text[:start], text[start + 10 : bo], text[bo + 4 :]]
        )
        marked = [data.strip() for tag, data in parts if tag == "mark"]
        assert marked == ["<b>Ada</b>", "<Bo>"]
        assert [data for tag, data in parts if tag == "small"] == ["<PER>&", "LOC"]


def test_a_type_has_one_colour_in_all_predictions() -> None:
    def colours(predictions: NERPredictions) -> list[str]:
        return [part[:7] for part in predictions._repr_html_().split("background:")[1:]]

    def one(*names: str) -> NERPrediction:
        return NERPrediction("a", [PredictedEntity(name, "a", 0, 1, 1.0) for name in names])

    first, second, third = colours(NERPredictions([one("X", "Y"), one("Y")]))
    assert first != second == third


def test_predictions_are_a_sequence() -> None:
    items = [NERPrediction(str(number), []) for number in range(4)]
    predictions = NERPredictions(items)
    assert (len(predictions), predictions[-1], list(predictions)) == (4, items[3], items)
    assert list(predictions[1:3]) == items[1:3]
