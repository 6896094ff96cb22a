from __future__ import annotations

import errno
import hashlib
import io
import json
import zipfile
from pathlib import Path

import msgspec
import numpy as np
import pytest
from folders import folder_bytes
from pictures import encoded, picture, png, write
from PIL import Image

from synthscars.ingest import IngestReport, ingest
from synthscars.ingest.quarantine import quarantine_name
from synthscars.problems import Problems, UsageError, WorkspaceError
from synthscars.simulate.metadata import encode, file_name, settings
from synthscars.workspace import Workspace


def _ingest(workspace: Workspace, *sources: Path, **options: object) -> tuple[IngestReport, Problems]:
    problems = Problems()
    return ingest(workspace, sources, problems, **options), problems  # type: ignore[arg-type]


def _total(report: IngestReport) -> int:
    return report.added + report.duplicates + report.known + report.quarantined + report.refused


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "workspace")


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    """Good and bad files, two of them with the same bytes."""
    files = {
        "a.png": png(1, parameters="a cat\nSteps: 5, Sampler: Euler, Seed: 7, Model: m"),
        "b/c.jpg": encoded(picture(2), "JPEG"),
        "b/copy.png": png(1, parameters="a cat\nSteps: 5, Sampler: Euler, Seed: 7, Model: m"),
        "d.webp": encoded(picture(3), "WEBP", lossless=True),
        "e/empty.png": b"",
        "e/empty too.png": b"",
        "e/cut.png": png(4, 200, 200)[:9000],
        "e/text.jpg": b"this is no image",
        "notes.txt": b"not an image",
    }
    return write(tmp_path / "outputs", files)


def test_every_file_is_indexed_quarantined_or_counted(workspace: Workspace, outputs: Path) -> None:
    report, problems = _ingest(workspace, outputs)
    assert report == IngestReport(
        files=8, added=3, duplicates=1, quarantined=4, ignored={".txt": 1}, tools={"": 2, "automatic1111": 1}
    )
    assert _total(report) == report.files
    assert [(problem.code, problem.file) for problem in problems.by_severity()] == [
        ("image.damaged", "outputs/e/cut.png"),
        ("image.empty", "outputs/e/empty too.png"),
        ("image.empty", "outputs/e/empty.png"),
        ("image.unknown_format", "outputs/e/text.jpg"),
        ("ingest.duplicate", "outputs/b/copy.png"),
        ("ingest.ignored", ""),
    ]


def test_images_are_kept_byte_for_byte_under_their_hash(workspace: Workspace, outputs: Path) -> None:
    _ingest(workspace, outputs)
    kept = {path.name: path.read_bytes() for path in workspace.images_dir.glob("*/*")}
    expected = {}
    for name, suffix in (("a.png", ".png"), ("b/c.jpg", ".jpg"), ("d.webp", ".webp")):
        data = (outputs / name).read_bytes()
        expected[hashlib.sha256(data).hexdigest() + suffix] = data
    assert kept == expected


def test_a_record_says_what_the_file_and_its_metadata_say(workspace: Workspace, outputs: Path) -> None:
    _ingest(workspace, outputs / "a.png", origin="real", license="CC-BY-4.0")
    (record,) = workspace.index_rows()
    data = (outputs / "a.png").read_bytes()
    assert record.image_id == record.group_id == hashlib.sha256(data).hexdigest()
    assert (record.file_name, record.source) == ("a.png", "a.png")
    assert (record.width, record.height) == (24, 16)
    assert (record.origin, record.license, record.status) == ("real", "CC-BY-4.0", "unlabelled")
    assert record.extra["format"] == "PNG"
    assert record.extra["bytes"] == len(data)
    assert record.extra["orientation"] == 1
    assert len(record.extra["phash"]) == 16
    assert record.generation is not None
    assert (record.generation.prompt, record.generation.seed, record.generation.model) == ("a cat", 7, "m")


def test_the_size_is_that_of_the_upright_image(workspace: Workspace, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    write(tmp_path / "turned", {"a.jpg": encoded(picture(1, 40, 20), "JPEG", exif=exif)})
    _ingest(workspace, tmp_path / "turned")
    (record,) = workspace.index_rows()
    assert (record.width, record.height, record.extra["orientation"]) == (20, 40, 6)


def test_a_second_name_is_recorded_and_both_are_told(workspace: Workspace, outputs: Path) -> None:
    _, problems = _ingest(workspace, outputs)
    rows = [row for row in workspace.index_rows() if row.file_name in {"a.png", "copy.png"}]
    assert [row.source for row in rows] == ["outputs/a.png", "outputs/b/copy.png"]
    assert rows[0].image_id == rows[1].image_id
    (told,) = [problem for problem in problems if problem.code == "ingest.duplicate"]
    assert (told.severity, told.file, told.image) == ("info", "outputs/b/copy.png", rows[0].image_id)
    assert "outputs/a.png" in told.what
    assert [image.source for image in workspace.images()] == [
        "outputs/a.png",
        "outputs/b/c.jpg",
        "outputs/d.webp",
    ]


def test_a_second_run_changes_nothing_and_tells_the_bad_files_again(
    workspace: Workspace, outputs: Path
) -> None:
    _ingest(workspace, outputs)
    before = folder_bytes(workspace.root)
    report, problems = _ingest(workspace, outputs)
    assert folder_bytes(workspace.root) == before
    assert (report.files, report.known, report.added, report.quarantined) == (8, 4, 0, 4)
    assert problems.counts() == {"error": 4, "info": 1}


def test_a_new_file_is_all_that_a_later_run_adds(workspace: Workspace, outputs: Path) -> None:
    _ingest(workspace, outputs)
    before = folder_bytes(workspace.root)
    write(outputs, {"aa.png": png(9)})
    report, _ = _ingest(workspace, outputs)
    assert (report.added, report.known) == (1, 4)
    added = set(folder_bytes(workspace.root)) - set(before)
    assert added == {"index/000002.parquet", f"images/{_id(9)[:2]}/{_id(9)}.png"}


def _id(seed: int) -> str:
    return hashlib.sha256(png(seed)).hexdigest()


def test_bad_files_are_kept_with_the_reason(workspace: Workspace, outputs: Path) -> None:
    _ingest(workspace, outputs)
    kept = folder_bytes(workspace.quarantine_dir)
    assert len(kept) == 8
    for source in ("e/empty.png", "e/empty too.png", "e/cut.png", "e/text.jpg"):
        data = (outputs / source).read_bytes()
        name = quarantine_name(data, f"outputs/{source}")
        assert kept[name] == data
        reason = json.loads(kept[f"{name}.json"])
        assert reason["sha256"] == hashlib.sha256(data).hexdigest()
        assert reason["source"] == reason["problem"]["file"] == f"outputs/{source}"
        assert reason["problem"]["what"]
        assert reason["problem"]["fix"]


@pytest.mark.parametrize("source", ["x/../../evil.png", "x/" + "n" * 300 + ".png", "x/a b\\c:猫.png", "x/.."])
def test_quarantine_names_are_plain_whatever_the_source(source: str) -> None:
    name = quarantine_name(b"", source)
    assert len(name) < 120
    assert all(character.isascii() and (character.isalnum() or character in "._-") for character in name)
    assert name.startswith("e3b0c44298fc1c14-")


def test_an_archive_is_read_like_a_folder(workspace: Workspace, outputs: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "outputs.zip", "w") as archive:
        for name, data in folder_bytes(outputs).items():
            archive.writestr(name, data)
        archive.writestr("../evil.png", png())
    report, problems = _ingest(workspace, tmp_path / "outputs.zip")
    assert (report.files, report.added, report.duplicates, report.quarantined, report.refused) == (
        9,
        3,
        1,
        4,
        1,
    )
    assert {row.source for row in workspace.index_rows()} == {
        f"outputs.zip/{name}" for name in ("a.png", "b/c.jpg", "b/copy.png", "d.webp")
    }
    assert "zip.unsafe_name" in {problem.code for problem in problems}


def test_the_workspace_itself_is_never_a_source(workspace: Workspace, outputs: Path) -> None:
    _ingest(workspace, outputs)
    outputs.rename(workspace.root / "incoming")
    before = folder_bytes(workspace.root)
    report, problems = _ingest(workspace, workspace.root)
    assert (report.added, report.duplicates) == (0, 4)  # incoming/ has another name now
    assert {
        problem.file.rpartition("/")[2] for problem in problems if problem.code == "ingest.own_folder"
    } == {
        "images",
        "index",
        "quarantine",
    }
    assert {name for name in folder_bytes(workspace.root) if name.startswith("images/")} == {
        name for name in before if name.startswith("images/")
    }
    assert _ingest(workspace, workspace.images_dir)[0].refused == 1


def test_a_dry_run_counts_the_same_and_writes_nothing(workspace: Workspace, outputs: Path) -> None:
    before = folder_bytes(workspace.root)
    dry, dry_problems = _ingest(workspace, outputs, dry_run=True)
    assert folder_bytes(workspace.root) == before
    wet, problems = _ingest(workspace, outputs)
    assert dry == wet
    assert list(dry_problems) == list(problems)


@pytest.mark.parametrize("workers", [1, 2, 7])
def test_the_number_of_workers_changes_nothing(
    workspace: Workspace, outputs: Path, tmp_path: Path, workers: int
) -> None:
    other = Workspace.create(tmp_path / "other", name=workspace.name)
    _ingest(workspace, outputs, workers=workers)
    _ingest(other, outputs)
    assert folder_bytes(workspace.root) == folder_bytes(other.root)


def test_batches_hold_as_many_files_as_asked_for(workspace: Workspace, tmp_path: Path) -> None:
    write(tmp_path / "many", {f"{seed:02}.png": png(seed) for seed in range(11)})
    _ingest(workspace, tmp_path / "many", batch_size=4)
    assert len(workspace.index_batches()) == 3
    assert [row.file_name for row in workspace.index_rows()] == [f"{seed:02}.png" for seed in range(11)]


def test_two_writers_do_not_meet(workspace: Workspace, outputs: Path) -> None:
    with workspace.lock(), pytest.raises(WorkspaceError, match="another synthscars command"):
        _ingest(workspace, outputs)


def test_a_full_disk_ends_the_run_and_the_next_one_completes_it(
    workspace: Workspace, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Workspace.create(tmp_path / "undisturbed", name=workspace.name)
    _ingest(undisturbed, outputs, batch_size=2)
    whole = Workspace.add_image
    calls = 0

    def full(self: Workspace, data: bytes, image_id: str, suffix: str) -> Path:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        return whole(self, data, image_id, suffix)

    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "add_image", full)
        with pytest.raises(OSError, match="No space left"):
            _ingest(workspace, outputs, batch_size=2)
    _ingest(workspace, outputs, batch_size=2)
    assert folder_bytes(workspace.root) == folder_bytes(undisturbed.root)


def test_a_file_that_vanishes_is_told_and_the_rest_goes_on(
    workspace: Workspace, outputs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = Path.open

    def vanished(self: Path, *args: object, **options: object) -> object:
        if self.name == "c.jpg":
            raise PermissionError(errno.EACCES, "Permission denied", str(self))
        return read(self, *args, **options)  # type: ignore[arg-type,call-overload]

    monkeypatch.setattr(Path, "open", vanished)
    report, problems = _ingest(workspace, outputs)
    assert (report.added, report.refused, report.files) == (2, 1, 8)
    (told,) = [problem for problem in problems if problem.code == "ingest.unreadable"]
    assert told.file == "outputs/b/c.jpg"
    assert "Permission denied" in told.what
    assert str(outputs) not in told.what


def test_what_the_simulation_writes_is_read_back_equal(workspace: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    expected = {}
    for index in range(8):
        generation = settings(f"a scene, number {index}", 512, 512, rng)
        name = file_name(5, index)
        data = encode(picture(index, 512, 512), generation, name, rng)
        write(tmp_path / "simulated", {name: data})
        expected[name] = generation
    report, problems = _ingest(workspace, tmp_path / "simulated")
    assert report.added == 8
    assert not len(problems)
    for record in workspace.index_rows():
        generation = record.generation
        assert generation is not None
        assert generation.raw
        wanted = expected[record.file_name]
        assert {name: getattr(generation, name) for name in wanted.__struct_fields__ if name != "raw"} == {
            name: getattr(wanted, name) for name in wanted.__struct_fields__ if name != "raw"
        }


def test_the_progress_counts_every_file(workspace: Workspace, outputs: Path) -> None:
    counts: list[int] = []
    _ingest(workspace, outputs, progress=counts.append)
    assert sum(counts) == 8


def test_kept_images_decode_to_the_same_pixels(workspace: Workspace, outputs: Path) -> None:
    _ingest(workspace, outputs)
    for record in workspace.images():
        path = workspace.find_image(record.image_id)
        assert path is not None
        with Image.open(io.BytesIO(path.read_bytes())) as image:
            assert image.size == (record.width, record.height)


def test_an_image_that_was_removed_from_the_workspace_is_stored_again(
    workspace: Workspace, outputs: Path
) -> None:
    _ingest(workspace, outputs)
    before = folder_bytes(workspace.root)
    for path in workspace.images_dir.rglob("*.png"):  # it has two names
        path.unlink()
    for path in workspace.images_dir.rglob("*.jpg"):
        path.write_bytes(path.read_bytes()[:-1])
    assert workspace.missing_images() == 1
    dry, _ = _ingest(workspace, outputs, dry_run=True)
    assert workspace.missing_images() == 1
    report, _ = _ingest(workspace, outputs)
    assert (report.added, report.duplicates, report.known, report.restored) == (0, 0, 4, 2)
    assert dry == report
    assert folder_bytes(workspace.root) == before
    assert _ingest(workspace, outputs)[0].restored == workspace.missing_images() == 0


def test_a_damaged_avif_file_does_not_stop_the_others(workspace: Workspace, tmp_path: Path) -> None:
    data = encoded(picture(1), "AVIF")
    broken = data[:40] + bytes(40) + data[80:]
    folder = write(tmp_path / "outputs", {"a.avif": broken, "b.avif": data})
    report, _ = _ingest(workspace, folder)
    assert (report.quarantined, report.added) == (1, 1)


def test_a_licence_and_an_origin_that_were_forgotten_can_be_given_later(
    workspace: Workspace, outputs: Path
) -> None:
    _ingest(workspace, outputs)
    first = list(workspace.images())
    assert {(image.origin, image.license) for image in first} == {("synthetic", "")}

    dry, _ = _ingest(workspace, outputs, license="CC0-1.0", dry_run=True)
    report, problems = _ingest(workspace, outputs, license="CC0-1.0")
    assert dry == report
    assert (report.added, report.duplicates, report.known, report.updated) == (0, 0, 4, 3)
    assert problems.counts() == {"error": 4, "info": 1}
    assert list(workspace.images()) == [msgspec.structs.replace(image, license="CC0-1.0") for image in first]

    before = folder_bytes(workspace.root)
    assert _ingest(workspace, outputs, license="CC0-1.0")[0].updated == 0
    assert _ingest(workspace, outputs)[0].updated == 0
    assert folder_bytes(workspace.root) == before

    assert _ingest(workspace, outputs / "d.webp", origin="real")[0].updated == 1
    assert [(image.origin, image.license) for image in workspace.images()] == [
        ("synthetic", "CC0-1.0"),
        ("synthetic", "CC0-1.0"),
        ("real", "CC0-1.0"),
    ]
    assert _ingest(workspace, outputs, origin="synthetic", license="MIT")[0].updated == 3
    assert {(image.origin, image.license) for image in workspace.images()} == {("synthetic", "MIT")}


def test_a_further_name_keeps_the_origin_and_licence_unless_they_are_given(
    workspace: Workspace, outputs: Path
) -> None:
    _ingest(workspace, outputs / "d.webp", origin="real", license="CC-BY-4.0")
    write(outputs.parent, {"second/name.webp": (outputs / "d.webp").read_bytes()})
    report, _ = _ingest(workspace, outputs.parent / "second")
    assert (report.duplicates, report.updated) == (1, 0)
    (image,) = workspace.images()
    assert (image.source, image.origin, image.license) == ("d.webp", "real", "CC-BY-4.0")

    write(outputs.parent, {"third/name.webp": (outputs / "d.webp").read_bytes()})
    report, _ = _ingest(workspace, outputs.parent / "third", license="MIT")
    assert (report.duplicates, report.updated) == (1, 1)
    (image,) = workspace.images()
    assert (image.source, image.origin, image.license) == ("d.webp", "real", "MIT")


def test_an_update_that_was_interrupted_ends_as_if_undisturbed(
    workspace: Workspace, outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = Workspace.create(tmp_path / "undisturbed", name=workspace.name)
    for one in (undisturbed, workspace):
        _ingest(one, outputs)
    _ingest(undisturbed, outputs, license="MIT", batch_size=1)
    append, calls = Workspace.append_index, 0

    def full(self: Workspace, records: list[object]) -> Path:
        nonlocal calls
        calls += 1
        if calls == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        return append(self, records)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(Workspace, "append_index", full)
        with pytest.raises(OSError, match="No space left"):
            _ingest(workspace, outputs, license="MIT", batch_size=1)
    _ingest(workspace, outputs, license="MIT", batch_size=1)
    assert folder_bytes(workspace.root) == folder_bytes(undisturbed.root)


def test_metadata_that_no_reader_knows_is_told_once(workspace: Workspace, tmp_path: Path) -> None:
    folder = write(
        tmp_path / "outputs",
        {
            "a.png": png(1, prompt="{}", workflow="{}"),
            "b.png": png(2, prompt="{}"),
            "copy.png": png(2, prompt="{}"),
            "c.png": png(3),
            "d.png": png(4, parameters="a cat\nSteps: 5, Sampler: Euler, Seed: 7, Model: m"),
        },
    )
    _, problems = _ingest(workspace, folder)
    (told,) = [problem for problem in problems if problem.code == "metadata.not_read"]
    assert told.severity == "info"
    assert told.what == (
        "2 images carry metadata that no reader understands yet (chunks: prompt, workflow): kept raw"
    )
    assert "metadata.not_read" not in {problem.code for problem in _ingest(workspace, folder)[1]}


def test_many_kinds_of_unknown_metadata_are_cut_short(workspace: Workspace, tmp_path: Path) -> None:
    _, problems = _ingest(
        workspace,
        write(tmp_path / "outputs", {"a.png": png(1, **{f"chunk{n}\x1b": "x" for n in range(11)})}),
    )
    (told,) = problems
    assert told.what.startswith("1 image carries metadata")
    assert "chunk7\\x1b, and 3 more)" in told.what


def test_sources_that_are_all_missing_are_a_wrong_call(workspace: Workspace, outputs: Path) -> None:
    before = folder_bytes(workspace.root)
    with pytest.raises(UsageError, match=r"nowhere.png does not exist"):
        _ingest(workspace, outputs / "nowhere.png")
    with pytest.raises(UsageError, match="do not exist"):
        _ingest(workspace, outputs / "nowhere.png", outputs / "neither")
    assert folder_bytes(workspace.root) == before
    report, problems = _ingest(workspace, outputs / "nowhere", outputs / "a.png")
    assert (report.files, report.added, report.refused) == (2, 1, 1)
    assert [problem.code for problem in problems] == ["ingest.not_found"]
