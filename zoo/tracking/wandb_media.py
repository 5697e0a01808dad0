"""Tables, the confusion matrix and curves of a report as W&B's own."""

from typing import Any

from zoo.tracking.report import TaskReport


def media_of(report: TaskReport) -> dict[str, Any]:
    """What to log of a report, by the keys `test/...`."""
    import wandb

    media: dict[str, Any] = {}
    for key, table in report.tables.items():
        rows = [list(row) for row in table.rows]
        media[f"test/{key}"] = wandb.Table(columns=list(table.columns), data=rows)
    if report.confusion is not None:
        names = list(report.confusion.names)
        pairs = [
            (row, column)
            for row, counts in enumerate(report.confusion.counts)
            for column, count in enumerate(counts)
            for _ in range(count)
        ]
        if pairs:
            media["test/confusion_matrix"] = wandb.plot.confusion_matrix(
                y_true=[row for row, _ in pairs],
                preds=[column for _, column in pairs],
                class_names=names,
            )
    for key, curve in report.curves.items():
        names = list(curve.lines)
        media[f"test/{key}"] = wandb.plot.line_series(
            xs=[[x for x, _ in curve.lines[name]] for name in names],
            ys=[[y for _, y in curve.lines[name]] for name in names],
            keys=names,
            title=curve.title,
            xname=curve.x,
        )
    return media
