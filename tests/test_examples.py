"""Helpers for rows of a release: the same from every reader, pixel-equal to pycocotools."""

import io
import json
import pickle
import subprocess
import sys
from types import SimpleNamespace

import datasets
import gcg_rules
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from pycocotools import mask as coco
from pycocotools.coco import COCO
from releasing import changed, filled_workspace, noise_png, sample_record, without_figures

import synthscars
from synthscars.converters.gcg import write_entry
from synthscars.converters.reading import Where
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact
from synthscars.release import build_release, features, to_row
from synthscars.simulate import simulate_image

WIDTH, HEIGHT = 48, 32


@pytest.fixture(scope="module")
def release(tmp_path_factory):
    """A release of 12 images, with every way in which its row with three artifacts can be read."""
    workspace = without_figures(filled_workspace(tmp_path_factory.mktemp("examples") / "my-scars", 12))
    build_release(workspace, "0.1.0", Problems())
    folder = workspace.root / "releases/0.1.0"
    cache = str(tmp_path_factory.mktemp("cache"))

    def load(**options):
        return datasets.load_dataset(str(folder), split="train", cache_dir=cache, **options)

    train = load()
    index = next(number for number, row in enumerate(train) if len(row["artifacts"]) == 3)
    return SimpleNamespace(
        train=train, index=index, row=train[index], stream=load(streaming=True), folder=folder
    )


def table(release):
    (path,) = (release.folder / "data").glob("train-*.parquet")
    return pq.read_table(path)


READERS = {
    "datasets": lambda r: r.train[r.index],
    "datasets, undecoded": lambda r: r.train.cast_column("image", datasets.Image(decode=False))[r.index],
    "datasets as numpy": lambda r: r.train.with_format("numpy", dtype=np.float64)[r.index],
    "datasets as pandas": lambda r: r.train.with_format("pandas")[r.index],
    "datasets as arrow": lambda r: r.train.with_format("arrow")[r.index],
    "a stream": lambda r: list(r.stream)[r.index],
    "a batch": lambda r: list(synthscars.rows(r.train[:]))[r.index],
    "a batch of arrays": lambda r: list(synthscars.rows(r.train.with_format("numpy", dtype=np.float64)[:]))[
        r.index
    ],
    "pandas": lambda r: table(r).to_pandas().iloc[r.index],
    "pandas with types of arrow": lambda r: table(r).to_pandas(types_mapper=pd.ArrowDtype).iloc[r.index],
    "pandas, as tuples": lambda r: list(table(r).to_pandas().itertuples(index=False))[r.index],
    "pandas, all rows": lambda r: list(synthscars.rows(table(r).to_pandas()))[r.index],
    "pyarrow": lambda r: table(r).to_pylist()[r.index],
    "pyarrow, a slice": lambda r: table(r).slice(r.index, 1),
    "pyarrow, a scalar": lambda r: table(r).to_struct_array().chunk(0)[r.index],
    "pyarrow, batches": lambda r: list(synthscars.rows(table(r).to_reader(3)))[r.index],
}


def by_pycocotools(row):
    """Masks the way pycocotools' own `COCO.annToMask` makes them."""
    found = []
    for artifact in row["artifacts"]:
        rles = coco.frPyObjects([list(ring) for ring in artifact["polygons"]], row["height"], row["width"])
        found.append(coco.decode(coco.merge(rles)).astype(bool))
    return np.array(found).reshape(-1, row["height"], row["width"])


@pytest.mark.parametrize("reader", READERS)
def test_every_reader_gives_the_same(release, reader):
    row = READERS[reader](release)
    expected = by_pycocotools(release.row)
    assert expected.any()
    found = synthscars.masks(row)
    assert found.dtype == bool
    assert np.array_equal(found, expected)
    assert np.array_equal(synthscars.union_mask(row), expected.any(axis=0))
    number = int(release.row["file_name"].split()[1].removesuffix(".png"))
    original = sample_record(number, noise_png(number))
    record = synthscars.to_record(row, "train")
    assert record.artifacts == tuple(
        changed(each, votes=found.votes, agreement=found.agreement)
        for each, found in zip(original.artifacts, record.artifacts, strict=True)
    )
    assert (record.generation, record.image_id, record.split) == (
        original.generation, original.image_id, "train",
    )  # fmt: skip
    assert synthscars.to_coco(row) == synthscars.to_coco(release.row)
    gcg = synthscars.to_gcg(row)
    assert gcg["answer"] == synthscars.to_gcg(release.row)["answer"]
    assert np.array_equal(gcg["masks"], expected[gcg["positions"]])
    assert synthscars.draw(row).tobytes() == synthscars.draw(release.row).tobytes()


def test_outlines_of_few_decimals_survive_readers_that_round_to_32_bits():
    # pycocotools multiplies by 5 and adds a half before it cuts: 10.3 is on the edge, 10.30000019 beyond it.
    rng = np.random.default_rng(0)
    artifacts = tuple(
        Artifact(artifact_id=str(number), polygons=(tuple(rng.uniform(0, 500, 20).round(decimals).tolist()),))
        for number, decimals in enumerate([0, 1, 2, 3] * 10)
    )
    record = changed(sample_record(3, b""), width=512, height=512, artifacts=artifacts)
    train = datasets.Dataset.from_list([to_row(record, noise_png(3))], features=features())
    rounded = train.with_format("numpy")[0]
    assert rounded["artifacts"][0]["polygons"][0].dtype == np.float32
    as_rounded = {**train[0], "artifacts": [
        {**each, "polygons": [ring.astype(np.float64) for ring in each["polygons"]]}
        for each in rounded["artifacts"]
    ]}  # fmt: skip
    assert not np.array_equal(synthscars.masks(as_rounded), synthscars.masks(train[0]))
    assert np.array_equal(synthscars.masks(rounded), synthscars.masks(train[0]))


def test_tensors_are_read_as_well():
    torch = pytest.importorskip("torch")
    row = to_row(sample_record(3, noise_png(3)), noise_png(3))
    image = np.asarray(Image.open(io.BytesIO(noise_png(3))))
    tensors = {**row, "image": torch.from_numpy(image.copy()).permute(2, 0, 1), "width": torch.tensor(48)}
    rings = [torch.tensor(ring, dtype=torch.float64) for ring in row["artifacts"][0]["polygons"]]
    tensors["artifacts"] = [{**row["artifacts"][0], "polygons": rings, "category": torch.tensor(1)}]
    assert np.array_equal(synthscars.masks(tensors), by_pycocotools(row)[:1])
    assert synthscars.draw(tensors).size == (576, 384)


def test_channels_may_come_first_or_last_and_grey_images_have_none():
    record = sample_record(3, noise_png(3))
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    row = to_row(record, b"")
    last = synthscars.draw({**row, "image": pixels})
    assert synthscars.draw({**row, "image": pixels.transpose(2, 0, 1)}).tobytes() == last.tobytes()
    grey = synthscars.draw({**row, "image": pixels[:, :, 0]})
    assert synthscars.draw({**row, "image": pixels[None, :, :, 0]}).tobytes() == grey.tobytes()
    assert grey.mode == "RGB"


def test_a_clean_image_has_masks_without_any(release):
    row = next(row for row in release.train if not row["artifacts"])
    assert synthscars.masks(row).shape == (0, HEIGHT, WIDTH)
    assert synthscars.union_mask(row).shape == (HEIGHT, WIDTH)
    assert not synthscars.union_mask(row).any()
    found = synthscars.to_gcg(row)
    assert "[SEG]" not in found["answer"]
    assert found["masks"].shape == (0, HEIGHT, WIDTH)
    assert synthscars.to_coco(row)["annotations"] == []
    picture = row["image"].convert("RGB").resize((576, 384), Image.Resampling.BICUBIC)
    assert synthscars.draw(row, explanations=True).tobytes() == picture.tobytes()


def test_masks_need_no_other_columns_and_decode_no_image(release):
    few = release.train.select_columns(["width", "height", "artifacts"])
    assert np.array_equal(synthscars.masks(few[release.index]), by_pycocotools(release.row))
    row = {**few[release.index], "image": {"bytes": b"nonsense", "path": None}}
    assert synthscars.masks(row).any()


def test_they_work_in_map_with_processes_and_in_batches(release):
    def areas(row):
        return {"pixels": int(synthscars.union_mask(row).sum())}

    def areas_of_batch(batch):
        return {"pixels": [int(synthscars.union_mask(row).sum()) for row in synthscars.rows(batch)]}

    expected = [int(by_pycocotools(row).any(axis=0).sum()) for row in release.train]
    assert any(expected)
    assert release.train.map(areas, num_proc=2)["pixels"][:] == expected
    assert release.train.map(areas_of_batch, batched=True, batch_size=4)["pixels"][:] == expected
    assert [row["pixels"] for row in release.stream.map(areas)] == expected


def test_they_work_as_a_transform(release):
    def with_masks(batch):
        return {"masks": [synthscars.masks(row) for row in synthscars.rows(batch)]}

    found = release.train.with_transform(with_masks)
    assert np.array_equal(found[release.index]["masks"], by_pycocotools(release.row))
    assert [len(each) for each in found[:]["masks"]] == [len(row["artifacts"]) for row in release.train]


def test_a_target_of_map_adds_columns_and_takes_none_away(release):
    found = release.train.map(synthscars.to_gcg)
    assert set(found.column_names) == {
        *release.train.column_names, "answer", "phrases", "masks", "positions",
    }  # fmt: skip
    row = found[release.index]
    assert np.array_equal(np.array(row["masks"])[np.argsort(row["positions"])], by_pycocotools(row))


def test_all_can_be_pickled():
    for name in ("masks", "union_mask", "draw", "to_gcg", "to_coco", "to_record", "rows"):
        function = getattr(synthscars, name)
        assert pickle.loads(pickle.dumps(function)) is function  # noqa: S301


def test_importing_is_light_until_a_name_is_wanted():
    code = (
        "import sys, synthscars; assert 'masks' in dir(synthscars); assert 'numpy' not in sys.modules;"
        "synthscars.masks; assert 'numpy' in sys.modules; assert 'torch' not in sys.modules;"
        "assert 'datasets' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    with pytest.raises(AttributeError, match="nonsense"):
        _ = synthscars.nonsense


# Sizes


def turned_upright():
    """A JPEG that is stored on its side, as phones do: 32 x 48 pixels in the file, 48 x 32 for people."""
    stored = Image.new("RGB", (HEIGHT, WIDTH), "red")
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    stored.save(buffer, "JPEG", exif=exif)
    return buffer.getvalue()


def test_an_image_that_is_stored_on_its_side_is_turned():
    data = turned_upright()
    row = to_row(sample_record(3, data), data)
    assert Image.open(io.BytesIO(data)).size == (HEIGHT, WIDTH)
    assert synthscars.masks(row).shape == (3, HEIGHT, WIDTH)
    drawn = synthscars.draw(row)
    assert drawn.size == (WIDTH * 12, HEIGHT * 12)
    undecoded = {**row, "image": Image.open(io.BytesIO(data))}
    assert synthscars.draw(undecoded).tobytes() == drawn.tobytes()


def test_an_image_on_disk_is_opened(tmp_path):
    path = tmp_path / "image.png"
    path.write_bytes(noise_png(3))
    row = to_row(sample_record(3, noise_png(3)), noise_png(3))
    on_disk = {**row, "image": {"bytes": None, "path": str(path)}}
    assert synthscars.draw(on_disk).tobytes() == synthscars.draw(row).tobytes()


# Targets


def test_the_answer_is_what_the_loaders_make_of_the_converted_file():
    for index in range(8):
        simulated = simulate_image(3, index)
        record = simulated.record
        row = to_row(record, simulated.data)
        entry = write_entry(record, "a.png", "train", Where(Problems(), "file"))
        sample = gcg_rules.load(json.loads(json.dumps(entry)), record.width, record.height)
        found = synthscars.to_gcg(row)
        assert found["answer"] == sample.answer
        assert found["phrases"] == gcg_rules.phrases(sample.answer)
        assert len(found["masks"]) == len(record.artifacts) == found["answer"].count("[SEG]")
        assert all(np.array_equal(a, b) for a, b in zip(found["masks"], sample.masks, strict=True))


def test_masks_follow_the_answer_not_the_row():
    drawn = (simulate_image(3, index).record for index in range(20))
    record = next(record for record in drawn if len(record.artifacts) > 1)
    turned = changed(record, artifacts=record.artifacts[::-1])
    found = synthscars.to_gcg(to_row(turned, b""))
    assert found["phrases"] == [each.phrase for each in record.artifacts]
    assert found["positions"] == list(range(len(record.artifacts)))[::-1]
    assert np.array_equal(found["masks"], synthscars.masks(to_row(record, b"")))


def test_the_coco_api_opens_what_becomes_coco_and_makes_the_same_masks(release, capsys):
    found = synthscars.to_coco(release.row, image_id=7)
    api = COCO()
    api.dataset = {**found, "images": [found["image"]]}
    api.createIndex()
    annotations = api.loadAnns(api.getAnnIds(imgIds=[7]))
    masks = np.array([api.annToMask(each).astype(bool) for each in annotations])
    assert np.array_equal(masks, synthscars.masks(release.row))
    names = release.train.features["artifacts"].feature["category"].names
    assert [api.cats[each["category_id"]]["name"] for each in annotations] == [
        names[artifact["category"]] for artifact in release.row["artifacts"]
    ]


# Errors


def broken(change):
    row = to_row(sample_record(3, noise_png(3)), noise_png(3))
    change(row)
    return row


WRONG = [
    (lambda row: row.pop("height"), "height: the row has no such column"),
    (lambda row: [row.pop("artifacts"), row.pop("rater_artifacts")], "artifacts: the row has no such column"),
    (lambda row: row.update(width=None), "width: None is no number of pixels"),
    (lambda row: row.update(width=-4), "width: -4 is no number of pixels"),
    (lambda row: row.update(width=2**31 - 1, height=2**31 - 1), "width: 2147483647 x 2147483647 pixels are"),
    (lambda row: row.update(artifacts=None), "artifacts: it is NoneType, not a list"),
    (lambda row: row.update(artifacts=[5]), r"artifacts\[0\]: it is int"),
    (lambda row: row["artifacts"][1].update(polygons=None), r"artifacts\[1\]\.polygons: it is NoneType"),
    (lambda row: row["artifacts"][1].pop("polygons"), r"artifacts\[1\]\.polygons: it is NoneType"),
    (lambda row: row["artifacts"][2].update(polygons=[[1, 2, 3]]), r"\[2\]\.polygons\[0\]: .* partner"),
    (lambda row: row["artifacts"][2].update(polygons=[[1, 2, "x", 4]]), r"\[2\]\.polygons\[0\]: not a list"),
    (lambda row: row["artifacts"][0]["polygons"].append([1, 2, float("nan"), 4, 5, 6]), r"\[1\]: .* finite"),
    (lambda row: row["artifacts"][0]["polygons"].append([[1, 2], [3, 4]]), r"\[1\]: .* partner"),
]


@pytest.mark.parametrize(("change", "message"), WRONG)
def test_what_is_wrong_with_outlines_is_said_with_image_and_field(change, message):
    row = broken(change)
    for function in (synthscars.masks, synthscars.union_mask, synthscars.draw, synthscars.to_gcg):
        with pytest.raises(FormatError, match=f"(?s){row['image_id']} .image 3.png.*{message}"):
            function(row)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda row: row.update(status=None), "status: None is none of the 4 classes unlabelled, clean"),
        (lambda row: row.update(origin=7), "origin: 7 is none of the 2 classes synthetic, real"),
        (lambda row: row["artifacts"][1].update(category="magic"), r"artifacts\[1\]\.category: 'magic'"),
        (lambda row: row["artifacts"][1].pop("phrase"), r"artifacts\[1\]\.phrase: there is no such field"),
        (lambda row: row["artifacts"][1].update(phrase=5), r"Expected `str`, got `int`.*artifacts\[1\]"),
        (lambda row: row.update(generation={"seed": 1.8e19}), "generation.tool: there is no such field"),
    ],
)
def test_what_else_is_wrong_is_said_when_it_matters(change, message):
    row = broken(change)
    assert synthscars.masks(row).any()
    with pytest.raises(FormatError, match=f"{row['image_id']}.*{message}"):
        synthscars.to_record(row)


def test_a_seed_that_pandas_rounded_is_not_taken_for_the_seed():
    row = to_row(changed(sample_record(4, noise_png(4))), noise_png(4))
    row["generation"]["seed"] = float(2**63)
    with pytest.raises(FormatError, match=r"generation\.seed: 9223372036854775808 was rounded"):
        synthscars.to_record(row)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ({"bytes": b"nonsense", "path": None}, "not an image in a known format"),
        ({"bytes": None, "path": "/nowhere/image.png"}, "cannot be read"),
        ({"bytes": None, "path": None}, "NoneType is no image"),
        (None, "NoneType is no image"),
        ("image.png", "str is no image"),
        (np.full((HEIGHT, WIDTH, 3), 0.5), "not whole numbers from 0 to 255"),
        (Image.new("RGB", (224, 224)), "it has 224 x 224 pixels, its row says 48 x 32"),
    ],
)
def test_what_is_wrong_with_an_image_is_said_when_it_is_drawn(image, message):
    row = broken(lambda row: row.update(image=image))
    with pytest.raises(FormatError, match=f"{row['image_id']} .image 3.png.: image: .*{message}"):
        synthscars.draw(row)


def test_more_than_one_row_or_none_is_refused(release):
    for many in (release.train[:2], table(release), table(release).to_pandas(), [], release.train):
        with pytest.raises(FormatError, match="where one row of a release is wanted") as caught:
            synthscars.masks(many)
        assert "synthscars.rows" in caught.value.fix
    with pytest.raises(FormatError, match="int is no row"):
        synthscars.masks(5)
    with pytest.raises(FormatError, match="str is no row"):
        synthscars.masks("releases/0.1.0")


def test_labels_may_be_names_and_nulls_may_be_missing_numbers():
    row = to_row(sample_record(3, noise_png(3)), noise_png(3))
    record = synthscars.to_record(row)
    named = {**row, "status": "annotated", "origin": "synthetic", "content_type": "human"}
    named["artifacts"] = [
        {**each, "category": artifact.category, "votes": float("nan"), "agreement": np.nan}
        for each, artifact in zip(row["artifacts"], record.artifacts, strict=True)
    ]
    assert synthscars.to_record(named) == record
    unknown = {**row, "artifacts": [{**row["artifacts"][0], "category": -1, "subtype": pd.NA}]}
    (artifact,) = synthscars.to_record(unknown).artifacts
    assert (artifact.category, artifact.subtype) == (None, None)


# Rows


def test_rows_of_a_batch_decode_only_the_columns_that_are_wanted(release):
    wanted = []

    class Batch(dict):
        def __getitem__(self, name):
            wanted.append(name)
            return super().__getitem__(name)

    batch = Batch(release.train[:3])
    assert len([synthscars.masks(row) for row in synthscars.rows(batch)]) == 3
    assert "image" not in wanted
    assert "artifacts" in wanted


def test_rows_of_rows_are_those_rows(release):
    assert list(synthscars.rows(release.row)) == [release.row]
    ids = [row["image_id"] for row in synthscars.rows(release.train)]
    assert ids == release.train["image_id"][:]
    assert [row["image_id"] for row in synthscars.rows(pa.table({"image_id": ids}))] == ids
