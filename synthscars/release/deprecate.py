"""Versions that should not be used any more, and columns and classes that the next major version leaves out.

A release does not change, so what is said against a version stands beside the releases, in
`releases/deprecated.json`. A column or a class is announced in the release itself, in its manifest: whoever
reads it is warned before it is gone.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import msgspec

from synthscars.files import atomic_file
from synthscars.problems import ReleaseError, UsageError
from synthscars.release.manifest import read_manifest, version_key, versions
from synthscars.release.markdown import markdown_line, markdown_table
from synthscars.taxonomy import Category, ContentType, Subtype, load_taxonomy
from synthscars.workspace import Workspace, check_version, is_version

DEPRECATIONS_NAME = "deprecated.json"

DEPRECATED_COLUMNS: dict[str, str] = {}
"""Columns that the next major version leaves out, by their path (`artifacts.votes`), and what to use instead:
`"use reviews"`. A column stands here for at least one minor version before it is taken out of `features`."""

_LONGEST_VERSION = 40

Deprecations = dict[str, "Deprecation"]
"""By version, oldest first."""


class Deprecation(msgspec.Struct, frozen=True, kw_only=True):
    """Why a version should not be used. use: the version to use instead, `""` if there is none. since: a date
    (`2027-03-01`), `""` if none was given."""

    reason: str
    use: str = ""
    since: str = ""


# Versions


def read_deprecations(releases: Path) -> Deprecations:
    """The versions of a folder of releases that should not be used; none if nothing is said about any.

    Raises `ReleaseError` if the file cannot be read, names what is no version, or leads in a circle.
    """
    path = releases / DEPRECATIONS_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return {}
    return parse_deprecations(data, str(path))


def parse_deprecations(data: bytes, where: str) -> Deprecations:
    """Read a `deprecated.json` from anywhere. Raises `ReleaseError` naming `where` as `read_deprecations`
    does."""
    fix = f"mend or remove {DEPRECATIONS_NAME}, and deprecate the versions again"
    try:
        found = msgspec.json.decode(data, type=dict[str, Deprecation])
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{where}: {error}", fix=fix) from error
    for version, each in found.items():
        for name in (version, *filter(None, [each.use])):
            if len(name) > _LONGEST_VERSION or not is_version(name):
                raise ReleaseError(f"{where}: {name[:80]!r} is not a version", fix=fix)
        if not each.reason.strip():
            raise ReleaseError(f"{where}: {version} has no reason", fix=fix)
    for version in found:
        _follow(found, version, where, fix)
    return _sorted(found)


def encode_deprecations(deprecations: Deprecations) -> bytes:
    """A `deprecated.json`, oldest version first."""
    return msgspec.json.format(msgspec.json.encode(_sorted(deprecations)), indent=2) + b"\n"


def replacement(deprecations: Mapping[str, Deprecation], version: str) -> str:
    """The version to use instead of one that is deprecated; where that one is deprecated since, the one after
    it. `""` if there is none."""
    while version in deprecations:
        version = deprecations[version].use
    return version


def deprecate(workspace: Workspace, version: str, *, reason: str, use: str = "", since: str = "") -> None:
    """Say that a version should not be used, or say it with another reason.

    version: one that is there, or that was there when a later one was built. use: the version to use instead,
    which must be there. since: a date such as 2027-03-01.

    Holds the workspace's lock. Raises `UsageError` for a call that makes no sense, `ReleaseError` if one of
    the versions is not known, or if the one to use is deprecated itself.
    """
    check_version(version)
    if not reason.strip():
        raise UsageError("a deprecation needs a reason", fix='say what is wrong with it: --reason "..."')
    if use and check_version(use) == version:
        raise UsageError(f"{version} cannot be used instead of itself", fix="name another version")
    if since:
        _check_date(since)
    with workspace.lock():
        deprecations = read_deprecations(workspace.releases_dir)
        there = list(versions(workspace.releases_dir))
        if version not in there and version not in deprecations and version not in _earlier(workspace, there):
            raise _unknown(version, there)
        if use and use not in there:
            raise _unknown(use, there)
        if use in deprecations:
            other = replacement(deprecations, use)
            raise ReleaseError(
                f"{use} is deprecated itself: {deprecations[use].reason}",
                fix=f"use {other}" if other and other != version else "choose another version, or none",
            )
        deprecations[version] = Deprecation(reason=" ".join(reason.split()), use=use, since=since)
        _write(workspace, deprecations)


def undo_deprecation(workspace: Workspace, version: str) -> None:
    """Take back what was said against a version.

    Holds the workspace's lock. Raises `UsageError` if it is no version, `ReleaseError` if it is not
    deprecated.
    """
    check_version(version)
    with workspace.lock():
        deprecations = read_deprecations(workspace.releases_dir)
        if deprecations.pop(version, None) is None:
            known = ", ".join(deprecations) or "none"
            raise ReleaseError(f"{version} is not deprecated", fix=f"deprecated are: {known}")
        _write(workspace, deprecations)


def deprecations_text(deprecations: Mapping[str, Deprecation]) -> str:
    """The versions that should not be used as a table in Markdown, everything in it escaped; `""` if there
    are none."""
    if not deprecations:
        return ""
    rows = [
        [version, replacement(deprecations, version) or "none", each.since, each.reason]
        for version, each in deprecations.items()
    ]
    if not any(each.since for each in deprecations.values()):
        rows = [[version, use, reason] for version, use, _, reason in rows]
        return markdown_table(["version", "use instead", "why"], rows)
    return markdown_table(["version", "use instead", "since", "why"], rows)


def deprecation_line(deprecations: Mapping[str, Deprecation], version: str) -> str:
    """What is said against one version as a sentence of Markdown, everything in it escaped; `""` if
    nothing."""
    each = deprecations.get(version)
    if each is None:
        return ""
    use = replacement(deprecations, version)
    since = f" since {markdown_line(each.since)}" if each.since else ""
    instead = f" Use {use} instead." if use else ""
    reason = markdown_line(each.reason)
    stop = "" if reason.endswith((".", "!", "?")) else "."
    return f"Version {version} is deprecated{since}: {reason}{stop}{instead}"


def _follow(found: Mapping[str, Deprecation], start: str, where: str, fix: str) -> None:
    seen = [start]
    while seen[-1] in found and (use := found[seen[-1]].use):
        if use in seen:
            raise ReleaseError(f"{where}: a circle: {' → '.join([*seen, use])}", fix=fix)
        seen.append(use)


def _earlier(workspace: Workspace, there: Iterable[str]) -> set[str]:
    """Versions that a later one was built after, also if they are gone."""
    found: set[str] = set()
    for name in there:
        try:
            inputs = read_manifest(workspace.release_dir(name)).inputs
        except ReleaseError:
            continue  # `release check` tells of it
        found.update(role.removeprefix("manifest ") for role in inputs if role.startswith("manifest "))
    return found


def _unknown(version: str, there: Iterable[str]) -> ReleaseError:
    known = ", ".join(there)
    return ReleaseError(
        f"there is no release {version}",
        fix=f"there are {known}" if known else "there are no releases yet",
    )


def _check_date(text: str) -> None:
    try:
        good = datetime.date.fromisoformat(text).isoformat() == text
    except ValueError:
        good = False
    if not good:
        raise UsageError(f"{text[:40]!r} is not a date", fix="write it as 2027-03-01")


def _write(workspace: Workspace, deprecations: Deprecations) -> None:
    path = workspace.releases_dir / DEPRECATIONS_NAME
    if not deprecations:
        path.unlink(missing_ok=True)
        return
    with atomic_file(path) as file:
        file.write(encode_deprecations(deprecations))


def _sorted(deprecations: Mapping[str, Deprecation]) -> Deprecations:
    return dict(sorted(deprecations.items(), key=lambda item: version_key(item[0])))


# Columns and classes


def deprecated_names() -> dict[str, str]:
    """Columns and classes that the next major version leaves out, and what to use instead.

    Columns by their path (`artifacts.votes`), classes by their vocabulary and id (`subtype:deformed`).
    """
    taxonomy = load_taxonomy()
    vocabularies: dict[str, Sequence[Category | Subtype | ContentType]] = {
        "category": taxonomy.categories,
        "subtype": taxonomy.subtypes,
        "content_type": taxonomy.content_types,
    }
    classes = {
        f"{vocabulary}:{entry.id}": entry.deprecated
        for vocabulary, entries in vocabularies.items()
        for entry in entries
        if entry.deprecated
    }
    return {**DEPRECATED_COLUMNS, **classes}
