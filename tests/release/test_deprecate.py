"""Versions that should not be used, and columns and classes that are announced before they go."""

import json
import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st
from releasing import filled_workspace, without_figures

from synthscars.cli import main
from synthscars.problems import Problems, ReleaseError, UsageError, WorkspaceError
from synthscars.release import build_release, read_manifest
from synthscars.release.deprecate import (
    DEPRECATED_COLUMNS,
    DEPRECATIONS_NAME,
    Deprecation,
    deprecate,
    deprecated_names,
    deprecation_line,
    deprecations_text,
    read_deprecations,
    replacement,
    undo_deprecation,
)
from synthscars.release.features import DESCRIPTIONS
from synthscars.taxonomy import load_taxonomy, parse_taxonomy
from synthscars.workspace import Workspace


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with three versions, of which two know of an older one that is gone."""
    workspace = without_figures(filled_workspace(tmp_path_factory.mktemp("built") / "w", 4))
    for version in ("0.9.0", "1.0.0", "1.1.0"):
        build_release(workspace, version, Problems())
    shutil.rmtree(workspace.release_dir("0.9.0"))
    return workspace.root


@pytest.fixture
def workspace(built: Path, tmp_path: Path) -> Workspace:
    """A copy of what was built, for a test to change."""
    shutil.copytree(built, tmp_path / "w")
    return Workspace.open(tmp_path / "w")


def say(workspace: Workspace, version: str, **options: str) -> None:
    deprecate(workspace, version, **{"reason": "It is wrong.", **options})


def run(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(
        main, ["release", "deprecate", *arguments, "--workspace", str(workspace.root)], terminal_width=200
    )


def written(workspace: Workspace, content: object) -> Path:
    path = workspace.releases_dir / DEPRECATIONS_NAME
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return workspace.releases_dir


def entry(use: str = "", reason: str = "bad", since: str = "") -> dict[str, str]:
    return {"reason": reason, "use": use, "since": since}


# Versions


def test_what_is_said_is_kept_beside_the_releases_and_changes_none_of_them(workspace: Workspace) -> None:
    def files() -> dict[Path, bytes]:
        paths = [path for path in workspace.releases_dir.rglob("*") if path.is_file()]
        return {path: path.read_bytes() for path in paths if path.name != DEPRECATIONS_NAME}

    before = files()
    say(workspace, "1.0.0", reason="Twelve  images\nhave no licence.", use="1.1.0", since="2027-03-01")
    assert json.loads((workspace.releases_dir / "deprecated.json").read_text()) == {
        "1.0.0": {"reason": "Twelve images have no licence.", "use": "1.1.0", "since": "2027-03-01"}
    }
    assert read_deprecations(workspace.releases_dir) == {
        "1.0.0": Deprecation(reason="Twelve images have no licence.", use="1.1.0", since="2027-03-01")
    }
    assert files() == before
    undo_deprecation(workspace, "1.0.0")
    assert not (workspace.releases_dir / "deprecated.json").exists()
    assert read_deprecations(workspace.releases_dir) == {}


def test_the_order_in_which_versions_are_deprecated_changes_no_byte(workspace: Workspace) -> None:
    build_release(workspace, "1.10.0", Problems())
    contents = []
    for order in (["1.0.0", "1.1.0", "1.10.0"], ["1.10.0", "1.1.0", "1.0.0"]):
        for version in order:
            say(workspace, version)
        contents.append((workspace.releases_dir / "deprecated.json").read_bytes())
        (workspace.releases_dir / "deprecated.json").unlink()
    assert contents[0] == contents[1]
    assert list(json.loads(contents[0])) == ["1.0.0", "1.1.0", "1.10.0"]


def test_saying_it_again_replaces_what_was_said(workspace: Workspace) -> None:
    say(workspace, "1.0.0", use="1.1.0")
    say(workspace, "1.0.0", reason="Another reason.")
    assert read_deprecations(workspace.releases_dir) == {"1.0.0": Deprecation(reason="Another reason.")}


def test_a_version_that_is_gone_can_be_deprecated_if_a_later_one_knew_it(workspace: Workspace) -> None:
    say(workspace, "0.9.0", use="1.0.0")
    with pytest.raises(ReleaseError, match=r"no release 0\.8\.0"):
        say(workspace, "0.8.0")
    with pytest.raises(ReleaseError, match=r"no release 0\.9\.0"):
        say(workspace, "1.0.0", use="0.9.0")  # nobody can use what is gone


def test_what_to_use_instead_must_be_usable(workspace: Workspace) -> None:
    say(workspace, "1.1.0", reason="Worse.")
    with pytest.raises(ReleaseError, match=r"1\.1\.0 is deprecated itself: Worse") as found:
        say(workspace, "1.0.0", use="1.1.0")
    assert found.value.fix == "choose another version, or none"
    build_release(workspace, "1.2.0", Problems())
    say(workspace, "1.1.0", use="1.2.0")
    with pytest.raises(ReleaseError) as found:
        say(workspace, "1.0.0", use="1.1.0")
    assert found.value.fix == "use 1.2.0"
    assert list(read_deprecations(workspace.releases_dir)) == ["1.1.0"]


def test_no_circle_can_be_made(workspace: Workspace) -> None:
    with pytest.raises(UsageError, match="instead of itself"):
        say(workspace, "1.0.0", use="1.0.0")
    say(workspace, "1.0.0", use="1.1.0")
    with pytest.raises(ReleaseError, match=r"1\.0\.0 is deprecated itself"):
        say(workspace, "1.1.0", use="1.0.0")


def test_what_replaced_a_version_and_is_deprecated_later_leads_on_to_its_own_successor(
    workspace: Workspace,
) -> None:
    build_release(workspace, "1.2.0", Problems())
    say(workspace, "1.0.0", use="1.1.0")
    say(workspace, "1.1.0", use="1.2.0")
    found = read_deprecations(workspace.releases_dir)
    assert replacement(found, "1.0.0") == replacement(found, "1.1.0") == "1.2.0"
    say(workspace, "1.2.0")
    assert replacement(read_deprecations(workspace.releases_dir), "1.0.0") == ""
    assert replacement(found, "9.0.0") == "9.0.0"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "deprecated.json"),
        (b"\xff", "deprecated.json"),
        ([], "deprecated.json"),
        ({"1.0.0": "bad"}, "deprecated.json"),
        ({"one": entry()}, "'one' is not a version"),
        ({"1.0.0": entry("../1.1.0")}, "is not a version"),
        ({"1." + "9" * 5000 + ".0": entry()}, "is not a version"),
        ({"1.0.0": entry(reason=" ")}, "no reason"),
        ({"1.0.0": entry("1.0.0")}, "a circle: 1.0.0 → 1.0.0"),
        ({"1.0.0": entry("1.1.0"), "1.1.0": entry("1.0.0")}, "a circle: 1.0.0 → 1.1.0 → 1.0.0"),
    ],
)
def test_a_file_that_somebody_wrote_by_hand_is_refused_where_it_makes_no_sense(
    workspace: Workspace, content: object, message: str
) -> None:
    with pytest.raises(ReleaseError, match=DEPRECATIONS_NAME.replace(".", r"\.")) as found:
        read_deprecations(written(workspace, content))
    assert message in found.value.message
    assert "deprecated.json" in found.value.fix


SOME = ("1.0.0", "1.1.0", "1.2.0", "1.3.0", "2.0.0")


@given(
    st.dictionaries(
        st.sampled_from(SOME),
        st.sampled_from(["", *SOME]),
    )
)
def test_every_file_is_refused_or_leads_to_a_version_that_is_not_deprecated(uses: dict[str, str]) -> None:
    # Independent: a walk that is longer than there are versions never ends.
    circle = any(_walk(uses, start) > len(uses) for start in uses)
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / DEPRECATIONS_NAME).write_text(
            json.dumps({name: entry(use) for name, use in uses.items()})
        )
        if circle:
            with pytest.raises(ReleaseError, match="circle"):
                read_deprecations(Path(folder))
            return
        found = read_deprecations(Path(folder))
    assert set(found) == set(uses)
    assert not {replacement(found, name) for name in found} & set(found)


def _walk(uses: dict[str, str], start: str) -> int:
    steps = 0
    while start in uses and uses[start] and steps <= len(uses):
        start, steps = uses[start], steps + 1
    return steps


def test_a_reason_and_a_real_date_are_asked_for(workspace: Workspace) -> None:
    for options in ({"reason": " "}, {"since": "yesterday"}, {"since": "2027-02-30"}, {"since": "20270301"}):
        with pytest.raises(UsageError):
            say(workspace, "1.0.0", **options)
    with pytest.raises(UsageError):
        say(workspace, "one")
    assert not (workspace.releases_dir / "deprecated.json").exists()


def test_nothing_is_written_while_another_command_holds_the_workspace(workspace: Workspace) -> None:
    with workspace.lock(), pytest.raises(WorkspaceError, match="another synthscars command"):
        deprecate(Workspace.open(workspace.root), "1.0.0", reason="It is wrong.")


def test_the_text_for_the_card_escapes_everything_and_names_what_to_use() -> None:
    hostile = "a | b <img src=x> [x](http://x)\n# no"
    found = {
        "1.0.0": Deprecation(reason=hostile, use="1.1.0"),
        "1.1.0": Deprecation(reason="Old.", use="1.2.0"),
        "1.3.0": Deprecation(reason="why!"),
    }
    text = deprecations_text(found)
    assert text.splitlines() == [
        "| version | use instead | why |",
        "| --- | --- | --- |",
        r"| 1.0.0 | 1.2.0 | a \| b &lt;img src=x&gt; \[x\]\(http://x\) \# no |",
        "| 1.1.0 | 1.2.0 | Old. |",
        r"| 1.3.0 | none | why\! |",
    ]
    dated = {"1.0.0": Deprecation(reason="bad", since="2027-03-01")}
    assert deprecations_text(dated).splitlines()[-1] == "| 1.0.0 | none | 2027-03-01 | bad |"
    assert deprecations_text({}) == ""
    assert deprecation_line(found, "1.1.0") == "Version 1.1.0 is deprecated: Old. Use 1.2.0 instead."
    assert deprecation_line(dated, "1.0.0") == "Version 1.0.0 is deprecated since 2027-03-01: bad."
    assert deprecation_line(found, "2.0.0") == ""


def test_the_command_says_what_it_did_and_takes_it_back(workspace: Workspace) -> None:
    done = run(workspace, "1.0.0", "--reason", "no [bold]licence", "--use", "1.1.0")
    assert (done.exit_code, done.stdout) == (0, "")
    assert "1.0.0 is deprecated; use 1.1.0 instead" in done.stderr
    again = json.loads(run(workspace, "1.0.0", "--reason", "other", "--json").stdout)
    assert again == {"deprecated": {"1.0.0": {"reason": "other", "use": "", "since": ""}}}
    undone = run(workspace, "1.0.0", "--undo")
    assert (undone.exit_code, "not deprecated any more" in undone.stderr) == (0, True)
    assert run(workspace, "1.0.0", "--undo").exit_code == 3


def test_the_command_tells_of_versions_that_led_to_the_one_that_goes(workspace: Workspace) -> None:
    run(workspace, "1.0.0", "--reason", "bad", "--use", "1.1.0")
    done = run(workspace, "1.1.0", "--reason", "worse")
    assert "1.0.0 was to be replaced by 1.1.0: now nothing is left" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["1.0.0"], 2),
        (["1.0.0", "--undo", "--reason", "x"], 2),
        (["one", "--reason", "x"], 2),
        (["9.9.9", "--reason", "x"], 3),
        (["1.0.0", "--reason", "x", "--use", "9.9.9"], 3),
    ],
)
def test_a_call_that_makes_no_sense_ends_with_2_an_unknown_version_with_3(
    workspace: Workspace, arguments: list[str], code: int
) -> None:
    result = run(workspace, *arguments)
    assert (result.exit_code, "error" in result.stderr) == (code, True)


# Columns and classes


def test_nothing_is_deprecated_today_and_a_column_that_is_must_exist() -> None:
    assert deprecated_names() == {}
    assert set(DEPRECATED_COLUMNS) <= set(DESCRIPTIONS)


def test_columns_and_classes_that_are_announced_are_named_with_what_to_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taxonomy = load_taxonomy()

    def announced(entries: tuple, place: int, text: str) -> tuple:
        return tuple(
            msgspec.structs.replace(each, deprecated=text) if at == place else each
            for at, each in enumerate(entries)
        )

    other = msgspec.structs.replace(
        taxonomy,
        categories=announced(taxonomy.categories, 0, "use structure"),
        subtypes=announced(taxonomy.subtypes, 3, "use incomplete_redundant"),
        content_types=announced(taxonomy.content_types, 1, "use scene"),
    )
    monkeypatch.setattr("synthscars.release.deprecate.load_taxonomy", lambda: other)
    monkeypatch.setitem(DEPRECATED_COLUMNS, "artifacts.votes", "count raters")
    assert deprecated_names() == {
        "artifacts.votes": "count raters",
        "category:physics": "use structure",
        "subtype:deformed": "use incomplete_redundant",
        "content_type:object": "use scene",
    }


def test_a_taxonomy_can_announce_what_goes_and_says_nothing_of_it_by_default() -> None:
    text = (files("synthscars.annotation_configs") / "taxonomy.toml").read_text(encoding="utf-8")
    entries = (*load_taxonomy().categories, *load_taxonomy().subtypes, *load_taxonomy().content_types)
    assert {each.deprecated for each in entries} == {""}
    marked = parse_taxonomy(
        text.replace('id = "deformed"\n', 'id = "deformed"\ndeprecated = "use illogical"\n')
    )
    assert marked.subtype("deformed").deprecated == "use illogical"
    assert marked.subtype_ids == load_taxonomy().subtype_ids


def test_a_manifest_from_before_deprecations_is_read(workspace: Workspace) -> None:
    path = workspace.release_dir("1.0.0") / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest.pop("deprecated", None)
    path.write_text(json.dumps(manifest))
    assert read_manifest(path.parent).deprecated == {}
