"""CVAT for images 1.1. `tests/data/cvat/annotations.xml` has the layout of CVAT's own exporter."""

import math
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

import pytest
from converting import changed, with_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import picture

from synthscars.converters import formats
from synthscars.converters.cvat import read, write
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.geometry import area, bbox, to_mask
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord, encode_record

GOLDEN = Path(__file__).parent.parent / "data" / "cvat" / "annotations.xml"
BOX = (1.0, 2.0, 11.5, 2.0, 11.5, 12.25, 1.0, 12.25)
POLYGON = '<polygon label="structure" points="1,2;11.5,2;11.5,12.25;1,12.25"/>'


def reads(source: Path, **options: object) -> tuple[list[ImageRecord], Problems]:
    problems = Problems()
    return list(read(source, problems, **options)), problems


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


def saved(folder: Path, *shapes: str, head: str = "", image: str = 'id="0" name="a.png"') -> Path:
    """A file with an image `a.png` that has these shapes, and a sound image `z.png` behind it."""
    folder.mkdir(parents=True, exist_ok=True)
    size = 'width="60" height="40"'
    (folder / "annotations.xml").write_text(
        f"{head}<annotations><version>1.1</version><image {image} {size}>{''.join(shapes)}</image>"
        f'<image id="1" name="z.png" {size}>{POLYGON}</image></annotations>',
        encoding="utf-8",
    )
    return folder / "annotations.xml"


def record_of(*artifacts: Artifact, **fields: object) -> ImageRecord:
    defaults = {"image_id": "ab" * 32, "file_name": "a.png", "width": 60, "height": 40}
    return ImageRecord(**{**defaults, "status": "annotated", "artifacts": artifacts, **fields})


def comparable(element: ElementTree.Element) -> tuple:
    """An element without the white space and the precision in which numbers are written."""
    attributes = {
        key: tuple(float(each) for pair in value.split(";") for each in pair.split(","))
        if key in {"points", "xtl", "ytl", "xbr", "ybr", "cx", "cy", "rx", "ry", "rotation", "rle"}
        else value
        for key, value in element.attrib.items()
    }
    children = [comparable(child) for child in element]
    return element.tag, attributes, (element.text or "").strip(), children


# What CVAT exported


def test_every_shape_with_an_area_is_read() -> None:
    (one, two, three), problems = reads(GOLDEN)
    hand, sign, turned, ellipse, wheel, somewhere = one.artifacts
    assert (one.file_name, one.width, one.height, one.status) == ("one.png", 60, 40, "annotated")
    # Two polygons of one group are one artifact.
    assert (hand.category, hand.explanation) == ("structure", "The hand has six fingers & no thumb.")
    assert hand.polygons == (BOX, (20.0, 2.0, 30.0, 2.0, 30.0, 12.0))
    assert sign.polygons == ((5.0, 20.0, 15.0, 20.0, 15.0, 28.5, 5.0, 28.5),)
    # A quarter turn around the centre (25, 22), and around (48, 20).
    assert bbox(turned.polygons) == pytest.approx((23, 17, 4, 10))
    assert bbox(ellipse.polygons) == pytest.approx((44, 12, 8, 16))
    assert area(ellipse.polygons) == pytest.approx(math.pi * 32, rel=0.002)
    # The runs of the mask run along its rows, background first.
    rows = [".#####", "......", "##..##", "......"]
    mask = to_mask(wheel.polygons, 60, 40)
    assert ["".join(".#"[int(pixel)] for pixel in row[40:46]) for row in mask[30:34]] == rows
    assert mask.sum() == 9
    assert (wheel.category, wheel.extra["label"]) == (None, "car")
    # A tag with a category says that something is wrong, and not where.
    assert (somewhere.category, somewhere.polygons) == ("physics", ())
    assert (two.status, three.status) == ("unlabelled", "clean")
    assert codes(problems) == {"label.unknown": 1, "shape.no_area": 1}


def test_what_cvat_exported_is_written_again_as_it_was(tmp_path: Path) -> None:
    write(reads(GOLDEN)[0], tmp_path / "again.xml", Problems())
    exported = ElementTree.parse(GOLDEN).getroot().findall("image")
    written = ElementTree.parse(tmp_path / "again.xml").getroot().findall("image")
    for original, again in zip(exported, written, strict=True):
        for element in list(again):
            # Ours: the fields of the image, and ids of artifacts.
            if element.get("label") == "image":
                again.remove(element)
            for child in [each for each in element if each.get("name") == "artifact_id"]:
                element.remove(child)
        for element in [each for each in original if each.get("label") == "clean"]:
            original.remove(element)  # it is a state now
        assert comparable(again)[1] == comparable(original)[1]
        for shape in comparable(original)[3]:
            assert sorted_children(shape) in map(sorted_children, comparable(again)[3])
        assert len(again) == len(original)


def sorted_children(shape: tuple) -> tuple:
    return (*shape[:3], sorted(shape[3], key=str))


def test_a_project_has_subsets(tmp_path: Path) -> None:
    path = saved(tmp_path, POLYGON, image='id="0" name="a.png" subset="train" task_id="4"')
    assert [record.split for record in reads(path)[0]] == ["train", ""]
    path = saved(tmp_path, POLYGON, image='id="0" name="a.png" subset="default"')
    assert [record.split for record in reads(path)[0]] == ["", ""]


def test_splits_become_the_tasks_of_a_project(tmp_path: Path) -> None:
    blank = ImageRecord(image_id="", file_name="", width=16, height=16, status="clean")
    for splits in (("train", "test", "", "default"), ("", "")):
        records = [
            changed(with_picture(blank, tmp_path / "pictures", f"{number}.png", number), split=split)
            for number, split in enumerate(splits)
        ]
        target = tmp_path / f"out{len(splits)}"
        write(records, target, Problems(), pictures=TargetPictures(by_hash([tmp_path / "pictures"])))
        found, problems = reads(target)
        assert found == records
        assert not list(problems)
    project = ElementTree.parse(tmp_path / "out4" / "annotations.xml").getroot()
    assert [each.get("subset") for each in project.findall("image")] == [
        *("train", "test", "default", "default"),
    ]
    assert [each.text for each in project.findall("meta/project/tasks/task/subset")] == [
        *("train", "test", "default"),
    ]
    images = tmp_path / "out4" / "images"
    assert sorted(path.relative_to(images).as_posix() for path in images.rglob("*.png")) == [
        *("default/2.png", "default/3.png", "test/1.png", "train/0.png"),
    ]
    task = ElementTree.parse(tmp_path / "out2" / "annotations.xml").getroot()
    assert task.find("meta/project") is None
    assert [each.get("subset") for each in task.findall("image")] == [None, None]
    assert sorted(path.name for path in (tmp_path / "out2" / "images").iterdir()) == ["0.png", "1.png"]


def test_labels_declare_every_attribute_that_is_written(tmp_path: Path) -> None:
    artifacts = (
        Artifact(artifact_id="a", polygons=(BOX,), category="physics", votes=2),
        Artifact(artifact_id="b", polygons=(BOX,), extra={"label": "odd", "more": {"x": [1]}}),
    )
    write([record_of(*artifacts)], tmp_path / "out.xml", Problems())
    root = ElementTree.parse(tmp_path / "out.xml").getroot()
    declared = {
        label.findtext("name"): {each.findtext("name") for each in label.findall("attributes/attribute")}
        for label in root.findall("meta/task/labels/label")
    }
    for element in root.findall("image/*"):
        assert {child.get("name") for child in element} <= declared[element.get("label")]


# Texts


def test_texts_survive_xml_but_for_control_characters(tmp_path: Path) -> None:
    text = " <b>&amp;\r\n\t\"'\u2028]]>\ufeff🖐 "
    artifact = Artifact(artifact_id="a", polygons=(BOX,), explanation=text, extra={text: text})
    record = record_of(artifact, file_name="a\n\t.png", caption=text, extra={text: [text]})
    write([record], tmp_path / "out.xml", Problems())
    assert reads(tmp_path / "out.xml")[0] == [record]
    problems = Problems()
    write([record_of(artifact, caption="a\x00b\x1f\uffff")], tmp_path / "out2.xml", problems)
    assert codes(problems) == {"loss.text": 1}
    assert reads(tmp_path / "out2.xml")[0][0].caption == "a\ufffdb\ufffd\ufffd"


def test_coordinates_are_not_rounded(tmp_path: Path) -> None:
    ring = (0.1, 1 / 3, 1e-7, 39.999999999999993, 59.123456789012345, 1e-300)
    write([record_of(Artifact(artifact_id="a", polygons=(ring,)))], tmp_path / "out.xml", Problems())
    assert reads(tmp_path / "out.xml")[0][0].artifacts[0].polygons == (ring,)


# Hostile files

LAUGHS = (
    '<!DOCTYPE annotations [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">'
    '<!ENTITY c "&b;&b;&b;&b;&b;&b;&b;&b;">]>'
)
FETCHES = '<!DOCTYPE annotations [<!ENTITY a SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    "head",
    [LAUGHS, FETCHES, "<!DOCTYPE annotations>", '<!DOCTYPE annotations SYSTEM "http://127.0.0.1/x.dtd">'],
)
def test_a_doctype_is_refused(head: str, tmp_path: Path) -> None:
    path = saved(tmp_path, POLYGON, head=head)
    with pytest.raises(FormatError, match="DOCTYPE"):
        reads(path)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        ("", "no element found"),
        ("<annotations>", "no element found"),
        ("<annotations><version>1.1</version><meta><ta", "unclosed token"),
        ("<html></html>", "root element is <html>"),
        ("<annotations>&boom;</annotations>", "undefined entity"),
        ("<annotations>" + "<a>" * 100, "elements in elements"),
        ("\x00\x01", "not well-formed"),
        ('<?xml version="1.0" encoding="nowhere"?><annotations/>', "unknown encoding"),
    ],
)
def test_what_is_no_file_of_cvat_is_refused(content: str, what: str, tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(content)
    with pytest.raises(FormatError, match=what) as error:
        reads(tmp_path / "a.xml")
    assert "a.xml" in str(error.value)
    assert error.value.fix


def test_a_file_that_breaks_off_gives_the_images_before_that(tmp_path: Path) -> None:
    path = saved(tmp_path, POLYGON)
    content = path.read_text()
    path.write_text(content[: content.index('name="z.png"')])
    records, problems = reads(path)
    assert [record.file_name for record in records] == ["a.png"]
    (said,) = [each for each in problems if each.severity == "error"]
    assert (said.code, said.file) == ("file.truncated", str(path))


def test_a_video_is_named_as_one(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(
        '<annotations><track id="0"><box frame="0"/></track><track/></annotations>'
    )
    records, problems = reads(tmp_path / "a.xml")
    assert records == []
    (said,) = problems
    assert (said.code, said.count) == ("cvat.tracks", 2)


def test_names_cannot_lead_out_of_the_folder(tmp_path: Path) -> None:
    picture(1, 60, 40).save(tmp_path / "secret.png")
    (tmp_path / "inside" / "images").mkdir(parents=True)
    path = saved(tmp_path / "inside", POLYGON, image='id="0" name="../secret.png" subset=".."')
    records, problems = reads(path)
    assert codes(problems)["image.missing"] == 2
    write(records, tmp_path / "out", Problems())
    assert {path.name for path in (tmp_path / "out").rglob("*")} <= {"annotations.xml", "images"}


# What is wrong

BAD_SHAPES = {
    "two points": ('<polygon points="1,2;3,4"/>', "polygon.few_points"),
    "an odd number of numbers": ('<polygon points="1,2;3,4;5"/>', "polygon.odd"),
    "no points": ("<polygon/>", "polygon.not_numbers"),
    "a text for a number": ('<polygon points="1,2;3,x;5,6"/>', "polygon.not_numbers"),
    "NaN": ('<polygon points="1,2;3,nan;5,6"/>', "polygon.not_numbers"),
    "a number that no tool writes": ('<polygon points="1,2;1_0,4;5,6"/>', "polygon.not_numbers"),
    "points on a line": ('<polygon points="1,1;2,2;3,3"/>', "polygon.no_area"),
    "a box without a side": ('<box xtl="1" ytl="2" xbr="3"/>', "polygon.not_numbers"),
    "a box that is inside out": ('<box xtl="9" ytl="2" xbr="3" ybr="4"/>', "polygon.not_numbers"),
    "an ellipse of no width": ('<ellipse cx="9" cy="2" rx="0" ry="4"/>', "polygon.no_area"),
    "a mask that is too short": (
        '<mask rle="1, 2" left="0" top="0" width="2" height="2"/>',
        "polygon.not_numbers",
    ),
    "a mask of no pixel": ('<mask rle="4" left="0" top="0" width="2" height="2"/>', "polygon.not_numbers"),
    "a mask that is huge": (
        '<mask rle="0, 1000000000000" left="0" top="0" width="1000000" height="1000000"/>',
        "polygon.not_numbers",
    ),
    "a polyline": ('<polyline label="structure" points="1,2;3,4"/>', "shape.no_area"),
    "a skeleton": ('<skeleton label="structure"><points points="1,2"/></skeleton>', "shape.no_area"),
}


@pytest.mark.parametrize("name", BAD_SHAPES)
def test_a_shape_that_cannot_be_used_is_reported_and_kept_and_the_rest_is_read(
    name: str, tmp_path: Path
) -> None:
    bad, code = BAD_SHAPES[name]
    path = saved(tmp_path, bad, POLYGON)
    (record, other), problems = reads(path)
    assert (len(record.artifacts), len(other.artifacts)) == (1, 1)
    (said,) = [each for each in problems if each.code == code]
    assert (said.file, said.image, said.severity) == (str(path), "a.png", "error")
    assert said.region.endswith("[0]")
    assert said.fix
    # Alone it still says that something is wrong, also after a round trip.
    only = reads(saved(tmp_path / "only", bad))[0][0]
    assert (only.status, only.artifacts) == ("annotated", ())
    assert only.extra["cvat"]
    write([only], tmp_path / "again.xml", Problems())
    again = reads(tmp_path / "again.xml")[0][0]
    assert again.status == "annotated"
    assert again.extra == only.extra


@pytest.mark.parametrize(
    ("points", "code"),
    [("-5,2;11,2;11,12", "polygon.outside"), ("1,1;9,9;9,1;1,10", "polygon.crosses_itself")],
)
def test_an_odd_polygon_is_kept_and_reported(points: str, code: str, tmp_path: Path) -> None:
    records, problems = reads(saved(tmp_path, f'<polygon label="structure" points="{points}"/>'))
    assert len(records[0].artifacts) == 1
    (said,) = [each for each in problems if each.code == code]
    assert (said.severity, said.region) == ("warning", "polygon[0]")


def test_fields_of_the_wrong_type_are_reported_and_kept(tmp_path: Path) -> None:
    attributes = '<attribute name="votes">many</attribute><attribute name="extra">[1]</attribute>'
    shape = POLYGON.replace("/>", f' group_id="x">{attributes}</polygon>')
    (record, _), problems = reads(saved(tmp_path, shape))
    assert codes(problems) == {"field.wrong_type": 2, "group.not_a_number": 1}
    (artifact,) = record.artifacts
    assert artifact.votes is None
    write([record], tmp_path / "again.xml", Problems())
    assert "many" in (tmp_path / "again.xml").read_text()


def test_a_changed_state_counts(tmp_path: Path) -> None:
    tag = '<tag label="image"><attribute name="status">{}</attribute></tag>'
    assert reads(saved(tmp_path, tag.format("clean")))[0][0].status == "clean"
    assert reads(saved(tmp_path, tag.format("skipped")))[0][0].status == "skipped"
    (record, _), problems = reads(saved(tmp_path, tag.format("clean"), POLYGON))
    assert record.status == "annotated"
    assert codes(problems)["status.contradiction"] == 1
    (record, _), problems = reads(saved(tmp_path, tag.format("sure")))
    assert record.status == "unlabelled"
    assert codes(problems)["field.wrong_type"] == 1


SOUND = (
    '<polygon label="structure" occluded="0" points="1,2;11.5,2;11.5,12.25" z_order="0" group_id="1">'
    '<attribute name="votes">2</attribute><attribute name="extra">{"a":1}</attribute></polygon>'
    '<box label="physics" xtl="5" ytl="20" xbr="15" ybr="28.5" rotation="30"/>'
    '<ellipse label="a" cx="48" cy="20" rx="8" ry="4"/><polyline points="1,2;3,4"/>'
    '<mask label="car" rle="1, 3" left="4" top="3" width="2" height="2"/>'
    f'<tag label="image"><attribute name="image_id">{"ab" * 32}</attribute>'
    '<attribute name="reviews">[{"rater_id":"r","status":"clean"}]</attribute></tag>'
)
ODD = st.sampled_from(
    ["", "0", "-1", "nan", "1e400", "1,2", "1,2;3,4;5,6", "[]", "null", "{}", "9" * 5000, "\u0663"]
)


@settings(max_examples=150)
@given(data=st.data())
def test_nonsense_anywhere_costs_no_other_image(data: st.DataObject) -> None:
    root = ElementTree.fromstring(f"<image id='0' name='a.png' width='60' height='40'>{SOUND}</image>")
    element = data.draw(st.sampled_from(list(root.iter())))
    key = data.draw(st.sampled_from([*element.attrib, None]))
    value = data.draw(ODD | st.text(st.characters(min_codepoint=32, exclude_categories=["Cs"]), max_size=4))
    if key is None:
        element.text = value
    elif data.draw(st.booleans()):
        del element.attrib[key]
    else:
        element.set(key, value)
    other = f'<image id="1" name="z.png" width="60" height="40">{POLYGON}</image>'
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "a.xml"
        spoiled = ElementTree.tostring(root, encoding="unicode")
        path.write_text(f"<annotations>{spoiled}{other}</annotations>", encoding="utf-8")
        records, _ = reads(path)
        for record in records:
            encode_record(record)
        assert (records[-1].file_name, len(records[-1].artifacts)) == ("z.png", 1)
        write(records, Path(name) / "again.xml", Problems())
        assert len(reads(Path(name) / "again.xml")[0]) == len(records)


# Other tools


def test_datumaro_reads_what_we_write(tmp_path: Path) -> None:
    components = pytest.importorskip("datumaro.components.dataset")
    record = record_of(
        Artifact(artifact_id="a", category="physics", polygons=(BOX, BOX), explanation="It floats.")
    )
    record = with_picture(record, tmp_path / "pictures", "a.png")
    write([record], tmp_path / "out", Problems(), pictures=TargetPictures(by_hash([tmp_path / "pictures"])))
    (item,) = components.Dataset.import_from(str(tmp_path / "out"), "cvat")
    polygons = [each for each in item.annotations if each.type.name == "polygon"]
    assert [each.attributes["explanation"] for each in polygons] == ["It floats."] * 2
    assert [each.group for each in polygons] == [1, 1]
    assert list(polygons[0].points) == pytest.approx(BOX)


def test_the_format_is_recognised(tmp_path: Path) -> None:
    path = saved(tmp_path, POLYGON)
    assert formats.detect(path).name == "cvat"
    assert formats.detect(tmp_path).name == "cvat"
    assert formats.by_suffix(Path("a.xml")).name == "cvat"
    with pytest.raises(FormatError, match="no XML file"):
        reads(Path(__file__).parent)
