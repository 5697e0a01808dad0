"""Each mode through plain Lightning trainers: learned by heart, kept, exported and found again."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from transformers import pipeline

from tests.conftest import ARCHITECTURES
from zoo.classification.datamodule import ClassificationDataModule
from zoo.classification.modes import MODES, Mode
from zoo.classification.task import ClassificationTask
from zoo.errors import DataError, RunError, ZooError
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]
Make = Callable[..., ClassificationDataModule]

_TEXTS = [
    "Ada lived in London .",
    "The quick brown fox",
    "Ein Löwe und ein Bär",
    "",
    "isn't it ?",
    "lazy dog 0123",
]
_TARGETS: dict[Mode, list[Any]] = {
    "single_label": ["person", "animal", "animal", "none", "none", "animal"],
    "multi_label": [["person", "place"], ["animal"], ["animal"], [], ["question"], ["animal"]],
    "ordinal": ["2", "3", "5", "1", "2", "5"],
    "regression": ["1200.5", "1300.25", "1500", "1100", "1250.75", "1450.5"],
}


@pytest.fixture
def make(tmp_path: Path, tiny: Tiny) -> Make:
    """A function from a mode to the data that is learned by heart."""

    def write(mode: Mode, *, more: Any = None, **options: Any) -> ClassificationDataModule:
        """`more`: target of a text that only test has."""
        rows = list(zip(_TEXTS, _TARGETS[mode], strict=True))
        for split, extra in (("train", []), ("test", [("new", more)] if more else [])):
            lines = [json.dumps({"text": t, "label": y}) for t, y in [*rows, *extra]]
            (tmp_path / f"{split}.jsonl").write_text("\n".join(lines), encoding="utf-8")
        files = {split: str(tmp_path / "train.jsonl") for split in ("train", "validation")}
        return ClassificationDataModule(
            **{
                **files,
                "test": str(tmp_path / "test.jsonl"),
                "backbone": str(tiny("bert")),
                "batch_size": 6,
                "mode": mode,
                **options,
            }
        )

    return write


def _task(data: ClassificationDataModule, **options: Any) -> Any:
    settings: dict[str, Any] = {"learning_rate": 5e-3, **options}
    return ClassificationTask(data.backbone, labels=data.labels, mode=data.mode, **settings)


def _found(task: ClassificationTask) -> list[Any]:
    return [_plain(one) for one in task.predict(_TEXTS, batch_size=4)]


def _plain(one: Any) -> Any:
    record = one.to_dict()
    if "value" in record:
        return one.value
    return record["label"] if "label" in record else {label for label, _ in one.labels}


def _numbers(task: ClassificationTask, **options: Any) -> list[float]:
    """All numbers of all predictions, in order."""
    numbers = []
    for one in task.predict(_TEXTS, **options):
        if hasattr(one, "value"):
            numbers.append(one.value)
        elif hasattr(one, "label"):
            numbers.append(one.probability)
        else:
            numbers += [probability for _, probability in one.labels]
    return numbers


def _export(task: ClassificationTask, data: ClassificationDataModule, folder: Path) -> str:
    metadata = {
        "max_length": data.max_length,
        "encoding": data.encoding_key,
        "calibration": task.calibration,
    }
    export_model(task, folder, metadata=metadata)
    return str(folder)


def _shaken(task: Any, *, seed: int = 7) -> Any:
    """A task with weights, temperature, thresholds and scale that nobody starts with."""
    task.configure_model()
    chance = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in task.net.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=chance) * 0.1)
        buffers = dict(task.objective.named_buffers(recurse=False))
        for name, value in (
            ("temperature", 1.7),
            ("mean", 1300.0),
            ("spread", 140.0),
            ("unit", 9.0),
        ):
            if name in buffers:
                buffers[name].fill_(value)
        for name in ("thresholds", "offset"):
            if name in buffers:
                buffers[name].copy_(0.2 * torch.randn(len(task.labels), generator=chance))
    task.net.eval()
    return task


@pytest.mark.parametrize("mode", MODES)
def test_a_few_texts_are_learned_by_heart_and_an_export_says_the_same(
    mode: Mode, make: Make, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    data = make(mode, batch_size=3)
    task = _task(data, learning_rate=3e-3, warmup=0.0)
    runner = trainer(max_epochs=60, check_val_every_n_epoch=60)
    runner.fit(task, data)
    validated = {name: float(value) for name, value in runner.callback_metrics.items()}
    (scores,) = runner.test(task, data, verbose=False)
    best = scores[f"test/{task.monitor.removeprefix('val/')}"]
    assert best > 0.8
    assert validated[task.monitor] == pytest.approx(best, abs=1e-6)
    expected = _TARGETS[mode]
    if mode == "regression":
        assert scores["test/mae"] < 30  # of a spread of 138
        assert _found(task) == pytest.approx([float(value) for value in expected], abs=70)
        assert float(task.objective.mean) == pytest.approx(1300.333, abs=1e-2)
    elif mode == "multi_label":
        right = [set(labels) for labels in expected]
        assert sum(map(set.__eq__, _found(task), right)) >= 5
        assert scores["test/auroc"] > 0.9
        assert scores["test/average_precision"] > 0.8
        assert task.objective.thresholds.abs().max() > 0
    else:
        assert sum(map(str.__eq__, _found(task), expected)) >= 5
        assert float(task.objective.temperature) < 1  # almost all right: less doubt than before
        assert scores["test/auroc"] > 0.9
    results = [one for batch in runner.predict(task, data) for one in batch]
    assert sorted(one.example for one in results) == list(range(6))
    again = ClassificationTask.from_run(_export(task, data, tmp_path / "model"))
    assert again.mode == mode
    if mode != "regression":
        assert _found(again) == _found(task)
    assert _numbers(again, batch_size=1) == pytest.approx(_numbers(task), rel=2e-5, abs=1e-6)
    (scores_again,) = trainer().test(again, data, verbose=False)
    for name, value in scores.items():
        assert scores_again[name] == pytest.approx(value, rel=1e-4, abs=1e-5), name


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_pipeline_of_transformers_gives_our_numbers_in_every_mode(
    architecture: str, mode: Mode, make: Make, tiny: Tiny, tmp_path: Path
) -> None:
    data = make(mode, backbone=str(tiny(architecture)))
    task = _shaken(_task(data))
    if mode == "multi_label":  # in the middle of each label's logits, so that some texts get it
        inputs = task.tokenizer(_TEXTS, return_tensors="pt", padding=True)
        kept = {name: inputs[name] for name in ("input_ids", "attention_mask")}
        ordered = task.net(**kept).logits.detach().sort(dim=0).values
        task.objective.thresholds.copy_(ordered[2:4].mean(0) + task.objective.offset)
    before = {name: tensor.clone() for name, tensor in task.state_dict().items()}
    folder = _export(task, data, tmp_path / "model")
    after = task.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    classify: Any = pipeline("text-classification", model=folder, device="cpu")
    theirs = [
        {one["label"]: one["score"] for one in classify([text], top_k=None)[0]} for text in _TEXTS
    ]
    ours = task.predict(_TEXTS)
    if mode == "regression":
        found = [one.value for one in ours]
        assert found == pytest.approx([one["score"] for one in theirs], rel=1e-5)
        assert max(found) - min(found) > 1
    elif mode == "multi_label":
        least = json.loads(Path(folder, "zoo.json").read_text())["calibration"]["thresholds"]
        for mine, their in zip(ours, theirs, strict=True):
            assert dict(mine.labels) == pytest.approx(
                {label: p for label, p in their.items() if p >= least[label]}, abs=1e-5
            )
        assert sum(len(one.labels) for one in ours) == 12  # of 24
    else:
        for mine, their in zip(ours, theirs, strict=True):
            assert mine.label == max(their, key=lambda label: their[label])
            assert mine.probability == pytest.approx(max(their.values()), abs=1e-5)
            assert math.isclose(sum(their.values()), 1, abs_tol=1e-5)
    assert ClassificationTask.from_run(folder).mode == mode


@pytest.mark.parametrize("mode", ["regression", "multi_label"])
def test_fine_tuning_goes_on_from_what_an_export_predicts(
    mode: Mode, make: Make, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    data = make(mode)
    task = _shaken(_task(data))
    folder = _export(task, data, tmp_path / "model")
    further = make(mode, backbone=folder)
    again = _task(further, learning_rate=0.0, weight_decay=0.0)
    # Steps that change nothing: after them the predictions are those of before.
    runner = trainer(max_epochs=2, limit_val_batches=0)
    runner.fit(again, further)
    assert runner.global_step == 2
    again.net.eval()
    if mode == "regression":
        # The scale is that of train again, so that the loss is in its units.
        assert float(again.objective.mean) == pytest.approx(1300.333, abs=1e-2)
        spread = np.std([float(value) for value in _TARGETS[mode]])
        assert float(again.objective.spread) == pytest.approx(spread, rel=1e-6)
        assert _numbers(again) == pytest.approx(_numbers(task), rel=1e-5)
    else:
        logits = again.net(**again.tokenizer(_TEXTS, return_tensors="pt", padding=True)).logits
        plain = task.net(**task.tokenizer(_TEXTS, return_tensors="pt", padding=True)).logits
        scaled = (plain + task.objective.offset) / 1.7
        torch.testing.assert_close(logits, scaled, atol=1e-5, rtol=1e-5)


def test_a_checkpoint_of_fewer_labels_fills_a_task_with_more(
    make: Make, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    data = make("multi_label")
    task = _task(data)
    runner = trainer(max_epochs=30, check_val_every_n_epoch=30)
    runner.fit(task, data)
    runner.save_checkpoint(tmp_path / "x.ckpt")
    thresholds = task.objective.thresholds.clone()
    more = make("multi_label", more=["zebra", "animal"], labels=data.labels)
    assert more.labels == [*data.labels, "zebra"]
    wide = _task(more)
    (scores,) = trainer().test(
        wide, more, ckpt_path=str(tmp_path / "x.ckpt"), weights_only=True, verbose=False
    )
    assert torch.equal(wide.objective.thresholds, torch.nn.functional.pad(thresholds, (0, 1)))
    assert all("zebra" not in dict(one.labels) for one in wide.predict([*_TEXTS, "new"]))
    assert 0 < scores["test/f1_macro"] <= 4 / 5  # of five labels one is always missed
    other = ClassificationTask(data.backbone, labels=data.labels, mode="ordinal")
    with pytest.raises(RunError, match="checkpoint has the mode multi_label, the task ordinal"):
        trainer().test(other, make("ordinal"), ckpt_path=str(tmp_path / "x.ckpt"))


@pytest.mark.parametrize("mode", MODES)
def test_what_was_fitted_is_in_the_checkpoint_and_resuming_keeps_it(
    mode: Mode, make: Make, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    data = make(mode)

    def fit(epochs: int, checkpoint: str | None) -> tuple[ClassificationTask, Any]:
        task = _task(data)
        saving = ModelCheckpoint(tmp_path, filename=f"{epochs}", enable_version_counter=False)
        runner = trainer(
            max_epochs=epochs,
            enable_checkpointing=True,
            callbacks=[saving],
            limit_val_batches=1 if checkpoint is None else 0,
        )
        runner.fit(task, data, ckpt_path=checkpoint, weights_only=True)
        return task, runner

    fit(3, None)
    path = str(tmp_path / "3.ckpt")
    state = torch.load(path, weights_only=True)["state_dict"]
    fitted = {name: value for name, value in state.items() if name.startswith("objective.")}
    names = {
        "multi_label": {"objective.temperature", "objective.thresholds", "objective.offset"},
        "regression": {"objective.mean", "objective.spread", "objective.unit"},
    }.get(mode, {"objective.temperature"})
    assert set(fitted) == names
    start = {"temperature": 1.0, "mean": 0.0, "spread": 1.0, "unit": 1.0}
    for name in names - {"objective.thresholds", "objective.offset"}:
        assert float(fitted[name]) != start[name.removeprefix("objective.")]
    # Resumed without another validation, all is as it was fitted.
    second, runner = fit(4, path)
    assert runner.global_step == 4
    for name, value in second.objective.state_dict().items():
        torch.testing.assert_close(value, fitted[f"objective.{name}"])


@pytest.mark.parametrize("mode", MODES)
def test_a_task_of_another_mode_than_the_data_says_so(
    mode: Mode, make: Make, trainer: Callable[..., Any]
) -> None:
    data = make(mode)
    others: list[Mode] = [
        other for other in MODES if {other, mode} != {"single_label", "ordinal"} and other != mode
    ]
    for other in others:
        task = ClassificationTask(data.backbone, labels=[*data.labels, "more"], mode=other)
        with pytest.raises(ZooError, match=r"not read for the mode \w+\. Make .* mode=data\.mode"):
            trainer(limit_val_batches=0).fit(task, data)
    if mode == "multi_label":
        task = ClassificationTask(data.backbone, labels=[*data.labels, "more"], mode=mode)
        with pytest.raises(ZooError, match=r"other labels .* labels=data\.labels"):
            trainer(limit_val_batches=0).fit(task, data)


def test_a_run_s_model_is_not_evaluated_in_another_mode(
    make: Make, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    data = make("single_label")
    folder = _export(_shaken(_task(data)), data, tmp_path / "model")
    task = ClassificationTask(folder, labels=data.labels, mode="multi_label")
    with pytest.raises(RunError, match="trained with the mode single_label, not multi_label"):
        task.predict(["x"])


@pytest.mark.parametrize("given", [None, 3, float("nan"), ["a", None], [["a"], "b"], {"text": "a"}])
def test_what_is_no_text_is_not_predicted(given: Any, make: Make) -> None:
    task = _shaken(_task(make("single_label")))
    with pytest.raises(DataError, match="An input is a text, or a pair of texts; found"):
        task.predict([given])


def test_pairs_and_single_texts_are_not_predicted_together(make: Make) -> None:
    task = _shaken(_task(make("single_label")))
    with pytest.raises(DataError, match="Some inputs are pairs"):
        task.predict(["a", ("a", "b")])
    for given in ([], ["a", "b", "c"]):
        with pytest.raises(DataError, match=f"A pair is two texts; this one has {len(given)}"):
            task.predict([given])
    assert list(task.predict([])) == []
