"""Properties of the plan of files, whatever versions follow each other."""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from synthscars.release import plan
from synthscars.release.plan import Planned, plan_split

LIMIT = 100
"""Instead of 400 MB, so that small numbers fill files."""

SIZES = st.dictionaries(st.text("abcdef0123", min_size=1, max_size=4), st.integers(1, 150), max_size=40)


def planned(sizes: dict[str, int], images: list[str], earlier: dict[str, int]) -> list[Planned]:
    with patch.object(plan, "SHARD_BYTES", LIMIT):
        return plan_split("data", "train", images, sizes.__getitem__, earlier)


def numbers(files: list[Planned]) -> dict[str, int]:
    return {image: file.number for file in files for image in file.images}


@st.composite
def two_versions(draw: st.DrawFn) -> tuple[dict[str, int], list[Planned], list[str]]:
    """Sizes of all images, the files of a version, and the images of the next one."""
    sizes = draw(SIZES)
    names = sorted(sizes)
    before: list[Planned] = []
    for _ in range(draw(st.integers(0, 4))):
        chosen = [name for name in names if draw(st.booleans())]
        before = planned(sizes, chosen, numbers(before))
    return sizes, before, [name for name in names if draw(st.integers(0, 3))]


@given(two_versions())
def test_every_image_is_in_one_file_and_files_are_named_by_their_numbers(
    versions: tuple[dict[str, int], list[Planned], list[str]],
) -> None:
    sizes, before, images = versions
    files = planned(sizes, images, numbers(before))
    assert sorted(image for file in files for image in file.images) == sorted(images)
    assert files, "a split has at least one file"
    assert [file.number for file in files] == sorted({file.number for file in files})
    for file in files:
        assert file.path == f"data/train-{file.number:05d}.parquet"
        assert file.images == sorted(file.images)
        assert file.images or files == [file]


@given(two_versions())
def test_an_old_image_stays_in_its_file_unless_that_is_no_larger_than_what_is_new(
    versions: tuple[dict[str, int], list[Planned], list[str]],
) -> None:
    sizes, before, images = versions
    earlier = numbers(before)
    after = {file.number: file.images for file in planned(sizes, images, earlier)}
    new = sum(sizes[image] for image in images if image not in earlier)
    moved = 0
    for file in before:
        left = [image for image in file.images if image in images]
        if left and after.get(file.number) != left:
            moved += sum(map(sizes.__getitem__, left))
    assert moved <= new


@given(two_versions())
def test_at_most_twice_the_bytes_that_are_new_are_written_and_none_if_none_is_new(
    versions: tuple[dict[str, int], list[Planned], list[str]],
) -> None:
    sizes, before, images = versions
    earlier = numbers(before)
    new = [image for image in images if image not in earlier]
    # What only lost images is written anyway, so it is compared with the same files without the lost ones.
    there = {tuple(image for image in file.images if image in images) for file in before}
    files = planned(sizes, images, earlier)
    written = [file for file in files if file.images and tuple(file.images) not in there]
    assert sum(sizes[image] for file in written for image in file.images) <= 2 * sum(map(sizes.get, new))


@given(two_versions(), st.data())
def test_removing_images_touches_only_the_files_they_were_in(
    versions: tuple[dict[str, int], list[Planned], list[str]], data: st.DataObject
) -> None:
    sizes, before, _ = versions
    images = [image for file in before for image in file.images]
    gone = {image for image in images if data.draw(st.booleans())}
    after = planned(sizes, [image for image in images if image not in gone], numbers(before))
    kept = {file.path: file.images for file in after}
    for file in before:
        left = [image for image in file.images if image not in gone]
        if left:
            assert kept[file.path] == left
    assert len([file for file in after if file.images]) <= len(before)


@given(two_versions(), st.randoms(use_true_random=False))
def test_the_order_in_which_images_come_decides_nothing(
    versions: tuple[dict[str, int], list[Planned], list[str]], random: object
) -> None:
    sizes, before, images = versions
    shuffled = list(images)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    earlier = dict(sorted(numbers(before).items(), reverse=True))
    assert planned(sizes, shuffled, earlier) == planned(sizes, images, numbers(before))


@given(two_versions())
def test_no_file_is_larger_than_the_limit_unless_one_image_is(
    versions: tuple[dict[str, int], list[Planned], list[str]],
) -> None:
    sizes, before, images = versions
    for file in planned(sizes, images, numbers(before)):
        assert len(file.images) <= 1 or sum(sizes[image] for image in file.images) <= LIMIT


@given(two_versions())
def test_a_version_without_changes_has_the_files_of_the_one_before(
    versions: tuple[dict[str, int], list[Planned], list[str]],
) -> None:
    sizes, before, _ = versions
    images = [image for file in before for image in file.images]
    if images:
        assert planned(sizes, images, numbers(before)) == before


def versions_of_one_size(count: int, new: int) -> list[list[Planned]]:
    """Versions that each add `new` images of one byte."""
    sizes: dict[str, int] = {}
    found: list[list[Planned]] = [[]]
    for version in range(count):
        sizes |= dict.fromkeys((f"{version:04d}-{number:04d}" for number in range(new)), 1)
        found.append(planned(sizes, list(sizes), numbers(found[-1])))
    return found[1:]


def test_versions_that_add_as_much_each_time_leave_one_file_for_every_two_of_them() -> None:
    for new in (1, 7, 25):
        for number, files in enumerate(versions_of_one_size(40, new), start=1):
            full = number * new // LIMIT
            assert full <= len(files) <= (number + 1) // 2 + 1
    assert len(versions_of_one_size(40, 1)[-1]) == 20


def test_a_large_version_after_many_small_ones_takes_them_along() -> None:
    sizes = {f"{number:04d}": 1 for number in range(10)}
    files: list[Planned] = []
    for count in range(1, 11):
        files = planned(sizes, sorted(sizes)[:count], numbers(files))
    assert len(files) == 5
    sizes |= {f"x{number}": 1 for number in range(10)}
    assert len(planned(sizes, list(sizes), numbers(files))) == 1
