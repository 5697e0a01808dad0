"""`python -m recipes doctor NAME`: looks at a recipe's data before a model is trained on it."""

import argparse
import json
from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes import catalog
from zoo.errors import ZooError

if TYPE_CHECKING:
    from zoo.data.doctor.findings import Examination, Finding

#: Exit status where there are errors.
ERRORS = 1

_COLOURS = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def main(arguments: Sequence[str]) -> int:
    """Examine, print and write; the exit status: 1 where there are errors."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes doctor",
        usage="python -m recipes doctor NAME [--json FILE] [OVERRIDES]",
        description="Look at the data of a recipe before a model is trained on it: sizes, labels, "
        "lengths, and what is wrong with it, the worst first. Needs the tokenizer, no weights, and "
        "leaves no run behind.",
        epilog="OVERRIDES are the recipe's own flags, such as --data.train FILE, --data.columns, "
        "--model.backbone or --config FILE. Exit status: 0 where there are only warnings and "
        "notes, 1 where there are errors, 2 where the command is mistaken.",
        allow_abbrev=False,
    )
    parser.add_argument("name", metavar="NAME", help="a recipe, such as ner, or a YAML file")
    parser.add_argument("--json", metavar="FILE", help="also write all that was found as JSON")
    asked = bool({"-h", "--help"} & set(arguments))
    if not asked and (not arguments or arguments[0].startswith("-")):
        raise ZooError(
            "The recipe's name comes first: python -m recipes doctor NAME --data.train FILE. "
            "`python -m recipes` lists all."
        )
    options, overrides = parser.parse_known_args(arguments)
    output = None if options.json is None else _output(options.json)
    catalog.find(options.name)  # a wrong name shows before anything slow is imported

    from recipes.doctor_cli import DoctorCLI
    from zoo.tracking.quiet import quiet

    quiet()
    cli = DoctorCLI.build(options.name, overrides, subcommand=None)
    data: Any = cli.datamodule
    if find_spec(f"zoo.{data.family}.doctor") is None:
        raise ZooError(f"There is no doctor for {data.family}: its data has nothing but text.")
    examination: Examination = import_module(f"zoo.{data.family}.doctor").examine(data)
    title = f"{cli.recipe.name}: {data.sources.name} with {data.backbone}"
    if output is not None:
        from zoo.tracking.run_folder import write_atomically

        found = {
            "recipe": cli.recipe.name,
            "data": data.sources.name,
            "backbone": data.backbone,
            **examination.to_dict(),
        }
        output.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(output, json.dumps(found, ensure_ascii=False, indent=2) + "\n")
    show(examination, title=title)
    from zoo.data.doctor.findings import Severity

    return ERRORS if examination.count(Severity.ERROR) else 0


def show(examination: "Examination", *, title: str) -> None:
    """Print what was found."""
    from rich.text import Text

    from zoo.data.doctor.findings import Severity
    from zoo.tracking.console import console, print_table
    from zoo.tracking.report import Table

    out = console()
    out.print(title, markup=False, style="bold")
    for table in examination.facts:
        print_table(Table(table.title, table.columns, table.rows))
    kinds: dict[tuple[str, str, str], list[Finding]] = {}
    for finding in examination.findings:
        key = (finding.severity, finding.code, finding.advice)
        kinds.setdefault(key, []).append(finding)
    for (severity, code, advice), findings in kinds.items():
        out.print(Text.assemble((f"{severity:<9}", _COLOURS[severity]), (code, "bold")))
        for finding in findings:
            out.print(f"  {finding.what}", markup=False)
            for place in finding.places:
                out.print(f"      {place}", markup=False, style="dim")
        if advice:
            out.print(f"  -> {advice}", markup=False)
        out.print()
    counts = [
        f"{examination.count(one):,} {one}{'' if examination.count(one) == 1 else 's'}"
        for one in Severity
    ]
    out.print(", ".join(counts), markup=False, style="bold")


def _output(name: str) -> Path:
    path = Path(name).expanduser()
    if path.is_dir():
        raise ZooError(f"--json {name} is a folder; give a file.")
    return path
