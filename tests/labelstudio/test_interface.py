from typing import Any
from xml.etree import ElementTree

import msgspec
import pytest

from synthscars.converters.labelstudio_tasks import (
    CATEGORY,
    CONFIDENCE,
    CONTENT_TYPE,
    EXPLANATION,
    IMAGE,
    NO_ARTIFACT,
    PHRASE,
    PROMPT,
    SCENE,
    SKIP_REASON,
    SUBTYPE_PREFIX,
    results,
)
from synthscars.labelstudio.interface import confidences, label_config, skip_reasons
from synthscars.records import Artifact, Review
from synthscars.settings import PlatformSettings
from synthscars.taxonomy import Taxonomy, load_taxonomy

TAXONOMY = load_taxonomy()


def nasty(taxonomy: Taxonomy) -> Taxonomy:
    """The taxonomy with markup in its texts."""
    first, *others = taxonomy.categories
    spoiled = msgspec.structs.replace(
        first, name='"><script>x</script>', definition="<img src=x onerror=alert(1)> & more"
    )
    return msgspec.structs.replace(taxonomy, categories=(spoiled, *others))


def control(config: str, name: str) -> ElementTree.Element:
    found = ElementTree.fromstring(config).find(f".//*[@name='{name}']")
    assert found is not None, name
    return found


def choices(element: ElementTree.Element) -> dict[str | None, str | None]:
    return {choice.get("alias"): choice.get("hotkey") for choice in element}


def test_every_word_of_the_taxonomy_can_be_chosen_by_its_key() -> None:
    config = label_config(TAXONOMY)
    assert choices(control(config, CATEGORY)) == {one.id: one.hotkey for one in TAXONOMY.categories}
    assert choices(control(config, CONTENT_TYPE)) == {one.id: one.hotkey for one in TAXONOMY.content_types}
    for category in TAXONOMY.categories:
        found = control(config, SUBTYPE_PREFIX + category.id)
        assert choices(found) == {one.id: one.hotkey for one in TAXONOMY.subtypes_of(category.id)}
        assert found.get("whenTagName") == CATEGORY
        assert found.get("whenLabelValue") == category.id


def test_colours_are_the_taxonomys() -> None:
    labels = control(label_config(TAXONOMY), CATEGORY)
    assert [label.get("background") for label in labels] == [one.color for one in TAXONOMY.categories]


def test_labels_stand_above_the_image() -> None:
    names = [element.get("name") for element in ElementTree.fromstring(label_config(TAXONOMY)).iter()]
    assert names.index(CATEGORY) < names.index(IMAGE)


def test_texts_of_a_region_are_required_and_belong_to_the_region() -> None:
    config = label_config(TAXONOMY)
    for name in (PHRASE, EXPLANATION):
        element = control(config, name)
        assert element.tag == "TextArea"
        assert element.get("perRegion") == element.get("required") == "true"
    for name in (SCENE, NO_ARTIFACT, CONTENT_TYPE):
        assert control(config, name).get("perRegion") is None


def test_no_hotkey_is_used_twice() -> None:
    root = ElementTree.fromstring(label_config(TAXONOMY))
    keys = [element.get("hotkey") for element in root.iter() if element.get("hotkey")]
    assert len(keys) == len(set(keys))


@pytest.mark.parametrize("taxonomy", [TAXONOMY, nasty(TAXONOMY)], ids=["ours", "nasty"])
def test_label_studios_own_validator_accepts_the_interface(taxonomy: Taxonomy) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    found = interface.LabelInterface(label_config(taxonomy))
    found.validate()
    assert found.get_control(CATEGORY).labels == list(taxonomy.category_ids)


def test_label_studios_own_validator_accepts_what_we_write_for_the_interface() -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface").LabelInterface(label_config(TAXONOMY))
    artifacts = [
        Artifact(
            artifact_id=subtype.id,
            category=subtype.category,
            subtype=subtype.id,
            polygons=((1.0, 1.0, 9.0, 1.0, 9.0, 9.0), (0.0, 0.0, 3.0, 3.0, 0.0, 3.0)),
            phrase="the left hand",
            explanation="It has six fingers.",
        )
        for subtype in TAXONOMY.subtypes
    ]
    for content_type in TAXONOMY.content_types:
        review = Review(rater_id="x", status="clean", content_type=content_type.id, scene="A scene.")
        items = results(artifacts, review, 10, 10)
        assert interface.validate_prediction({"result": items}, return_errors=True) == []
    items[0]["value"]["polygonlabels"] = ["unheard of"]
    assert len(interface.validate_prediction({"result": items}, return_errors=True)) == 1


def test_how_sure_and_why_skipped_have_keys_of_their_own() -> None:
    config = label_config(TAXONOMY)
    assert choices(control(config, CONFIDENCE)) == dict(zip(confidences(), "456", strict=True))
    assert control(config, CONFIDENCE).get("perRegion") == "true"
    assert control(config, SKIP_REASON).get("perRegion") is None
    assert list(choices(control(config, SKIP_REASON))) == list(skip_reasons())
    # Keys of the editor itself: pan, move, polygon, unselect.
    assert not {"h", "v", "p", "u"} & {
        key for found in ElementTree.fromstring(config).iter("Choice") if (key := found.get("hotkey"))
    }


def test_the_prompt_is_shown_only_if_it_is_allowed() -> None:
    assert "$prompt" not in label_config(TAXONOMY)
    assert (
        control(label_config(TAXONOMY, PlatformSettings(show_prompt=True)), PROMPT).get("value") == "$prompt"
    )


@pytest.mark.parametrize("shape", ["rectangle", "ellipse", "brush", "magicwand"])
def test_other_shapes_share_the_labels_and_their_keys(shape: Any) -> None:
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    config = label_config(TAXONOMY, PlatformSettings(shapes=("polygon", shape)))
    interface.LabelInterface(config).validate()
    assert control(config, CATEGORY).tag == "Labels"
    assert control(config, shape).tag.lower() == shape
    assert choices(control(config, CATEGORY)) == {one.id: one.hotkey for one in TAXONOMY.categories}
