"""`python -m recipes compare` on run folders made by hand: tables, verdict, page, messages."""

import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
import yaml

from recipes.__main__ import main
from zoo.tracking.report import ReportPage

Records = list[dict[str, Any]]
NASTY = "<script>alert(1)</script> & https://example.org/a.png"


def write_run(
    folder: Path,
    records: Records,
    *,
    metrics: dict[str, float] | None = None,
    task: str = "zoo.ClassificationTask",
    settings: dict[str, Any] | None = None,
    age: int = 0,
) -> Path:
    """A run folder with what a test leaves, `age` seconds old."""
    folder.mkdir(parents=True)
    config = {
        "seed_everything": 42,
        "recipe": f"{folder.parent.name}/sample",
        "trainer": {"max_epochs": 2, "logger": None},
        "model": {"class_path": task, "init_args": {"learning_rate": 3e-4, **(settings or {})}},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    if metrics is None:
        right = sum(one["gold"] == one["label"] for one in records)
        metrics = {"test/accuracy": right / len(records)}
    costs = {"perf/tokens_per_second": 1234.5, "perf/peak_memory_gib": 1.5, "perf/fit_seconds": 60}
    content = {"test/loss": 0.5, **costs, **metrics}
    (folder / "metrics.json").write_text(json.dumps(content), encoding="utf-8")
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "predictions.jsonl").write_text(lines, encoding="utf-8")
    history = [{"step": 10, "train/loss": 1.0}, {"step": 20, "val/accuracy": 0.7}]
    rows = "".join(json.dumps(row) + "\n" for row in history)
    (folder / "history.jsonl").write_text(rows, encoding="utf-8")
    when = folder.stat().st_mtime - age
    os.utime(folder / "predictions.jsonl", (when, when))
    return folder


def classified(right: int, texts: int = 100, *, first: str = "text 0") -> Records:
    """Texts of which the first are classified right and the others wrong."""
    return [
        {
            "example": number,
            "text": first if number == 0 else f"text {number}",
            "gold": "yes" if number % 2 else "no",
            "label": ("yes" if number % 2 else "no") if number < right else "maybe",
            "probability": 0.9,
        }
        for number in range(texts)
    ]


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own with two runs: the second has 20 texts more right, and no other."""
    monkeypatch.chdir(tmp_path)
    folder = Path("runs/classification")
    write_run(folder / "one", classified(60), age=20)
    write_run(folder / "two", classified(80), settings={"learning_rate": 1e-5}, age=10)
    return folder


class Page(HTMLParser):
    """Collects tags, what they load, and the text; refuses tags that are not closed."""

    EMPTY = ("meta", "img", "br")

    def __init__(self, path: Path):
        super().__init__()
        self.tags: list[str] = []
        self.loaded: list[str] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.loaded += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(["compare", *arguments]) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    return error


def line_of(out: str, name: str) -> str:
    (found,) = [line for line in out.splitlines() if line.split()[:1] == [name]]
    return found


def test_the_newest_two_runs_are_compared_and_the_better_one_is_named(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(runs / "old", classified(100), age=100)
    assert main(["compare"]) == 0
    out = capsys.readouterr().out
    assert "old" not in out
    assert re.search(r"--model.learning_rate\s+0.0003\s+1e-05", out)
    assert "max_epochs" not in out, "only what differs is shown"
    scores = line_of(out, "accuracy")
    assert re.search(r"0\.600 \[0\.5\d\d, 0\.6\d\d\]\s+0\.800 \[0\.7\d\d, 0\.8\d\d\]", scores)
    assert "+0.200" in scores
    assert re.search(r"loss.*0\.500\s+0\.500", out)
    assert re.search(r"tokens/s in training\s+1,234\s+1,234", out)
    assert re.search(r"only B right\s+20 ", out)
    assert re.search(r"only A right\s+0 ", out)
    assert "B is better: accuracy B - A = +0.200" in out
    assert "p < 0.001" in out
    assert "warning" not in out
    assert out.splitlines()[-1] == "page  runs/classification/comparison.html"
    assert Page(runs / "comparison.html").text.count("B is better") == 1


def test_the_order_of_named_runs_decides_which_is_a(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", str(runs / "two"), str(runs / "one")]) == 0
    assert "A is better: accuracy B - A = -0.200" in capsys.readouterr().out


def test_runs_that_differ_by_chance_are_not_told_apart(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    near = classified(60)
    near[0]["label"], near[70]["label"], near[71]["label"] = "maybe", "no", "yes"
    write_run(runs / "three", near)
    assert main(["compare", str(runs / "one"), str(runs / "three")]) == 0
    out = capsys.readouterr().out
    # Of three texts on which they differ, B has two: no way to swap them gives less than one.
    assert "The test cannot tell B from A: accuracy B - A = +0.010" in out
    assert "p = 1.000" in out


def test_all_runs_of_a_folder_are_compared_with_the_first(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(runs / "three", classified(60))
    assert main(["compare", str(runs), "--all", "--output", "out/three.html"]) == 0
    out = capsys.readouterr().out
    assert "B is better" in out
    assert "A and C score the same" in out
    assert "C - A" in Page(Path("out/three.html")).text


def test_another_score_may_decide(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        path = runs / name / "metrics.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "test/f1_macro": 0.1}))
    assert main(["compare", "--score", "f1_macro"]) == 0
    out = capsys.readouterr().out
    assert "f1_macro B - A" in out
    # Each sentence names the run whose metrics.json says otherwise than its predictions.
    assert "warning: The predictions of runs/classification/one do not give the scores" in out
    assert re.search(r"f1_macro 0\.\d{4} instead of 0\.1000", out)
    assert "There is no score 'f2'" in fails(capsys, "--score", "f2")


def test_a_run_is_compared_on_every_page_of_the_same_test_with_the_same_numbers(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    outs = []
    for _ in range(2):
        assert main(["compare", "--seed", "3"]) == 0
        outs.append((capsys.readouterr().out, (runs / "comparison.html").read_bytes()))
    assert outs[0] == outs[1]


def test_the_page_stands_alone_and_escapes_what_data_hold(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, right in (("a<b>", 0), ("two", 100)):
        records = classified(right, first=NASTY)
        write_run(tmp_path / name, records, settings={"class_weights": f"{NASTY} {name}"})
    assert main(["compare", "a<b>", "two", "--output", "page.html"]) == 0
    page = Page(Path("page.html"))
    assert "script" not in page.tags
    assert "link" not in page.tags
    assert page.text.count(NASTY) == 3, "twice as a setting, once as an example"
    assert "a<b>" in page.text
    assert len(page.loaded) == 1
    assert page.loaded[0].startswith("data:image/png;base64,iVBOR")
    assert "url(" not in page.source
    assert "@import" not in page.source


def test_versions_and_commits_that_differ_are_named_beside_the_settings(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, commit in (("one", "a" * 40), ("two", "b" * 40)):
        facts = {"git commit": commit, "versions": "torch 2.13", "labels": name}
        page = ReportPage(title=name, facts=facts, metrics={"test/accuracy": 0.5})
        (runs / name / "report.md").write_text(page.markdown(), encoding="utf-8")
    assert main(["compare"]) == 0
    out = capsys.readouterr().out
    assert re.search(rf"git commit\s+{'a' * 12}\s+{'b' * 12} ", out)
    assert "torch" not in out, "only what differs is shown"


def test_runs_without_a_history_have_a_page_without_curves(runs: Path) -> None:
    for name in ("one", "two"):
        (runs / name / "history.jsonl").unlink()
    assert main(["compare"]) == 0
    assert Page(runs / "comparison.html").loaded == []


def test_runs_with_the_same_settings_are_said_to_have_them(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(runs / "three", classified(60))
    assert main(["compare", str(runs / "one"), str(runs / "three")]) == 0
    assert "All settings are the same." in capsys.readouterr().out
    assert "Nothing: all settings are the same." in Page(runs / "comparison.html").text


def test_brackets_in_settings_are_printed_as_they_are(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(runs / "three", classified(60), settings={"warmup": "[red]a[/red] [b]"})
    assert main(["compare", str(runs / "one"), str(runs / "three")]) == 0
    assert "[red]a[/red] [b]" in capsys.readouterr().out


def test_named_entities_are_compared_by_entity(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    gold = ["B-PER", "O", "B-LOC"]
    right = {"tokens": ["Ada", "saw", "Rome"], "gold": gold, "tags": gold}
    half = {**right, "tags": ["B-PER", "O", "O"]}
    # Of 40 entities 30 were found and none is spurious: F1 is 60 / 70.
    write_run(
        Path("one"), [half] * 10 + [right] * 10, metrics={"test/f1": 6 / 7}, task="zoo.NERTask"
    )
    write_run(Path("two"), [right] * 20, metrics={"test/f1": 1.0}, task="zoo.NERTask")
    assert main(["compare", "one", "two"]) == 0
    out = capsys.readouterr().out
    assert "B is better: f1 B - A = +0.143" in out
    assert "warning" not in out
    text = Page(Path("comparison.html")).text
    assert "f1/LOC" in text
    assert text.count("Ada saw Rome") == 10


def test_errors_that_are_lower_are_better(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for name, error in (("one", 1.0), ("two", 0.5)):
        records = [
            {"text": f"{number}", "gold": float(number), "value": number + error * (-1) ** number}
            for number in range(30)
        ]
        write_run(Path(name), records, metrics={"test/mae": error})
    assert main(["compare", "one", "two", "--score", "mae"]) == 0
    out = capsys.readouterr().out
    assert "B is better: mae B - A = -0.500" in out
    assert re.search(r"mae \(lower is better\)\s+1\.000 \[1\.000, 1\.000\]", out)


def test_tests_on_other_examples_are_refused(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(runs / "three", classified(60, 50))
    assert "not tested on the same examples: 100 and 50" in fails(
        capsys, str(runs / "one"), str(runs / "three")
    )
    changed = classified(60)
    changed[7]["gold"] = "no"
    write_run(runs / "four", changed)
    error = fails(capsys, str(runs / "one"), str(runs / "four"))
    assert "runs/classification/one and runs/classification/four" in error
    assert "example 7 is ('text 7', None, 'yes') in one and ('text 7', None, 'no')" in error


def test_runs_of_different_tasks_are_refused(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_run(Path("runs/ner/a"), [], metrics={"test/f1": 0.5}, task="zoo.NERTask")
    error = fails(capsys, str(runs / "one"), "runs/ner/a")
    assert "one is a run of classification and runs/ner/a one of ner" in error


def test_a_single_run_is_not_enough(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(runs / "two")
    assert "only one run with a test here, runs/classification/one" in fails(capsys)
    assert "only one run" in fails(capsys, str(runs / "one"), f"{runs}/../classification/one")


def test_a_run_without_a_test_is_named_or_passed_over(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = write_run(runs / "three", classified(60))
    (run / "metrics.json").write_text('{"val/accuracy": 0.5}')
    assert "runs/classification/three has no test scores" in fails(
        capsys, str(runs / "one"), str(run)
    )
    assert main(["compare", str(runs)]) == 0
    assert "three" not in capsys.readouterr().out
    (run / "metrics.json").write_text('{"test/accuracy": 0.5}')
    (run / "predictions.jsonl").unlink()
    assert "no predictions.jsonl" in fails(capsys, str(runs / "one"), str(run))


@pytest.mark.parametrize("content", ["{", "[1]", '{"test/accuracy": "x"}', "\ufeff"])
def test_damaged_scores_are_named(
    runs: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (runs / "two" / "metrics.json").write_text(content, encoding="utf-8")
    assert "runs/classification/two/metrics.json is damaged" in fails(capsys)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"text": "a', "this line is no JSON object"),
        ("3", "a prediction of ClassificationTask has 'text' in it"),
        ('{"text": "a"}', "a prediction of ClassificationTask has 'gold' in it"),
    ],
)
def test_damaged_predictions_are_named_with_their_line(
    runs: Path, capsys: pytest.CaptureFixture[str], line: str, message: str
) -> None:
    path = runs / "two" / "predictions.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[3] = line
    path.write_text("\n".join(lines), encoding="utf-8")
    os.utime(path)
    assert f"two/predictions.jsonl:4: {message}" in fails(capsys)


def test_predictions_of_another_kind_are_named(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = runs / "two" / "predictions.jsonl"
    path.write_text('{"text": "a", "gold": "b"}\n', encoding="utf-8")
    os.utime(path)
    assert "two/predictions.jsonl holds predictions that are not of ClassificationTask" in fails(
        capsys
    )


def test_damaged_settings_are_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = runs / "two" / "config.yaml"
    path.write_text("model: [", encoding="utf-8")
    assert "two/config.yaml is damaged" in fails(capsys)
    path.write_text("a: 1", encoding="utf-8")
    assert "there is no `model` in it" in fails(capsys)
    path.write_text("model: {class_path: other.Task}", encoding="utf-8")
    assert "two/config.yaml is of the task 'Task'; known are NERTask" in fails(capsys)


def test_folders_that_are_no_runs_are_named(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("empty").mkdir()
    assert "There is no folder nowhere" in fails(capsys, "nowhere")
    assert "is a file, not the folder of a run" in fails(capsys, str(runs / "one/config.yaml"))
    assert "empty is not the folder of a run" in fails(capsys, "empty")
    shutil.rmtree("runs")
    assert "There is no folder runs" in fails(capsys)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--output", "page.txt"], "ends in .html"),
        (["--output", "folder.html"], "is a folder"),
        (["--resamples", "5"], "--resamples 5 is too small"),
    ],
)
def test_options_that_cannot_be_are_refused(
    runs: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    Path("folder.html").mkdir()
    assert message in fails(capsys, *arguments)


def test_the_newest_task_is_taken_where_there_are_several(
    runs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("x", "y"):
        write_run(Path("runs/other") / name, classified(50), age=1000)
    assert main(["compare"]) == 0
    assert "other" not in capsys.readouterr().out


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


def write_corpus(folder: Path, family: str) -> None:
    """Examples that even a tiny random model half learns."""
    chance = random.Random(3)
    for split in ("train", "validation", "test"):
        names = [chance.choice(["ada", "bob", "fox", "dog"]) for _ in range(40)]
        kinds = ["person" if name in ("ada", "bob") else "animal" for name in names]
        if family == "ner":
            tags = ["PER" if kind == "person" else "ANIMAL" for kind in kinds]
            text = "\n".join(
                f"the\tO\n{name}\tB-{tag}\nlived\tO\n"
                for name, tag in zip(names, tags, strict=True)
            )
            (folder / f"{split}.conll").write_text(text)
        elif family == "classification":
            rows = [f"the {name} lived,{kind}" for name, kind in zip(names, kinds, strict=True)]
            (folder / f"{split}.csv").write_text("\n".join(["text,label", *rows]))
        else:
            questions = [
                {
                    "context": f"the {name} lived in london .",
                    "qas": [
                        {
                            "id": f"{split}-{number}",
                            "question": "who lived ?",
                            "answers": [{"text": name, "answer_start": 4}],
                        }
                    ],
                }
                for number, name in enumerate(names)
            ]
            content = {"data": [{"title": "T", "paragraphs": questions}]}
            (folder / f"{split}.json").write_text(json.dumps(content))


@pytest.mark.slow
@pytest.mark.parametrize("family", ["ner", "classification", "qa"])
def test_two_real_runs_compare_with_the_scores_that_they_report(
    family: str,
    tiny: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    write_corpus(data, family)
    common = [f"--model.backbone={tiny('bert')}", f"--data.dataset={data}", "--data.batch_size=8"]
    common += ["--trainer.accelerator=cpu", "--trainer.logger=false"]
    for name, rate, epochs in (("slow", "1e-5", 1), ("fast", "5e-3", 6)):
        own = [f"--model.learning_rate={rate}", f"--trainer.max_epochs={epochs}"]
        assert main([family, *common, *own, f"--run_dir=runs/{family}/{name}"]) == 0
    capsys.readouterr()
    assert main(["compare"]) == 0
    out = capsys.readouterr().out
    assert "warning" not in out, "the predictions give the scores of metrics.json"
    score = "accuracy" if family == "classification" else "f1"
    shown = line_of(out, score)
    for name in ("slow", "fast"):
        metrics = json.loads(Path(f"runs/{family}/{name}/metrics.json").read_text())
        assert f"{metrics[f'test/{score}']:.3f} [" in shown
    assert "B is better" in out
    assert re.search(r"--trainer.max_epochs\s+1\s+6", out)
    assert f"val/{score}" not in out
    assert Page(Path(f"runs/{family}/comparison.html")).loaded, "there are curves"


@pytest.mark.slow
def test_an_abstractive_and_an_extractive_run_compare_on_the_same_documents(
    tiny: Callable[[str], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "data"
    data.mkdir()
    chance = random.Random(7)
    for split in ("train", "validation", "test"):
        lines = []
        for number in range(32):
            names = chance.sample(["ada", "bob", "cleo", "fox", "dog"], 3)
            said = f"{names[0]} lived in london ."
            sentences = [f"{name} jumps over the dog ." for name in names[1:]]
            sentences.insert(chance.randrange(3), said)
            record = {"id": f"{split}-{number}", "source": sentences, "target": said}
            lines.append(json.dumps(record))
        (data / f"{split}.jsonl").write_text("\n".join(lines))
    common = [f"--data.dataset={data}", "--data.max_length=96", "--data.batch_size=8"]
    common += ["--trainer.accelerator=cpu", "--trainer.logger=false"]
    own = {
        "summarization/dialogues": [
            f"--model.backbone={tiny('t5')}",
            "--model.generation={num_beams: 1, max_new_tokens: 12}",
            "--trainer.max_epochs=1",
        ],
        "summarization/scitldr": [
            f"--model.backbone={tiny('bert')}",
            "--model.learning_rate=5e-3",
            "--model.max_sentences=1",
            "--trainer.max_epochs=8",
        ],
    }
    for recipe, flags in own.items():
        name = f"--run_dir=runs/{recipe}"
        assert main([recipe, *common, *flags, name]) == 0
    capsys.readouterr()
    assert main(["compare"]) == 0
    out = capsys.readouterr().out
    assert "warning" not in out
    assert "B is better: rougeL" in out
    assert re.search(r"zoo.SummarizationTask\s+zoo.ExtractiveSummarizationTask", out)
    assert line_of(out, "rougeLsum").count("[") == 3
