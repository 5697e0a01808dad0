"""What a recipe does when it is run: fit, test the best, report, say where things are."""

import gc
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.strategies import FSDPStrategy
from lightning.pytorch.trainer.states import TrainerStatus

from recipes.auto_batch import choose_batches
from recipes.averaged import keep_average
from recipes.catalog import INTERRUPTED
from recipes.cli import RecipeCLI
from recipes.distilling import comparison_of
from recipes.facts import circumstances, data_facts, log_model, metadata_of
from recipes.results import say_results, say_where_online, write_page
from zoo.errors import RunError, TrainingStoppedError
from zoo.tracking.checkpoints import why_damaged
from zoo.tracking.console import console, program, shown
from zoo.tracking.export import export_model
from zoo.tracking.guards import last_good, out_of_memory_advice
from zoo.tracking.run_folder import write_atomically
from zoo.training.memory import is_out_of_memory


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
        say_where_online(cli)
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
        cli.run_logger.log_settings({**yaml.safe_load(settings), **circumstances(cli)})


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
        cli.run_logger.log_data(data.sources.name, data_facts(cli))
    # The user's own callbacks may look for the loss of each step.
    cli.model.logs_steps = bool(cli.config.trainer.callbacks)
    began = time.perf_counter()
    # Some 600,000 objects, mostly of libraries: to look through all of them for what can be thrown
    # away takes as long as a step.
    gc.freeze()
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
    finally:
        gc.unfreeze()
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
            write_page(cli, None, metrics)
            if cli.run_logger is not None:
                cli.run_logger.log_scores(metrics)
            log_model(cli, metrics)
            say_results(cli, None, metrics)
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
    write_page(cli, report, metrics)
    if cli.run_logger is not None:
        cli.run_logger.log_report(report, metrics)
    if cli.phase is None:
        log_model(cli, metrics)
    say_results(cli, report, metrics)
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
        say_results(cli, None, metrics)


def _plain(metrics: Mapping[str, Any]) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if name.count("/") >= 1}


def _write_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    write_atomically(path, text)


def _say(cli: RecipeCLI, text: str) -> None:
    if cli.trainer.is_global_zero:
        console().print(text)
