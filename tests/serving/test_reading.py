"""From the body of a request to inputs: what is refused, and with which words."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from zoo.errors import ZooError
from zoo.serving.limits import Limits
from zoo.serving.reading import inputs_of
from zoo.serving.wire import RequestError
from zoo.training.task import FineTuningTask

LIMITS = Limits(max_characters=100, max_queue=8)
TASKS: list[type[FineTuningTask]] = [
    zoo.NERTask,
    zoo.ClassificationTask,
    zoo.QATask,
    zoo.SummarizationTask,
]


def text_of(record: Mapping[str, Any]) -> Any:
    return zoo.NERTask.input_of(record)


def refused(body: bytes, limits: Limits = LIMITS) -> tuple[int, str]:
    with pytest.raises(RequestError) as caught:
        inputs_of(body, text_of, limits)
    return caught.value.status, caught.value.sentence


def test_one_object_is_one_input_and_a_list_of_them_is_several() -> None:
    assert inputs_of(b'{"text": "fox"}', text_of, LIMITS) == ["fox"]
    assert inputs_of(b'\xef\xbb\xbf {"tokens": ["a", "b"]}\n', text_of, LIMITS) == [["a", "b"]]
    both = b'{"inputs": [{"text": "fox"}, {"text": "\xc3\xa9\\u0000\\ud83e\\udd8a"}]}'
    assert inputs_of(both, text_of, LIMITS) == ["fox", "é\0🦊"]
    assert inputs_of(b'{"inputs": []}', text_of, LIMITS) == []


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"", 400, "body is empty"),
        (b" \n", 400, "body is empty"),
        (b"[", 400, "Broken JSON (Expecting value, line 1, column 2)"),
        (b'{"text": "a" "b"}', 400, "Broken JSON"),
        (b'{"text": "a"} {"text": "b"}', 400, "Extra data"),
        (b'{"text": "\xff"}', 400, "not UTF-8 (invalid start byte, byte 11)"),
        ('{"text": "a"}'.encode("utf-16"), 400, "not UTF-8"),
        (b'{"text": "a", "id": NaN}', 400, "NaN is no JSON"),
        (b'{"text": "a", "id": -Infinity}', 400, "-Infinity is no JSON"),
        (b'{"text": "a", "id": ' + b"9" * 5000 + b"}", 400, "Broken JSON"),
        (b'{"text": "\\ud83d"}', 400, "half of a surrogate pair"),
        (b'{"\\uDC00": 1, "text": "a"}', 400, "half of a surrogate pair"),
        (b"[" * 100_000, 400, "nested too deeply"),
        (b"null", 422, "this is null"),
        (b'[{"text": "a"}]', 422, "this is a list"),
        (b"true", 422, "this is true or false"),
        (b"{}", 422, '"text" (a string)'),
        (b'{"%s": 1}' % (b"a" * 9999), 422, "this one has aaaa"),
        (b'{"text": 1}', 422, '"text" (a string)'),
        (b'{"text": null}', 422, '"text" (a string)'),
        (b'{"tokens": ["a", 1]}', 422, '"tokens" (a list of strings)'),
        (b'{"inputs": {}}', 422, '"inputs" must be a list of objects; it is an object'),
        (b'{"inputs": [{"text": "a"}, "b"]}', 422, "inputs[1]: An input must be an object"),
        (b'{"inputs": [{"text": "a"}, {"txt": "b"}]}', 422, "inputs[1]: Each object needs"),
        (b'{"inputs": [], "text": "a"}', 422, 'Beside "inputs" nothing is taken'),
        (json.dumps({"inputs": [{"text": "a"}] * 9}).encode(), 413, "at most 8 inputs"),
        (json.dumps({"text": "a" * 101}).encode(), 413, "at most 100 characters; this one has 101"),
        (json.dumps({"tokens": [""] * 101}).encode(), 413, "at most 100 characters"),
        (json.dumps({"text": "a", "x": {"b" * 101: 0}}).encode(), 413, "at most 100 characters"),
    ],
)
def test_what_is_wrong_is_said_with_the_limit(body: bytes, status: int, words: str) -> None:
    found, sentence = refused(body)
    assert (found, words in sentence) == (status, True), sentence
    assert "\n" not in sentence
    assert len(sentence) < 300


def test_a_text_of_just_the_longest_length_is_taken() -> None:
    fox = "🦊" * 100
    assert inputs_of(json.dumps({"text": fox}).encode(), text_of, LIMITS) == [fox]


def test_a_question_is_asked_on_no_more_texts_than_may_be() -> None:
    record = {"question": "who?", "contexts": ["a"] * 3}
    limits = Limits(max_contexts=2)
    with pytest.raises(RequestError, match="on at most 2 texts; these are 3") as caught:
        inputs_of(json.dumps(record).encode(), zoo.QATask.input_of, limits)
    assert caught.value.status == 413


@pytest.mark.parametrize("depth", [200, 600, 900])
def test_deep_lists_in_a_document_are_read_or_refused_by_name(depth: int) -> None:
    body = b'{"source": ' + b"[" * depth + b'"fox"' + b"]" * depth + b"}"
    try:
        (found,) = inputs_of(body, zoo.SummarizationTask.input_of, Limits())
    except RequestError as error:
        found = error
    assert getattr(found, "source", None) == "fox" or "nested too deeply" in str(found)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["text", "tokens", "question", "context", "contexts", "source", "inputs"]
            )
            | st.text(max_size=3),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=40) | _JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_refused_for_every_task(body: bytes) -> None:
    for task in TASKS:
        found: Any
        try:
            found = inputs_of(body, task.input_of, LIMITS)
        except RequestError as error:
            found = error
        assert isinstance(found, list) or found.status in (400, 413, 422)
        str(found).encode("utf-8")


@pytest.mark.parametrize(
    "setting", ["max_batch_size", "max_wait_ms", "max_characters", "max_queue"]
)
def test_limits_that_make_no_sense_are_refused_by_the_name_of_their_flag(setting: str) -> None:
    with pytest.raises(ZooError, match=f"--{setting} -1 is too small"):
        Limits(**{setting: -1})


def test_the_longest_body_holds_the_longest_text_however_it_is_written() -> None:
    limits = Limits(max_characters=200_000)
    escaped = json.dumps({"text": "🦊" * limits.max_characters})
    assert len(escaped) <= limits.max_bytes
    assert Limits(max_queue=5).max_inputs == 5, "more could never wait"
