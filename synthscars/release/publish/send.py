"""Publishes a release: decides what must go, and hands it to the Hub, a folder or a bucket."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec

from synthscars.problems import Problem, Problems, ReleaseError, UsageError
from synthscars.release.publish.contents import FileOf
from synthscars.release.publish.targets import Target
from synthscars.release.publish.whole import Whole, read_whole
from synthscars.workspace import is_version


class Moment(msgspec.Struct, frozen=True):
    """How far the work is. doing: `verifying`, `sending`. Bytes and files that are done, and of how many."""

    doing: str
    bytes: int
    all_bytes: int
    files: int = 0
    all_files: int = 0


Progress = Callable[[Moment], None]


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One file that must go. source: where the target has the same content already."""

    path: str
    bytes: int
    source: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What publishing changes.

    add: sent. copy: the target copies it itself. keep: it has them. delete: it has them from an earlier
    release. foreign: it has them from somebody else; they are left alone.
    """

    add: tuple[Change, ...] = ()
    copy: tuple[Change, ...] = ()
    keep: tuple[Change, ...] = ()
    delete: tuple[Change, ...] = ()
    foreign: tuple[Change, ...] = ()

    @property
    def changes(self) -> bool:
        """Whether anything is to be done."""
        return bool(self.add or self.copy or self.delete)


class PublishReport(msgspec.Struct, frozen=True):
    """What was done.

    state: `published`, `unchanged`, `proposed` (as a pull request) or `planned` (a dry run).
    commit, tag, pull_request: on the Hub; tag is empty if it was not set. url: where to look. next: what is
    left to do, in words.
    """

    target: str
    version: str
    state: str
    plan: Plan
    url: str = ""
    commit: str = ""
    tag: str = ""
    pull_request: str = ""
    next: str = ""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to publish; all but `dry_run` and the forces concern the Hub.

    create, private: make the repository if there is none. branch: commit there instead of to `main`.
    pull_request: propose it. tag: set the tag of the version. tag_only: send nothing, set the tag of what is
    there. force: publish although a check found errors, or the version is deprecated. force_unverified:
    publish although it was not verified, or did not pass. endpoint, token: those of the environment if not
    given.
    """

    dry_run: bool = False
    force: bool = False
    force_unverified: bool = False
    create: bool = False
    private: bool = False
    branch: str = ""
    pull_request: bool = False
    tag: bool = True
    tag_only: bool = False
    endpoint: str | None = None
    token: str | None = None


def publish_release(
    folder: Path,
    target: Target,
    problems: Problems,
    options: Options | None = None,
    *,
    progress: Progress | None = None,
) -> PublishReport:
    """Publish the release in `folder`. Whatever is interrupted, the same call completes it.

    Verifies every file first; what is wrong is added to `problems`. Raises `ReleaseError` if the release is
    not whole or was found faulty, if another release has its version already, or if the target fails;
    `UsageError` if options contradict each other.
    """
    options = options or Options()
    _check_options(target, options)
    whole = _verified(folder, problems, options, progress)
    if target.kind == "hub":
        from synthscars.release.publish.send_hub import publish_to_hub

        return publish_to_hub(whole, target, problems, options, progress)
    from synthscars.release.publish.send_place import publish_to_place

    return publish_to_place(whole, target, options, progress)


def _check_options(target: Target, options: Options) -> None:
    if options.pull_request and options.branch:
        raise UsageError("a pull request makes its own branch", fix="leave out --branch or --pr")
    if is_version(options.branch.removeprefix("v")) or options.branch.startswith("refs/"):
        raise UsageError(
            f"a branch {options.branch} would be taken for something else", fix="name it such as v1.0"
        )
    if options.tag_only and (options.pull_request or not options.tag):
        raise UsageError("--tag-only sets the tag and nothing else", fix="leave out --pr and --no-tag")
    if options.private and not options.create:
        raise UsageError("--private is for a repository that is made", fix="add --create, or leave it out")
    hub_only = options.create or options.branch or options.pull_request or options.tag_only or not options.tag
    if hub_only and target.kind != "hub":
        raise UsageError(
            f"{target.shown} has no branches, tags or pull requests", fix="leave out their options"
        )


def _verified(folder: Path, problems: Problems, options: Options, progress: Progress | None) -> Whole:
    found = Problems()
    done = 0

    def advance(count: int) -> None:
        nonlocal done
        done += count
        if progress is not None:
            progress(Moment("verifying", done, done))

    whole = read_whole(folder, found, progress=advance)
    stops = []
    for problem in found:
        if (options.force and problem.code in ("checks.errors", "release.deprecated")) or (
            options.force_unverified and problem.code.startswith("verification.")
        ):
            problem = msgspec.structs.replace(problem, severity="warning")
        problems.extend([problem])
        if problem.severity == "error":
            stops.append(problem)
    if stops:
        raise ReleaseError(f"{folder} cannot be published: {_counted(stops)}", fix=stops[0].fix)
    return whole


def _counted(stops: list[Problem]) -> str:
    first = f"{stops[0].where}: {stops[0].what}"
    return first if len(stops) == 1 else f"{first}; and {len(stops) - 1} more"


class Counter:
    """Tells of what is sent, file by file."""

    def __init__(self, files: list[FileOf], progress: Progress | None) -> None:
        self._progress = progress
        self._all_bytes, self._all_files = sum(file.bytes for file in files), len(files)
        self._bytes = self._files = 0
        self._tell()

    def sent(self, files: list[FileOf]) -> None:
        """These files are done."""
        self._bytes += sum(file.bytes for file in files)
        self._files += len(files)
        self._tell()

    def _tell(self) -> None:
        if self._progress is not None:
            self._progress(Moment("sending", self._bytes, self._all_bytes, self._files, self._all_files))
