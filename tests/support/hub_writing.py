"""What the local Hub of `hub` answers to whoever writes: see docs/hub-contract.md."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
from typing import Any

import yaml
from hub import DATE, LFS_SUFFIXES, Entry, HubError, Pull, Repo, Tree, git_hash, pointer
from hub_request import Request


class Writing(Request):
    """Answers what changes a repository."""

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
