"""Every notebook runs from top to bottom, without a network, and is kept as a page to read."""

import re
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).resolve().parents[1] / "notebooks").glob("*.ipynb"))

#: Absolute paths, colours of a terminal, and bars that were drawn over themselves.
_OF_A_MACHINE = re.compile(
    r"(?<![\w.:/<])/(?:home|Users|tmp|root|work|usr|opt|var)/|\x1b\[|\r|it/s\]|█"
)


def by_name(path: Path) -> str:
    return path.stem


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_a_notebook_runs_from_top_to_bottom(path: Path, tmp_path: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=600,
        kernel_name="python3",
        resources={"metadata": {"path": str(tmp_path)}},
    ).execute()


def _outputs(path: Path) -> list[Any]:
    cells = nbformat.read(path, as_version=4).cells
    return [output for cell in cells if cell.cell_type == "code" for output in cell.outputs]


def test_there_are_the_five_notebooks_of_the_readme() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {
        "ner_on_your_own_sentences",
        "one_backbone_two_tasks",
        "classification_error_analysis",
        "qa_over_your_documents",
        "compare_two_runs",
    }


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_a_notebook_is_short_and_kept_with_the_outputs_of_one_run(path: Path) -> None:
    cells = nbformat.read(path, as_version=4).cells
    assert len(cells) < 15
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert sum(bool(cell.outputs) for cell in code) >= len(code) - 1
    assert not [output for output in _outputs(path) if output.output_type == "error"]
    assert path.stat().st_size < 600_000


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_a_notebook_shows_a_picture_or_a_page(path: Path) -> None:
    kinds = {kind for output in _outputs(path) for kind in output.get("data", {})}
    assert kinds & {"image/png", "text/html"}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)
def test_outputs_hold_no_paths_of_a_machine_and_no_progress_bars(path: Path) -> None:
    for output in _outputs(path):
        texts = [output.get("text", "")]
        data = output.get("data", {})
        texts += [data[kind] for kind in ("text/plain", "text/html") if kind in data]
        for text in texts:
            without_pictures = re.sub(r"data:image/png;base64,[\w+/=]+", "", text)
            found = _OF_A_MACHINE.search(without_pictures)
            assert found is None, without_pictures[max(0, found.start() - 80) : found.end() + 80]
