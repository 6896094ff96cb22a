"""Writes images that can be released as the folder of a release.

The folder appears whole or not at all, and the same inputs give the same bytes, whatever the machine's speed,
the number of workers or the day. Only files whose rows changed since the version before are written.
"""

from __future__ import annotations

import errno
from collections import Counter
from collections.abc import Callable, Mapping
from importlib.metadata import version as installed_version
from pathlib import Path

import msgspec

from synthscars import __version__
from synthscars.files import atomic_file, atomic_folder, building_folder, take_name
from synthscars.problems import Problems, WorkspaceError
from synthscars.release import staging
from synthscars.release.card import draw_figures, write_card
from synthscars.release.configs import DETECTION
from synthscars.release.croissant import write_croissant
from synthscars.release.deprecate import deprecated_names
from synthscars.release.figures import Shown
from synthscars.release.filing import Advance, Filed, Images, Stages, file_images
from synthscars.release.following import FIRST_VERSION, Before, Place, settle_version
from synthscars.release.leaks import LeakReport
from synthscars.release.manifest import ImageEntry, InputFile, Manifest
from synthscars.release.placing import Placed, place
from synthscars.release.plan import Planned
from synthscars.release.shards import Load
from synthscars.release.splits import SPLITS
from synthscars.release.totals import Totals
from synthscars.release.waiting import Waiting
from synthscars.settings import ReleaseSettings
from synthscars.taxonomy import load_taxonomy

SPLITS_NAME = "splits.json"


class ReleaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was built. path: the release folder. Counts are those of its manifest.

    detection: split → real photographs that only the config `detection` has. scrubbed: images from whose
    files personal metadata were taken out. written: bytes of the data that were written, and not taken over
    from the version before. leaks: what `splits.json` says.
    """

    path: Path
    version: str
    images: int
    artifacts: int
    splits: dict[str, int]
    detection: dict[str, int]
    left_out: dict[str, int]
    scrubbed: int
    bytes: int
    written: int
    leaks: LeakReport


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Where a release comes from, as its manifest says; see `Manifest`.

    min_iou: that the raters' answers were merged with; `None`: they came as they are. scrubbed: image
    from whose file personal metadata were taken out → its id before, `None`: nothing was. deprecations: what
    the card says about versions that should not be used, as Markdown.
    """

    name: str
    min_iou: float | None = None
    inputs: Mapping[str, InputFile] = {}
    scrubbed: Mapping[str, str] | None = None
    left_out: Mapping[str, int] = {}
    set_aside: Mapping[str, str] = {}
    deprecations: str = ""


def no_stages(_name: str, _total: int | None) -> Advance:
    """Shows nothing."""
    return lambda _count: None


def write_release(
    target: Callable[[str], Path],
    waiting: Waiting,
    load: Load,
    problems: Problems,
    *,
    origin: Origin,
    version: str | None,
    settings: ReleaseSettings,
    earlier: Mapping[str, Place] | None = None,
    before: Before | None = None,
    replace: bool = False,
    resume: bool = False,
    compact: bool = False,
    workers: int | None = None,
    stages: Stages = no_stages,
    finish: Callable[[Path, str], None] | None = None,
) -> ReleaseReport:
    """Write the images that wait, in whatever order they came, as the folder `target(version)`.

    load: see `Load`. version: `None` takes the lowest that honours what changed since
    `before`, the release that this one follows, whose files are taken over where they would be the same.
    earlier: where images are in earlier releases. replace: an older folder makes way. resume: what is
    finished when the work breaks off is kept beside the target, for the next call. compact: no file is taken
    over, so that small ones become large ones. finish: called with the folder and the version
    before the folder takes its name.

    Raises `WorkspaceError` if the target exists and `replace` is false, or if the disk is full;
    `ReleaseError` if an image changes meanwhile, or `version` is too low for what changed.
    """
    placed = place(waiting, settings, earlier or {}, not compact, problems)
    origin = msgspec.structs.replace(
        origin,
        set_aside={**origin.set_aside, **placed.held_back},
        left_out=Counter(origin.left_out) + Counter(placed.held_back.values()),
    )

    def fill(folder: Path) -> ReleaseReport:
        images = Images(waiting, placed, load)
        known = None if compact else before
        named = version or (None if before else FIRST_VERSION)
        shown: list[Shown] | None = None

        def meanwhile(totals: Totals) -> None:
            # The titles have the version, which may have to be found out from what was written.
            nonlocal shown
            if named is not None:
                splits = _splits(placed)
                shown = draw_figures(folder, origin.name, named, splits, totals, settings, images.picture)

        filed = file_images(
            folder, images, known, problems, workers=workers, stages=stages, meanwhile=meanwhile
        )
        manifest = _manifest(placed, filed, origin, settings)
        chosen = settle_version(folder, manifest, before, version, problems)
        manifest = msgspec.structs.replace(manifest, version=chosen)
        _describe(folder, manifest, filed.totals, settings, origin, images, shown)
        if finish is not None:
            finish(folder, chosen)
        # Not before: what is finished would be written again if the check breaks off.
        staging.forget(folder)
        return _report(target(chosen), manifest, filed.written, placed.report)

    try:
        if not resume:
            with atomic_folder(target(version or ""), replace=replace) as folder:
                return fill(folder)
        folder = building_folder(target(version or "next").parent)
        try:
            report = fill(folder)
            take_name(folder, report.path, replace=replace)
        finally:
            staging.drop_unless_useful(folder)
        return report
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise WorkspaceError(
            f"the disk is full: {error}",
            fix="free some space and run it again"
            + ("; what is finished is kept, and older releases are as they were" if resume else ""),
        ) from error


def _splits(placed: Placed) -> list[str]:
    """Those that have images in more than the config `detection`, as the manifest lists them."""
    return list(dict.fromkeys(each.split for each in placed.files if not _only_detection(each)))


def _only_detection(planned: Planned) -> bool:
    return planned.path.startswith(f"{DETECTION}/")


def _manifest(placed: Placed, filed: Filed, origin: Origin, settings: ReleaseSettings) -> Manifest:
    """The manifest, but for the version."""
    entries: tuple[dict[str, ImageEntry], dict[str, ImageEntry]] = {}, {}
    counts: tuple[Counter[str], Counter[str]] = Counter(), Counter()
    for planned in placed.files:
        only_detection = _only_detection(planned)
        counts[only_detection][planned.split] += len(planned.images)
        for image_id in planned.images:
            entry = ImageEntry(planned.split, placed.groups[image_id], planned.number)
            entries[only_detection][image_id] = entry
    return Manifest(
        name=origin.name,
        version="",
        taxonomy_version=load_taxonomy().version,
        artifacts=filed.totals.artifacts.total(),
        tools={
            "synthscars": __version__,
            **{package: installed_version(package) for package in ("pyarrow", "datasets")},
        },
        inputs=dict(origin.inputs),
        settings={
            **({} if origin.min_iou is None else {"min_iou": origin.min_iou}),
            "seed": settings.seed,
            **({} if origin.scrubbed is None else {"scrubbed": 1}),
            **{split: getattr(settings, split) for split in SPLITS},
        },
        splits=dict(counts[0]),
        detection=dict(counts[1]),
        left_out=dict(sorted(origin.left_out.items())),
        set_aside=dict(sorted(origin.set_aside.items())),
        files=tuple(filed.shards),
        images=dict(sorted(entries[0].items())),
        detection_images=dict(sorted(entries[1].items())),
        scrubbed={new: old for new, old in sorted((origin.scrubbed or {}).items()) if new in placed.splits},
        deprecated=deprecated_names(),
    )


def _describe(
    folder: Path,
    manifest: Manifest,
    totals: Totals,
    settings: ReleaseSettings,
    origin: Origin,
    images: Images,
    shown: list[Shown] | None,
) -> None:
    """Write what is there for people and for other tools. shown: figures that are there already."""
    with atomic_file(folder / SPLITS_NAME) as file:
        file.write(msgspec.json.format(msgspec.json.encode(images.placed.report), indent=2) + b"\n")
    write_card(
        folder,
        manifest,
        totals,
        settings,
        picture=images.picture,
        shown=shown,
        deprecations=origin.deprecations,
    )
    write_croissant(folder, manifest, settings, totals=totals)


def _report(target: Path, manifest: Manifest, written: int, leaks: LeakReport) -> ReleaseReport:
    return ReleaseReport(
        path=target,
        version=manifest.version,
        images=len(manifest.images),
        artifacts=manifest.artifacts,
        splits=manifest.splits,
        detection=manifest.detection,
        left_out=manifest.left_out,
        scrubbed=len(manifest.scrubbed),
        bytes=sum(shard.bytes for shard in manifest.files),
        written=written,
        leaks=leaks,
    )
