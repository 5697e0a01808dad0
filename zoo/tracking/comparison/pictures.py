"""Training curves of several runs in one picture."""

from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

#: Okabe & Ito's colours, which stay apart for people who see few.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


def curves_png(histories: Mapping[str, Sequence[Mapping[str, Any]]], *, score: str) -> bytes | None:
    """Training loss and a validation score over steps, a line for each run, as a PNG.

    Args:
        histories: Lines of `history.jsonl`, by the run's name.
        score: Key of the score, such as `val/f1`.

    Returns:
        None if no run has anything to draw.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes_of = figure.subplots(1, 2)
    drawn = False
    for axes, key in zip(axes_of, ("train/loss", score), strict=True):
        for number, (name, history) in enumerate(histories.items()):
            points = [(row["step"], row[key]) for row in history if key in row and "step" in row]
            if points:
                drawn = True
                axes.plot(
                    *zip(*points, strict=True),
                    color=COLOURS[number % len(COLOURS)],
                    linestyle=("-", "--", ":")[number // len(COLOURS) % 3],
                    marker="o" if len(points) < 30 else None,
                    markersize=4,
                    linewidth=1.6,
                    label=name,
                )
        if axes.lines:
            axes.legend(frameon=False)
        axes.set_title(key)
        axes.set_xlabel("step")
        axes.grid(alpha=0.3)
    if not drawn:
        return None
    content = BytesIO()
    figure.savefig(content, format="png", dpi=140)
    return content.getvalue()
