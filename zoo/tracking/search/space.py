"""What a search goes through: the file of a W&B sweep, read for a search on this machine."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import yaml

from zoo.errors import DataError

if TYPE_CHECKING:
    import optuna

Method = Literal["bayes", "random", "grid"]

#: Distributions over a range that are known here: on a logarithmic scale, and of whole numbers.
_RANGES = {
    "uniform": (False, False),
    "q_uniform": (False, False),
    "int_uniform": (False, True),
    "log_uniform_values": (True, False),
    "q_log_uniform_values": (True, False),
}


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, rounded to multiples of `quantum` where there is one."""

    low: float
    high: float
    log: bool = False
    whole: bool = False
    quantum: float | None = None

    def suggest(self, trial: "optuna.Trial", name: str) -> float | int:
        """A value for a trial."""
        if self.whole:
            return trial.suggest_int(name, int(self.low), int(self.high))
        value = trial.suggest_float(name, self.low, self.high, log=self.log)
        return value if self.quantum is None else self._rounded(value, self.quantum)

    def _rounded(self, value: float, quantum: float) -> float | int:
        # 0.3 / 0.1 is a little below 3 in binary.
        least, most = math.ceil(self.low / quantum - 1e-9), math.floor(self.high / quantum + 1e-9)
        count = min(max(round(value / quantum), least), most)
        return count * quantum if isinstance(quantum, int) else float(f"{count * quantum:.10g}")


@dataclass(frozen=True)
class Choice:
    """Some values, each as it is typed on the command line."""

    values: Sequence[str]

    def suggest(self, trial: "optuna.Trial", name: str) -> str:
        """A value for a trial."""
        return str(trial.suggest_categorical(name, list(self.values)))


@dataclass(frozen=True)
class Space:
    """A sweep's file.

    Args:
        path: The file.
        method: How values are chosen.
        metric: The score of the validation that a search makes better.
        maximize: Whether higher is better.
        parameters: What is searched through, by the flags' names without `--`.
        fixed: What every trial is given.
        first_stop: Validations before a trial may be stopped for being worse; None for never.
        reduction: One of so many trials goes on at each stop.
    """

    path: Path
    method: Method
    metric: str
    maximize: bool
    parameters: Mapping[str, Range | Choice]
    fixed: Mapping[str, str]
    first_stop: int | None = None
    reduction: int = 3


def typed(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return f"{value:.6g}"
    return json.dumps(value)


def read_space(path: Path) -> Space:
    """Read the file of a sweep.

    Raises:
        DataError: The file cannot be read, or asks for what a local search does not know.
    """
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"this is no YAML ({' '.join(str(error).split())}).", path=path) from None
    if not isinstance(found, dict) or not isinstance(found.get("parameters"), dict):
        raise DataError("a sweep has `method`, `metric` and `parameters` in it.", path=path)
    method = found.get("method")
    if method not in ("bayes", "random", "grid"):
        raise DataError(f"method {method!r} is none of bayes, random and grid.", path=path)
    metric = found.get("metric")
    if not isinstance(metric, dict) or not isinstance(metric.get("name"), str):
        raise DataError("metric needs a `name`, such as val/f1, and a `goal`.", path=path)
    goal = metric.get("goal", "minimize")
    if goal not in ("maximize", "minimize"):
        raise DataError(f"metric: goal {goal!r} is neither maximize nor minimize.", path=path)
    parameters: dict[str, Range | Choice] = {}
    fixed: dict[str, str] = {}
    for name, given in found["parameters"].items():
        if not isinstance(given, dict):
            raise DataError(f"parameters: {name} needs `values`, or `min` and `max`.", path=path)
        if "value" in given:
            fixed[str(name)] = typed(given["value"])
        else:
            parameters[str(name)] = _parameter(str(name), given, path)
    first_stop, reduction = _early(found.get("early_terminate"), path)
    if method == "grid" and not all(isinstance(one, Choice) for one in parameters.values()):
        raise DataError("method grid takes parameters with `values` only.", path=path)
    return Space(
        path, method, metric["name"], goal == "maximize", parameters, fixed, first_stop, reduction
    )


def _parameter(name: str, given: Mapping[str, Any], path: Path) -> Range | Choice:
    kind = given.get("distribution")
    if "values" in given:
        values = given["values"]
        if kind not in (None, "categorical") or not isinstance(values, list) or not values:
            raise DataError(f"parameters: {name}: `values` is a list of choices.", path=path)
        if "probabilities" in given:
            raise DataError(
                f"parameters: {name}: a local search gives all values the same chance; leave "
                "`probabilities` out.",
                path=path,
            )
        return Choice([typed(value) for value in values])
    low, high = given.get("min"), given.get("max")
    if not all(_is_number(end) for end in (low, high)):
        raise DataError(
            f"parameters: {name} needs `value`, `values`, or the numbers `min` and `max`"
            + _float_hint(low, high),
            path=path,
        )
    assert low is not None
    assert high is not None
    if kind is None:
        kind = "int_uniform" if isinstance(low, int) and isinstance(high, int) else "uniform"
    if kind not in _RANGES:
        raise DataError(
            f"parameters: {name}: the distribution {kind!r} is not known to a local search; there "
            f"are {', '.join(_RANGES)} and categorical.",
            path=path,
        )
    log, whole = _RANGES[kind]
    quantum = given.get("q", 1) if kind.startswith("q_") else None
    if low >= high or (log and low <= 0):
        raise DataError(
            f"parameters: {name}: min {low} and max {high} are no range"
            + (" on a logarithmic scale (min must be above 0)." if log else "."),
            path=path,
        )
    if quantum is not None and (not _is_number(quantum) or not 0 < quantum <= high):
        raise DataError(f"parameters: {name}: q {quantum} is no step within the range.", path=path)
    if whole and not (isinstance(low, int) and isinstance(high, int)):
        raise DataError(f"parameters: {name}: int_uniform takes whole numbers.", path=path)
    return Range(low, high, log, whole, quantum)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _float_hint(low: Any, high: Any) -> str:
    """YAML takes 1e-5 for text."""
    if any(isinstance(end, str) and "e" in end.lower() for end in (low, high)):
        return " (YAML reads 1e-5 as text: write 1.0e-5)."
    return "."


def _early(given: Any, path: Path) -> tuple[int | None, int]:
    if given is None:
        return None, 3
    if not isinstance(given, dict) or given.get("type") != "hyperband":
        raise DataError("early_terminate: `type: hyperband` is the only one there is.", path=path)
    first, reduction = given.get("min_iter"), given.get("eta", 3)
    if not isinstance(first, int) or first < 1:
        raise DataError(
            "early_terminate: `min_iter` is the number of validations before the first stop: at "
            "least 1.",
            path=path,
        )
    if not isinstance(reduction, int) or reduction < 2:
        raise DataError("early_terminate: `eta` must be a whole number of at least 2.", path=path)
    return first, reduction
