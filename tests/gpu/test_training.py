"""Training on a GPU: all families, precisions and strategies, memory, and exact resume."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from lightning import Callback, LightningModule, Trainer, seed_everything

from tests.conftest import without_dropout
from tests.gpu.conftest import moved
from zoo import NERDataModule, NERTask
from zoo.data.token_budget import extent, largest_batches
from zoo.training.auto_batch import BudgetSearch
from zoo.training.compiling import is_compiled
from zoo.training.memory import is_out_of_memory

FAMILIES = ("ner", "single_label", "regression", "qa", "abstractive", "extractive", "pretraining")
PRECISIONS = ("32-true", "bf16-mixed", "bf16-true", "16-mixed")

Make = Callable[..., Any]


class Losses(Callback):
    """Keeps the loss of every step, and can save a checkpoint after the seventh."""

    def __init__(self, save: Path | None = None):
        self.losses: list[float] = []
        self.save = save

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        self.losses.append(float(outputs["loss"]))
        if self.save is not None and len(self.losses) == 7:
            trainer.save_checkpoint(self.save)


@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_trains_in_every_precision_and_is_tested_as_on_the_cpu(
    families: Make, on_gpu: Make, trainer: Make, family: str, precision: str
) -> None:
    task, data = families(family, learning_rate=1e-3)
    watch = Losses()
    made = on_gpu(precision=precision, callbacks=[watch], max_epochs=3, gradient_clip_val=1.0)
    made.fit(task, data)
    assert all(torch.tensor(watch.losses).isfinite())
    (scores,) = made.test(task, data, verbose=False)
    task.net.float()
    (right,) = trainer().test(task, data, verbose=False)
    assert scores["test/loss"] == pytest.approx(right["test/loss"], rel=0.05)


@pytest.mark.parametrize("family", FAMILIES)
def test_scores_are_those_of_the_cpu(
    families: Make, on_gpu: Make, trainer: Make, family: str
) -> None:
    task, data = families(family, learning_rate=1e-3)
    trainer(max_epochs=2).fit(task, data)
    (on_cpu,) = trainer().test(task, data, verbose=False)
    (scores,) = on_gpu(precision="32-true").test(task, data, verbose=False)
    assert scores == pytest.approx(on_cpu, abs=1e-4)


@pytest.mark.parametrize("strategy", ["ddp", "fsdp2", "fsdp"])
def test_a_strategy_on_one_gpu_learns_what_it_learns_without(
    strategy: str, bert: str, data: NERDataModule, on_gpu: Make
) -> None:
    without_dropout(Path(bert))
    losses = []
    for name in ("auto", strategy):
        seed_everything(1, verbose=False)
        data.seed = 1
        task = NERTask(bert, labels=data.labels, learning_rate=1e-3)
        watch = Losses()
        trainer = on_gpu(strategy=name, callbacks=[watch], max_epochs=3, gradient_clip_val=0.5)
        try:
            trainer.fit(task, data)
            (scores,) = trainer.test(task, data, verbose=False)
        finally:
            if dist.is_initialized():
                assert dist.get_backend() == "nccl"
                dist.destroy_process_group()
        losses.append((watch.losses, scores))
    (own, own_scores), (other, other_scores) = losses
    assert len(own) > 10
    assert other == pytest.approx(own, abs=1e-5)
    assert other_scores == pytest.approx(own_scores, abs=1e-4)


def test_a_run_goes_on_from_a_checkpoint_with_the_same_bits_and_dropout(
    bert: str, data: NERDataModule, on_gpu: Make, tmp_path: Path
) -> None:
    from zoo.training.random_states import RandomStates

    path = tmp_path / "seven.ckpt"
    ends, losses = [], []
    for given in (None, path):
        seed_everything(3 if given is None else 99, verbose=False)
        task = NERTask(bert, labels=data.labels, learning_rate=1e-3)
        watch = Losses(save=None if given else path)
        # The one that keeps random states comes first, as in a recipe.
        trainer = on_gpu(max_epochs=4, precision="bf16-mixed", callbacks=[RandomStates(), watch])
        trainer.fit(task, data, ckpt_path=given, weights_only=True if given else None)
        ends.append(task.state_dict())
        losses.append(watch.losses)
    assert losses[1] == losses[0][7:]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[0])


def test_a_budget_of_tokens_is_found_and_want_of_memory_is_known_as_such(
    bert: str, data: NERDataModule, on_gpu: Make
) -> None:
    search = BudgetSearch(
        lambda budget: largest_batches(data, budget),
        smallest=extent(data, None).longest,
        largest=1_000,
        ran_out=is_out_of_memory,
    )
    on_gpu(callbacks=[search], limit_val_batches=0).fit(NERTask(bert, labels=data.labels), data)
    assert search.budget is not None
    assert search.budget.tokens > 100
    most = torch.cuda.get_device_properties(0).total_memory
    with pytest.raises(torch.OutOfMemoryError) as caught:
        torch.empty(2 * most, dtype=torch.uint8, device="cuda")
    assert is_out_of_memory(caught.value)


def test_a_compiled_model_gives_what_it_gives_without(bert: str, data: NERDataModule) -> None:
    torch._dynamo.reset()
    batch = moved(data.collate([data.features("train")[number] for number in range(6)]))
    logits = []
    for compiles in (False, True):
        torch.manual_seed(3)
        task = NERTask(bert, labels=data.labels, compile=compiles).cuda()
        task.configure_model()
        task.cuda().eval()
        assert is_compiled(task.net) == compiles
        logits.append(task(batch)[batch["attention_mask"].bool()])
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-5)


def test_batches_are_padded_unless_a_task_is_told_to_pack_them(
    bert: str, data: NERDataModule
) -> None:
    task = NERTask(bert, labels=data.labels)
    task.configure_model()
    batch = moved(data.collate([data.features("train")[number] for number in range(6)]))
    there = [task.packs]
    with torch.inference_mode():
        padded = task.cuda().eval()(batch)
        there.append(task.packs)
        task.packed = True
        mine = task(batch)
    assert there == [True, False]
    real = batch["attention_mask"].bool()
    torch.testing.assert_close(mine[real], padded[real], atol=1e-5, rtol=1e-5)


def test_answers_to_questions_are_those_of_the_cpu(families: Make, on_gpu: Make) -> None:
    task, data = families("qa", learning_rate=1e-3)
    on_gpu(max_epochs=2).fit(task, data)
    task.cpu()
    asked = [("who ?", "the quick brown fox jumps over the lazy dog ."), ("who ?", "ada .")]
    on_cpu, there = task.predict(asked), task.cuda().predict(asked)
    assert next(task.net.parameters()).is_cuda
    for one, other in zip(there, on_cpu, strict=True):
        assert (one.answer is None) == (other.answer is None)
        if one.answer is not None and other.answer is not None:
            assert (one.answer.start, one.answer.end) == (other.answer.start, other.answer.end)
            assert one.answer.score == pytest.approx(other.answer.score, abs=1e-4)
