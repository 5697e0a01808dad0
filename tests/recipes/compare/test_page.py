"""The page of a comparison: alone, escaped, and as a browser shows it."""

import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.__main__ import main

Records = list[dict[str, Any]]
NASTY = "<script>alert(1)</script> & https://example.org/a.png"


def test_the_page_stands_alone_and_escapes_what_data_hold(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
    read_page: Callable[[Path], Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, right in (("a<b>", 0), ("two", 100)):
        records = classified(right, first=NASTY)
        write_run(tmp_path / name, records, settings={"class_weights": f"{NASTY} {name}"})
    assert main(["compare", "a<b>", "two", "--output", "page.html"]) == 0
    page = read_page(Path("page.html"))
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.text.count(NASTY) == 3, "twice as a setting, once as an example"
    assert "a<b>" in page.text
    assert len(page.loaded) == 1
    assert page.loaded[0].startswith("data:image/png;base64,iVBOR")
    assert "url(" not in page.source
    assert "@import" not in page.source


def test_the_page_lists_what_one_run_gets_right_that_the_other_got_wrong(
    runs: Path,
    write_run: Callable[..., Path],
    classified: Callable[..., Records],
    read_page: Callable[[Path], Any],
) -> None:
    records = classified(62)
    records[4]["label"] = "maybe"
    write_run(runs / "three", records)
    assert main(["compare", str(runs / "one"), str(runs / "three")]) == 0
    text = read_page(runs / "comparison.html").text
    second, first = text.split(" none right ")[1].split("A better than B")
    # Number, text, gold, A's and B's label.
    assert "60 text 60 no maybe no 61 text 61 yes maybe yes" in second
    assert "text 4 " not in second
    assert first.endswith("4 text 4 no no maybe")


def test_the_clearest_examples_come_first_and_not_more_than_fifty(
    runs: Path,
    write_run: Callable[..., Path],
    read_page: Callable[[Path], Any],
) -> None:
    # B is nearer everywhere, and the more so the later the text.
    for name, share in (("three", 1.0), ("four", 0.5)):
        values = [
            {"text": f"text {number}", "gold": float(number % 7), "value": number * share + 100}
            for number in range(60)
        ]
        write_run(runs / name, values, metrics={"test/spearman": 0.0, "test/mae": 0.0})
    assert main(["compare", str(runs / "three"), str(runs / "four")]) == 0
    text = read_page(runs / "comparison.html").text
    assert "50 of 59 examples, the clearest first." in text
    found = re.findall(r"(\d+) text \1 ", text)
    assert [int(number) for number in found] == list(range(59, 9, -1))
    assert "A better than B No example." in text


def test_runs_without_a_history_have_a_page_without_curves(
    runs: Path, read_page: Callable[[Path], Any]
) -> None:
    for name in ("one", "two"):
        (runs / name / "history.jsonl").unlink()
    assert main(["compare"]) == 0
    assert read_page(runs / "comparison.html").loaded == []


def test_a_browser_shows_the_page(runs: Path) -> None:
    browser = shutil.which("chromium") or shutil.which("chromium-browser")
    if browser is None:
        pytest.skip("no chromium is installed")
    assert main(["compare"]) == 0
    common = [browser, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={runs}/b"]
    page = (runs / "comparison.html").resolve().as_uri()
    done = subprocess.run(
        [*common, "--window-size=1000,1200", f"--screenshot={runs.resolve()}/page.png", page],
        capture_output=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    from PIL import Image

    with Image.open(runs / "page.png") as picture:
        colours = picture.convert("RGB").getcolors(maxcolors=2**24)
    assert picture.size == (1000, 1200)
    seen = {colour for _, colour in colours or []}
    # The verdict's bar and the two curves, which only a browser that draws the picture shows.
    assert {(0, 114, 178), (213, 94, 0)} <= seen
    said = subprocess.run(
        [*common, "--dump-dom", page], capture_output=True, timeout=120, text=True
    )
    assert "B is better" in said.stdout
