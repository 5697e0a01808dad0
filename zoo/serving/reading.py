"""From the body of a request to what a task predicts on; all that is wrong is a sentence."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from starlette.requests import Request

from zoo.errors import DataError
from zoo.serving.limits import Limits
from zoo.serving.wire import RequestError

_TOO_LARGE, _UNPROCESSABLE = 413, 422
#: Characters of a sentence that a task says.
_LONGEST = 250


async def read_body(request: Request, limits: Limits) -> bytes:
    """The body, of which never more than the limit is held.

    Raises:
        RequestError: It is longer, comes too slowly, or is compressed.
        ClientDisconnect: The client went away.
    """
    coding = request.headers.get("content-encoding", "identity").strip().lower()
    if coding != "identity":
        raise RequestError(415, f"Send the body as it is, not as {coding[:40]}.")
    too_large = RequestError(
        _TOO_LARGE,
        f"The body may have at most {limits.max_bytes:,} bytes. Send fewer inputs at a time.",
    )
    declared = request.headers.get("content-length", "0")
    # Python refuses to read thousands of digits as a number.
    if not declared.isdecimal() or len(declared) > 20 or int(declared) > limits.max_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_seconds):
            async for part in request.stream():
                if len(body) + len(part) > limits.max_bytes:
                    raise too_large
                body += part
    except TimeoutError:
        raise RequestError(
            408,
            f"The body did not arrive within {limits.body_seconds:g} seconds.",
            headers={"Connection": "close"},
        ) from None
    return bytes(body)


def inputs_of(
    body: bytes, input_of: Callable[[Mapping[str, Any]], Any], limits: Limits
) -> list[Any]:
    """What a task predicts on, from a body: one object, or `{"inputs": [OBJECT, ...]}`.

    Args:
        body: As it was sent.
        input_of: The task's own way from an object to its input.
        limits: What is taken.

    Raises:
        RequestError: The body is no JSON in UTF-8, or an input is none of the task's, or too long.
    """
    content = _parsed(body)
    if not isinstance(content, dict):
        raise RequestError(
            _UNPROCESSABLE,
            f'Send one JSON object, or {{"inputs": [OBJECT, ...]}}; this is {_kind_of(content)}.',
        )
    if "inputs" not in content:
        return [_input(content, "", input_of, limits)]
    records = content["inputs"]
    others = [name for name in content if name != "inputs"]
    if others:
        raise RequestError(
            _UNPROCESSABLE, f'Beside "inputs" nothing is taken; there is "{others[0][:60]}".'
        )
    if not isinstance(records, list):
        raise RequestError(
            _UNPROCESSABLE, f'"inputs" must be a list of objects; it is {_kind_of(records)}.'
        )
    if len(records) > limits.max_inputs:
        raise RequestError(
            _TOO_LARGE,
            f"A request may have at most {limits.max_inputs:,} inputs; this one has "
            f"{len(records):,}.",
        )
    found = []
    for number, record in enumerate(records):
        place = f"inputs[{number}]: "
        if not isinstance(record, dict):
            raise RequestError(
                _UNPROCESSABLE, f"{place}An input must be an object; it is {_kind_of(record)}."
            )
        found.append(_input(record, place, input_of, limits))
    return found


def _input(
    record: Mapping[str, Any],
    place: str,
    input_of: Callable[[Mapping[str, Any]], Any],
    limits: Limits,
) -> Any:
    characters = _characters(record)
    if characters > limits.max_characters:
        raise RequestError(
            _TOO_LARGE,
            f"{place}An input may have at most {limits.max_characters:,} characters; this one has "
            f"{characters:,}.",
        )
    contexts = record.get("contexts")
    if isinstance(contexts, list) and len(contexts) > limits.max_contexts:
        raise RequestError(
            _TOO_LARGE,
            f"{place}A question may be asked on at most {limits.max_contexts:,} texts; these are "
            f"{len(contexts):,}.",
        )
    try:
        return input_of(record)
    except DataError as error:
        sentence = str(error)  # may name all that was sent
        cut = sentence if len(sentence) <= _LONGEST else f"{sentence[:_LONGEST]}…"
        raise RequestError(_UNPROCESSABLE, f"{place}{cut}") from None
    except RecursionError:
        raise RequestError(_UNPROCESSABLE, f"{place}It is nested too deeply.") from None


def _parsed(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise RequestError(
            400, f"The body is not UTF-8 ({error.reason}, byte {error.start + 1})."
        ) from None
    if not text.strip():
        raise RequestError(400, "The body is empty; send a JSON object.")
    try:
        content = json.loads(text, parse_constant=_no_number)
        # JSON can write half of a surrogate pair, which no tokenizer accepts.
        if "\\ud" in text.lower():
            json.dumps(content, ensure_ascii=False).encode("utf-8")
    except json.JSONDecodeError as error:
        raise RequestError(
            400, f"Broken JSON ({error.msg}, line {error.lineno}, column {error.colno})."
        ) from None
    except UnicodeEncodeError:
        raise RequestError(
            400,
            r"The text holds half of a surrogate pair (such as \ud83d), which is no character.",
        ) from None
    except RecursionError:
        raise RequestError(400, "The JSON is nested too deeply.") from None
    except ValueError as error:
        raise RequestError(400, f"Broken JSON ({str(error).split(':')[0]}).") from None
    return content


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _characters(record: Mapping[str, Any]) -> int:
    """Characters of all texts in an object; whatever is no text counts as one.

    That each empty text in a list costs something keeps long lists of them out.
    """
    total, waiting = 0, list(record.values())
    while waiting:
        one = waiting.pop()
        total += max(1, len(one)) if isinstance(one, str) else 1
        if isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
    return total


def _kind_of(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true or false"
    kinds = {dict: "an object", list: "a list", str: "a string", int: "a number", float: "a number"}
    return kinds[type(value)]
