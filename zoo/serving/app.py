"""The web application around a trained task."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import HTTPException
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.requests import ClientDisconnect

import zoo
from zoo import backbones
from zoo.errors import ZooError
from zoo.serving.batching import Batcher, FullQueueError
from zoo.serving.guard import Guard
from zoo.serving.limits import Limits
from zoo.serving.page import page_of
from zoo.serving.reading import inputs_of, read_body
from zoo.serving.wire import Answers, Health, Info, Problem, RequestError
from zoo.training.task import FineTuningTask

_log = logging.getLogger("zoo.serving")
_UNEXPECTED = "Something went wrong in the server; its terminal says what."
#: Nobody reads it: the client has gone.
_GONE = 499


def create_app(
    task: FineTuningTask, *, limits: Limits | None = None, hosts: Iterable[str] | None = ()
) -> FastAPI:
    """An application that serves a trained task.

    Args:
        task: The task, ready to predict.
        limits: What is taken from clients.
        hosts: Names that clients may call the server by, beside `localhost` and addresses in
            numbers; None for any name.
    """
    limits = limits or Limits()
    info = info_of(task, limits)
    page = page_of(info, limits)
    batcher = Batcher(
        lambda inputs: _predictions(task, inputs, limits.max_batch_size),
        max_batch_size=limits.max_batch_size,
        max_wait=limits.max_wait_ms / 1000,
        max_queue=limits.max_queue,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with batcher:
            yield

    app = FastAPI(
        title=f"{info.family}: {info.backbone}",
        version=zoo.__version__,
        lifespan=lifespan,
        docs_url=None,  # these two load scripts from elsewhere
        redoc_url=None,
        responses={status: {"model": Problem} for status in (400, 403, 500)},
    )
    app.add_middleware(Guard, max_requests=limits.max_requests, hosts=hosts)
    _handle_errors(app)

    @app.api_route("/", methods=["GET", "HEAD"], include_in_schema=False)
    async def show_page() -> HTMLResponse:
        return HTMLResponse(page.html, headers={"Content-Security-Policy": page.policy})

    @app.get("/health")
    async def health() -> Health:
        """Whether the server is up, and what it has done."""
        return Health(waiting=batcher.waiting, **vars(batcher.counts))

    @app.get("/info")
    async def show_info() -> Info:
        """What is served, and the limits."""
        return info

    @app.post(
        "/predict",
        response_model=Answers,
        responses={status: {"model": Problem} for status in (408, 413, 415, 422, 503)},
        openapi_extra={"requestBody": _body_schema()},
    )
    async def predict(request: Request) -> Response:
        """Predictions on one input, or on several as `{"inputs": [...]}`, in their order."""
        inputs = inputs_of(await read_body(request, limits), task.input_of, limits)
        try:
            waiting = batcher.put(inputs)
        except FullQueueError:
            raise RequestError(
                503,
                "The server has more to do than it may keep waiting. Try again in a moment.",
                headers={"Retry-After": "1"},
            ) from None
        outcomes = await _unless_gone(request, waiting)
        for number, outcome in enumerate(outcomes):
            if isinstance(outcome, ZooError):
                place = f"inputs[{number}]: " if len(outcomes) > 1 else ""
                raise RequestError(422, f"{place}{outcome}")
            if isinstance(outcome, BaseException):
                raise outcome
        return JSONResponse({"predictions": outcomes})

    return app


def info_of(task: FineTuningTask, limits: Limits) -> Info:
    """What clients may know of a task."""
    known = backbones.metadata(task.backbone)
    return Info(
        task=type(task).__name__,
        family=task.family,
        backbone=known.get("backbone") or task.net.config.model_type,
        recipe=known.get("recipe"),
        labels=task.known_labels,
        pairs=known.get("encoding", {}).get("pairs"),
        limits=asdict(limits),
        version=zoo.__version__,
    )


def _predictions(
    task: FineTuningTask, inputs: Sequence[Any], batch_size: int
) -> list[dict[str, Any]]:
    return [one.to_dict() for one in task.predict(inputs, batch_size=batch_size)]


async def _unless_gone(request: Request, waiting: "Sequence[asyncio.Future[Any]]") -> list[Any]:
    """The outcomes, once all are there.

    Raises:
        ClientDisconnect: The client went away; what still waits is taken from the queue.
    """
    gone = asyncio.create_task(_disconnected(request))
    outcomes = asyncio.gather(*waiting, return_exceptions=True)
    try:
        both: set[asyncio.Future[Any]] = {gone, outcomes}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if not outcomes.done():
            raise ClientDisconnect
        return list(outcomes.result())
    finally:
        gone.cancel()
        for one in waiting:
            one.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _handle_errors(app: FastAPI) -> None:
    """Every answer that is no success is `{"error": SENTENCE}`."""

    @app.exception_handler(RequestError)
    async def refused(request: Request, error: RequestError) -> JSONResponse:
        return JSONResponse({"error": error.sentence}, error.status, headers=error.headers)

    @app.exception_handler(StarletteHTTPException)
    async def http_error(request: Request, error: HTTPException) -> JSONResponse:
        path = request.url.path[:100]
        sentence = {
            404: f"There is nothing at {path}; there are /, /predict, /info and /health.",
            405: f"{path} does not take {request.method[:20]}"
            f"{', send a POST' if path == '/predict' else ''}.",
        }.get(error.status_code, str(error.detail))
        return JSONResponse({"error": sentence}, error.status_code, headers=error.headers)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return Response(status_code=_GONE)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> JSONResponse:
        _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
        return JSONResponse({"error": _UNEXPECTED}, 500)


def _body_schema() -> dict[str, Any]:
    record = {"type": "object", "description": "As a line of JSON for `recipes predict`."}
    several = {
        "type": "object",
        "properties": {"inputs": {"type": "array", "items": record}},
        "required": ["inputs"],
    }
    content = {"application/json": {"schema": {"anyOf": [record, several]}}}
    return {"required": True, "content": content}
