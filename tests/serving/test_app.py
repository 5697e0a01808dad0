"""The application around tiny models of all tasks: answers, refusals, and what it gives away."""

import asyncio
import base64
import hashlib
import json
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.serving.conftest import KINDS, RECORDS, nearly
from zoo.errors import DataError
from zoo.serving.app import create_app
from zoo.serving.limits import Limits
from zoo.training.task import FineTuningTask

TaskOf = Callable[[str], FineTuningTask]
AT_HOME = "http://localhost"


def client_of(task: FineTuningTask, **limits: Any) -> TestClient:
    app = create_app(task, limits=Limits(**limits))
    return TestClient(app, base_url=AT_HOME, raise_server_exceptions=False)


class Stub:
    """Stands before a task and does something else when it is to predict."""

    def __init__(self, task: FineTuningTask, predict: Callable[..., Any]):
        self._task = task
        self.predict = predict

    def __getattr__(self, name: str) -> Any:
        return getattr(self._task, name)


def stubbed(task: FineTuningTask, predict: Callable[..., Any]) -> Any:
    return Stub(task, predict)


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_is_what_the_task_predicts(kind: str, task_of: TaskOf) -> None:
    task, record = task_of(kind), RECORDS[kind]
    expected = [one.to_dict() for one in task.predict([task.input_of(record)])]
    with client_of(task) as client:
        reply = client.post("/predict", json=record)
        assert (reply.status_code, reply.json()) == (200, {"predictions": nearly(expected)})
        reply = client.post("/predict", json={"inputs": [record, record]})
        assert reply.json() == {"predictions": nearly(expected * 2)}
        assert client.get("/health").json() == {
            "status": "ok",
            "waiting": 0,
            "inputs": 3,
            "batches": 2,
            "together": 2,
        }
        info = client.get("/info").json()
        assert (info["family"], info["task"]) == (task.family, type(task).__name__)
        assert info["labels"] == task.labels
        assert info["limits"]["max_inputs"] == 64
        assert info["limits"]["max_bytes"] >= 1 << 20
        assert "/" not in json.dumps([info["backbone"], info["recipe"]])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "text", ["", " \n", "\0", "a\0b\x1f", "👩‍🚀" * 50, "\u202e\ufeff\u0301", "同样 的"]
)
def test_odd_texts_are_answered(kind: str, text: str, task_of: TaskOf) -> None:
    record = {name: value if name == "id" else text for name, value in RECORDS[kind].items()}
    with client_of(task_of(kind)) as client:
        reply = client.post("/predict", json=record)
    assert reply.status_code == 200, reply.text
    assert len(reply.json()["predictions"]) == 1


def test_what_only_the_model_can_refuse_is_refused_for_its_sender_alone(task_of: TaskOf) -> None:
    task = task_of("pairs")
    with client_of(task, max_wait_ms=300) as client:
        replies: dict[str, Any] = {}

        def ask(name: str, record: dict[str, str]) -> None:
            replies[name] = client.post("/predict", json=record)

        good = [{"text": f"fox {n}", "text2": "dog"} for n in range(3)]
        records = {"bad": {"text": "alone"}, **{str(n): one for n, one in enumerate(good)}}
        threads = [threading.Thread(target=ask, args=item) for item in records.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert replies["bad"].status_code == 422
        assert "trained on pairs of texts" in replies["bad"].json()["error"]
        for number, record in enumerate(good):
            expected = task.predict([task.input_of(record)])[0].to_dict()
            assert replies[str(number)].json() == {"predictions": [nearly(expected)]}
        several = client.post("/predict", json={"inputs": [good[0], {"text": "alone"}]})
        assert several.status_code == 422
        assert several.json()["error"].startswith("inputs[1]: This model was trained on pairs")


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/predict", 405, "/predict does not take GET, send a POST"),
        ("PUT", "/predict", 405, "/predict does not take PUT"),
        ("POST", "/", 405, "/ does not take POST"),
        ("GET", "/nothing", 404, "There is nothing at /nothing"),
        ("GET", "/../../etc/passwd", 404, "There is nothing at"),
        ("GET", "/docs", 404, "There is nothing at /docs"),
        ("POST", "/predict/x", 404, "There is nothing at /predict/x"),
    ],
)
def test_other_addresses_and_methods_are_refused_in_words(
    method: str, path: str, status: int, words: str, task_of: TaskOf
) -> None:
    with client_of(task_of("ner")) as client:
        reply = client.request(method, path)
    assert reply.status_code == status
    assert list(reply.json()) == ["error"]
    assert words in reply.json()["error"]
    if status == 405:
        assert "POST" in reply.headers["allow"] or "GET" in reply.headers["allow"]


def test_refusals_come_as_json_with_their_status(task_of: TaskOf) -> None:
    with client_of(task_of("ner"), max_characters=20) as client:
        for body, status in ((b"{", 400), (b'{"text": 1}', 422), (b'{"text": "%s"}', 413)):
            reply = client.post("/predict", content=body.replace(b"%s", b"a" * 21))
            assert reply.status_code == status
            assert list(reply.json()) == ["error"]
        reply = client.post("/predict", content=b"x", headers={"Content-Encoding": "gzip"})
        assert (reply.status_code, reply.json()["error"]) == (
            415,
            "Send the body as it is, not as gzip.",
        )
        assert client.get("/health").json()["inputs"] == 0, "nothing of this reached the model"


def test_a_defect_is_logged_and_not_shown(
    task_of: TaskOf, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(inputs: Sequence[Any], *, batch_size: int) -> Any:
        raise ZeroDivisionError("secret of line 7")

    with (
        caplog.at_level(logging.ERROR, "zoo.serving"),
        client_of(stubbed(task_of("ner"), broken)) as client,
    ):
        reply = client.post("/predict", json={"text": "a"})
        assert reply.status_code == 500
        assert list(reply.json()) == ["error"]
        assert not re.search("secret|Traceback|ZeroDivision|line 7|File", reply.text)
        assert client.get("/health").status_code == 200
    assert "secret of line 7" in caplog.text
    assert "Traceback" in caplog.text


def test_an_error_that_a_user_can_mend_is_a_sentence(task_of: TaskOf) -> None:
    def refuses(inputs: Sequence[Any], *, batch_size: int) -> Any:
        raise DataError("Give a longer text.")

    with client_of(stubbed(task_of("ner"), refuses)) as client:
        reply = client.post("/predict", json={"text": "a"})
    assert (reply.status_code, reply.json()) == (422, {"error": "Give a longer text."})


def test_a_full_queue_says_when_to_come_again(task_of: TaskOf) -> None:
    task = task_of("ner")
    held, inside = threading.Event(), threading.Event()

    def slow(inputs: Sequence[Any], *, batch_size: int) -> Any:
        inside.set()
        assert held.wait(60)
        return task.predict(inputs, batch_size=batch_size)

    with client_of(stubbed(task, slow), max_queue=1, max_wait_ms=0) as client:
        answered: list[int] = []

        def ask() -> None:
            answered.append(client.post("/predict", json={"text": "a"}).status_code)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        threads[0].start()
        assert inside.wait(60)
        threads[1].start()
        while client.get("/health").json()["waiting"] < 1:
            pass
        reply = client.post("/predict", json={"text": "b"})
        held.set()
        for thread in threads:
            thread.join()
    assert reply.status_code == 503
    assert int(reply.headers["retry-after"]) >= 1
    assert "Try again" in reply.json()["error"]
    assert answered == [200, 200]


def _scope(path: str = "/predict", **headers: str) -> dict[str, Any]:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "POST",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(b"host", b"localhost"), *pairs],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 2),
    }


async def _ask(app: Any, parts: AsyncIterator[dict[str, Any]], **headers: str) -> tuple[int, bytes]:
    """Status and body of a request whose parts come as told."""
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return await anext(parts)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    async with app.router.lifespan_context(app):
        await app(_scope(**headers), receive, send)
    return sent[0]["status"], b"".join(one.get("body", b"") for one in sent[1:])


def test_a_body_that_is_too_large_is_refused_before_it_is_read(task_of: TaskOf) -> None:
    app = create_app(task_of("ner"))
    read = 0

    async def parts() -> AsyncIterator[dict[str, Any]]:
        nonlocal read
        while True:
            read += 1 << 16
            yield {"type": "http.request", "body": b" " * (1 << 16), "more_body": True}

    status, body = asyncio.run(_ask(app, parts()))
    assert status == 413
    assert b"at most 1,048,576 bytes" in body
    assert read <= (1 << 20) + (1 << 16)
    read = 0
    for declared in (str(1 << 21), "9" * 5000, "-1"):
        status, _ = asyncio.run(_ask(app, parts(), content_length=declared))
        assert (status, read) == (413, 0)


def test_a_body_that_never_ends_is_given_up(task_of: TaskOf) -> None:
    app = create_app(task_of("ner"), limits=Limits(body_seconds=0.05))

    async def parts() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": b'{"te', "more_body": True}
        await asyncio.sleep(60)

    status, body = asyncio.run(_ask(app, parts()))
    assert status == 408
    assert b"within 0.05 seconds" in body


def test_inputs_of_a_client_who_went_away_are_not_predicted(task_of: TaskOf) -> None:
    seen: list[Any] = []

    def noted(inputs: Sequence[Any], *, batch_size: int) -> Any:
        seen.extend(inputs)
        return task_of("ner").predict(inputs)

    app = create_app(stubbed(task_of("ner"), noted), limits=Limits(max_wait_ms=200))

    async def parts() -> AsyncIterator[dict[str, Any]]:
        yield {"type": "http.request", "body": b'{"text": "gone"}', "more_body": False}
        yield {"type": "http.disconnect"}

    status, body = asyncio.run(_ask(app, parts()))
    assert (status, body, seen) == (499, b"", [])


def test_more_requests_at_a_time_than_may_be_are_refused_unread(task_of: TaskOf) -> None:
    app = create_app(task_of("ner"), limits=Limits(max_requests=1, body_seconds=0.5))

    async def slowly() -> AsyncIterator[dict[str, Any]]:
        await asyncio.sleep(60)
        yield {}

    async def run() -> list[int]:
        statuses: list[int] = []

        async def one() -> None:
            sent: list[dict[str, Any]] = []
            parts = slowly()

            async def send(message: dict[str, Any]) -> None:
                sent.append(message)

            await app(_scope(), parts.__anext__, send)  # type: ignore[arg-type]
            statuses.append(sent[0]["status"])

        async with app.router.lifespan_context(app):
            await asyncio.gather(one(), one())
        return statuses

    assert asyncio.run(run()) == [503, 408]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Host": "localhost:8000"}, 200),
        ({"Host": "127.0.0.1:8000"}, 200),
        ({"Host": "[::1]:8000"}, 200),
        ({"Host": "LOCALHOST"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "localhost.evil.example"}, 403),
        ({"Host": "[bad"}, 403),
        ({"Host": "localhost", "Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "localhost", "Sec-Fetch-Site": "same-origin"}, 200),
        ({"Host": "localhost", "Sec-Fetch-Site": "none"}, 200),
    ],
)
def test_pages_of_others_cannot_ask(headers: dict[str, str], status: int, task_of: TaskOf) -> None:
    with client_of(task_of("ner")) as client:
        reply = client.post("/predict", json={"text": "a"}, headers=headers)
    assert reply.status_code == status
    assert "access-control-allow-origin" not in reply.headers


def test_under_another_host_any_name_will_do(task_of: TaskOf) -> None:
    app = create_app(task_of("ner"), hosts=None)
    with TestClient(app, base_url="http://models.example") as client:
        assert client.post("/predict", json={"text": "a"}).status_code == 200


def test_the_page_loads_nothing_and_runs_no_script_but_its_own(task_of: TaskOf) -> None:
    with client_of(task_of("ner")) as client:
        reply = client.get("/")
        assert client.head("/").status_code == 200
        schema = client.get("/openapi.json").text
    page = reply.text
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    policy = reply.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind, source in (("script", r"<script>(.*?)</script>"), ("style", r"<style>(.*?)</style>")):
        (text,) = re.findall(source, page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert not re.search(r"(src|href)=\"(https?:)?//|@import|url\(|innerHTML", page)
    assert "http" not in schema.replace("https://json-schema.org", "").replace("HTTP", "")


def test_what_a_model_is_called_is_escaped(task_of: TaskOf) -> None:
    from zoo.serving.page import page_of
    from zoo.serving.wire import Info

    nasty = "</script><script>alert(1)</script>"
    info = Info(
        task="T",
        family="ner",
        backbone=nasty,
        recipe=nasty,
        labels=[f"B-{nasty}"],
        pairs=None,
        limits={},
        version="1",
    )
    html = page_of(info, Limits()).html
    assert nasty not in html
    assert "&lt;/script&gt;&lt;script&gt;alert(1)" in html
    assert html.count("<script") == 2
