"""Pictures of the report."""

from pathlib import Path

import matplotlib.image
import numpy as np
import numpy.typing as npt
import pytest

from zoo.tracking.plots import confusion_picture, curve_picture, curves_picture
from zoo.tracking.report import ConfusionMatrix, Curve

HISTORY = [
    {"step": 10, "epoch": 0, "train/loss": 1.5, "train/lr": 0.1},
    {"step": 20, "epoch": 0, "train/loss": 0.5, "train/lr": 0.1},
    {"step": 20, "epoch": 0, "val/f1": 0.25, "val/loss": 0.75},
]


Picture = npt.NDArray[np.float64]


def _read(path: Path) -> Picture:
    assert path.read_bytes().startswith(b"\x89PNG\r\n\x1a\n")
    return np.asarray(matplotlib.image.imread(path), dtype=np.float64)[..., :3]


def _share_of_blue(picture: Picture) -> float:
    """Share of pixels that are clearly blue, as the darkest cells and the curves are."""
    return float(np.mean(picture[..., 2] - picture[..., 0] > 0.3))


def test_a_confusion_matrix_is_drawn_with_colour_by_share(tmp_path: Path) -> None:
    even = ConfusionMatrix(["PER", "LOC", "O"], [[9, 9, 9], [9, 9, 9], [9, 9, 9]])
    sharp = ConfusionMatrix(["PER", "LOC", "O"], [[90, 0, 0], [0, 7, 0], [0, 0, 1]])
    confusion_picture(even, tmp_path / "even.png")
    confusion_picture(sharp, tmp_path / "sharp.png")
    first, second = _read(tmp_path / "even.png"), _read(tmp_path / "sharp.png")
    assert first.shape == second.shape
    assert min(first.shape[:2]) > 300
    assert _share_of_blue(second) > 0.1
    # A third of the row each is pale; all of the row is dark.
    assert second.min() < 0.2
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("size", [1, 26, 40])
def test_a_confusion_matrix_of_any_size_is_drawn(tmp_path: Path, size: int) -> None:
    names = [f"TYPE{number}" for number in range(size)]
    counts = [[0] * size for _ in range(size)]  # rows without a gold entity divide by nothing
    counts[0][0] = 5
    confusion_picture(ConfusionMatrix(names, counts), tmp_path / "many.png")
    picture = _read(tmp_path / "many.png")
    assert max(picture.shape) <= 15 * 120
    assert _share_of_blue(picture) > 0  # the one dark cell
    assert picture.std() > 0.01


def test_curves_show_loss_and_score(tmp_path: Path) -> None:
    assert curves_picture(HISTORY, tmp_path / "both.png", monitor="val/f1")
    assert curves_picture(HISTORY[:2], tmp_path / "loss.png", monitor="val/f1")
    both, loss = _read(tmp_path / "both.png"), _read(tmp_path / "loss.png")
    assert both.shape == loss.shape == (384, 960, 3)
    left, right = slice(0, 480), slice(480, 960)
    assert _share_of_blue(both[:, left]) > 0.001
    assert _share_of_blue(both[:, right]) > 0
    assert _share_of_blue(loss[:, left]) > 0.001
    assert _share_of_blue(loss[:, right]) == 0


def test_without_points_there_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "none.png"
    assert not curves_picture([], path, monitor="val/f1")
    assert not curves_picture([{"step": 1, "epoch": 0}], path, monitor="val/f1")
    assert not path.exists()


def test_a_curve_shows_its_lines_its_mark_and_the_diagonal(tmp_path: Path) -> None:
    line = {"model": [(0.0, 0.1), (0.5, 0.4), (1.0, 0.8)]}
    plain = Curve("Reliability", "probability", "accuracy", line)
    full = Curve("Reliability", "probability", "accuracy", line, mark=0.3, diagonal=True)
    empty = Curve("Reliability", "probability", "accuracy", {})
    pictures = []
    for number, curve in enumerate((plain, full, empty)):
        curve_picture(curve, tmp_path / f"{number}.png")
        pictures.append(_read(tmp_path / f"{number}.png"))
    assert _share_of_blue(pictures[0]) > 0.001
    assert _share_of_blue(pictures[2]) == 0
    assert (pictures[1] < 0.6).sum() > (pictures[0] < 0.6).sum()  # more ink
