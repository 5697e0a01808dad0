"""Write the pretraining sample corpus: ``python data/pretraining/generate.py [--out DIR]``.

It is the plain text of the summarization sample corpus beside it: reports without their summaries,
one a paragraph, with a blank line behind each. Splits stay apart as they are there, so validation
and test have names and words that train lacks.
"""

import argparse
import json
from pathlib import Path

#: How many reports are taken of each split, from its beginning.
SIZES = {"train": 800, "validation": 100, "test": 150}

_HERE = Path(__file__).resolve().parent
SOURCE = _HERE.parent / "summarization" / "sample"


def documents(split: str) -> list[str]:
    """The reports of a split, in order."""
    lines = (SOURCE / f"{split}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["source"] for line in lines[: SIZES[split]]]


def main() -> None:
    """Write the three files."""
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--out", type=Path, default=_HERE, help="folder to write to")
    folder = parser.parse_args().out / "sample"
    folder.mkdir(parents=True, exist_ok=True)
    for split in SIZES:
        text = "\n\n".join(documents(split)) + "\n"
        (folder / f"{split}.txt").write_text(text, encoding="utf-8", newline="\n")


if __name__ == "__main__":
    main()
