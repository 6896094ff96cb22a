"""Simulated images: reproducible, well-formed, and the truth tells exactly what was planted."""

from __future__ import annotations

import hashlib
import io
from functools import cache
from pathlib import Path

import msgspec
import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter
from shapely import Polygon, box, unary_union

from synthscars.ingest.metadata import read_chunks, read_generation
from synthscars.problems import FormatError, Problems, UsageError
from synthscars.simulate import SimulatedImage, read_truth, simulate_image, write_simulated
from synthscars.simulate.animals import SPECIES
from synthscars.simulate.image import draw
from synthscars.simulate.metadata import file_name
from synthscars.simulate.plan import make_plan
from synthscars.simulate.texts import WORDINGS, describe
from synthscars.taxonomy import load_taxonomy

SEED = 0
SPECIES_NAMES = [species.name for species in SPECIES]
COUNT = 24
PAIRS = 10


@cache
def image(index: int) -> SimulatedImage:
    return simulate_image(SEED, index)


def inside(polygons: tuple[tuple[float, ...], ...], size: tuple[int, int]) -> np.ndarray:
    """Pixels whose centre lies in one of the rings, by Pillow at four times the size."""
    mask = Image.new("1", (size[0] * 4, size[1] * 4))
    for ring in polygons:
        ImageDraw.Draw(mask).polygon([value * 4 - 0.5 for value in ring], fill=1)
    return np.asarray(mask)[2::4, 2::4]


def dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    grown = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.MaxFilter(2 * pixels + 1))
    return np.asarray(grown) > 0


@pytest.mark.parametrize("index", [0, 3])
def test_the_same_seed_and_index_give_the_same_bytes_and_record(index: int) -> None:
    again = simulate_image(SEED, index)
    assert again.data == image(index).data
    assert again.record == image(index).record


def test_another_seed_or_index_gives_another_image() -> None:
    ids = {image(0).record.image_id, image(1).record.image_id, simulate_image(SEED + 1, 0).record.image_id}
    assert len(ids) == 3


def test_all_kinds_occur_within_24_images() -> None:
    records = [image(index).record for index in range(COUNT)]
    artifacts = [artifact for record in records for artifact in record.artifacts]
    assert {record.content_type for record in records} == set(load_taxonomy().content_type_ids)
    assert {artifact.category for artifact in artifacts} == set(load_taxonomy().category_ids)
    assert {artifact.subtype for artifact in artifacts} == set(load_taxonomy().subtype_ids)
    assert {(record.width, record.height) for record in records} == {(512, 512), (640, 512)}
    assert {len(record.artifacts) for record in records} >= {0, 1, 2, 3}
    assert {record.file_name.rsplit(".")[-1] for record in records} == {"png", "jpg"}


def test_records_agree_with_their_files_and_with_themselves() -> None:
    taxonomy = load_taxonomy()
    for index in range(COUNT):
        simulated = image(index)
        record = simulated.record
        assert record.image_id == hashlib.sha256(simulated.data).hexdigest()
        with Image.open(io.BytesIO(simulated.data)) as opened:
            assert opened.size == (record.width, record.height) == simulated.image.size
            assert opened.mode == simulated.image.mode == "RGB"
        assert record.status == ("annotated" if record.artifacts else "clean")
        assert [(review.rater_id, review.status) for review in record.reviews] == [("truth", record.status)]
        assert record.reviews[0].scene in record.caption
        assert record.source == "synthscars simulate"
        assert record.license == "CC0-1.0"
        phrases = [artifact.phrase for artifact in record.artifacts]
        assert len(set(phrases)) == len(phrases)
        assert len({artifact.artifact_id for artifact in record.artifacts}) == len(phrases)
        for artifact in record.artifacts:
            assert f"{artifact.phrase}:{artifact.explanation}" in record.caption
            assert taxonomy.subtype(artifact.subtype or "").category == artifact.category
            assert artifact.explanation.endswith(".")


def test_polygons_are_valid_inside_the_image_and_large_enough() -> None:
    for index in range(COUNT):
        record = image(index).record
        for artifact in record.artifacts:
            shapes = [Polygon(np.reshape(ring, (-1, 2))) for ring in artifact.polygons]
            assert shapes, artifact.phrase
            assert all(shape.is_valid for shape in shapes)
            assert all(box(0, 0, record.width, record.height).covers(shape) for shape in shapes)
            assert unary_union(shapes).area >= 1000


def test_artifacts_of_one_category_hardly_overlap() -> None:
    for index in range(COUNT):
        regions = [
            (
                artifact.category,
                unary_union([Polygon(np.reshape(ring, (-1, 2))) for ring in artifact.polygons]),
            )
            for artifact in image(index).record.artifacts
        ]
        for number, (category, region) in enumerate(regions):
            for other_category, other in regions[:number]:
                if category == other_category:
                    assert region.intersection(other).area < 0.2 * region.union(other).area


@pytest.mark.parametrize("index", range(PAIRS))
def test_the_truth_covers_what_changes_when_artifacts_are_planted(index: int) -> None:
    with_artifacts = np.asarray(image(index).image, dtype=int)
    without = np.asarray(draw(SEED, index, plant=False).image, dtype=int)
    changed = np.abs(with_artifacts - without).max(axis=2) > 10
    record = image(index).record
    size = (record.width, record.height)
    if not record.artifacts:
        assert not changed.any()
        return
    everything = tuple(ring for artifact in record.artifacts for ring in artifact.polygons)
    covered = dilated(inside(everything, size), 3)
    assert (changed & covered).sum() >= 0.95 * changed.sum()
    for artifact in record.artifacts:
        region = inside(artifact.polygons, size)
        # Letters leave most of their box as it was.
        least = 0.15 if artifact.subtype == "text_distortion" else 0.3
        share = (changed & region).sum() / region.sum()
        assert share >= least, f"{artifact.phrase}: {share:.2f}"


def test_png_files_carry_the_settings_in_a_text_chunk() -> None:
    record = image(0).record
    generation = record.generation
    assert generation is not None
    with Image.open(io.BytesIO(image(0).data)) as opened:
        assert opened.format == "PNG"
        lines = opened.text["parameters"].split("\n")
        assert opened.text["Software"] == "synthscars simulate"
    assert lines[0] == generation.prompt
    assert lines[1] == f"Negative prompt: {generation.negative_prompt}"
    pairs = dict(pair.split(": ") for pair in lines[2].split(", "))
    assert pairs == {
        "Steps": str(generation.steps),
        "Sampler": generation.sampler,
        "Schedule type": generation.parameters["Schedule type"],
        "CFG scale": f"{generation.cfg_scale:g}",
        "Seed": str(generation.seed),
        "Size": f"{record.width}x{record.height}",
        "Model hash": generation.model_hash,
        "Model": generation.model,
        "Version": "synthscars-simulate",
    }
    assert generation.model.startswith("simulated-")


def test_jpeg_files_carry_the_settings_in_exif() -> None:
    record = image(3).record
    assert record.generation is not None
    with Image.open(io.BytesIO(image(3).data)) as opened:
        assert opened.format == "JPEG"
        comment = opened.getexif().get_ifd(0x8769)[0x9286]
    assert comment[:8] == b"UNICODE\0"
    text = comment[8:].decode("utf-16-be")
    assert text.startswith(record.generation.prompt + "\nNegative prompt: ")
    assert f"Model: {record.generation.model}, Version: synthscars-simulate" in text


def test_the_ingest_reader_finds_the_settings_of_the_truth() -> None:
    for index in range(8):
        problems = Problems()
        with Image.open(io.BytesIO(image(index).data)) as opened:
            found = read_generation(read_chunks(opened, problems))
        assert found is not None
        assert msgspec.structs.replace(found, raw={}) == image(index).record.generation
        assert not list(problems)


def test_every_wording_fills_in_and_none_can_be_mistaken_for_the_start_of_an_item() -> None:
    words = dict.fromkeys(
        (
            *("thing", "part", "place", "hand", "ground", "usual", "colour", "light", "side", "away"),
            *("shown", "high", "pattern", "side_of"),
        ),
        "x",
    )
    for wording in WORDINGS.values():
        assert load_taxonomy().subtype(wording.subtype).category == wording.category
        assert len(wording.phrases) >= 3
        assert len(wording.explanations) >= 3
        for text in (*wording.phrases, *wording.explanations):
            assert ":" not in text.format(**words)


def test_a_phrase_that_is_taken_is_not_used_again() -> None:
    rng = np.random.default_rng(0)
    words = {"place": "the wall"}
    taken: set[str] = set()
    for _ in range(3):
        taken.add(describe("noise", words, rng, taken)[0])
    assert len(taken) == 3


def test_writing_twice_gives_identical_files_that_agree_with_the_truth(tmp_path: Path) -> None:
    done: list[int] = []
    truth = write_simulated(tmp_path, 4, SEED, progress=done.append)
    first = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert done == [1, 2, 3, 4]
    records = read_truth(truth)
    assert records == [image(index).record for index in range(4)]
    names = {tmp_path / "images" / record.file_name for record in records}
    assert set(first) == {truth, *names}

    (tmp_path / "images" / records[1].file_name).write_bytes(b"cut short")
    assert write_simulated(tmp_path, 4, SEED) == truth
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == first


def test_a_damaged_or_missing_truth_file_is_named_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "ground_truth.jsonl"
    with pytest.raises(FormatError, match="ground_truth"):
        read_truth(path)
    path.write_bytes(b'{"image_id": "a", "file_name": "b", "width": 1, "height": 1}\n{"image_id"\n')
    with pytest.raises(FormatError, match="line 2"):
        read_truth(path)


def test_negative_numbers_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        write_simulated(tmp_path, -1)
    with pytest.raises(UsageError):
        simulate_image(0, -1)


@pytest.mark.parametrize("name", ["holiday.png", file_name(SEED, 4), file_name(SEED + 1, 3), ".hidden"])
def test_a_folder_with_other_files_is_refused_before_anything_is_written(tmp_path: Path, name: str) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / name).write_bytes(b"mine")
    with pytest.raises(UsageError, match=name) as caught:
        write_simulated(tmp_path, 4, SEED)
    assert "new folder" in caught.value.fix
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [name]


def test_a_longer_series_goes_on_and_a_shorter_one_is_refused(tmp_path: Path) -> None:
    write_simulated(tmp_path, 1, SEED)
    (tmp_path / "images" / f".tmp-0123456789ab-{file_name(SEED, 1)}").write_bytes(b"killed")
    assert len(read_truth(write_simulated(tmp_path, 2, SEED))) == 2
    with pytest.raises(UsageError, match=file_name(SEED, 1).removesuffix(".jpg")):
        write_simulated(tmp_path, 1, SEED)
    assert len(read_truth(tmp_path / "ground_truth.jsonl")) == 2
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "images").write_bytes(b"mine")
    with pytest.raises(UsageError, match="is not a folder"):
        write_simulated(tmp_path / "other", 1, SEED)


MIDDLES = {"the mouth of the person", *(f"the face of the {name}" for name in SPECIES_NAMES)}


def test_left_and_right_are_the_viewers() -> None:
    seen = set()
    for index in range(0, 2000):
        # Only planned first: drawing is what takes time.
        plan = make_plan(SEED, index)
        fault = {"human": "finger", "animal": "uneven"}.get(plan.content_type)
        if fault not in plan.faults or len(seen) == 4:
            continue
        drawing = draw(SEED, index)
        for mark, region in zip(drawing.stage.marks, drawing.regions, strict=True):
            side = mark.words.get("hand") or mark.words.get("place")
            if mark.fault == fault and side:
                # The chin and the eyes are in the middle of the person and of the animal.
                (middle,) = (spot for spot in drawing.stage.spots if spot.place in MIDDLES)
                x = middle.outline[:, 0].mean()
                assert side == ("left" if region.centroid.x < x else "right")
                seen.add((fault, side))
    assert len(seen) == 4
