"""What is said against published versions: `deprecated.json` beside them, on the Hub on `main`.

It is the one thing that changes after a version was published. Whoever publishes adds what their own
workspace says; what others said before stays.
"""

from __future__ import annotations

import msgspec

from synthscars.problems import Problems
from synthscars.release.deprecate import (
    DEPRECATIONS_NAME,
    Deprecation,
    Deprecations,
    encode_deprecations,
    parse_deprecations,
    replacement,
)
from synthscars.release.publish.contents import printable

MOST_SAID = 2**20
"""Bytes that are read of it."""


def merged(there: bytes | None, here: Deprecations, version: str, where: str) -> bytes | None:
    """The file as it should be once `version` is published from a workspace that says `here`.

    there: the file as it is, `None` if there is none. What is said against `version` is taken back if the
    workspace says nothing against it. Raises `ReleaseError` if what is there is no such file, or if both
    together lead in a circle.
    """
    old = {} if there is None else parse_deprecations(there, where)
    new = {**old, **here}
    if version not in here:
        new.pop(version, None)
    if new == old:
        return there
    encoded = encode_deprecations(new)
    parse_deprecations(encoded, f"{DEPRECATIONS_NAME} here and {where} together")
    return encoded


def parse_said(data: bytes | None, where: str) -> Deprecations:
    """What a published place says; its texts are not trusted. Raises `ReleaseError` if it is no such file."""
    found = {} if data is None else parse_deprecations(data, where)
    return {
        version: msgspec.structs.replace(each, reason=printable(each.reason), since=printable(each.since))
        for version, each in found.items()
    }


def against(said: Deprecations, version: str) -> str:
    """What is said against a version in one line for a person; `""` if nothing."""
    each: Deprecation | None = said.get(version)
    if each is None:
        return ""
    since = f" since {each.since}" if each.since else ""
    reason = each.reason if len(each.reason) <= _LONGEST_REASON else f"{each.reason[:_LONGEST_REASON]}…"
    return f"{version} is deprecated{since}: {reason}"


_LONGEST_REASON = 200


def add_problem(
    said: Deprecations, version: str, problems: Problems, fix: str, *, error: bool = False
) -> None:
    """Report that a version is deprecated (`release.deprecated`), if it is."""
    if text := against(said, version):
        use = replacement(said, version)
        problems.add(
            "release.deprecated",
            text,
            file=DEPRECATIONS_NAME,
            fix=f"use {use} instead{f'; {fix}' if fix else ''}" if use else fix,
            severity="error" if error else "warning",
        )
