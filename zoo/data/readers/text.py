"""Lines of a text file, numbered, as they stand in the file."""

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path

import regex

from zoo.errors import DataError

_NOT_TEXT = {
    b"\x1f\x8b": "gzip-compressed data; unpack it first",
    b"PK\x03\x04": "a zip archive; unpack it first",
    b"PAR1": "Parquet; give it the suffix .parquet",
}
_HIGH_BYTES = regex.compile(rb"[\x80-\xff]+")


def check_file(path: Path) -> None:
    """Make sure that there is a file with something in it.

    Raises:
        DataError: The file is missing, empty, unreadable, or a folder.
    """
    try:
        if path.is_dir():
            raise DataError("this is a folder; a file is needed here.", path=path)
        if path.stat().st_size == 0:
            raise DataError("the file is empty.", path=path)
    except FileNotFoundError:
        raise DataError("there is no such file.", path=path) from None
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror}).", path=path) from error


def iter_lines(path: Path) -> Iterator[tuple[int, str]]:
    r"""Read a UTF-8 file line by line, without holding more than one line.

    Lines end in LF or CRLF, and nothing else ends a line: U+2028, U+0085, a vertical tab and the
    like stay where they are, because corpora contain them inside sentences and tokens. A byte order
    mark is dropped. A file whose name ends in .gz is unpacked as it is read.

    Yields:
        The 1-based number of a line and the line without its end.

    Raises:
        DataError: The file is missing, empty, a folder, damaged, or not UTF-8.
    """
    path = Path(path)
    check_file(path)
    packed = path.suffix.lower() == ".gz"
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            for number, raw in enumerate(file, start=1):
                if number == 1:
                    _refuse_other_formats(raw, path)
                    raw = raw.removeprefix(codecs.BOM_UTF8)
                    if not raw:
                        raise DataError("the file is empty.", path=path)
                    if b"\r" in raw.rstrip(b"\r\n"):
                        raise DataError(
                            "lines end in carriage returns alone, as on old Macs. Convert it: "
                            rf"tr '\r' '\n' < {path.name} > {path.stem}.lf{path.suffix}",
                            path=path,
                            line=1,
                        )
                try:
                    line = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    raise _not_utf8(raw, error, path, number) from None
                yield number, line.removesuffix("\n").removesuffix("\r")
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"the gzip file is damaged ({error}). Copy or pack it again.", path=path
        ) from error
    except OSError as error:
        raise DataError(f"the file cannot be read ({error.strerror}).", path=path) from error


def _refuse_other_formats(raw: bytes, path: Path) -> None:
    for magic, what in _NOT_TEXT.items():
        if raw.startswith(magic):
            raise DataError(f"this is not text but {what}.", path=path, line=1)
    if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or b"\0" in raw[:64]:
        raise DataError(
            "this is not UTF-8 but probably UTF-16. Convert it: " + _command("utf-16", path),
            path=path,
            line=1,
        )


def _not_utf8(raw: bytes, error: UnicodeDecodeError, path: Path, number: int) -> DataError:
    guess = _guess_encoding(raw)
    return DataError(
        f"this is not UTF-8: byte {raw[error.start]:#04x} at offset {error.start} of the line. "
        f"The file might be {guess}. Convert it: {_command(guess, path)}",
        path=path,
        line=number,
    )


def _command(encoding: str, path: Path) -> str:
    return f"iconv -f {encoding} -t utf8 {path.name} > {path.stem}.utf8{path.suffix}"


def _guess_encoding(raw: bytes) -> str:
    # East Asian text is pairs of high bytes; in Western text a high byte mostly stands alone.
    runs = _HIGH_BYTES.findall(raw)
    if sum(len(run) > 1 for run in runs) * 2 > len(runs):
        for encoding in ("gb18030", "shift_jis", "euc_kr"):
            try:
                raw.decode(encoding)
            except UnicodeDecodeError:
                continue
            return encoding
    # 0x80 to 0x9f are control characters in Latin-1, and quotes and dashes in Windows-1252.
    return "cp1252" if regex.search(rb"[\x80-\x9f]", raw) else "latin1"
