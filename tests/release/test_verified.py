"""Only a release that was verified as it is now is published, and its verification goes with it."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hub import contents, two_releases
from planting import codes
from releasing import mark_verified

from synthscars.cli import main
from synthscars.problems import Problems, ReleaseError
from synthscars.release.publish import PublishReport, get_release, parse_target, publish_release
from synthscars.release.publish.contents import is_companion, is_ours, is_sent
from synthscars.release.publish.send import Options
from synthscars.release.verified import read_verified


@pytest.fixture
def release(tmp_path_factory: pytest.TempPathFactory, tmp_path: Path) -> Path:
    """A release that may be changed; nobody has verified it."""
    folder = tmp_path / "releases/1.0.0"
    shutil.copytree(two_releases(tmp_path_factory.getbasetemp())[0], folder)
    (folder / "verification.json").unlink()
    return folder


def publish(folder: Path, target: Path, problems: Problems, **options: Any) -> PublishReport:
    return publish_release(folder, parse_target(str(target)), problems, Options(**options))


def missing(folder: Path) -> str:
    return "nobody has verified this release"


def failed(folder: Path) -> str:
    mark_verified(folder, False, ("the model is better than the mean mask: -0.1",))
    return "the release did not pass; this does not hold: the model is better than the mean mask: -0.1"


def outdated(folder: Path) -> str:
    mark_verified(folder)
    manifest = folder / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b"\n")
    return "the release has changed since: manifest.json is another one"


def damaged(folder: Path) -> str:
    (folder / "verification.json").write_text('{"verified": true}')
    return "it cannot be read"


@pytest.mark.parametrize("make", [missing, failed, outdated, damaged])
def test_a_release_that_is_not_verified_is_refused_and_the_message_says_what_to_run(
    make: Any, release: Path, tmp_path: Path
) -> None:
    what = make(release)
    problems = Problems()
    with pytest.raises(ReleaseError) as error:
        publish(release, tmp_path / "out", problems)
    assert what in error.value.message
    assert f"synthscars verify {release}" in error.value.fix
    assert "--force-unverified" in error.value.fix
    assert not (tmp_path / "out").exists()
    assert read_verified(release).state == make.__name__


@pytest.mark.parametrize("make", [missing, failed, outdated, damaged])
def test_forced_it_goes_and_the_reason_is_told_as_a_warning(make: Any, release: Path, tmp_path: Path) -> None:
    make(release)
    problems = Problems()
    report = publish(release, tmp_path / "out", problems, force_unverified=True)
    assert report.state == "published"
    (found,) = [problem for problem in problems if problem.code == f"verification.{make.__name__}"]
    assert found.severity == "warning"


def test_the_force_for_faults_of_a_check_is_none_for_a_release_that_is_not_verified(
    release: Path, tmp_path: Path
) -> None:
    with pytest.raises(ReleaseError, match="nobody has verified"):
        publish(release, tmp_path / "out", Problems(), force=True)


def test_the_page_and_the_list_of_errors_are_published_and_fetched_with_it(
    release: Path, tmp_path: Path
) -> None:
    mark_verified(release)
    (release / "verification").mkdir()
    (release / "verification/index.html").write_text("<!doctype html>")
    (release / "verification/label_errors.jsonl").write_text("{}\n")
    (release / "verification/notes.html").write_text("of somebody else")
    problems = Problems()
    publish(release, tmp_path / "out", problems)
    assert [(each.code, each.file) for each in problems] == [("publish.left_out", "verification/notes.html")]
    got = get_release(parse_target(str(tmp_path / "out")), tmp_path / "got", Problems())
    expected = contents(release)
    del expected["verification/notes.html"]
    assert contents(got.path) == {**expected, "files.json": contents(got.path).get("files.json", b"")} or (
        contents(got.path) == expected
    )
    assert read_verified(got.path).state == "verified"


def test_what_verify_writes_is_part_of_a_release_and_nothing_else_in_its_folder() -> None:
    for name in ("verification/index.html", "verification/label_errors.jsonl", "verification.json"):
        assert is_companion(name)
        assert is_sent(name)
        assert is_ours(name, ())
    for name in ("verification/other.html", "verification/deep/index.html", "index.html", "figures/a.html"):
        assert not is_sent(name)


def test_a_check_finds_nothing_wrong_with_a_verified_release(release: Path) -> None:
    before = codes(release)
    mark_verified(release)
    (release / "verification").mkdir()
    (release / "verification/index.html").write_text("<!doctype html>")
    assert codes(release) == before


def test_release_list_tells_whether_each_version_is_verified(release: Path, tmp_path: Path) -> None:
    (tmp_path / "synthscars.toml").write_text('name = "w"\n')
    shutil.copytree(release, release.with_name("1.1.0"))
    shutil.copytree(release, release.with_name("1.2.0"))
    for version in ("1.1.0", "1.2.0"):
        manifest = release.with_name(version) / "manifest.json"
        manifest.write_text(manifest.read_text().replace('"1.0.0"', f'"{version}"'))
    mark_verified(release.with_name("1.1.0"))
    failed(release.with_name("1.2.0"))
    arguments = ["release", "list", "--workspace", str(tmp_path)]
    found = json.loads(CliRunner().invoke(main, [*arguments, "--json"]).stdout)["releases"]
    assert [each["verified"] for each in found] == ["missing", "verified", "failed"]
    shown = CliRunner().invoke(main, arguments).stdout
    assert [line for line in ("not verified", "verified", "did not pass verify") if line in shown] == [
        "not verified",
        "verified",
        "did not pass verify",
    ]


def test_the_command_refuses_and_forces(release: Path, tmp_path: Path) -> None:
    command = ["release", "publish", str(release), str(tmp_path / "out")]
    refused = CliRunner().invoke(main, command)
    assert refused.exit_code == 3
    assert "synthscars verify" in refused.stderr
    done = CliRunner().invoke(main, [*command, "--force-unverified"])
    assert done.exit_code == 0, done.stderr
