"""The command line as a person types it: what it lists, what it refuses, and in which words."""

import subprocess
import sys
from pathlib import Path

import pytest

from recipes.__main__ import main

SENTENCES = """Ada\tB-PER
Lovelace\tI-PER
lived\tO
in\tO
London\tB-LOC
.\tO

Bob\tB-PER
left\tO
Paris\tB-LOC
"""


@pytest.fixture
def corpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a tiny corpus in three files; also where the test runs."""
    monkeypatch.chdir(tmp_path)
    for split in ("train", "validation", "test"):
        (tmp_path / f"{split}.conll").write_text(SENTENCES, encoding="utf-8")
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """What a command that must be refused says: status 2, no traceback."""
    assert main(list(arguments)) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said


def test_no_arguments_list_recipes_and_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    shown = capsys.readouterr().out
    for name in ("ner/sample", "ner/wnut17", "ner/conll2003", "backbones", "predict"):
        assert name in shown


def test_backbones_prints_the_registry_as_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backbones", "--language", "zh"]) == 0
    shown = capsys.readouterr().out
    assert "bert-base-chinese" in shown
    assert "roberta-base" not in shown.replace("xlm-roberta-base", "")


def test_an_abbreviated_flag_is_refused_with_the_whole_one(
    capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    said = refusal(capsys, "ner", "--trainer.max_epoch", "1")
    assert "--trainer.max_epoch" in said
    assert "Did you mean --trainer.max_epochs" in said


def test_an_unknown_flag_is_refused(capsys: pytest.CaptureFixture[str], corpus: Path) -> None:
    assert "--frobnicate" in refusal(capsys, "ner", "--frobnicate", "1")


def test_an_unknown_setting_of_the_model_is_refused(
    capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    assert "learningrate" in refusal(capsys, "ner", "--model.learningrate", "1")


def test_an_unknown_recipe_lists_near_names(capsys: pytest.CaptureFixture[str]) -> None:
    assert "Did you mean ner/wnut17" in refusal(capsys, "ner/wnut7")


def test_an_unknown_subcommand_lists_those_there_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert "fit, validate, test, predict" in refusal(capsys, "ner", "train")


def test_an_unknown_backbone_lists_near_names(
    capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    said = refusal(capsys, "ner", "--model.backbone", "roberta-bsae", "--data.train", "train.conll")
    assert "Did you mean roberta-base" in said


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "train.bad: There is no such file"),
        (b"", "train.bad"),
        (b"Ada\tB-PER\nonly-one-column\nin\tO\n", "train.bad:2"),
        (b"Ada\tQ-PER\nin\tO\n", "train.bad:1"),
        (b"Ada\tB-PER\nL\xf6we\tO\n", "train.bad:2"),
    ],
    ids=["missing", "empty", "ragged", "unknown-scheme", "not-utf8"],
)
def test_bad_data_is_refused_with_file_and_line(
    capsys: pytest.CaptureFixture[str], corpus: Path, content: bytes | None, expected: str
) -> None:
    if content is not None:
        (corpus / "train.bad").write_bytes(content)
    said = refusal(capsys, "ner", "--data.train", "train.bad", "--data.test", "test.conll")
    assert expected in said
    assert not (corpus / "runs").exists(), "nothing is left behind by a refusal"


def test_a_corrupted_weights_file_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], corpus: Path, tiny: object
) -> None:
    import shutil

    assert callable(tiny)
    shutil.copytree(tiny("bert"), corpus / "broken")
    weights = corpus / "broken" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    said = refusal(
        capsys, "ner", "--model.backbone", str(corpus / "broken"), "--data.dataset", str(corpus)
    )
    assert "broken/model.safetensors are damaged" in said
    assert not (corpus / "runs").exists(), "nothing is left behind by a refusal"


def test_a_run_folder_that_is_a_file_is_refused(
    capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    said = refusal(capsys, "ner", "--run_dir", "train.conll", "--data.dataset", str(corpus))
    assert "train.conll is a file" in said


def test_test_without_weights_is_refused_and_says_what_to_give(
    capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    said = refusal(capsys, "ner", "test", "--data.dataset", str(corpus))
    assert "--model.backbone RUN/model" in said


def test_a_checkpoint_that_is_not_there_is_refused(
    capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    said = refusal(capsys, "ner", "test", "--ckpt_path", "no.ckpt", "--data.dataset", str(corpus))
    assert "no.ckpt" in said


def test_resuming_what_is_no_run_is_refused(
    capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    assert "no config.yaml" in refusal(capsys, "ner", "--resume", str(corpus))


def test_predicting_with_a_folder_without_a_model_is_refused(
    capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    assert "no trained model" in refusal(capsys, "predict", str(corpus))


def test_help_lists_the_settings_of_the_recipe_with_its_values(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["ner/wnut17", "--help"]) == 0
    shown = capsys.readouterr().out
    for flag in ("--data.train", "--data.columns", "--model.learning_rate", "--resume"):
        assert flag in shown
    assert "0.0002" in shown
    assert "--data.backbone" not in shown


def test_print_config_shows_the_whole_recipe(corpus: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "recipes", "ner", "--print_config"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "class_path: zoo.NERTask" in done.stdout
    assert "max_epochs:" in done.stdout


def test_a_run_never_writes_into_a_folder_that_holds_something(
    capsys: pytest.CaptureFixture[str], corpus: Path
) -> None:
    (corpus / "mine" / "model").mkdir(parents=True)
    (corpus / "mine" / "model" / "keep.txt").write_text("mine")
    data = ["--data.dataset", str(corpus)]
    assert "is not empty" in refusal(capsys, "ner", "--run_dir", "mine", *data)
    assert "is empty; give a folder" in refusal(capsys, "ner", "--run_dir=", *data)
    assert (corpus / "mine" / "model" / "keep.txt").read_text() == "mine"


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("--data.batch_size=0", "--data.batch_size 0 is too small"),
        ("--data.num_workers=-1", "--data.num_workers -1"),
        ("--model.learning_rate=-1", "--model.learning_rate -1"),
        ("--model.warmup=5", "from 0 to 1"),
        ("--model.betas=[2.0,0.9]", "--model.betas"),
        ("--early_stopping=0", "--early_stopping 0"),
        ("--seed_everything=-1", "-1"),
        ("--trainer.accelerator=foo", "foo"),
        ("--data.seed=3", "--seed_everything"),
        ("--data.backbone=bert-base-cased", "--model.backbone"),
        ("--data.labels=[A,B]", "Labels must be O, B-TYPE"),
        ("--model.schedule=foo", "--model.schedule foo: expected one of 'linear', 'cosine'"),
        ("--model.learning_rate=fast", "--model.learning_rate fast: expected a number."),
        ("--data.scheme=FOO", "--data.scheme FOO: expected one of IOB2"),
        ("--data.columns=3", "--data.columns 3: expected a mapping"),
        ("--data.trian=x", "--data.trian: there is no such setting. Did you mean --data.train"),
        ("--trainer.max_epochs=abc", "--trainer.max_epochs abc: expected a whole number."),
        ("--data.dataset=ner-sampel", "Did you mean ner-sample?"),
        ("--run_dir=/proc/nowhere", "/proc/nowhere"),
        ("--trainer.val_check_interval=1000", "val_check_interval"),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_by_name(
    capsys: pytest.CaptureFixture[str], corpus: Path, tiny: object, flag: str, expected: str
) -> None:
    assert callable(tiny)
    options = ["--model.backbone", str(tiny("bert")), "--trainer.logger=false"]
    data = [] if "dataset" in flag else ["--data.dataset", str(corpus)]
    if "backbone" in flag:
        options = options[2:]
    assert expected in refusal(capsys, "ner", *options, *data, flag)


def test_flags_win_over_a_config_that_follows_them(
    corpus: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import recipes

    (corpus / "more.yaml").write_text("trainer: {max_epochs: 7, log_every_n_steps: 3}\n")
    recipe = recipes.load(
        "ner",
        [
            *("--trainer.max_epochs=2", "--config", "more.yaml"),
            *(f"--data.dataset={corpus}", "--trainer.logger=false"),
        ],
    )
    assert recipe.trainer.max_epochs == 2
    assert recipe.config.trainer.log_every_n_steps == 3


def test_tables_are_no_texts_to_predict(capsys: pytest.CaptureFixture[str], corpus: Path) -> None:
    assert "not read from .conll" in refusal(capsys, "predict", "run", "test.conll")
    assert "is a folder" in refusal(capsys, "predict", "run", str(corpus))
