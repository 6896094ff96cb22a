"""What cannot be written is counted by kind and told once."""

import re
from pathlib import Path

import pytest
from converting import changed

import synthscars.converters
from synthscars.converters.losses import EXAMPLES, Losses, check_fields, unexpected
from synthscars.problems import Problems, UsageError
from synthscars.records import ImageRecord

RECORD = ImageRecord(image_id="a" * 64, file_name="a.png", width=2, height=2)


def reported(*counts: tuple) -> list:
    problems = Problems()
    losses = Losses("out.csv", problems)
    for count in counts:
        losses.count(*count)
    losses.report()
    return list(problems)


def test_one_problem_a_kind_says_how_many_and_names_examples() -> None:
    images = [changed(RECORD, image_id=f"{number}", file_name=f"{number}.png") for number in range(5)]
    (said,) = reported(*[("caption", "captions", image) for image in images])
    assert said.code == "loss.caption"
    assert said.count == 5
    assert said.what == "5 captions; for instance 0.png, 1.png, 2.png"
    assert (said.file, said.image, said.severity) == ("out.csv", "0", "info")
    assert said.fix
    assert EXAMPLES == 3


def test_several_losses_of_one_image_name_it_once() -> None:
    (said,) = reported(("artifact.votes", "votes", RECORD, 2), ("artifact.votes", "votes", RECORD))
    assert said.what == "3 votes; for instance a.png"


def test_nothing_lost_is_not_reported() -> None:
    assert reported(("caption", "captions", RECORD, 0)) == []


def test_kinds_of_one_field_are_told_apart() -> None:
    said = reported(("status", "are skipped", RECORD), ("status", "are unlabelled", RECORD))
    assert [one.code for one in said] == ["loss.status", "loss.status"]


def test_an_image_without_a_name_is_named_by_its_id_and_a_long_name_is_cut() -> None:
    (said,) = reported(("caption", "captions", changed(RECORD, file_name="")))
    assert "a" * 64 in said.what
    (said,) = reported(("caption", "captions", changed(RECORD, file_name="x" * 10_000)))
    assert len(said.what) < 200


def test_losses_that_nobody_expects_are_errors_and_the_others_are_not() -> None:
    problems = Problems(reported(("caption", "captions", RECORD), ("split", "splits", RECORD)))
    problems.add("polygon.outside", "reaches out", severity="warning")
    judged = {one.code: one.severity for one in unexpected(problems, ["split"])}
    assert judged == {"loss.caption": "error", "loss.split": "info", "polygon.outside": "warning"}
    assert unexpected(problems, ["split"]).failed
    assert not unexpected(problems, ["split", "caption"]).failed


def test_a_field_that_cannot_be_lost_cannot_be_expected() -> None:
    with pytest.raises(UsageError, match="colour"):
        check_fields(["caption", "colour"])


def test_whatever_a_writer_counts_can_be_expected() -> None:
    folders = [Path(synthscars.converters.__path__[0]), Path(synthscars.__path__[0]) / "release"]
    counted = {
        name
        for folder in folders
        for path in folder.glob("*.py")
        for name in re.findall(r"losses\.count\(\s*\"([a-z_.]+)\"", path.read_text("utf-8"))
    }
    assert {"status", "artifact.rings", "image", "text", "artifact.outline"} <= counted
    check_fields(counted)
