"""Small workspaces with images and records, ready to be released."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable
from pathlib import Path

import msgspec
import numpy as np
from PIL import Image

from synthscars.images import sha256
from synthscars.jsonl import write_records
from synthscars.problems import Problems
from synthscars.records import Artifact, Generation, ImageRecord, Review
from synthscars.release.waiting import Ready, Waiting
from synthscars.release.write import Origin, write_release
from synthscars.settings import CONFIG_NAME, ReleaseSettings
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace


def noise_png(seed: int, width: int = 48, height: int = 32) -> bytes:
    """A PNG of noise: quickly made, never like another one."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def sample_record(seed: int, data: bytes, width: int = 48, height: int = 32) -> ImageRecord:
    """What one rater said about an image: none, one, two or three artifacts of varying kinds."""
    taxonomy = load_taxonomy()
    rng = np.random.default_rng([seed, 1])
    artifacts = []
    for number in range(seed % 4):
        subtype = taxonomy.subtypes[(seed + number) % len(taxonomy.subtypes)]
        x, y = rng.uniform(1, width - 20), rng.uniform(1, height - 12)
        artifacts.append(
            Artifact(
                artifact_id=f"region-{number}",
                category=subtype.category,
                subtype=None if number == 2 else subtype.id,
                polygons=((x, y, x + rng.uniform(2, 18), y + 0.5, x + 4, y + rng.uniform(1, 10)),),
                phrase=f"the {subtype.name.lower()} at {number}",
                explanation=f"Image {seed} shows what cannot be: {subtype.definition}",
                rater_id="rater-1",
                extra={"score": 0.5} if number else {},
            )
        )
    status = "annotated" if artifacts else "clean"
    content_type = taxonomy.content_type_ids[seed % 3] if seed % 5 else None
    generation = Generation(
        tool="automatic1111",
        model=f"model-{seed % 2}",
        prompt=f"prompt {seed} | with `marks`\nand lines",
        seed=2**64 - 1 - seed,
        steps=20,
        cfg_scale=7.5,
        parameters={"Clip skip": "2"},
        raw={"parameters": f"prompt {seed}"},
    )
    return ImageRecord(
        image_id=sha256(data),
        file_name=f"image {seed}.png",
        width=width,
        height=height,
        content_type=content_type,
        status=status,
        artifacts=tuple(artifacts),
        reviews=(
            Review(
                rater_id="rater-1",
                status=status,
                content_type=content_type,
                scene=f"Scene {seed}",
                seconds=12.5 if seed % 2 else None,
            ),
        ),
        generation=generation if seed % 3 else None,
        source="sources | of noise" if seed % 2 else "",
        license="CC0-1.0",
        extra={"note": ["ü", seed]},
    )


def filled_workspace(root: Path, count: int = 24) -> Workspace:
    """A workspace with `count` images and one file of records about them."""
    workspace = Workspace.create(root, "noise")
    add_records(workspace, range(count))
    return workspace


def without_figures(workspace: Workspace) -> Workspace:
    """The workspace, set to build cards without figures: they take most of the time of a small build."""
    config = workspace.root / CONFIG_NAME
    text = config.read_text(encoding="utf-8")
    assert "figures = true" in text
    config.write_text(text.replace("figures = true", "figures = false"), encoding="utf-8")
    return Workspace.open(workspace.root)


def add_records(workspace: Workspace, seeds: range) -> list[ImageRecord]:
    """Add images, and a file of records about these images alone."""
    records = []
    for seed in seeds:
        data = noise_png(seed)
        record = sample_record(seed, data)
        workspace.add_image(data, record.image_id, ".png")
        records.append(record)
    replace_records(workspace, records)
    return records


def write_folder(
    folder: Path, version: str, records: Iterable[ImageRecord], pictures: dict[str, bytes]
) -> None:
    """Write records as the folder of a release, which need not be in a workspace. pictures: by image id."""

    def load(image: Ready, content: memoryview) -> None:
        content[:] = pictures[image.record.image_id]

    with Waiting(folder.parent) as waiting:
        for record in records:
            assert waiting.add(Ready(record=record, bytes=len(pictures[record.image_id]))) is None
        write_release(
            lambda _version: folder,
            waiting,
            load,
            Problems(),
            origin=Origin(name="n"),
            version=version,
            settings=ReleaseSettings(),
        )


def replace_records(workspace: Workspace, records: list[ImageRecord]) -> Path:
    """Write a newer file of records, which the next release is built from."""
    path = workspace.next_numbered(workspace.records_dir, ".jsonl.zst")
    write_records(path, records)
    return path


def changed(record: ImageRecord, **fields: object) -> ImageRecord:
    """A copy of a record with some fields replaced."""
    return msgspec.structs.replace(record, **fields)


def by_raters(record: ImageRecord, number: int) -> ImageRecord:
    """The record as three raters left it who did not agree: anna drew its regions, ben moved each by one
    pixel, carla drew what anna did. On every third image ben drew one more, and carla found nothing."""
    anna = tuple(changed(each, rater_id="anna") for each in record.artifacts)
    ben = tuple(
        changed(each, rater_id="ben", polygons=tuple(tuple(v + 1 for v in ring) for ring in each.polygons))
        for each in record.artifacts
    )
    if number % 3 == 0:
        triangle = ((30.0, 20.0, 46.0, 20.0, 38.0, 30.0),)
        more = Artifact(
            artifact_id="more", category="physics", polygons=triangle, phrase="the corner", rater_id="ben"
        )
        ben += (more,)
    carla = tuple(changed(each, rater_id="carla") for each in record.artifacts) if number % 3 else ()
    drawn = (*anna, *ben, *carla)
    reviews = tuple(
        Review(rater_id=rater, status="annotated" if regions else "clean", scene="A scene")
        for rater, regions in (("anna", anna), ("ben", ben), ("carla", carla))
    )
    status = "annotated" if drawn else "clean"
    return changed(record, artifacts=drawn, reviews=reviews, status=status)


def raters_workspace(root: Path, count: int = 24, merged: int = 2, photographs: int = 3) -> Workspace:
    """A workspace whose images three raters judged (see `by_raters`), and `photographs` of which nobody did.

    merged: so many annotated images, the last ones, were merged before they came into the workspace, so that
    nobody knows what each rater drew. Photographs are of seeds from 1000 on.
    """
    workspace = filled_workspace(root, count)
    records = [by_raters(sample_record(seed, noise_png(seed)), seed) for seed in range(count)]
    known = [number for number, record in enumerate(records) if record.artifacts][-merged:] if merged else []
    for number in known:
        kept = tuple(changed(each, votes=3) for each in records[number].artifacts if each.rater_id == "anna")
        records[number] = changed(records[number], artifacts=kept, status="annotated" if kept else "clean")
    for seed in range(1000, 1000 + photographs):
        data = noise_png(seed)
        real = sample_record(seed, data)
        workspace.add_image(data, real.image_id, ".png")
        records.append(
            changed(real, origin="real", artifacts=(), reviews=(), generation=None, status="unlabelled")
        )
    replace_records(workspace, records)
    return without_figures(workspace)


def mark_verified(folder: Path, verified: bool = True, reasons: tuple[str, ...] = ()) -> Path:
    """Say of a release that `synthscars verify` has looked at it, without training anything."""
    manifest = (folder / "manifest.json").read_bytes()
    text = json.dumps(
        {
            "format": "synthscars.verification",
            "version": 1,
            "verified": verified,
            "reasons": reasons,
            "release": {"manifest_sha256": hashlib.sha256(manifest).hexdigest()},
        }
    )
    path = folder / "verification.json"
    path.write_text(text, encoding="utf-8")
    return path
