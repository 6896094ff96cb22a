"""A miniature of the official SynthScars folder that has every known defect of the published one, once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pictures import encoded, view, write
from PIL import Image, ImageDraw

from synthscars.caption import compose

Json = dict[str, Any]
BOX = [10, 10, 40, 10, 40, 40, 10, 40]


def ref(phrase: str = "the left hand", ring: list[float] | None = None, **changes: Any) -> Json:
    """A ref as the authors write it."""
    return {
        "sentence": phrase,
        "bbox": [10.0, 10.0, 30.0, 30.0],
        "segmentation": [ring or BOX],
        "explanation": "It has six fingers.",
        **changes,
    }


def entry(name: str, *refs: Json, scene: str = "A man waves", caption: str = "") -> Json:
    """An entry with a caption that names its refs."""
    shown = refs or (ref(),)
    items = [(each["sentence"], each["explanation"]) for each in shown]
    return {"img_file_name": name, "caption": caption or compose(scene, items), "refs": list(shown)}


def layout(root: Path, splits: dict[str, list[Json]], files: dict[str, bytes]) -> Path:
    """Write annotation files, ids counted from 0, and image files."""
    write(root, files)
    for split, entries in splits.items():
        folder = root / split / ("annoations" if split == "test" else "annotations")
        folder.mkdir(parents=True, exist_ok=True)
        (root / split / "images").mkdir(parents=True, exist_ok=True)
        numbered = [{str(number): each} for number, each in enumerate(entries)]
        (folder / f"{split}.json").write_text(json.dumps(numbered, indent=4))
    return root


def jpeg(image: Image.Image, quality: int = 85) -> bytes:
    """A lossy copy."""
    return encoded(image, "JPEG", quality=quality)


def retouched(image: Image.Image) -> Image.Image:
    """Another picture that looks nearly the same: a small thing was added."""
    changed = image.copy()
    ImageDraw.Draw(changed).rectangle((160, 60, 176, 76), fill="white")
    return changed


def defective(root: Path) -> Path:
    """The folder. Train annotations by id, each with the one defect that it is there for:

    0, 1 twins (png and jpg); 2, 3 one file annotated twice, agreeing; 4, 5 equal bytes under two names,
    disjoint; 6 looks like test 0; 7 degenerate polygon beside a good one; 8 empty explanation; 9 vertex
    outside by rounding; 10 phrase not in the caption; 11 repeated phrases; 12 line break in the caption and
    no boxes; 13 caption not in the grammar; 14 nothing. One image has no annotation. Test: 0, and 1 with a
    rounded vertex.
    """
    bow = [10, 10, 20, 20, 30, 30]
    images = {
        "train/images/twin.png": encoded(view(1), "PNG"),
        "train/images/twin.jpg": jpeg(view(1).resize((180, 120))),
        "train/images/again.png": encoded(view(2), "PNG"),
        "train/images/one.png": encoded(view(3), "PNG"),
        "train/images/two.png": encoded(view(3), "PNG"),
        "train/images/leak.png": encoded(retouched(view(4)), "PNG"),
        **{f"train/images/{number}.png": encoded(view(number), "PNG") for number in range(7, 15)},
        "train/images/alone.png": encoded(view(20), "PNG"),
        "test/images/kept.jpg": jpeg(view(4)),
        "test/images/edge.png": encoded(view(21), "PNG"),
    }
    no_boxes = entry("12.png", ref(bbox=None))
    train = [
        entry("twin.png"),
        entry("twin.jpg", scene="Somebody waves"),
        entry("again.png"),
        entry("again.png", ref("the hand", [11, 10, 40, 10, 40, 40, 11, 40]), scene="Somebody waves"),
        entry("one.png"),
        entry("two.png", ref("the sign", [60, 10, 80, 10, 80, 30, 60, 30])),
        entry("leak.png"),
        entry("7.png", ref("the face"), ref("the ear", bow)),
        entry("8.png", ref(explanation="")),
        entry("9.png", ref(ring=[-1e-12, 10, 240 + 2e-12, 10, 40, 40])),
        {**entry("10.png"), "refs": [ref("the right hand")]},
        entry("11.png", ref(), ref(ring=[50, 10, 80, 10, 80, 40])),
        {**no_boxes, "caption": no_boxes["caption"].replace(" To elab", "\nTo elab")},
        entry("13.png", caption="There is something about the left hand."),
        entry("14.png"),
    ]
    test = [entry("kept.jpg", scene="A dog"), entry("edge.png", ref(ring=[10, 10, 240 + 1e-12, 10, 40, 40]))]
    return layout(root, {"train": train, "test": test}, images)
