"""Publishes to the Hugging Face Hub: one commit, then the tag of the version.

Contents are sent before the commit and are invisible until then. A commit names the one it was planned on, so
that nothing is lost if somebody else commits in the meantime: the plan is made again.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from synthscars.problems import Problems, ReleaseError
from synthscars.release.deprecate import DEPRECATIONS_NAME
from synthscars.release.manifest import version_key
from synthscars.release.publish.contents import CARD_NAME, is_ours, printable
from synthscars.release.publish.hub import MAIN, HubError, HubFile, HubRepository, NoRepository, Refs
from synthscars.release.publish.said import MOST_SAID, merged
from synthscars.release.publish.send import Change, Counter, Options, Plan, Progress, PublishReport
from synthscars.release.publish.targets import Target
from synthscars.release.publish.whole import Whole, git_hash

if TYPE_CHECKING:
    from huggingface_hub import CommitOperationAdd

_TRIES = 4
_SMALL = 10_000_000
"""Larger files never go with the commit itself."""
_AT_ONCE = 4
"""Files that are sent together: enough to use the line, few enough that progress is seen."""


class _State(NamedTuple):
    """What a branch holds. version: of its release, `""` if it has none."""

    commit: str
    plan: Plan
    version: str


def publish_to_hub(
    whole: Whole, target: Target, problems: Problems, options: Options, progress: Progress | None
) -> PublishReport:
    """See `publish_release`."""
    hub = HubRepository(target.location, endpoint=options.endpoint, token=options.token)
    refs = _ready(hub, options)
    if refs is None:  # a dry run, and the repository is yet to be made
        plan = Plan(add=tuple(Change(file.path, file.bytes) for file in whole.files.values()))
        return PublishReport(target.shown, whole.version, "planned", plan, url=hub.url)
    tagged = _tagged(hub, refs, whole)
    if options.tag_only:
        return _tag_only(hub, refs, whole, target, problems, options)
    if options.pull_request:
        return _propose(hub, whole, target, problems, options, progress, tagged=tagged)
    return _commit(hub, whole, target, problems, options, progress)


def _ready(hub: HubRepository, options: Options) -> Refs | None:
    if not options.dry_run:
        hub.require_token()
        try:
            hub.require_access(write=not options.pull_request)
        except NoRepository:
            if not options.create:
                raise
            with hub.errors():
                hub.api.create_repo(hub.name, repo_type="dataset", private=options.private, exist_ok=True)
    try:
        return hub.refs()
    except NoRepository as error:
        if options.dry_run and options.create:
            return None
        error.fix = f"{error.fix}; --create makes it"
        raise


def _tagged(hub: HubRepository, refs: Refs, whole: Whole) -> str:
    """The commit that the version's tag names, `""` if there is none yet.

    Raises `ReleaseError` if the tag names another release.
    """
    commit = refs.tags.get(f"v{whole.version}", "")
    if commit:
        plan = _plan(hub, commit, whole).plan
        if plan.changes:
            others = [change.path for change in (*plan.add, *plan.copy, *plan.delete)]
            more = f" and {len(others) - 3} more" if len(others) > 3 else ""
            raise ReleaseError(
                f"hf://datasets/{hub.name} has a v{whole.version} with other content "
                f"({printable(', '.join(others[:3]))}{more})",
                fix="published versions do not change: build the next one",
            )
    return commit


def _plan(hub: HubRepository, commit: str, whole: Whole) -> _State:
    there = hub.files(commit)
    old = hub.listing(there, commit)
    shards = whole.shards | ({file.path for file in old.files} if old is not None else set())
    contents = {file.sha256: file.path for file in there.values() if file.sha256}
    add, copy, keep = [], [], []
    for path, file in whole.files.items():
        source = contents.get(file.sha256, "")
        if path in there and _same(whole, there[path]):
            keep.append(Change(path, file.bytes))
        elif source:
            copy.append(Change(path, file.bytes, source))
        else:
            add.append(Change(path, file.bytes))
    rest = [Change(path, file.bytes) for path, file in sorted(there.items()) if path not in whole.files]
    delete = tuple(change for change in rest if is_ours(change.path, shards))
    foreign = tuple(change for change in rest if change not in delete)
    plan = Plan(tuple(add), tuple(copy), tuple(keep), delete, foreign)
    return _State(commit, plan, old.version if old is not None else "")


def _same(whole: Whole, remote: HubFile) -> bool:
    file = whole.files[remote.path]
    if remote.sha256:
        return remote.sha256 == file.sha256
    return remote.bytes == file.bytes and remote.git == git_hash(whole.folder / remote.path)


# Commit to a branch


def _commit(
    hub: HubRepository,
    whole: Whole,
    target: Target,
    problems: Problems,
    options: Options,
    progress: Progress | None,
) -> PublishReport:
    branch = options.branch or MAIN
    tag = f"v{whole.version}"
    for attempt in range(_TRIES):
        refs = hub.refs()
        # Each time anew: somebody else may have published this version since.
        tagged = _tagged(hub, refs, whole)
        head = refs.branches.get(branch, "") or _start(hub, refs, whole.version)
        state = _plan(hub, head, whole)
        if tagged and (not state.plan.changes or not _older(state.version, whole.version)):
            if not options.dry_run:
                _say(hub, whole, state, branch, problems)
            plan = Plan(keep=tuple(Change(path, file.bytes) for path, file in whole.files.items()))
            return PublishReport(target.shown, whole.version, "unchanged", plan, _at(hub, tag), tagged, tag)
        if branch in refs.branches and state.version and _older(whole.version, state.version):
            raise ReleaseError(
                f"{branch} of hf://datasets/{hub.name} holds {state.version}, which is newer",
                fix=f"keep {branch} at the newest version: publish this one with --branch NAME",
            )
        if options.dry_run:
            return PublishReport(target.shown, whole.version, "planned", state.plan, hub.url, head)
        try:
            if branch not in refs.branches:
                with hub.errors():
                    hub.api.create_branch(
                        hub.name, branch=branch, revision=head, repo_type="dataset", exist_ok=True
                    )
            commit = _send(hub, whole, state, branch, problems, progress) if state.plan.changes else head
            break
        except HubError as error:
            if not error.passing or attempt == _TRIES - 1:
                raise
            time.sleep(2**attempt)
    if options.tag and not tagged:
        _tag(hub, whole, commit)
    _say(hub, whole, state, branch, problems)
    if not options.tag:
        left = f"`synthscars release publish {whole.version} {hub.name} --tag-only` sets the tag"
        return PublishReport(target.shown, whole.version, "published", state.plan, hub.url, commit, next=left)
    return PublishReport(target.shown, whole.version, "published", state.plan, _at(hub, tag), commit, tag)


def _main(hub: HubRepository, refs: Refs) -> str:
    if MAIN not in refs.branches:
        raise ReleaseError(f"hf://datasets/{hub.name} has no branch {MAIN}", fix="make it on the Hub")
    return refs.branches[MAIN]


def _start(hub: HubRepository, refs: Refs, version: str) -> str:
    """Where a new branch begins: at the newest older version, so that little must be sent."""
    older = [commit for name, commit in refs.versions.items() if _older(name, version)]
    return older[-1] if older else _main(hub, refs)


def _older(version: str, than: str) -> bool:
    return not version or version_key(version) < version_key(than)


def _at(hub: HubRepository, tag: str) -> str:
    return f"{hub.url}/tree/{tag}"


def _send(
    hub: HubRepository,
    whole: Whole,
    state: _State,
    revision: str,
    problems: Problems,
    progress: Progress | None,
    *,
    propose: bool = False,
) -> str:
    """Send contents and commit them; gives the commit, or the address of the new pull request."""
    from huggingface_hub import CommitOperationAdd, CommitOperationCopy, CommitOperationDelete

    additions = [CommitOperationAdd(change.path, _content(whole, change)) for change in state.plan.add]
    counter = Counter([whole.files[addition.path_in_repo] for addition in additions], progress)
    with hub.errors(), warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        for start in range(0, len(additions), _AT_ONCE):
            part = additions[start : start + _AT_ONCE]
            hub.api.preupload_lfs_files(
                hub.name,
                part,
                repo_type="dataset",
                revision=revision,
                create_pr=propose,
                num_threads=_AT_ONCE,
                free_memory=False,
            )
            _unchanged(whole, part)
            counter.sent([whole.files[addition.path_in_repo] for addition in part])
        info = hub.api.create_commit(
            hub.name,
            [
                *additions,
                *(
                    CommitOperationCopy(change.source, change.path, src_revision=state.commit)
                    for change in state.plan.copy
                ),
                *(CommitOperationDelete(change.path, is_folder=False) for change in state.plan.delete),
            ],
            commit_message=_title(whole),
            commit_description=f"{whole.listing.name} {whole.version}, {len(whole.shards)} Parquet files.",
            repo_type="dataset",
            revision=revision,
            create_pr=propose,
            parent_commit=state.commit,
        )
    for text in sorted({str(warning.message) for warning in said if "metadata" in str(warning.message)}):
        problems.add("card.hub", hub.redact(text), file=CARD_NAME, severity="warning")
    return hub.redact(str(info.pr_url if propose else info.oid))


def _content(whole: Whole, change: Change) -> bytes | Path:
    """A small file is read now: it goes with the commit, long after it was verified."""
    path = whole.folder / change.path
    return path.read_bytes() if change.bytes <= _SMALL else path


def _unchanged(whole: Whole, additions: Iterable[CommitOperationAdd]) -> None:
    for addition in additions:
        path = addition.path_in_repo
        if addition.upload_info.sha256.hex() != whole.files[path].sha256:
            raise ReleaseError(
                f"{path} changed while it was sent", fix="leave the release alone, and run it again"
            )


def _title(whole: Whole) -> str:
    return f"Release {whole.version}"


# What is said against versions


def _say(hub: HubRepository, whole: Whole, state: _State, branch: str, problems: Problems) -> None:
    """Commit `deprecated.json` to `main`, if there is news: a commit of its own, for versions stay the same.

    state: of the branch, from which is known whether there is such a file at all.
    """
    there = any(change.path == DEPRECATIONS_NAME for change in state.plan.foreign)
    if branch != MAIN or not (whole.said or there):
        return
    from huggingface_hub import CommitOperationAdd

    for attempt in range(_TRIES):
        head = _main(hub, hub.refs())
        old = hub.read(hub.files(head), DEPRECATIONS_NAME, head, MOST_SAID)
        new = merged(old, whole.said, whole.version, f"{hub.url}: {DEPRECATIONS_NAME}")
        if new is None or new == old:
            return
        try:
            with hub.errors():
                hub.api.create_commit(
                    hub.name,
                    [CommitOperationAdd(DEPRECATIONS_NAME, new)],
                    commit_message="Deprecated versions",
                    repo_type="dataset",
                    revision=MAIN,
                    parent_commit=head,
                )
            problems.add(
                "publish.deprecations",
                f"what is said against versions is on {MAIN} now",
                file=DEPRECATIONS_NAME,
                severity="info",
            )
            return
        except HubError as error:
            if not error.passing or attempt == _TRIES - 1:
                raise
            time.sleep(2**attempt)


# Tags


def _tag(hub: HubRepository, whole: Whole, commit: str) -> None:
    tag = f"v{whole.version}"
    try:
        with hub.errors():
            hub.api.create_tag(
                hub.name, tag=tag, tag_message=_title(whole), revision=commit, repo_type="dataset"
            )
    except HubError as error:
        # Somebody else was first, or the answer to our own request was lost.
        if error.status != 409 or not _tagged(hub, hub.refs(), whole):
            raise


def _tag_only(
    hub: HubRepository, refs: Refs, whole: Whole, target: Target, problems: Problems, options: Options
) -> PublishReport:
    branch, tag = options.branch or MAIN, f"v{whole.version}"
    if branch not in refs.branches:
        raise ReleaseError(f"hf://datasets/{hub.name} has no branch {branch}", fix="name another --branch")
    state = _plan(hub, refs.branches[branch], whole)
    if tag in refs.tags:
        return PublishReport(
            target.shown, whole.version, "unchanged", state.plan, _at(hub, tag), refs.tags[tag], tag
        )
    if state.plan.changes:
        raise ReleaseError(
            f"{branch} of hf://datasets/{hub.name} does not hold {whole.version} as it is here",
            fix="merge its pull request first, or publish it without --tag-only",
        )
    if options.dry_run:
        return PublishReport(target.shown, whole.version, "planned", state.plan, hub.url, state.commit, tag)
    _tag(hub, whole, state.commit)
    _say(hub, whole, state, branch, problems)
    return PublishReport(
        target.shown, whole.version, "published", state.plan, _at(hub, tag), state.commit, tag
    )


# Pull requests


def _propose(
    hub: HubRepository,
    whole: Whole,
    target: Target,
    problems: Problems,
    options: Options,
    progress: Progress | None,
    *,
    tagged: str,
) -> PublishReport:
    left = (
        f"once it is merged, `synthscars release publish {whole.version} {hub.name} --tag-only` sets the tag"
    )
    for attempt in range(_TRIES):
        refs = hub.refs()
        state = _plan(hub, _main(hub, refs), whole)
        if tagged or not state.plan.changes:
            return PublishReport(
                target.shown,
                whole.version,
                "unchanged",
                state.plan,
                hub.url,
                state.commit,
                next="" if tagged else left,
            )
        if options.dry_run:
            return PublishReport(target.shown, whole.version, "planned", state.plan, hub.url, state.commit)
        try:
            number = _open_pull(hub, refs, whole)
            if number:
                # An earlier run got this far: what it proposed is brought up to date.
                state = _plan(hub, refs.pulls[number], whole)
                if state.plan.changes:
                    _send(hub, whole, state, f"refs/pr/{number}", problems, progress)
                url = f"{hub.url}/discussions/{number}"
            else:
                url = _send(hub, whole, state, MAIN, problems, progress, propose=True)
            return PublishReport(
                target.shown, whole.version, "proposed", state.plan, url, pull_request=url, next=left
            )
        except HubError as error:
            if not error.passing or attempt == _TRIES - 1:
                raise
            time.sleep(2**attempt)
    raise AssertionError("the last try returns or raises")


def _open_pull(hub: HubRepository, refs: Refs, whole: Whole) -> str:
    """The number of our own open pull request for this version, `""` if there is none."""
    with hub.errors():
        me = hub.api.whoami()["name"]
        for found in hub.api.get_repo_discussions(
            hub.name, author=me, discussion_type="pull_request", discussion_status="open", repo_type="dataset"
        ):
            ours = found.is_pull_request and found.status == "open" and found.author == me
            if ours and found.title == _title(whole) and str(found.num) in refs.pulls:
                return str(found.num)
    return ""
