"""How fast a served model answers many clients, with batches and without, and its memory.

`python -m benchmarks.serve_load RUN_DIR` starts two servers with the real command line, one that
predicts on up to 16 inputs together and one on each alone, and gives both the same requests in
turns (so that whatever else the machine does slows both), from as many clients as told, each with
one connection that it keeps. For each it prints requests a second, the median and the 95th
percentile of the time to an answer, the share of inputs that were predicted with others, and how
much the memory of the process grew after the first turn.

The requests are the lines of `--inputs FILE.jsonl`, or the example of the task's page with a
varying number of its sentences' words.
"""

import argparse
import contextlib
import http.client
import json
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from zoo.serving.forms import form_of


class Server(NamedTuple):
    """A server process with its port, and how it is called in the table."""

    name: str
    process: "subprocess.Popen[str]"
    port: int

    def get(self, path: str) -> dict[str, Any]:
        """What the server answers to a GET."""
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port)) as connection:
            connection.request("GET", path)
            found: dict[str, Any] = json.loads(connection.getresponse().read())
        return found

    def memory(self) -> float:
        """MiB of the process that are of no file."""
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1]) / 1024


class Turn(NamedTuple):
    """What a turn took: seconds in all, and of each request."""

    seconds: float
    latencies: list[float]


@contextlib.contextmanager
def serving(folder: str, name: str, *options: str) -> Iterator[Server]:
    """A server on any free port, stopped as by Ctrl-C."""
    process = subprocess.Popen(
        [sys.executable, "-m", "recipes", "serve", folder, "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    found = re.search(r":(\d+) ", process.stdout.readline())
    if found is None:
        raise SystemExit(f"The server of {folder} did not start.")
    try:
        yield Server(name, process, int(found[1]))
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)


def bodies(info: dict[str, Any], path: str | None, count: int) -> list[bytes]:
    """The bodies of a turn's requests."""
    chance = random.Random(0)
    if path is not None:
        lines = [one for one in Path(path).read_bytes().splitlines() if one.strip()]
        return [lines[number % len(lines)] for number in range(count)]
    form = form_of(info["family"], pairs=info["pairs"])
    if form is None:
        raise SystemExit(f"Give --inputs: there is no example for {info['family']}.")
    made = []
    for _ in range(count):
        record = dict(form.example)
        longest = max(record, key=lambda name: len(record[name]))
        words = record[longest].split()
        record[longest] = " ".join(words[: chance.randrange(len(words) // 4, len(words)) + 1])
        made.append(json.dumps(record).encode())
    return made


def turn(server: Server, requests: Sequence[bytes], clients: int) -> Turn:
    """All requests, by many clients at a time."""
    numbers, lock = iter(range(len(requests))), threading.Lock()
    latencies: list[float] = []

    def client() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", server.port)
        while True:
            with lock:
                number = next(numbers, None)
            if number is None:
                break
            begin = time.perf_counter()
            connection.request("POST", "/predict", requests[number])
            reply = connection.getresponse()
            content = reply.read()
            if reply.status != 200:
                raise SystemExit(f"{reply.status}: {content.decode()}")
            latencies.append(time.perf_counter() - begin)
        connection.close()

    threads = [threading.Thread(target=client) for _ in range(clients)]
    begin = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if len(latencies) != len(requests):
        raise SystemExit(f"{len(requests) - len(latencies)} requests were lost.")
    return Turn(time.perf_counter() - begin, latencies)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("folder", help="a run's folder, or its model/ folder")
    parser.add_argument("--inputs", help="a .jsonl file with inputs")
    parser.add_argument("--requests", type=int, default=1000, help="in a turn (%(default)s)")
    parser.add_argument("--clients", type=int, default=16, help="at a time (%(default)s)")
    parser.add_argument("--turns", type=int, default=3, help="of each server (%(default)s)")
    parser.add_argument("--max_batch_size", type=int, default=16, help="(%(default)s)")
    parser.add_argument("--max_wait_ms", type=float, default=5.0, help="(%(default)s)")
    options = parser.parse_args()
    batched = ["--max_batch_size", str(options.max_batch_size)]
    batched += ["--max_wait_ms", str(options.max_wait_ms)]
    alone = ["--max_batch_size", "1", "--max_wait_ms", "0"]
    with (
        serving(options.folder, "batches", *batched) as first,
        serving(options.folder, "each alone", *alone) as second,
    ):
        servers = (first, second)
        info = first.get("/info")
        requests = bodies(info, options.inputs, options.requests)
        for server in servers:
            turn(server, requests, options.clients)
        began = {server: (server.memory(), server.get("/health")) for server in servers}
        turns: dict[Server, list[Turn]] = {server: [] for server in servers}
        for _ in range(options.turns):
            for server in servers:
                turns[server].append(turn(server, requests, options.clients))
        print(
            f"{info['task']} on {info['backbone']}: {options.turns} turns of "
            f"{options.requests:,} requests from {options.clients} clients"
        )
        for server in servers:
            memory, counts = began[server]
            health = server.get("/health")
            inputs = health["inputs"] - counts["inputs"]
            together = (health["together"] - counts["together"]) / inputs
            mean = inputs / (health["batches"] - counts["batches"])
            times = sorted(one for each in turns[server] for one in each.latencies)
            rate = statistics.median(options.requests / each.seconds for each in turns[server])
            print(
                f"  {server.name:<10}  {rate:6.1f} requests/s   "
                f"p50 {1000 * statistics.median(times):6.1f} ms   "
                f"p95 {1000 * times[int(0.95 * len(times))]:6.1f} ms   "
                f"together {together:.0%} ({mean:.1f} a batch)   "
                f"memory {memory:.0f} MiB {server.memory() - memory:+.1f}"
            )
        gains = [a.seconds / b.seconds for a, b in zip(turns[second], turns[first], strict=True)]
        print(f"  batches are {statistics.median(gains):.2f} times as fast (median of the turns)")


if __name__ == "__main__":
    main()
