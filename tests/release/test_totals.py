"""Totals against the plain way of counting: all records in a list."""

import numpy as np
import pytest
from releasing import changed, noise_png, sample_record

from synthscars import geometry
from synthscars.consensus import adjudicate
from synthscars.problems import Problems
from synthscars.records import Artifact, Generation, ImageRecord
from synthscars.release.totals import HEAT_CELLS, UNKNOWN, Spread, Tally, Totals

SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def records() -> list[ImageRecord]:
    samples = [sample_record(seed, noise_png(seed)) for seed in range(60)]
    return [
        changed(record, split=SPLITS[number % 3])
        for number, record in enumerate(adjudicate(samples, Problems()))
    ]


@pytest.fixture(scope="module")
def totals(records: list[ImageRecord]) -> Totals:
    totals = Totals()
    for record in records:
        totals.add(record, record.artifacts)
    return totals


def test_counts_are_those_of_the_list(totals: Totals, records: list[ImageRecord]) -> None:
    artifacts = [(each, record.split) for record in records for each in record.artifacts]
    assert totals.images == dict.fromkeys(SPLITS, 20)
    assert totals.artifacts.total() == len(artifacts) > 0
    for split in SPLITS:
        clean = sum(record.status == "clean" and record.split == split for record in records)
        assert totals.of("status", "clean", split) == clean
        structure = sum(each.category == "structure" and place == split for each, place in artifacts)
        assert totals.of("category", "structure", split) == structure
    without = sum(record.content_type is None for record in records)
    assert totals.of("content_type", UNKNOWN) == without > 0
    assert totals.of("missing", "subtype") == sum(each.subtype is None for each, _ in artifacts) > 0
    assert dict(totals.values("raters")) == {"1": len(records)}
    assert totals.raters.counts == {"rater-1": len(records)}


def test_texts_points_and_areas_are_those_of_the_list(totals: Totals, records: list[ImageRecord]) -> None:
    artifacts = [(each, record) for record in records for each in record.artifacts]
    words = [len(each.explanation.split()) for each, _ in artifacts]
    spread = totals.spreads["words per explanation"]
    assert (spread.count, spread.mean, spread.most) == (len(words), pytest.approx(np.mean(words)), max(words))
    assert spread.quantile(0.5) == np.percentile(words, 50, method="inverted_cdf")
    for category, found in totals.regions.share.items():
        shares = [
            geometry.area(each.polygons) / (record.width * record.height)
            for each, record in artifacts
            if (each.category or UNKNOWN) == category
        ]
        assert found.count == len(shares)
        if shares:
            assert found.mean == pytest.approx(np.mean(shares))
            assert found.quantile(0.5) == pytest.approx(
                np.percentile(shares, 50, method="inverted_cdf"), rel=0.006
            )


def test_regions_of_several_rings_and_crossing_ones_count_their_union() -> None:
    twice = ((0.0, 0.0, 10.0, 0.0, 10.0, 10.0, 0.0, 10.0), (5.0, 0.0, 15.0, 0.0, 15.0, 10.0, 5.0, 10.0))
    bow = ((0.0, 0.0, 10.0, 10.0, 10.0, 0.0, 0.0, 10.0),)
    totals = Totals()
    for name, rings in (("a", twice), ("b", bow)):
        artifact = Artifact(artifact_id="a", category="physics", polygons=rings)
        totals.add(
            ImageRecord(
                image_id=name,
                file_name="x",
                width=100,
                height=100,
                split="train",
                artifacts=(artifact,),
            )
        )
    share = totals.regions.share["physics"]
    assert (share.least, share.most) == pytest.approx((0.005, 0.015))


def test_the_map_of_places_is_that_of_the_masks() -> None:
    left = Artifact(artifact_id="a", polygons=((0.0, 0.0, 32.0, 0.0, 32.0, 128.0, 0.0, 128.0),))
    totals = Totals()
    for name in "ab":
        totals.add(
            ImageRecord(
                image_id=name, file_name="x", width=64, height=128, split="train", artifacts=(left, left)
            )
        )
    half = HEAT_CELLS // 2
    assert (totals.regions.heat[:, :half] == 2).all()
    assert (totals.regions.heat[:, half:] == 0).all()


def test_the_map_of_places_has_every_image_whenever_it_is_looked_at() -> None:
    square = Artifact(artifact_id="a", polygons=((0.0, 0.0, 8.0, 0.0, 8.0, 8.0, 0.0, 8.0),))
    record = ImageRecord(image_id="a", file_name="x", width=8, height=8, split="train", artifacts=(square,))
    totals = Totals()
    for count in range(1, 251):
        totals.add(record)
        if count in (3, 100, 201, 250):
            assert (totals.regions.heat == count).all()


def test_quantiles_of_any_numbers_are_exact_to_half_a_percent() -> None:
    values = np.random.default_rng(0).lognormal(3, 4, 5000)
    spread = Spread()
    for value in values:
        spread.add(float(value))
    for share in (0.01, 0.05, 0.5, 0.95, 0.9991):
        exact = np.percentile(values, 100 * share, method="inverted_cdf")
        assert spread.quantile(share) == pytest.approx(exact, rel=0.006)
    assert (spread.quantile(0), spread.quantile(1)) == (values.min(), values.max())


def test_what_is_no_number_is_left_out_and_nothing_has_no_mean() -> None:
    spread = Spread()
    for value in (float("nan"), float("inf"), -1.0):
        spread.add(value)
    assert spread.count == 0
    assert np.isnan([spread.mean, spread.quantile(0.5)]).all()


def test_what_is_kept_does_not_grow_with_what_comes() -> None:
    spread, tally = Spread(), Tally[str](most=50)
    for number in range(20_000):
        spread.add(number * 1.37)
        tally.add(f"model {number}")
    assert len(spread.bins) < 1600
    assert (len(tally), tally.others) == (50, 19_950)


def test_only_generated_images_have_a_generator_and_all_have_a_source() -> None:
    totals = Totals()
    made = ImageRecord(
        image_id="a",
        file_name="a",
        width=9,
        height=9,
        split="train",
        source="one/a.png",
        generation=Generation(tool="comfyui", model="m"),
    )
    totals.add(made)
    totals.add(changed(made, image_id="b", generation=None, license="CC0-1.0"))
    totals.add_detection_only(changed(made, image_id="c", generation=None, origin="real", split="test"))
    assert totals.generators.counts == {("comfyui", "m"): 1, ("", ""): 1}
    assert totals.sources.counts == {("one", UNKNOWN): 2, ("one", "CC0-1.0"): 1}
    assert (totals.images.total(), totals.detection_only) == (2, {"test": 1})


def test_examples_are_chosen_by_id_one_of_each_kind_whatever_the_order(records: list[ImageRecord]) -> None:
    one, two = Totals(), Totals()
    for record in records:
        one.add(record)
    for record in reversed(records):
        two.add(record)
    chosen = one.pictures(6)
    assert chosen == two.pictures(6)
    assert len({record.image_id for record in chosen}) == len(chosen) == 6
    kinds = {each.category for record in chosen[:3] for each in record.artifacts}
    assert {"physics", "structure", "distortion"} <= kinds
    assert all(record.generation is None and not record.extra for record in chosen)


def test_crowded_images_are_examples_only_if_there_is_nothing_else() -> None:
    def image(number: int, count: int) -> ImageRecord:
        ring = (1.0, 1.0, 5.0, 1.0, 5.0, 5.0)
        artifacts = tuple(
            Artifact(artifact_id=str(each), category="physics", polygons=(ring,)) for each in range(count)
        )
        return ImageRecord(
            image_id=str(number), file_name="x", width=9, height=9, split="train", artifacts=artifacts
        )

    totals = Totals()
    for number in range(20):
        totals.add(image(number, 8))
    assert len(totals.pictures(6)[0].artifacts) == 8
    totals.add(image(99, 2))
    assert [len(record.artifacts) for record in totals.pictures(6)] == [2]
