"""Pictures of the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.tracking.report import ConfusionMatrix, Curve

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def _figure(width: float, height: float) -> "Figure":
    # Not pyplot: it keeps figures alive, and touches the backend of a notebook.
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def confusion_picture(matrix: ConfusionMatrix, path: Path) -> None:
    """Gold against predicted classes; colour is the share of the row, the number is the count."""
    size = len(matrix.names)
    side = min(14.0, 2.4 + 0.62 * size)
    figure = _figure(side + 0.8, side)
    axes = figure.subplots()
    totals = [max(1, sum(row)) for row in matrix.counts]
    shares = [
        [count / total for count in row] for row, total in zip(matrix.counts, totals, strict=True)
    ]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if size <= 25:
        for y, row in enumerate(matrix.counts):
            for x, count in enumerate(row):
                if count:
                    colour = "white" if shares[y][x] > 0.6 else "black"
                    axes.text(x, y, str(count), ha="center", va="center", color=colour, fontsize=9)
    axes.set_xticks(range(size), matrix.names, rotation=45, ha="right")
    axes.set_yticks(range(size), matrix.names)
    axes.set_xlabel("predicted")
    axes.set_ylabel("gold")
    figure.savefig(path, dpi=120)


def curve_picture(curve: Curve, path: Path) -> None:
    """Lines with a legend where there are several."""
    figure = _figure(6.4, 4.2)
    axes = figure.subplots()
    if curve.diagonal:
        axes.plot([0, 1], [0, 1], color="grey", linestyle="--", linewidth=1)
    for name, points in curve.lines.items():
        marker = "o" if len(points) < 30 else None
        axes.plot(
            [x for x, _ in points], [y for _, y in points], marker=marker, linewidth=1.5, label=name
        )
    if curve.mark is not None:
        axes.axvline(curve.mark, color="black", linestyle=":", linewidth=1.2)
    if len(curve.lines) > 1:
        axes.legend(frameon=False)
    axes.set_title(curve.title)
    axes.set_xlabel(curve.x)
    axes.set_ylabel(curve.y)
    axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120)


def curves_picture(history: Sequence[Mapping[str, Any]], path: Path, *, monitor: str) -> bool:
    """Training loss and the monitored score over steps; False if there is nothing to draw."""
    losses = [(row["step"], row["train/loss"]) for row in history if "train/loss" in row]
    scores = [(row["step"], row[monitor]) for row in history if monitor in row]
    if not losses and not scores:
        return False
    figure = _figure(8, 3.2)
    left, right = figure.subplots(1, 2)
    for axes, points, title in ((left, losses, "train/loss"), (right, scores, monitor)):
        if points:
            marker = "o" if len(points) < 30 else None
            axes.plot([x for x, _ in points], [y for _, y in points], marker=marker, linewidth=1.5)
        axes.set_title(title)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
        axes.set_ylim(bottom=0)
    figure.savefig(path, dpi=120)
    return True
