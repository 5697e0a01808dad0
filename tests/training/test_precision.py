"""Half precision is that of the network: targets, counts and thresholds stay what they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning.pytorch.plugins.precision import FSDPPrecision
from lightning.pytorch.strategies import FSDPStrategy

from tests.distillation.families import data_of, student_task
from zoo.errors import ZooError
from zoo.training.precision import for_weights_alone

Tiny = Callable[[str], Path]


def _fitted(family: str, tiny: Tiny, folder: Path, trainer: Callable[..., Any]) -> tuple[Any, Any]:
    backbone = str(tiny("t5" if family == "abstractive" else "bert"))
    data = data_of(family, folder, backbone)
    task = student_task(family, backbone, data, learning_rate=1e-3)
    trainer(max_epochs=2, precision="bf16-true", gradient_clip_val=1.0).fit(task, data)
    return task, data


@pytest.mark.parametrize(
    "family",
    [
        "ner",
        "qa",
        "regression",
        "extractive",
        pytest.param("single_label", marks=pytest.mark.slow),
        pytest.param("multi_label", marks=pytest.mark.slow),
        pytest.param("ordinal", marks=pytest.mark.slow),
        pytest.param("abstractive", marks=pytest.mark.slow),
    ],
)
def test_a_task_in_bf16_true_has_about_the_loss_of_its_weights_in_float32(
    family: str, tiny: Tiny, tmp_path: Path, trainer: Callable[..., Any]
) -> None:
    task, data = _fitted(family, tiny, tmp_path, trainer)
    assert {one.dtype for one in task.net.parameters()} == {torch.bfloat16}
    (scores,) = trainer(precision="bf16-true").test(task, data, verbose=False)
    task.net.float()
    (right,) = trainer().test(task, data, verbose=False)
    assert scores["test/loss"] == pytest.approx(right["test/loss"], rel=0.05)


def test_numbers_to_predict_and_their_scale_keep_all_their_digits(
    tiny: Tiny, tmp_path: Path, trainer: Callable[..., Any]
) -> None:
    task, _ = _fitted("regression", tiny, tmp_path, trainer)
    # The targets are 0.5, 1.25 and 4.75, four of each; 2.1667 has no more than 8 bits in bf16.
    assert float(task.objective.mean) == pytest.approx(6.5 / 3, abs=1e-6)


def test_what_is_counted_is_not_rounded_as_the_network_is(
    tiny: Tiny, tmp_path: Path, trainer: Callable[..., Any]
) -> None:
    task, _ = _fitted("qa", tiny, tmp_path, trainer)
    metric: Any = task.metrics["test"]
    metric.reset()
    many = 1001  # above 256, bf16 has even numbers only
    metric.update([1.0] * many, [1.0] * many, [True] * many)
    metric.update([0.0] * many, [0.0] * many, [True] * many)
    assert float(metric.compute()["f1"]) == pytest.approx(0.5, abs=1e-6)


def test_fsdp1_in_mixed_precision_leaves_what_is_kept_beside_weights_as_it_is() -> None:
    strategy, plugin = FSDPStrategy(), FSDPPrecision("bf16-mixed")
    strategy.precision_plugin = plugin
    usual = plugin.mixed_precision_config
    assert usual.buffer_dtype == torch.bfloat16
    for_weights_alone(plugin, strategy)
    found = strategy.mixed_precision_config
    assert found is not None
    assert found.buffer_dtype is None
    assert (found.param_dtype, found.reduce_dtype) == (usual.param_dtype, usual.reduce_dtype)


def test_fsdp1_all_in_half_precision_is_refused_with_what_to_use() -> None:
    with pytest.raises(ZooError, match=r"bf16-true does not go with .* fsdp .*fsdp2, or"):
        for_weights_alone(FSDPPrecision("bf16-true"), FSDPStrategy())


def test_a_network_goes_where_its_task_goes(
    tiny: Tiny, tmp_path: Path, trainer: Callable[..., Any]
) -> None:
    task, _ = _fitted("regression", tiny, tmp_path, trainer)
    task.to("meta", torch.float16)
    assert {one.dtype for one in task.net.parameters()} == {torch.float16}
    assert task.objective.mean.dtype == torch.float32
    assert {one.device.type for one in task.parameters()} == {"meta"}
    assert task.objective.mean.device.type == "meta"
