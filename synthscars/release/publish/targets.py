"""What a TARGET on the command line means: a dataset on the Hub, a folder, or a place that fsspec reaches."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal
from urllib.parse import unquote, urlsplit

import msgspec

from synthscars.problems import UsageError

_ID = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9._-]{1,96}"
_FORMS = (
    "give org/name, hf://datasets/org/name, a folder such as ./published, or a URL such as s3://bucket/prefix"
)


class Target(msgspec.Struct, frozen=True):
    """Where releases are published. location: `org/name`, the folder, or the URL."""

    kind: Literal["hub", "folder", "bucket"]
    location: str

    @property
    def shown(self) -> str:
        """The target for messages: without passwords and tokens that a URL may hold."""
        if self.kind == "hub":
            return f"hf://datasets/{self.location}"
        if self.kind == "folder":
            return self.location
        scheme, _, rest = self.location.partition("://")
        rest = re.split(r"[?#]", rest, maxsplit=1)[0]
        return f"{scheme}://{re.sub('^[^/]*@', '', rest)}"

    def redact(self, text: str) -> str:
        """One line of what a file system said, without the secrets of this target's URL."""
        text = text.replace(self.location, self.shown)
        if self.kind == "bucket":
            user = self.location.partition("://")[2].split("/")[0].rpartition("@")[0]
            if password := user.partition(":")[2]:
                text = text.replace(password, "…").replace(unquote(password), "…")
        return without_secrets(text)


def without_secrets(text: str) -> str:
    """One short line, without passwords, signatures and control characters."""
    text = re.sub(r"(\w+://)[^\s/@]*@", r"\1", text)
    text = re.sub(r"(\w+://[^\s?#]+)[?#]\S*", r"\1", text)
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:300]


def parse_target(text: str) -> Target:
    """Understand a TARGET. Raises `UsageError` if it may mean two things, or none."""
    for start in ("hf://datasets/", "https://huggingface.co/datasets/"):
        if text.startswith(start):
            name = text.removeprefix(start).rstrip("/")
            if re.fullmatch(_ID, name):
                return Target("hub", name)
            raise UsageError(f"{text!r:.100} does not name a dataset on the Hub", fix=_FORMS)
    if "://" in text:
        scheme = text.split("://", 1)[0]
        if scheme == "hf":
            raise UsageError(f"{text!r:.100} does not name a dataset on the Hub", fix=_FORMS)
        if scheme in ("file", "local"):
            return Target("folder", unquote(urlsplit(text).path) if scheme == "file" else text[8:])
        if re.search(r"[?#]", text):
            raise UsageError(
                f"{Target('bucket', text).shown}: what follows ? or # cannot be part of a place",
                fix="leave it out; credentials come from the environment",
            )
        return Target("bucket", text.rstrip("/"))
    if not text.strip():
        raise UsageError("the target is empty", fix=_FORMS)
    if re.fullmatch(_ID, text):
        if Path(text).exists():
            raise UsageError(
                f"{text} may be the folder or a dataset on the Hub",
                fix=f"write ./{text} for the folder, hf://datasets/{text} for the dataset",
            )
        return Target("hub", text)
    return Target("folder", text)
