"""A picture of what was measured, from the JSON files."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

#: Of each way the same everywhere; told apart by colour-blind eyes and in grey (Okabe & Ito 2008).
_COLOURS = {
    "zoo": "#0072B2",
    "zoo, frozen embeddings": "#009E73",
    "zoo, not packed": "#56B4E9",
    "transformers": "#D5D5D5",
}
#: Ways that are a colour's without being named so.
_ALIKE = {"recipe": "zoo", "recipe, bf16": "zoo"}

#: Inches of a bar, of the space between groups, and around a panel.
_BAR, _SPACE, _AROUND = 0.19, 0.6, 0.75


class Panel(NamedTuple):
    """A panel: its title, and for each group its label and bars (way, median and quartiles)."""

    title: str
    groups: dict[str, list[tuple[str, Any]]]

    @property
    def bars(self) -> float:
        """Its height in bars."""
        return sum(len(bars) + _SPACE for bars in self.groups.values())


def draw(records: Mapping[str, Mapping[str, Any]], file: Path) -> bool:
    """Draw real tokens per second of steps and of the recipe; whether there was anything to draw.

    Args:
        records: As `results.read` gives them.
        file: A PNG.
    """
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt
    from matplotlib.patches import Patch

    panels = list(_panels(records))
    if not panels:
        return False
    rows = [panels[at : at + 2] for at in range(0, len(panels), 2)]
    heights = [max(panel.bars for panel in row) * _BAR + _AROUND for row in rows]
    figure, axes = plt.subplots(
        len(rows),
        2,
        figsize=(10, sum(heights) + 0.7),
        height_ratios=heights,
        squeeze=False,
        layout="constrained",
    )
    used: set[str] = set()
    for number, axis in enumerate(axes.flat):
        if number < len(panels):
            used |= _draw(axis, panels[number])
        else:
            axis.axis("off")
    handles = [
        Patch(facecolor=colour, edgecolor="#333333", linewidth=0.5, label=name)
        for name, colour in _COLOURS.items()
        if name in used
    ]
    figure.legend(handles=handles, loc="outside upper left", ncols=4, frameon=False, fontsize=9)
    figure.supxlabel("real tokens per second (median, quartiles)", fontsize=9)
    file.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(file, dpi=120, metadata={"Software": None})
    plt.close(figure)
    return True


def _draw(axis: Any, panel: Panel) -> set[str]:
    """Draw a panel; the names of its colours."""
    place, ticks, used = 0.0, {}, set()
    largest = max(spread[2] for bars in panel.groups.values() for _, spread in bars)
    for label, bars in panel.groups.items():
        ticks[place + (len(bars) - 1) / 2] = label
        for way, (middle, low, high) in bars:
            name = _ALIKE.get(way, way if way in _COLOURS else "transformers")
            used.add(name)
            axis.barh(
                place,
                middle,
                xerr=[[middle - low], [high - middle]],
                color=_COLOURS[name],
                edgecolor="#333333",
                linewidth=0.5,
                height=0.9,
                error_kw={"lw": 1, "ecolor": "#333333"},
            )
            axis.text(high + 0.015 * largest, place, f"{middle:,.0f}", va="center", fontsize=8)
            place += 1
        place += _SPACE
    axis.set_yticks(list(ticks), list(ticks.values()), fontsize=9)
    axis.set_ylim(place - _SPACE - 0.4, -0.6)
    axis.set_xlim(0, 1.16 * largest)
    axis.set_title(panel.title, fontsize=10, loc="left")
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(axis="x", labelsize=8)
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_formatter("{x:,.0f}")
    axis.xaxis.set_major_locator(_ticks())
    return used


def _ticks() -> Any:
    from matplotlib.ticker import MaxNLocator

    return MaxNLocator(5)


def _panels(records: Mapping[str, Mapping[str, Any]]) -> Iterator[Panel]:
    steps = records.get("steps", {}).get("rows", [])
    for precision in dict.fromkeys(row["precision"] for row in steps):
        own = [row for row in steps if row["precision"] == precision]
        yield Panel(f"Training steps, the same batches, {precision}", _groups(own))
    padding = records.get("padding", {}).get("rows", [])
    if padding:
        yield Panel("Training steps, transformers padded as by its scripts", _groups(padding))
    trainings = records.get("recipe", {}).get("rows", [])
    if trainings:
        bars = {row["way"].replace(", ", ",\n"): row for row in trainings}
        yield Panel(
            "Whole trainings on WNUT-17",
            {label: [(row["way"], row["real tokens/s"])] for label, row in bars.items()},
        )


def _groups(rows: list[Mapping[str, Any]]) -> dict[str, list[tuple[str, Any]]]:
    """The bars of each corpus."""
    groups: dict[str, list[tuple[str, Any]]] = {}
    for row in rows:
        label = row["corpus"].replace(", ", ",\n")
        groups.setdefault(label, []).append((row["way"], row["real tokens/s"]))
    return groups
