"""What goes away must have been announced; what raters drew before merging is told in numbers."""

import json
from collections.abc import Callable
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from releasing import filled_workspace

from synthscars.cli import main
from synthscars.problems import Problems
from synthscars.release import build_release
from synthscars.release.diff import compare_rows, diff_releases
from synthscars.release.diff_model import (
    Announced,
    ColumnChange,
    FieldChange,
    RaterChange,
    ReleaseDiff,
)
from synthscars.release.diff_raters import compare_raters
from synthscars.release.diff_text import to_markdown

LEFT = [[2.0, 2.0, 12.0, 2.0, 12.0, 12.0, 2.0, 12.0]]
NEARLY_LEFT = [[2.0, 2.0, 12.0, 2.0, 12.0, 11.0, 2.0, 11.0]]
RIGHT = [[30.0, 10.0, 44.0, 10.0, 44.0, 28.0, 30.0, 28.0]]


@pytest.fixture
def releases(tmp_path: Path) -> tuple[Path, Path]:
    """Two equal releases, 1.0.0 and 1.1.0."""
    workspace = filled_workspace(tmp_path / "w", 6)
    for version in ("1.0.0", "1.1.0"):
        build_release(workspace, version, Problems())
    return workspace.release_dir("1.0.0"), workspace.release_dir("1.1.0")


def rewrite(folder: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    for path in (folder / "data").glob("*.parquet"):
        table = change(pq.read_table(path))
        path.unlink()  # it may be shared with another version
        pq.write_table(table, path)


def set_manifest(folder: Path, **fields: object) -> None:
    path = folder / "manifest.json"
    manifest = {**json.loads(path.read_text()), **fields}
    path.unlink()
    path.write_text(json.dumps(manifest))


def diff(before: Path, after: Path) -> tuple[ReleaseDiff, list[tuple[str, str]]]:
    problems = Problems()
    found = diff_releases(before, after, problems)
    return found, [(problem.code, problem.region) for problem in problems]


def without_class(vocabulary: str, name: str) -> Callable[[pa.Table], pa.Table]:
    def change(table: pa.Table) -> pa.Table:
        metadata = json.loads(table.schema.metadata[b"huggingface"])
        features = metadata["info"]["features"]
        for column in ("artifacts", "rater_artifacts"):
            if column in features:
                features[column]["feature"][vocabulary]["names"].remove(name)
        return table.replace_schema_metadata({"huggingface": json.dumps(metadata)})

    return change


# Announced before it goes


def test_a_column_that_is_gone_without_having_been_announced_is_told(releases: tuple[Path, Path]) -> None:
    old, new = releases
    set_manifest(new, version="2.0.0")
    rewrite(new, lambda table: table.drop_columns(["license", "extra"]))
    found, said = diff(old, new)
    assert said == [("schema.not_deprecated", "extra"), ("schema.not_deprecated", "license")]
    assert found.bump.honoured
    set_manifest(old, deprecated={"license": "use source", "extra": "use nothing"})
    assert diff(old, new)[1] == []


def test_a_column_in_a_struct_is_announced_by_itself_or_with_the_whole(releases: tuple[Path, Path]) -> None:
    old, new = releases
    set_manifest(new, version="2.0.0")

    def without_seconds(table: pa.Table) -> pa.Table:
        reviews = [
            [{key: value for key, value in each.items() if key != "seconds"} for each in row]
            for row in table["reviews"].to_pylist()
        ]
        place = table.schema.names.index("reviews")
        return table.set_column(place, "reviews", pa.array(reviews))

    rewrite(new, without_seconds)
    found, said = diff(old, new)
    assert ColumnChange("reviews.seconds", "double", "") in found.columns
    assert ("schema.not_deprecated", "reviews.seconds") in said
    for name in ("reviews.seconds", "reviews"):
        set_manifest(old, deprecated={name: "measure it yourself"})
        assert diff(old, new)[1] == []
    set_manifest(old, deprecated={"review": "not this one", "reviews.second": "nor this"})
    assert ("schema.not_deprecated", "reviews.seconds") in diff(old, new)[1]


def test_a_class_is_told_once_however_many_columns_have_it(releases: tuple[Path, Path]) -> None:
    old, new = releases
    set_manifest(new, version="2.0.0")
    rewrite(new, without_class("subtype", "artistic_style"))
    assert diff(old, new)[1] == [("schema.not_deprecated", "subtype:artistic_style")]
    set_manifest(old, deprecated={"subtype:artistic_style": "use color_texture"})
    assert diff(old, new)[1] == []


def test_nothing_is_promised_below_1_or_without_a_manifest(releases: tuple[Path, Path]) -> None:
    old, new = releases
    rewrite(new, lambda table: table.drop_columns(["license"]))
    set_manifest(new, version="0.9.0")
    set_manifest(old, version="0.8.0")
    assert diff(old, new)[1] == []
    (old / "manifest.json").unlink()
    assert diff(old, new)[1] == []


def test_what_is_newly_announced_asks_for_a_minor_version_and_is_shown_everywhere(
    releases: tuple[Path, Path], tmp_path: Path
) -> None:
    old, new = releases
    set_manifest(old, deprecated={"license": "use source"})
    hostile = "use <b>x</b> | y"
    set_manifest(new, deprecated={"license": "use source", "subtype:deformed": hostile}, version="1.0.1")
    found, said = diff(old, new)
    assert found.deprecated == (Announced("subtype:deformed", hostile),)
    assert (found.empty, found.bump.needed, found.bump.lowest) == (False, "minor", "1.1.0")
    assert said == [("version.too_low", "")]
    text = to_markdown(found)
    assert "## Deprecated\n\n1.\n\n- subtype:deformed: use &lt;b&gt;x&lt;/b&gt; \\| y" in text
    assert "Lowest version that fits: 1.1.0.\n" in text
    command = ["release", "diff", str(old), str(new)]
    result = CliRunner().invoke(main, [*command, "--html", str(tmp_path / "page.html")])
    assert "newly deprecated: subtype:deformed (use <b>x</b> | y)" in result.stdout
    assert "Lowest version that fits: 1.1.0" in result.stdout
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert "use &lt;b&gt;x&lt;/b&gt; | y" in page
    assert "<b>x" not in page
    assert "Lowest version that fits: <strong>1.1.0</strong>" in page
    said_json = json.loads(CliRunner().invoke(main, [*command, "--json"]).stdout)
    assert said_json["deprecated"] == [{"name": "subtype:deformed", "instead": hostile}]


def test_the_next_version_is_proposed_also_if_the_newer_one_has_none_yet(releases: tuple[Path, Path]) -> None:
    old, new = releases
    rewrite(new, lambda table: table.slice(1))
    (new / "manifest.json").unlink()
    found, _ = diff(old, new)
    assert (found.bump.needed, found.bump.lowest, found.bump.honoured) == ("minor", "1.1.0", None)
    assert "Lowest version that fits: 1.1.0." in to_markdown(found)


# What raters drew


def drawn(rater: str, name: str, polygons: list[list[float]], **fields: object) -> dict[str, object]:
    region = {"artifact_id": name, "rater_id": rater, "category": 1, "subtype": None, "polygons": polygons}
    return {**region, "phrase": f"the {name} hand", "explanation": "It has six fingers.", **fields}


def test_every_raters_changes_are_counted_by_kind() -> None:
    before = [
        drawn("anna", "left", LEFT),
        drawn("anna", "right", RIGHT),
        drawn("ben", "left", LEFT),
        drawn("cleo", "left", LEFT),
        drawn("dora", "left", LEFT),
    ]
    after = [
        drawn("anna", "left", NEARLY_LEFT, phrase="the hand"),
        drawn("anna", "right", RIGHT, explanation="It has no thumb."),
        drawn("anna", "new", [[1.0, 20.0, 9.0, 20.0, 9.0, 28.0]]),
        drawn("cleo", "right", RIGHT, phrase="the ear", explanation="It is green."),
        drawn("dora", "left", LEFT),
    ]
    assert compare_raters(before, after, 48, 32) == (
        (
            RaterChange("anna", added=1, removed=0, redrawn=1, corrected=1),
            RaterChange("ben", added=0, removed=1, redrawn=0, corrected=0),
            RaterChange("cleo", added=1, removed=1, redrawn=0, corrected=0),
        ),
        [],
    )


def test_another_order_of_raters_or_of_their_regions_is_no_change() -> None:
    regions = [drawn("anna", "left", LEFT), drawn("ben", "right", RIGHT), drawn("anna", "right", RIGHT)]
    assert compare_raters(regions, regions[::-1], 48, 32) == ((), [])


def test_regions_that_become_known_are_told_in_a_few_words() -> None:
    regions = [drawn("anna", "left", LEFT), drawn("ben", "right", RIGHT), drawn("anna", "right", RIGHT)]
    assert compare_raters(None, regions, 48, 32) == (
        (),
        [FieldChange("rater_artifacts", None, "3 regions of 2 raters")],
    )
    assert compare_raters([], None, 48, 32)[1] == [
        FieldChange("rater_artifacts", "0 regions of 0 raters", None)
    ]
    assert compare_raters(None, None, 48, 32) == ((), [])


def test_damaged_values_of_the_column_harm_nothing() -> None:
    for value in ("text", [None, 3], [{}], [{"rater_id": 5, "polygons": "x"}]):
        compare_raters(value, [drawn("anna", "left", LEFT)], 48, 32)


def test_rows_without_the_column_do_not_differ_in_it() -> None:
    row = {"image_id": "i", "width": 48, "height": 32, "artifacts": []}
    assert compare_rows("i", row, dict(row)).raters == ()


def with_drawn(table: pa.Table) -> pa.Table:
    """What raters drew is what stands."""
    place = table.schema.names.index("rater_artifacts")
    return table.set_column(place, table.schema.field(place), table["artifacts"])


def without_the_last(table: pa.Table) -> pa.Table:
    """As `with_drawn`, but the last region of every image was not drawn, and the first has another text."""
    place = table.schema.names.index("rater_artifacts")
    rows = table["artifacts"].to_pylist()
    for row in rows:
        del row[2:]
        for each in row[:1]:
            each["explanation"] = "something else"
    return table.set_column(
        place, table.schema.field(place), pa.array(rows, type=table.schema.field(place).type)
    )


def test_a_change_of_raters_regions_alone_is_a_patch_and_short(
    releases: tuple[Path, Path], tmp_path: Path
) -> None:
    old, new = releases
    rewrite(old, with_drawn)
    rewrite(new, without_the_last)
    set_manifest(new, version="1.0.1")
    found, said = diff(old, new)
    assert said == []
    assert (found.bump.needed, found.bump.lowest) == ("patch", "1.0.1")
    # Images 1, 2, 3 and 5 of the six have 1, 2, 3 and 1 artifacts.
    changes = sorted((each.file_name, *msgspec.structs.astuple(each.raters[0])) for each in found.changed)
    assert changes == [
        ("image 1.png", "rater-1", 0, 0, 0, 1),
        ("image 2.png", "rater-1", 0, 0, 0, 1),
        ("image 3.png", "rater-1", 0, 1, 0, 1),
        ("image 5.png", "rater-1", 0, 0, 0, 1),
    ]
    text = to_markdown(found)
    line = "regions of rater-1, before merging: 1 removed, 1 with other texts or labels"
    assert f"  - {line}\n" in text
    assert "polygons" not in text
    result = CliRunner().invoke(
        main, ["release", "diff", str(old), str(new), "--html", str(tmp_path / "page.html")]
    )
    assert result.exit_code == 0
    assert line in result.stdout
    assert line in (tmp_path / "page.html").read_text(encoding="utf-8")


def test_an_older_release_without_the_column_can_be_compared(releases: tuple[Path, Path]) -> None:
    old, new = releases
    rewrite(old, lambda table: table.drop_columns(["rater_artifacts"]))
    rewrite(new, with_drawn)
    found, said = diff(old, new)
    assert said == []
    assert found.columns == (ColumnChange("rater_artifacts", "", "list of struct"),)
    assert (found.changed, found.bump.needed) == ((), "minor")


def test_images_of_the_config_detection_are_compared_too(releases: tuple[Path, Path]) -> None:
    old, new = releases
    for folder in releases:
        (folder / "detection").mkdir()
    (path, *_) = sorted((new / "data").glob("train-*.parquet"))
    table = pq.read_table(path)
    columns = ["image", "image_id", "file_name", "width", "height", "license"]
    pq.write_table(table.slice(0, 1).select(columns), new / "detection" / path.name)
    rewrite(new, lambda each: each.slice(1) if each.num_rows == table.num_rows else each)
    rewrite(old, lambda each: each.slice(1) if each.num_rows == table.num_rows else each)
    found, _ = diff(old, new)
    assert [each.image_id for each in found.added] == [table["image_id"][0].as_py()]
