"""What the documents name is there."""

import inspect
import re
from pathlib import Path

import pytest
from lightning import Trainer

import zoo
from recipes import catalog
from recipes.help import OF_THE_RUN

ROOT = Path(__file__).resolve().parents[1]
#: A flag with a dot or an underscore of ours; `--data...` stands for several.
_FLAG = re.compile(r"--(model|data|trainer)\.(\w+)")
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "docs/from-the-example-scripts.md"]


def _arguments(part: str) -> set[str]:
    if part == "trainer":
        return set(inspect.signature(Trainer).parameters)
    tasks = [name for names in catalog.FAMILIES.values() for name in names]
    names = [one if part == "model" else one.replace("Task", "DataModule") for one in tasks]
    return {key for name in names for key in inspect.signature(getattr(zoo, name)).parameters}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_flag_that_a_document_names_exists(document: str) -> None:
    text = (ROOT / document).read_text(encoding="utf-8")
    # What README shows as a mistake is one.
    text = re.sub(r"^(\$ |error: ).*max_epoch .*$", "", text, flags=re.MULTILINE)
    named = set(_FLAG.findall(text))
    assert document == "CONTRIBUTING.md" or len(named) > 5
    missing = {f"--{part}.{name}" for part, name in named if name not in _arguments(part)}
    assert not missing


def test_every_flag_of_the_run_in_the_table_of_scripts_exists() -> None:
    text = (ROOT / "docs/from-the-example-scripts.md").read_text(encoding="utf-8")
    ours = [row.split("|")[2] for row in text.splitlines() if row.startswith("| `")]
    assert len(ours) > 20
    named = {flag for cell in ours for flag in re.findall(r"`(--[a-z_]+)[ `]", cell)}
    assert named >= {"--early_stopping", "--run_dir", "--resume", "--seed_everything"}
    assert named <= set(OF_THE_RUN)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_a_document_links_to_exists(document: str) -> None:
    path = ROOT / document
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text(encoding="utf-8"))
    assert document != "README.md" or links
    assert not [link for link in links if not (path.parent / link).exists()]


def test_every_target_of_make_that_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", text, flags=re.MULTILINE))
    assert {one or other for one, other in named} <= targets
