"""Students that are cut out of a teacher."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.distillation.families import data_of, student_task, teacher_of
from zoo import backbones
from zoo.distillation import pretrained_student_of, student_of
from zoo.errors import ZooError

Tiny = Callable[[str], Path]

_ENCODERS = ("bert", "roberta", "deberta-v2", "distilbert", "electra", "modernbert")


@pytest.mark.parametrize("architecture", _ENCODERS)
def test_a_student_has_the_first_layers_embeddings_and_head_of_its_teacher(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny(architecture)))
    folder = student_of(teacher, tmp_path / "student", layers=1)
    student = backbones.load_model(str(folder), "token-classification", labels=teacher.labels)
    assert student.config.num_hidden_layers == 1
    theirs = teacher.net.state_dict()
    ours = student.state_dict()
    assert 0 < len(ours) < len(theirs)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert backbones.metadata(str(folder))["backbone"] == str(tiny(architecture))


@pytest.mark.parametrize("architecture", ["t5", "bart"])
def test_both_halves_of_an_encoder_decoder_are_cut(
    architecture: str, tiny: Tiny, tmp_path: Path
) -> None:
    teacher = teacher_of("abstractive", tmp_path, str(tiny(architecture)))
    folder = student_of(teacher, tmp_path / "student", layers=1)
    data = data_of("abstractive", tmp_path, str(folder))
    task = student_task("abstractive", str(folder), data)
    task.configure_model()
    theirs, ours = teacher.net.state_dict(), task.net.state_dict()
    assert len(ours) < len(theirs)
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    # What is left out is the second layer of each half.
    gone = {name for name in theirs if name not in ours}
    assert any("encoder" in name for name in gone)
    assert any("decoder" in name for name in gone)


def test_a_warm_start_is_cut_in_both_halves(tiny: Tiny, tmp_path: Path) -> None:
    bert = tiny("bert")
    teacher = teacher_of("abstractive", tmp_path, f"{bert}-2-{bert}")
    folder = student_of(teacher, tmp_path / "student", layers=1)
    config = backbones.load_config(str(folder))
    assert config.encoder.num_hidden_layers == config.decoder.num_hidden_layers == 1


def test_a_pretrained_student_has_nothing_of_its_teacher(tiny: Tiny, tmp_path: Path) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny("bert")))
    folder = pretrained_student_of(teacher, tmp_path / "student", layers=1)
    assert backbones.head_labels(str(folder), "token-classification") is None
    body = backbones.load_encoder(str(folder))
    origin = backbones.load_encoder(str(tiny("bert"))).state_dict()
    state = body.state_dict()
    assert body.config.num_hidden_layers == 1
    assert all(
        torch.equal(tensor, origin[name]) for name, tensor in state.items() if "pooler" not in name
    )


def test_layers_that_share_their_weights_cannot_be_cut(tiny: Tiny, tmp_path: Path) -> None:
    teacher = teacher_of("ner", tmp_path, str(tiny("albert")))
    with pytest.raises(ZooError, match="nothing to cut"):
        student_of(teacher, tmp_path / "student", layers=1)
    with pytest.raises(ZooError, match="give 1 to 2"):
        student_of(teacher_of("ner", tmp_path, str(tiny("bert"))), tmp_path / "student", layers=3)
