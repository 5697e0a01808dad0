"""`python -m recipes serve FOLDER`: a trained model as a local page and a JSON endpoint."""

import argparse
import contextlib
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from types import FrameType
from typing import TYPE_CHECKING, Any

from recipes.trained import trained_task
from zoo import backbones
from zoo.errors import ZooError

if TYPE_CHECKING:
    import uvicorn
    from fastapi import FastAPI

#: Seconds that requests in flight have to end after Ctrl-C.
_GRACE = 60


def main(arguments: Sequence[str]) -> int:
    """Serve until Ctrl-C; the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m recipes serve",
        description="Serve a trained model: a page at / for people, POST /predict for programs.",
        epilog="/predict takes a JSON object as a line of a .jsonl file for `recipes predict`, or "
        'several as {"inputs": [...]}, and answers {"predictions": [...]}. There is no password '
        "and no encryption: who reaches the address uses the model. By default only this machine "
        "does; put a server that knows its users before it where others shall.",
        allow_abbrev=False,
    )
    parser.add_argument("folder", help="a run's folder, or its model/ folder")
    options = _options(parser).parse_args(arguments)
    if not 0 <= options.port <= 65535:
        raise ZooError(f"--port {options.port} is no port; they go from 0 (any free) to 65535.")
    backbones.model_folder(options.folder)  # a mistyped folder should not wait for the imports
    try:
        import uvicorn

        from zoo.serving.app import create_app
        from zoo.serving.limits import Limits
    except ModuleNotFoundError as error:
        if error.name not in ("fastapi", "uvicorn", "starlette", "pydantic"):
            raise
        raise ZooError(
            f"Serving needs {error.name}: pip install 'lightning-text-zoo[serve]'"
        ) from None
    limits = Limits(
        max_batch_size=options.max_batch_size,
        max_wait_ms=options.max_wait_ms,
        max_characters=options.max_characters,
        max_queue=options.max_queue,
    )
    # The port before the model: that it is taken should show at once.
    with _bound(options.host, options.port) as listening:
        from zoo.tracking.quiet import quiet

        quiet()
        hosts = [options.host] if _is_local(listening) else None
        app = create_app(trained_task(options.folder), limits=limits, hosts=hosts)
        _serve(uvicorn, app, listening)
    return 0


def _options(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on (%(default)s: this machine alone; 0.0.0.0: everyone)",
    )
    parser.add_argument("--port", type=int, default=8000, help="port; 0 for any free (%(default)s)")
    for name, kind, default, text in (
        ("max_batch_size", int, 16, "most inputs that are predicted together"),
        ("max_wait_ms", float, 5.0, "milliseconds that an input waits for others at most"),
        ("max_characters", int, 50_000, "most characters of one input"),
        ("max_queue", int, 256, "most inputs that wait; requests beyond are answered 503"),
    ):
        parser.add_argument(f"--{name}", type=kind, default=default, help=f"{text} (%(default)s)")
    return parser


def _bound(host: str, port: int) -> socket.socket:
    """A socket with the address, which nobody can connect to yet."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (socket.gaierror, UnicodeError):
        raise ZooError(f"--host {host} is no address of this machine.") from None
    bound = socket.socket(family, kind, protocol)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind(address)
    except OSError as error:
        bound.close()
        raise ZooError(
            f"{_url(host, port)} cannot be listened on ({error.strerror}). Choose another --port "
            "(0 takes any that is free) or --host."
        ) from None
    return bound


def _is_local(listening: socket.socket) -> bool:
    return ipaddress.ip_address(listening.getsockname()[0]).is_loopback


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _serve(uvicorn: Any, app: "FastAPI", listening: socket.socket) -> None:
    config = uvicorn.Config(
        app,
        access_log=False,
        date_header=False,
        server_header=False,
        log_config=None,
        log_level="error",
        timeout_graceful_shutdown=_GRACE,
        ws="none",
    )
    logging.getLogger("uvicorn.error").addHandler(logging.NullHandler())
    server = _server(uvicorn, config, listening)
    # What stopped it is raised again once everything was answered: it has been heeded.
    with contextlib.suppress(KeyboardInterrupt):
        server.run(sockets=[listening])
    sys.stdout.write("stopped\n")


def _server(uvicorn: Any, config: "uvicorn.Config", listening: socket.socket) -> "uvicorn.Server":
    class Server(uvicorn.Server):  # type: ignore[misc]
        """Says where it listens, and what Ctrl-C does."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            host, port = listening.getsockname()[:2]
            everyone = "" if _is_local(listening) else "Everyone who reaches it can use it. "
            sys.stdout.write(f"serving at {_url(host, port)}  {everyone}Ctrl-C stops.\n")
            sys.stdout.flush()

        def handle_exit(self, number: int, frame: FrameType | None) -> None:
            if number == signal.SIGINT and not self.should_exit:
                sys.stderr.write("\nAnswering what is in flight; Ctrl-C again stops at once.\n")
            super().handle_exit(number, frame)

    return Server(config)
