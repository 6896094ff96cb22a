"""COCO instances: nonsense anywhere in a file never stops the reader."""

import contextlib
import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from coco_files import DATA, foreign, looked, stored, written
from hypothesis import given, settings
from hypothesis import strategies as st
from nonsense import places

from synthscars.converters import coco_read
from synthscars.problems import FormatError, Problems
from synthscars.records import ImageRecord, encode_record

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**25),
    st.floats(),
    st.text(max_size=5),
    st.just([]),
    st.just({}),
    st.lists(st.integers(-3, 3), max_size=5),
    st.just([[]]),
    st.just([{}]),
    st.just({"size": [2, 2], "counts": [4]}),
)


def full() -> dict[str, Any]:
    """A file with two images and everything in it."""
    content = json.loads((DATA / "synthscars.json").read_bytes())
    content["images"] = content["images"][:2]
    content["annotations"].append(
        {
            **copy.deepcopy(content["annotations"][1]),
            "id": 4,
            "image_id": 2,
            "artifact_id": "s1",
            "category_id": 1,
        }
    )
    content["annotations"].append(
        {"id": 5, "image_id": 1, "category_id": 2, "bbox": [1, 2, 3, 4], "extra": {}}
    )
    mask = {"size": [160, 200], "counts": [10, 20, 31970]}
    content["annotations"].append({"id": 6, "image_id": 1, "category_id": 2, "segmentation": mask})
    return content


@settings(max_examples=200)
@given(data=st.data())
def test_nonsense_anywhere_never_stops_the_reader_nor_touches_another_image(tmp_path_factory, data) -> None:
    content = full()
    place = data.draw(st.sampled_from(places(content)))
    junk = data.draw(JUNK)
    if place:
        inner = content
        for key in place[:-1]:
            inner = inner[key]
        inner[place[-1]] = junk
    else:
        content = junk
    path = stored(tmp_path_factory.mktemp("nonsense"), content)
    found, problems = [], Problems()
    # A file that is none is refused as a whole; nothing else may be raised.
    with contextlib.suppress(FormatError):
        found, problems = looked(path)
    for record in found:
        encode_record(record)
    assert all(problem.file == str(path) and problem.what for problem in problems)
    in_first = place[:2] == ("images", 0) or (place[:1] == ("annotations",) and place[1:2] not in ((), (3,)))
    if in_first and len(place) > 2 and place[-1] not in ("image_id", "id", "license"):
        assert [record for record in found if record.file_name == "street.png"] == looked_full()[1:]
    if found:
        written(path.parent, found)


@given(data=st.data())
def test_polygons_are_read_alike_together_and_one_by_one(tmp_path_factory, data) -> None:
    content = full()
    others = [place for place in places(content) if len(place) > 1]
    for place in data.draw(st.lists(st.sampled_from(others), max_size=3)):
        inner = content
        with contextlib.suppress(LookupError, TypeError):
            for key in place[:-1]:
                inner = inner[key]
            inner[place[-1]] = data.draw(JUNK)
    path = stored(tmp_path_factory.mktemp("alike"), content)

    def careful(annotations: Sequence[Any], _: Any) -> list[None]:
        return [None] * len(annotations)

    together = looked(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(coco_read, "sound_rings_of", careful)
        one_by_one = looked(path)
    assert list(map(encode_record, together[0])) == list(map(encode_record, one_by_one[0]))
    assert list(together[1]) == list(one_by_one[1])


def test_of_two_images_with_one_id_the_size_of_the_first_counts(tmp_path: Path) -> None:
    content = foreign({"segmentation": [[10, 10, 90, 10, 90, 30]]})
    content["images"].append({"id": 1, "file_name": "b.png", "width": 640, "height": 480})
    _, problems = looked(stored(tmp_path, content))
    assert {problem.code for problem in problems} == {"image.repeated_id", "polygon.outside"}


def looked_full() -> list[ImageRecord]:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return looked(stored(Path(folder), full()))[0]
