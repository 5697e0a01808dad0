"""The search: Optuna chooses settings, a function tries them, a file keeps what came out."""

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from zoo.errors import ZooError
from zoo.tracking.search.space import Choice, Space, typed

if TYPE_CHECKING:
    import optuna

State = Literal["complete", "stopped", "failed"]


class FailedTrialError(Exception):
    """A trial that came to nothing; the search goes on."""


@dataclass(frozen=True)
class Tried:
    """A trial that is over.

    Args:
        number: From 0, in the order in which they were begun.
        state: `stopped` ones were worse than others after as many validations.
        value: Best score of its validations; None if it failed.
        settings: What was tried, by the flags' names.
        seconds: How long it took.
        error: Why it failed.
    """

    number: int
    state: State
    value: float | None
    settings: dict[str, str]
    seconds: float | None
    error: str | None


#: Tries a trial's settings (its number, the settings, what to call with each validation's score;
#: true from that means stop) and returns the best score.
Try = Callable[[int, dict[str, str], Callable[[float], bool]], float]


class StoppedTrialError(Exception):
    """A trial that was stopped because it was worse than others.

    Args:
        value: Its best score so far.
    """

    def __init__(self, value: float):
        super().__init__()
        self.value = value


class Search:
    """A search that can be interrupted at any time, and goes on where it was.

    Args:
        space: What to go through.
        file: Where trials are kept.
        seed: Fixes what is tried, together with what came out before.
        fixed: Parameters that the user has set, which are not searched.
    """

    def __init__(self, space: Space, file: Path, *, seed: int, fixed: Iterable[str] = ()):
        optuna = import_optuna()
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        self.space = space
        self.seed = seed
        self.parameters = {
            name: one for name, one in space.parameters.items() if name not in set(fixed)
        }
        if not self.parameters:
            raise ZooError(f"{space.path}: every parameter is set, so there is nothing to search.")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._study = optuna.create_study(
                study_name="search",
                storage=JournalStorage(JournalFileBackend(str(file))),
                direction="maximize" if space.maximize else "minimize",
                pruner=self._pruner(),
                load_if_exists=True,
            )

    @cached_property
    def grid(self) -> list[dict[str, str]] | None:
        """All settings there are, of a grid; None of what is drawn by chance."""
        if self.space.method != "grid":
            return None
        choices = [one.values for one in self.parameters.values() if isinstance(one, Choice)]
        return [dict(zip(self.parameters, one, strict=True)) for one in product(*choices)]

    def run(self, trials: int, attempt: Try, after: Callable[[Tried], None]) -> None:
        """Go on until so many trials are over.

        Args:
            trials: How many, with those that were over before.
            attempt: Tries settings.
            after: Called with each trial that is over.

        Raises:
            KeyboardInterrupt: Ctrl-C; the trial that was running is taken up again next time.
        """
        from optuna.trial import Trial, TrialState

        # A trial that was interrupted is still marked as running.
        begun = self._study.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        waiting = [Trial(self._study, one._trial_id) for one in begun]
        wanted = trials if self.grid is None else min(trials, len(self.grid))
        while len(self.tried()) < wanted:
            if waiting:
                trial = waiting.pop(0)
            else:
                trial = self._next(len(self._study.get_trials(deepcopy=False)))
            self._one(trial, attempt)
            after(next(one for one in self.tried() if one.number == trial.number))

    def _next(self, number: int) -> "optuna.Trial":
        self._study.sampler = self._sampler(number)
        if self.grid is not None:
            self._study.enqueue_trial(self.grid[number])
        trial: optuna.Trial = self._study.ask()
        return trial

    def _one(self, trial: "optuna.Trial", attempt: Try) -> None:
        from optuna.trial import TrialState

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            settings = {
                name: typed(one.suggest(trial, name)) for name, one in self.parameters.items()
            }
            trial.set_user_attr("settings", settings)
            seen: list[float] = []

            def report(value: float) -> bool:
                seen.append(value)
                trial.report(value, len(seen))
                return trial.should_prune()

            try:
                value = attempt(trial.number, settings, report)
            except StoppedTrialError as stopped:
                trial.set_user_attr("best", stopped.value)
                self._study.tell(trial, state=TrialState.PRUNED)
            except FailedTrialError as error:
                trial.set_user_attr("error", str(error))
                self._study.tell(trial, state=TrialState.FAIL)
            else:
                self._study.tell(trial, value)

    def tried(self) -> list[Tried]:
        """All trials that are over, in order."""
        from optuna.trial import TrialState

        states: dict[Any, State] = {
            TrialState.COMPLETE: "complete",
            TrialState.PRUNED: "stopped",
            TrialState.FAIL: "failed",
        }
        found = []
        for one in self._study.get_trials(deepcopy=False):
            if one.state in states:
                stopped = one.state == TrialState.PRUNED
                value = one.user_attrs.get("best") if stopped else one.value
                seconds = None if one.duration is None else one.duration.total_seconds()
                settings = dict(one.user_attrs.get("settings", {}))
                error = one.user_attrs.get("error")
                found.append(Tried(one.number, states[one.state], value, settings, seconds, error))
        return found

    def best(self) -> Tried | None:
        """The best trial that was not stopped; the first of equals."""
        return best_of(self.tried(), maximize=self.space.maximize)

    def _sampler(self, number: int) -> "optuna.samplers.BaseSampler":
        """What chooses the settings of one trial.

        Made anew for each, from the seed and the trial's number: what is tried is then the same
        whether the search was interrupted or not.
        """
        from optuna import samplers

        seed = self.seed + number
        if self.space.method in ("random", "grid"):
            return samplers.RandomSampler(seed=seed)
        return samplers.TPESampler(seed=seed, multivariate=True)

    def _pruner(self) -> "optuna.pruners.BasePruner":
        from optuna import pruners

        if self.space.first_stop is None:
            return pruners.NopPruner()
        return pruners.SuccessiveHalvingPruner(
            min_resource=self.space.first_stop, reduction_factor=self.space.reduction
        )


def best_of(tried: Iterable[Tried], *, maximize: bool) -> Tried | None:
    """The best trial that was not stopped; the first of equals."""
    done = [one for one in tried if one.state == "complete" and one.value is not None]
    choose = max if maximize else min
    return choose(done, key=lambda one: one.value or 0.0) if done else None


def import_optuna() -> Any:
    """Optuna, silenced.

    Raises:
        ZooError: It is not installed.
    """
    try:
        import optuna
    except ImportError:
        raise ZooError(
            "A search needs Optuna, which is not installed: "
            "pip install 'lightning-text-zoo[search]'"
        ) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    return optuna
