import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.problems import (
    FormatError,
    ImageError,
    PlatformError,
    Problem,
    Problems,
    ReleaseError,
    SynthScarsError,
    UsageError,
    WorkspaceError,
)

severities = st.sampled_from(["error", "warning", "info"])


def test_a_problem_says_where_what_and_what_to_do() -> None:
    problem = Problem(
        code="polygon.no_area",
        what="all points lie on one line",
        fix="draw it again",
        file="train.json",
        image="317",
        region="refs[3]",
    )
    assert problem.where == "train.json, image 317, refs[3]"
    assert str(problem) == (
        "error polygon.no_area: train.json, image 317, refs[3]: all points lie on one line (draw it again)"
    )


def test_what_is_not_known_is_not_said() -> None:
    assert str(Problem(code="a.b", what="odd", severity="info")) == "info a.b: odd"
    assert Problem(code="a.b", what="odd", region="refs[3]").where == "refs[3]"


def test_add_returns_what_it_keeps() -> None:
    problems = Problems()
    first = problems.add("a.b", "odd", file="x.json")
    assert list(problems) == [first]
    assert first.severity == "error"


@given(st.lists(severities, max_size=12))
def test_errors_come_first_and_nothing_else_changes_its_order(found: list) -> None:
    problems = Problems()
    for number, severity in enumerate(found):
        problems.add(f"code.{number}", "what", severity=severity)
    assert len(problems) == len(found)
    assert [problem.code for problem in problems] == [f"code.{number}" for number in range(len(found))]
    ordered = problems.by_severity()
    keys = [(["error", "warning", "info"].index(p.severity), int(p.code.split(".")[1])) for p in ordered]
    assert keys == sorted(keys)
    assert problems.failed == ("error" in found)
    assert problems.counts() == {
        name: found.count(name) for name in ("error", "warning", "info") if name in found
    }


def test_problems_found_elsewhere_are_added_in_order() -> None:
    elsewhere = Problems([Problem(code="b", what="2"), Problem(code="c", what="3")])
    problems = Problems([Problem(code="a", what="1")])
    problems.extend(elsewhere)
    assert [problem.code for problem in problems] == ["a", "b", "c"]


def test_json_leaves_out_what_is_empty() -> None:
    problems = Problems()
    problems.add("a.b", "seen", severity="warning", image="7")
    problems.add("c.d", "worse")
    assert json.loads(json.dumps(problems.to_json())) == [
        {"code": "c.d", "what": "worse"},
        {"code": "a.b", "what": "seen", "severity": "warning", "image": "7"},
    ]


@pytest.mark.parametrize(
    ("kind", "exit_code"),
    [(UsageError, 2), (WorkspaceError, 3), (FormatError, 3), (PlatformError, 3), (ReleaseError, 3)],
)
def test_every_error_is_one_of_ours_with_its_exit_code(kind: type[SynthScarsError], exit_code: int) -> None:
    error = kind("it broke", fix="mend it")
    assert isinstance(error, SynthScarsError)
    assert (str(error), error.message, error.fix, error.exit_code) == (
        "it broke",
        "it broke",
        "mend it",
        exit_code,
    )


def test_an_image_error_is_a_format_error_with_a_code() -> None:
    error = ImageError("it is cut short", code="image.damaged")
    assert isinstance(error, FormatError)
    assert error.code == "image.damaged"
