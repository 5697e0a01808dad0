"""Every shipped recipe of classification: it parses, names its data, runs where that is ours."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import recipes
from recipes import catalog
from recipes.__main__ import main
from zoo.classification.modes import MODES
from zoo.data import samples

_NAMES = [recipe.name for recipe in catalog.recipes() if recipe.task == "classification"]
_OURS = [
    name
    for name in _NAMES
    if "/"
    not in yaml.safe_load(catalog.find(name).path.read_text())["data"]["init_args"]["dataset"]
]


def _settings(name: str) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(catalog.find(name).path.read_text(encoding="utf-8"))
    return content


@pytest.mark.parametrize("name", _NAMES)
def test_a_recipe_says_what_it_is_and_names_a_sample_or_a_hub_id(name: str) -> None:
    assert catalog.find(name).description.endswith((".", "?"))
    data = _settings(name)["data"]["init_args"]
    dataset = data["dataset"]
    if "/" in dataset:
        owner, _, title = dataset.partition("/")
        assert owner
        assert title
        assert "/" not in title
    else:
        assert dataset in samples.names()
        assert samples.folder(dataset) is not None
    assert data.get("mode") in (None, *MODES)


@pytest.mark.parametrize("name", _NAMES)
def test_a_recipe_s_settings_are_all_known(
    name: str, tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    # Its own data where that is ours, else a file in the place of what only the Hub has.
    mode = _settings(name)["data"]["init_args"].get("mode")
    label: Any = {"multi_label": [["a"], ["b"]], "regression": [1.5, 2]}.get(mode, ["1", "2"])
    rows = [{"text": "x", "text2": "y", "label": label[row % 2]} for row in range(20)]
    Path("x.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    files = [] if name in _OURS else ["--data.train=x.jsonl", "--data.columns=null"]
    options = [f"--model.backbone={tiny('bert')}", "--trainer.logger=false", *files]
    recipe = recipes.load(name, [*options, "--trainer.accelerator=cpu"])
    task: Any = recipe.model
    data: Any = recipe.datamodule
    assert task.mode == data.mode
    assert task.labels == data.labels


@pytest.mark.slow
@pytest.mark.parametrize("name", _OURS)
def test_a_recipe_on_sample_data_runs_through_the_command_line(
    name: str, tiny: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    limits = ["--trainer.max_epochs=1", "--trainer.logger=false", "--trainer.accelerator=cpu"]
    backbone = f"--model.backbone={tiny('bert')}"
    assert main([name, backbone, *limits, "--run_dir=run"]) == 0
    metrics = json.loads(Path("run/metrics.json").read_text(encoding="utf-8"))
    assert "test/loss" in metrics
    assert any(key.startswith("baseline/bag_of_words/") for key in metrics)
