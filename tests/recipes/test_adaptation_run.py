"""Runs that train adapters through the command line: what they leave, and how they go on."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

import recipes
from recipes.__main__ import main
from tests.recipes.test_ner_run import metrics_of, small, write_corpus
from zoo import NERTask
from zoo.backbones import load_model
from zoo.training.adaptation import Adaptation


@pytest.fixture
def flags(
    tmp_path: Path, tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> list[str]:
    """Overrides that make a recipe small; the test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path)
    return small(tmp_path, tiny, learning_rate="2e-2")


def test_a_lora_run_leaves_a_merged_model_and_the_adapter_alone(
    flags: list[str], tiny: Callable[[str], Path], capsys: pytest.CaptureFixture[str]
) -> None:
    from peft import PeftModel

    assert main(["ner/lora", *flags, "--run_dir=run"]) == 0
    assert "adapter  run/adapter" in capsys.readouterr().out
    model = load_file("run/model/model.safetensors")
    assert not [name for name in model if "lora" in name or "base_layer" in name]
    # Rank 8 on four square layers of two blocks that are 32 wide, and a head of 5 labels.
    count = 2 * 4 * (8 * 32 + 32 * 8) + 5 * 32 + 5
    scores = metrics_of("run")
    assert scores["perf/trained_parameters"] == count
    assert scores["perf/trained_mb"] == pytest.approx(count * 4 / 1e6)
    assert (
        sum(one.numel() for one in load_file("run/adapter/adapter_model.safetensors").values())
        == count
    )
    assert f"lora: {count:,} parameters trained" in Path("run/report.md").read_text()
    checkpoint = Path("run/checkpoints/best.ckpt")
    assert checkpoint.stat().st_size < 4 * 4 * count + 60_000

    ours = NERTask.from_run("run")
    base = load_model(str(tiny("bert")), "token-classification", labels=ours.labels)
    theirs = PeftModel.from_pretrained(base, "run/adapter").eval()
    ids = torch.randint(5, 100, (4, 12), generator=torch.Generator().manual_seed(1))
    given = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    with torch.no_grad(), ours.evaluating():
        merged, unmerged = ours.net(**given).logits, theirs(**given).logits
    torch.testing.assert_close(merged, unmerged, atol=1e-5, rtol=1e-5)

    before = metrics_of("run")["test/f1"]
    again = ["test", *flags, "--ckpt_path=run/checkpoints/best.ckpt", "--run_dir=again"]
    assert main(["ner", *again]) == 0
    assert metrics_of("again")["test/f1"] == pytest.approx(before)
    assert main(["ner/lora", "test", *flags, "--model.backbone=run/model", "--run_dir=third"]) == 0
    assert metrics_of("third")["test/f1"] == pytest.approx(before)


@pytest.mark.slow
def test_a_lora_run_goes_on_from_its_last_checkpoint_to_the_same_bits(flags: list[str]) -> None:
    given = [*flags, "--model.adaptation.dropout=0.1", "--checkpoint_every=1"]
    assert main(["ner/lora", "fit", *given, "--run_dir=whole"]) == 0
    shutil.copytree("whole", "run")
    Path("run/checkpoints/last.ckpt").unlink()  # it goes on from the one before
    Path("run/checkpoints/best.ckpt").unlink()
    shutil.rmtree("run/model")
    assert main(["ner/lora", "fit", "--resume=run"]) == 0
    for name in ("model/model.safetensors", "adapter/adapter_model.safetensors"):
        first, second = load_file(f"whole/{name}"), load_file(f"run/{name}")
        assert first.keys() == second.keys()
        assert all(torch.equal(first[key], second[key]) for key in first)


@pytest.mark.slow
def test_the_run_of_a_prompt_predicts_as_it_was_trained(
    flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", *flags, "--model.adaptation=prompt", "--run_dir=run"]) == 0
    again = ["test", *flags, "--model.backbone=run/model", "--run_dir=again"]
    assert main(["ner", *again]) == 0
    first, second = metrics_of("run"), metrics_of("again")
    assert second["test/loss"] == pytest.approx(first["test/loss"], abs=1e-6)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--model.adaptation=lora"], Adaptation(kind="lora")),
        (
            ["--model.adaptation.kind=lora", "--model.adaptation.rank=16"],
            Adaptation(kind="lora", rank=16),
        ),
        (["--model.adaptation={kind: ia3, targets: [key]}"], Adaptation("ia3", targets=["key"])),
        ([], Adaptation()),
    ],
)
def test_an_adaptation_is_given_by_its_kind_or_with_settings(
    words: list[str], expected: Adaptation, flags: list[str], tmp_path: Path
) -> None:
    assert recipes.load("ner", [*flags, *words]).model.adaptation == expected
    settings = {"model": {"init_args": {"adaptation": expected.plain()}}}
    Path("more.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
    assert recipes.load("ner", [*flags, "--config=more.yaml"]).model.adaptation == expected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--model.adaptation=lorra"], "'lorra' is none of full, head, gradual, bitfit, lora"),
        (["--model.adaptation.rank=4"], "has settings but no kind"),
        (["--model.adaptation={kind: lora, rank: 0}"], "--model.adaptation.rank 0"),
        (
            ["--model.adaptation={kind: lora, targets: [q_proj]}"],
            "has no linear layer q_proj in its blocks; it has query, key, value, dense",
        ),
    ],
)
def test_a_mistake_in_an_adaptation_is_one_sentence(
    words: list[str], said: str, flags: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ner", "fit", *flags, *words]) == 2
    assert said in " ".join(capsys.readouterr().err.split())
