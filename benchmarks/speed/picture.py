"""A picture of what was measured, from the JSON files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

_COLOURS = {
    "zoo": "#2b6cb0",
    "zoo, not packed": "#90cdf4",
    "recipe": "#2b6cb0",
    "recipe, bf16": "#2c5282",
}
_OTHER = "#a0aec0"


def draw(records: Mapping[str, Mapping[str, Any]], file: Path) -> bool:
    """Draw real tokens per second of steps and of the recipe; whether there was anything to draw.

    Args:
        records: As `results.read` gives them.
        file: A PNG.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    panels = _panels(records)
    if not panels:
        return False
    figure, axes = plt.subplots(
        len(panels), 1, figsize=(8, 0.6 + sum(0.5 + 0.34 * len(rows) for _, rows in panels))
    )
    for axis, (title, rows) in zip([axes] if len(panels) == 1 else axes, panels, strict=True):
        names = [name for name, _ in rows]
        spreads = [spread for _, spread in rows]
        middle = [one[0] for one in spreads]
        ends = [[one[0] - one[1] for one in spreads], [one[2] - one[0] for one in spreads]]
        places = range(len(rows))
        colours = [_COLOURS.get(name, _OTHER) for name in names]
        axis.barh(places, middle, xerr=ends, color=colours, height=0.7, error_kw={"lw": 1})
        for place, value in zip(places, middle, strict=True):
            axis.annotate(f" {value:,.0f}", (max(0, value), place), va="bottom", fontsize=8)
        axis.set_yticks(list(places), names, fontsize=8)
        axis.invert_yaxis()
        axis.set_title(title, fontsize=9, loc="left")
        axis.margins(x=0.12)
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(axis="x", labelsize=8)
    figure.supxlabel("real tokens per second (median and quartiles)", fontsize=9)
    figure.tight_layout()
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=130, metadata={"Software": None})
    plt.close(figure)
    return True


def _panels(records: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Title and rows (name, median and quartiles) of each panel."""
    panels: dict[str, list[tuple[str, Any]]] = {}
    for name, title in (("steps", "steps"), ("padding", "steps, fixed padding")):
        for row in records.get(name, {}).get("rows", []):
            key = f"{row['corpus']}, {row['precision']}: training {title}"
            panels.setdefault(key, []).append((row["way"], row["real tokens/s"]))
    for row in records.get("recipe", {}).get("rows", []):
        panels.setdefault("WNUT-17: whole trainings", []).append((row["way"], row["real tokens/s"]))
    return list(panels.items())
