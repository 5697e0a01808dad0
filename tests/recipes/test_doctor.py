"""`python -m recipes doctor`: what it prints, writes, leaves behind, and its exit status."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from recipes.__main__ import main


def write(folder: Path, sizes: dict[str, int]) -> None:
    number = 1000
    for split, size in sizes.items():
        lines = []
        for _ in range(size):
            number += 1
            lines.append(f"Ada\tB-PER\nsaw\tO\nLondon\tB-LOC\nin\tO\n{number}\tO\n")
        (folder / f"{split}.conll").write_text("\n".join(lines), encoding="utf-8")


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a clean corpus; also where the test runs."""
    monkeypatch.chdir(tmp_path)
    write(tmp_path, {"train": 100, "validation": 50, "test": 50})
    return tmp_path


@pytest.fixture
def backbone(tiny: Callable[[str], Path]) -> str:
    return f"--model.backbone={tiny('bert')}"


def plant(corpus: Path, split: str, old: str, new: str) -> None:
    path = corpus / f"{split}.conll"
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")


def test_a_clean_corpus_ends_with_zero_and_leaves_nothing_behind(
    corpus: Path, backbone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", "ner", "--data.dataset=.", backbone]) == 0
    shown = capsys.readouterr().out
    assert "Sizes" in shown
    assert "Entity types" in shown
    assert "0 errors" in shown
    assert sorted(path.name for path in corpus.iterdir()) == [
        "test.conll",
        "train.conll",
        "validation.conll",
    ]


def test_warnings_alone_end_with_zero(
    corpus: Path, backbone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(corpus, "test", "London\tB-LOC", "London\tB-SHIP")
    assert main(["doctor", "ner", "--data.dataset=.", backbone]) == 0
    shown = capsys.readouterr().out
    assert "warning  label-not-in-train" in shown
    assert "\n0 errors" in shown


def test_an_error_ends_with_one_and_names_file_and_line(
    corpus: Path, backbone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    plant(corpus, "train", "London\tB-LOC", "London\tLOC")
    flags = [f"--data.{split}={split}.conll" for split in ("train", "validation", "test")]
    assert main(["doctor", "ner", *flags, backbone]) == 1
    shown = capsys.readouterr().out
    assert "error    unreadable" in shown
    assert "train.conll:3" in shown
    # The worst comes first.
    assert shown.index("unreadable") < shown.index("error,")


def test_findings_are_also_written_as_json(corpus: Path, backbone: str) -> None:
    plant(corpus, "train", "saw\tO", "s\ufffdw\tO")
    output = corpus / "out" / "found.json"
    assert main(["doctor", "ner", "--data.dataset=.", backbone, "--json", str(output)]) == 0
    found = json.loads(output.read_text(encoding="utf-8"))
    assert (found["errors"], found["recipe"]) == (0, "ner/sample")
    sizes = found["facts"][0]["rows"]
    assert [(row["split"], row["sentences"]) for row in sizes] == [
        ("train", "100"),
        ("validation", "50"),
        ("test", "50"),
    ]
    (finding,) = [one for one in found["findings"] if one["code"] == "replacement-character"]
    assert finding["severity"] == "warning"
    assert finding["places"][0]["where"] == "train.conll:1"


def test_a_config_file_and_splits_held_out_are_taken_as_in_a_run(
    corpus: Path, backbone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (corpus / "own.yaml").write_text("data: {init_args: {train: train.conll}}\n", encoding="utf-8")
    assert main(["doctor", "ner", "--config", "own.yaml", backbone]) == 0
    shown = capsys.readouterr().out
    assert shown.count("held out of train") == 2
    assert "20 of 100 training examples are held out" in shown


def test_data_too_small_to_hold_any_out_is_an_error(
    corpus: Path, backbone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write(corpus, {"train": 5})
    assert main(["doctor", "ner", "--data.train=train.conll", backbone]) == 1
    assert "5 training examples are too few" in capsys.readouterr().out


def test_data_without_an_entity_is_an_error(
    corpus: Path, backbone: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "validation", "test"):
        path = corpus / f"{split}.conll"
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("B-PER", "O").replace("B-LOC", "O"), encoding="utf-8")
    assert main(["doctor", "ner", "--data.dataset=.", backbone]) == 1
    assert "No entity was found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "The recipe's name comes first"),
        (["--data.train=train.conll"], "The recipe's name comes first"),
        (["nr"], "Did you mean ner"),
        (["ner", "--data.trian=train.conll"], "--data.trian"),
        (["ner", "--data.train=missing.conll"], "missing.conll: There is no such file"),
        (["ner", "--model.backbone=roberta-bsae"], "Did you mean roberta-base"),
        (["ner", "--data.max_length=100000"], "--data.max_length 100000 is more than"),
        (["ner", "--run_dir=runs/x"], "--run_dir is for a run"),
        (["ner", "--json=."], "--json . is a folder"),
    ],
    ids=lambda value: value[0] if value and isinstance(value, list) else None,
)
def test_a_mistake_on_the_command_line_ends_with_two(
    arguments: list[str], said: str, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", *arguments]) == 2
    shown = capsys.readouterr().err
    assert said in shown
    assert "Traceback" not in shown


def test_help_says_what_it_does(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["doctor", "--help"])
    assert ended.value.code == 0
    assert "--json FILE" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        *("ner", "classification", "classification/multilabel", "classification/pairs"),
        *("classification/regression", "qa", "summarization", "summarization/abstractive"),
    ],
)
def test_the_recipes_of_the_samples_have_no_warning(
    name: str, corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["doctor", name]) == 0
    assert "0 errors, 0 warnings" in capsys.readouterr().out
