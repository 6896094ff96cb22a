"""Worked examples of the guideline: parts of simulated images with a good answer and one that is not.

They are drawn anew wherever they are shown, and always the same: no picture lies in the repository.
"""

from __future__ import annotations

import io
from base64 import b64encode
from collections.abc import Iterator, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from synthscars.geometry import bbox, polygon
from synthscars.records import Artifact

if TYPE_CHECKING:
    from PIL.Image import Image

    from synthscars.simulate import SimulatedImage

SEED = 6
SIDE = 220
"""Pixels of a picture as it is shown."""

_HARD_NEGATIVE = 2
# The image that usually has something odd that is right.

_MOST = 60
# Images that are looked through if the usual one does not have what is wanted.


class Example(NamedTuple):
    """One worked example. good, bad: pictures (WebP); bad is empty where nothing is to be marked at all."""

    title: str
    good: bytes
    bad: bytes
    phrase: str
    explanation: str
    bad_phrase: str
    bad_explanation: str
    why: str

    @property
    def pictures(self) -> tuple[bytes, ...]:
        """The pictures that there are."""
        return tuple(filter(None, (self.good, self.bad)))


class _Wanted(NamedTuple):
    """What is to be shown: a subtype, the image where it usually is, and an answer that is not good."""

    subtype: str
    usual: int
    phrase: str
    explanation: str
    why: str


_EXAMPLES = (
    _Wanted(
        "text_distortion",
        1,
        "illegible text",
        "AI text.",
        "The phrase judges instead of pointing at the place, the explanation does not say what is wrong with "
        "the letters, and the outline takes in much that is well drawn.",
    ),
    _Wanted(
        "asymmetrical",
        3,
        "handle",
        "The handles look strange.",
        "There are two handles: which one? What is strange about it? And the outline is a box, most of which "
        "is well drawn.",
    ),
    _Wanted(
        "space_perspective",
        0,
        "bottom right",
        "The perspective is wrong.",
        "A corner of the picture is no thing, and the category's name is no reason. Say what is larger than "
        "what.",
    ),
    _Wanted(
        "illogical",
        4,
        "the picture",
        "This is impossible.",
        "It is, but why? Mark and name the thing that cannot be there, not everything around it.",
    ),
    _Wanted(
        "color_texture",
        6,
        "the animal",
        "The generator mixed up two textures.",
        "Only one patch is wrong, not the animal. How the generator came to it is a guess; say what is seen.",
    ),
)


@cache
def examples() -> tuple[Example, ...]:
    """All worked examples. Takes a second or two the first time."""
    found = [_example(wanted) for wanted in _EXAMPLES]
    return (*filter(None, found), *_hard_negatives())


def data_uri(picture: bytes) -> str:
    """A picture as a `data:` address."""
    return f"data:image/webp;base64,{b64encode(picture).decode()}"


@cache
def _image(index: int) -> SimulatedImage:
    from synthscars.simulate import simulate_image

    return simulate_image(SEED, index)


def _example(wanted: _Wanted) -> Example | None:
    from synthscars.taxonomy import load_taxonomy

    # What is drawn in an image may change with the simulator: then another image will do.
    for index in (wanted.usual, *range(_MOST)):
        image = _image(index)
        for artifact in image.record.artifacts:
            if artifact.subtype == wanted.subtype and _shows_well(image, artifact, rings=1):
                taxonomy = load_taxonomy()
                subtype = taxonomy.subtype(wanted.subtype)
                return Example(
                    title=f"{taxonomy.category(subtype.category).name}: {subtype.name.lower()}",
                    good=_picture(image, artifact.polygons, artifact),
                    bad=_picture(image, artifact.polygons, _careless(image, artifact)),
                    phrase=artifact.phrase,
                    explanation=artifact.explanation,
                    bad_phrase=wanted.phrase,
                    bad_explanation=wanted.explanation,
                    why=wanted.why,
                )
    return None


def _hard_negatives() -> Iterator[Example]:
    """An odd thing that is not wrong, as the simulator draws them on purpose."""
    for index in (_HARD_NEGATIVE, *range(_MOST)):
        image = _image(index)
        for each in image.record.extra.get("hard_negatives", []):
            area = Artifact(artifact_id="odd", polygons=tuple(map(tuple, each["polygons"])))
            if _shows_well(image, area) and not _has_artifact(image, area):
                what = str(each["what"]).strip().rstrip(".")
                yield Example(
                    title="Nothing to mark here",
                    good=_picture(image, area.polygons, None),
                    bad=b"",
                    phrase="",
                    explanation="",
                    bad_phrase="",
                    bad_explanation="",
                    why=f"{what[:1].upper()}{what[1:]}: one has to look twice, but it can be.",
                )
                return


def _has_artifact(image: SimulatedImage, area: Artifact) -> bool:
    """Whether anything wrong is in the surroundings of a region."""
    from shapely import box

    surroundings = box(*_surroundings(image, area.polygons))
    wrong = [polygon(ring) for artifact in image.record.artifacts for ring in artifact.polygons]
    return any(surroundings.intersects(shape) for shape in wrong)


def _shows_well(image: SimulatedImage, artifact: Artifact, rings: int = 99) -> bool:
    """Whether a region of at most so many rings is neither small nor large, and has room on all sides."""
    if not 0 < len(artifact.polygons) <= rings:
        return False
    x, y, w, h = bbox(artifact.polygons)
    room = min(x, y, image.record.width - x - w, image.record.height - y - h)
    return 40 <= max(w, h) <= 200 and room >= 4


def _careless(image: SimulatedImage, artifact: Artifact) -> Artifact:
    """A box around much more than what is wrong."""
    x, y, w, h = bbox(artifact.polygons)
    left, top = max(x - 0.45 * w, 1), max(y - 0.5 * h, 1)
    right = min(x + 1.5 * w, image.record.width - 1)
    bottom = min(y + 1.4 * h, image.record.height - 1)
    box = (left, top, right, top, right, bottom, left, bottom)
    return msgspec.structs.replace(artifact, category=None, subtype=None, polygons=(box,))


def _picture(image: SimulatedImage, rings: Sequence[Sequence[float]], drawn: Artifact | None) -> bytes:
    """The surroundings of a region as WebP, with an outline if one is given."""
    from PIL.Image import Resampling

    from synthscars.drawing import draw_artifacts

    shown: Any = image.image if drawn is None else draw_artifacts(image.image, [drawn], labels=False, line=3)
    part: Image = shown.crop(_surroundings(image, rings)).resize((SIDE, SIDE), Resampling.LANCZOS)
    buffer = io.BytesIO()
    part.save(buffer, "WEBP", quality=70, method=6)
    return buffer.getvalue()


def _surroundings(image: SimulatedImage, rings: Sequence[Sequence[float]]) -> tuple[int, int, int, int]:
    """A square part of the image around a region: left, top, right, bottom in pixels."""
    x, y, w, h = bbox(rings)
    width, height = image.record.width, image.record.height
    side = round(min(max(2.3 * max(w, h), 150), width, height))
    left = round(min(max(x + w / 2 - side / 2, 0), width - side))
    top = round(min(max(y + h / 2 - side / 2, 0), height - side))
    return left, top, left + side, top + side
