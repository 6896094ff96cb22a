"""What is said against versions goes where they are published, and is told to whoever gets them."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner
from hub import WRITER, Hub, contents, two_releases

from synthscars.cli import main
from synthscars.problems import Problems, ReleaseError
from synthscars.release.publish import get_release, parse_target, publish_release, published_versions
from synthscars.release.publish.send import Options

REPO = "org/scars"


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return two_releases(tmp_path_factory.getbasetemp())


@pytest.fixture
def here(releases: tuple[Path, Path], tmp_path: Path) -> Path:
    """The releases of a workspace, 1.0.0 deprecated."""
    for folder in releases:
        shutil.copytree(folder, tmp_path / "here" / folder.name)
    say(tmp_path / "here", "1.0.0", use="1.1.0")
    return tmp_path / "here"


@pytest.fixture(params=["folder", "bucket", "hub"])
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    if request.param == "hub":
        hub = request.getfixturevalue("hub")
        yield REPO, {"endpoint": hub.endpoint, "token": WRITER}
        return
    memory = fsspec.filesystem("memory")
    memory.store.clear()
    yield ("memory://said" if request.param == "bucket" else str(tmp_path / "out")), {}
    memory.store.clear()


def say(releases: Path, version: str, use: str = "", reason: str = "no licence") -> None:
    text = json.dumps({version: {"reason": reason, "use": use}})
    (releases / "deprecated.json").write_text(text)


def publish(folder: Path, target: str, **options: Any) -> Problems:
    problems = Problems()
    publish_release(folder, parse_target(target), problems, Options(**options))
    return problems


def test_a_deprecated_version_is_published_only_if_forced(here: Path, tmp_path: Path) -> None:
    problems = Problems()
    with pytest.raises(ReleaseError, match=r"1\.0\.0 is deprecated: no licence") as error:
        publish_release(here / "1.0.0", parse_target(str(tmp_path / "out")), problems)
    assert error.value.fix == "use 1.1.0 instead; --force publishes it as it is"
    assert not (tmp_path / "out").exists()
    (found,) = publish(here / "1.0.0", str(tmp_path / "out"), force=True)
    assert (found.code, found.severity) == ("release.deprecated", "warning")


def test_who_lists_or_gets_is_told(here: Path, target: tuple[str, dict[str, Any]], tmp_path: Path) -> None:
    where, more = target
    publish(here / "1.0.0", where, force=True, **more)
    publish(here / "1.1.0", where, **more)
    told = {one.version: (one.deprecated, one.use) for one in published_versions(parse_target(where), **more)}
    assert told == {"1.0.0": ("no licence", "1.1.0"), "1.1.0": ("", "")}
    problems = Problems()
    got = get_release(parse_target(where), tmp_path / "got", problems, version="1.0.0", **more)
    assert [(each.code, each.fix) for each in problems] == [("release.deprecated", "use 1.1.0 instead")]
    assert contents(got.path) == contents(here / "1.0.0")  # what is said is beside it, not in it


def test_the_newest_is_the_newest_that_may_be_used(
    here: Path, target: tuple[str, dict[str, Any]], tmp_path: Path
) -> None:
    where, more = target
    say(here, "1.1.0")
    for folder in (here / "1.0.0", here / "1.1.0"):
        publish(folder, where, force=True, **more)
    assert get_release(parse_target(where), tmp_path / "got", Problems(), **more).version == "1.0.0"


def test_what_is_taken_back_here_is_taken_back_there_and_what_others_said_stays(
    here: Path, target: tuple[str, dict[str, Any]]
) -> None:
    where, more = target

    def told() -> dict[str, str]:
        found = published_versions(parse_target(where), **more)
        return {one.version: one.deprecated for one in found if one.deprecated}

    publish(here / "1.0.0", where, force=True, **more)
    (here / "deprecated.json").unlink()
    publish(here / "1.1.0", where, **more)
    assert told() == {"1.0.0": "no licence"}
    publish(here / "1.0.0", where, **more)
    assert told() == {}


def test_the_hub_gets_it_as_a_commit_of_its_own_once_and_tags_stay(hub: Hub, here: Path) -> None:
    more = {"endpoint": hub.endpoint, "token": WRITER}
    (here / "deprecated.json").unlink()
    for version in ("1.0.0", "1.1.0"):
        publish(here / version, REPO, **more)
    tags = dict(hub.repos[REPO].tags)
    say(here, "1.0.0", use="1.1.0")
    for _ in range(2):
        publish(here / "1.1.0", REPO, **more)
    assert [commit.title for commit in hub.repos[REPO].commits.values()][3:] == ["Deprecated versions"]
    assert hub.repos[REPO].tags == tags
    found = hub.files(REPO)
    assert json.loads(found.pop("deprecated.json")) == {
        "1.0.0": {"reason": "no licence", "use": "1.1.0", "since": ""}
    }
    assert found == hub.files(REPO, "v1.1.0")


@pytest.mark.parametrize("data", [b"{", b'{"../x": {"reason": "r"}}', b"\xff", b"[" * 100_000])
def test_who_damages_it_keeps_nobody_from_what_was_published(here: Path, tmp_path: Path, data: bytes) -> None:
    publish(here / "1.1.0", str(tmp_path / "out"))
    (tmp_path / "out/deprecated.json").write_bytes(data)
    problems = Problems()
    get_release(parse_target(str(tmp_path / "out")), tmp_path / "got", problems)
    assert [(each.code, each.severity) for each in problems] == [("deprecations.unreadable", "warning")]


def test_the_command_line_tells_without_colours_of_strangers(here: Path, tmp_path: Path) -> None:
    out = str(tmp_path / "out")
    say(here, "1.0.0", use="1.1.0", reason="\x1b[31m[bold]no licence")
    for version in ("1.0.0", "1.1.0"):
        publish(here / version, out, force=True)
    listed = CliRunner().invoke(main, ["release", "versions", out])
    assert "[bold]no licence" in " ".join(listed.stdout.split())
    assert "\x1b" not in listed.stdout
    got = CliRunner().invoke(main, ["release", "get", out, "1.0.0", "--to", str(tmp_path / "got")])
    assert got.exit_code == 0
    assert "release.deprecated" in got.stderr
    assert "use 1.1.0 instead" in got.stderr
