"""A local server that speaks the Hugging Face Hub's HTTP API as far as publishing and loading need it.

Contents are kept on disk under their hashes, commits and refs in memory. What it must answer is written down
in docs/hub-contract.md. It counts what it is sent, and can be told to fail.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import secrets
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml

WRITER, READER = "hf_writer_token", "hf_reader_token"
DATE = "2026-01-01T00:00:00.000Z"
LFS_SUFFIXES = (".parquet", ".png", ".jpg")


@dataclass(frozen=True)
class Entry:
    """One file of a tree. oid: git's hash of the content, or of the pointer to it; sha256: of an LFS file."""

    oid: str
    size: int
    sha256: str = ""

    def json(self, path: str) -> dict[str, Any]:
        found: dict[str, Any] = {"type": "file", "path": path, "oid": self.oid, "size": self.size}
        if self.sha256:
            found["lfs"] = {"oid": self.sha256, "size": self.size, "pointerSize": 134}
        return found


Tree = dict[str, Entry]


@dataclass(frozen=True)
class Commit:
    title: str
    parent: str
    tree: Tree


@dataclass
class Pull:
    title: str
    author: str
    status: str = "open"


@dataclass
class Repo:
    name: str
    private: bool
    commits: dict[str, Commit] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    pulls: dict[int, Pull] = field(default_factory=dict)
    pull_heads: dict[int, str] = field(default_factory=dict)

    def resolve(self, revision: str) -> str:
        if found := re.fullmatch(r"refs/pr/(\d+)", revision):
            return self.pull_heads.get(int(found[1]), "")
        for known in (self.branches, self.tags):
            if revision in known:
                return known[revision]
        return revision if revision in self.commits else ""

    def commit(self, title: str, parent: str, tree: Tree) -> str:
        listed = {path: entry.json(path) for path, entry in sorted(tree.items())}
        seed = json.dumps([title, parent, listed, len(self.commits)])
        oid = hashlib.sha1(seed.encode()).hexdigest()
        self.commits[oid] = Commit(title, parent, dict(tree))
        return oid


@dataclass
class Fault:
    """Fails requests: method and path (a regular expression) that match, after `skip` of them, `times` times.

    status: answered instead, with `headers`. drop: the connection is cut after that many bytes of the body
    (the request's if it has one, else the answer's). lost: the work is done, and the answer never sent.
    call: done before the request is handled. garble: a body is changed on its way.
    """

    method: str = ".*"
    path: str = ".*"
    skip: int = 0
    times: int = 1
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    drop: int | None = None
    lost: bool = False
    garble: bool = False
    call: Callable[[], None] | None = None

    def hits(self, method: str, path: str) -> bool:
        if not (re.fullmatch(self.method, method) and re.search(self.path, path)):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        return self.times >= 0


class HubError(Exception):
    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status, self.message, self.code = status, message, code


class _CutError(Exception):
    """The connection is to be cut."""


class Hub:
    """The server. log: `(method, path, status)` of every request. uploaded: bytes of large files."""

    def __init__(self, root: Path, *, page: int = 3, multipart: int = 0) -> None:
        self.root = root
        self.page, self.multipart = page, multipart
        self.tokens = {WRITER: ("writer", "write"), READER: ("reader", "read")}
        self.repos: dict[str, Repo] = {}
        self.faults: list[Fault] = []
        self.log: list[tuple[str, str, int]] = []
        self.uploaded: Counter[str] = Counter()
        self.downloaded: Counter[str] = Counter()
        self.secret = secrets.token_hex(16)
        self.lock = threading.RLock()
        (root / "large").mkdir(parents=True)
        (root / "small").mkdir()
        (root / "parts").mkdir()
        handler = type("Handler", (_Handler,), {"hub": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.server.daemon_threads = True
        self.endpoint = f"http://127.0.0.1:{self.server.server_port}"
        # As on the Hub, large files come from another host: clients must not follow a HEAD there.
        self.store = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.store.daemon_threads = True
        self.storage = f"http://127.0.0.1:{self.store.server_port}/storage"

    # Contents

    def large(self, sha256: str) -> Path:
        if not re.fullmatch("[0-9a-f]{64}", sha256):
            raise HubError(400, "not a sha256")
        return self.root / "large" / sha256

    def add_small(self, data: bytes) -> Entry:
        oid = git_hash(data)
        (self.root / "small" / oid).write_bytes(data)
        return Entry(oid, len(data))

    def content(self, entry: Entry) -> bytes:
        path = self.large(entry.sha256) if entry.sha256 else self.root / "small" / entry.oid
        return path.read_bytes()

    def files(self, repo: str, revision: str = "main") -> dict[str, bytes]:
        """Everything that a revision holds, for comparisons."""
        found = self.repos[repo]
        tree = found.commits[found.resolve(revision)].tree
        return {path: self.content(entry) for path, entry in tree.items()}

    def sent(self) -> int:
        """Bytes of large files that were received; counting starts anew."""
        total = self.uploaded.total()
        self.uploaded.clear()
        return total

    def snapshot(self) -> str:
        """All that can be seen of the repositories, as one text."""
        return repr({name: (repo, repo.private) for name, repo in sorted(self.repos.items())})

    # Things that people do in a browser

    def create(self, name: str, *, private: bool = False) -> Repo:
        repo = self.repos[name] = Repo(name, private)
        first = {".gitattributes": self.add_small(b"*.parquet filter=lfs diff=lfs merge=lfs -text\n")}
        repo.branches["main"] = repo.commit("initial commit", "", first)
        return repo

    def write(self, name: str, path: str, data: bytes | None, revision: str = "main") -> None:
        """Commit one file (`None`: its removal) to a branch."""
        repo = self.repos[name]
        head = repo.branches[revision]
        tree = dict(repo.commits[head].tree)
        if data is None:
            del tree[path]
        else:
            tree[path] = self.add_small(data)
        repo.branches[revision] = repo.commit(f"change {path}", head, tree)

    def merge(self, name: str, number: int) -> None:
        repo = self.repos[name]
        tree = repo.commits[repo.pull_heads[number]].tree
        repo.branches["main"] = repo.commit(f"merge {number}", repo.branches["main"], tree)
        repo.pulls[number].status = "merged"


@contextmanager
def running_hub(root: Path, *, page: int = 3, multipart: int = 0) -> Iterator[Hub]:
    """A hub on a free port. page: entries of a listing; multipart: bytes of a part, if any."""
    hub = Hub(root, page=page, multipart=multipart)
    servers = (hub.server, hub.store)
    threads = [
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        for server in servers
    ]
    for thread in threads:
        thread.start()
    try:
        yield hub
    finally:
        for server, thread in zip(servers, threads, strict=True):
            server.shutdown()
            server.server_close()
            thread.join()


def git_hash(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def pointer(sha256: str, size: int) -> bytes:
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{sha256}\nsize {size}\n".encode()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    def do_GET(self) -> None:
        self._handle()

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET  # noqa: N815

    # One request

    def _handle(self) -> None:
        self.url = urlsplit(self.path)
        with self.hub.lock:
            hit = [fault for fault in self.hub.faults if fault.hits(self.command, self.path)]
        self.fault = hit[0] if hit else Fault()
        status = 0
        try:
            if self.fault.call is not None:
                self.fault.call()
            body = self._body()
            if self.fault.status:
                raise HubError(self.fault.status, "this server was told to fail")
            status = self._route(unquote(self.url.path), body)
        except HubError as error:
            status = error.status
            headers = {"X-Error-Message": error.message, **self.fault.headers}
            if error.code:
                headers["X-Error-Code"] = error.code
            self._answer(error.status, json.dumps({"error": error.message}).encode(), headers)
        except _CutError:
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
        finally:
            with self.hub.lock:
                self.hub.log.append((self.command, self.path, status))

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        length = int(self.headers.get("Content-Length") or 0)
        if length and self.fault.drop is not None:
            self.rfile.read(min(length, self.fault.drop))
            raise _CutError
        body = self.rfile.read(length)
        return bytes([body[0] ^ 255]) + body[1:] if self.fault.garble and body else body

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        if self.fault.lost:
            raise _CutError
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if not any(name.lower() == "content-length" for name in headers or {}):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            if self.fault.drop is not None:
                self.wfile.write(body[: self.fault.drop])
                self.wfile.flush()
                raise _CutError
            self.wfile.write(body[1:] + body[:1] if self.fault.garble else body)
        return status

    def _json(self, value: Any, status: int = 200, headers: dict[str, str] | None = None) -> int:
        encoded = json.dumps(value).encode()
        return self._answer(status, encoded, {"Content-Type": "application/json", **(headers or {})})

    # Who may do what

    def _user(self) -> tuple[str, str] | None:
        given = self.headers.get("Authorization", "")
        if not given:
            return None
        user = self.hub.tokens.get(given.removeprefix("Bearer "))
        if user is None:
            raise HubError(401, "Invalid credentials in Authorization header")
        return user

    def _signed_in(self) -> tuple[str, str]:
        user = self._user()
        if user is None:
            raise HubError(401, "Invalid username or password.")
        return user

    def _repo(self, name: str, *, write: bool = False) -> Repo:
        user = self._user()
        repo = self.hub.repos.get(name)
        if repo is None or (repo.private and user is None):
            raise HubError(404 if user else 401, "Repository not found", "RepoNotFound")
        if write:
            self._signed_in()
            if user is None or user[1] != "write":
                raise HubError(403, "you do not have write access to this repository")
        return repo

    @staticmethod
    def _commit(repo: Repo, revision: str) -> str:
        oid = repo.resolve(revision)
        if not oid:
            raise HubError(404, f"Invalid rev id: {revision}", "RevisionNotFound")
        return oid

    # Where requests go

    def _route(self, path: str, body: bytes) -> int:
        if path == "/api/whoami-v2":
            name, role = self._signed_in()
            return self._json({"type": "user", "name": name, "auth": {"accessToken": {"role": role}}})
        if path == "/api/validate-yaml":
            return self._validate_yaml(json.loads(body))
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := re.fullmatch(r"/api/datasets/([^/]+/[^/]+)(?:/(.*))?", path):
            return self._api(found[1], found[2] or "", body)
        if found := re.fullmatch(r"/datasets/([^/]+/[^/]+)/resolve/(refs/pr/\d+|[^/]+)/(.+)", path):
            return self._resolve(self._repo(found[1]), found[2], found[3])
        if found := re.fullmatch(r"/datasets/([^/]+/[^/]+)\.git/info/lfs/objects/batch", path):
            return self._batch(found[1], json.loads(body))
        if found := re.fullmatch(r"/storage/(upload|part/\d+|complete|verify|get)/([0-9a-f]{64})", path):
            return self._storage(found[1], found[2], body)
        raise HubError(404, f"nothing at {path}")

    def _api(self, name: str, rest: str, body: bytes) -> int:
        action, _, argument = rest.partition("/")
        writes = (action in ("tag", "branch")) or (action == "auth-check" and argument == "write")
        repo = self._repo(name, write=writes)
        if action in ("", "revision"):
            return self._info(repo, argument or "main")
        if action == "auth-check":
            return self._json({})
        if action == "refs":
            return self._refs(repo)
        if action == "tree":
            return self._tree(repo, argument)
        if action == "paths-info":
            tree = repo.commits[self._commit(repo, argument)].tree
            wanted = parse_qs(body.decode()).get("paths", [])
            return self._json(list(_listing(tree, wanted)))
        if action == "preupload":
            return self._preupload(repo, argument, json.loads(body))
        if action == "commit":
            return self._new_commit(repo, argument, body)
        if action == "tag":
            return self._tag(repo, argument, body)
        if action == "branch":
            return self._branch(repo, argument, json.loads(body))
        if action == "discussions":
            return self._discussions(repo)
        raise HubError(404, f"nothing at {rest}")

    # Reading

    def _info(self, repo: Repo, revision: str) -> int:
        oid = self._commit(repo, revision)
        siblings = [{"rfilename": path} for path in sorted(repo.commits[oid].tree)]
        return self._json(
            {
                "id": repo.name,
                "sha": oid,
                "private": repo.private,
                "lastModified": DATE,
                "tags": [],
                "siblings": siblings,
            }
        )

    def _refs(self, repo: Repo) -> int:
        def listed(kind: str, refs: dict[str, str]) -> list[dict[str, str]]:
            return [
                {"name": name, "ref": f"refs/{kind}/{name}", "targetCommit": oid}
                for name, oid in refs.items()
            ]

        found: dict[str, Any] = {
            "branches": listed("heads", repo.branches),
            "converts": [],
            "tags": listed("tags", repo.tags),
        }
        if "include_prs" in self.url.query:
            pulls = {str(number): oid for number, oid in repo.pull_heads.items()}
            found["pullRequests"] = listed("pr", pulls)
        return self._json(found)

    def _tree(self, repo: Repo, argument: str) -> int:
        found = re.fullmatch(r"(refs/pr/\d+|[^/]+)(?:/(.*))?", argument)
        assert found
        tree = repo.commits[self._commit(repo, found[1])].tree
        query = {key: values[0] for key, values in parse_qs(self.url.query).items()}
        entries = list(_below(tree, found[2] or "", recursive=query.get("recursive", "").lower() == "true"))
        if not entries:
            raise HubError(404, f"{found[2]} does not exist", "EntryNotFound")
        start = int(query.get("cursor", 0))
        headers = {}
        if start + self.hub.page < len(entries):
            here = f"{self.hub.endpoint}{quote(self.url.path, safe='/%')}"
            more = f"recursive={query.get('recursive', 'False')}&cursor={start + self.hub.page}"
            headers["Link"] = f'<{here}?{more}>; rel="next"'
        return self._json(entries[start : start + self.hub.page], headers=headers)

    def _resolve(self, repo: Repo, revision: str, path: str) -> int:
        oid = self._commit(repo, revision)
        entry = repo.commits[oid].tree.get(path)
        headers = {"X-Repo-Commit": oid, "Accept-Ranges": "bytes"}
        if entry is None:
            error = HubError(404, "Entry not found", "EntryNotFound")
            body = json.dumps({"error": error.message}).encode()
            return self._answer(
                404, body, {**headers, "X-Error-Code": error.code, "X-Error-Message": error.message}
            )
        if entry.sha256:
            location = f"{self.hub.storage}/get/{entry.sha256}?sign={self.hub.secret}"
            headers |= {"X-Linked-Size": str(entry.size), "X-Linked-Etag": f'"{entry.sha256}"'}
            return self._answer(302, b"", {**headers, "Location": location})
        return self._ranged(path, self.hub.content(entry), {**headers, "ETag": f'"{entry.oid}"'})

    def _ranged(self, name: str, data: bytes, headers: dict[str, str]) -> int:
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if found is None:
            part, status = data, 200
        else:
            first, last = int(found[1]), min(int(found[2] or len(data) - 1), len(data) - 1)
            if first >= len(data):
                return self._answer(416, b"", {"Content-Range": f"bytes */{len(data)}"})
            part, status = data[first : last + 1], 206
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
        if self.command != "HEAD":
            with self.hub.lock:
                self.hub.downloaded[name] += len(part)
        return self._answer(status, part, {**headers, "Content-Length": str(len(part))})

    # Writing

    def _validate_yaml(self, given: dict[str, str]) -> int:
        found = re.match(r"---\n(.*?)\n---", given["content"], re.DOTALL)
        try:
            read = yaml.safe_load(found[1]) if found else None
        except yaml.YAMLError as error:
            return self._json({"errors": [{"message": str(error)}], "warnings": []}, 400)
        warnings = [] if isinstance(read, dict) else [{"message": "empty or missing yaml metadata"}]
        return self._json({"errors": [], "warnings": warnings})

    def _create(self, given: dict[str, Any]) -> int:
        user, role = self._signed_in()
        name = f"{given.get('organization') or user}/{given['name']}"
        if role != "write":
            raise HubError(403, "You don't have the rights to create a dataset under this namespace")
        with self.hub.lock:
            if name in self.hub.repos:
                return self._json({"error": "You already created this dataset repo"}, 409)
            self.hub.create(name, private=given.get("visibility") == "private")
        return self._json({"url": f"{self.hub.endpoint}/datasets/{name}", "name": name})

    def _may_commit(self, repo: Repo) -> None:
        if "create_pr=1" in self.url.query:
            self._signed_in()  # whoever may read may propose
        else:
            self._repo(repo.name, write=True)

    def _preupload(self, repo: Repo, revision: str, given: dict[str, Any]) -> int:
        self._may_commit(repo)
        tree = repo.commits[self._commit(repo, revision)].tree
        answers = []
        for file in given["files"]:
            base64.b64decode(file["sample"], validate=True)
            large = file["path"].endswith(LFS_SUFFIXES) or file["size"] > 10_000_000
            known = tree.get(file["path"])
            answers.append(
                {
                    "path": file["path"],
                    "uploadMode": "lfs" if large else "regular",
                    "shouldIgnore": False,
                    "oid": (known.sha256 or known.oid) if known else None,
                }
            )
        return self._json({"files": answers})

    def _batch(self, name: str, given: dict[str, Any]) -> int:
        repo = self._repo(name)
        if "ref" in given:
            self._repo(name, write=True)
            self._commit(repo, given["ref"]["name"])
        else:
            self._signed_in()
        assert given["operation"] == "upload"
        assert given["hash_algo"] == "sha256"
        objects = []
        for wanted in given["objects"]:
            oid, size = wanted["oid"], wanted["size"]
            found = {"oid": oid, "size": size}
            if not self.hub.large(oid).exists():
                storage, sign = self.hub.storage, f"?sign={self.hub.secret}"
                upload: dict[str, Any] = {"href": f"{storage}/upload/{oid}{sign}"}
                if self.hub.multipart and size > self.hub.multipart:
                    parts = range(1, -(-size // self.hub.multipart) + 1)
                    upload = {
                        "href": f"{storage}/complete/{oid}{sign}",
                        "header": {
                            "chunk_size": str(self.hub.multipart),
                            **{str(number): f"{storage}/part/{number}/{oid}{sign}" for number in parts},
                        },
                    }
                found["actions"] = {"upload": upload, "verify": {"href": f"{storage}/verify/{oid}{sign}"}}
            objects.append(found)
        return self._json({"transfer": given["transfers"][0], "objects": objects})

    def _storage(self, action: str, oid: str, body: bytes) -> int:
        if f"sign={self.hub.secret}" not in self.url.query:
            raise HubError(403, "the signature is missing")
        target = self.hub.large(oid)
        if action == "get":
            return self._ranged(oid, target.read_bytes(), {"ETag": f'"{oid}"'})
        if action == "verify":
            if not target.exists() or target.stat().st_size != json.loads(body)["size"]:
                raise HubError(422, "size or content is not what was announced")
            return self._json({})
        if action == "upload":
            with self.hub.lock:
                self.hub.uploaded[oid] += len(body)
            self._keep(oid, body)
            return self._answer(200)
        if action == "complete":
            parts = json.loads(body)["parts"]
            paths = [self.hub.root / "parts" / f"{oid}-{part['partNumber']}" for part in parts]
            assert [part["etag"] for part in parts] == [path.name[-4:] for path in paths]
            self._keep(oid, b"".join(path.read_bytes() for path in paths))
            return self._json({})
        with self.hub.lock:
            self.hub.uploaded[oid] += len(body)
        path = self.hub.root / "parts" / f"{oid}-{action.removeprefix('part/')}"
        path.write_bytes(body)
        return self._answer(200, b"", {"ETag": path.name[-4:]})

    def _keep(self, oid: str, data: bytes) -> None:
        if hashlib.sha256(data).hexdigest() != oid:
            raise HubError(400, "the content does not have the announced sha256")
        self.hub.large(oid).write_bytes(data)

    def _new_commit(self, repo: Repo, revision: str, body: bytes) -> int:
        self._may_commit(repo)
        lines = [json.loads(line) for line in body.splitlines()]
        header, operations = lines[0]["value"], lines[1:]
        assert lines[0]["key"] == "header"
        with self.hub.lock:
            head = self._commit(repo, revision)
            parent = header.get("parentCommit")
            pull = "create_pr=1" in self.url.query
            if parent is not None and parent != head and not pull:
                raise HubError(412, "A commit has happened since. Please refresh and try again.")
            tree = dict(repo.commits[parent or head].tree)
            for operation in operations:
                self._apply(tree, operation["key"], operation["value"])
            oid = repo.commit(header["summary"], head, tree)
            answer = {"success": True, "commitOid": oid, "commitUrl": f"{self._page(repo)}/commit/{oid}"}
            if pull:
                number = next(number for number in itertools.count(1) if number not in repo.pulls)
                repo.pulls[number] = Pull(header["summary"], self._signed_in()[0])
                repo.pull_heads[number] = oid
                answer["pullRequestUrl"] = f"{self._page(repo)}/discussions/{number}"
            elif found := re.fullmatch(r"refs/pr/(\d+)", revision):
                repo.pull_heads[int(found[1])] = oid
            else:
                repo.branches[revision] = oid
        return self._json(answer)

    def _page(self, repo: Repo) -> str:
        return f"{self.hub.endpoint}/datasets/{repo.name}"

    def _apply(self, tree: Tree, key: str, value: dict[str, Any]) -> None:
        path = value["path"]
        if key == "file":
            tree[path] = self.hub.add_small(base64.b64decode(value["content"], validate=True))
        elif key == "lfsFile":
            kept = self.hub.large(value["oid"])
            if not kept.exists():
                raise HubError(400, f"{path}: its content was not uploaded")
            size = kept.stat().st_size
            tree[path] = Entry(git_hash(pointer(value["oid"], size)), size, value["oid"])
        elif key == "deletedFile":
            if path not in tree:
                raise HubError(404, "A file with this name doesn't exist", "EntryNotFound")
            del tree[path]
        else:
            raise HubError(400, f"unknown operation {key}")

    def _tag(self, repo: Repo, argument: str, body: bytes) -> int:
        if self.command == "DELETE":
            if repo.tags.pop(argument, None) is None:
                raise HubError(404, "no such tag", "RevisionNotFound")
            return self._json({})
        oid = self._commit(repo, argument)
        name = json.loads(body)["tag"]
        with self.hub.lock:
            if name in repo.tags:
                raise HubError(409, f"Tag {name} already exists")
            repo.tags[name] = oid
        return self._json({})

    def _branch(self, repo: Repo, name: str, given: dict[str, str]) -> int:
        with self.hub.lock:
            if name in repo.branches:
                raise HubError(409, "Reference already exists")
            repo.branches[name] = self._commit(repo, given.get("startingPoint", "main"))
        return self._json({})

    def _discussions(self, repo: Repo) -> int:
        found = [
            {
                "num": number,
                "title": pull.title,
                "status": pull.status,
                "author": {"name": pull.author},
                "createdAt": DATE,
                "isPullRequest": True,
                "repo": {"name": repo.name, "type": "dataset"},
            }
            for number, pull in repo.pulls.items()
            if "status=open" not in self.url.query or pull.status == "open"
        ]
        return self._json({"discussions": found, "count": len(found), "start": 0})


def _below(tree: Tree, folder: str, *, recursive: bool) -> Iterator[dict[str, Any]]:
    prefix = f"{folder}/" if folder else ""
    folders = set()
    for path, entry in sorted(tree.items()):
        if not path.startswith(prefix):
            continue
        parts = path[len(prefix) :].split("/")
        for depth in range(1, len(parts)) if recursive else range(1, min(2, len(parts))):
            name = prefix + "/".join(parts[:depth])
            if name not in folders:
                folders.add(name)
                yield {"type": "directory", "path": name, "oid": git_hash(name.encode()), "size": 0}
        if recursive or len(parts) == 1:
            yield entry.json(path)


def _listing(tree: Tree, wanted: list[str]) -> Iterator[dict[str, Any]]:
    for path in wanted:
        if path in tree:
            yield tree[path].json(path)
        elif any(name.startswith(f"{path}/") for name in tree):
            yield {"type": "directory", "path": path, "oid": git_hash(path.encode()), "size": 0}


# Releases to publish


def two_releases(root: Path) -> tuple[Path, Path]:
    """Folders of release 1.0.0, and of 1.1.0 with a few images more."""
    from releasing import filled_workspace, noise_png, replace_records, sample_record

    from synthscars.problems import Problems
    from synthscars.release import build_release

    workspace = filled_workspace(root, 24)
    build_release(workspace, "1.0.0", Problems())
    records = [sample_record(seed, noise_png(seed)) for seed in range(27)]
    for seed in range(24, 27):
        workspace.add_image(noise_png(seed), records[seed].image_id, ".png")
    replace_records(workspace, records)
    build_release(workspace, "1.1.0", Problems())
    return workspace.release_dir("1.0.0"), workspace.release_dir("1.1.0")


def large_files(folder: Path) -> dict[str, int]:
    """Sizes of a release's large files, by sha256, counted without the code under test."""
    return {
        hashlib.sha256(path.read_bytes()).hexdigest(): path.stat().st_size
        for path in folder.rglob("*")
        if path.name.endswith(LFS_SUFFIXES)
    }


def contents(folder: Path) -> dict[str, bytes]:
    """Every file of a release by its path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
