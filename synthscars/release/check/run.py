"""Checks a release, a folder of its Parquet files, or annotations in any format that can be read.

One image after another goes through `pictures.look`, several at a time; what is wrong across images is told
at the end. The same data give the same report, however many threads there are.

Memory, measured at 1,000, 10,000 and 30,000 small images: 270 MB for the libraries and the model that tells
languages, and 3 kB for each image, of which 0.8 kB are what is kept of it. Time: 1.5 to 2 ms an image of
16 x 16 pixels; larger ones take what decoding takes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from synthscars.converters.reading import plain
from synthscars.converters.registry import FORMATS, detect, format_named
from synthscars.engine import map_ordered
from synthscars.problems import FormatError, Problem, Problems, UsageError
from synthscars.release.check.across import Across, Find, Missing
from synthscars.release.check.drift import Drift, Measure, drift_from
from synthscars.release.check.items import Item
from synthscars.release.check.languages import Languages
from synthscars.release.check.personal import Raters
from synthscars.release.check.pictures import Seen, look
from synthscars.release.check.published import FORMAT, TELLS, read_published
from synthscars.release.check.tables import Stored, check_files, check_images, items_of, manifest_of
from synthscars.release.check.texts import Corpus
from synthscars.release.check.viewer import CARD, check_viewer
from synthscars.release.files import EmbeddedImages, data_files, detection_files
from synthscars.release.manifest import MANIFEST_NAME, Manifest
from synthscars.shown import escape_json, visible

CHECKS_NAME = "checks.json"

Progress = Callable[[int], None]

_RELEASE = "release"


class CheckReport(msgspec.Struct, frozen=True, kw_only=True):
    """What was checked. name: of the file or folder; format: what it was read as; splits: images in each;
    decoded: images whose file was at hand and whole; codes: how many problems there are of each kind.
    previous: the release that it was compared with, if any; drift: how it differs from that."""

    name: str
    format: str
    images: int
    artifacts: int
    decoded: int
    splits: dict[str, int]
    codes: dict[str, int]
    previous: str = ""
    drift: tuple[Measure, ...] = ()


def check(
    source: Path,
    problems: Problems,
    *,
    format: str | None = None,
    images: Path | None = None,
    previous: Path | None = None,
    language: str = "",
    workers: int | None = None,
    progress: Progress | None = None,
) -> CheckReport:
    """Look at everything in `source` and add what is wrong to `problems`; nothing is changed.

    format: name of the format, if the content does not tell it. images: the folder of the images, if they are
    not with `source`. previous: the release before, to compare with. language: the one that texts should be
    in (`en`); `""`: that of most of them. progress: called with 1 for every image. Files in problems are
    relative to `source`.

    Raises `UsageError` if the format cannot be told, `FormatError` if the source as a whole cannot be read.
    """
    name = format_named(format).name if format else _detect(source)
    found = Problems()
    totals = _Totals(language, _drift(previous, found))
    if name == _RELEASE:
        find: Find = EmbeddedImages(source)
        _check_release(source, found, totals, workers, progress)
    else:
        find = _finder(name, source, images)
        # Apart, because how far the reader is ahead depends on the number of threads.
        mine = Problems()
        for seen in map_ordered(look, _read(name, source, found, find, images), workers=workers):
            mine.extend(seen.problems)
            totals.add(seen, mine)
            if progress:
                progress(1)
        # A reader that knows a kind of fault has told it of all images.
        said = {problem.code for problem in found} | (TELLS if name == FORMAT else set())
        found.extend(problem for problem in mine if problem.code not in said)
    totals.finish(found, find, workers)
    drift: tuple[Measure, ...] = ()
    if previous is not None and totals.drift is not None:
        drift, told = totals.drift.finish(previous.name)
        found.extend(told)
    if not totals.images:
        what = "there is no image in it"
        found.add("source.empty", what, severity="warning", fix="is it the right one?")
    named = [_relative(problem, source) for problem in found]
    problems.extend(named)
    codes = Counter(problem.code for problem in named)
    return CheckReport(
        name=visible(source.resolve().name),
        format=name,
        images=totals.images,
        artifacts=totals.artifacts,
        decoded=totals.decoded,
        splits=dict(sorted(totals.splits.items())),
        codes=dict(sorted(codes.items())),
        previous=visible(previous.name) if previous is not None and totals.drift is not None else "",
        drift=drift,
    )


def _drift(previous: Path | None, problems: Problems) -> Drift | None:
    if previous is None:
        return None
    try:
        return drift_from(previous)
    except FormatError as error:
        what = f"{previous.name} cannot be read: {error.message.split(': ', 1)[-1]}"
        problems.add("drift.not_compared", what, severity="warning", fix="restore it, or name another one")
        return None


def encode_checks(report: CheckReport, problems: Problems) -> bytes:
    """The report as indented JSON (`checks.json`), without times and paths: equal data give equal bytes."""
    value = {
        **msgspec.to_builtins(report),
        "severities": problems.counts(),
        "problems": problems.to_json(),
    }
    text = msgspec.json.format(msgspec.json.encode(plain(value)), indent=2).decode()
    return escape_json(text).encode() + b"\n"


class _Totals:
    """Everything that is collected over all images."""

    def __init__(self, language: str, drift: Drift | None) -> None:
        self.drift, self._languages = drift, Languages(language)
        self.images = self.artifacts = self.decoded = 0
        self.splits: Counter[str] = Counter()
        self.stored: dict[str, Stored] = {}
        self._across, self._corpus, self._missing, self._raters = Across(), Corpus(), Missing(), Raters()

    def add(self, seen: Seen, problems: Problems) -> None:
        record = seen.item.record
        self.images += 1
        self.artifacts += len(record.artifacts)
        self.decoded += seen.decoded
        self.splits[record.split] += bool(record.split)
        self.stored.setdefault(record.image_id, Stored(record.split, record.group_id))
        self._corpus.add(seen.item, seen.texts)
        self._languages.add(seen.item, seen.languages)
        if self.drift is not None and seen.item.annotated:
            self.drift.add(record)
        self._missing.add(record, at_hand=seen.at_hand or seen.item.released)
        self._raters.add(record)
        problems.extend(self._across.add(seen))

    def finish(self, problems: Problems, find: Find, workers: int | None) -> None:
        self.splits = +self.splits
        problems.extend(self._across.problems(find, workers=workers))
        for each in (self._corpus, self._languages, self._raters, self._missing):
            problems.extend(each.problems())


# Releases


def _check_release(
    source: Path, problems: Problems, totals: _Totals, workers: int | None, progress: Progress | None
) -> None:
    files = [*data_files(source), *detection_files(source)]
    names = {
        file.path: file.path.relative_to(source).as_posix() if source.is_dir() else file.path.name
        for file in files
    }
    manifest: Manifest | None = None
    whole = True
    if source.is_dir():
        manifest = manifest_of(source, problems)
    if manifest is not None:
        whole = check_files(manifest, {name: path for path, name in names.items()}, problems)
    if manifest is not None or (source / CARD).is_file():
        problems.extend(check_viewer(source, {name: path for path, name in names.items()}))
    for file in files:
        # Apart, because how far the reader is ahead depends on the number of threads.
        rows, found = Problems(), Problems()
        for seen in map_ordered(look, items_of(file, names[file.path], rows), workers=workers):
            found.extend(seen.problems)
            totals.add(seen, found)
            if progress:
                progress(1)
        whole &= not rows.failed
        problems.extend([*rows, *found])
    if manifest is not None:
        check_images(manifest, totals.stored, totals.artifacts, whole, problems)


# Other formats


def _detect(source: Path) -> str:
    try:
        return detect(source).name
    except UsageError:
        if (source / MANIFEST_NAME).is_file():  # a release that has lost its data
            return _RELEASE
        raise


def _finder(name: str, source: Path, images: Path | None) -> Find:
    from synthscars.converters.pictures import by_hash, first_of

    beside = [source] if source.is_dir() else [source.parent / "images"]
    files = by_hash([images] if images else [folder for folder in beside if folder.is_dir()])
    inside = getattr(FORMATS[name].load(), "images_of", None)
    return first_of(inside(source), files) if inside else files


def _read(name: str, source: Path, problems: Problems, find: Find, images: Path | None) -> Iterator[Item]:
    from synthscars.converters import formats

    records = (
        read_published(source, problems, images)
        if name == FORMAT
        else formats.read(source, problems, name, images=images)
    )
    for record in records:
        yield Item(record, record.file_name, partial(find, record.image_id))


def _relative(problem: Problem, source: Path) -> Problem:
    """The problem without the place of `source` on this computer: the report is passed on."""
    shown: dict[str, str] = {}
    for field in ("file", "what"):
        text = getattr(problem, field)
        for root in {str(source), str(source.resolve())}:
            if root and root != "." and root in text:
                text = text.replace(f"{root}/", "").replace(root, source.name)
        shown[field] = text
    return msgspec.structs.replace(problem, **shown)
