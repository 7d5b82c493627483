"""A stand-in of the Hugging Face Hub: its HTTP API as far as pushing, pulling and loading take it, in memory.

Repositories with branches and commits, private ones, tokens, preupload, LFS by the batch API, ndjson commits, trees and
resolved files, with the headers and error codes that huggingface_hub (2.4) reads. Large files go by LFS and not by Xet.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

TOKEN = "hf_of_the_tests"


@dataclass
class Repository:
    private: bool
    branches: dict[str, str] = field(default_factory=dict)  # -> commit
    commits: dict[str, dict[str, str]] = field(default_factory=dict)  # -> path -> sha256 of the blob

    def commit(self, branch: str, files: dict[str, str]) -> str:
        sha = hashlib.sha1(f"{branch}{len(self.commits)}{sorted(files.items())}".encode()).hexdigest()
        self.commits[sha], self.branches[branch] = files, sha
        return sha

    def find(self, revision: str) -> str | None:
        return revision if revision in self.commits else self.branches.get(revision)


class Hub(ThreadingHTTPServer):
    """Listens on a free port of this machine."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.repositories: dict[str, Repository] = {}
        self.blobs: dict[str, bytes] = {}
        self.requests: list[str] = []
        threading.Thread(target=self.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def files(self, name: str, revision: str = "main") -> dict[str, bytes]:
        """What a repository holds."""
        repository = self.repositories[name]
        return {path: self.blobs[blob] for path, blob in repository.commits[repository.find(revision)].items()}

    def begin(self, name: str, files: dict[str, bytes]) -> None:
        """Makes a repository that holds these files."""
        self.repositories[name] = repository = Repository(private=False)
        repository.commit("main", {path: self.keep(data) for path, data in files.items()})

    def keep(self, data: bytes) -> str:
        blob = hashlib.sha256(data).hexdigest()
        self.blobs[blob] = data
        return blob


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Hub

    ROUTES = (
        ("POST", r"/api/repos/create", "create"),
        ("POST", r"/api/validate-yaml", "validate"),
        ("POST", r"/api/models/([^/]+/[^/]+)/branch/(.+)", "branch"),
        ("POST", r"/api/models/([^/]+/[^/]+)/preupload/(.+)", "preupload"),
        ("POST", r"/api/models/([^/]+/[^/]+)/commit/(.+)", "commit"),
        ("POST", r"/([^/]+/[^/]+)\.git/info/lfs/objects/batch", "lfs"),
        ("PUT", r"/lfs/([0-9a-f]{64})", "put"),
        ("POST", r"/lfs/verify", "verify"),
        ("GET", r"/api/models/([^/]+/[^/]+)/tree/([^/]+).*", "tree"),
        ("GET", r"/api/models/([^/]+/[^/]+)/revision/(.+)", "info"),
        ("GET", r"/api/models/([^/]+/[^/]+)", "info"),
        ("GET", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve"),
        ("HEAD", r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", "resolve"),
    )

    def handle_one(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.server.requests.append(f"{self.command} {path}")
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.owner = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        for command, pattern, name in self.ROUTES:
            if command == self.command and (found := re.fullmatch(pattern, path)):
                if command in ("POST", "PUT") and not self.owner and name != "put":
                    return self.answer(401, {"error": "Invalid username or password."})
                return getattr(self, name)(*found.groups())
        return self.answer(404, {"error": f"no such route: {self.command} {path}"})

    do_GET = do_POST = do_PUT = do_HEAD = handle_one

    def log_message(self, *args: object) -> None:
        pass

    def answer(self, status: int, content: object = None, data: bytes | None = None, **headers: str) -> None:
        data = json.dumps(content).encode() if data is None else data
        self.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def opened(self, name: str) -> Repository | None:
        """The repository, if it is there for who asks; else the answer is given."""
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not self.owner):
            self.answer(404 if self.owner else 401, {"error": "Repository not found"}, X_Error_Code="RepoNotFound")
            return None
        return repository

    def create(self) -> None:
        asked = json.loads(self.body)
        name = f"{asked['organization']}/{asked['name']}"
        if asked["organization"] == "somebody-else":
            return self.answer(403, {"error": "You don't have the rights to create a model under this namespace"})
        if name in self.server.repositories:
            return self.answer(
                409, {"error": "You already created this model repo", "url": f"{self.server.url}/{name}"}
            )
        private = bool(asked.get("private")) or asked.get("visibility") == "private"
        self.server.repositories[name] = repository = Repository(private)
        repository.commit("main", {".gitattributes": self.server.keep(b"*.safetensors filter=lfs\n")})
        return self.answer(200, {"url": f"{self.server.url}/{name}"})

    def validate(self) -> None:
        self.answer(200, {"errors": [], "warnings": []})

    def branch(self, name: str, branch: str) -> None:
        repository = self.opened(name)
        if repository is None:
            return None
        if branch in repository.branches:
            return self.answer(409, {"error": "Reference already exists"})
        repository.branches[branch] = repository.branches["main"]
        return self.answer(200, {})

    def preupload(self, name: str, revision: str) -> None:
        files = [
            {
                "path": f["path"],
                "uploadMode": "lfs" if f["path"].endswith(".safetensors") else "regular",
                "shouldIgnore": False,
            }
            for f in json.loads(self.body)["files"]
        ]
        self.answer(200, {"files": files})

    def lfs(self, name: str) -> None:
        objects = []
        for asked in json.loads(self.body)["objects"]:
            item = {"oid": asked["oid"], "size": asked["size"]}
            if asked["oid"] not in self.server.blobs:
                where = {
                    "upload": {"href": f"{self.server.url}/lfs/{asked['oid']}"},
                    "verify": {"href": f"{self.server.url}/lfs/verify"},
                }
                item["actions"] = where
            objects.append(item)
        self.answer(200, {"transfer": "basic", "objects": objects})

    def put(self, oid: str) -> None:
        same = self.server.keep(self.body) == oid
        self.answer(200 if same else 400, {})

    def verify(self) -> None:
        asked = json.loads(self.body)
        right = len(self.server.blobs.get(asked["oid"], b"")) == asked["size"]
        self.answer(200 if right else 404, {})

    def commit(self, name: str, revision: str) -> None:
        repository = self.opened(name)
        if repository is None:
            return None
        base = repository.find(revision)
        if base is None:
            return self.answer(404, {"error": "Invalid rev id"}, X_Error_Code="RevisionNotFound")
        files = dict(repository.commits[base])
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = self.server.keep(base64.b64decode(value["content"]))
            elif item["key"] == "lfsFile":
                files[value["path"]] = value["oid"]
            elif item["key"] == "deletedFile":
                del files[value["path"]]
        sha = repository.commit(revision, files)
        return self.answer(
            200, {"commitUrl": f"{self.server.url}/{name}/commit/{sha}", "commitOid": sha, "success": True}
        )

    def tree(self, name: str, revision: str) -> None:
        repository = self.opened(name)
        if repository is None:
            return None
        found = []
        for path, blob in repository.commits[repository.find(revision)].items():
            size = len(self.server.blobs[blob])
            item = {"type": "file", "path": path, "size": size, "oid": hashlib.sha1(blob.encode()).hexdigest()}
            if path.endswith(".safetensors"):
                item["lfs"] = {"oid": blob, "size": size, "pointerSize": 130}
            found.append(item)
        return self.answer(200, found)

    def info(self, name: str, revision: str = "main") -> None:
        repository = self.opened(name)
        if repository is None:
            return None
        sha = repository.find(revision)
        if sha is None:
            return self.answer(404, {"error": f"Invalid rev id: {revision}"}, X_Error_Code="RevisionNotFound")
        siblings = [{"rfilename": path} for path in repository.commits[sha]]
        return self.answer(
            200, {"id": name, "modelId": name, "sha": sha, "private": repository.private, "siblings": siblings}
        )

    def resolve(self, name: str, revision: str, path: str) -> None:
        repository = self.opened(name)
        if repository is None:
            return None
        sha = repository.find(revision)
        blob = repository.commits.get(sha or "", {}).get(path)
        if blob is None:
            return self.answer(404, {"error": "Entry not found"}, X_Error_Code="EntryNotFound")
        return self.answer(200, data=self.server.blobs[blob], X_Repo_Commit=sha, ETag=f'"{blob}"')
