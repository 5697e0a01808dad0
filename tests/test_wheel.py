"""The project as a wheel: what `pip install .` gives works in any folder."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.mark.slow
def test_an_installed_wheel_has_recipes_and_sample_data_and_runs(tmp_path: Path) -> None:
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"),
            *("--no-build-isolation", "--disable-pip-version-check"),
            *("--wheel-dir", str(tmp_path), str(ROOT)),
        ],
        check=True,
    )
    (wheel,) = tmp_path.glob("lightning_text_zoo-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as content:
        names = set(content.namelist())
        content.extractall(site)
    assert {
        "zoo/py.typed",
        "recipes/py.typed",
        "recipes/ner/sample.yaml",
        "zoo/tracking/comparison/page.html",
        "zoo/tracking/comparison/comparison.html",
        "zoo/sample_data/ner/train.conll",
    } <= names
    assert not [name for name in names if name.startswith(("tests/", "data/"))]
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    command = [sys.executable, "-m", "recipes", "ner", "--trainer.max_steps=2"]
    limits = ["--trainer.limit_val_batches=2", "--trainer.limit_test_batches=2", "--run_dir=run"]
    # The wheel's folder comes first on the path, before the checkout that the tests run from.
    environment = {**os.environ, "PYTHONPATH": str(site)}
    where = subprocess.run(
        [sys.executable, "-c", "import zoo; print(zoo.__file__)"],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert where.stdout.startswith(str(site))
    subprocess.run([*command, *limits], cwd=elsewhere, env=environment, check=True)
    assert (elsewhere / "run" / "metrics.json").is_file()
