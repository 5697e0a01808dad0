"""A stand-in for W&B's server on the loopback: as much of its HTTP API as a client needs.

It takes GraphQL, the file stream and uploads, keeps what was sent, and can refuse the key, go away
and hand out the runs of a sweep. The names are those of the public API; no answer is made up beyond
what the client asks for.
"""

import base64
import json
import re
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

#: The one key that the server knows; W&B wants 40 characters or more.
KEY = "0123456789abcdef" * 3
ENTITY = "someone"


class _Quiet(ThreadingHTTPServer):
    """Clients hang up when their run is over; that is no error."""

    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing."""


class StandIn:
    """The server: a context manager; `url` is for `WANDB_BASE_URL`."""

    def __init__(self) -> None:
        self.runs: dict[str, dict[str, Any]] = {}
        self.history: dict[str, dict[int, dict[str, Any]]] = {}
        self.artifacts: dict[str, dict[str, Any]] = {}
        self.used: list[tuple[str, str]] = []
        self.uploads: dict[str, bytes] = {}
        self.views: list[dict[str, Any]] = []
        self.sweeps: dict[str, dict[str, Any]] = {}
        #: Parameters of the runs that an agent is still to be given.
        self.suggestions: list[dict[str, Any]] = []
        self.asked: list[str] = []
        self.unknown: list[str] = []
        #: What every answer is from now on, such as 503; None is the proper one.
        self.broken: int | None = None
        self._lock = threading.Lock()
        self._server = _Quiet(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> "StandIn":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Go away: connections are refused from now on."""
        self._server.shutdown()
        self._server.server_close()

    def artifacts_of(self, kind: str) -> dict[str, dict[str, Any]]:
        """The artifacts of a type, by their ids."""
        return {
            name: one for name, one in self.artifacts.items() if one["artifactTypeName"] == kind
        }

    def rows(self, run: str) -> list[dict[str, Any]]:
        """A run's history in order, without W&B's own columns but for the step."""
        rows = self.history.get(run, {})
        return [
            {key: value for key, value in rows[at].items() if key == "_step" or key[0] != "_"}
            for at in sorted(rows)
        ]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Quiet."""

            def _answer(self, status: int, content: Any) -> None:
                body = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if stand_in.broken is not None:
                    self._answer(stand_in.broken, {"error": "out of order"})
                    return
                path = self.path.split("?")[0]
                if path.startswith("/upload/"):
                    stand_in.uploads[path.removeprefix("/upload/")] = body
                    self._answer(200, {})
                    return
                given = self.headers.get("Authorization", "").removeprefix("Basic ")
                if base64.b64decode(given).decode().partition(":")[2] != KEY:
                    self._answer(401, {"errors": [{"message": "user is not logged in"}]})
                    return
                with stand_in._lock:
                    if path == "/graphql":
                        asked = json.loads(body)
                        self._answer(
                            200, stand_in.graphql(asked["query"], asked.get("variables") or {})
                        )
                    elif match := re.fullmatch(r"/files/[^/]+/[^/]+/([^/]+)/file_stream", path):
                        stand_in.stream(match.group(1), json.loads(body))
                        self._answer(200, {"limits": {}})
                    else:
                        stand_in.unknown.append(f"{self.command} {path}")
                        self._answer(404, {"error": "not found"})

            do_GET = do_POST = do_PUT = _handle  # noqa: N815

        return Handler

    def stream(self, run: str, sent: Mapping[str, Any]) -> None:
        """History and summary of a run, as its file stream brings them."""
        for name, part in (sent.get("files") or {}).items():
            lines = [json.loads(line) for line in part["content"] if line.strip()]
            if name == "wandb-history.jsonl":
                rows = self.history.setdefault(run, {})
                for at, line in enumerate(lines, start=part["offset"]):
                    rows[at] = line
            elif name == "wandb-summary.json" and lines:
                self.runs[run]["summary"] = lines[-1]
        if sent.get("complete"):
            self.runs[run]["exit_code"] = sent.get("exitcode")

    def graphql(self, query: str, given: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one query."""
        query = " ".join(query.split())
        kind = re.match(r"(?:query|mutation)?\s*(\w*)", query)
        name = kind.group(1) if kind else ""
        self.asked.append(name)
        answer = getattr(self, f"_{name}", None)
        if answer is None:
            self.unknown.append(query)
            return {"errors": [{"message": f"the stand-in does not know {name}"}]}
        return {"data": answer(given)}

    def _project(self) -> dict[str, Any]:
        return {"id": "project", "name": "zoo", "entity": {"id": "entity", "name": ENTITY}}

    def _Viewer(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        teams: dict[str, Any] = {"edges": []}
        return {"viewer": {"id": "1", "entity": ENTITY, "username": ENTITY, "teams": teams}}

    _GetViewer = _Viewer

    def _ServerFeaturesQuery(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"serverInfo": {"features": []}}

    def _RunResumeStatus(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        run = self.runs.get(given["name"])
        if run is None:
            return {"model": {**self._project(), "bucket": None}}
        rows = self.history.get(given["name"], {})
        tail = [json.dumps(rows[max(rows)])] if rows else []
        bucket = {
            "id": run["id"],
            "name": given["name"],
            "summaryMetrics": json.dumps(run.get("summary", {})),
            "displayName": run["displayName"],
            "historyLineCount": len(rows),
            "logLineCount": 0,
            "eventsLineCount": 0,
            "historyTail": json.dumps(tail),
            "eventsTail": "[]",
            "config": run["config"],
            "tags": run["tags"],
            "wandbConfig": json.dumps({"t": 1}),
        }
        return {"model": {**self._project(), "bucket": bucket}}

    def _UpsertBucket(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        inserted = given["name"] not in self.runs
        run = self.runs.setdefault(given["name"], {"id": f"id-{given['name']}", "config": "{}"})
        run.update(
            {key: value for key, value in given.items() if value is not None and key != "id"}
        )
        config = json.loads(run["config"])
        run["config_values"] = {key: one["value"] for key, one in config.items()}
        bucket = {
            "id": run["id"],
            "name": given["name"],
            "displayName": run.get("displayName"),
            "config": run["config"],
            "sweepName": run.get("sweep"),
            "project": self._project(),
            "historyLineCount": len(self.history.get(given["name"], {})),
        }
        return {"upsertBucket": {"bucket": bucket, "inserted": inserted}}

    def _OrganizationCoreWeaveOrganizationID(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"entity": {"organization": None}}

    def _ArtifactType(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"project": {"artifact": None}}

    def _CreateRunFiles(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        files = [
            {"name": name, "uploadUrl": f"{self.url}/upload/{given['run']}/{name}"}
            for name in given["files"]
        ]
        return {"createRunFiles": {"runID": given["run"], "uploadHeaders": [], "files": files}}

    def _CreateArtifact(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        sent = given["input"]
        name = f"artifact-{len(self.artifacts)}"
        self.artifacts[name] = {**sent, "state": "PENDING"}
        return {
            "createArtifact": {
                "artifact": {
                    "id": name,
                    "state": "PENDING",
                    "artifactSequence": {"id": "sequence", "latestArtifact": None},
                }
            }
        }

    def _CreateArtifactManifest(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        file = {
            "id": "file",
            "uploadUrl": f"{self.url}/upload/{given['artifactID']}/manifest.json",
            "uploadHeaders": [],
        }
        return {"createArtifactManifest": {"artifactManifest": {"id": "manifest", "file": file}}}

    def _CreateArtifactFiles(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        nodes: list[dict[str, Any]] = [
            {
                "storagePath": f"stored/{file['name']}",
                "uploadUrl": f"{self.url}/upload/{file['artifactID']}/{file['name']}",
                "uploadHeaders": [],
                "uploadMultipartUrls": None,
                "artifact": {"id": file["artifactID"]},
            }
            for file in given["input"]["artifactFiles"]
        ]
        return {"createArtifactFiles": {"files": {"edges": [{"node": one} for one in nodes]}}}

    def _UpdateArtifactManifest(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        file = {
            "id": "file",
            "uploadUrl": f"{self.url}/upload/manifest/{given['artifactManifestID']}",
            "uploadHeaders": [],
        }
        return {"updateArtifactManifest": {"artifactManifest": {"id": "manifest", "file": file}}}

    def _CommitArtifact(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.artifacts[given["artifactID"]]["state"] = "COMMITTED"
        return {"commitArtifact": {"artifact": {"id": given["artifactID"], "digest": "digest"}}}

    def _UseArtifact(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        sent = given["input"]
        self.used.append((sent["runName"], sent["artifactID"]))
        return {"useArtifact": {"artifact": {"id": sent["artifactID"]}}}

    # What `wandb sweep` and `wandb agent` ask.

    def _UpsertSweep(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        name = f"sweep{len(self.sweeps)}"
        self.sweeps[name] = {"config": given["config"], "runs": []}
        return {
            "upsertSweep": {
                "sweep": {"name": name, "project": self._project()},
                "configValidationWarnings": [],
            }
        }

    def _SweepWithRuns(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        config = self.sweeps[given["sweep"]]["config"]
        sweep = {
            "id": "1",
            "name": given["sweep"],
            "state": "RUNNING",
            "config": config,
            "runs": {"edges": []},
        }
        return {"project": {"sweep": sweep}}

    def _CreateAgent(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        return {"createAgent": {"agent": {"id": given["sweep"]}}}

    def _Heartbeat(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        commands: list[dict[str, Any]] = []
        if not json.loads(given["runState"]):
            commands.append({"type": "exit"})
            if self.suggestions:
                runs = self.sweeps[given["id"]]["runs"]
                runs.append(f"swept{len(runs)}")
                values = {key: {"value": value} for key, value in self.suggestions.pop(0).items()}
                commands = [
                    {"type": "run", "run_id": runs[-1], "program": "recipes", "args": values}
                ]
        return {"agentHeartbeat": {"agent": {"id": given["id"]}, "commands": json.dumps(commands)}}

    # What reports ask.

    def _GetProjects(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        node = {
            "__typename": "Project",
            "id": "project",
            "name": "zoo",
            "entityName": ENTITY,
            "createdAt": "2026-01-02T03:04:05Z",
            "isBenchmark": False,
            "user": None,
        }
        page = {"__typename": "PageInfo", "endCursor": None, "hasNextPage": False}
        return {"models": {"pageInfo": page, "edges": [{"node": node}]}}

    def _ProjectInternalId(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        known = (given["entityName"], given["projectName"]) == (ENTITY, "zoo")
        return {"project": {"id": "project", "internalId": "UHJvamVjdA=="} if known else None}

    def _upsertView(self, given: Mapping[str, Any]) -> dict[str, Any]:  # noqa: N802
        self.views.append(json.loads(given["spec"]))
        view = {
            "id": f"view{len(self.views)}",
            "type": given["type"],
            "name": given["name"],
            "displayName": given["displayName"],
            "description": given["description"],
            "project": {"id": "project", "name": given["projectName"], "entityName": ENTITY},
            "spec": given["spec"],
            "updatedAt": "2026-01-02T03:04:05",
        }
        return {"upsertView": {"view": view, "inserted": True}}
