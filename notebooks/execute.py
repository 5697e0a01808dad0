"""Run notebooks and keep what they show: `python notebooks/execute.py [NAME ...]`."""

import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent


def execute(path: Path) -> None:
    """Run a notebook in an empty folder, and write it back with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    metadata = dict(notebook.metadata)
    with tempfile.TemporaryDirectory() as folder:
        NotebookClient(
            notebook,
            timeout=6000,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
        ).execute()
    notebook.metadata = nbformat.from_dict(metadata)  # not the versions of this machine
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # nor its clock
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in HERE.glob("*.ipynb")):
        began = time.perf_counter()
        execute(HERE / f"{name}.ipynb")
        print(f"{name}: {time.perf_counter() - began:.0f} s")
