"""Where images were in earlier releases."""

from __future__ import annotations

from synthscars.release.following import Place, places
from synthscars.release.manifest import ImageEntry, Manifest
from synthscars.release.shards import Shard


def manifest(
    images: dict[str, ImageEntry],
    *,
    detection: dict[str, ImageEntry] | None = None,
    scrubbed: dict[str, str] | None = None,
    key: str = "k",
) -> Manifest:
    file = Shard(
        path="data/train-00000.parquet", split="train", rows=1, bytes=1, arrow_bytes=1, sha256="0", key=key
    )
    return Manifest(
        name="n",
        version="1.0.0",
        taxonomy_version="1",
        artifacts=0,
        tools={},
        inputs={},
        settings={},
        splits={},
        left_out={},
        set_aside={},
        files=(file,),
        images=images,
        detection_images=detection or {},
        scrubbed=scrubbed or {},
    )


def test_the_newest_release_with_an_image_says_where_it_was_and_only_the_newest_of_all_its_file() -> None:
    found = places(
        [
            manifest({"a": ImageEntry("test", "a", 3), "b": ImageEntry("train", "b", 4)}),
            manifest({"a": ImageEntry("validation", "g", 5)}),
        ]
    )
    assert found == {
        "a": Place("validation", "g", 5, labelled=True),
        "b": Place("train", "b", None, labelled=True),
    }
    assert places([]) == {}


def test_a_release_from_before_files_kept_their_images_tells_splits_but_no_files() -> None:
    assert places([manifest({"a": ImageEntry("test", "a", 0)}, key="")]) == {
        "a": Place("test", "a", None, labelled=True)
    }


def test_a_photograph_that_is_annotated_later_was_in_detection_alone() -> None:
    photographs = {"a": ImageEntry("test", "a", 0)}
    assert not places([manifest({}, detection=photographs)])["a"].labelled
    assert places([manifest({}, detection=photographs), manifest(photographs)])["a"].labelled
    assert not places([manifest(photographs), manifest({}, detection=photographs)])["a"].labelled


def test_an_image_is_found_whether_it_was_scrubbed_then_or_is_now() -> None:
    at = ImageEntry("test", "g", 2)
    place = Place("test", "g", 2, labelled=True)
    then = manifest({"clean": at}, scrubbed={"clean": "personal"})
    assert places([then]) == {"clean": place, "personal": place}
    assert places([then], {"clean": "personal"}) == {"clean": place, "personal": place}
    assert places([manifest({"personal": at})]) == {"personal": place}
    assert places([manifest({"personal": at})], {"clean": "personal"}) == {"clean": place, "personal": place}


def test_another_way_of_scrubbing_gives_an_image_a_third_id_and_the_same_place() -> None:
    then = manifest({"clean 1": ImageEntry("test", "g", 2)}, scrubbed={"clean 1": "personal"})
    assert places([then], {"clean 2": "personal"})["clean 2"] == Place("test", "g", 2, labelled=True)


def test_the_newest_release_counts_under_whatever_id_it_has_the_image() -> None:
    scrubbed = manifest({"clean": ImageEntry("test", "g", 1)}, scrubbed={"clean": "personal"})
    not_scrubbed = manifest({"personal": ImageEntry("test", "g", 7)})
    for newest in (scrubbed, not_scrubbed):
        shard = next(iter(newest.images.values())).shard
        older = not_scrubbed if newest is scrubbed else scrubbed
        found = places([older, newest], {"clean": "personal"})
        assert found["clean"].shard == found["personal"].shard == shard
