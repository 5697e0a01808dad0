"""Whether a teacher can teach a student at all; said before training starts."""

from typing import Any

from zoo import backbones
from zoo.errors import ZooError
from zoo.training.adaptation.prompts import has_prompt

#: What two tokenizers must read alike, beside having the same vocabulary.
_PROBES = ("Ada Lovelace isn't in Zürich; 12,5 km!", "THE the  naïve 同样的力")


def check_match(student: Any, teacher: Any) -> list[int] | None:
    """Refuse a teacher of another family, tokenizer, mode or set of labels.

    Args:
        student: The task that learns.
        teacher: The trained task.

    Returns:
        For each label of the student its number in the teacher, or None where they are the same.

    Raises:
        ZooError: They do not match.
    """
    if type(student).head != type(teacher).head or student.family != teacher.family:
        raise ZooError(
            f"The teacher in {teacher.backbone} was trained for {_named(teacher)} and cannot teach "
            f"{_named(student)}."
        )
    modes = [getattr(one, "mode", None) for one in (student, teacher)]
    if modes[0] != modes[1]:
        raise ZooError(
            f"The teacher in {teacher.backbone} has the mode {modes[1]} and the student "
            f"{modes[0]}: give --data.mode {modes[1]}, or another teacher."
        )
    if student.family == "pretraining":
        raise ZooError(
            "Distillation is for NER, classification, question answering and summarization, not "
            "for pretraining. `python -m recipes pretraining` trains a smaller language model."
        )
    _check_tokenizers(student, teacher)
    return _order(student.labels, teacher.known_labels, teacher.backbone)


def check_inside(*tasks: Any) -> None:
    """Refuse to lay a model with a prompt beside another: it has more tokens inside.

    Raises:
        ZooError: One of the tasks has such a model.
    """
    for task in tasks:
        if has_prompt(task.net):
            raise ZooError(
                f"The model of {task.backbone} has a prompt, so its tokens do not lie beside those "
                "of another: leave --distill.hidden, --distill.attention and --distill.minilm out."
            )


def check_lengths(max_length: int, teacher: Any) -> None:
    """Refuse inputs that are longer than the teacher can read.

    Raises:
        ZooError: They are.
    """
    limit = backbones.longest_input(teacher.backbone)
    if max_length > limit:
        raise ZooError(
            f"The student reads {max_length} tokens and the teacher at most {limit}: give "
            f"--data.max_length {limit}."
        )


def _named(task: Any) -> str:
    kinds = {"text-to-text": "abstractive ", "token-classification": "extractive "}
    kind = kinds.get(task.head, "") if task.family == "summarization" else ""
    return f"{kind}{task.family}"


def _check_tokenizers(student: Any, teacher: Any) -> None:
    own, its = student.tokenizer, teacher.tokenizer
    same = own.get_vocab() == its.get_vocab() and all(
        own(text)["input_ids"] == its(text)["input_ids"] for text in _PROBES
    )
    if not same:
        raise ZooError(
            f"{student.backbone} has another tokenizer than the teacher in {teacher.backbone}, so "
            "their tokens cannot be compared: give a student with the teacher's tokenizer, or "
            "--distill.layers to cut one out of the teacher."
        )


def _order(own: list[str], its: list[str], teacher: str) -> list[int] | None:
    if own == its:
        return None
    missing = [label for label in own if label not in its]
    if missing:
        raise ZooError(
            f"The teacher in {teacher} does not know the labels {', '.join(missing)} of this data: "
            "train a teacher on data that has them."
        )
    others = [label for label in its if label not in own]
    if others:
        raise ZooError(
            f"The teacher in {teacher} knows labels that the student does not: "
            f"{', '.join(others)}. Name all of them, in --data.labels or in labels=."
        )
    return [its.index(label) for label in own]


__all__ = ["check_inside", "check_lengths", "check_match"]
