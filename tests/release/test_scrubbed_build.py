"""Nothing personal that was in records or image files is in a release that was built with `--scrub`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from folders import folder_bytes
from PIL import Image, PngImagePlugin
from releasing import changed, noise_png, replace_records, sample_record

from synthscars.images import sha256
from synthscars.problems import Problems
from synthscars.records import Artifact, Generation, ImageRecord, Review
from synthscars.release import ReleaseReport, build_release, read_manifest
from synthscars.workspace import Workspace

COUNT = 24
SECRETS = ("annabelle", "/home/annabelle", "C:\\Users\\annabelle", "annabelle@example.org", "48,8.1N")
"""What must be nowhere in the release."""


def with_metadata(seed: int, folder: str = "annabelle") -> bytes:
    """A file of noise with personal metadata, of which every third has none; PNG and JPEG in turn."""
    if seed % 3 == 0:
        return noise_png(seed)
    picture = Image.open(io.BytesIO(noise_png(seed)))
    buffer = io.BytesIO()
    if seed % 3 == 1:
        info = PngImagePlugin.PngInfo()
        info.add_text("parameters", f"a cat\nSteps: 20, Model: /home/{folder}/models/x.pt")
        info.add_itxt("Comment", "mail annabelle@example.org", zip=True)
        picture.save(buffer, "PNG", pnginfo=info)
    else:
        exif = Image.Exif()
        exif[0x013B] = "annabelle"
        exif[0x010E] = f"from /home/{folder}/pictures"
        exif[0x8825] = {1: "N", 2: (48.0, 8.0, 6.0)}
        picture.save(buffer, "JPEG", exif=exif, comment=b"annabelle@example.org")
    return buffer.getvalue()


def personal(seed: int, data: bytes) -> ImageRecord:
    record = sample_record(seed, data)
    path = f"/home/annabelle/pictures/{seed}.png"
    artifact = Artifact(
        artifact_id="a",
        category="structure",
        polygons=((2.0, 2.0, 20.0, 2.0, 20.0, 20.0),),
        phrase="the hand",
        explanation="six fingers, ask annabelle@example.org",
        rater_id="rater-1",
        extra={"from": path},
    )
    return changed(
        record,
        file_name=f"C:\\Users\\annabelle\\{seed}.png",
        source=path,
        status="annotated",
        artifacts=(artifact,),
        reviews=(Review(rater_id="rater-1", status="annotated", scene=f"as in {path}", extra={"log": path}),),
        generation=Generation(
            tool="comfyui",
            model=path,
            prompt=f"a cat, annabelle@example.org {seed}",
            seed=seed,
            parameters={"out": path},
            raw={"workflow": f'{{"path": "{path}", "n": {seed}}}'},
        ),
        extra={"note": path, "deep": [{"mail": "annabelle@example.org"}]},
    )


def planted(root: Path) -> Workspace:
    workspace = Workspace.create(root, "planted")
    records = []
    for seed in range(COUNT):
        data = with_metadata(seed)
        suffix = ".jpg" if data.startswith(b"\xff\xd8") else ".png"
        records.append(personal(seed, data))
        workspace.add_image(data, records[-1].image_id, suffix)
    replace_records(workspace, records)
    return workspace


def build(
    workspace: Workspace, version: str, problems: Problems | None = None, **options: object
) -> ReleaseReport:
    found = Problems() if problems is None else problems
    return build_release(workspace, version, found, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = planted(tmp_path_factory.mktemp("scrubbed") / "w")
    problems = Problems()
    report = build(workspace, "1.0.0", problems, scrub=True)
    assert not problems.failed, list(problems)
    assert (report.images, report.scrubbed) == (COUNT, 16)
    return workspace


def rows(folder: Path) -> list[dict[str, object]]:
    """The rows of a release, its compressed columns read."""
    import pyarrow.parquet as pq

    return [row for path in sorted(folder.glob("*/*.parquet")) for row in pq.read_table(path).to_pylist()]


def inflated(data: bytes) -> str:
    """What can be read of an image file: its bytes, and its texts, which may be compressed."""
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return f"{data!r} {picture.info!r} {dict(picture.getexif())!r} {picture.getexif().get_ifd(0x8825)!r}"


def found_in(folder: Path) -> set[str]:
    """The secrets that are anywhere in the files of a release, compressed columns and texts included."""
    texts = [content.decode("latin-1") for content in folder_bytes(folder).values()]
    for row in rows(folder):
        picture = row.pop("image")
        texts += [repr(row).replace("\\\\", "\\"), repr(picture["path"])]  # type: ignore[index]
        texts.append(inflated(picture["bytes"]))  # type: ignore[index]
    return {secret for secret in SECRETS for text in texts if secret in text}


def test_nothing_personal_is_anywhere_in_the_release(workspace: Workspace, tmp_path: Path) -> None:
    assert found_in(workspace.release_dir("1.0.0")) == set()
    other = planted(tmp_path / "w")
    as_it_is = build(other, "1.0.0", scrub=False)
    assert found_in(as_it_is.path) >= {"annabelle", "/home/annabelle", "annabelle@example.org"}


def test_the_check_finds_nothing_personal_left(workspace: Workspace) -> None:
    import json

    checks = json.loads((workspace.release_dir("1.0.0") / "checks.json").read_text())
    assert [code for code in checks["codes"] if "personal" in code] == []


def test_images_have_the_ids_of_their_new_files_and_the_pixels_of_the_old(workspace: Workspace) -> None:
    folder = workspace.release_dir("1.0.0")
    manifest = read_manifest(folder)
    originals = {sha256(with_metadata(seed)): with_metadata(seed) for seed in range(COUNT)}
    seen = set()
    for row in rows(folder):
        data = row["image"]["bytes"]  # type: ignore[index]
        image_id = row["image_id"]
        assert sha256(data) == image_id
        before = manifest.scrubbed.get(str(image_id), str(image_id))
        seen.add(before)
        assert (before == image_id) == (originals[before] == data)
        old, new = (Image.open(io.BytesIO(each)) for each in (originals[before], data))
        assert (old.format, old.mode, old.size) == (new.format, new.mode, new.size)
        assert old.tobytes() == new.tobytes()
    assert seen == set(originals)
    assert set(manifest.scrubbed) <= set(manifest.images)


def test_a_scrubbed_release_is_the_same_with_other_workers_and_orders(
    workspace: Workspace, tmp_path: Path
) -> None:
    other = planted(tmp_path / "elsewhere" / "w")
    records = [personal(seed, with_metadata(seed)) for seed in reversed(range(COUNT))]
    (source,) = other.records_dir.iterdir()
    source.unlink()
    assert replace_records(other, records) == source
    found = folder_bytes(build(other, "1.0.0", scrub=True, workers=5).path)
    expected = folder_bytes(workspace.release_dir("1.0.0"))
    assert set(found) == set(expected)
    # The manifest has the hash of the records.
    assert [name for name in expected if found[name] != expected[name]] == ["manifest.json"]


@pytest.mark.parametrize("first", [True, False])
def test_images_keep_split_and_file_when_scrubbing_begins_and_when_it_ends(
    tmp_path: Path, first: bool
) -> None:
    workspace = planted(tmp_path / "w")
    names = ("1.0.0", "1.1.0", "1.2.0")
    manifests = []
    for version, scrub in zip(names, (first, not first, first), strict=True):
        build(workspace, version, scrub=scrub, check=False)
        manifest = read_manifest(workspace.release_dir(version))
        manifests.append(
            {
                manifest.scrubbed.get(image_id, image_id): (entry.split, entry.shard)
                for image_id, entry in manifest.images.items()
            }
        )
    assert manifests[0] == manifests[1] == manifests[2]
    # What is as it was in the first version is written the same way.
    one, other = (read_manifest(workspace.release_dir(names[number])) for number in (0, 2))
    assert {shard.path for shard in one.files} == {shard.path for shard in other.files}


def same_picture_twice(root: Path, reverse: bool) -> tuple[Workspace, list[ImageRecord]]:
    """A picture that was ingested thrice: with metadata of one kind, of another, and without any."""
    workspace = planted(root)
    records = [personal(seed, with_metadata(seed)) for seed in range(COUNT)]
    clean = build(workspace, "0.1.0", scrub=True, check=False)
    manifest = read_manifest(clean.path)
    (new,) = [image for image, old in manifest.scrubbed.items() if old == records[1].image_id]
    (row,) = [row for row in rows(clean.path) if row["image_id"] == new]
    import shutil

    shutil.rmtree(clean.path)
    stripped = row["image"]["bytes"]  # type: ignore[index]
    other = with_metadata(1, "annabelle/archive")
    for data in (stripped, other):
        workspace.add_image(data, sha256(data), ".png")
        records.append(changed(personal(1, data), license="CC-BY-4.0"))
    return workspace, records[::-1] if reverse else records


@pytest.mark.parametrize("reverse", [False, True])
def test_files_that_differ_in_metadata_alone_become_one_image_and_the_others_are_told_of(
    tmp_path: Path, reverse: bool
) -> None:
    workspace, records = same_picture_twice(tmp_path / "w", reverse)
    problems = Problems()
    report = build(
        workspace, "1.0.0", problems, records=replace_records(workspace, records), scrub=True, check=False
    )
    same = [records[1].image_id, records[-1].image_id, records[-2].image_id]
    if reverse:
        same = [records[-2].image_id, records[0].image_id, records[1].image_id]
    kept = min(same)
    told = {problem.image for problem in problems if problem.code == "image.same_when_scrubbed"}
    assert told == set(same) - {kept}
    assert report.images == COUNT
    assert report.left_out == {"image.same_when_scrubbed": 2}
    manifest = read_manifest(report.path)
    assert set(manifest.set_aside) == told
    by_original = {manifest.scrubbed.get(image, image) for image in manifest.images}
    assert kept in by_original
    assert not told & by_original
    wanted = next(record for record in records if record.image_id == kept)
    (row,) = [
        row
        for row in rows(report.path)
        if manifest.scrubbed.get(str(row["image_id"]), row["image_id"]) == kept
    ]
    assert (row["license"] == "CC-BY-4.0") == (wanted.license == "CC-BY-4.0")


def test_an_annotated_image_is_not_lost_to_a_photograph_that_is_the_same_without_metadata(
    tmp_path: Path,
) -> None:
    for reverse in (False, True):
        workspace, records = same_picture_twice(tmp_path / str(reverse), reverse)
        first = records[1] if not reverse else records[-2]
        again = {record.image_id for record in records if record.license == "CC-BY-4.0"}
        records = [
            changed(record, origin="real", status="unlabelled", artifacts=(), reviews=(), generation=None)
            if record.image_id in again
            else record
            for record in records
        ]
        source = replace_records(workspace, records)
        report = build(workspace, "1.0.0", records=source, scrub=True, check=False)
        manifest = read_manifest(report.path)
        assert first.image_id in manifest.scrubbed.values()
        assert len(manifest.images) == COUNT
        assert manifest.detection_images == {}
