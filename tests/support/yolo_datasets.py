"""YOLO datasets, and what is read from them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from converting import with_picture
from pictures import picture

from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.converters.yolo import read, write
from synthscars.problems import Problems
from synthscars.records import Artifact, ImageRecord

GOLDEN = Path(__file__).parent.parent / "data" / "yolo"
BOX = (4.0, 2.0, 12.0, 2.0, 12.0, 10.0, 4.0, 10.0)
LINE = "1 0.25 0.125 0.75 0.125 0.75 0.625 0.25 0.625"


def reads(source: Path, **options: object) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(read(source, problems, **options)), problems


def writes(records: list[ImageRecord], target: Path, images: Path | None, how="copy") -> Problems:
    problems = Problems()
    find = by_hash([images] if images else [])
    write(records, target, problems, pictures=TargetPictures(find, how))
    return problems


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def dataset(folder: Path, lines: str = LINE, names: str = "[physics, structure]") -> Path:
    """A dataset of two images of 16 x 16 pixels, `a` and `b`; `lines` are the labels of `a`."""
    for place, seed in (("a", 1), ("b", 2)):
        (folder / "images" / "train").mkdir(parents=True, exist_ok=True)
        picture(seed, 16, 16).save(folder / "images" / "train" / f"{place}.png")
        (folder / "labels" / "train").mkdir(parents=True, exist_ok=True)
        (folder / "labels" / "train" / f"{place}.txt").write_text(lines if place == "a" else LINE)
    (folder / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {names}\n")
    (folder / "images" / "val").mkdir(exist_ok=True)
    return folder


def record_of(*artifacts: Artifact, folder: Path, name: str = "a.png", **fields: object) -> ImageRecord:
    status = "annotated" if artifacts else "clean"
    fields = {
        "file_name": name,
        "width": 16,
        "height": 16,
        "status": status,
        "artifacts": artifacts,
        **fields,
    }
    return with_picture(ImageRecord(image_id="", **fields), folder / "pictures", name, len(name))


def drawn(ring: tuple[float, ...] = BOX, **fields: object) -> Artifact:
    return Artifact(**{"artifact_id": "1", "category": "structure", "polygons": (ring,), **fields})
