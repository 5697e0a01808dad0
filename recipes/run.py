"""What a recipe does when it is run: fit, test the best, report, say where things are."""

import json
import os
import shlex
import subprocess
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch.strategies import FSDPStrategy
from lightning.pytorch.trainer.states import TrainerStatus

from recipes.auto_batch import choose_batches
from recipes.averaged import keep_average
from recipes.catalog import INTERRUPTED
from recipes.cli import RecipeCLI
from recipes.distilling import comparison_of
from zoo import backbones
from zoo.errors import RunError, TrainingStoppedError
from zoo.tracking.checkpoints import why_damaged
from zoo.tracking.console import console, print_scores, print_table, program, shown
from zoo.tracking.export import export_model
from zoo.tracking.guards import is_out_of_memory, last_good, out_of_memory_advice
from zoo.tracking.plots import confusion_picture, curve_picture, curves_picture
from zoo.tracking.report import ReportPage, TaskReport
from zoo.tracking.run_folder import write_atomically
from zoo.tracking.wandb_logger import RunLogger, has_account


def run(cli: RecipeCLI) -> int:
    """Run the recipe as its subcommand says; the exit status."""
    _begin(cli)
    try:
        status = _run(cli)
    except BaseException:
        if cli.run_logger is not None:
            cli.run_logger.finish(failed=True)
        raise
    if cli.run_logger is not None:
        cli.run_logger.finish(failed=status != 0)
        _say_where_online(cli)
    return status


def _run(cli: RecipeCLI) -> int:
    if cli.phase == "validate":
        scores = cli.trainer.validate(
            cli.model, cli.datamodule, ckpt_path=cli.checkpoint, verbose=False
        )
        _finish_scores(cli, scores[0])
        return 0
    if cli.phase == "test":
        return _test(cli, checkpoint=cli.checkpoint)
    if cli.phase == "predict":
        _predict(cli)
        return 0
    status = _fit(cli)
    return _test(cli, checkpoint=None) if status == 0 and cli.phase is None else status


def _begin(cli: RecipeCLI) -> None:
    if not cli.trainer.is_global_zero:
        return
    cli.folder.path.mkdir(parents=True, exist_ok=True)
    _write_settings(cli)
    if cli.run_logger is not None:
        cli.run_logger.start()


def _write_settings(cli: RecipeCLI) -> None:
    if not cli.trainer.is_global_zero:
        return
    settings = cli.settings()
    write_atomically(cli.folder.config, settings)
    if cli.run_logger is not None:
        cli.run_logger.log_settings({**yaml.safe_load(settings), **_circumstances(cli)})


def _fit(cli: RecipeCLI) -> int:
    data = cli.datamodule
    sizes = ", ".join(
        f"{len(data.examples(split)):,} {split}" for split in ("train", "validation", "test")
    )
    _say(cli, f"{cli.recipe.name}: {cli.model.backbone} on {data.sources.name} ({sizes} examples)")
    if cli.config.auto_batch:
        _say(cli, choose_batches(cli))
        _write_settings(cli)
    if cli.run_logger is not None and cli.trainer.is_global_zero:
        cli.run_logger.log_data(data.sources.name, _data_facts(cli))
    began = time.perf_counter()
    try:
        cli.trainer.fit(cli.model, data, ckpt_path=cli.checkpoint, weights_only=True)
    except SystemExit:
        # Lightning answers Ctrl-C with an exit of its own.
        if cli.trainer.state.status != TrainerStatus.INTERRUPTED:
            raise
        return _interrupted(cli)
    except Exception as error:
        if is_out_of_memory(error):
            raise TrainingStoppedError(_out_of_memory(cli)) from error
        raise
    if cli.interrupt is not None and cli.interrupt.asked:
        return _interrupted(cli)
    if cli.trainer.global_step == 0:
        raise RunError("Not one training step was done, so there is nothing to test or export.")
    if isinstance(cli.trainer.strategy, FSDPStrategy):
        # What it holds of the model after training is of no use to anything but itself.
        command = f"{program('python')} -m recipes consolidate {shown(cli.folder.path)}"
        _say(cli, f"\nTrained. The model of its best checkpoint:\n  {command}")
        return 0
    scores = keep_average(cli)
    if scores is None:
        _load_best(cli)
        scores = _scores_of_best(cli)
    if cli.throughput.tokens:  # a run that was finished before keeps its speed
        scores |= {
            **cli.throughput.figures,
            "perf/fit_seconds": time.perf_counter() - began,
        }
    whole = cli.model.whole()
    if whole is not None and cli.trainer.is_global_zero:
        if whole.adaptation.is_partial:
            scores |= {f"perf/{name}": value for name, value in whole.trained_size.items()}
        metrics = cli.folder.add_metrics(scores)
        export_model(whole, cli.folder.model, metadata=metadata_of(cli))
        whole.save_adapter(cli.folder.adapter)
        if cli.phase == "fit":
            _write_page(cli, None, metrics)
            if cli.run_logger is not None:
                cli.run_logger.log_scores(metrics)
            _log_model(cli, metrics)
            _say_results(cli, None, metrics)
    cli.trainer.strategy.barrier()
    return 0


def _out_of_memory(cli: RecipeCLI) -> str:
    advice = out_of_memory_advice(
        batch_size=cli.datamodule.batch_size,
        max_tokens=cli.datamodule.max_tokens,
        accumulate=cli.trainer.accumulate_grad_batches,
        max_length=cli.datamodule.max_length,
        precision=str(cli.trainer.precision),
        accelerator=cli.trainer.strategy.root_device.type != "cpu",
    )
    return f"{advice} {last_good(cli.folder)} Go on, with what you choose:\n  {cli.resume_command}"


def _interrupted(cli: RecipeCLI) -> int:
    if cli.folder.last_checkpoint.exists():
        _say(
            cli,
            f"\nStopped at step {cli.trainer.global_step}; the last checkpoint is kept. Go on:\n"
            f"  {cli.resume_command}",
        )
    else:
        _say(cli, "\nStopped before the first step: nothing is lost, and nothing was saved.")
    return INTERRUPTED


def _load_best(cli: RecipeCLI) -> None:
    """Put the best checkpoint's weights into the task, where there is one."""
    best = cli.folder.best_checkpoint
    damaged = why_damaged(best) if best.exists() else None
    if damaged is not None:
        cli.datamodule.note(
            f"{shown(best)} is damaged ({damaged}): the weights of the last step are taken."
        )
    elif best.exists():
        cli.model.load_weights(best)


def _scores_of_best(cli: RecipeCLI) -> dict[str, float]:
    """All validation scores of the epoch that the best checkpoint is of."""
    monitor = cli.model.monitor
    rows = [row for row in cli.folder.read_history() if monitor in row]
    if not rows:
        return {}
    # As the checkpoint callback chooses: of equals the first.
    choose = max if cli.model.monitor_mode == "max" else min
    best = choose(rows, key=lambda row: row[monitor])
    return {name: value for name, value in best.items() if name.startswith("val/")}


def _test(cli: RecipeCLI, *, checkpoint: str | None) -> int:
    began = time.perf_counter()
    try:
        cli.trainer.test(
            cli.model, cli.datamodule, ckpt_path=checkpoint, weights_only=True, verbose=False
        )
    except SystemExit:
        if cli.trainer.state.status != TrainerStatus.INTERRUPTED:
            raise
        if cli.folder.model.exists():
            again = cli.command("test", "--model.backbone", shown(cli.folder.model))
            _say(
                cli, f"\nStopped while testing. The trained model is kept; test it:\n  {again} ..."
            )
        return INTERRUPTED
    if not cli.trainer.is_global_zero:
        return 0
    scores = _plain(cli.trainer.callback_metrics)
    scores["perf/test_seconds"] = time.perf_counter() - began
    if "train" in cli.datamodule.sources.splits:
        baselines = cli.datamodule.baselines()
        scores |= {f"baseline/{name}": value for name, value in baselines.items()}
    report = cli.model.report(cli.recorder.outputs, cli.datamodule.examples("test"))
    report = replace(report, tables={**report.tables, **cli.datamodule.report_tables})
    if cli.teacher is not None:
        tables, found = comparison_of(cli, cli.folder.add_metrics(scores))
        report, scores = replace(report, tables={**tables, **report.tables}), {**scores, **found}
    metrics = cli.folder.add_metrics(scores)
    _write_lines(cli.folder.predictions, report.predictions)
    _write_page(cli, report, metrics)
    if cli.run_logger is not None:
        cli.run_logger.log_report(report, metrics)
    if cli.phase is None:
        _log_model(cli, metrics)
    _say_results(cli, report, metrics)
    return 0


def _predict(cli: RecipeCLI) -> None:
    cli.trainer.test(
        cli.model, cli.datamodule, ckpt_path=cli.checkpoint, weights_only=True, verbose=False
    )
    if cli.trainer.is_global_zero:
        report = cli.model.report(cli.recorder.outputs, cli.datamodule.examples("test"))
        _write_lines(cli.folder.predictions, report.predictions)
        _say(cli, f"Predictions of the test split: {shown(cli.folder.predictions)}")


def _finish_scores(cli: RecipeCLI, scores: Mapping[str, float]) -> None:
    if cli.trainer.is_global_zero:
        metrics = cli.folder.add_metrics(dict(scores))
        if cli.run_logger is not None:
            cli.run_logger.log_scores(metrics)
        _say_results(cli, None, metrics)


def _write_page(cli: RecipeCLI, report: TaskReport | None, metrics: Mapping[str, float]) -> None:
    folder = cli.folder
    folder.plots.mkdir(exist_ok=True)
    pictures: dict[str, Path] = {}
    if report is not None and report.confusion is not None:
        confusion_picture(report.confusion, folder.plots / "confusion.png")
        pictures["Gold against predicted"] = Path("plots/confusion.png")
    for key, curve in (report.curves if report is not None else {}).items():
        curve_picture(curve, folder.plots / f"{key}.png")
        pictures[curve.title] = Path(f"plots/{key}.png")
    if curves_picture(
        folder.read_history(), folder.plots / "curves.png", monitor=cli.model.monitor
    ):
        pictures["Training"] = Path("plots/curves.png")
    data = cli.datamodule
    page = ReportPage(
        title=f"{cli.recipe.name}: {folder.id}",
        facts={
            "task": cli.model.family,
            "backbone": cli.model.backbone,
            "adaptation": _adaptation(cli, metrics),
            "data": f"{data.sources.name} (fingerprint {data.fingerprint})",
            "examples": ", ".join(
                f"{len(table):,} {name}" for name, table in data.splits().items()
            ),
            "labels": ", ".join(cli.model.labels),
            **{
                key.replace("_", " "): value
                for key, value in _circumstances(cli).items()
                if key != "data_fingerprint"
            },
        },
        metrics=metrics,
        notes=data.notes,
        tables=list(report.tables.values()) if report else [],
        pictures=pictures,
        config=cli.settings(),
        usage=_usage(cli),
    )
    write_atomically(folder.report, page.markdown())


def _adaptation(cli: RecipeCLI, metrics: Mapping[str, float]) -> str:
    """What was trained of the model, in words."""
    kind = cli.model.adaptation.kind
    if "perf/trained_parameters" not in metrics:
        return kind
    return (
        f"{kind}: {metrics['perf/trained_parameters']:,.0f} parameters trained "
        f"({metrics['perf/trained_share']:.2%}), {metrics['perf/trained_mb']:.2f} MB"
    )


def _usage(cli: RecipeCLI) -> str:
    name = type(cli.model).__name__
    return (
        "```python\n"
        f"from zoo import {name}\n"
        f'task = {name}.from_run("{shown(cli.folder.path)}")\n'
        "```\n\n"
        f"or `python -m recipes predict {shown(cli.folder.path)} FILE`; `model/` also loads in "
        "plain transformers."
    )


def _say_results(cli: RecipeCLI, report: TaskReport | None, metrics: Mapping[str, float]) -> None:
    if report is not None and report.main_table is not None:
        print_table(report.tables[report.main_table])
    if report is not None and "distillation" in report.tables:
        print_table(report.tables["distillation"])
    heads = [
        name for name in metrics if name.count("/") == 1 and name.startswith(("val/", "test/"))
    ]
    heads = [name for name in heads if not name.endswith("/loss")]
    others = [name for name in metrics if name.startswith("baseline/")]
    print_scores(
        metrics,
        [*heads, *others, "perf/tokens_per_second", "perf/fit_seconds", "perf/peak_memory_gib"],
    )
    folder, out = cli.folder, console()
    out.print(f"\nrun      {shown(folder.path)}/")
    for label, path in (
        ("report", folder.report),
        ("model", folder.model),
        ("adapter", folder.adapter),
    ):
        if path.exists():
            out.print(f"{label:<8} {shown(path)}")
    offline = cli.run_logger.offline_folder if cli.run_logger is not None else None
    if offline is not None:
        chosen = os.environ.get("WANDB_MODE")
        reason = f"WANDB_MODE={chosen}" if chosen else "no API key"
        reason = "no answer" if has_account() else reason
        out.print(f"W&B      offline ({reason}); {_sync_command(cli.run_logger)}")
    if folder.model.exists():
        given, file = cli.datamodule.predict_example
        command = f"{program('python')} -m recipes predict {shown(folder.path)}"
        out.print(f"next     {f'echo {given!r} | ' if given else ''}{command} {file}".rstrip())


def _say_where_online(cli: RecipeCLI) -> None:
    """The page of the run, or how to send what did not get there."""
    logger = cli.run_logger
    if logger is None or logger.url is None or not cli.trainer.is_global_zero:
        return
    console().print(f"W&B      {logger.url}")
    if logger.offline_folder is not None:
        console().print(
            f"         not everything arrived there; send the rest: {_sync_command(logger)}"
        )


def _sync_command(logger: RunLogger | None) -> str:
    return "" if logger is None else shlex.join([program("wandb"), *logger.sync_command])


def _data_facts(cli: RecipeCLI) -> dict[str, Any]:
    """What W&B is told of the data: never its examples."""
    data = cli.datamodule
    return {
        "fingerprint": data.fingerprint,
        "name": data.sources.name,
        "sizes": {split: len(table) for split, table in data.splits().items()},
        "sources": {split: str(data.sources.place(split)) for split in data.sources.splits},
    }


def _log_model(cli: RecipeCLI, metrics: Mapping[str, float]) -> None:
    """The model at W&B, with its scores and the data that it was made of."""
    if cli.run_logger is None:
        return
    facts = metadata_of(cli)
    kept = ("backbone", "recipe", "labels", "data")
    facts = {name: value for name, value in facts.items() if name in kept}
    facts |= {"task": cli.model.family, "run": cli.folder.id, "scores": dict(metrics)}
    cli.run_logger.log_model(cli.recipe.name, cli.folder.model, facts)


def metadata_of(cli: RecipeCLI) -> dict[str, Any]:
    """What an exported model says of itself in `zoo.json`."""
    origin = backbones.metadata(cli.model.backbone).get("backbone", cli.model.backbone)
    # What has random weights at first has nothing of the backbone that it is named by.
    known = {} if getattr(cli.model, "from_scratch", None) else {"backbone": origin}
    return {
        **known,
        "recipe": cli.recipe.name,
        "labels": cli.model.known_labels,
        # What `predict` and a later test must know to cut texts as in training.
        "max_length": cli.datamodule.max_length,
        "encoding": cli.datamodule.encoding_key,
        "calibration": cli.model.calibration,
        "data": {"name": cli.datamodule.sources.name, "fingerprint": cli.datamodule.fingerprint},
    }


def _circumstances(cli: RecipeCLI) -> dict[str, Any]:
    """What a run's result depends on beside its settings."""
    packages = ("lightning-text-zoo", "torch", "lightning", "transformers")
    found: dict[str, Any] = {
        "data_fingerprint": cli.datamodule.fingerprint,
        "versions": ", ".join(f"{name} {version(name)}" for name in packages),
        "threads": torch.get_num_threads(),
        "git_commit": _git_commit(),
    }
    return {key: value for key, value in found.items() if value is not None}


@cache
def _git_commit() -> str | None:
    try:
        done = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _plain(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if name.count("/") >= 1}


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_atomically(path, text)


def _say(cli: RecipeCLI, text: str) -> None:
    if cli.trainer.is_global_zero:
        console().print(text)
