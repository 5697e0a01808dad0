"""The page of a group of seeds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from zoo.tracking.comparison.pictures import curves_png
from zoo.tracking.report import ReportPage, Table, facts_of
from zoo.tracking.run_folder import write_atomically
from zoo.tracking.seed_group import SeedGroup, spread_table, spreads

#: Facts of a run that are the same for all seeds.
_SHARED = ("task", "backbone", "data", "examples", "labels", "versions", "threads", "git commit")


def write_report(group: SeedGroup, seeds: Sequence[int], failed: Mapping[int, int]) -> None:
    """Write `report.md` of the seeds that are finished.

    Args:
        group: The group.
        seeds: The finished ones.
        failed: Exit statuses of those that failed.
    """
    metrics = [group.metrics(seed) for seed in seeds]
    found = spreads(metrics)
    report = group.run(seeds[0]).report
    facts = facts_of(report.read_text(encoding="utf-8")) if report.is_file() else {}
    failures = {"failed": ", ".join(f"seed {seed}" for seed in failed)} if failed else {}
    main = _main_score(list(found))
    rows = [
        (f"[seed-{seed}](seed-{seed}/report.md)", *([one[main]] if main else []))
        for seed, one in zip(seeds, metrics, strict=True)
    ]
    pictures = (
        {"Training of each seed": Path(group.curves.name)} if _draw(group, seeds, main) else {}
    )
    page = ReportPage(
        title=f"{group.path.resolve().name}: {len(seeds)} seeds",
        facts={
            "seeds": ", ".join(map(str, seeds)),
            **failures,
            **{name: facts[name] for name in _SHARED if name in facts},
        },
        metrics={},
        notes=[
            "All seeds have the same train, validation and test examples. The standard deviation "
            "is that between seeds (n - 1 in its denominator): how far one training lies from "
            "another, not how far the test examples are a matter of luck."
        ],
        tables=[
            spread_table("Scores over the seeds", found),
            Table("Runs", ("run", *([main] if main else [])), rows),
        ],
        pictures=pictures,
    )
    write_atomically(group.report, page.markdown())


def _main_score(names: Sequence[str]) -> str | None:
    """The first score that there is a baseline of; else the first score."""
    scored = [name for name in names if name.startswith(("test/", "val/"))]
    scored = [name for name in scored if name.count("/") == 1 and not name.endswith("/loss")]
    wanted = {name.rpartition("/")[2] for name in names if name.startswith("baseline/")}
    found = [name for name in scored if name.rpartition("/")[2] in wanted]
    return next(iter([*found, *scored]), None)


def _draw(group: SeedGroup, seeds: Sequence[int], main: str | None) -> bool:
    histories = {str(seed): group.run(seed).read_history() for seed in seeds}
    picture = curves_png(histories, score=f"val/{(main or 'loss').rpartition('/')[2]}")
    if picture is None:
        return False
    group.curves.write_bytes(picture)
    return True
