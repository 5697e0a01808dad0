"""The command line of the benchmarks: `python -m benchmarks.speed all`."""

import argparse
import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path

from benchmarks.speed import machine, picture, results
from benchmarks.speed.progress import say

#: Where each benchmark is: module and function.
PARTS = {
    "steps": ("steps", "measure"),
    "padding": ("steps", "measure_padding"),
    "overhead": ("overhead", "measure"),
    "loading": ("loading", "measure"),
    "metrics": ("scores", "measure"),
    "startup": ("startup", "measure"),
    "recipe": ("recipe", "measure"),
}

#: What `--quick` measures with: minutes instead of most of an hour.
QUICK = {
    "batches": 2,
    "rounds": 3,
    "steps": 20,
    "repetitions": 1,
    "tokens": 50_000,
    "summaries": 100,
    "epochs": 1,
    "max_examples": 640,
    "seeds": [1],
}

PICTURE = results.ROOT / "docs" / "speed.png"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure what is asked for; the exit status."""
    options = _parser().parse_args(arguments)
    if options.quick:
        for name, value in QUICK.items():
            setattr(options, name, value)
    failed: list[str] = []
    names = list(PARTS) if "all" in options.parts else [*options.parts]
    if "report" in names:
        names.remove("report")
    if names:
        machine.require_idle(anyway=options.anyway)
        failed = [name for name in names if not _measure(name, options)]
    records = results.read(options.out)
    if {"all", "report"} & set(options.parts):
        page = options.out / "speed.md"
        parts = [results.markdown(records[name]) for name in PARTS if name in records]
        page.write_text("# Speed\n\n" + "\n".join(parts), encoding="utf-8")
        drawn = picture.draw(records, options.picture)
        print(f"tables: {page}" + (f", picture: {options.picture}" if drawn else ""))
    if failed:
        print(f"Not measured, or not all of it: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


def _measure(name: str, options: argparse.Namespace) -> bool:
    """Measure a part and write what was found; whether all of it could be measured."""
    module, function = PARTS[name]
    say(f"{name} ...")
    try:
        measure: Callable[[argparse.Namespace], results.Result] = getattr(
            import_module(f"benchmarks.speed.{module}"), function
        )
        result = measure(options)
    except (Exception, SystemExit):
        # The parts before are written, and those behind are measured yet.
        traceback.print_exc()
        return False
    result.complete = True
    file = result.write(options.out)
    print(results.markdown(results.read(options.out)[name]))
    say(f"written to {file}\n")
    return not result.errors


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed",
        description="Measure speed beside what people use otherwise.",
        allow_abbrev=False,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "parts",
        nargs="+",
        metavar="part",
        choices=[*PARTS, "all", "report"],
        help=f"what to measure, in this order: {', '.join(PARTS)}; all; report draws and tables",
    )
    add("--anyway", action="store_true", help="also on a machine that does something else")
    add("--quick", action="store_true", help="few and short repetitions, in some minutes")
    add("--out", type=Path, default=results.RESULTS, help="folder of the JSON files")
    add("--picture", type=Path, default=PICTURE, help="the picture")
    add("--backbone", default="minilm-l6", help="which model")
    add("--sample", action="store_true", help="the shipped samples, not real corpora")
    add("--rounds", type=int, default=5, help="rounds of steps, padding, metrics, startup")
    steps = parser.add_argument_group("steps, padding")
    steps.add_argument(
        "--families",
        nargs="+",
        default=["ner", "classification", "qa", "summarization", "pretraining"],
    )
    steps.add_argument("--precisions", nargs="+", default=["fp32", "bf16"])
    steps.add_argument(
        "--batches", type=int, default=6, help="of a round; a fourth of them for long texts"
    )
    steps.add_argument("--batch_size", type=int, default=32)
    steps.add_argument(
        "--memory", action=argparse.BooleanOptionalAction, default=True, help="peak memory as well"
    )
    overhead = parser.add_argument_group("overhead")
    overhead.add_argument("--steps", type=int, default=25, help="of a run, more if small")
    overhead.add_argument("--sizes", type=int, nargs="+", default=[1, 2, 32], help="of batches")
    overhead.add_argument(
        "--lora_sizes", type=int, nargs="*", default=[2], help="LoRA, short steps"
    )
    overhead.add_argument("--repetitions", type=int, default=3)
    metrics = parser.add_argument_group("metrics")
    metrics.add_argument("--tokens", type=int, default=200_000)
    metrics.add_argument("--summaries", type=int, default=500)
    loading = parser.add_argument_group("loading", "also --families, --steps, --batch_size")
    loading.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    recipe = parser.add_argument_group("recipe")
    recipe.add_argument("--epochs", type=int, default=3)
    recipe.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    recipe.add_argument("--max_examples", type=int, help="train on the first so many only")
    recipe.add_argument("--learning_rate", type=float, default=2e-4)
    recipe.add_argument(
        "--ways",
        nargs="+",
        default=["recipe, bf16", "trainer, defaults", "trainer, grouped"],
        help="also: recipe, loop",
    )
    recipe.add_argument("--ours", nargs="*", default=[], help="more flags of the recipe")
    return parser


if __name__ == "__main__":
    sys.exit(main())
