"""A compiled model gives what it gave before, and keeps its names."""

import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch._inductor import cpp_builder
from torch._inductor.exc import InvalidCxxCompiler

from zoo import NERDataModule, NERTask
from zoo.errors import ZooError
from zoo.tracking.export import export_model
from zoo.training.compiling import compile_blocks, is_compiled

LABELS = ["O", "B-PER", "I-PER"]


def _has_compiler() -> bool:
    try:
        cpp_builder.get_cpp_compiler()
    except InvalidCxxCompiler:
        return False
    return Path(sysconfig.get_paths()["include"], "Python.h").is_file()


def _task(backbone: str, **options: Any) -> NERTask:
    torch.manual_seed(3)
    task = NERTask(backbone, labels=LABELS, **options)
    task.configure_model()
    task.eval()
    return task


@pytest.fixture
def without_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Graphs are traced and run, but no machine code is made of them, which takes long."""
    compiled = torch.nn.Module.compile

    def traced(self: torch.nn.Module, **options: Any) -> None:
        compiled(self, backend="aot_eager", **options)

    monkeypatch.setattr(torch.nn.Module, "compile", traced)
    monkeypatch.setattr("zoo.training.compiling._check", lambda *, gpu: None)
    torch._dynamo.reset()


def _check_same(compiled: NERTask, plain: NERTask, batch: Any) -> None:
    """Logits and gradients."""
    logits = []
    for task in (compiled, plain):
        task.zero_grad()
        logits.append(task(batch)[batch["attention_mask"].bool()])
        logits[-1].square().sum().backward()
    torch.testing.assert_close(*logits, atol=1e-5, rtol=1e-5)
    pairs = zip(compiled.net.named_parameters(), plain.net.parameters(), strict=True)
    for (name, own), other in pairs:
        assert own.grad is not None, name
        assert other.grad is not None, name
        torch.testing.assert_close(own.grad, other.grad, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.skipif(not _has_compiler(), reason="there is no C++ compiler")
def test_machine_code_gives_the_same_logits_and_gradients(bert: str, data: NERDataModule) -> None:
    torch._dynamo.reset()
    compiled, plain = _task(bert, compile=True), _task(bert)
    _check_same(compiled, plain, next(iter(data.train_dataloader())))
    assert torch._dynamo.utils.counters["inductor"]


@pytest.mark.slow
@pytest.mark.parametrize("packed", [True, False])
def test_a_compiled_model_has_the_same_logits_gradients_and_names(
    packed: bool, bert: str, data: NERDataModule, without_code: None, tmp_path: Path
) -> None:
    compiled, plain = _task(bert, packed=packed, compile=True), _task(bert, packed=packed)
    assert is_compiled(compiled.net)
    assert not is_compiled(plain.net)
    assert compiled.state_dict().keys() == plain.state_dict().keys()
    rows = data.features("train")
    for size in (3, 5):  # batches of different lengths, with padding in each
        batch = data.collate([rows[number] for number in range(size)])
        assert int((batch["attention_mask"] == 0).sum()) > 0
        _check_same(compiled, plain, batch)
    export_model(compiled, tmp_path / "model", metadata={})
    again = NERTask.from_run(tmp_path / "model")
    assert not is_compiled(again.net)
    real = batch["attention_mask"].bool()
    with torch.inference_mode(), again.evaluating():
        torch.testing.assert_close(again(batch)[real], plain(batch)[real], atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_compiled_training_goes_on_from_its_checkpoint_compiled_or_not(
    bert: str,
    data: NERDataModule,
    trainer: Callable[..., Any],
    without_code: None,
    tmp_path: Path,
) -> None:
    task = NERTask(bert, labels=LABELS, compile=True)
    fit = trainer(max_epochs=1, limit_train_batches=2)
    fit.fit(task, data)
    assert is_compiled(task.net)
    fit.save_checkpoint(tmp_path / "x.ckpt")
    for compiles in (False, True):
        again = NERTask(bert, labels=LABELS, compile=compiles)
        more = trainer(max_epochs=2, limit_train_batches=2)
        more.fit(again, data, ckpt_path=tmp_path / "x.ckpt")
        assert more.global_step == 4
        assert is_compiled(again.net) == compiles


@pytest.mark.slow
def test_a_hook_that_is_added_later_is_called(
    bert: str, data: NERDataModule, without_code: None
) -> None:
    task, batch = _task(bert, compile=True), next(iter(data.train_dataloader()))
    task(batch)
    seen: list[int] = []
    block = task.net.get_submodule("bert.encoder.layer.0")
    handle = block.register_forward_hook(lambda module, given, output: seen.append(1))
    task(batch)
    assert seen == [1]
    handle.remove()
    task(batch)
    assert seen == [1]


def test_a_model_is_compiled_for_training_alone(
    bert: str, data: NERDataModule, trainer: Callable[..., Any], tmp_path: Path
) -> None:
    export_model(_task(bert), tmp_path / "model", metadata={})
    task = NERTask(str(tmp_path / "model"), labels=LABELS, compile=True)
    trainer(limit_test_batches=1).test(task, data, verbose=False)
    assert not is_compiled(task.net)


def test_without_a_compiler_it_is_said_what_to_install(
    bert: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none() -> str:
        raise InvalidCxxCompiler

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", none)
    task = NERTask(bert, labels=LABELS, compile=True)
    with pytest.raises(ZooError, match=r"needs a C\+\+ compiler, and none was found"):
        task.configure_model()


def test_a_model_whose_blocks_are_unknown_is_not_compiled_in_silence(bert: str) -> None:
    task = NERTask(bert, labels=LABELS)
    task.configure_model()
    with pytest.raises(ZooError, match="no blocks are known of BertForTokenClassification"):
        compile_blocks(task.net, ["LlamaDecoderLayer"])


def test_a_sharded_model_is_not_compiled(bert: str, monkeypatch: pytest.MonkeyPatch) -> None:
    task = NERTask(bert, labels=LABELS)
    task.configure_model()
    task.compiles = True
    monkeypatch.setattr(NERTask, "in_step", True)
    with pytest.raises(ZooError, match=r"not for --trainer\.strategy fsdp2"):
        task.compile_model()
