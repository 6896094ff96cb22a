"""What Ultralytics checks, restated from `verify_image_label` and `check_det_dataset` (ultralytics 8.4)."""

import shutil
from collections import Counter
from pathlib import Path

import yaml
from converting import changed
from yolo_datasets import BOX, GOLDEN, codes, drawn, reads, record_of, writes


def accepted(root: Path) -> Counter[str]:
    """Images by what Ultralytics would make of them; raises where it would refuse a file."""
    config = yaml.safe_load((root / "data.yaml").read_text())
    assert {"train", "val", "names"} <= config.keys()
    names = dict(enumerate(config["names"])) if isinstance(config["names"], list) else config["names"]
    assert sorted(names) == list(range(len(names)))
    found: Counter[str] = Counter()
    for key in ("train", "val", "test"):
        folders = config.get(key) or []
        for folder in folders if isinstance(folders, list) else [folders]:
            assert (root / folder).is_dir()
            for image in (root / folder).rglob("*.*"):
                label = Path(str(image).replace("/images/", "/labels/")).with_suffix(".txt")
                rows = [line.split() for line in label.read_text().strip().splitlines()]
                found["images"] += 1
                found["background"] += not rows
                for row in rows:
                    values = [float(word) for word in row]
                    assert len(values) > 6
                    assert len(values) % 2 == 1
                    assert max(values[1:]) <= 1.01
                    assert min(values) >= -0.01
                    assert int(row[0]) < len(names)
                    found["segments"] += 1
                assert len(set(map(tuple, rows))) == len(rows)
    return found


def test_what_is_written_passes_the_checks_of_ultralytics(tmp_path: Path) -> None:
    nearly = (-1e-7, 2.0, 16.0 + 1e-7, 2.0, 12.0, 10.0)
    outside = (8.0, 8.0, 40.0, 8.0, 40.0, 12.0, 8.0, 12.0)
    records = [
        record_of(drawn(), drawn(nearly, category=None), folder=tmp_path, split="train"),
        record_of(drawn(outside), folder=tmp_path, name="bb.png", split="validation"),
        record_of(folder=tmp_path, name="ccc.png", split="test"),
        record_of(folder=tmp_path, name="dddd.png", status="unlabelled", split="test"),
    ]
    problems = writes(records, tmp_path / "out", tmp_path / "pictures")
    assert accepted(tmp_path / "out") == {"images": 3, "background": 1, "segments": 3}
    (said,) = [one for one in problems if one.code == "polygon.outside"]
    assert (said.image, said.region) == (records[1].image_id, "artifact 1")
    found = next(one for one in reads(tmp_path / "out")[0] if one.file_name == "bb.png")
    xs, ys = found.artifacts[0].polygons[0][::2], found.artifacts[0].polygons[0][1::2]
    assert (min(xs), min(ys), max(xs), max(ys)) == (8, 8, 16, 12)


def test_the_golden_dataset_passes_them_as_well(tmp_path: Path) -> None:
    shutil.copytree(GOLDEN, tmp_path / "golden")
    (tmp_path / "golden" / "images" / "train" / "waiting.png").unlink()
    assert accepted(tmp_path / "golden") == {"images": 3, "background": 1, "segments": 4}


def test_an_outline_that_cannot_be_drawn_leaves_no_clean_image_behind(tmp_path: Path) -> None:
    outside = (20.0, 20.0, 30.0, 20.0, 30.0, 30.0)
    for number, ring in enumerate([(1.0, 1.0, 2.0, 2.0), outside]):
        target = tmp_path / f"out{number}"
        problems = writes([record_of(drawn(ring), folder=tmp_path)], target, tmp_path / "pictures")
        assert codes(problems)["loss.artifact.outline"] == 1
        assert codes(problems)["loss.status"] == 1
        assert not list(target.rglob("*.txt"))


def test_what_yolo_does_not_hold_is_counted(tmp_path: Path) -> None:
    artifact = drawn(phrase="the hand", explanation="Six fingers.", rater_id="anna", subtype="deformed")
    two = changed(artifact, polygons=(BOX, (1.0, 1.0, 3.0, 1.0, 3.0, 3.0)))
    record = record_of(two, folder=tmp_path, caption="A man.", license="CC0-1.0", group_id="g")
    problems = writes([record], tmp_path / "out", tmp_path / "pictures")
    losses = {one.code for one in problems if one.code.startswith("loss.")}
    assert losses == {
        *("loss.caption", "loss.license", "loss.group_id", "loss.artifact.phrase", "loss.artifact.rings"),
        *(
            "loss.artifact.artifact_id",
            "loss.artifact.explanation",
            "loss.artifact.rater_id",
            "loss.artifact.subtype",
        ),
    }
    (found,) = reads(tmp_path / "out")[0]
    assert [one.polygons for one in found.artifacts] == [(ring,) for ring in two.polygons]
