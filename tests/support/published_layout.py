"""Folders in the published layout of SynthScars."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from PIL import Image

from synthscars.caption import compose
from synthscars.converters.synthscars_json import write
from synthscars.problems import Problems
from synthscars.records import (
    ImageRecord,
    decode_record,
    encode_record,
)

GOLDEN = Path(__file__).parent.parent / "data" / "synthscars"
TRAIN = GOLDEN / "train" / "annotations" / "train.json"
TEST = GOLDEN / "test" / "annoations" / "test.json"
REF = {
    "sentence": "the left hand",
    "bbox": [1.0, 1.0, 4.0, 4.0],
    "segmentation": [[1.0, 1.0, 5.0, 1.0, 5.0, 5.0, 1.0, 5.0]],
    "explanation": "It has six fingers.",
}
CAPTION = compose("A man waves", [("the left hand", "It has six fingers.")])
ENTRY = {"img_file_name": "a.png", "caption": CAPTION, "refs": [REF]}


def layout_of(folder: Path, entries: list, size: tuple[int, int] = (16, 12)) -> Path:
    """An official folder with one split and one image, `a.png`."""
    (folder / "train" / "annotations").mkdir(parents=True)
    (folder / "train" / "images").mkdir()
    Image.new("RGB", size, "teal").save(folder / "train" / "images" / "a.png")
    (folder / "train" / "annotations" / "train.json").write_text(json.dumps(entries, indent=4))
    return folder


def codes_of(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def entries_again(folder: Path, found: list[ImageRecord]) -> list:
    """The entries that are written for records which have been through records' own JSON."""
    stored = [decode_record(encode_record(record)) for record in found]
    target = folder / "again.json"
    write(stored, target, Problems())
    return json.loads(target.read_bytes())
