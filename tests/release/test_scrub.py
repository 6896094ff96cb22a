"""Personal data are taken out of records; what is not personal stays."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st
from releasing import changed, noise_png, sample_record

from synthscars import caption
from synthscars.records import Artifact, Generation, ImageRecord, Review, decode_record, encode_record
from synthscars.release.check.personal import record_findings
from synthscars.release.scrub import scrub_record

SECRETS = (
    "/home/annabelle/m/x.pt",
    r"C:\Users\annabelle\x.pt",
    "annabelle@example.org",
    "hf_annabelle" + "aB3" * 10,
)


def record_with(secret: str) -> ImageRecord:
    """A record that has the secret in every text that is free."""
    artifacts = tuple(
        Artifact(
            artifact_id=f"region-{number}",
            polygons=((1.0, 1.0, 9.0, 1.0, 9.0, 9.0),),
            phrase=f"the sign {number} with {secret} on it",
            explanation=f"{secret} is no name of a shop.",
            rater_id="rater-1",
            extra={"by": [secret], secret: number},
        )
        for number in range(2)
    )
    scene = f"A shop by {secret}"
    return ImageRecord(
        image_id="0" * 64,
        file_name=f"C:\\pictures\\{secret} 1.png",
        width=10,
        height=10,
        status="annotated",
        artifacts=artifacts,
        caption=caption.compose(scene, [(each.phrase, each.explanation) for each in artifacts]),
        reviews=(Review(rater_id="rater-1", status="annotated", scene=scene, extra={"note": secret}),),
        generation=Generation(
            tool=secret,
            prompt=f"a shop, {secret}",
            seed=7,
            loras=(secret,),
            parameters={"vae": secret},
            raw={
                "prompt": json.dumps({"1": {"inputs": {"image": secret, "seed": 7}}}),
                "parameters": f"a shop\nModel: {secret}, Steps: 20",
                "exif:Artist": "Annabelle",
            },
        ),
        source=f"pictures/{secret}",
        license=f"CC0-1.0 {secret}",
        extra={"from": {"file": secret}},
    )


@given(st.sampled_from(SECRETS))
def test_nothing_personal_is_left_in_any_text_of_a_record(secret: str) -> None:
    found, findings = scrub_record(record_with(secret))
    assert b"annabelle" not in encode_record(found).lower()
    assert len({each.place for each in findings}) >= 18
    assert "annabelle" not in str(findings)
    assert record_findings(found) == ()
    assert scrub_record(found) == (found, ())
    assert decode_record(encode_record(found)) == found


@given(st.sampled_from(SECRETS), st.permutations(range(2)))
def test_the_caption_stays_that_of_the_artifacts_in_whatever_order(secret: str, order: list[int]) -> None:
    record = record_with(secret)
    pairs = [(record.artifacts[index].phrase, record.artifacts[index].explanation) for index in order]
    found, _ = scrub_record(changed(record, caption=caption.compose(record.reviews[0].scene, pairs)))
    items = [(each.phrase, each.explanation) for each in found.artifacts]
    assert not caption.contradicts(found.caption, items)
    assert None not in caption.ground(found.caption, items)
    assert found.caption == caption.compose(found.reviews[0].scene, [items[index] for index in order])


def test_json_of_a_generator_stays_json_with_its_other_values() -> None:
    found, _ = scrub_record(record_with(SECRETS[1]))
    assert found.generation is not None
    assert json.loads(found.generation.raw["prompt"]) == {
        "1": {"inputs": {"image": "[path]/x.pt", "seed": 7}}
    }
    assert found.generation.raw["parameters"] == "a shop\nModel: [path]/x.pt, Steps: 20"


def test_of_the_name_of_a_file_the_folders_go() -> None:
    record = sample_record(3, noise_png(3))
    for name in ("outputs/2024/x.png", "outputs\\2024\\x.png", "x.png"):
        assert scrub_record(changed(record, file_name=name))[0] == changed(record, file_name="x.png")


def test_a_record_without_personal_data_is_the_same_one() -> None:
    record = sample_record(3, noise_png(3))
    assert scrub_record(record)[0] is record


def test_raters_get_other_names_only_if_some_are_given() -> None:
    record = sample_record(3, noise_png(3))
    found, findings = scrub_record(record, raters={"rater-1": "b", "other": "c"})
    assert found.raters == ("b",)
    assert {each.rater_id for each in found.artifacts} == {"b"}
    assert findings == ()
