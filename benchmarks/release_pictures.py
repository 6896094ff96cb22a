"""Pictures and records to build releases from: any number, as large as those of SynthScars, all different.

The pictures are JPEG files of about one megapixel and 290 KB: parts of simulated scenes, each in a light and
with noise of its own, so that neither its bytes nor what it looks like occurs twice. The records have as many
polygons to a picture as SynthScars has (26,566 for 12,236), of 20 to 80 points. Picture n and what is said
about it depend on n alone, so that more of them are a newer version of fewer.

    python benchmarks/release_pictures.py FOLDER
    python benchmarks/release_pictures.py FOLDER --count 2000

A second run makes only what is missing. 12,236 of them take 3.6 GB and, on two cores, three minutes.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import math
import os
import random
import shutil
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import numpy.typing as npt
from PIL import Image

from synthscars import caption
from synthscars.engine import map_ordered
from synthscars.jsonl import write_records
from synthscars.records import Artifact, Generation, ImageRecord, Review
from synthscars.simulate.image import simulate_image
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

PAPER_IMAGES, PAPER_POLYGONS = 12_236, 26_566

_SIZES = ((1024, 1024), (1152, 896), (896, 1152), (1216, 832), (832, 1216))
_SCENES, _SHIFTS, _SIGMA, _QUALITY = 12, 256, 7.0, 92
_BLOCK = 4
"""Pictures that share as many polygons as that many have in the mean; one in twelve of them gets none."""

_PLACES = (
    "the left hand of the woman",
    "the right hand",
    "the sign above the door",
    "the hind leg of the dog",
    "the mirror on the wall",
    "the spokes of the rear wheel",
)
_REASONS = (
    "It has six fingers, and two of them grow out of the same knuckle.",
    "The letters are melted into each other, so that no word can be read.",
    "The shadow falls towards the lamp, which no light in the scene explains.",
    "The texture runs across the edge of the object as if both were one surface.",
    "It ends in mid-air: nothing connects it to the body that it should belong to.",
)
_ROOMS = ("A person sits at a table in a bright room", "A street in the evening with shops on both sides")


# Pictures


def make_pictures(
    folder: Path, count: int, *, scale: float = 1.0, progress: Callable[[int], None] | None = None
) -> list[Path]:
    """Write pictures 0 to `count` - 1 into `folder`, unless they are there, and return their paths.

    scale: of width and height; 1 gives about a megapixel. A file that is there is whole: each gets its name
    when it is complete.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:06d}.jpg" for number in range(count)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]

    def make(number: int) -> None:
        temporary = paths[number].with_suffix(".part")
        temporary.write_bytes(picture(number, scale))
        temporary.rename(paths[number])

    if missing:
        # Before the threads ask for them all at once.
        _scenes()
        _noise()
    for done, _ in enumerate(map_ordered(make, missing), start=1):
        if progress is not None and (done % 500 == 0 or done == len(missing)):
            progress(count - len(missing) + done)
    return paths


def size_of(number: int, scale: float = 1.0) -> tuple[int, int]:
    """Width and height of picture `number`, pixels."""
    width, height = _SIZES[random.Random(f"size {number}").randrange(len(_SIZES))]
    return round(width * scale), round(height * scale)


def picture(number: int, scale: float = 1.0) -> bytes:
    """The bytes of picture `number`, a JPEG file."""
    rng = np.random.default_rng([7, number])
    width, height = size_of(number, scale)
    scene = _scenes()[rng.integers(_SCENES)]
    part = rng.uniform(0.45, 0.9)
    across, down = scene.width * part, scene.height * part
    x, y = rng.uniform(0, scene.width - across), rng.uniform(0, scene.height - down)
    box = (x, y, x + across, y + down)
    view = scene.resize((width, height), Image.Resampling.BILINEAR, box=box)
    patches = Image.fromarray(rng.integers(0, 256, (5, 5, 3), dtype=np.uint8))
    light = patches.resize((width, height), Image.Resampling.BICUBIC)
    top, left = rng.integers(0, _SHIFTS, 2)
    noise = _noise()[top : top + height, left : left + width]
    pixels = np.asarray(Image.blend(view, light, 0.4), dtype=np.int16) + noise
    buffer = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=_QUALITY)
    return buffer.getvalue()


@cache
def _scenes() -> list[Image.Image]:
    drawn = (simulate_image(0, index).data for index in range(_SCENES))
    return [Image.open(io.BytesIO(data)).convert("RGB") for data in drawn]


@cache
def _noise() -> npt.NDArray[np.int16]:
    side = max(side for size in _SIZES for side in size) + _SHIFTS
    return np.random.default_rng(7).normal(0, _SIGMA, (side, side, 3)).astype(np.int16)


# Records


def simulated_record(number: int, image_id: str, size: tuple[int, int], *, raters: int = 1) -> ImageRecord:
    """What so many raters say about picture `number` of this size, width first.

    They see the same artifacts and draw each in a slightly different way.
    """
    rng = random.Random(f"record {number}")
    names = [f"rater-{1 + (number + which) % 12}" for which in range(raters)]
    found = [_artifact(region, size, rng) for region in range(_polygons(number))]
    artifacts = tuple(
        _as_drawn_by(name, artifact, size, rng) if which else _named(name, artifact)
        for which, name in enumerate(names)
        for artifact in found
    )
    scene = rng.choice(_ROOMS)
    content_type = rng.choice(load_taxonomy().content_type_ids)
    seconds = round(rng.uniform(15, 400), 3)
    reviews = tuple(
        Review(
            rater_id=name,
            status="annotated" if found else "clean",
            content_type=content_type,
            scene=scene,
            seconds=seconds,
        )
        for name in names
    )
    return ImageRecord(
        image_id=image_id,
        file_name=f"{number:06d}.jpg",
        width=size[0],
        height=size[1],
        content_type=content_type,
        status="annotated" if found else "clean",
        caption=caption.compose(scene, [(each.phrase, each.explanation) for each in found]),
        artifacts=artifacts,
        reviews=reviews,
        generation=_generation(number, size, rng),
        source=f"simulated/{number:06d}.jpg",
        license="CC0-1.0",
    )


def _polygons(number: int) -> int:
    block = number // _BLOCK
    until, before = (round(each * _BLOCK * PAPER_POLYGONS / PAPER_IMAGES) for each in (block + 1, block))
    rng = random.Random(f"block {block}")
    given = [rng.randrange(_BLOCK) for _ in range(until - before)]
    return given.count(number % _BLOCK)


def _artifact(region: int, size: tuple[int, int], rng: random.Random) -> Artifact:
    category = rng.choice(load_taxonomy().categories)
    subtype = rng.choice(load_taxonomy().subtypes_of(category.id)).id if rng.random() < 0.6 else None
    return Artifact(
        artifact_id=f"region-{region}",
        category=category.id,
        subtype=subtype,
        polygons=(_ring(size, rng),),
        phrase=rng.choice(_PLACES),
        explanation=f"{rng.choice(_REASONS)} Seen {rng.randint(2, 30)} pixels from its edge.",
    )


def _ring(size: tuple[int, int], rng: random.Random) -> tuple[float, ...]:
    """Corners around a centre at rising angles, so that the ring never crosses itself; pixels."""
    count = rng.randint(20, 80)
    reach = rng.uniform(0.03, 0.16) * min(size)
    x, y = (rng.uniform(reach, side - reach) for side in size)
    ring: list[float] = []
    for corner in range(count):
        angle = 2 * math.pi * (corner + rng.uniform(0, 0.8)) / count
        length = reach * rng.uniform(0.6, 1)
        ring += (x + length * math.cos(angle), y + length * math.sin(angle))
    return tuple(ring)


def _named(name: str, artifact: Artifact) -> Artifact:
    return msgspec.structs.replace(artifact, rater_id=name, artifact_id=f"{name} {artifact.artifact_id}")


def _as_drawn_by(name: str, artifact: Artifact, size: tuple[int, int], rng: random.Random) -> Artifact:
    # Moved by up to two pixels as a whole, so that it stays a ring that does not cross itself.
    shift = (rng.uniform(-2, 2), rng.uniform(-2, 2))
    ring = tuple(
        min(max(value + shift[place % 2], 0.0), float(size[place % 2]))
        for place, value in enumerate(artifact.polygons[0])
    )
    return msgspec.structs.replace(_named(name, artifact), polygons=(ring,))


def _generation(number: int, size: tuple[int, int], rng: random.Random) -> Generation:
    prompt = f"{rng.choice(_ROOMS)}, {rng.choice(_PLACES)}, photograph number {number}, 35 mm, soft light"
    steps, seed = rng.randint(20, 50), rng.getrandbits(32)
    return Generation(
        tool="automatic1111",
        model=f"model-{number % 5}",
        prompt=prompt,
        negative_prompt="blurry, extra fingers",
        seed=seed,
        steps=steps,
        sampler="DPM++ 2M Karras",
        cfg_scale=7.0,
        width=size[0],
        height=size[1],
        raw={"parameters": f"{prompt}\nSteps: {steps}, Seed: {seed}, Size: {size[0]}x{size[1]}"},
    )


# Workspaces


def make_workspace(root: Path, pictures: Sequence[Path], *, raters: int = 1) -> Workspace:
    """A workspace that holds these pictures and one file of records about all of them.

    The pictures are hard links where the file system can, else copies; `pictures` are those of
    `make_pictures`.
    """
    workspace = Workspace.create(root, "simulated")
    records = list(map_ordered(lambda each: _add(workspace, each, raters), pictures))
    workspace.append_index(_unlabelled(records))
    add_records(workspace, records)
    return workspace


def add_pictures(workspace: Workspace, pictures: Sequence[Path], *, raters: int = 1) -> list[ImageRecord]:
    """Add more pictures to a workspace and return their records, which are not written."""
    records = list(map_ordered(lambda each: _add(workspace, each, raters), pictures))
    workspace.append_index(_unlabelled(records))
    return records


def add_records(workspace: Workspace, records: Iterable[ImageRecord]) -> Path:
    """Write a newer file of records, which the next release is built from."""
    path = workspace.next_numbered(workspace.records_dir, ".jsonl.zst")
    write_records(path, records)
    return path


def _unlabelled(records: Iterable[ImageRecord]) -> Iterator[ImageRecord]:
    for record in records:
        yield msgspec.structs.replace(
            record, status="unlabelled", artifacts=(), reviews=(), caption="", content_type=None
        )


def _add(workspace: Workspace, path: Path, raters: int) -> ImageRecord:
    data = path.read_bytes()
    image_id = hashlib.sha256(data).hexdigest()
    kept = workspace.image_path(image_id, ".jpg")
    kept.parent.mkdir(parents=True, exist_ok=True)
    link_or_copy(path, kept)
    with Image.open(io.BytesIO(data)) as image:
        size = image.size
    return simulated_record(int(path.stem), image_id, size, raters=raters)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name; copy it where the file system has no such thing. Nothing if it is there."""
    if target.exists():
        return
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def main() -> None:
    """Parse the command line and make them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=PAPER_IMAGES)
    options = parser.parse_args()
    paths = make_pictures(
        options.folder, options.count, progress=lambda done: print(f"{done:,} pictures", file=sys.stderr)
    )
    total = sum(path.stat().st_size for path in paths)
    print(f"{options.folder}: {len(paths):,} pictures, {total / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()
