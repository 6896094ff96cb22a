from hashlib import sha256
from pathlib import Path

import pytest
from official import defective

from synthscars.converters.synthscars_json import annotation_files, read
from synthscars.problems import Problem, Problems
from synthscars.published import counts
from synthscars.published.counts import PUBLISHED, Published, SplitCounts, compare, count


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return defective(tmp_path_factory.mktemp("counts") / "SynthScars")


def _compare(folder: Path) -> tuple[dict[str, SplitCounts], list[Problem]]:
    problems = Problems()
    found = count(list(read(folder, Problems())), {})
    return compare(annotation_files(folder), found, problems), list(problems)


def test_counts_are_those_of_the_files(folder: Path) -> None:
    records = list(read(folder, Problems()))
    twin, other = (record.image_id for record in records[:2])
    found = count(records, {other: twin, twin: twin})
    assert found["train"] == SplitCounts(
        annotations=15, file_names=14, images=13, pictures=12, annotated_again=3, refs=17, artifacts=16
    )
    assert found["test"] == SplitCounts(
        annotations=2, file_names=2, images=2, pictures=2, annotated_again=0, refs=2, artifacts=2
    )


def test_other_bytes_are_not_compared_and_that_is_said(folder: Path) -> None:
    found, problems = _compare(folder)
    assert [problem.code for problem in problems] == ["counts.not_published"] * 2
    assert "94100c0b" in problems[0].what
    assert not found["train"].published


def test_the_published_bytes_are_compared_with_what_is_known_of_them(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digests = {file.split: sha256(file.content).hexdigest()[:8] for file in annotation_files(folder)}
    known = {
        "train": Published(digests["train"], {"annotations": 15, "pictures": 11, "refs": 17}, 16),
        "test": Published(digests["test"], {"annotations": 2, "refs": 2}, 2),
    }
    monkeypatch.setattr(counts, "PUBLISHED", known)
    found, problems = _compare(folder)
    assert [problem.code for problem in problems] == ["counts.differ", "counts.paper"]
    assert problems[0].what == "13 pictures, and 11 are known of this file"
    assert problems[1].what == "17 refs in the file, 16 in the paper"
    assert (found["train"].published, found["train"].paper) == (True, 16)
    assert (found["test"].published, found["test"].paper) == (True, 2)


def test_the_known_counts_add_up_to_those_of_the_paper() -> None:
    assert sum(known.paper for known in PUBLISHED.values()) == 26_566
    assert sum(known.counts["annotations"] for known in PUBLISHED.values()) == 12_236
