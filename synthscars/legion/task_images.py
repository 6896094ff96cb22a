"""The image of a Label Studio task: from a workspace by its id, or from that Label Studio by its address.

Whoever can make a task decides what stands in it. So an id is looked up in one workspace only, and an address
is followed only if it is the named Label Studio's own and one of those under which it hands out files: no
other host, no other path, no redirect, no file of this machine.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from synthscars.converters.labelstudio_tasks import IMAGE
from synthscars.legion.running import Item
from synthscars.problems import FormatError, PlatformError, UsageError, WorkspaceError
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    import httpx

MAX_BYTES = 64 * 2**20
"""Larger files are not read."""

SECONDS = 30.0
"""For fetching one image as a whole."""

FindImage = Callable[[Mapping[str, Any]], Item | None]
"""Finds the image that a task's `data` name; `None` if they do not name one in its way.

May raise `SynthScarsError` if they name one that must not be fetched.
"""

_IMAGE_ID = re.compile("[0-9a-f]{64}")
_HANDED_OUT = ("/data/", "/companion/images/")
# Label Studio hands out uploads and files of local storages below the first, and nothing else; the service
# that `synthscars platform up` puts before it hands out images below the second.
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+")


def image_of(task: Any, finders: Iterable[FindImage]) -> Item:
    """The image of a task, by the first way that knows it. Raises `FormatError` if none does."""
    data = task.get("data") if isinstance(task, dict) else None
    if not isinstance(data, dict):
        raise FormatError("the task has no data", fix="send tasks as Label Studio does")
    for find in finders:
        item = find(data)
        if item is not None:
            return item
    raise FormatError(
        "the task names no image that may be fetched",
        fix="push the images with `synthscars platform push` and serve with --workspace, or serve with "
        "--label-studio and the address that the tasks come from",
    )


def from_workspace(workspace: Workspace) -> FindImage:
    """Finds images by the `image_id` that `synthscars platform push` puts into the tasks."""

    def find(data: Mapping[str, Any]) -> Item | None:
        image_id = data.get("image_id")
        if not isinstance(image_id, str) or not _IMAGE_ID.fullmatch(image_id):
            return None
        path = workspace.find_image(image_id)
        return None if path is None else Item(f"image {image_id[:12]}", partial(_read, path), image_id)

    return find


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise WorkspaceError(f"it has more than {MAX_BYTES:,} bytes", fix="scale it down")
    return data


class FromLabelStudio:
    """Finds images by their address in a Label Studio. Raises `UsageError` if `url` is no address of one.

    url: of Label Studio itself, `https://labels.example.org`. token: of an account that sees the tasks, a
    legacy one or a personal access token; it is sent to that host only. transport: for tests.
    """

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        try:
            import httpx
        except ImportError:
            raise PlatformError("httpx is not installed", fix='pip install "synthscars[platform]"') from None

        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
            raise UsageError(
                "--label-studio is not the address of a Label Studio",
                fix="give it like https://labels.example.org or http://127.0.0.1:8080",
            )
        self._origin = (parts.scheme, parts.hostname, _port(parts.scheme, parts.port))
        self._base = f"{parts.scheme}://{parts.netloc}"
        self._folder = parts.path.rstrip("/")
        self._token = token
        self._bearer = ""
        self._lock = Lock()
        self._http = httpx.Client(
            timeout=httpx.Timeout(10.0), follow_redirects=False, trust_env=False, transport=transport
        )

    def __call__(self, data: Mapping[str, Any]) -> Item | None:
        """The image that a task's data name; `None` if they name none."""
        address = data.get(IMAGE)
        if not isinstance(address, str) or not address:
            return None
        url = self.checked(address)
        # Not the id that the task gives: it may be another image's, and the bytes tell.
        return Item(f"the image {urlsplit(url).path[-80:]}", partial(self._fetch, url))

    def checked(self, address: str) -> str:
        """The whole address of a file of this Label Studio. Raises `FormatError` if it is anything else."""
        refused = FormatError(
            "the address of its image is not one under which the named Label Studio hands out files",
            fix=f"only addresses below {self._base}{self._folder}{' or '.join(_HANDED_OUT)} are fetched",
        )
        if len(address) > 4096 or "\\" in address or not address.isprintable() or " " in address:
            raise refused
        if address.startswith(_HANDED_OUT):
            address = self._base + self._folder + address
        elif address.startswith("/") and not address.startswith("//"):
            address = self._base + address
        try:
            parts = urlsplit(address)
            origin = (parts.scheme, parts.hostname, _port(parts.scheme, parts.port))
        except ValueError:
            raise refused from None
        path = unquote(parts.path)
        inside = path.startswith(tuple(self._folder + way for way in _HANDED_OUT))
        crooked = any(part in ("", ".", "..") for part in path.split("/")[1:-1])
        if origin != self._origin or "@" in parts.netloc or not inside or crooked or path.endswith("/.."):
            raise refused
        query = f"?{parts.query}" if parts.query else ""
        return f"{self._base}{parts.path}{query}"

    def _fetch(self, url: str) -> bytes:
        import httpx

        # Errors of httpx name the address with its query, which may hold a signature.
        try:
            status, data = self._get(url)
            if status == 401 and self._is_personal():
                status, data = self._get(url, anew=True)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise PlatformError(f"Label Studio gave no image: {type(error).__name__}") from None
        if status != 200:
            raise PlatformError(
                f"Label Studio gave no image ({status})",
                fix="see whether the account of the token sees the task; redirects are not followed",
            )
        return data

    def _get(self, url: str, *, anew: bool = False) -> tuple[int, bytes]:
        headers = {"Authorization": self._authorization(anew), "Accept-Encoding": "identity"}
        until = time.monotonic() + SECONDS
        data = bytearray()
        with self._http.stream("GET", url, headers=headers) as response:
            if response.status_code != 200:
                return response.status_code, b""
            for chunk in response.iter_bytes(2**16):
                data += chunk
                if len(data) > MAX_BYTES:
                    raise PlatformError(f"the image has more than {MAX_BYTES:,} bytes", fix="scale it down")
                if time.monotonic() > until:
                    raise PlatformError(f"the image took longer than {SECONDS:.0f} s")
        return 200, bytes(data)

    def _is_personal(self) -> bool:
        return _JWT.fullmatch(self._token) is not None

    def _authorization(self, anew: bool) -> str:
        """The header for a request. A personal access token must be exchanged for one of five minutes."""
        if not self._is_personal():
            return f"Token {self._token}"
        with self._lock:
            if anew or not self._bearer:
                address = f"{self._base}{self._folder}/api/token/refresh"
                answer = self._http.post(address, json={"refresh": self._token})
                try:
                    self._bearer = str(answer.json()["access"])
                except (ValueError, KeyError, TypeError):
                    raise PlatformError(
                        f"Label Studio does not take the token ({answer.status_code})",
                        fix="make a new one in Label Studio, under Account & Settings",
                    ) from None
            return f"Bearer {self._bearer}"


def _port(scheme: str, port: int | None) -> int:
    return port or (443 if scheme == "https" else 80)
