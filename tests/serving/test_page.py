"""The page in a real browser: its form sent, its answer shown, for every task."""

import re
import shutil
import subprocess
from collections.abc import Callable
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

from tests.serving.conftest import RECORDS, listening
from zoo.serving.app import create_app
from zoo.serving.limits import Limits
from zoo.training.task import FineTuningTask

TaskOf = Callable[[str], FineTuningTask]
Browse = Callable[..., str]
NASTY = "<img src=x onerror=alert(1)> Ada & <b>London</b>"


@pytest.fixture
def browse(tmp_path: Path) -> Browse:
    """A function from an address to the document that a browser has made of it, with its answer."""
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium is installed")

    def document(address: str, **query: str) -> str:
        done = subprocess.run(
            [
                browser,
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                f"--user-data-dir={tmp_path}/browser",
                "--virtual-time-budget=20000",
                "--dump-dom",
                f"{address}/?{urlencode(query)}",
            ],
            capture_output=True,
            timeout=240,
            text=True,
            check=True,
        )
        return done.stdout

    return document


def shown(document: str, *, part: str = "result") -> str:
    """HTML inside the part with an id; empty where it is hidden."""
    found = re.search(rf'<(section|p) id="{part}"([^>]*)>(.*?)</\1>', document, re.DOTALL)
    assert found is not None
    return "" if " hidden" in found[2] else found[3]


def words(html: str) -> str:
    return unescape(re.sub(r"<[^>]+>", "", html))


def answer(task: FineTuningTask, kind: str) -> dict[str, object]:
    (found,) = task.predict([task.input_of(RECORDS[kind])])
    plain: dict[str, object] = found.to_dict()
    return plain


def fields(kind: str) -> dict[str, str]:
    return {name: value for name, value in RECORDS[kind].items() if name != "id"}


def test_entities_are_marked_in_the_text(task_of: TaskOf, browse: Browse) -> None:
    task = task_of("ner")
    (found,) = task.predict([RECORDS["ner"]["text"]])
    assert found.entities, "there is something to see"
    with listening(create_app(task)) as address:
        result = shown(browse(address, **fields("ner")))
    text = re.search(r'<p class="text"[^>]*>(.*?)</p>', result, re.DOTALL)
    assert text is not None
    marks = re.findall(r"<mark[^>]*>(.*?)<small>(.*?)</small></mark>", text[1])
    assert [(unescape(one), kind) for one, kind in marks] == [
        (entity.text, entity.type) for entity in found.entities
    ]
    assert words(re.sub(r"<small>.*?</small>", "", text[1])) == RECORDS["ner"]["text"]


def test_the_label_is_shown_with_its_bar(task_of: TaskOf, browse: Browse) -> None:
    for kind in ("classification", "pairs"):
        found = answer(task_of(kind), kind)
        with listening(create_app(task_of(kind))) as address:
            result = shown(browse(address, **fields(kind)))
        bar = re.search(r'<progress max="1" value="([\d.]+)"', result)
        assert bar is not None
        assert float(bar[1]) == pytest.approx(found["probability"], abs=2e-4)
        assert words(result).startswith(str(found["label"]))


def test_several_labels_and_a_number_are_shown(task_of: TaskOf, browse: Browse) -> None:
    found = answer(task_of("multi_label"), "multi_label")
    with listening(create_app(task_of("multi_label"))) as address:
        result = shown(browse(address, **fields("multi_label")))
    labels = found["labels"]
    assert isinstance(labels, list)
    names = re.findall(r'<span class="name[^>]*>(.*?)</span>', result)
    assert names == [one["label"] for one in labels]
    value = answer(task_of("regression"), "regression")["value"]
    with listening(create_app(task_of("regression"))) as address:
        result = shown(browse(address, **fields("regression")))
    number = re.match(r"-?[\d.]+(e-?\d+)?", words(result).split("As JSON")[0])
    assert number is not None
    assert float(number[0]) == pytest.approx(value, abs=1e-3)


def test_the_answer_is_marked_where_it_stands(task_of: TaskOf, browse: Browse) -> None:
    task = task_of("qa")
    (found,) = task.predict([task.input_of(RECORDS["qa"])])
    with listening(create_app(task)) as address:
        result = shown(browse(address, **fields("qa")))
    marks = [unescape(one) for one in re.findall(r"<mark[^>]*>(.*?)</mark>", result)]
    if found.answer is None:
        assert marks == []
        assert "The text does not say" in result
    else:
        assert marks == [found.answer.text]
        before = words(re.split(r"<mark", result.split('<p class="text')[1])[0].split(">", 1)[1])
        assert len(before) == found.answer.start, "in code points, behind an emoji"


def test_summaries_of_both_kinds_are_shown(task_of: TaskOf, browse: Browse) -> None:
    for kind in ("extractive", "abstractive"):
        task = task_of(kind)
        (found,) = task.predict([task.input_of(RECORDS[kind])])
        with listening(create_app(task)) as address:
            result = shown(browse(address, **fields(kind)))
        if found.summary:
            assert words(result).startswith(found.summary)
        else:
            assert "nothing to summarize" in result
        if kind == "extractive":
            source = RECORDS[kind]["source"]
            marks = [unescape(one) for one in re.findall(r"<mark[^>]*>(.*?)</mark>", result)]
            assert marks == [source[one.start : one.end] for one in found.sentences]
            assert len(marks) == 2


def test_what_is_wrong_is_said_on_the_page(task_of: TaskOf, browse: Browse) -> None:
    with listening(create_app(task_of("ner"), limits=Limits(max_characters=10))) as address:
        document = browse(address, text="a" * 11)
    assert shown(document) == ""
    assert "at most 10 characters; this one has 11" in shown(document, part="problem")
    with listening(create_app(task_of("qa"))) as address:
        document = browse(address, question="who?")
    assert shown(document, part="problem") == "Text to search is empty."


def test_a_text_is_never_taken_as_html(task_of: TaskOf, browse: Browse) -> None:
    with listening(create_app(task_of("ner"))) as address:
        document = browse(address, text=NASTY)
    result = shown(document)
    assert "<img" not in document
    assert "<b>" not in result
    text = re.search(r'<p class="text"[^>]*>(.*?)</p>', result, re.DOTALL)
    assert text is not None
    assert words(re.sub(r"<small>.*?</small>", "", text[1])) == NASTY


def test_every_field_has_a_label(task_of: TaskOf, browse: Browse) -> None:
    with listening(create_app(task_of("qa"))) as address:
        document = browse(address)
    asked = re.findall(r'<(?:input|textarea) id="([^"]+)" name="([^"]+)"', document)
    assert [name for _, name in asked] == ["question", "context"]
    for place, _ in asked:
        assert f'<label for="{place}">' in document
    assert shown(document) == ""
    assert shown(document, part="problem") == ""
