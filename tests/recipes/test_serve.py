"""`recipes serve`: a real server process, started as people start it, under many clients."""

import builtins
import contextlib
import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from recipes.__main__ import main
from tests.serving.conftest import nearly, write_model

ROOT = Path(__file__).resolve().parents[2]
Tiny = Callable[[str], Path]

#: Most that 1,000 requests may leave in memory. Each sends or holds some kilobytes and every
#: tenth a megabyte, so that what stays of requests would be far more.
_GROWTH = 32 << 20


class Served(NamedTuple):
    """A server process and its address."""

    process: "subprocess.Popen[str]"
    host: str
    port: int

    def ask(self, body: bytes, **headers: str) -> tuple[int, Any]:
        """Status and answer of one request on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=240)
        try:
            return answer(connection, body, **headers)
        finally:
            connection.close()

    def health(self) -> dict[str, Any]:
        with contextlib.closing(
            http.client.HTTPConnection(self.host, self.port, timeout=240)
        ) as connection:
            connection.request("GET", "/health")
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found

    def anonymous_memory(self) -> int:
        """Bytes of the process that are of no file."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) << 10


def answer(connection: http.client.HTTPConnection, body: bytes, **headers: str) -> tuple[int, Any]:
    connection.request("POST", "/predict", body, headers)
    reply = connection.getresponse()
    return reply.status, json.loads(reply.read())


@pytest.fixture
def model(tiny: Tiny, tmp_path: Path) -> Path:
    return write_model("ner", tiny, tmp_path / "model")


@contextlib.contextmanager
def serving(*arguments: str | Path) -> Iterator[Served]:
    """A server started by the command line; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "recipes", "serve", *map(str, arguments), "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()  # ends with the process, if that dies
        found = re.match(r"serving at http://([\d.]+):(\d+) ", line)
        assert found is not None, (line, process.communicate(timeout=60))
        yield Served(process, found[1], int(found[2]))
    finally:
        process.kill()
        process.communicate()


def test_ctrl_c_answers_what_is_in_flight_and_ends_without_an_error(model: Path) -> None:
    with serving(model, "--max_wait_ms", "1500") as served:
        replies: list[tuple[int, Any]] = []
        asking = threading.Thread(
            target=lambda: replies.append(served.ask(b'{"text": "Ada lived in London ."}'))
        )
        asking.start()
        while served.health()["waiting"] < 1:
            assert asking.is_alive()
        served.process.send_signal(signal.SIGINT)
        asking.join(timeout=60)
        out, err = served.process.communicate(timeout=60)
    assert [status for status, _ in replies] == [200]
    assert replies[0][1]["predictions"][0]["text"] == "Ada lived in London ."
    assert served.process.returncode == 0
    assert out == "stopped\n"
    assert err == "\nAnswering what is in flight; Ctrl-C again stops at once.\n"


def test_a_port_that_is_taken_is_said_before_the_model_is_read(
    model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (model / "model.safetensors").write_bytes(b"")  # reading it would fail
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert main(["serve", str(model), "--port", str(port)]) == 2
    said = capsys.readouterr().err
    assert f"http://127.0.0.1:{port} cannot be listened on" in said
    assert "Choose another --port" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], "There is no folder nowhere"),
        ([".", "--port", "70000"], "--port 70000 is no port"),
        (["MODEL", "--max_batch_size", "0"], "--max_batch_size 0 is too small"),
        (["MODEL", "--max_wait_ms=-1"], "--max_wait_ms -1.0 is too small"),
        (["MODEL", "--host", "256.1.2.3.invalid"], "is no address of this machine"),
        (["MODEL", "--host", "192.0.2.1"], "cannot be listened on"),
    ],
)
def test_mistakes_of_the_command_line_are_sentences(
    arguments: list[str], words: str, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(model) if one == "MODEL" else one for one in arguments]
    assert main(["serve", *given]) == 2
    assert words in capsys.readouterr().err


def test_help_says_that_there_is_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["serve", "--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "There is no password" in said
    assert "127.0.0.1: this machine alone" in said


def test_what_has_to_be_installed_is_said(
    model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any, **named: Any) -> Any:
        if name == "uvicorn":
            raise ModuleNotFoundError("No module named 'uvicorn'", name="uvicorn")
        return real(name, *rest, **named)

    monkeypatch.setattr(builtins, "__import__", without)
    assert main(["serve", str(model)]) == 2
    assert "pip install 'lightning-text-zoo[serve]'" in capsys.readouterr().err


# Under load.


class Request(NamedTuple):
    """A request of the load, with the status and the predictions that are right."""

    body: bytes
    chunked: bool
    status: int
    expected: list[dict[str, Any]] | None


def requests_of(task: Any, count: int, chance: random.Random) -> list[Request]:
    """Requests of which seven in ten are good, and the others malformed or too large."""
    words = ["Ada", "Bob", "London", "fox", "lived", "in", "the", "Engine", "Company", "同样", "🦊"]
    made = []
    for number in range(count):
        kind = chance.random()
        texts = [
            f"{number} {at} " + " ".join(chance.choices(words, k=chance.randrange(1, 60)))
            for at in range(chance.choice((1, 1, 1, 2, 5)))
        ]
        records = [{"text": text} for text in texts]
        content: Any = records[0] if len(records) == 1 else {"inputs": records}
        body, status, chunked = json.dumps(content).encode(), 200, chance.random() < 0.2
        if kind > 0.95:
            body, status = body[: chance.randrange(1, len(body) - 1)], 400
        elif kind > 0.9:
            body, status = json.dumps({"inputs": [*records, {"txt": 1}]}).encode(), 422
        elif kind > 0.85:
            body, status = json.dumps({"text": "a" * 2001}).encode(), 413
        elif kind > 0.8:
            body, status = json.dumps({"inputs": records * 65}).encode(), 413
        elif kind > 0.7:
            body, status = body + b" " * (1 << 20), 413
        expected = None
        if status == 200:
            expected = [task.predict([text])[0].to_dict() for text in texts]
        made.append(Request(body, chunked, status, expected))
    return made


def put_through(served: Served, requests: list[Request], clients: int) -> list[tuple[int, Any]]:
    """Answers to requests by as many clients at a time, each with a connection that it keeps."""
    found: dict[int, tuple[int, Any]] = {}
    numbers = iter(range(len(requests)))
    lock = threading.Lock()

    def client() -> None:
        connection = http.client.HTTPConnection(served.host, served.port, timeout=240)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            one = requests[number]
            if one.chunked:
                parts = (one.body[at : at + 50_000] for at in range(0, len(one.body), 50_000))
                connection.request(
                    "POST",
                    "/predict",
                    parts,
                    {"Transfer-Encoding": "chunked"},
                    encode_chunked=True,
                )
                reply = connection.getresponse()
                found[number] = reply.status, json.loads(reply.read())
            else:
                found[number] = answer(connection, one.body)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [found[number] for number in sorted(found)]


@pytest.mark.slow
def test_a_thousand_requests_of_sixteen_clients_are_all_answered_as_they_should_be(
    model: Path,
) -> None:
    from zoo import NERTask

    task, chance = NERTask.from_run(model), random.Random(11)
    warm_up, requests = requests_of(task, 300, chance), requests_of(task, 1000, chance)
    assert {one.status for one in requests} == {200, 400, 413, 422}
    with serving(model, "--max_characters", "2000") as served:
        put_through(served, warm_up, 16)
        before, counted = served.anonymous_memory(), served.health()
        start = time.monotonic()
        answers = put_through(served, requests, 16)
        seconds = time.monotonic() - start
        after, health = served.anonymous_memory(), served.health()
    print(f"{1000 / seconds:.0f} requests/s; {(after - before) / 2**20:+.1f} MiB; {health}")
    assert len(answers) == len(requests), "none is lost"
    for request, (status, content) in zip(requests, answers, strict=True):
        assert status == request.status, content
        if request.expected is None:
            assert list(content) == ["error"]
            assert len(content["error"]) > 20
        else:
            assert content == {"predictions": nearly(request.expected)}
    good = sum(len(one.expected) for one in requests if one.expected is not None)
    assert health["inputs"] - counted["inputs"] == good, "what was refused never reached the model"
    assert health["waiting"] == 0
    assert health["together"] > good / 2
    assert after - before < _GROWTH
