"""Helpers for rows of each config of a release: `default`, `raters` and `detection`."""

import io
from types import SimpleNamespace

import datasets
import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO
from releasing import by_raters, changed, noise_png, raters_workspace, sample_record

import synthscars
from synthscars.problems import FormatError, Problems
from synthscars.records import Review
from synthscars.release import build_release

COUNT = 16
DRAWN = {
    record.image_id: record
    for record in (by_raters(sample_record(seed, noise_png(seed)), seed) for seed in range(COUNT))
}
"""What went into the release, before anything was merged."""


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A release of images that three raters judged, two images merged before, and three photographs."""
    workspace = raters_workspace(tmp_path_factory.mktemp("configs") / "my-scars", COUNT)
    build_release(workspace, "0.1.0", Problems())
    cache = str(tmp_path_factory.mktemp("cache"))

    def load(config, **options):
        folder = str(workspace.release_dir("0.1.0"))
        return datasets.load_dataset(folder, config, split="train", cache_dir=cache, **options)

    known = [row["rater_artifacts"] is not None for row in load("raters")]
    assert 0 < sum(known) < len(known)
    return SimpleNamespace(load=load, known=np.flatnonzero(known).tolist(), null=known.index(False))


def of_raters(load, known):
    """Rows of the config `raters`, as readers give them, with those that are not known left out."""
    train = load("raters").select(known)
    stream = load("raters", streaming=True).filter(lambda row: row["rater_artifacts"] is not None)
    return {
        "datasets": list(train),
        "numpy": list(train.with_format("numpy", dtype=np.float64)),
        "pandas": [train.with_format("pandas")[number] for number in range(len(train))],
        "arrow": [train.with_format("arrow")[number] for number in range(len(train))],
        "a stream": list(stream),
        "a batch": list(synthscars.rows(train[:])),
        "a batch of a stream": [
            row for batch in stream.batch(3) for row in synthscars.rows(batch)
        ],
    }  # fmt: skip


def by_pycocotools(record):
    """Masks of all regions, the way pycocotools' own `COCO.annToMask` makes them."""
    size = record.height, record.width
    found = [
        coco.decode(coco.merge(coco.frPyObjects([list(ring) for ring in each.polygons], *size)))
        for each in record.artifacts
    ]
    return np.array(found, dtype=bool).reshape(-1, *size)


def test_rows_of_the_config_raters_give_what_each_rater_drew_from_every_reader(release):
    readers = of_raters(release.load, release.known)
    ids = [row["image_id"] for row in readers["datasets"]]
    several = 0
    for reader, rows in readers.items():
        for row, image_id in zip(rows, ids, strict=True):
            expected = DRAWN[image_id]
            if reader not in ("numpy", "pandas"):  # which round seeds
                record = synthscars.to_record(row, "train")
                assert (record.image_id, record.artifacts) == (image_id, expected.artifacts)
                assert (record.status, record.reviews) == (expected.status, expected.reviews)
            masks = by_pycocotools(expected)
            assert np.array_equal(synthscars.masks(row), masks)
            assert np.array_equal(synthscars.union_mask(row), masks.any(axis=0))
            several += len({each.rater_id for each in expected.artifacts}) > 1
    assert several > len(readers)


def test_rows_of_the_config_default_give_the_merged_regions_or_if_asked_the_raters(release):
    default, raters = release.load("default"), release.load("raters")
    differing = 0
    for number in release.known:
        merged, row = default[number], raters[number]
        for function in (synthscars.masks, synthscars.union_mask, synthscars.to_record):
            assert np.array_equal(function(merged, raters=True), function(row))
        assert synthscars.to_coco(merged, raters=True) == synthscars.to_coco(row)
        assert synthscars.to_gcg(merged, raters=True)["answer"] == synthscars.to_gcg(row)["answer"]
        assert synthscars.draw(merged, raters=True).tobytes() == synthscars.draw(row).tobytes()
        assert len(synthscars.masks(merged)) == len(merged["artifacts"])
        differing += len(synthscars.masks(merged)) != len(synthscars.masks(row))
    assert differing


def test_what_raters_drew_and_is_not_known_is_an_error_not_nothing(release):
    row = release.load("raters")[release.null]
    merged = release.load("default")[release.null]
    assert synthscars.masks(merged).any()
    for function in (
        synthscars.masks, synthscars.union_mask, synthscars.draw, synthscars.to_gcg, synthscars.to_coco,
        synthscars.to_record,
    ):  # fmt: skip
        message = f"{row['image_id']}.*rater_artifacts: what each rater drew is not known"
        with pytest.raises(FormatError, match=message) as caught:
            function(row)
        assert "config default" in caught.value.fix
        with pytest.raises(FormatError, match=message):
            function(merged, raters=True)
    for nothing in (np.nan, None):
        with pytest.raises(FormatError, match="is not known"):
            synthscars.masks({**row, "rater_artifacts": nothing})


def test_nothing_drawn_by_anybody_is_no_error():
    row = {"width": 4, "height": 3, "rater_artifacts": []}
    assert synthscars.masks(row).shape == (0, 3, 4)
    assert not synthscars.union_mask(row).any()


def test_rows_of_the_config_detection_say_which_config_has_regions(release):
    rows = [*release.load("detection"), *release.load("detection", streaming=True)]
    assert {row["origin"] for row in rows} == {0, 1}
    for row in rows:
        for raters in (False, True):
            column = "rater_artifacts" if raters else "artifacts"
            for function in (synthscars.masks, synthscars.draw, synthscars.to_record):
                with pytest.raises(FormatError, match=f"{row['image_id']}.*: {column}: .*no such") as caught:
                    function(row, raters=raters)
                assert "default has artifacts" in caught.value.fix
    (count,) = {len(list(synthscars.rows(release.load("detection")[:])))}
    assert count * 2 == len(rows)


def test_they_work_in_map_batched_and_not_streaming_and_as_a_transform(release):
    train = release.load("raters").select(release.known)
    expected = [int(by_pycocotools(DRAWN[image_id]).any(axis=0).sum()) for image_id in train["image_id"]]
    assert any(expected)

    def area(row):
        return {"pixels": int(synthscars.union_mask(row).sum())}

    def areas(batch):
        return {"pixels": [int(synthscars.union_mask(row).sum()) for row in synthscars.rows(batch)]}

    stream = release.load("raters", streaming=True).filter(lambda row: row["rater_artifacts"] is not None)
    assert train.map(area)["pixels"][:] == expected
    assert train.map(areas, batched=True, batch_size=4)["pixels"][:] == expected
    assert [row["pixels"] for row in stream.map(area)] == expected
    assert [row["pixels"] for row in stream.map(areas, batched=True, batch_size=4)] == expected
    assert train.with_transform(areas)[:]["pixels"] == expected
    few = train.select_columns(["width", "height", "rater_artifacts"])
    assert few.map(area)["pixels"][:] == expected


def test_regions_of_few_decimals_survive_readers_that_round_to_32_bits(release):
    train = release.load("raters").select(release.known)
    index = next(number for number, row in enumerate(train) if row["rater_artifacts"])
    row = train[index]
    for each in row["rater_artifacts"]:
        each["polygons"] = [[round(value, 1) for value in ring] for ring in each["polygons"]]
    one = datasets.Dataset.from_list([row], features=train.features)
    rounded = one.with_format("numpy")[0]
    assert rounded["rater_artifacts"][0]["polygons"][0].dtype == np.float32
    assert np.array_equal(synthscars.masks(rounded), synthscars.masks(one[0]))


# What becomes of them


def test_a_record_as_drawn_is_not_clean_beside_regions_and_its_caption_tells_of_no_others(release):
    found = {}
    for number in release.known:
        record = synthscars.to_record(release.load("raters")[number])
        merged = synthscars.to_record(release.load("default")[number])
        assert merged.caption
        assert record.caption in ("", merged.caption)
        # Merged regions have other words only where somebody drew more, or less.
        found[record.caption == "", merged.status, record.status] = number
    assert {each[2] for each in found if each[1] == "clean"} == {"clean", "annotated"}
    assert {each[0] for each in found} == {False, True}


def test_one_raters_regions_alone_keep_the_caption(release):
    row = next(
        row for row in release.load("default") if row["rater_artifacts"] and len(row["artifacts"]) == 2
    )
    anna = [each for each in row["rater_artifacts"] if each["rater_id"] == "anna"]
    record = synthscars.to_record({**row, "rater_artifacts": anna}, raters=True)
    assert {each.rater_id for each in record.artifacts} == {"anna"}
    assert record.caption == row["caption"]


def test_the_coco_api_gets_the_raters_and_also_who_found_nothing(release):
    nothing = 0
    for row in release.load("raters").select(release.known):
        found = synthscars.to_coco(row, image_id=7)
        drawn = DRAWN[row["image_id"]]
        clean = {each.rater_id for each in drawn.reviews if each.status == "clean"}
        assert set(found["image"]["rater_list"]) == {each.rater_id for each in drawn.artifacts} | clean
        api = COCO()
        api.dataset = {**found, "images": [found["image"]]}
        api.createIndex()
        annotations = api.loadAnns(api.getAnnIds(imgIds=[7]))
        assert [each["rater_id"] for each in annotations] == [each.rater_id for each in drawn.artifacts]
        masks = np.array([api.annToMask(each).astype(bool) for each in annotations])
        assert np.array_equal(masks.reshape(-1, row["height"], row["width"]), by_pycocotools(drawn))
        nothing += bool(clean and drawn.artifacts)
    assert nothing


def test_an_answer_tells_what_every_rater_drew(release):
    row = max(release.load("raters").select(release.known), key=lambda row: len(row["rater_artifacts"]))
    found = synthscars.to_gcg(row)
    count = len(row["rater_artifacts"])
    assert count > 3
    assert found["answer"].count("[SEG]") == len(found["phrases"]) == count
    assert np.array_equal(found["masks"], synthscars.masks(row)[found["positions"]])


def test_a_picture_has_a_key_with_all_who_judged_it(release, monkeypatch):
    from synthscars import drawing

    given = []
    draw_artifacts = drawing.draw_artifacts
    monkeypatch.setattr(
        drawing,
        "draw_artifacts",
        lambda *more, **named: (given.append(named), draw_artifacts(*more, **named))[1],
    )
    row = next(row for row in release.load("raters") if row["rater_artifacts"])
    skipped = {"rater_id": "dora", "status": "skipped", "content_type": None, "scene": "", "seconds": None,
               "extra": "{}"}  # fmt: skip
    drawn = synthscars.draw({**row, "reviews": [*row["reviews"], skipped]})
    assert given.pop()["raters"] == ["anna", "ben", "carla"]
    without = {name: value for name, value in row.items() if name != "reviews"}
    synthscars.draw(without)
    assert given.pop()["raters"] == sorted({each["rater_id"] for each in row["rater_artifacts"]})
    merged = next(each for each in release.load("default") if each["image_id"] == row["image_id"])
    plain = synthscars.draw(merged)
    assert given.pop()["raters"] is None
    assert drawn.width == plain.width
    assert drawn.height > plain.height
    assert drawn.crop((0, 0, *plain.size)).tobytes() != plain.tobytes()


def test_a_row_from_before_there_were_raters_says_so():
    record = changed(sample_record(3, noise_png(3)), reviews=(Review(rater_id="anna", status="annotated"),))
    from synthscars.release import to_row

    row = to_row(record, noise_png(3))
    del row["rater_artifacts"]
    assert synthscars.to_record(row) == record
    with pytest.raises(FormatError, match="rater_artifacts: the row has no such column"):
        synthscars.to_record(row, raters=True)
    assert Image.open(io.BytesIO(row["image"]["bytes"])).size == (48, 32)
