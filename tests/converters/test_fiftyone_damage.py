"""FiftyOne dataset folders: what is wrong is reported, and costs nothing else."""

import base64
import io
import json
import re
import zlib
from pathlib import Path

import numpy as np
import pytest
from fiftyone_folders import (
    FOREIGN,
    RING,
    TRIANGLE,
    codes,
    folder_with,
    packed,
    polyline,
    polylines,
    read,
    sample,
    samples,
    write,
)
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from synthscars.converters.fiftyone_labels import _decoded
from synthscars.geometry import area
from synthscars.images import sha256
from synthscars.problems import FormatError


def test_bad_regions_are_reported_with_field_and_number_and_the_rest_is_converted(tmp_path: Path) -> None:
    good = polyline([TRIANGLE], artifact_id="good")
    bad = [
        polyline([TRIANGLE[:2]]),
        polyline([[[0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]]),
        polyline([[[0.1, "x"], [0.2, 0.2], [0.3, 0.3]]]),
        polyline([[[0.1, 0.1, 0.1], [0.2, 0.2], [0.3, 0.3]]]),
        polyline([[[{"$numberDouble": "NaN"}, 0.1], [0.2, 0.2], [0.3, 0.3]]]),
        polyline("everywhere"),
        polyline([]),
        polyline([TRIANGLE], closed=False),
        17,
        {"_cls": "Detection", "bounding_box": [0.1, 0.1, 0.5]},
        {"_cls": "Detection", "bounding_box": [0.1, 0.1, 0, 0.5]},
        {"_cls": "Detection", "bounding_box": [0, 0, 0.5, 0.5], "mask": packed(np.zeros((4, 4), bool))},
    ]
    folder = folder_with(
        tmp_path, sample("a.png", odd=polylines(*bad, good)), sample("b.png", status="clean")
    )
    (found, other), problems = read(folder)
    assert [one.artifact_id for one in found.artifacts] == ["good"]
    assert found.status == "annotated"
    assert len(found.extra["fiftyone"]["rejected"]) == len(bad)
    assert codes(problems) == [
        ("polygon.few_points", "a.png", "odd[0]"),
        ("polygon.no_area", "a.png", "odd[1]"),
        ("polygon.not_numbers", "a.png", "odd[2]"),
        ("polygon.not_numbers", "a.png", "odd[3]"),
        ("polygon.not_numbers", "a.png", "odd[4]"),
        ("polygon.not_numbers", "a.png", "odd[5]"),
        ("polygon.not_numbers", "a.png", "odd[6]"),
        ("polyline.open", "a.png", "odd[7]"),
        ("label.not_an_object", "a.png", "odd[8]"),
        ("region.bad_box", "a.png", "odd[9]"),
        ("region.bad_box", "a.png", "odd[10]"),
        ("region.empty_mask", "a.png", "odd[11]"),
    ]
    assert all(one.file == str(folder) and one.fix for one in problems)
    assert (other.status, other.artifacts) == ("clean", ())


def test_regions_that_reach_outside_or_cross_themselves_are_kept_with_a_warning(tmp_path: Path) -> None:
    labels = [
        polyline([[[-0.1, 0.1], [0.5, 0.1], [0.5, 1.5]]]),
        polyline([[[0.1, 0.1], [0.5, 0.5], [0.5, 0.1], [0.1, 0.6]]]),
    ]
    (found,), problems = read(folder_with(tmp_path, sample("a.png", artifacts=polylines(*labels))))
    assert len(found.artifacts) == 2
    assert [one.code for one in problems] == ["polygon.outside", "polygon.crosses_itself"]


@pytest.mark.parametrize(
    ("x", "code", "artifacts"),
    [(5, "polygon.outside", 1), (-0.5, "polygon.outside", 1), (1e299, "polygon", 0)],
)
def test_a_mask_that_lies_outside_the_image_is_told(
    x: float, code: str, artifacts: int, tmp_path: Path
) -> None:
    box = {"_cls": "Detection", "label": "structure", "bounding_box": [x, 0, 0.5, 0.5]}
    found = {"_cls": "Detections", "detections": [{**box, "mask": packed(np.ones((20, 30), bool))}]}
    (record,), problems = read(folder_with(tmp_path, sample("a.png", boxes=found)))
    assert (len(record.artifacts), record.status) == (artifacts, "annotated")
    (said,) = problems
    assert said.code.startswith(code)
    assert said.region == "boxes[0]"


def test_of_several_rings_the_good_ones_are_kept(tmp_path: Path) -> None:
    label = polyline([TRIANGLE, TRIANGLE[:1]])
    (found,), problems = read(folder_with(tmp_path, sample("a.png", artifacts=polylines(label))))
    assert found.artifacts[0].polygons == (RING,)
    assert found.artifacts[0].extra["fiftyone"] == {"rejected_points": [TRIANGLE[:1]]}
    assert [one.code for one in problems] == ["polygon.few_points"]


def test_without_a_size_regions_are_set_aside(tmp_path: Path) -> None:
    raw = sample("a.png", artifacts=polylines(polyline([TRIANGLE])), metadata=None)
    (found,), problems = read(folder_with(tmp_path, raw))
    assert (found.artifacts, found.status) == ((), "annotated")
    assert codes(problems) == [("image.no_size", "a.png", "artifacts[0]")]


def test_repeated_ids_are_told_apart(tmp_path: Path) -> None:
    label = polyline([TRIANGLE], _id={"$oid": "a" * 24})
    (found,), problems = read(folder_with(tmp_path, sample("a.png", artifacts=polylines(label, label))))
    assert [one.artifact_id for one in found.artifacts] == ["a" * 24, "a" * 24 + "-2"]
    assert [one.code for one in problems] == ["id.repeated"]


def test_videos_and_frames_are_reported_and_not_read(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, sample("a.mp4", _media_type="video"), sample("b.png", _media_type="image"))
    (folder / "frames.json").write_text('{"frames": []}')
    (found,), problems = read(folder)
    assert found.file_name == "b.png"
    assert [one.code for one in problems] == ["frames.ignored", "sample.not_an_image"]


def test_a_missing_image_keeps_the_size_that_the_sample_has(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, sample("a.png", artifacts=polylines(polyline([TRIANGLE]))))
    (folder / "data").mkdir()
    (found,), problems = read(folder)
    assert (found.width, found.height) == (60, 40)
    assert [one.code for one in problems] == ["image.missing"]


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret.png", "data/../../secret.png", "~/x.png", "a\0b"])
def test_no_file_outside_the_folder_is_looked_at(name: str, tmp_path: Path) -> None:
    Image.new("L", (20, 20), 255).save(tmp_path / "secret.png")
    folder = tmp_path / "ds"
    mask = {"_cls": "Detection", "bounding_box": [0, 0, 0.5, 0.5], "mask_path": name}
    raw = sample("x.png", found={"_cls": "Detections", "detections": [mask]})
    folder_with(folder, {**raw, "filepath": name})
    (folder / "data").mkdir()
    (found,), problems = read(folder)
    assert found.image_id != sha256((tmp_path / "secret.png").read_bytes())
    assert [one.code for one in problems] == ["image.missing", "mask.unreadable"]
    assert found.artifacts[0].polygons == ((0.0, 0.0, 30.0, 0.0, 30.0, 20.0, 0.0, 20.0),)


def test_masks_in_files_are_read(tmp_path: Path) -> None:
    folder = folder_with(
        tmp_path,
        sample(
            "a.png",
            boxes={
                "_cls": "Detections",
                "detections": [
                    {
                        "_cls": "Detection",
                        "label": "physics",
                        "bounding_box": [0, 0, 0.5, 0.5],
                        "mask_path": "fields/m.png",
                    }
                ],
            },
        ),
    )
    (folder / "fields").mkdir()
    mask = np.zeros((10, 10), np.uint8)  # half as large as its box, which is scaled up
    mask[2:4, 5:9] = 255
    Image.fromarray(mask).save(folder / "fields" / "m.png")
    (found,), problems = read(folder)
    assert area(found.artifacts[0].polygons) == pytest.approx(2 * 2 * 4 * 3)
    assert not len(problems)


def test_no_mask_can_run_code_or_fill_the_memory() -> None:
    pickled = io.BytesIO()
    np.save(pickled, np.array([{}], dtype=object), allow_pickle=True)
    boast = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        boast, {"descr": "|b1", "fortran_order": False, "shape": (10**6, 10**6)}
    )
    bomb = zlib.compress(b"\0" * 2**28 + b"\0" * 2**20, 9)
    for data, says in (
        (zlib.compress(pickled.getvalue()), "type object"),
        (zlib.compress(boast.getvalue()), "declares shape"),
        (bomb, "larger than 256 MiB"),
        (b"no zlib", "cannot be decoded"),
        (zlib.compress(b"no npy"), "cannot be decoded"),
        (zlib.compress(b"\x93NUMPY\x01\x00v\x00{'descr': __import__('os')}"), "cannot be decoded"),
    ):
        found = _decoded({"$binary": {"base64": base64.b64encode(data).decode(), "subType": "00"}})
        assert isinstance(found, str)
        assert says in found
    for junk in (None, 3, {}, {"$binary": {}}, "not base64!"):
        assert isinstance(_decoded(junk), str)


def test_a_damaged_file_is_refused_as_a_whole(tmp_path: Path) -> None:
    whole = (FOREIGN / "samples.json").read_bytes()
    folder_with(tmp_path)
    for content in (whole[:-100], b"", b"[]", b"{}", b'{"samples": 3}', b"\xff\xfe"):
        (tmp_path / "samples.json").write_bytes(content)
        with pytest.raises(FormatError, match=re.escape("samples.json")):
            read(tmp_path)


@pytest.mark.parametrize("depth", [700, 5000])
def test_a_sample_that_is_nested_too_deeply_costs_no_more_than_itself(depth: int, tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    deep = '{"filepath": "a.png", "x": ' + "[" * depth + "]" * depth + ', "y": NaN}'
    (folder / "samples.json").write_text('{"samples": [' + deep + ', {"filepath": "b.png"}]}')
    if depth == 5000:  # no parser takes the file
        with pytest.raises(FormatError, match="samples"):
            read(folder)
        return
    (found,), problems = read(folder)
    assert found.file_name == "b.png"
    assert codes(problems) == [("sample.unreadable", "samples[0]", "")]


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=3) | st.sampled_from(["_cls", "$oid", "$binary", "$numberInt"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=5,
)


def paths(value: object, before: tuple = ()) -> list[tuple]:
    found = [before]
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in inner:
        found += paths(each, (*before, key))
    return found


ALL = samples(FOREIGN)
OWN = json.loads(
    json.dumps(
        sample(
            "own.png",
            status="annotated",
            generation={"_cls": "DynamicEmbeddedDocument", "seed": "7", "raw": "{}"},
            reviews=[{"_cls": "DynamicEmbeddedDocument", "rater_id": "a", "status": "clean"}],
            extra='{"fiftyone": {"rejected": []}}',
            artifacts=polylines(
                polyline([TRIANGLE], artifact_id="r1", votes=3, extra="{}", subtype="deformed")
            ),
        )
    )
)
PLACES = [(number, path) for number, each in enumerate((ALL[0], OWN)) for path in paths(each) if path]


@settings(max_examples=200)
@given(place=st.sampled_from(PLACES), junk=JUNK)
def test_nonsense_anywhere_never_raises_and_never_touches_the_other_image(
    place: tuple, junk: object, tmp_path_factory
) -> None:
    number, path = place
    raw = json.loads(json.dumps((ALL[0], OWN)[number]))
    target = raw
    for key in path[:-1]:
        target = target[key]
    target[path[-1]] = junk
    folder = folder_with(tmp_path_factory.mktemp("f"), raw, sample("b.png", status="clean"))
    found, _ = read(folder)
    assert (found[-1].file_name, found[-1].status, found[-1].artifacts) == ("b.png", "clean", ())
    # And whatever was read can be written again.
    write([one for one in found if one.width], folder / "out")
