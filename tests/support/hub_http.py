"""What the local Hub of `hub` answers over HTTP: see docs/hub-contract.md."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, quote

from hub import DATE, HubError, Repo, Tree, git_hash
from hub_writing import Writing


class Handler(Writing):
    """Leads each request to its answer, and answers whoever reads."""

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
