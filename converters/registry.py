"""The formats by name: what each is, which module has it, and how it is recognised.

The modules are imported when they are used.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from synthscars.converters.detection import Evidence
from synthscars.problems import UsageError

if TYPE_CHECKING:
    from synthscars.converters.holds import Holds


class Format(NamedTuple):
    """One format.

    suffixes: of its files; none: it is a folder. folder: it may be a folder. writes: there is a writer.
    embeds: images can be put into its files. holds_images: they always are. needs_size: it cannot hold an
    image whose size in pixels is not known. recognise: whether something looks like it.
    """

    name: str
    what: str
    suffixes: tuple[str, ...]
    recognise: Callable[[Evidence], bool]
    folder: bool = False
    reads: bool = True
    writes: bool = True
    embeds: bool = False
    holds_images: bool = False
    needs_size: bool = False
    module: str = ""

    def load(self) -> Any:
        """The module of the format."""
        return import_module(self.module or f"synthscars.converters.{self.name.replace('-', '_')}")

    @property
    def holds(self) -> Holds:
        """What the format can hold."""
        found: Holds = self.load().HOLDS
        return found

    @property
    def options(self) -> dict[str, tuple[str, ...]]:
        """Keyword arguments of the format's `write` that a user may choose, with their values."""
        found: dict[str, tuple[str, ...]] = getattr(self.load(), "OPTIONS", {})
        return found

    @property
    def read_options(self) -> dict[str, tuple[str, ...]]:
        """The same for its `read`; `true` and `false` are given to it as `bool`. No format's `write` has an
        option of that name, so that the name tells who is meant."""
        found: dict[str, tuple[str, ...]] = getattr(self.load(), "READ_OPTIONS", {})
        return found

    def has_suffix(self, path: Path) -> bool:
        """Whether a file of that name would be one of this format."""
        return bool(self.suffixes) and path.name.lower().endswith(self.suffixes)


def _has(value: Any, *keys: str) -> bool:
    return isinstance(value, dict) and all(key in value for key in keys)


def _is_published(found: Evidence) -> bool:
    if found.is_folder:
        inside = found.within(
            "annotations/*.json", "annoations/*.json", "*/annotations/*.json", "*/annoations/*.json"
        )
        return inside is not None and _is_published(inside)
    entry = found.first
    if not isinstance(entry, dict) or len(entry) != 1:
        return False
    return _has(next(iter(entry.values())), "img_file_name")


def _is_task(found: Evidence) -> bool:
    return found.head.startswith("[") and _has(found.first, "data") and isinstance(found.first["data"], dict)


def _is_region(found: Evidence) -> bool:
    named = found.name.endswith(".regions.jsonl")  # also a table without rows
    return named or (found.name.endswith(".jsonl") and _has(found.first, "polygons"))


def _is_shapes(found: Evidence) -> bool:
    each = found.within("*.json", "*/*.json") if found.is_folder else found
    return each is not None and "shapes" in each.keys


def _is_grounded(found: Evidence) -> bool:
    each = found.within("*/annotations/*.json", "annotations/*.json") if found.is_folder else found
    return each is not None and each.head.startswith("[") and _has(each.first, "caption", "groundings")


def _is_coco(found: Evidence) -> bool:
    places = ("annotations/instances_*.json", "annotations/*.json", "*/_annotations.coco.json", "*.json")
    each = found.within(*places) if found.is_folder else found
    return each is not None and {"images", "annotations"} <= each.keys


def _is_fiftyone(found: Evidence) -> bool:
    return "metadata.json" in found and ("samples.json" in found or "samples/*.json" in found)


def _is_masks(found: Evidence) -> bool:
    if "masks.jsonl" in found:
        return True
    if _is_fiftyone(found):  # which keeps masks in folders with the names of its fields
        return False
    folders = ("masks", "mask", "labels", "annotations", "ann_dir", "SegmentationClass")
    images = (f"{above}{name}/**/*.png" for above in ("", "*/") for name in folders)
    return "data.yaml" not in found and any(pattern in found for pattern in images)


def _is_lisa(found: Evidence) -> bool:
    # Not what is in `explanatory`, which is another kind of file.
    inside = ("train/*.json", "val/*.json", "test/*.json", "*.json")
    each = found.within(*inside) if found.is_folder else found
    return each is not None and {"text", "is_sentence", "shapes"} <= each.keys


def _is_loki(found: Evidence) -> bool:
    places = ("open_ended_vqa.json", "image/open_ended_vqa.json", "data_json/image/open_ended_vqa.json")
    each = found.within(*places) if found.is_folder else found
    return each is not None and each.head.startswith("[") and _has(each.first, "image_path", "problems")


def _is_cvat(found: Evidence) -> bool:
    each = found.within("annotations.xml", "*.xml") if found.is_folder else found
    return each is not None and "<annotations" in each.head[:2000]


FORMATS: dict[str, Format] = {
    each.name: each
    for each in (
        Format(
            "records",
            "synthscars' own records, one JSON object a line; nothing is lost",
            (".jsonl", ".jsonl.zst"),
            lambda found: found.name.endswith((".jsonl", ".jsonl.zst")) and not _is_region(found),
            module="synthscars.converters.records_file",
        ),
        Format(
            "release",
            "a SynthScars release: Parquet with the images in it, opened by load_dataset",
            (".parquet",),
            lambda found: (
                found.name.endswith(".parquet") or "data/*.parquet" in found or "*.parquet" in found
            ),
            folder=True,
            embeds=True,
            holds_images=True,
            needs_size=True,
            module="synthscars.release.as_format",
        ),
        Format(
            "labelstudio",
            "raw JSON of Label Studio: exports, and tasks to import",
            (".json", ".json.zst"),
            lambda found: found.name.endswith(".json.zst") or _is_task(found),
            needs_size=True,
        ),
        Format(
            "synthscars-json",
            "the published SynthScars layout: a folder, or one annotation file",
            (".json",),
            _is_published,
            folder=True,
        ),
        Format(
            "gcg",
            "grounded conversations (GCG), as LEGION and GLaMM are trained on",
            (".json",),
            _is_grounded,
            folder=True,
            needs_size=True,
        ),
        Format(
            "coco",
            "COCO instances: polygons or RLE, with raters and texts as extra keys",
            (".json",),
            _is_coco,
            folder=True,
            needs_size=True,
        ),
        Format(
            "lisa",
            "reasoning segmentation as LISA has it: one JSON with points and text per image",
            (),
            _is_lisa,
            folder=True,
        ),
        Format(
            "loki",
            "LOKI's open_ended_vqa.json: boxes with text",
            (".json",),
            _is_loki,
            folder=True,
            writes=False,
        ),
        Format(
            "richhf",
            "RichHF-18K TFRecords: heat maps and misaligned words",
            (".tfrecord", ".tfrecords"),
            lambda found: ".tfrecord" in found.name or "*.tfrecord*" in found,
            folder=True,
            writes=False,
        ),
        Format(
            "masks",
            "mask PNGs as PAL4VST has them: binary, indexed, or one a region",
            (),
            _is_masks,
            folder=True,
            needs_size=True,
        ),
        Format(
            "yolo",
            "YOLO segmentation: data.yaml, one text file per image",
            (),
            lambda found: (
                found.name == "data.yaml" or any(one in found for one in ("data.yaml", "labels/**/*.txt"))
            ),
            folder=True,
            needs_size=True,
        ),
        Format(
            "labelme",
            "labelme: one JSON with shapes per image",
            (),
            lambda found: _is_shapes(found) and not _is_lisa(found),
            folder=True,
            embeds=True,
        ),
        Format(
            "cvat",
            "CVAT for images 1.1: one XML file",
            (".xml",),
            _is_cvat,
            folder=True,
            needs_size=True,
        ),
        Format(
            "datumaro",
            "Datumaro: one JSON per subset",
            (".json",),
            lambda found: (
                {"items", "categories"}
                <= (found.within("annotations/*.json") or found if found.is_folder else found).keys
            ),
            folder=True,
            needs_size=True,
        ),
        Format(
            "fiftyone",
            "a FiftyOne dataset folder (FiftyOneDataset)",
            (),
            _is_fiftyone,
            folder=True,
            needs_size=True,
        ),
        Format(
            "regions",
            "a table with one region a line, for spreadsheets: CSV or JSON Lines",
            (".csv", ".regions.jsonl"),
            lambda found: found.name.endswith(".csv") or _is_region(found),
        ),
    )
}


def format_named(name: str) -> Format:
    """The format of that name. Raises `UsageError` naming those there are."""
    if name not in FORMATS:
        raise UsageError(f"there is no format {name!r}", fix=f"formats: {', '.join(FORMATS)}")
    return FORMATS[name]


def by_suffix(target: Path) -> Format:
    """The format that a file or folder of this name would be. Raises `UsageError` if that is not plain."""
    able = [each for each in FORMATS.values() if each.writes]
    found = [each for each in able if each.has_suffix(target)]
    if not target.suffix:
        found = [each for each in able if each.folder]
    longest = max((len(suffix) for each in found for suffix in _fitting(each, target)), default=0)
    found = [each for each in found if not longest or longest in map(len, _fitting(each, target))]
    if len(found) != 1:
        among = ", ".join(each.name for each in found or able)
        raise UsageError(f"{target}: the name does not tell the format", fix=f"say which: {among}")
    return found[0]


def _fitting(format: Format, path: Path) -> list[str]:
    return [suffix for suffix in format.suffixes if path.name.lower().endswith(suffix)]


def detect(source: Path) -> Format:
    """The format of a file or folder, by its content. Raises `UsageError` if it cannot be told."""
    found = Evidence(source)
    for each in FORMATS.values():
        if found.is_folder and not each.folder:
            continue
        if each.reads and each.recognise(found):
            return each
    fault = found.fault
    raise UsageError(
        f"{source}: the format cannot be told"
        + (f", for the file is not whole JSON ({fault})" if fault else ""),
        fix=_hint(found) or f"say which: {', '.join(each.name for each in FORMATS.values() if each.reads)}",
    )


def _hint(found: Evidence) -> str:
    """What to do with something that is no annotation at all, `""` if it may be some."""
    from synthscars.images import SUFFIXES

    pictures = {*SUFFIXES.values(), ".jpeg"}
    if found.is_folder:
        inside = {path.suffix.lower() for path in found.path.rglob("*") if path.is_file()}
        if not inside:
            return "the folder is empty"
        return "it holds only images: `synthscars ingest` takes them" if inside <= pictures else ""
    if found.path.stat().st_size == 0:
        return "the file is empty: fetch or export it again"
    if found.name.endswith((".zip", ".tar", ".gz", ".tgz", ".7z", ".rar")):
        return "it is an archive: unpack it, and give the folder or file that is in it"
    return "it is an image: give its annotations" if found.path.suffix.lower() in pictures else ""
