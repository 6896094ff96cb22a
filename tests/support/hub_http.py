"""What the local Hub of `hub` answers over HTTP: see docs/hub-contract.md."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import socket
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

import yaml
from hub import DATE, LFS_SUFFIXES, CutError, Entry, Fault, Hub, HubError, Pull, Repo, Tree, git_hash, pointer


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

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
        except CutError:
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
            raise CutError
        body = self.rfile.read(length)
        return bytes([body[0] ^ 255]) + body[1:] if self.fault.garble and body else body

    def _answer(self, status: int, body: bytes = b"", headers: dict[str, str] | None = None) -> int:
        if self.fault.lost:
            raise CutError
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
                raise CutError
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
