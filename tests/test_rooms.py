"""Who may import whom: the rules that keep the house's rooms apart."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOORS = {"backbones", "data", "training", "tracking"}
#: Rooms above the floors that know no family: a family never imports one.
UPPER = {"distillation", "serving", "shipping"}
FAMILIES = {
    path.name
    for path in (ROOT / "zoo").iterdir()
    if path.is_dir() and path.name not in FLOORS | UPPER and any(path.rglob("task.py"))
}
ENCODINGS = sorted(
    path.relative_to(ROOT / "zoo").as_posix() for path in (ROOT / "zoo").rglob("encoding.py")
)
ALLOWED = {
    "backbones": {"backbones"},
    "data": {"data", "backbones"},
    "training": {"training", "backbones"},
    "tracking": {"tracking", "backbones"},
    "serving": {"serving", "training", "tracking", "backbones"},
    "shipping": FLOORS | {"shipping"},
    "distillation": FLOORS | {"distillation"},
}


def imports(path: Path) -> Iterator[str]:
    """Modules that a file imports when it runs; imports for the type checker alone are left out."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped: set[ast.AST] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            skipped |= {inner for child in node.body for inner in ast.walk(child)}
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def rooms(path: Path) -> set[str]:
    """Rooms of `zoo` that a file imports from."""
    known = FLOORS | UPPER | FAMILIES
    parts = [name.split(".") for name in imports(path)]
    return {part[1] for part in parts if part[0] == "zoo" and len(part) > 1 and part[1] in known}


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_there_are_files_to_look_at() -> None:
    assert len(files("zoo")) > 20
    assert {"ner", "summarization"} <= FAMILIES
    assert len(ENCODINGS) > len(FAMILIES)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_without_a_family_imports_only_the_rooms_it_may(room: str) -> None:
    for path in files(f"zoo/{room}"):
        assert rooms(path) <= ALLOWED[room], path


@pytest.mark.parametrize("family", sorted(FAMILIES))
def test_a_family_never_imports_another(family: str) -> None:
    for path in files(f"zoo/{family}"):
        assert rooms(path) <= FLOORS | {family}, path


@pytest.mark.parametrize(
    "path",
    [*ENCODINGS, "data/frames.py"],
)
def test_encoding_imports_only_torch_numpy_the_standard_library_and_frames(path: str) -> None:
    allowed = {"torch", "numpy", *sys.stdlib_module_names}
    found = {
        name for name in imports(ROOT / "zoo" / path) if not name.startswith("zoo.data.frames")
    }
    assert {name.split(".")[0] for name in found} <= allowed


def test_the_library_never_imports_the_recipes() -> None:
    for path in files("zoo"):
        assert "recipes" not in {name.split(".")[0] for name in imports(path)}, path


def test_from_pretrained_is_called_in_the_backbones_alone() -> None:
    for path in [*files("zoo"), *files("recipes")]:
        called = ".from_pretrained(" in path.read_text(encoding="utf-8")
        assert not called or "backbones" in path.parts, path


def test_importing_zoo_imports_nothing_heavy() -> None:
    code = (
        "import sys, zoo, zoo.backbones; print('torch' in sys.modules, 'lightning' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
