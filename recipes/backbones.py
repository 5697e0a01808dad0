"""`python -m recipes backbones`: the registry as a table."""

import argparse
import sys
from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

import zoo.backbones


def main(arguments: Sequence[str]) -> int:
    """Print the table; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes backbones",
        description="Pretrained models that --model.backbone takes by name, smallest first.",
        allow_abbrev=False,
    )
    parser.add_argument("--language", help="only those pretrained on this language, such as zh")
    parser.add_argument("--kind", choices=["encoder", "encoder-decoder"])
    parser.add_argument("--licence", help="only those under this licence, such as Apache-2.0")
    options = parser.parse_args(arguments)
    names = zoo.backbones.names(
        language=options.language, kind=options.kind, licence=options.licence
    )
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in ("name", "kind", "licence", "languages"):
        table.add_column(column, no_wrap=column == "name")
    table.add_column("parameters", justify="right")
    table.add_column("max length", justify="right")
    table.add_column("what it is good for")
    for name in names:
        spec = zoo.backbones.get(name)
        languages = list(spec.languages)
        shown = ", ".join(languages[:3]) + (f" +{len(languages) - 3}" if len(languages) > 3 else "")
        table.add_row(
            name,
            spec.kind,
            spec.licence,
            shown,
            f"{spec.parameters / 1e6:.0f}M",
            str(spec.max_length),
            spec.description + (" Ships with the installation." if spec.package else ""),
        )
    console = Console(highlight=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)
    if not names:
        console.print("No backbone fits.")
    return 0
