"""Hypothesis strategies for the data model, shared by all tests (`tests/support` is on the path)."""

from __future__ import annotations

import math

from hypothesis import strategies as st

from synthscars.records import ORIGINS, Artifact, Extra, Generation, ImageRecord, Review, Ring
from synthscars.taxonomy import load_taxonomy

_TAXONOMY = load_taxonomy()

# What trips text handling up: line breaks, right-to-left, combining marks, emoji, the marks of JSON itself.
_AWKWARD = (
    "the left hand",
    "the hand",
    "Too many fingers. One of them: bent.",
    "two\nlines\r\n\ttab",
    "اليد اليسرى",
    "שלט מעורבב",
    "👩🏽‍🎨 six fingers 🖐",
    "e\u0301 vs é",
    "\u2028\u2029\ufeff",
    'quote " and \\ backslash',
    "<p> tag </p> & [SEG]",
    " leading and trailing ",
    "\x00\x1f",
)


def texts(max_size: int = 40) -> st.SearchStrategy[str]:
    """Any text that UTF-8 can hold (no lone surrogates), often an awkward one."""
    characters = st.characters(exclude_categories=["Cs"])
    return st.one_of(st.text(characters, max_size=max_size), st.sampled_from(_AWKWARD))


def identifiers() -> st.SearchStrategy[str]:
    """Ids of raters, groups and artifacts: short and printable."""
    return st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-", min_size=1, max_size=12)


def rings(width: int = 512, height: int = 512) -> st.SearchStrategy[Ring]:
    """Simple polygons (no crossing edges, area above 0.5 square pixels) within an image of at least 4 x 4."""
    return st.one_of(_boxes(width, height), _stars(width, height))


@st.composite
def _boxes(draw: st.DrawFn, width: int, height: int) -> Ring:
    left = draw(st.integers(0, width - 1))
    top = draw(st.integers(0, height - 1))
    right = draw(st.integers(left + 1, width))
    bottom = draw(st.integers(top + 1, height))
    return tuple(float(value) for value in (left, top, right, top, right, bottom, left, bottom))


@st.composite
def _stars(draw: st.DrawFn, width: int, height: int) -> Ring:
    # Corners at rising angles around a centre, no gap as wide as half a turn: never crosses itself.
    reach = min(width, height) / 2
    corners = draw(st.integers(3, 12))
    radius = draw(st.floats(1.5, reach))
    x = draw(st.floats(radius, width - radius))
    y = draw(st.floats(radius, height - radius))
    ring: list[float] = []
    for corner in range(corners):
        angle = 2 * math.pi * (corner + draw(st.floats(0, 0.4))) / corners
        length = radius * draw(st.floats(0.7, 1.0))
        ring.append(min(max(x + length * math.cos(angle), 0.0), float(width)))
        ring.append(min(max(y + length * math.sin(angle), 0.0), float(height)))
    return tuple(ring)


def extras() -> st.SearchStrategy[Extra]:
    """Unknown fields: any JSON object."""
    leaves = st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**53), 2**53),
        st.floats(allow_nan=False, allow_infinity=False),
        texts(12),
    )
    values = st.recursive(
        leaves,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts(8), inner, max_size=3),
        max_leaves=6,
    )
    # Prefixed, so that no unknown field has the name of a known one.
    keys = texts(8).map(lambda key: f"x_{key}")
    return st.dictionaries(keys, values, max_size=3)


@st.composite
def artifacts(draw: st.DrawFn, width: int = 512, height: int = 512, artifact_id: str = "") -> Artifact:
    """Artifacts with one or two rings and a category and subtype of the taxonomy that belong together."""
    subtype = draw(st.none() | st.sampled_from(_TAXONOMY.subtypes))
    category = subtype.category if subtype else draw(st.none() | st.sampled_from(_TAXONOMY.category_ids))
    return Artifact(
        artifact_id=artifact_id or draw(identifiers()),
        category=category,
        subtype=subtype.id if subtype else None,
        polygons=tuple(draw(st.lists(rings(width, height), min_size=1, max_size=2))),
        phrase=draw(texts()),
        explanation=draw(texts()),
        rater_id=draw(st.just("") | identifiers()),
        votes=draw(st.none() | st.integers(1, 20)),
        agreement=draw(st.none() | st.floats(0, 1)),
        extra=draw(st.just({}) | extras()),
    )


@st.composite
def generations(draw: st.DrawFn) -> Generation:
    """Generation metadata with any subset of its fields known."""
    size = st.none() | st.integers(1, 8192)
    return Generation(
        tool=draw(texts()),
        model=draw(texts()),
        model_hash=draw(st.sampled_from(["", "cc6cb27103"])),
        prompt=draw(texts()),
        negative_prompt=draw(texts()),
        seed=draw(st.none() | st.integers(0, 2**64 - 1)),
        steps=draw(st.none() | st.integers(1, 200)),
        sampler=draw(texts()),
        cfg_scale=draw(st.none() | st.floats(0, 50)),
        width=draw(size),
        height=draw(size),
        loras=tuple(draw(st.lists(texts(), max_size=2))),
        parameters=draw(st.dictionaries(texts(8), texts(), max_size=2)),
        raw=draw(st.dictionaries(texts(8), texts(), max_size=2)),
    )


@st.composite
def reviews(draw: st.DrawFn, rater_id: str = "") -> Review:
    """What one rater answered about an image."""
    return Review(
        rater_id=rater_id or draw(identifiers()),
        status=draw(st.sampled_from(["clean", "annotated", "skipped"])),
        content_type=draw(st.none() | st.sampled_from(_TAXONOMY.content_type_ids)),
        scene=draw(texts()),
        seconds=draw(st.none() | st.floats(0, 1e6)),
        extra=draw(st.just({}) | extras()),
    )


@st.composite
def records(draw: st.DrawFn, max_artifacts: int = 3) -> ImageRecord:
    """Records whose status fits their artifacts and whose rings lie in the image; artifact ids are unique."""
    width = draw(st.integers(16, 400))
    height = draw(st.integers(16, 400))
    count = draw(st.integers(0, max_artifacts))
    found = tuple(draw(artifacts(width, height, f"a{number}")) for number in range(count))
    status = "annotated" if found else draw(st.sampled_from(["unlabelled", "clean", "skipped"]))
    return ImageRecord(
        image_id=draw(st.binary(min_size=32, max_size=32)).hex(),
        file_name=draw(texts()),
        width=width,
        height=height,
        origin=draw(st.sampled_from(ORIGINS)),
        content_type=draw(st.none() | st.sampled_from(_TAXONOMY.content_type_ids)),
        status=status,
        caption=draw(texts(200)),
        artifacts=found,
        reviews=tuple(draw(st.lists(reviews(), max_size=2, unique_by=lambda review: review.rater_id))),
        generation=draw(st.none() | generations()),
        group_id=draw(st.just("") | identifiers()),
        split=draw(st.sampled_from(["", "train", "validation", "test"])),
        source=draw(texts()),
        license=draw(st.sampled_from(["", "cc-by-4.0", "other"])),
        extra=draw(st.just({}) | extras()),
    )
