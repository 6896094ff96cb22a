"""The data statement says what the data tell and what the settings say, and invents nothing."""

from releasing import changed, noise_png, sample_record

from synthscars.release.manifest import Manifest
from synthscars.release.statement import data_statement, guideline
from synthscars.release.totals import Totals
from synthscars.settings import ReleaseSettings
from synthscars.taxonomy import load_taxonomy

STATED = ("curation", "language_variety", "annotators", "images", "uses", "personal_data")


def manifest(**fields: object) -> Manifest:
    plain: dict[str, object] = {
        "name": "noise",
        "version": "1.0.0",
        "taxonomy_version": "1.0.0",
        "artifacts": 0,
        "tools": {},
        "inputs": {},
        "settings": {"min_iou": 0.5},
        "splits": {"train": 12},
        "left_out": {"unlabelled": 3},
        "set_aside": {},
        "files": (),
        "images": {},
    }
    return Manifest(**{**plain, **fields})  # type: ignore[arg-type]


def totals() -> Totals:
    found = Totals()
    for seed in range(12):
        found.add(changed(sample_record(seed, noise_png(seed)), split="train"))
    return found


def test_what_nobody_stated_is_not_stated_and_it_is_said_where_to_state_it() -> None:
    text = data_statement(manifest(), totals(), ReleaseSettings())
    assert text.count("*Not stated.*") == len(STATED)
    for name in STATED:
        assert f"State it as `{name}` under `[release]` in `synthscars.toml`" in text


def test_what_is_stated_stands_in_its_section() -> None:
    settings = ReleaseSettings(**{name: f"Words about {name}." for name in STATED})
    text = data_statement(manifest(), totals(), settings)
    assert "Not stated" not in text
    sections = dict(part.split("\n", 1) for part in text.split("\n## ")[1:])
    escaped = {name: f"Words about {name}.".replace("_", "\\_") for name in STATED}
    for name, section in {
        "curation": "A. Curation rationale",
        "language_variety": "B. Language variety",
        "annotators": "C. Annotators",
        "images": "D. How the images came about",
        "uses": "G. Uses and misuse",
        "personal_data": "H. Personal data",
    }.items():
        assert escaped[name] in sections[section]


def test_the_numbers_are_those_of_the_data() -> None:
    text = data_statement(manifest(), totals(), ReleaseSettings())
    assert "12 images that somebody looked at" in text
    assert "Left out of what had a record: unlabelled 3." in text
    assert "1 annotator took part (12 images by 1)." in text
    assert "automatic1111 model-" in text
    assert "licence CC0-1.0: 6 images" in text


def test_of_converted_annotations_nothing_is_said_about_who_made_them() -> None:
    text = data_statement(manifest(settings={}), totals(), ReleaseSettings())
    assert "speakers and annotators in one" not in text
    assert "its source has to tell" in text


def test_markup_of_settings_and_data_is_only_text() -> None:
    settings = ReleaseSettings(
        pretty_name="<b>x</b>", curation="# no heading\n\n- no list\n\n<script>x</script> [a](b)"
    )
    strange = Totals()
    record = changed(
        sample_record(1, noise_png(1)), split="train", source="<i>`x`|", license="[l](http://x.invalid)"
    )
    strange.add(record)
    text = data_statement(manifest(left_out={"<u>": 1}), strange, settings)
    for markup in ("<b>", "<script>", "<i>", "<u>", "[l](", "[a](", "\n# no", "\n- no"):
        assert markup not in text
    assert "\\# no heading\n\n\\- no list" in text


def test_the_guideline_has_the_definitions_of_all_subtypes() -> None:
    text = guideline()
    assert "[taxonomy]" not in text
    assert text.startswith("# How to mark artifacts")
    for subtype in load_taxonomy().subtypes:
        assert f"- **{subtype.name}**: " in text


def test_of_a_scrubbed_release_it_is_not_said_that_everything_is_as_it_came() -> None:
    kept = data_statement(manifest(), totals(), ReleaseSettings())
    assert "The image files are the originals, byte for byte." in kept
    assert "are as they came" in kept
    scrubbed = manifest(settings={"min_iou": 0.5, "scrubbed": True}, scrubbed={"0" * 64: "1" * 64})
    text = data_statement(scrubbed, totals(), ReleaseSettings())
    assert "Of 1 image file the metadata are without personal data" in text
    assert "was taken out of texts" in text
    assert "are as they came" not in text
