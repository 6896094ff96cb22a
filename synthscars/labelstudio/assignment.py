"""Who looks at which image, and in which project of Label Studio: two files in the workspace's `platform/`.

`assignment.json` is the plan: which images each rater gets, in which order and batch. It is written before
anything is done on the server, so that a run that was killed can be gone on with. `projects.json` says which
projects there are. Only their owner can read them: the plan tells which tasks have a known answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeVar

import msgspec

from synthscars.files import atomic_file
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace

PROJECTS_NAME = "projects.json"
PLAN_NAME = "assignment.json"
GOLD_NAME = "gold.jsonl.zst"

Kind = Literal["common", "queue", "reopened", "review"]
"""`common`: all images, nobody's queue. `queue`: a batch of one rater. `reopened`: what came back to one.
`review`: what raters disagree about, for adjudicators."""


class AssignedProject(msgspec.Struct, frozen=True, kw_only=True):
    """A project of the workspace. id: the server's. rater: whose queue it is, `None` for the common one."""

    id: int
    title: str
    rater: str | None = None
    batch: str = ""
    kind: Kind = "queue"


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A part of one rater's queue, which becomes one project.

    images: image ids in the order in which the rater sees them. gold: those of them with a known answer.
    """

    rater: str
    batch: str
    kind: Kind = "queue"
    images: tuple[str, ...] = ()
    gold: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, str, str]:
        """What tells it from every other batch."""
        return self.rater, self.kind, self.batch


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """How images are to be given out.

    overlap_share: of the images, in [0, 1], that `overlap_raters` raters get; the others get one. gold_share:
    of the tasks of every queue, in [0, 0.5], that are images with a known answer. batch_size: tasks of a
    batch. seed: of everything that is drawn by lot.
    """

    overlap_share: float = 0.0
    overlap_raters: int = 3
    gold_share: float = 0.0
    batch_size: int = 100
    seed: int = 0


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """The whole plan. wish: the one that it was last extended with. served: the folder that projects name."""

    wish: Wish = Wish()
    batches: tuple[Batch, ...] = ()
    served: str = ""

    def of(self, rater: str) -> list[Batch]:
        """One rater's batches, oldest first."""
        return [batch for batch in self.batches if batch.rater == rater]


class _Projects(msgspec.Struct):
    projects: list[AssignedProject] = []


def assigned_projects(workspace: Workspace) -> list[AssignedProject]:
    """Every project of the workspace, by id; none before the platform was first started.

    Raises `PlatformError` if the file cannot be read.
    """
    return read_noted(workspace.platform_dir / PROJECTS_NAME, _Projects, _Projects()).projects


def note_projects(workspace: Workspace, projects: Sequence[AssignedProject]) -> None:
    """Add projects to the file, in place of those with the same number. Call it with the workspace locked."""
    known = {project.id: project for project in assigned_projects(workspace)}
    changed = {**known, **{project.id: project for project in projects}}
    if changed != known:
        write_noted(
            workspace.platform_dir / PROJECTS_NAME, _Projects([changed[each] for each in sorted(changed)])
        )


def forget_projects(workspace: Workspace, numbers: set[int]) -> None:
    """Take projects out of the file."""
    kept = [project for project in assigned_projects(workspace) if project.id not in numbers]
    write_noted(workspace.platform_dir / PROJECTS_NAME, _Projects(kept))


def read_assignment(workspace: Workspace) -> Assignment:
    """The plan so far, an empty one if there is none. Raises `PlatformError` if it cannot be read."""
    return read_noted(workspace.platform_dir / PLAN_NAME, Assignment, Assignment())


def write_assignment(workspace: Workspace, assignment: Assignment) -> None:
    """Replace the plan. Call it with the workspace locked."""
    write_noted(workspace.platform_dir / PLAN_NAME, assignment)


_Content = TypeVar("_Content")


def read_noted(path: Path, kind: type[_Content], otherwise: _Content) -> _Content:
    """What one of our files in `platform/` says, `otherwise` if there is none. Raises `PlatformError`."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return otherwise
    except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
        raise PlatformError(f"{path} cannot be read: {error}", fix="restore it from a backup") from error


def write_noted(path: Path, content: object) -> None:
    """Replace one of our files in `platform/`; its owner alone can read it."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with atomic_file(path, private=True) as file:
        file.write(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
