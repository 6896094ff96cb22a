import json
from collections import Counter
from itertools import pairwise
from pathlib import Path

import gcg_rules
import numpy as np
import pytest
from converting import changed, with_picture
from hypothesis import given, settings
from hypothesis import strategies as st
from nonsense import with_nonsense
from PIL import Image
from strategies import artifacts, records, texts

from synthscars.caption import compose
from synthscars.converters import formats
from synthscars.converters.captions import without_marks
from synthscars.converters.gcg import read, write, write_entry
from synthscars.converters.gcg_grounding import grounding_of, settled
from synthscars.converters.pictures import TargetPictures, by_hash
from synthscars.converters.reading import Where
from synthscars.geometry import to_mask
from synthscars.images import sha256
from synthscars.problems import FormatError, Problems
from synthscars.records import Artifact, ImageRecord

GOLDEN = Path(__file__).parent.parent / "data" / "gcg" / "GranDf_HA_GCG_train.json"
BOX = (4.0, 4.0, 12.5, 4.0, 12.5, 10.0, 4.0, 10.0)
OTHER = (6.0, 6.0, 20.0, 6.0, 20.0, 20.0)


def record(*given: Artifact, **fields: object) -> ImageRecord:
    numbered = [
        changed(one, artifact_id=one.artifact_id or f"a{number}", polygons=one.polygons or (BOX,))
        for number, one in enumerate(given)
    ]
    values = {"image_id": "f" * 64, "file_name": "a.png", "width": 32, "height": 24, "status": "annotated"}
    return ImageRecord(**{**values, "artifacts": tuple(numbered), **fields})


def artifact(phrase: str, explanation: str = "", **fields: object) -> Artifact:
    return Artifact(**{"artifact_id": "", "phrase": phrase, "explanation": explanation, **fields})


def entry_of(one: ImageRecord, problems: Problems | None = None) -> dict:
    where = Where(problems if problems is not None else Problems(), "out.json", one.file_name)
    return json.loads(json.dumps(write_entry(one, "a.png", "", where)))


def sample_of(one: ImageRecord) -> gcg_rules.Sample:
    return gcg_rules.load(entry_of(one), one.width, one.height)


def codes(problems: Problems) -> Counter[str]:
    return Counter(problem.code for problem in problems)


# The layout of GranD-f


def test_a_file_of_grand_f_becomes_records() -> None:
    problems = Problems()
    woman, sign, room = read(GOLDEN, problems)
    assert list(problems) == []
    assert [(one.file_name, one.width, one.height) for one in (woman, sign, room)] == [
        ("000000001.jpg", 32, 24),
        ("000000002.jpg", 24, 32),
        ("000000003.jpg", 16, 16),
    ]
    assert {one.split for one in (woman, sign, room)} == {"train"}
    assert [each.phrase for each in woman.artifacts] == ["a woman", "the left hand", "another hand"]
    assert [each.artifact_id for each in woman.artifacts] == ["0", "1", "2"]
    # The two masks of one phrase are one artifact.
    assert [len(each.polygons) for each in woman.artifacts] == [1, 2, 1]
    hand = to_mask(woman.artifacts[1].polygons, 32, 24)
    expected = np.zeros((24, 32), dtype=bool)
    expected[10:14, 4:8] = expected[10:14, 12:16] = True
    assert np.array_equal(hand, expected)
    # Loaders strip the quotation marks; the caption is kept as it was.
    assert sign.caption == '"A sign on a wall."'
    assert [each.phrase for each in sign.artifacts] == ["a wall", "A sign"]
    # Nobody says that nothing is wrong with it.
    assert (room.status, room.artifacts) == ("unlabelled", ())
    assert woman.extra == {"gcg": {"image_id": 139}}


def test_what_was_read_is_written_as_it_was_for_a_loader(tmp_path) -> None:
    write(read(GOLDEN, Problems()), tmp_path / "again_train.json", Problems())
    original, again = (json.loads(path.read_bytes()) for path in (GOLDEN, tmp_path / "again_train.json"))
    for before, after in zip(original, again, strict=True):
        added = set(after) - set(before)
        assert added <= {"sha256", "original_caption", "width", "height"}
        # Two masks of one phrase are one mask now: the loaders add them up anyway.
        size = Image.open(GOLDEN.parent / "images" / before["file_name"]).size
        expected, found = gcg_rules.load(before, *size), gcg_rules.load(after, *size)
        assert found.answer == expected.answer
        assert all(map(np.array_equal, found.masks, expected.masks))
        assert {key: after[key] for key in ("file_name", "image_id")} == {
            key: before[key] for key in ("file_name", "image_id")
        }
        assert list(after["groundings"]) == list(before["groundings"])
    # Of a phrase with one mask, every byte.
    assert again[1]["groundings"] == original[1]["groundings"]
    assert list(read(tmp_path / "again_train.json", Problems(), images=GOLDEN.parent / "images")) == list(
        read(GOLDEN, Problems())
    )


# What the loaders make of an export


@st.composite
def hard_records(draw: st.DrawFn) -> ImageRecord:
    """Records whose phrases repeat, contain each other, are empty, or hold marks of the tokenizer."""
    awkward = st.sampled_from(
        ["the hand", "the hand of the child", "hand", "", " ", '"', "[SEG]", "<p> a </p>", "a", 'the "hand"']
    )
    said = st.one_of(awkward, texts(12))
    found = [
        changed(one, phrase=draw(said), explanation=draw(said), artifact_id=f"a{number}")
        for number, one in enumerate(draw(st.lists(artifacts(40, 30), max_size=5)))
    ]
    items = [(one.phrase, one.explanation) for one in found]
    caption = draw(
        st.one_of(
            st.just(""),
            st.builds(compose, said, st.just(items)),
            st.builds(compose, said, st.permutations(items)),
            st.just(" ".join(phrase for phrase, _ in items)),
            st.builds(lambda text: f'"{text} {" and ".join(one.phrase for one in found)}" ', said),
            texts(60),
        )
    )
    base = draw(records(max_artifacts=0))
    return changed(
        base,
        width=40,
        height=30,
        caption=caption,
        artifacts=tuple(found),
        status="annotated" if found else "clean",
    )


@given(one=hard_records() | records(max_artifacts=4))
@settings(max_examples=80)
def test_each_artifact_arrives_at_the_loader_with_its_own_words_and_its_own_mask(one: ImageRecord) -> None:
    entry = entry_of(one)
    sample = gcg_rules.load(entry, one.width, one.height)
    shown = [
        (words, to_mask(each.polygons, one.width, one.height).tobytes())
        for each in one.artifacts
        if (words := without_marks(each.phrase if settled(each.phrase) else each.explanation)).strip(
            '" \t\r\n'
        )
        and settled(words)
    ]
    arrived = gcg_rules.phrases(sample.answer)
    # One mask for each [SEG], and no other [SEG] or <p> than those of the masks.
    assert len(arrived) == sample.answer.count("[SEG]") == sample.answer.count("<p>") == len(sample.masks)
    assert all(mask.max(initial=0) <= 1 for mask in sample.masks)
    found = Counter(
        (words, mask.astype(bool).tobytes()) for words, mask in zip(arrived, sample.masks, strict=True)
    )
    # At the very end of a caption, an explanation that stands for its artifact may lose white space.
    assert Counter((settled(words), mask) for words, mask in found.elements()) == Counter(
        (settled(words), mask) for words, mask in shown
    )
    # Without the marks, the answer is the caption.
    assert sample.answer.replace("<p> ", "").replace(" </p> [SEG]", "") == entry["caption"]
    # Spans are apart from each other; keys are unique, and stand in the caption.
    spans = sorted(each["token_positives"] for each in entry["groundings"].values())
    assert all(first[1] <= second[0] for first, second in pairwise(spans))
    assert all(start < end for start, end in spans)
    assert all(key in entry["caption"] for key in entry["groundings"])
    assert len(entry["groundings"]) + len(entry.get("ungrounded", [])) == len(one.artifacts)


def test_equal_phrases_stay_apart() -> None:
    first = artifact("the hand", "It has six fingers.")
    second = artifact("the hand", "It melts.", polygons=(OTHER,))
    entry = entry_of(record(first, second))
    assert list(entry["groundings"]) == ["the hand", "the hand:It"]
    one, two = entry["groundings"].values()
    assert [entry["caption"][slice(*each["token_positives"])] for each in (one, two)] == ["the hand"] * 2
    assert one["token_positives"][1] < two["token_positives"][0]
    assert (one["explanation"], two["explanation"]) == ("It has six fingers.", "It melts.")


def test_a_phrase_in_another_one_has_its_own_place() -> None:
    short = artifact("the hand", "It melts.")
    long = artifact("the hand of the child", "It has six fingers.", polygons=(OTHER,))
    caption = "I see the hand of the child and, behind it, the hand."
    entry = entry_of(record(short, long, caption=caption))
    assert entry["caption"] == caption
    assert sample_of(record(short, long, caption=caption)).answer == (
        "I see <p> the hand of the child </p> [SEG] and, behind it, <p> the hand </p> [SEG]."
    )


def test_a_caption_without_a_phrase_is_composed_and_the_original_kept() -> None:
    one = record(artifact("the left hand", "It has six fingers."), caption="A man waves.")
    entry = entry_of(one)
    assert entry["caption"] == compose("", [("the left hand", "It has six fingers.")])
    assert entry["original_caption"] == "A man waves."


def test_an_artifact_without_a_phrase_stands_where_its_explanation_is() -> None:
    one = record(artifact("", "It has six fingers."))
    assert gcg_rules.phrases(sample_of(one).answer) == ["It has six fingers."]


def test_an_artifact_that_no_loader_can_show_is_reported_and_kept(tmp_path) -> None:
    problems = Problems()
    mute = artifact("", "", artifact_id="mute")
    bare = Artifact(artifact_id="bare", phrase="the sky", explanation="Too blue.")
    one = record(artifact("the hand", "It melts."), mute)
    one = changed(one, artifacts=(bare, *one.artifacts), extra={}, caption="")
    write([one], tmp_path / "out.json", problems)
    lost = [problem for problem in problems if problem.code == "loss.artifact.grounding"]
    assert [(each.severity, each.image, each.region) for each in lost] == [
        ("warning", "a.png", "artifact bare"),
        ("warning", "a.png", "artifact mute"),
    ]
    assert list(read(tmp_path / "out.json", Problems())) == [one]


def test_marks_of_the_tokenizer_are_taken_apart_and_come_back(tmp_path) -> None:
    problems = Problems()
    one = record(artifact("the [SEG] sign", "It says <image>."), caption="")
    write([one], tmp_path / "out.json", problems)
    assert codes(problems) == {"caption.marks": 1}
    (entry,) = json.loads((tmp_path / "out.json").read_bytes())
    assert "the [ SEG ] sign:It says < image >." in entry["caption"]
    assert list(read(tmp_path / "out.json", Problems())) == [one]


def test_many_equal_artifacts_find_a_place_each() -> None:
    many = record(*(artifact("a", "b") for _ in range(300)))
    _, places = grounding_of(many)
    assert len({place.key for place in places if place}) == 300
    assert len({place.span for place in places if place}) == 300


# A folder


def test_a_folder_has_a_file_and_images_for_each_split(tmp_path) -> None:
    known = [
        with_picture(
            record(artifact("the hand", "x"), split=split), tmp_path / "pictures", f"{name}.png", seed
        )
        for seed, (name, split) in enumerate([("a", "train"), ("b", "validation"), ("c", "")])
    ]
    target = tmp_path / "out"
    pictures = TargetPictures(by_hash([tmp_path / "pictures"]))
    assert formats.write(known, target, Problems(), "gcg", pictures=pictures) == 3
    written = sorted(path.relative_to(target).as_posix() for path in target.rglob("*") if path.is_file())
    assert written == [
        "train/annotations/train.json",
        "train/images/a.png",
        "train/images/c.png",
        "validation/annotations/validation.json",
        "validation/images/b.png",
    ]
    assert formats.detect(target).name == "gcg"
    assert formats.detect(target / written[0]).name == "gcg"
    found = {one.image_id: one for one in read(target, Problems())}
    assert found == {one.image_id: one for one in known}


def test_a_picture_that_is_stored_on_its_side_is_reported(tmp_path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    path = tmp_path / "pictures" / "side.jpg"
    path.parent.mkdir()
    Image.new("RGB", (24, 32), "teal").save(path, exif=exif)
    one = record(artifact("the hand", "x"), image_id=sha256(path.read_bytes()))
    problems = Problems()
    write([one], tmp_path / "out", problems, pictures=TargetPictures(by_hash([tmp_path / "pictures"])))
    (problem,) = problems
    assert (problem.code, problem.severity) == ("image.not_upright", "warning")
    assert "24 x 32" in problem.what
    assert "32 x 24" in problem.what


# Files that are not as they should be

GROUNDING = {"token_positives": [0, 6], "rle_masks": [{"size": [12, 16], "counts": "TNT3"}]}


def good() -> dict:
    one = record(artifact("the hand", "It melts."), width=16, height=12, caption="")
    return {**entry_of(one), "file_name": "good.png", "image_id": "a" * 64}


def read_json(folder: Path, content: object) -> tuple[list[ImageRecord], Problems]:
    (folder / "in.json").write_text(json.dumps(content))
    problems = Problems()
    return list(read(folder / "in.json", problems)), problems


def spoiled(**changes: object) -> dict:
    entry = json.loads(json.dumps(good()))
    (grounding,) = entry["groundings"].values()
    grounding.update(changes)
    return {**entry, "file_name": "bad.png", "image_id": "b" * 64}


@pytest.mark.parametrize(
    ("entry", "code", "status"),
    [
        (spoiled(rle_masks=[]), "mask.missing", "annotated"),
        (spoiled(rle_masks=None), "mask.missing", "annotated"),
        (spoiled(rle_masks=[{"size": [12, 16], "counts": ""}]), "mask.wrong", "annotated"),
        (spoiled(rle_masks=[{"size": [12, 16], "counts": "zz"}]), "mask.wrong", "annotated"),
        (spoiled(rle_masks=[{"size": [12, 16], "counts": [5, -1, 188]}]), "mask.wrong", "annotated"),
        (spoiled(rle_masks=[{"size": [10**9, 10**9], "counts": [10**18]}]), "mask.wrong", "annotated"),
        (spoiled(rle_masks=[{"size": [12, 16], "counts": [192]}]), "mask.empty", "annotated"),
        ({**spoiled(), "groundings": ["the hand"]}, "groundings.wrong_type", "annotated"),
        ({**spoiled(), "groundings": {"the hand": None}}, "grounding.wrong_type", "annotated"),
        ({**spoiled(), "ungrounded": [7]}, "grounding.wrong_type", "annotated"),
    ],
)
def test_a_grounding_that_cannot_be_used_is_reported_and_the_rest_read(
    tmp_path, entry: dict, code: str, status: str
) -> None:
    found, problems = read_json(tmp_path, [entry, good()])
    bad, fine = found
    assert codes(problems) == {code: 1}
    (problem,) = problems
    assert problem.severity == "error"
    assert problem.file.endswith("in.json")
    assert problem.image == "bad.png"
    assert problem.fix
    # It still says that something is wrong.
    assert bad.status == status
    assert bad.extra["gcg"]["rejected"]
    assert len(fine.artifacts) == 1


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"token_positives": None}, "span.wrong"),
        ({"token_positives": [5, 2]}, "span.wrong"),
        ({"token_positives": [0, 10**6]}, "span.wrong"),
        ({"token_positives": [True, 6]}, "span.wrong"),
        ({"token_positives": [0, 4]}, "span.differs"),
        ({"polygons": [[0.0, 0.0, 3.0, 0.0, 3.0, 3.0]]}, "mask.differs"),
        ({"polygons": 7}, "polygons.wrong_type"),
        ({"category": "elephant"}, "label.unknown"),
        ({"votes": "many"}, "field.wrong_type"),
    ],
)
def test_what_is_doubtful_is_used_and_reported(tmp_path, changes: dict, code: str) -> None:
    found, problems = read_json(tmp_path, [spoiled(**changes)])
    assert codes(problems) == {code: 1}
    (problem,) = problems
    assert problem.severity == "warning"
    assert problem.region == "groundings['the hand']"
    (one,) = found[0].artifacts
    assert one.phrase == "the hand"
    assert one.polygons


@pytest.mark.parametrize(
    "ring",
    [
        [0.0, 0.0, 3.0, 0.0],
        [0.0, 0.0, 3.0, 0.0, 3.0],
        ["a", 0.0, 3.0, 0.0, 3.0, 3.0],
        [0.0, 0.0, 3.0, 3.0, 6.0, 6.0],
        [float("nan"), 0.0, 3.0, 0.0, 3.0, 3.0],
    ],
)
def test_a_polygon_that_cannot_be_used_is_reported_and_the_mask_counts(tmp_path, ring: list) -> None:
    found, problems = read_json(tmp_path, [spoiled(polygons=[ring])])
    assert [problem.code.partition(".")[0] for problem in problems] == ["polygon"]
    assert np.array_equal(to_mask(found[0].artifacts[0].polygons, 16, 12), to_mask((BOX,), 16, 12))


def test_masks_that_overlap_are_united_and_reported(tmp_path) -> None:
    (grounding,) = good()["groundings"].values()
    found, problems = read_json(tmp_path, [spoiled(rle_masks=grounding["rle_masks"] * 2)])
    assert codes(problems) == {"mask.overlap": 1}
    assert found[0].artifacts[0].polygons == (BOX,)


def test_an_outline_that_covers_no_pixel_is_reported_and_comes_back(tmp_path) -> None:
    thin = artifact("the wire", polygons=((3.1, 3.1, 9.0, 3.1, 9.0, 3.2),))
    problems = Problems()
    given = record(thin, caption="the wire")
    write([given], tmp_path / "out.json", problems)
    assert codes(problems) == {"mask.empty": 1}
    said = Problems()
    (found,) = read(tmp_path / "out.json", said)
    assert found.artifacts == given.artifacts
    assert not said


def test_a_mask_of_another_size_than_the_image_is_refused(tmp_path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (20, 12)).save(tmp_path / "images" / "bad.png")
    Image.new("RGB", (16, 12)).save(tmp_path / "images" / "good.png")
    found, problems = read_json(tmp_path, [spoiled(), good()])
    assert {"mask.other_size", "image.size_differs"} <= set(codes(problems))
    assert [len(one.artifacts) for one in found] == [0, 1]
    assert found[0].status == "annotated"


def test_ids_that_repeat_are_told_apart(tmp_path) -> None:
    two = record(artifact("the hand", "a"), artifact("the sky", "b"), width=16, height=12)
    entry = entry_of(two)
    for grounding in entry["groundings"].values():
        grounding["artifact_id"] = "same"
    found, problems = read_json(tmp_path, [entry])
    assert codes(problems) == {"id.repeated": 1}
    assert [each.artifact_id for each in found[0].artifacts] == ["same", "same-2"]


@pytest.mark.parametrize("entry", [7, None, [], {}, {"file_name": "", "caption": ""}, {"file_name": ".."}])
def test_an_entry_that_names_no_image_is_set_aside(tmp_path, entry: object) -> None:
    found, problems = read_json(tmp_path, [entry, good()])
    assert [one.file_name for one in found] == ["good.png"]
    assert [(problem.code, problem.region) for problem in problems] == [("entry.wrong_type", "entry 0")]


@pytest.mark.parametrize("content", [b"[{", b'{"a": 1}', b"\xff\xfe\x00", b"7", b""])
def test_a_file_that_is_no_list_of_entries_cannot_be_read(tmp_path, content: bytes) -> None:
    (tmp_path / "in.json").write_bytes(content)
    with pytest.raises(FormatError, match=r"in\.json"):
        list(read(tmp_path / "in.json", Problems()))


@given(data=st.data())
def test_nonsense_anywhere_never_stops_the_reader_nor_touches_another_image(tmp_path_factory, data) -> None:
    bad = entry_of(
        record(
            artifact("the hand", "It melts.", category="structure", rater_id="anna"),
            artifact(""),
            width=16,
            height=12,
        )
    )
    data.draw(with_nonsense(bad))
    found, _ = read_json(tmp_path_factory.mktemp("nonsense"), [bad, good()])
    assert found[-1].artifacts[0].phrase == "the hand"
    assert found[-1].image_id == "a" * 64
    problems = Problems()
    for one in found:
        if one.width and one.height:
            write_entry(one, "x.png", "", Where(problems, "out.json"))
