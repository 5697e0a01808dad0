"""What tests of W&B share: nobody's account, a stand-in of its server, readers of its files."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.tracking.wandb_stand_in import KEY, StandIn


@pytest.fixture
def nobodys_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no choice of a mode, and a home of its own."""
    for name in ("MODE", "API_KEY", "PROJECT", "ENTITY", "DIR", "BASE_URL", "RUN_ID", "SWEEP_ID"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.delenv("NETRC", raising=False)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


@pytest.fixture
def stand_in(nobodys_account: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A server of W&B, and an account there."""
    import wandb
    from wandb.sdk.lib import wbauth

    wandb.teardown()
    wbauth.unauthenticate_session(update_settings=False)  # what an earlier test was logged in to
    with StandIn() as server:
        monkeypatch.setenv("WANDB_BASE_URL", server.url)
        monkeypatch.setenv("WANDB_API_KEY", KEY)
        yield server
        wandb.teardown()


class Written:
    """What one run has written to its `.wandb` file."""

    def __init__(self, records: list[Any]) -> None:
        self.run: Any = None
        self.config: dict[str, Any] = {}
        self.summary: dict[str, Any] = {}
        self.history: list[dict[str, Any]] = []
        self.artifacts: list[Any] = []
        self.exit_code: int | None = None
        for record in records:
            kind = record.WhichOneof("record_type")
            if kind == "run":
                self.run = self.run or record.run
                self.config |= _items(record.run.config.update)
            elif kind == "config":
                self.config |= _items(record.config.update)
            elif kind == "summary":
                self.summary |= _items(record.summary.update)
            elif kind == "history":
                self.history.append(_items(record.history.item))
            elif kind == "artifact":
                self.artifacts.append(record.artifact)
            elif kind == "exit":
                self.exit_code = record.exit.exit_code

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The history without W&B's own columns, but for the step."""
        return [
            {key: value for key, value in row.items() if key == "_step" or key[0] != "_"}
            for row in self.history
        ]


def _items(items: Any) -> dict[str, Any]:
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


@pytest.fixture
def written(wandb_records: Callable[[Path], list[Any]]) -> Callable[[Path], Written]:
    """A function from the folder of an offline run that has ended to what is in it."""

    def read(folder: Path) -> Written:
        (path,) = folder.glob("run-*.wandb")
        return Written(wandb_records(path))

    return read
