"""Graphs of encoder-decoders write what the models write that they were made of."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from zoo import SummarizationTask
from zoo.errors import RunError
from zoo.shipping.building import build_onnx
from zoo.shipping.folder import task_with_graph
from zoo.tracking.export import export_model

Tiny = Callable[[str], Path]

TEXTS = [
    "Ada Lovelace lived in London and worked .",
    "a",
    "The quick brown fox jumps over the lazy dog , 0123456789 times ; isn't it ?",
    "",
]


def trained(backbone: str, folder: Path, **generation: Any) -> SummarizationTask:
    """A run's model whose weights are nobody's initial ones, so that it writes something."""
    for seed in range(20):  # some random models end every text at once, greedily or with beams
        task = SummarizationTask(backbone, generation=generation)
        task.configure_model()
        torch.manual_seed(seed)
        with torch.no_grad():
            for parameter in task.net.parameters():
                parameter.add_(torch.randn_like(parameter) * 0.1)
        if all(_writes(task, beams) for beams in {1, generation.get("num_beams", 1)}):
            break
    export_model(task, folder, metadata={"encoding": {"kind": "abstractive", "prefix": ""}})
    return SummarizationTask.from_run(folder)


def _writes(task: SummarizationTask, beams: int) -> bool:
    config: Any = task.net.generation_config
    usual, config.num_beams = config.num_beams, beams
    written = {one.summary for one in task.predict(TEXTS)}
    config.num_beams = usual
    return len(written) > 2


@pytest.mark.parametrize(
    "kind",
    [
        "t5",
        pytest.param("bart", marks=pytest.mark.slow),
        pytest.param("warm start", marks=pytest.mark.slow),
    ],
)
def test_it_writes_the_same_greedily_and_with_beams_and_gives_the_same_logits(
    kind: str, tiny: Tiny, tmp_path: Path
) -> None:
    backbone = f"{tiny('bert')}-2-{tiny('bert')}" if kind == "warm start" else str(tiny(kind))
    settings = {"num_beams": 3, "max_new_tokens": 12, "no_repeat_ngram_size": 2}
    task = trained(backbone, tmp_path / "model", **settings)
    build_onnx(task, tmp_path / "model", tmp_path / "onnx")
    names = {path.name for path in (tmp_path / "onnx").iterdir()}
    assert {"encoder.onnx", "decoder.onnx", "generation_config.json", "tokenizer.json"} <= names
    assert not [name for name in names if name.endswith((".safetensors", ".data"))]
    with pytest.raises(RunError, match=r"zoo\.shipping\.load"):
        SummarizationTask.from_run(tmp_path / "onnx")
    other: Any = task_with_graph(SummarizationTask, tmp_path / "onnx")
    for beams in (3, 1):
        for net in (task.net, other.net):
            config: Any = net.generation_config
            config.num_beams = beams
        written = [one.summary for one in task.predict(TEXTS)]
        assert len(set(written)) > 2
        assert [one.summary for one in other.predict(TEXTS)] == written
        assert [one.summary for one in other.predict(TEXTS, batch_size=1)] == written
    for texts, source, target in ((1, 1, 1), (1, 9, 5), (3, 1, 4), (2, 64, 20), (4, 30, 1)):
        ids = torch.randint(5, 90, (texts, source))
        mask = (torch.arange(source) < torch.linspace(source, 1, texts)[:, None]).long()
        labels = torch.randint(5, 90, (texts, target))
        labels[1:, 1:] = -100
        batch = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        with torch.inference_mode():
            expected, found = task(batch), other(batch)
        there = labels >= 0
        assert expected[there].abs().max() > 0.5
        torch.testing.assert_close(found[there], expected[there], atol=2e-5, rtol=0)
