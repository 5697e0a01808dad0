"""Labels of every shape from every source, the mode that follows, and what does not fit it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest

from zoo.classification.datamodule import ClassificationDataModule
from zoo.classification.reading import read_texts
from zoo.errors import DataError, ZooError

Tiny = Callable[[str], Path]
Records = list[dict[str, Any]]


@pytest.fixture(autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path_factory.mktemp("hub-cache")
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(folder))


def _lines(path: Path, records: Records) -> str:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return str(path)


def _texts(*labels: Any, name: str = "label") -> Records:
    return [{"text": f"text {number}", name: label} for number, label in enumerate(labels)]


def _labels(path: str | Path, **options: Any) -> list[tuple[tuple[str, ...] | None, bool]]:
    return [(one.labels, one.several) for one in read_texts(Path(path), **options)]


@pytest.fixture
def data(tmp_path: Path, tiny: Tiny) -> Callable[..., ClassificationDataModule]:
    """A function from the labels of train, and of other splits, to the datamodule."""

    def make(*train: Any, test: list[Any] | None = None, **options: Any) -> Any:
        files: dict[str, Any] = {
            "train": _lines(tmp_path / "train.jsonl", _texts(*train)),
            "validation": _lines(tmp_path / "validation.jsonl", _texts(*train)),
            "test": _lines(tmp_path / "test.jsonl", _texts(*(train if test is None else test))),
        }
        return ClassificationDataModule(
            **files, **{"backbone": str(tiny("bert")), "batch_size": 4, **options}
        )

    return make


# Reading.


def test_lists_of_json_lines_are_several_labels_once_each(tmp_path: Path) -> None:
    path = _lines(tmp_path / "x.jsonl", _texts(["b", "a"], [], ["c", "c"], [3]))
    assert _labels(path) == [(("b", "a"), True), ((), True), (("c",), True), (("3",), True)]


_CLASSES = datasets.ClassLabel(names=["calm", "glad", "sad"])


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_lists_of_classes_have_the_names_behind_the_integers(tmp_path: Path, kind: str) -> None:
    from zoo.data.readers.hub import load_hub

    features = datasets.Features(
        {"text": datasets.Value("string"), "labels": datasets.List(_CLASSES)}
    )
    records = {"text": ["a", "b", "c"], "labels": [[2, 0], [], [1]]}
    table = datasets.Dataset.from_dict(records, features)
    path = tmp_path / "hub" / "train.parquet"
    path.parent.mkdir()
    table.to_parquet(path)
    source: Any = path if kind == "file" else load_hub(str(path.parent))["train"]
    found = [(one.labels, one.several) for one in read_texts(source)]
    assert found == [(("sad", "calm"), True), ((), True), (("glad",), True)]


def test_a_separator_cuts_a_field_of_a_table_and_an_empty_one_has_no_label(tmp_path: Path) -> None:
    path = tmp_path / "x.tsv"
    path.write_text("text\tlabel\na\t3,7\nb\t\nc\t7\nd\t 1 , 3,\n", encoding="utf-8")
    assert [labels for labels, _ in _labels(path, separator=",")] == [
        ("3", "7"),
        (),
        ("7",),
        ("1", "3"),
    ]
    assert all(several for _, several in _labels(path, separator=","))
    assert _labels(path.with_name("x.tsv"), separator=";")[0] == (("3,7",), True)
    with pytest.raises(DataError, match=r"x\.tsv:3: the label is empty"):
        _labels(path)


def test_with_a_separator_numbers_and_nothing_are_labels_too(tmp_path: Path) -> None:
    path = _lines(tmp_path / "x.jsonl", _texts("3|7", 3, None, ["7"]))
    found = _labels(path, separator="|")
    assert found == [(("3", "7"), True), (("3",), True), ((), True), (("7",), True)]


def test_an_empty_separator_is_refused() -> None:
    with pytest.raises(ZooError, match=r"--data\.separator is empty"):
        ClassificationDataModule(separator="")


def _hub(folder: Path, **splits: list[int]) -> str:
    features = datasets.Features({"text": datasets.Value("string"), "label": _CLASSES})
    (folder / "data").mkdir(parents=True)
    for split, labels in splits.items():
        texts = [f"{split} {number}" for number in range(len(labels))]
        table = datasets.Dataset.from_dict({"text": texts, "label": labels}, features)
        table.to_parquet(folder / "data" / f"{split}-00000-of-00001.parquet")
    return str(folder)


def test_texts_of_the_class_minus_one_are_left_out_and_counted(tmp_path: Path, tiny: Tiny) -> None:
    folder = _hub(tmp_path / "hub", train=[0, 1, -1, 2, -1], validation=[0, 1], test=[2, -1])
    made = ClassificationDataModule(folder, backbone=str(tiny("bert")))
    assert made.labels == ["calm", "glad", "sad"]
    assert made.examples("train")["text"] == ["train 0", "train 1", "train 3"]
    assert made.notes == [
        "2 texts of train without a label left out.",
        "1 text of test without a label left out.",
    ]


def test_a_split_without_any_label_says_how_to_choose_another(tmp_path: Path, tiny: Tiny) -> None:
    folder = _hub(tmp_path / "hub", train=[0, 1, 2] * 8, validation=[0, 1], test=[-1, -1])
    backbone = str(tiny("bert"))
    with pytest.raises(DataError, match=r"\(test\).*No text has a label.*--data\.splits"):
        ClassificationDataModule(folder, backbone=backbone).labels  # noqa: B018
    made = ClassificationDataModule(folder, splits={"test": "validation"}, backbone=backbone)
    assert made.examples("test")["text"] == ["validation 0", "validation 1"]
    assert len(made.examples("train")) == 22  # two are held out, for want of another validation
    assert len(made.examples("validation")) == 2
    for splits in ({"test": "valid"}, {"tset": "validation"}):
        wrong = ClassificationDataModule(folder, splits=splits, backbone=backbone)
        with pytest.raises(DataError, match=r"--data\.splits.*the data has train, validation, te"):
            wrong.labels  # noqa: B018


def test_splits_of_a_folder_of_files_are_chosen_by_name_too(tmp_path: Path, tiny: Tiny) -> None:
    for name in ("train", "dev", "test"):
        _lines(tmp_path / f"{name}.jsonl", _texts(*(["a", "b"] * 10), name="label"))
    options: dict[str, Any] = {"splits": {"test": "validation"}, "backbone": str(tiny("bert"))}
    made = ClassificationDataModule(str(tmp_path), **options)
    assert made.sources.place("test") == str(tmp_path / "dev.jsonl")
    assert "validation" not in made.sources.splits
    options["splits"] = {"test": "dev"}
    with pytest.raises(DataError, match=r"the data has test, train, validation|the data has"):
        ClassificationDataModule(str(tmp_path), **options).labels  # noqa: B018
    # Files that are named one by one replace the dataset and what was said of it.
    path = str(tmp_path / "train.jsonl")
    options |= {"train": path, "validation": path, "test": path}
    assert ClassificationDataModule(str(tmp_path), **options).labels == ["a", "b"]


# The mode.


def test_lists_are_multi_label(data: Callable[..., ClassificationDataModule]) -> None:
    made = data(["b"], [], ["a", "b"])
    assert made.mode == "multi_label"
    assert made.labels == ["a", "b"]
    (batch,) = made.val_dataloader()
    rows = dict(zip(batch["example"], batch["labels"].tolist(), strict=True))
    assert rows == {0: [0, 1], 1: [0, 0], 2: [1, 1]}
    assert batch["class_weights"].tolist() == [2.0, 0.5]


def test_numbers_with_decimals_are_regression_and_that_is_said(
    data: Callable[..., ClassificationDataModule],
) -> None:
    made = data(1, 2.5, "-3e2")
    assert (made.mode, made.labels) == ("regression", ["score"])
    assert "numbers are predicted; --data.mode single_label" in made.notes[0]
    (batch,) = made.val_dataloader()
    assert dict(zip(batch["example"], batch["labels"].tolist(), strict=True)) == {
        0: 1.0,
        1: 2.5,
        2: -300.0,
    }
    classes = data(1, 2.5, "-3e2", mode="single_label")
    assert classes.labels == ["-3e2", "1", "2.5"]


def test_whole_numbers_stay_classes_unless_numbers_are_asked_for(
    data: Callable[..., ClassificationDataModule],
) -> None:
    made = data(1, 5, 10, 5)
    assert (made.mode, made.labels, made.notes) == ("single_label", ["1", "5", "10"], [])
    number = data(1, 5, 10, 5, mode="regression")
    assert (number.mode, number.notes) == ("regression", [])


@pytest.mark.parametrize(
    ("labels", "mode", "said"),
    [
        ([1.5, "high"], "regression", r"train\.jsonl:2: the target of a regression.*'high'"),
        ([1.5, "nan"], "regression", r"train\.jsonl:2: .*'nan'"),
        ([1.5, float("nan")], "regression", r"train\.jsonl:2: .*'nan'"),
        ([1.5, float("inf")], "regression", r"train\.jsonl:2: .*'inf'"),
        ([1.5, "1e39"], "regression", r"train\.jsonl:2: .*'1e39'"),
        ([1.5, [2.5]], "regression", r"train\.jsonl:2: a text has one label here; found the list"),
        ([1.5, None], "regression", r"train\.jsonl:2: the label is empty"),
        (["a", ["a", "b"]], "single_label", r"train\.jsonl:2: a text has one label.*'a', 'b'"),
        ([[], "a"], "ordinal", r"train\.jsonl:1: a text has one label"),
        (["a", ["b"]], None, r"train\.jsonl:2: a text has one label here.*multi_label"),
        ([["b"], "a"], None, r"train\.jsonl:2: a text has a list of labels here; found 'a' alone"),
        ([[], "a"], None, r"train\.jsonl:2: a text has a list of labels here"),
        ([1.5, 2.5, 0.1, "n/a"], None, r"train\.jsonl:4: most labels are numbers.*'n/a'"),
        (["low", "high"], "ordinal", r"order of the labels high, low is not known.*data\.labels"),
        ([3.5, 3.5], "regression", r"train\.jsonl: Every text has the target 3\.5"),
        ([3.5, 3.5], None, r"train\.jsonl: Every text has the target 3\.5"),
        (["a", "a"], "ordinal", r"Every text has the label 'a'"),
        ([[], []], None, r"No text has a label"),
    ],
)
def test_targets_that_do_not_fit_the_mode_are_said_with_file_and_line(
    labels: list[Any],
    mode: Any,
    said: str,
    data: Callable[..., ClassificationDataModule],
) -> None:
    with pytest.raises(DataError, match=said):
        data(*labels, mode=mode).labels  # noqa: B018


def test_multi_label_as_asked_for_takes_lists_and_single_labels_alike(
    data: Callable[..., ClassificationDataModule],
) -> None:
    made = data(["a"], "b", [], mode="multi_label")
    assert made.labels == ["a", "b"]
    assert data("a", "a", mode="multi_label").labels == ["a"]


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ZooError, match="no mode 'rank'; there are single_label, multi_label"):
        ClassificationDataModule(mode="rank")  # type: ignore[arg-type]


# The order of labels.


def test_ordinal_labels_are_by_their_value_or_in_the_order_that_is_given(
    data: Callable[..., ClassificationDataModule],
) -> None:
    # A number that only test has keeps its place.
    assert data("10", 9, 1, mode="ordinal", test=["1", "9.5"]).labels == ["1", "9", "9.5", "10"]
    order = ["low", "middle", "high", "never seen"]
    words = ("high", "low", "middle")
    assert data(*words, mode="ordinal", labels=order).labels == order
    with pytest.raises(DataError, match=r"lack middle.*--data\.labels must name all"):
        data(*words, mode="ordinal", labels=["low", "high"]).labels  # noqa: B018


def test_given_labels_that_lack_one_of_train_are_said_and_completed(
    data: Callable[..., ClassificationDataModule],
) -> None:
    made = data("c", "a", "b", labels=["c", "b"])
    assert made.labels == ["c", "b", "a"]
    assert made.notes == [
        "The given labels lack a: what was trained without them never predicts them, and each of "
        "them counts as missed."
    ]
