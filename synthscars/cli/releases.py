"""Finds the release that a command is about: a version of the workspace, or a path."""

from __future__ import annotations

from pathlib import Path

from synthscars.cli.common import open_workspace


def find_release(release: str | None, start: Path, *, files: bool = False) -> Path:
    """The folder of a version, of the newest one if `release` is None, or the path that `release` is.

    start: where the workspace is looked for, which a path does not need. A name that is a version and the
    folder of a release as well is the folder. files: a file will do too.

    Raises `UsageError` if there is no such path, `ReleaseError` if the workspace has no such release.
    """
    from synthscars.problems import ReleaseError, UsageError
    from synthscars.release import versions
    from synthscars.workspace import is_version

    if release is not None and (not is_version(release) or (Path(release) / "data").is_dir()):
        path = Path(release)
        if path.is_dir() or (files and path.exists()):
            return path
        kind = "no" if files else "no folder"
        named = "a folder or a file" if files else "or the folder of a release"
        raise UsageError(
            f"there is {kind} {release}", fix=f"name a version (see `synthscars release list`), {named}"
        )
    workspace = open_workspace(start)
    known = list(versions(workspace.releases_dir))
    if not known:
        raise ReleaseError(
            f"{workspace.root} has no releases yet", fix="build one with `synthscars release build`"
        )
    if release is not None and release not in known:
        raise ReleaseError(f"there is no release {release}", fix=f"there are {', '.join(known)}")
    return workspace.release_dir(release or known[-1])
