"""A dataset repository on the Hugging Face Hub, through `huggingface_hub`: what is there, and clear errors.

What is asked for over HTTP is written down in docs/hub-contract.md.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import msgspec

from synthscars.problems import ReleaseError
from synthscars.release.manifest import MANIFEST_NAME, version_key
from synthscars.release.publish.contents import (
    MOST_COMPANION_BYTES,
    Listing,
    is_usable_version,
    parse_manifest,
    printable,
)
from synthscars.release.publish.targets import without_secrets

if TYPE_CHECKING:
    from huggingface_hub import HfApi

MAIN = "main"
_PATIENCE = 300.0
"""Seconds in which something must come from the Hub or go there."""
_AGAIN = "run the same command again: what has arrived is not sent again"
_LOG_IN = "set HF_TOKEN to a token with write access, or run `hf auth login`"


class HubError(ReleaseError):
    """The Hub refused or failed.

    status: of the HTTP answer, 0 if there was none. passing: it may work if tried again.
    """

    def __init__(self, message: str, *, fix: str, status: int = 0, passing: bool = False) -> None:
        super().__init__(message, fix=fix)
        self.status = status
        self.passing = passing


class NoRepository(HubError):  # noqa: N818 (it is an answer as often as a failure)
    """There is no such repository, or the token may not see it: the Hub does not say which."""


class HubFile(msgspec.Struct, frozen=True):
    """A file of a revision. git: git's hash of the content, or of the pointer to it; sha256: `""` if it is no
    large file."""

    path: str
    bytes: int
    git: str
    sha256: str


class Refs(msgspec.Struct, frozen=True):
    """Commits by name. pulls: by number."""

    branches: dict[str, str]
    tags: dict[str, str]
    pulls: dict[str, str]

    @property
    def versions(self) -> dict[str, str]:
        """Published versions (tags such as `v1.0.0`) and their commits, oldest first."""
        named = {tag[1:]: commit for tag, commit in self.tags.items() if tag.startswith("v")}
        return {name: named[name] for name in sorted(filter(is_usable_version, named), key=version_key)}


class HubRepository:
    """One dataset repository. endpoint and token: those of the environment if not given.

    Every method raises `HubError` if the Hub refuses, fails or cannot be reached.
    """

    def __init__(self, name: str, *, endpoint: str | None = None, token: str | None = None) -> None:
        from huggingface_hub import HfApi, get_token
        from huggingface_hub.utils.tqdm import disable_progress_bars

        disable_progress_bars()  # ours counts the release's files
        _tame_the_client()
        self.name = name
        self._token = token or get_token()
        self.api: HfApi = HfApi(endpoint=endpoint, token=self._token or False, library_name="synthscars")

    @property
    def url(self) -> str:
        """The page of the repository."""
        return without_secrets(f"{self.api.endpoint}/datasets/{self.name}")

    @contextmanager
    def errors(self) -> Iterator[None]:
        """Turn whatever the client raises within the block into a `HubError` without any secret in it.

        That is any exception: an answer that is not as it should be ends in whatever comes of it.
        """
        from huggingface_hub.errors import HfHubHTTPError

        transport: Any = HfHubHTTPError.__mro__[1]  # the base of the HTTP library's own errors
        try:
            yield
        except ReleaseError:
            raise
        except Exception as error:
            cause: BaseException = error
            while type(cause) is RuntimeError and cause.__cause__ is not None:
                cause = cause.__cause__  # "Error while uploading", from an error that says why
            if isinstance(cause, OSError) and cause.errno is not None and not isinstance(cause, transport):
                raise  # the disk's, not the Hub's
            raise self._explained(cause) from None  # its text may hold signed addresses

    def _explained(self, error: BaseException) -> HubError:
        from huggingface_hub import errors
        from huggingface_hub.errors import HfHubHTTPError

        where = f"hf://datasets/{self.name}"
        response = getattr(error, "response", None)
        status = int(getattr(response, "status_code", 0))
        if isinstance(error, errors.OfflineModeIsEnabled):
            return HubError("the Hub is switched off by HF_HUB_OFFLINE", fix="unset HF_HUB_OFFLINE")
        if isinstance(error, errors.LocalTokenNotFoundError):
            return HubError("there is no token for the Hub", fix=_LOG_IN, status=401)
        said = self.redact(str(getattr(error, "server_message", None) or ""))
        headers = getattr(response, "headers", {})
        if status == 401 and "Invalid credentials" in f"{said} {headers.get('X-Error-Message')}":
            return HubError("the Hub does not accept the token", fix=_LOG_IN, status=status)
        if isinstance(error, errors.GatedRepoError):
            return HubError(f"{where} asks for consent to its terms", fix=f"open {self.url}", status=status)
        if isinstance(error, errors.RepositoryNotFoundError):
            return NoRepository(
                f"{where} is not there, or not for {'this' if self._token else 'somebody without a'} token",
                fix=f"look at the name; if it is private: {_LOG_IN}",
                status=status,
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return HubError(
                f"{where} has no such revision", fix="`synthscars release versions TARGET`", status=404
            )
        if status in (401, 403):
            return HubError(
                f"{where}: {'this' if self._token else 'without a'} token may not do that{_because(said)}",
                fix=f"use a token that may write there: {_LOG_IN}",
                status=status,
            )
        if status == 409:
            return HubError(f"{where}: it exists already{_because(said)}", fix=_AGAIN, status=status)
        if status == 412:
            return HubError(
                f"{where} was changed by somebody else in the meantime",
                fix=_AGAIN,
                status=status,
                passing=True,
            )
        if status == 429:
            return HubError(
                f"{where}: too many requests", fix=f"wait; then {_AGAIN}", status=status, passing=True
            )
        if status:
            return HubError(
                f"{where}: the Hub answered {status}{_because(said)}",
                fix=_AGAIN,
                status=status,
                passing=status >= 500,
            )
        kind = type(error).__name__
        text = self.redact(str(error))
        if isinstance(error, LookupError | TypeError | AttributeError | AssertionError):
            text = f"it does not answer as a Hub does ({kind}: {text})"
        passing = isinstance(error, OSError | HfHubHTTPError.__mro__[1])
        return HubError(f"{where}: {text or kind}", fix=_AGAIN, passing=passing)

    def redact(self, text: str) -> str:
        """One line of what the Hub or its client said, without the token and signed addresses."""
        if self._token:
            text = text.replace(self._token, "…")
        return without_secrets(text)

    # What is there

    def require_token(self) -> None:
        """Raises `HubError` at once if there is no token at all."""
        if not self._token:
            raise HubError("there is no token for the Hub", fix=_LOG_IN, status=401)

    def require_access(self, *, write: bool) -> None:
        """Raises `HubError` if the token may not read, or not write; `NoRepository` if there is none."""
        with self.errors():
            self.api.auth_check(self.name, repo_type="dataset", write=write)

    def refs(self) -> Refs:
        """Branches, tags and pull requests."""
        with self.errors():
            found = self.api.list_repo_refs(self.name, repo_type="dataset", include_pull_requests=True)
        pulls = found.pull_requests or []
        for ref in (*found.branches, *found.tags, *pulls):
            if not re.fullmatch("[0-9a-f]{40,64}", str(ref.target_commit)):
                raise HubError(f"{self.url} answers with refs that are none", fix="look at HF_ENDPOINT")
        return Refs(
            {ref.name: ref.target_commit for ref in found.branches},
            {ref.name: ref.target_commit for ref in found.tags},
            {ref.ref.rsplit("/", 1)[-1]: ref.target_commit for ref in pulls},
        )

    def files(self, revision: str) -> dict[str, HubFile]:
        """Every file of a revision, by path."""
        from huggingface_hub.hf_api import RepoFile

        with self.errors():
            listed = self.api.list_repo_tree(
                self.name, recursive=True, revision=revision, repo_type="dataset"
            )
            return {
                entry.path: HubFile(
                    entry.path,
                    entry.lfs.size if entry.lfs else entry.size,
                    entry.blob_id,
                    entry.lfs.sha256 if entry.lfs else "",
                )
                for entry in listed
                if isinstance(entry, RepoFile)
            }

    def download(
        self, path: str, revision: str, folder: Path, most: int, moved: Callable[[int], None] | None = None
    ) -> Path:
        """Fetch one file into `folder`, going on where an earlier attempt stopped. The caller verifies it.

        Takes no more than `most` bytes, whatever the server sends. moved: called with bytes as they come.
        """
        from huggingface_hub import hf_hub_download

        where = f"hf://datasets/{self.name}"

        def count(total: int) -> None:
            if total > most:
                raise HubError(
                    f"{where}: {printable(path)} has more than the {most:,} bytes that are said of it",
                    fix="tell who published it",
                )
            if moved is not None:
                moved(total)

        with self.errors():
            return Path(
                hf_hub_download(
                    self.name,
                    path,
                    repo_type="dataset",
                    revision=revision,
                    local_dir=folder,
                    endpoint=self.api.endpoint,
                    token=self._token or False,
                    tqdm_class=_counting(count),
                )
            )

    def read(self, files: dict[str, HubFile], path: str, revision: str, most: int) -> bytes | None:
        """A small file of a revision; `None` if there is none, or it is larger than `most` bytes."""
        entry = files.get(path)
        if entry is None or entry.bytes > most:
            return None
        with TemporaryDirectory() as folder:
            return self.download(path, revision, Path(folder), entry.bytes).read_bytes()

    def listing(self, files: dict[str, HubFile], revision: str) -> Listing | None:
        """The manifest of a revision; `None` if it has none that can be read."""
        data = self.read(files, MANIFEST_NAME, revision, MOST_COMPANION_BYTES)
        try:
            return None if data is None else parse_manifest(data, f"{self.name}/{MANIFEST_NAME}")
        except ReleaseError:
            return None


def _counting(count: Callable[[int], None]) -> type[Any]:
    """What the client takes for a bar: tells how many bytes of a file have come, before they are written."""
    from huggingface_hub.utils.tqdm import tqdm

    class Counting(tqdm):  # type: ignore[misc, unused-ignore]
        def __init__(self, *given: Any, **more: Any) -> None:
            super().__init__(*given, **{**more, "disable": True})  # type: ignore[no-untyped-call, unused-ignore]
            self.come = int(more.get("initial") or 0)
            # Over Xet, there is a second bar, and it counts compressed bytes.
            self.plain = more.get("name") == "huggingface_hub.http_get"

        def update(self, n: float | None = 1) -> None:
            self.come += int(n or 0)
            if self.plain:
                count(self.come)

    return Counting


def _tame_the_client() -> None:
    """Let the client of `huggingface_hub` wait for minutes and not for ever, and log no signed addresses."""
    from huggingface_hub import get_session

    session: Any = get_session()
    if session.timeout.read is None:  # else somebody chose one
        session.timeout = _PATIENCE
    for handler in logging.getLogger("huggingface_hub").handlers:
        if _without_secrets not in handler.filters:
            handler.addFilter(_without_secrets)


def _without_secrets(record: logging.LogRecord) -> bool:
    record.msg, record.args = without_secrets(record.getMessage()), ()
    return True


def _because(said: str) -> str:
    return f": {said}" if said else ""
