"""`python -m recipes export RUN_DIR --format hf|onnx|onnx-int8`: a trained model to take away."""

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from recipes.trained import task_class
from zoo.errors import DataError, RunError, ZooError
from zoo.shipping.extra import require
from zoo.tracking.console import console, print_table, program, shown
from zoo.tracking.run_folder import RunFolder, write_atomically

if TYPE_CHECKING:
    from zoo.data.datamodule import TextDataModule
    from zoo.shipping.comparison import Comparison
    from zoo.training.task import FineTuningTask

#: Exit status of an export whose graph is not the same model.
NOT_THE_SAME = 1


def main(arguments: Sequence[str]) -> int:
    """Export, compare, and push if asked to; the exit status."""
    options, data_flags = _parsed(arguments)
    form: str = options.format
    if form != "hf":
        require()
    from zoo import backbones
    from zoo.shipping.hub import check_target, push
    from zoo.tracking.quiet import quiet

    quiet()
    if options.push:
        check_target(options.push)
    model = backbones.model_folder(options.run_dir)
    run = RunFolder(model.parent if model.name == "model" else model)
    output = _output(options.output, run, form)
    cls = task_class(model)
    if form != "hf":
        _check_head(cls)
    data = None
    if form != "hf" and not options.no_check:
        data = _data(run, model, data_flags)
    task = cls.from_run(model, labels=data.labels if data is not None else None)
    console().print(f"{shown(run.path)} -> {shown(output)} ({form})", markup=False)

    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".export-") as scratch:
        folder, comparison = _build(task, model, form, Path(scratch), data)
        _describe(run, model, folder, form=form, output=output, comparison=comparison)
        shutil.rmtree(output, ignore_errors=True)
        folder.rename(output)
    status = _say(output, comparison)
    if options.push and status == 0:
        address = push(output, options.push, private=options.private, update=options.update)
        console().print(f"pushed   {address}", markup=False)
    return status


def _check_head(task: "type[FineTuningTask]") -> None:
    """Refuse tasks that have no graph.

    Raises:
        ZooError: It is one of them.
    """
    from zoo.shipping.graph import OUTPUTS

    if task.head != "text-to-text" and task.head not in OUTPUTS:
        raise ZooError(
            f"A model for {task.family} is not exported to ONNX: it is there to be fine-tuned "
            "(--model.backbone RUN/model). --format hf writes it with a card."
        )


def _parsed(arguments: Sequence[str]) -> tuple[argparse.Namespace, list[str]]:
    parser = argparse.ArgumentParser(
        prog="python -m recipes export",
        description="Write a trained model as a folder to take away, with a model card. An ONNX "
        "export is compared with the torch model on the run's test data.",
        epilog="Flags such as --data.test FILE name the test data anew, where it was moved.",
        allow_abbrev=False,
    )
    parser.add_argument("run_dir", help="a run's folder, or its model/ folder")
    parser.add_argument("--format", choices=["hf", "onnx", "onnx-int8"], required=True)
    parser.add_argument("--output", help="the new folder (RUN_DIR/export/FORMAT)")
    parser.add_argument(
        "--no_check",
        action="store_true",
        help="do not compare with the torch model, where the test data is gone",
    )
    parser.add_argument("--push", metavar="ORG/NAME", help="put it on the Hub under this name")
    parser.add_argument("--private", action="store_true", help="the new repository is private")
    parser.add_argument(
        "--update", action="store_true", help="the repository may be there; add a commit to it"
    )
    options, rest = parser.parse_known_args(arguments)
    foreign = [word for word in rest if word.startswith("-") and not word.startswith("--data.")]
    if foreign or (rest and not rest[0].startswith("--data.")):
        parser.error(f"unrecognized arguments: {' '.join(foreign or rest)}")
    if (options.private or options.update) and not options.push:
        parser.error("--private and --update belong to --push ORG/NAME")
    return options, rest


def _output(asked: str | None, run: RunFolder, form: str) -> Path:
    """The folder to write; refuses one with something in it that no export wrote."""
    from zoo.shipping import export_of

    output = Path(asked).expanduser() if asked else run.path / "export" / form
    if output.is_file():
        raise RunError(f"--output {output} is a file; give a folder.")
    if output.is_dir() and any(output.iterdir()) and not export_of(output):
        raise RunError(
            f"--output {output} is not empty and holds no export, so it is left alone. Give a new "
            "folder."
        )
    return output


def _data(run: RunFolder, model: Path, flags: Sequence[str]) -> "TextDataModule":
    """The data of a run, its test split read."""
    from recipes.cli import RecipeCLI
    from zoo import backbones

    if not run.config.is_file():
        raise RunError(
            f"{shown(run.path)} has no config.yaml, which names the test data that the export is "
            "compared on. Give the run's folder, or --no_check."
        )
    machine = ["accelerator=cpu", "devices=1", "num_nodes=1", "strategy=auto", "precision=null"]
    try:
        with tempfile.TemporaryDirectory() as scratch:
            data = RecipeCLI.build(
                str(run.config),
                [
                    f"--model.backbone={model}",
                    *flags,
                    *(f"--trainer.{setting}" for setting in machine),
                    "--trainer.logger=false",
                    f"--run_dir={scratch}/run",
                ],
                subcommand="test",
            ).datamodule
        data.examples("test")
    except Exception as error:
        inner: BaseException | None = error
        while inner is not None and not isinstance(inner, DataError):
            inner = inner.__cause__ or inner.__context__
        if inner is None:
            raise
        raise RunError(
            f"{str(inner).rstrip('.')}. The export is compared on the test data that "
            f"{shown(run.config)} names: put it back, name it anew (--data.test FILE), or give "
            "--no_check."
        ) from error
    trained = backbones.metadata(str(model)).get("data", {}).get("fingerprint")
    if trained not in (None, data.fingerprint) and not flags:
        raise RunError(
            f"The data that {shown(run.config)} names is not what the run was tested on: its "
            f"fingerprint is {data.fingerprint}, it was {trained}. Put it back, name the data to "
            "compare on (--data.test FILE), or give --no_check."
        )
    return data


def _build(
    task: "FineTuningTask", model: Path, form: str, scratch: Path, data: "TextDataModule | None"
) -> "tuple[Path, Comparison | None]":
    """Write the export into a folder, and compare it."""
    from zoo.shipping.building import build_hf, build_int8, build_onnx
    from zoo.shipping.comparison import TORCH, compare
    from zoo.shipping.folder import size_of, task_with_graph

    if form == "hf":
        build_hf(task, model, scratch / form)
        return scratch / form, None
    folders = {"onnx": scratch / "onnx"}
    build_onnx(task, model, folders["onnx"])
    if form == "onnx-int8":
        folders[form] = scratch / form
        build_int8(folders["onnx"], folders[form], task=task)
    if data is None:
        return folders[form], None
    graphs = {
        name: task_with_graph(type(task), folder, labels=data.labels)
        for name, folder in folders.items()
    }
    sizes = {name: size_of(folder) for name, folder in {TORCH: model, **folders}.items()}
    return folders[form], compare({TORCH: task, **graphs}, data, sizes=sizes)


def _describe(
    run: RunFolder,
    model: Path,
    folder: Path,
    *,
    form: str,
    output: Path,
    comparison: "Comparison | None",
) -> None:
    from zoo.shipping.card import card, known_of
    from zoo.shipping.folder import CARD, PARITY

    if comparison is not None:
        text = json.dumps(comparison.to_dict(), indent=2) + "\n"
        write_atomically(folder / PARITY, text)
    known = known_of(run, model)
    write_atomically(
        folder / CARD, card(known, form=form, folder=shown(output), comparison=comparison)
    )


def _say(output: Path, comparison: "Comparison | None") -> int:
    from zoo.shipping.parity import TOLERANCE

    out = console()
    if comparison is not None:
        for table in comparison.tables():
            print_table(table)
    out.print(f"\nexport   {shown(output)}/\ncard     {shown(output / 'README.md')}")
    out.print(f"next     {program('python')} -m recipes predict {shown(output)} FILE")
    if comparison is None or comparison.passed:
        return 0
    largest = comparison.differences["onnx"].largest
    sys.stdout.flush()
    print(  # noqa: T201
        f"error: the ONNX graph is not the same model: a logit differs by {largest:.1e} from "
        f"torch's, and {TOLERANCE:g} is allowed. {shown(output)} is kept to look into; its card "
        "says so too. Nothing is pushed.",
        file=sys.stderr,
    )
    return NOT_THE_SAME


__all__ = ["main"]
