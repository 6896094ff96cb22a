"""Every format's files are recognised as that format, and as no other."""

import importlib.util
import json
from pathlib import Path

import pytest
from converting import changed, with_picture

from synthscars.converters import formats
from synthscars.converters.detection import Evidence
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.converters.registry import FORMATS, detect
from synthscars.problems import FormatError, Problems, UsageError
from synthscars.records import Artifact, ImageRecord

DATA = Path(__file__).parents[1] / "data"
WRITTEN = [
    name
    for name, each in FORMATS.items()
    if each.writes
    and importlib.util.find_spec(each.module or f"synthscars.converters.{name.replace('-', '_')}")
]
ARTIFACT = Artifact(
    artifact_id="r1",
    category="structure",
    polygons=((20.0, 10.0, 60.0, 10.0, 60.0, 50.0, 20.0, 50.0),),
    phrase="the left hand",
    explanation="six fingers",
    rater_id="rater-1",
)


def recognised(path: Path) -> set[str]:
    """Every format that takes a file or folder for its own."""
    found = Evidence(path)
    able = [each for each in FORMATS.values() if each.reads and (each.folder or not found.is_folder)]
    return {each.name for each in able if each.recognise(found)}


def written(name: str, folder: Path, suffix: str, split: str) -> Path:
    """What a format makes of two images, one with an artifact and one without, with their files."""
    blank = ImageRecord(image_id="", file_name="", width=200, height=160, split=split)
    records = [
        with_picture(changed(blank, status="annotated", artifacts=(ARTIFACT,)), folder / "p", "a.png", 1),
        with_picture(changed(blank, status="clean"), folder / "p", "b.png", 2),
    ]
    target = folder / f"out{suffix}"
    how = "none" if suffix else "copy"
    formats.write(records, target, Problems(), name, pictures=TargetPictures(by_hash([folder / "p"]), how))
    return target


KINDS = [(name, suffix) for name in WRITTEN for suffix in (*FORMATS[name].suffixes, "")]
# A single Parquet file can be read, and is never written.
KINDS = [
    (name, suffix)
    for name, suffix in KINDS
    if (suffix or FORMATS[name].folder) and (name, suffix) != ("release", ".parquet")
]


@pytest.mark.parametrize("split", ["", "train"])
@pytest.mark.parametrize(("name", "suffix"), KINDS)
def test_what_a_format_writes_is_recognised_as_that_format_only(
    name: str, suffix: str, split: str, tmp_path: Path
) -> None:
    path = written(name, tmp_path, suffix, split)
    assert recognised(path) == {name}
    assert detect(path).name == name


FOREIGN = {
    "coco/coco2017.json": "coco",
    "coco/cvat.json": "coco",
    "coco/roboflow": "coco",
    "coco/synthscars.json": "coco",
    "cvat": "cvat",
    "cvat/annotations.xml": "cvat",
    "datumaro": "datumaro",
    "datumaro/annotations/train.json": "datumaro",
    "fiftyone/foreign": "fiftyone",
    "gcg/GranDf_HA_GCG_train.json": "gcg",
    "labelme": "labelme",
    "labelme/every_shape.json": "labelme",
    "labelstudio/foreign.json": "labelstudio",
    "lisa": "lisa",
    "lisa/train/hand.json": "lisa",
    "loki": "loki",
    "loki/open_ended_vqa.json": "loki",
    "masks/pal4vst": "masks",
    "regions/excel_german.csv": "regions",
    "regions/scars.regions.jsonl": "regions",
    "richhf": "richhf",
}


@pytest.mark.parametrize("path", FOREIGN)
def test_files_of_other_tools_are_recognised_as_what_they_are(path: str) -> None:
    assert recognised(DATA / path) == {FOREIGN[path]}


def test_a_published_file_is_recognised_alone_and_in_its_folder(tmp_path: Path) -> None:
    entry = {"1": {"img_file_name": "a.png", "caption": "", "refs": []}}
    for place in (
        "train.json",
        "SynthScars/train/annoations/train.json",
        "SynthScars/test/annotations/test.json",
    ):
        path = tmp_path / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([entry]))
        assert recognised(path) == {"synthscars-json"}
    assert recognised(tmp_path / "SynthScars") == {"synthscars-json"}


@pytest.mark.parametrize("field", ["masks", "labels", "mask"])
def test_masks_in_a_folder_of_fiftyone_do_not_make_it_a_folder_of_masks(field: str, tmp_path: Path) -> None:
    path = written("fiftyone", tmp_path, "", "")
    (path / "fields" / field).mkdir(parents=True)
    (path / "fields" / field / "a.png").write_bytes(b"")
    assert detect(path).name == "fiftyone"


def test_what_macs_leave_in_archives_does_not_mislead(tmp_path: Path) -> None:
    for name in ("coco", "labelme", "cvat", "datumaro"):
        path = written(name, tmp_path / name, "", "")
        for file in [file for file in path.rglob("*") if file.suffix in (".json", ".xml")]:
            (file.parent / f"._{file.name}").write_bytes(b"\0\5\x16\7Mac OS X")
        assert recognised(path) == {name}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_encoding_does_not_matter(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps({"images": [], "annotations": []}), encoding=encoding)
    (tmp_path / "b.json").write_text(json.dumps([{"data": {"image": "é"}}]), encoding=encoding)
    assert recognised(tmp_path / "a.json") == {"coco"}
    assert recognised(tmp_path / "b.json") == {"labelstudio"}


def test_a_first_item_longer_than_what_is_read_at_first_is_read_whole(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(json.dumps([{"x": "y" * 2_000_000, "data": {"image": "a"}}]))
    assert recognised(tmp_path / "a.json") == {"labelstudio"}


@pytest.mark.parametrize("content", ["[]", "{}", "3", "null", "[3]", "{", "[[[", '{"a": 1}', "\0"])
def test_what_is_no_format_is_refused_and_the_formats_are_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    with pytest.raises(UsageError, match="cannot be told") as caught:
        detect(tmp_path / "a.json")
    assert "coco" in caught.value.fix


def test_a_folder_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be told"):
        detect(tmp_path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="missing"):
        detect(tmp_path / "missing.json")


def test_no_file_is_read_twice_to_recognise_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written("datumaro", tmp_path, "", "train")
    reads: list[Path] = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda self: reads.append(self) or read_bytes(self))
    assert detect(path).name == "datumaro"
    assert len(reads) == len(set(reads))


def test_a_file_whose_keys_are_no_utf_8_is_none_of_json(tmp_path: Path) -> None:
    (tmp_path / "a.json").write_bytes(b'{"images\xe9": [], "annotations": []}')
    with pytest.raises(UsageError, match="0xe9"):
        detect(tmp_path / "a.json")
