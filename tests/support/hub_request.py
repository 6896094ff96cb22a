"""One request to the local Hub of `hub`: its body, its faults, who sent it, and how it is answered."""

from __future__ import annotations

import json
import re
import socket
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote, urlsplit

from hub import CutError, Fault, Hub, HubError, Repo


class Request(BaseHTTPRequestHandler):
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

    def _route(self, path: str, body: bytes) -> int:
        raise NotImplementedError

    # Answers with contents

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
