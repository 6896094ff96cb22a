import hashlib
import io
import json
from collections import Counter
from pathlib import Path

import pytest
from official import defective, entry, jpeg, layout
from pictures import encoded, view
from PIL import Image

from synthscars.consensus import adjudicate
from synthscars.converters import formats
from synthscars.images import difference_hash
from synthscars.jsonl import read_records
from synthscars.lookalikes import near_hashes
from synthscars.problems import FormatError, Problem, Problems, UsageError
from synthscars.published import ImportReport, import_published
from synthscars.records import ImageRecord
from synthscars.release import build_release, read_manifest
from synthscars.simulate import simulate_image
from synthscars.workspace import Workspace

# (code, severity) → which annotations or images, as `where` of the problem tells.
DEFECTS = {
    ("picture.twin", "info"): ["twin.png (240 x 160) and train/twin.jpg (180 x 120)"],
    ("picture.annotated_again", "warning"): ["train/2, train/3", "train/4, train/5"],
    ("picture.train_test", "warning"): ["train/leak.png (240 x 160) and test/kept.jpg (240 x 160)"],
    ("polygon.no_area", "error"): ["image 7, refs[1]"],
    ("explanation.empty", "warning"): ["image 8, refs[0]"],
    ("polygon.rounding", "info"): ["train.json, image 9", "test.json, image 1"],
    ("phrase.not_in_caption", "warning"): ["image 10, refs[0]"],
    ("phrase.repeated", "warning"): ["image 11"],
    ("caption.line_break", "info"): ["image 12"],
    ("bbox.missing", "info"): ["image 12"],
    ("caption.not_in_grammar", "warning"): ["image 13"],
    ("image.not_annotated", "info"): ["alone.png"],
    ("counts.not_published", "info"): ["train.json", "test.json"],
}


@pytest.fixture(scope="module")
def official(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return defective(tmp_path_factory.mktemp("official") / "SynthScars")


def _import(
    source: Path, target: Path, **options: object
) -> tuple[ImportReport, list[ImageRecord], Problems]:
    problems = Problems()
    report = import_published(source, problems, target=target, **options)
    return report, list(read_records(target)) if target.exists() else [], problems


def test_every_defect_is_found_once_and_nothing_else(official: Path, tmp_path: Path) -> None:
    _, _, problems = _import(official, tmp_path / "a.jsonl")
    found: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        found.setdefault((problem.code, problem.severity), []).append(problem)
    assert {key: len(some) for key, some in found.items()} == {
        key: len(some) for key, some in DEFECTS.items()
    }
    for key, places in DEFECTS.items():
        for problem, place in zip(found[key], places, strict=True):
            assert place in f"{problem.where}: {problem.what}", key


def test_there_is_one_record_an_image_and_every_annotation_is_in_one(official: Path, tmp_path: Path) -> None:
    report, records, _ = _import(official, tmp_path / "a.jsonl.zst", license="CC-BY-4.0")
    assert len({record.image_id for record in records}) == len(records) == report.images == 15
    assert report.artifacts == sum(len(record.artifacts) for record in records) == 18
    assert Counter(record.split for record in records) == {"train": 13, "test": 2}
    assert {record.license for record in records} == {"CC-BY-4.0"}
    assert report.ingest is None


def test_the_records_give_the_official_files_back(official: Path, tmp_path: Path) -> None:
    _import(official, tmp_path / "a.jsonl")
    formats.convert(
        tmp_path / "a.jsonl", tmp_path / "back", Problems(), to="synthscars-json", images=official
    )
    for split, folder in (("train", "annotations"), ("test", "annoations")):
        before = json.loads((official / split / folder / f"{split}.json").read_bytes())
        after = json.loads((tmp_path / "back" / split / "annotations" / f"{split}.json").read_bytes())
        by_id = {key: value for item in after for key, value in item.items()}
        for item in before:
            ((key, value),) = item.items()
            # The one caption that was mended.
            value["caption"] = value["caption"].replace("\nTo elab", " To elab")
            assert by_id[key] == value
        assert len(by_id) == len(before)
    assert len(list((tmp_path / "back").glob("*/images/*"))) == 16


def test_a_release_of_the_import_has_the_published_splits_without_leaks(
    official: Path, tmp_path: Path
) -> None:
    workspace = Workspace.create(tmp_path / "scars")
    problems = Problems()
    report = import_published(official, problems, workspace=workspace)
    assert report.ingest is not None
    assert (report.ingest.added, report.ingest.duplicates) == (16, 1)
    assert report.records is not None
    assert Path(report.records) == workspace.root / "imports" / "SynthScars.jsonl.zst"
    records = list(read_records(Path(report.records)))
    assert {record.source for record in records} >= {"SynthScars/train/images/leak.png"}
    assert all("phash" not in record.extra and record.group_id for record in records)
    # The same as without a workspace, but for what only the workspace knows.
    _, alone, found = _import(official, tmp_path / "alone.jsonl")
    assert list(problems) == list(found)
    assert [(each.artifacts, each.reviews, each.split) for each in alone] == [
        (each.artifacts, each.reviews, each.split) for each in records
    ]

    built = Problems()
    release = build_release(workspace, "0.1.0", built, records=Path(report.records))
    assert release.splits == {"train": 11, "test": 2}
    assert release.left_out == {"disputed": 1, "near_duplicate_of_test": 1}
    assert "split.conflict" not in {problem.code for problem in built}
    leak = next(record.image_id for record in records if record.file_name == "leak.png")
    assert leak not in read_manifest(release.path).images


def test_importing_again_changes_nothing_and_decodes_nothing(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = Workspace.create(tmp_path / "scars")
    first = import_published(official, Problems(), workspace=workspace)
    assert first.records is not None
    before = {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()}
    monkeypatch.setattr("synthscars.images.inspect_image", None)
    again = import_published(official, Problems(), workspace=workspace)
    assert again.ingest is not None
    assert (again.ingest.known, again.ingest.added) == (17, 0)
    assert {path: path.read_bytes() for path in workspace.root.rglob("*") if path.is_file()} == before


def test_a_run_that_was_killed_is_made_up_for(
    official: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = Workspace.create(tmp_path / "whole")
    wanted = import_published(official, Problems(), workspace=whole).records
    workspace = Workspace.create(tmp_path / "scars")

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("synthscars.published.run.write_records", killed)
        with pytest.raises(KeyboardInterrupt):
            import_published(official, Problems(), workspace=workspace)
    (workspace.root / "imports").mkdir()
    (workspace.root / "imports" / ".tmp-0123456789ab-SynthScars.jsonl.zst").write_bytes(b"half")
    found = import_published(official, Problems(), workspace=workspace).records
    assert wanted is not None
    assert found is not None
    assert Path(found).read_bytes() == Path(wanted).read_bytes()
    assert [path.name for path in (workspace.root / "imports").iterdir()] == ["SynthScars.jsonl.zst"]


def test_a_dry_run_says_the_same_and_writes_nothing(official: Path, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "scars")
    before = sorted(workspace.root.rglob("*"))
    problems = Problems()
    report = import_published(official, problems, workspace=workspace, dry_run=True)
    assert report.records is None
    assert sorted(workspace.root.rglob("*")) == before
    _, _, found = _import(official, tmp_path / "a.jsonl")
    assert list(problems) == list(found)


def test_damaged_and_missing_images_cost_no_annotation(tmp_path: Path) -> None:
    data = encoded(view(1), "PNG")
    files = {"train/images/a.png": data, "train/images/broken.png": data[: len(data) // 2]}
    entries = [entry("a.png"), entry("broken.png"), entry("gone.png")]
    source = layout(tmp_path / "in", {"train": entries}, files)
    workspace = Workspace.create(tmp_path / "scars")
    problems = Problems()
    report = import_published(source, problems, workspace=workspace)
    said = {(problem.code, problem.severity) for problem in problems if not problem.code.startswith("counts")}
    assert said == {("image.damaged", "error"), ("image.missing", "warning")}
    assert sum(problem.code == "image.damaged" for problem in problems) == 1
    assert report.images == report.artifacts == 3
    assert len(list(workspace.quarantine_dir.glob("*.json"))) == 1

    alone = Problems()
    import_published(source, alone, target=tmp_path / "a.jsonl")
    assert [problem.severity for problem in alone if problem.code == "image.damaged"] == ["warning"]


def test_a_train_picture_that_is_in_test_is_found_under_whatever_path_and_case(tmp_path: Path) -> None:
    files = {
        "train/images/a.png": encoded(view(1), "PNG"),
        "train/images/below/b.png": encoded(view(2), "PNG"),
        "test/images/1.jpg": jpeg(view(1)),
        "test/images/2.jpg": jpeg(view(2)),
    }
    entries = {"train": [entry("A.PNG"), entry("b.png")], "test": [entry("1.jpg"), entry("2.jpg")]}
    _, records, problems = _import(layout(tmp_path / "in", entries, files), tmp_path / "a.jsonl")
    found = Counter(problem.code for problem in problems)
    assert (found["picture.train_test"], found["image.not_annotated"]) == (2, 0)
    assert {record.split for record in records if "skip_reason" in record.extra} == {"train"}


def test_a_split_or_a_file_can_be_imported_alone(official: Path, tmp_path: Path) -> None:
    for number, source in enumerate((official / "train", official / "train/annotations/train.json")):
        workspace = Workspace.create(tmp_path / str(number))
        problems = Problems()
        report = import_published(source, problems, workspace=workspace)
        assert list(report.splits) == ["train"]
        assert report.records is not None
        assert Path(report.records).name == "train.jsonl.zst"
        assert "picture.train_test" not in {problem.code for problem in problems}


def test_plain_pictures_are_not_taken_for_each_other(tmp_path: Path) -> None:
    colours = ["white", "white", "#fdfdfd", "black", "teal"]
    files = {
        f"train/images/{number}.png": encoded(Image.new("RGB", (40 + number, 30), colour), "PNG")
        for number, colour in enumerate(colours)
    }
    entries = [entry(f"{number}.png", scene=f"Plain {number}") for number in range(len(colours))]
    _, records, problems = _import(layout(tmp_path / "in", {"train": entries}, files), tmp_path / "a.jsonl")
    assert len(records) == len(colours)
    assert not [problem for problem in problems if problem.code.startswith("picture")]


def recoloured(image: Image.Image) -> bytes:
    """The same layout in other colours: another picture, but with a near hash, which knows no colours."""
    red, green, blue = image.split()
    buffer = io.BytesIO()
    Image.merge("RGB", (blue, green, red)).save(buffer, "PNG")
    return buffer.getvalue()


def test_of_simulated_images_none_is_taken_for_another(tmp_path: Path) -> None:
    entries: dict[str, list] = {"train": [], "test": []}
    files = {}
    status = {}
    hashes: list[str] = []
    for index in range(14):
        image = simulate_image(3, index)
        record = image.record
        refs = [
            {"sentence": each.phrase, "bbox": None, "segmentation": [list(ring) for ring in each.polygons]}
            | {"explanation": each.explanation}
            for each in record.artifacts
        ]
        other = (f"other-{index}.png", recoloured(image.image))
        for number, (name, data) in enumerate(((record.file_name, image.data), other)):
            split = "test" if (index + number) % 3 == 0 else "train"
            entries[split].append({"img_file_name": name, "caption": record.caption, "refs": refs})
            files[f"{split}/images/{name}"] = data
            status[hashlib.sha256(data).hexdigest()] = record.status
            hashes.append(difference_hash(Image.open(io.BytesIO(data))))
    source = layout(tmp_path / "SynthScars", entries, files)
    _, records, problems = _import(source, tmp_path / "a.jsonl")
    assert not [problem for problem in problems if problem.code.startswith("picture")]
    assert {record.image_id: record.status for record in records} == status
    assert set(status.values()) == {"annotated", "clean"}
    # Their hashes are not enough to tell them apart.
    assert len(near_hashes(hashes).pairs) >= 10


def test_real_generations_have_no_false_twins(shared_data: Path, tmp_path: Path) -> None:
    paths = sorted((shared_data / "generations" / "sdcpp").iterdir())
    files = {
        f"{('train', 'test')[index % 2]}/images/{path.name}": path.read_bytes()
        for index, path in enumerate(paths)
    }
    entries: dict[str, list] = {"train": [], "test": []}
    for index, path in enumerate(paths):
        entries[("train", "test")[index % 2]].append(entry(path.name))
    _, records, problems = _import(layout(tmp_path / "in", entries, files), tmp_path / "a.jsonl")
    assert not [problem for problem in problems if problem.code == "picture.twin"]
    leaks = [problem.what for problem in problems if problem.code == "picture.train_test"]
    # Families: one model at several precisions, and an edit of one image.
    families = ("z_image", "flux1-dev")
    assert leaks
    assert all(
        any(what.count(family) == 3 for family in families) or "qwen_image_edit" in what for what in leaks
    )
    left_out = sum(record.status == "skipped" for record in adjudicate(records, Problems()))
    assert 0 < left_out <= len(leaks)


def test_what_is_no_dataset_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no annotation file"):
        import_published(tmp_path, Problems(), target=tmp_path / "a.jsonl")
    (tmp_path / "train.json").write_text("[]")
    workspace = Workspace.create(tmp_path / "scars")
    with pytest.raises(UsageError, match="no folder of images"):
        import_published(tmp_path / "train.json", Problems(), workspace=workspace)
    assert not (workspace.root / "imports").exists()
