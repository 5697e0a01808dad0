"""`python -m recipes predict FOLDER [FILE ...]`: a trained model on text, JSON lines out."""

import argparse
import codecs
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from recipes.trained import trained_task
from zoo.data.readers.jsonlines import iter_json_lines
from zoo.data.readers.text import iter_lines
from zoo.errors import DataError, check_at_least

if TYPE_CHECKING:
    from zoo.training.task import FineTuningTask

#: Texts read before the first is predicted; a stream is never held whole.
_AT_ONCE = 256

_JSON = {".jsonl", ".ndjson", ".json", ".jsonlines"}
_TABLES = {".conll", ".iob", ".iob2", ".bio", ".csv", ".tsv", ".parquet"}


def main(arguments: Sequence[str]) -> int:
    """Predict and print; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes predict",
        description="Predict with a trained model. One JSON object a line on standard output.",
        epilog="A .txt file (and standard input) holds one text a line; a .jsonl file holds "
        'objects with "text"; NER also takes "tokens" (words that are split already), and '
        'classification "text2" for a pair of texts. Question answering takes objects with '
        '"question" and "context" (or "contexts", a list), on standard input too, or lines of '
        "question, tab and context, or a SQuAD .json file. Summarization takes a document a line, "
        'or objects with "source". Pretraining takes texts with [MASK] in them.',
        allow_abbrev=False,
    )
    parser.add_argument("folder", help="a run's folder, or its model/ folder")
    parser.add_argument("files", nargs="*", help="files; standard input if there are none")
    parser.add_argument(
        "--batch_size",
        type=int,
        default=32,
        help="texts (or windows of them) in a batch (%(default)s)",
    )
    options = parser.parse_args(arguments)
    check_at_least("--batch_size", options.batch_size, 1)

    # Files first: a mistyped name should not wait for the model.
    for name in options.files:
        path = Path(name)
        if name != "-" and not path.is_file():
            what = "This is a folder; give files." if path.is_dir() else "There is no such file."
            raise DataError(what, path=name)
        if path.suffix in _TABLES:
            raise DataError(
                f"Texts to predict are not read from {path.suffix} files. Give .txt with one text "
                'a line, or .jsonl with "text" or "tokens"; to score tagged data, use `test`.',
                path=name,
            )
    from zoo.tracking.quiet import quiet

    quiet()
    task = trained_task(options.folder)
    inputs = (
        one for name in options.files or ["-"] for one in _inputs(name, task) if one is not None
    )
    # A person at the keyboard wants each answer at once.
    at_once = 1 if not options.files and sys.stdin.isatty() else _AT_ONCE
    while chunk := list(islice(inputs, at_once)):
        for prediction in task.predict(chunk, batch_size=options.batch_size):
            sys.stdout.write(json.dumps(prediction.to_dict(), ensure_ascii=False) + "\n")
        sys.stdout.flush()
    return 0


def _inputs(name: str, task: "FineTuningTask") -> Iterator[Any]:
    if name == "-":
        for number, raw in enumerate(sys.stdin.buffer, start=1):
            try:
                line = raw.removeprefix(codecs.BOM_UTF8 if number == 1 else b"").decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(
                    f"This is not UTF-8 ({error.reason}).", path="standard input", line=number
                ) from None
            yield _of_line(line.rstrip("\r\n"), "standard input", number, task)
    elif (own := task.inputs_of_file(Path(name))) is not None:
        yield from own
    elif Path(name).suffix in _JSON:
        for number, record in iter_json_lines(Path(name)):
            try:
                yield task.input_of(record)
            except DataError as error:
                raise DataError(str(error), path=name, line=number) from None
    else:
        for number, line in iter_lines(Path(name)):
            yield _of_line(line, name, number, task)


def _of_line(line: str, place: str, number: int, task: "FineTuningTask") -> Any:
    try:
        return task.input_of_line(line)
    except DataError as error:
        raise DataError(str(error), path=place, line=number) from None
