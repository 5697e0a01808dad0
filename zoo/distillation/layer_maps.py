"""Which layer of the teacher a layer of the student looks at."""

from collections.abc import Mapping

from zoo.errors import ZooError

LayerMap = str | Mapping[int, int]


def layer_pairs(given: LayerMap, *, student: int, teacher: int) -> list[tuple[int, int]]:
    """Pairs of a student's and a teacher's layer, numbered from 1.

    Args:
        given: `uniform` (layer `m` of `M` looks at `m N / M` of `N`: TinyBERT, Jiao et al. 2020,
            arXiv 1909.10351), `last` (the last `M` layers of the teacher: its "top" strategy), or
            the pairs.
        student: Layers of the student.
        teacher: Layers of the teacher.

    Raises:
        ZooError: The student has more layers, or a given number is no layer.
    """
    if isinstance(given, Mapping):
        pairs = sorted((int(own), int(its)) for own, its in given.items())
        for numbers, most, whose in ((0, student, "student"), (1, teacher, "teacher")):
            wrong = [pair[numbers] for pair in pairs if not 1 <= pair[numbers] <= most]
            if wrong:
                raise ZooError(
                    f"--distill.layer_map names layer {wrong[0]} of the {whose}, which has layers "
                    f"1 to {most}."
                )
        if not pairs:
            raise ZooError("--distill.layer_map names no layer: give uniform, last or {1: 2}.")
        return pairs
    if student > teacher:
        raise ZooError(
            f"The student has {student} layers and the teacher {teacher}: give --distill.layer_map "
            "as pairs such as {1: 1}, or a smaller student."
        )
    if given == "uniform":
        return [(own, round(own * teacher / student)) for own in range(1, student + 1)]
    if given == "last":
        return [(own, teacher - student + own) for own in range(1, student + 1)]
    raise ZooError(f"--distill.layer_map {given}: expected uniform, last or pairs like {{1: 2}}.")


def kept_layers(layers: int, *, of: int) -> list[int]:
    """Evenly spaced layers, the first and the last among them, numbered from 0.

    As DistilBERT's student is begun (Sanh et al. 2019, arXiv 1910.01108), but keeping both ends.

    Raises:
        ZooError: There are not so many.
    """
    if not 1 <= layers <= of:
        raise ZooError(f"--distill.layers {layers}: the teacher has {of}, so give 1 to {of}.")
    if layers == 1:
        return [0]
    return [round(number * (of - 1) / (layers - 1)) for number in range(layers)]


__all__ = ["LayerMap", "kept_layers", "layer_pairs"]
