"""How one format becomes another.

A module of a format has `read(source, problems, *, images=None) -> Iterator[ImageRecord]`,
`write(records, target, problems, *, pictures=NO_PICTURES) -> int` (or only one of them) and `HOLDS`, which
says what the format can hold. It may have `images_of(source) -> Finder`, if images are part of its files, and
`OPTIONS` and `READ_OPTIONS`, the keyword arguments of `write` and `read` that a user may choose, with their
values.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from synthscars.converters.registry import FORMATS, Format, by_suffix, detect, format_named
from synthscars.problems import Problems, UsageError
from synthscars.records import ImageRecord

if TYPE_CHECKING:
    from synthscars.converters.pictures import Finder, How, TargetPictures

__all__ = [
    "FORMATS",
    "Conversion",
    "Format",
    "by_suffix",
    "convert",
    "detect",
    "format_named",
    "read",
    "write",
]

_TRUTH = ("true", "false")


def read(
    source: Path,
    problems: Problems,
    name: str | None = None,
    *,
    images: Path | None = None,
    options: Mapping[str, str] | None = None,
) -> Iterator[ImageRecord]:
    """Read any known format, recognised by its content unless named.

    images: the folder of the images, if they are not where the format has them. options: choices about what
    is read (`{"raters": "true"}`, see `Format.read_options`).

    Raises `UsageError` if the format cannot be told or has no such option, `FormatError` if the source cannot
    be read.
    """
    chosen = format_named(name) if name else detect(source)
    _check_options(options or {}, f"reading {chosen.name}", chosen.read_options)
    given = {key: value == "true" if value in _TRUTH else value for key, value in (options or {}).items()}
    found: Iterator[ImageRecord] = chosen.load().read(source, problems, images=images, **given)
    return _checked(found, source, problems)


def _checked(records: Iterable[ImageRecord], source: Path, problems: Problems) -> Iterator[ImageRecord]:
    """The records, with what can be said of those of any format."""
    from synthscars.converters.captions import is_stale

    seen: set[str] = set()
    again: list[str] = []
    for record in map(_in_utf_8, records):
        if record.image_id in seen:
            again.append(record.file_name)
        seen.add(record.image_id)
        if is_stale(record):
            problems.add(
                "caption.stale",
                "the caption says something else than the artifacts: they were edited since",
                severity="warning",
                file=str(source),
                image=record.file_name or record.image_id,
                fix="it is kept; what models are trained on (gcg, lisa, synthscars-json) gets a new one",
            )
        yield record
    if again:
        problems.add(
            "image.repeated",
            f"{len(again)} records are of an image that has one already; first: {again[0]}",
            severity="warning",
            file=str(source),
            fix="all are kept; a release wants one for each image",
            count=len(again),
        )


def _in_utf_8(record: ImageRecord) -> ImageRecord:
    """The record, with `?` for what is not UTF-8 in names of files and folders."""
    try:
        f"{record.file_name}{record.source}{record.split}".encode()
    except UnicodeEncodeError:
        from synthscars.converters.reading import plain

        return msgspec.convert(plain(msgspec.to_builtins(record)), ImageRecord)
    return record


def write(
    records: Iterable[ImageRecord],
    target: Path,
    problems: Problems,
    name: str | None = None,
    *,
    pictures: TargetPictures | None = None,
    options: Mapping[str, str] | None = None,
) -> int:
    """Write any known format, told by the name of the target unless named; returns how many images.

    pictures: where the image files come from, and whether they are copied, linked, embedded or left alone
    (the default). options: choices that the format leaves (`{"segmentation": "rle"}`, see `Format.options`).
    What the format cannot hold is reported once per kind, as `loss.*`. Raises `UsageError` if the format
    cannot be told or written, or has no such option.
    """
    from synthscars.converters.pictures import NO_PICTURES

    chosen = format_named(name) if name else by_suffix(target)
    _check_writes(chosen)
    _check_options(options or {}, f"writing {chosen.name}", chosen.options)
    if chosen.needs_size:
        records = _with_size(records, target, problems)
    return int(
        chosen.load().write(records, target, problems, pictures=pictures or NO_PICTURES, **(options or {}))
    )


class Conversion(msgspec.Struct, frozen=True, kw_only=True):
    """What `convert` did. from_, to: names of formats; written: images in the target."""

    source: str
    from_: str = msgspec.field(name="from")
    target: str
    to: str
    images: int
    artifacts: int
    written: int


def convert(
    source: Path,
    target: Path,
    problems: Problems,
    *,
    from_: str | None = None,
    to: str | None = None,
    images: Path | None = None,
    how: How | None = None,
    options: Mapping[str, str] | None = None,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Conversion:
    """Read one format and write another, image by image.

    from_, to: names of formats, if content and name do not tell them. images: the folder of the images, if
    they are not with `source`. how: what becomes of them; by default they are copied into a folder, and left
    alone beside a single file. options: as for `read` and `write`; the name tells for which. dry_run: report
    the same and leave nothing behind; of a release only what it never holds. progress: called with 1 for
    every image.

    Raises `UsageError` if the call makes no sense or `target` exists, `FormatError` if `source` as a whole
    cannot be read.
    """
    from synthscars.converters.pictures import TargetPictures, first_of, noting
    from synthscars.converters.trial import tried

    reader = format_named(from_) if from_ else detect(source)
    writer = format_named(to) if to else by_suffix(target)
    if target.exists():
        raise UsageError(f"{target} exists already", fix="choose another name, or remove it first")
    if not writer.suffixes and any(each.has_suffix(target) for each in FORMATS.values()):
        raise UsageError(f"{writer.name} is a folder, {target.name} the name of a file", fix="name a folder")
    if how == "embed" and not writer.embeds:
        able = ", ".join(each.name for each in FORMATS.values() if each.embeds)
        raise UsageError(f"{writer.name} cannot embed images", fix=f"copy or link them; embedding: {able}")
    is_file = writer.has_suffix(target) or not writer.folder
    if how in ("copy", "link") and is_file:
        fix = "name a folder" if writer.folder else "leave --image-files away"
        raise UsageError(f"{target} is a single file: images cannot be put beside it", fix=fix)
    _check_writes(writer)
    _check_options(options or {}, f"{reader.name} → {writer.name}", {**reader.read_options, **writer.options})
    reading = {key: value for key, value in (options or {}).items() if key in reader.read_options}
    writing = {key: value for key, value in (options or {}).items() if key in writer.options}
    how = how or ("none" if is_file else "copy")
    counts: Counter[str] = Counter()

    def counted() -> Iterator[ImageRecord]:
        for record in read(source, problems, reader.name, images=images, options=reading):
            counts["images"] += 1
            counts["artifacts"] += len(record.artifacts)
            if progress:
                progress(1)
            yield record

    def written_to(place: Path, problems: Problems, pictures: TargetPictures) -> int:
        return write(counted(), place, problems, writer.name, pictures=pictures, options=writing)

    with noting() as noted:
        find = _Counted(first_of(noted, _finder(reader, source, images)))
        if dry_run and writer.holds_images:
            written = _count_losses(counted(), writer, target, problems, find)
        elif dry_run:
            written = tried(written_to, target, problems, find, how)
        else:
            written = written_to(target, problems, TargetPictures(find, how))
    if not counts["images"]:
        what = "there is nothing in it"
        problems.add("source.empty", what, file=str(source), severity="warning", fix="is it the right one?")
    if images and find.wanted and not find.found:
        problems.add(
            "image.none",
            f"none of the image files is in {images}",
            file=str(source),
            fix="give --images the folder with the images that were annotated",
        )
    return Conversion(
        source=str(source),
        from_=reader.name,
        target=str(target),
        to=writer.name,
        images=counts["images"],
        artifacts=counts["artifacts"],
        written=written,
    )


class _Counted:
    """A finder of image files that knows how often it was asked, and how often it knew."""

    def __init__(self, find: Finder) -> None:
        self._find = find
        self.wanted = self.found = 0

    def __call__(self, image_id: str) -> Path | bytes | None:
        found = self._find(image_id)
        self.wanted += 1
        self.found += found is not None
        return found


def _finder(reader: Format, source: Path, images: Path | None) -> Finder:
    """Finds the images of a source: inside it, in the folder that was named, or where they are by custom."""
    from synthscars.converters.pictures import by_hash, first_of

    beside = [source] if source.is_dir() else [source.parent / "images"]
    files = by_hash([images] if images else [folder for folder in beside if folder.is_dir()])
    inside = getattr(reader.load(), "images_of", None)
    return first_of(inside(source), files) if inside else files


def _count_losses(
    records: Iterable[ImageRecord], writer: Format, target: Path, problems: Problems, find: Finder
) -> int:
    """What a format with the images in its files cannot hold of records, without writing these files."""
    from synthscars.converters.holds import narrow
    from synthscars.converters.losses import Losses

    if writer.needs_size:
        records = _with_size(records, target, problems)
    losses = Losses(str(target), problems)
    count = 0
    for record in narrow(records, writer.holds, losses):
        if find(record.image_id) is None:
            what, fix = "images left out: their files are not at hand", "pass --images FOLDER with the files"
            losses.count("image", what, record, severity="error", fix=fix)
        else:
            count += 1
    losses.report()
    return count


def _check_writes(format: Format) -> None:
    if not format.writes:
        fix = "`synthscars formats` lists what can be written"
        raise UsageError(f"{format.name} can only be read", fix=fix)


def _check_options(options: Mapping[str, str], who: str, known: Mapping[str, tuple[str, ...]]) -> None:
    for name, value in options.items():
        if value not in known.get(name, ()):
            able = ", ".join(f"{key}={'|'.join(values)}" for key, values in known.items())
            raise UsageError(f"{who} has no option {name}={value}", fix=f"options: {able or 'none'}")


def _with_size(records: Iterable[ImageRecord], target: Path, problems: Problems) -> Iterator[ImageRecord]:
    from synthscars.images import too_large

    for record in records:
        if record.width > 0 and record.height > 0:
            if problem := too_large(record):
                problems.extend([problem])
            else:
                yield record
        else:
            problems.add(
                "image.no_size",
                f"{record.file_name}: its size is not known, and the format needs it: left out",
                fix="convert where the images are at hand",
                file=str(target),
                image=record.image_id,
            )
