"""What every request passes: whose it is, how many there are, and headers that browsers heed."""

import ipaddress
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class Guard:
    """Refuses what web pages of others send here, and more requests at a time than may be.

    A server without passwords on this machine can be reached by every page that its user opens:
    a page may send a request across sites, or have its own name lead here. Neither is answered.

    Args:
        app: What is guarded.
        max_requests: Most requests that are read or answered at a time.
        hosts: Names that a request may call the server by, beside `localhost` and addresses in
            numbers; None for any name.
    """

    def __init__(self, app: ASGIApp, *, max_requests: int, hosts: Iterable[str] | None):
        self.app = app
        self.max_requests = max_requests
        self.hosts = None if hosts is None else {"localhost", *map(str.lower, hosts)}
        self._open = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        refused = self._refused(scope)
        if refused is not None:
            await refused(scope, receive, with_headers)
            return
        self._open += 1
        try:
            await self.app(scope, receive, with_headers)
        finally:
            self._open -= 1

    def _refused(self, scope: Scope) -> JSONResponse | None:
        headers = Headers(scope=scope)
        if self.hosts is not None and not self._is_ours(headers.get("host", "")):
            return _problem(
                403,
                "This server is asked by an address of this machine, such as "
                "http://localhost; start it with another --host to reach it by other names.",
            )
        if scope["method"] == "POST" and headers.get("sec-fetch-site") == "cross-site":
            return _problem(403, "Pages of other sites may not ask this server.")
        if self._open >= self.max_requests:
            return _problem(503, "Too many requests at a time. Try again.", {"Retry-After": "1"})
        return None

    def _is_ours(self, host: str) -> bool:
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return self.hosts is None or name in self.hosts
        return True


def _problem(status: int, sentence: str, headers: dict[str, Any] | None = None) -> JSONResponse:
    return JSONResponse({"error": sentence}, status, headers=headers)
