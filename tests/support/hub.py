"""A local server that speaks the Hugging Face Hub's HTTP API as far as publishing and loading need it.

Contents are kept on disk under their hashes, commits and refs in memory; `hub_http` answers the requests.
What it must answer is written down in docs/hub-contract.md. It counts what it is sent, and can be told to
fail.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

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


class CutError(Exception):
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
        from hub_http import Handler

        handler = type("Handler", (Handler,), {"hub": self})
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


# Releases to publish


def two_releases(base: Path) -> tuple[Path, Path]:
    """Folders of release 1.0.0, and of 1.1.0 with a few images more; built once for all tests that name the
    same folder `base`, so nobody may change them."""
    root = base / "two-releases"
    if not root.exists():
        _build_two(root)
    return root / "releases/1.0.0", root / "releases/1.1.0"


def _build_two(root: Path) -> None:
    from releasing import filled_workspace, mark_verified, noise_png, replace_records, sample_record

    from synthscars.problems import Problems
    from synthscars.release import build_release

    workspace = filled_workspace(root, 24)
    build_release(workspace, "1.0.0", Problems())
    records = [sample_record(seed, noise_png(seed)) for seed in range(27)]
    for seed in range(24, 27):
        workspace.add_image(noise_png(seed), records[seed].image_id, ".png")
    replace_records(workspace, records)
    build_release(workspace, "1.1.0", Problems())
    for version in ("1.0.0", "1.1.0"):
        mark_verified(workspace.release_dir(version))


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
