"""Finds the runs to compare, and reads what they left behind."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import yaml

from zoo.errors import DataError, RunError
from zoo.tracking.report import facts_of
from zoo.tracking.run_folder import RunFolder
from zoo.tracking.seed_group import is_group

#: Facts of the model card that a run's result depends on beside its settings.
_CIRCUMSTANCES = ("data", "examples", "versions", "threads", "git commit")


@dataclass(frozen=True)
class RecordedRun:
    """A run that was tested."""

    folder: RunFolder

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.folder.path.resolve().name

    @cached_property
    def config(self) -> dict[str, Any]:
        """All settings.

        Raises:
            RunError: `config.yaml` is damaged.
        """
        path = self.folder.config
        try:
            found = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            reason = " ".join(str(error).split())
            raise RunError(
                f"{path} is damaged ({reason}), so the run's settings are lost."
            ) from error
        if not isinstance(found, dict) or not isinstance(found.get("model"), dict):
            raise RunError(f"{path} holds no settings of a run: there is no `model` in it.")
        return found

    @property
    def task(self) -> str:
        """The class of the run's task, such as `NERTask`."""
        return str(self.config["model"].get("class_path", "")).rpartition(".")[2]

    @cached_property
    def settings(self) -> dict[str, str]:
        """Settings by their flags, and what else the result depends on."""
        found = {f"--{name}": _shown(value) for name, value in flat_settings(self.config)}
        if self.folder.report.is_file():
            text = self.folder.report.read_text(encoding="utf-8", errors="replace")
            facts = facts_of(text)
            found |= {name: facts[name] for name in _CIRCUMSTANCES if name in facts}
        if "git commit" in found:
            found["git commit"] = found["git commit"][:12]
        return found

    @cached_property
    def metrics(self) -> dict[str, float]:
        """All scores.

        Raises:
            RunError: `metrics.json` is damaged.
        """
        path = self.folder.metrics
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            return {str(name): float(value) for name, value in found.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise RunError(
                f"{path} is damaged ({error}). Test the run again, or leave it out: "
                "python -m recipes compare RUN_DIR RUN_DIR."
            ) from error

    @property
    def test_scores(self) -> dict[str, float]:
        """Scores of the test, without `test/`."""
        scores = self.metrics.items()
        return {
            name.removeprefix("test/"): value for name, value in scores if name.startswith("test/")
        }

    @property
    def labels(self) -> list[str]:
        """Labels that the model knows, in order; none where it is not known."""
        origin = (self.config["model"].get("init_args") or {}).get("backbone")
        for folder in (self.folder.model, Path(str(origin)), Path(str(origin)) / "model"):
            try:
                content = json.loads((folder / "zoo.json").read_text(encoding="utf-8"))
                return [str(label) for label in content["labels"]]
            except (OSError, ValueError, KeyError, TypeError):
                continue
        return []

    def records(self, fields: Mapping[str, type | tuple[type, ...]]) -> list[dict[str, Any]]:
        """The lines of `predictions.jsonl`.

        Args:
            fields: What each must hold, and of which type.

        Raises:
            DataError: A line is no such record.
        """
        path, found = self.folder.predictions, []
        for number, line in enumerate(_lines(path), start=1):
            try:
                record = json.loads(line)
            except ValueError:
                raise DataError(
                    "this line is no JSON object, so the file is damaged; test the run again.",
                    path=path,
                    line=number,
                ) from None
            for name, kind in fields.items():
                if not isinstance(record, dict) or not isinstance(record.get(name), kind):
                    raise DataError(
                        f"a prediction of {self.task} has {name!r} in it, and this line has not; "
                        "test the run again.",
                        path=path,
                        line=number,
                    )
            found.append(record)
        if not found:
            raise DataError("there is not one prediction in it.", path=path)
        return found


def _lines(path: Path) -> Iterator[str]:
    try:
        with path.open(encoding="utf-8") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise DataError(f"This is not UTF-8 ({error.reason}).", path=path) from None


def find_runs(names: Sequence[str], *, newest: int | None = 2) -> list[RecordedRun]:
    """The runs that are named, or are in the folders that are named, each once.

    Args:
        names: Folders of runs; folders of seeds, which stand for all their runs; folders with runs
            in them (`runs/ner`), of which the newest are taken that were tested, older ones first,
            or all seeds where seeds are what was run last; or folders of such folders (`runs`), of
            which the one with the newest run is taken.
        newest: How many to take of a folder; None for all.

    Raises:
        RunError: There is no such folder, no run in it, or a named run has no test.
    """
    found: dict[Path, RecordedRun] = {}
    for name in names:
        for run in _named(Path(name).expanduser(), newest):
            found.setdefault(run.folder.path.resolve(), run)
    if len(found) < 2:
        one = next(iter(found.values())).folder.path
        raise RunError(
            f"There is only one run with a test here, {one}, and a comparison takes two. Run the "
            "recipe again with other settings, or name the folders of two runs."
        )
    return list(found.values())


def _named(path: Path, newest: int | None) -> list[RecordedRun]:
    if path.is_file():
        raise RunError(f"{path} is a file, not the folder of a run.")
    if not path.is_dir():
        raise RunError(f"There is no folder {path}. A recipe leaves its runs in runs/TASK.")
    run = RecordedRun(RunFolder(path))
    if run.folder.config.is_file():
        _require_test(run)
        return [run]
    if is_group(path):
        return seeds_in(path)
    tested = _choose(path, newest)
    if not tested:
        raise RunError(
            f"{path} is not the folder of a run (there is no config.yaml in it), and there is no "
            "run with a test in it either."
        )
    return tested


def _choose(path: Path, newest: int | None) -> list[RecordedRun]:
    """Runs of a folder of runs, older ones first: the newest, or all seeds if those are newer."""
    path = task_folder(path)
    groups = groups_in(path)
    runs = (run for run in _runs_in(path) if run.test_scores)
    if newest is None:
        return sorted([*runs, *(run for group in groups for run in seeds_in(group))], key=_time)
    if newest_is_group(path):
        return seeds_in(groups[0])
    found = list(islice(runs, newest))
    if groups and len(found) < newest:
        found += seeds_in(groups[0])[:1]
    return found[::-1]


def task_folder(path: Path) -> Path:
    """The folder itself where runs lie in it, else the one in it that has the newest run."""
    if _runs_in(path) or groups_in(path):
        return path
    tasks = [folder for folder in _folders_in(path) if _runs_in(folder) or groups_in(folder)]
    return max(tasks, key=_newest_of_all, default=path)


def newest_is_group(path: Path) -> bool:
    """Whether of all that lies in a folder of runs, seeds were tested last."""
    groups, runs = groups_in(path), _runs_in(path)
    return bool(groups) and (not runs or _newest(groups[0]) > _time(runs[0]))


def groups_in(path: Path) -> list[Path]:
    """Folders of seeds of which at least one was tested, in a folder; the newest first."""
    found = [folder for folder in _folders_in(path) if is_group(folder) and _runs_in(folder)]
    return sorted(found, key=_newest, reverse=True)


def seeds_in(group: Path) -> list[RecordedRun]:
    """The tested runs of a folder of seeds, by seed.

    Raises:
        RunError: There is none.
    """
    found = [run for run in _runs_in(group) if run.test_scores]
    if not found:
        raise RunError(f"{group} holds seeds of which none was tested.")
    return sorted(found, key=lambda run: (int(run.config.get("seed_everything") or 0), run.name))


def _newest(group: Path) -> tuple[float, str]:
    return _time(_runs_in(group)[0])


def _newest_of_all(task: Path) -> tuple[float, str]:
    return max([_time(run) for run in _runs_in(task)[:1]] + [_newest(g) for g in groups_in(task)])


def _require_test(run: RecordedRun) -> None:
    path = run.folder.path
    if not run.folder.metrics.is_file() or not run.test_scores:
        raise RunError(
            f"{path} has no test scores: the run was not tested. Test its model: python -m recipes "
            f"NAME test --model.backbone {path / 'model'} ..., and compare the folder of that."
        )
    if not run.folder.predictions.is_file():
        raise RunError(f"{path} has test scores, but no predictions.jsonl; test the run again.")


def _folders_in(path: Path) -> list[Path]:
    return sorted(folder for folder in path.iterdir() if folder.is_dir())


def _runs_in(path: Path) -> list[RecordedRun]:
    """Runs in a folder that left predictions, the newest first."""
    folders = [RunFolder(folder) for folder in _folders_in(path)]
    runs = [
        RecordedRun(one)
        for one in folders
        if one.config.is_file() and one.metrics.is_file() and one.predictions.is_file()
    ]
    return sorted(runs, key=_time, reverse=True)


def _time(run: RecordedRun) -> tuple[float, str]:
    """When the run was tested last."""
    return run.folder.predictions.stat().st_mtime, run.name


def flat_settings(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """Settings with the names of their flags: `init_args` is not typed."""
    for key, value in settings.items():
        name = before if key == "init_args" else f"{before}.{key}" if before else str(key)
        if isinstance(value, dict) and value:
            yield from flat_settings(value, name)
        else:
            yield name, value


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


def differing(runs: Iterable[RecordedRun]) -> list[tuple[str, list[str]]]:
    """What differs between runs: a name, and the value of each run."""
    settings = [run.settings for run in runs]
    names = dict.fromkeys(name for one in settings for name in one)
    rows = [(name, [one.get(name, "-") for one in settings]) for name in names]
    return [(name, values) for name, values in rows if len(set(values)) > 1]
