"""A local stand-in of the Hub's API: repositories are made, and files arrive as in the real one."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import yaml

TOKEN = "hf_stand_in"
LARGE = (".onnx", ".safetensors")


class Hub:
    """What the stand-in was given.

    Args:
        mine: Accounts and organisations that the token may write to.
    """

    def __init__(self, mine: tuple[str, ...] = ("ada",)):
        self.mine = mine
        self.repositories: dict[str, dict[str, bytes]] = {}
        self.private: dict[str, bool] = {}
        self.objects: dict[str, bytes] = {}
        self.commits: list[str] = []
        self.unexpected: list[str] = []
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, status: int, content: Any = None) -> None:
        body = json.dumps(content if content is not None else {}).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") == "chunked":
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def do_POST(self) -> None:
        body, path = self._body(), self.path.split("?")[0].strip("/")
        if self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return self._answer(401, {"error": "Invalid credentials"})
        if path == "api/validate-yaml":
            content = json.loads(body)["content"]
            header = content.split("---\n")[1] if content.startswith("---\n") else ""
            errors = [] if yaml.safe_load(header) else [{"message": "empty or missing yaml"}]
            return self._answer(400 if errors else 200, {"errors": errors, "warnings": []})
        if path == "api/repos/create":
            return self._create(json.loads(body))
        parts = path.split("/")
        if parts[:2] == ["api", "models"] and len(parts) == 6:
            name = "/".join(parts[2:4])
            if name not in self.hub.repositories:
                return self._answer(404, {"error": "Repository not found"})
            if parts[4] == "preupload":
                return self._preupload(json.loads(body))
            if parts[4] == "commit":
                return self._commit(name, body)
        if path.endswith(".git/info/lfs/objects/batch"):
            return self._batch(json.loads(body))
        self.hub.unexpected.append(f"POST {self.path}")
        return self._answer(404)

    def _create(self, asked: dict[str, Any]) -> None:
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] not in self.hub.mine:
            return self._answer(403, {"error": "You don't have the rights to create a model"})
        if name in self.hub.repositories:
            return self._answer(
                409, {"error": "You already created this model repo", "url": self._url(name)}
            )
        self.hub.repositories[name] = {}
        self.hub.private[name] = asked.get("visibility") == "private" or bool(asked.get("private"))
        return self._answer(200, {"url": self._url(name), "name": name, "id": name})

    def _url(self, name: str) -> str:
        return f"{self.hub.address}/{name}"

    def _preupload(self, asked: dict[str, Any]) -> None:
        files = [
            {
                "path": one["path"],
                "uploadMode": "lfs" if one["path"].endswith(LARGE) else "regular",
                "shouldIgnore": False,
            }
            for one in asked["files"]
        ]
        self._answer(200, {"files": files})

    def _batch(self, asked: dict[str, Any]) -> None:
        objects = [
            {**one, "actions": {"upload": {"href": f"{self.hub.address}/lfs/{one['oid']}"}}}
            for one in asked["objects"]
        ]
        self._answer(200, {"transfer": "basic", "objects": objects})

    def do_PUT(self) -> None:
        body = self._body()
        oid = self.path.rsplit("/", 1)[1]
        if hashlib.sha256(body).hexdigest() != oid:
            return self._answer(400, {"error": "other bytes than announced"})
        self.hub.objects[oid] = body
        return self._answer(200)

    def _commit(self, name: str, body: bytes) -> None:
        for line in body.splitlines():
            record = json.loads(line)
            value = record["value"]
            if record["key"] == "header":
                self.hub.commits.append(value["summary"])
            elif record["key"] == "file":
                content = base64.b64decode(value["content"])
                self.hub.repositories[name][value["path"]] = content
            elif record["key"] == "lfsFile":
                self.hub.repositories[name][value["path"]] = self.hub.objects[value["oid"]]
        url = f"{self._url(name)}/commit/{'0' * 40}"
        self._answer(200, {"commitUrl": url, "commitOid": "0" * 40})

    def do_GET(self) -> None:
        self.hub.unexpected.append(f"GET {self.path}")
        self._answer(404)
