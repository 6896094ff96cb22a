"""A simulated official folder with every known defect of the published SynthScars at a known place.

The pictures are simulated generator outputs; each has its own phrases and explanations, so that nothing is
wrong with them but what is planted.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from official import Json, entry, jpeg, layout, ref
from pictures import encoded
from PIL import Image, ImageDraw

from synthscars.images import sha256
from synthscars.simulate import simulate_image

SERIES = 3
TRAIN, TEST = "train/annotations/train.json", "test/annoations/test.json"

Found = tuple[str, str, str, str]
"""Code, file, image (an annotation's id, or an image's sha256) and region."""

LEFT = [20, 20, 220, 20, 220, 220, 20, 220]
NEARLY_LEFT = [22, 20, 220, 20, 220, 220, 22, 220]
RIGHT = [300, 300, 480, 300, 480, 480, 300, 480]
ALONE = [300, 20, 400, 20, 400, 100, 300, 100]
LINE = [10, 10, 200, 200, 400, 400]


class Planted(NamedTuple):
    """The folder, the number of refs of every annotation by `split/id`, and what a check must find in it."""

    folder: Path
    refs: dict[str, int]
    defects: set[Found]


def planted(root: Path) -> Planted:
    """Build the folder. The comments say which annotation is there for which defect."""
    files: dict[str, bytes] = {}
    numbers = iter(range(1000))

    def picture(number: int) -> Image.Image:
        return simulate_image(SERIES, number).image.convert("RGB")

    def mark(*rings: list[float], **changes: object) -> list[Json]:
        """Refs with words that no other ref has."""
        found = []
        for ring in rings or (LEFT,):
            at = next(numbers)
            why = f"Thing {at} has {at + 5} sides, and it should have four."
            found.append(ref(f"the corner of thing {at}", ring, **{"explanation": why, **changes}))
        return found

    def add(split: str, name: str, data: Image.Image | bytes, *refs: Json) -> Json:
        files[f"{split}/images/{name}"] = data if isinstance(data, bytes) else encoded(data, "PNG")
        return entry(name, *(refs or mark()), scene=f"A scene, the one of {name}")

    def retouched(image: Image.Image) -> Image.Image:
        ImageDraw.Draw(image).rectangle((200, 200, 240, 240), fill="white")
        return image

    twin = [
        add("train", "twin.png", picture(1)),  # 0 one picture in two files
        add("train", "twin.jpg", jpeg(picture(1).resize((384, 384)))),  # 1
    ]
    again = picture(2)
    one_name = [
        add("train", "again.png", again, *mark(LEFT)),  # 2 two annotations under one name, agreeing
        add("train", "again.png", again, *mark(NEARLY_LEFT)),  # 3
        add("train", "apart.png", picture(3), *mark(LEFT)),  # 4 the same, disjoint
        add("train", "apart.png", picture(3), *mark(RIGHT)),  # 5
        add("train", "three.png", picture(4), *mark(LEFT)),  # 6 three, of which two agree each time
        add("train", "three.png", picture(4), *mark(NEARLY_LEFT, RIGHT)),  # 7
        add("train", "three.png", picture(4), *mark(RIGHT, ALONE)),  # 8
    ]
    two_names = [
        add("train", "one.png", picture(5), *mark(LEFT)),  # 9 equal bytes under two names
        add("train", "two.png", picture(5), *mark(NEARLY_LEFT)),  # 10
    ]
    leaks = [
        add("train", "anew.jpg", jpeg(picture(6))),  # 11 encoded anew in test
        add("train", "retouched.png", retouched(picture(7))),  # 12 hardly to be told from one of test
        add("train", "both.png", picture(8)),  # 13 the very file is in test
    ]
    repeated = mark(LEFT, RIGHT)
    repeated[1]["sentence"] = repeated[0]["sentence"]
    broken = add("train", "break.png", picture(15))
    elsewhere = add("train", "verbatim.png", picture(13))
    elsewhere["refs"][0]["sentence"] = "a corner that nobody mentions"
    texts = [
        add("train", "line.png", picture(9), *mark(LEFT, LINE, RIGHT)),  # 14 a polygon without area
        add("train", "nothing.png", picture(10), *mark(LINE)),  # 15 and one that is all there is
        add("train", "silent.png", picture(11), *mark(LEFT, explanation="")),  # 16
        add("train", "edge.png", picture(12), *mark([-1e-12, 20, 512 + 5e-13, 20, 300, 300])),  # 17
        elsewhere,  # 18
        add("train", "repeated.png", picture(14), *repeated),  # 19
        {**broken, "caption": broken["caption"].replace(" To elab", "\nTo elab")},  # 20
    ]
    fine = [add("train", f"fine {number}.png", picture(number)) for number in range(16, 22)]
    train = [*twin, *one_name, *two_names, *leaks, *texts, *fine]
    test = [
        add("test", "anew.png", picture(6)),  # 0
        add("test", "smooth.png", picture(7)),  # 1
        add("test", "both.png", picture(8), *mark(RIGHT)),  # 2
        add("test", "dup.png", picture(22)),  # 3 one picture in two files, both in test
        add("test", "dup.jpg", jpeg(picture(22))),  # 4
        add("test", "edge.png", picture(23), *mark([20, 20, 300, 512 + 1e-12, 400, 30])),  # 5
        add("test", "fine.png", picture(24)),  # 6
    ]

    def image(split: str, name: str) -> str:
        return sha256(files[f"{split}/images/{name}"])

    defects: set[Found] = {
        *(("picture.annotated_again", TRAIN, id, "") for id in ("3", "5", "7", "8", "10")),
        ("image.twin", "twin.png", image("train", "twin.png"), ""),
        ("image.twin", "dup.png", image("test", "dup.png"), ""),
        ("leak.lookalike", "anew.jpg", image("train", "anew.jpg"), ""),
        ("leak.lookalike", "retouched.png", image("train", "retouched.png"), ""),
        ("leak.image", "both.png", image("test", "both.png"), ""),
        ("polygon.no_area", TRAIN, "14", "refs[1]"),
        ("polygon.no_area", TRAIN, "15", "refs[0]"),
        ("status.no_artifact", "nothing.png", image("train", "nothing.png"), ""),
        ("explanation.empty", TRAIN, "16", "refs[0]"),
        ("polygon.rounding", TRAIN, "17", ""),
        ("polygon.rounding", TEST, "5", ""),
        ("phrase.not_in_caption", TRAIN, "18", "refs[0]"),
        ("phrase.repeated", TRAIN, "19", ""),
        ("caption.line_break", TRAIN, "20", ""),
    }
    refs = {
        f"{split}/{number}": len(each["refs"])
        for split, entries in (("train", train), ("test", test))
        for number, each in enumerate(entries)
    }
    return Planted(layout(root, {"train": train, "test": test}, files), refs, defects)
