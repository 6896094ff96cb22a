"""Getting published releases, whoever published them."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hub import READER, WRITER, Fault, contents, running_hub, two_releases

from synthscars.cli import main
from synthscars.problems import Problems, ReleaseError, UsageError
from synthscars.release.publish import (
    GetReport,
    get_release,
    parse_target,
    publish_release,
    published_versions,
)
from synthscars.release.publish.send import Options


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return two_releases(tmp_path_factory.getbasetemp())


@pytest.fixture
def place(releases: tuple[Path, Path], tmp_path: Path) -> Path:
    """A folder with both versions, as anybody may have published it."""
    for folder in releases:
        publish_release(folder, parse_target(str(tmp_path / "place")), Problems())
    return tmp_path / "place"


@pytest.fixture
def hub(releases: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("time.sleep", lambda _: None)
    with running_hub(tmp_path / "hub") as running:
        running.create("org/scars")
        for folder in releases:
            options = Options(endpoint=running.endpoint, token=WRITER)
            publish_release(folder, parse_target("org/scars"), Problems(), options)
        running.log.clear()
        yield running


def get(source: object, to: Path, problems: Problems | None = None, **options: Any) -> GetReport:
    target = parse_target(str(source))
    return get_release(target, to, problems if problems is not None else Problems(), **options)


def from_hub(hub: Any, to: Path, problems: Problems | None = None, **options: Any) -> GetReport:
    return get("org/scars", to, problems, endpoint=hub.endpoint, token=READER, **options)


def forge(place: Path, version: str, change: Any) -> None:
    """Change the manifest of a published version, and what says that it is as it should be."""
    import hashlib

    path, listed = place / version / "manifest.json", place / version / "files.json"
    manifest = json.loads(path.read_text())
    change(manifest)
    path.write_text(json.dumps(manifest))
    files = json.loads(listed.read_text())
    for file in files["files"]:
        if file["path"] == "manifest.json":
            file["bytes"] = path.stat().st_size
            file["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
    listed.write_text(json.dumps(files))


def nothing_visible(folder: Path) -> bool:
    return not folder.exists() or all(path.name.startswith(".fetching-") for path in folder.iterdir())


def test_the_newest_version_is_fetched_from_the_hub(
    hub: Any, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    report = from_hub(hub, tmp_path / "got")
    assert report.path == tmp_path / "got/1.1.0"
    assert contents(report.path) == contents(releases[1])
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["1.1.0"]
    assert from_hub(hub, tmp_path / "got").unchanged


def test_what_another_release_here_has_is_not_fetched_again(
    hub: Any, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    from_hub(hub, tmp_path / "got", version="1.0.0")
    hub.downloaded.clear()
    report = from_hub(hub, tmp_path / "got")
    assert contents(report.path) == contents(releases[1])
    old, new = contents(releases[0]), contents(releases[1])
    same = [path for path in new if path.endswith(".parquet") and new[path] in old.values()]
    assert report.linked == sum(len(new[path]) for path in same) > 0
    assert hub.downloaded.total() == report.fetched + len(new["manifest.json"])


def test_versions_are_listed_oldest_first(hub: Any, place: Path) -> None:
    target = parse_target("org/scars")
    listed = published_versions(target, endpoint=hub.endpoint, token=READER)
    assert [one.version for one in listed] == ["1.0.0", "1.1.0"]
    assert {one.version: one.revision for one in listed} == {
        tag[1:]: commit for tag, commit in hub.repos["org/scars"].tags.items()
    }
    assert [one.version for one in published_versions(parse_target(str(place)))] == ["1.0.0", "1.1.0"]


def test_a_folder_or_bucket_gives_the_same(place: Path, releases: tuple[Path, Path], tmp_path: Path) -> None:
    for version, folder in zip(("1.0.0", None), releases, strict=True):
        assert contents(get(place, tmp_path / "got", version=version).path) == contents(folder)


def test_a_version_that_is_not_there_is_told_with_those_that_are(place: Path, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"no release 2\.0\.0") as error:
        get(place, tmp_path / "got", version="2.0.0")
    assert "1.0.0, 1.1.0" in error.value.fix
    with pytest.raises(UsageError):
        get(place, tmp_path / "got", version="../1.0.0")
    with pytest.raises(ReleaseError, match="no published release"):
        get(tmp_path / "nothing", tmp_path / "got")
    assert nothing_visible(tmp_path / "got")


@pytest.mark.parametrize("where", ["hub", "place"])
def test_damaged_shards_are_all_named_and_nothing_appears(
    hub: Any, place: Path, releases: tuple[Path, Path], tmp_path: Path, where: str
) -> None:
    shards = sorted(path for path in contents(releases[0]) if path.endswith(".parquet"))
    for path in (place / "1.0.0/data").iterdir():
        data = bytearray(path.read_bytes())
        data[50] ^= 1
        path.write_bytes(data)
    hub.faults.append(Fault("GET", "/storage/get/", garble=True, times=10**6))
    problems = Problems()
    source, more = (
        ("org/scars", {"endpoint": hub.endpoint, "token": READER}) if where == "hub" else (place, {})
    )
    with pytest.raises(ReleaseError, match="did not arrive as published"):
        get(source, tmp_path / "got", problems, version="1.0.0", **more)
    found = sorted(problem.file for problem in problems if problem.code == "file.damaged")
    assert [name for name in found if name.endswith(".parquet")] == shards
    assert nothing_visible(tmp_path / "got")

    hub.faults.clear()  # and once the line is sound again
    assert contents(from_hub(hub, tmp_path / "got", version="1.0.0").path) == contents(releases[0])


def test_a_shard_that_is_garbled_once_is_fetched_again(
    hub: Any, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    hub.faults.append(Fault("GET", "/storage/get/", garble=True))
    assert contents(from_hub(hub, tmp_path / "got").path) == contents(releases[1])


def test_a_line_that_breaks_is_taken_up_where_it_broke(
    hub: Any, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    hub.faults.append(Fault("GET", "/storage/get/", drop=20_000))
    assert contents(from_hub(hub, tmp_path / "got").path) == contents(releases[1])


def test_with_the_network_gone_at_any_request_the_rerun_completes(
    hub: Any, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    step, finished = 0, False
    while not finished:
        hub.faults[:] = [Fault(skip=step, times=10**6, drop=0)]
        to = tmp_path / f"got-{step}"
        try:
            from_hub(hub, to)
            finished = True
        except ReleaseError:
            assert nothing_visible(to)
        hub.faults.clear()
        assert contents(from_hub(hub, to).path) == contents(releases[1])
        step += 4
    assert step > 8


_GET = """
import os, signal, sys
from pathlib import Path
from synthscars.problems import Problems
from synthscars.release.publish import get_release, parse_target
from synthscars.release.publish.sources import Expected

left, is_in = int(sys.argv[1]), Expected.is_in
def counted(self, path):
    global left
    left -= 1
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return is_in(self, path)
Expected.is_in = counted
get_release(parse_target(sys.argv[2]), Path(sys.argv[3]), Problems())
"""


@pytest.mark.slow
def test_killed_at_any_file_nothing_half_appears_and_the_rerun_completes(
    place: Path, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    step = 0
    while True:
        step += 3
        to = tmp_path / f"got-{step}"
        ended = subprocess.run([sys.executable, "-c", _GET, str(step), str(place), str(to)], check=False)
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
        assert nothing_visible(to)
        assert contents(get(place, to).path) == contents(releases[1])
    assert step > 6


@pytest.mark.parametrize(
    "path",
    [
        "../../evil.parquet",
        "/tmp/evil.parquet",
        "data/../../../evil.parquet",
        "data\\..\\evil.parquet",
        "C:/evil.parquet",
        "data/.hidden.parquet",
        "data/\x00evil.parquet",
        "data/NUL.parquet",
    ],
)
def test_a_manifest_that_leads_out_of_the_folder_is_refused(place: Path, tmp_path: Path, path: str) -> None:
    forge(place, "1.1.0", lambda manifest: manifest["files"][0].update(path=path))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(ReleaseError, match="not a path within a release"):
        get(place, tmp_path / "got")
    assert [found for found in sorted(tmp_path.rglob("*")) if found not in before] == [
        found for found in sorted(tmp_path.rglob("*")) if tmp_path / "got" in (found, *found.parents)
    ]
    assert nothing_visible(tmp_path / "got")


def test_a_file_that_is_larger_than_the_manifest_says_is_not_read_on(place: Path, tmp_path: Path) -> None:
    shard = next((place / "1.1.0/data").iterdir())
    size = shard.stat().st_size
    with shard.open("ab") as file:
        file.truncate(size + 10**9)  # sparse: a gigabyte that costs nothing here
    problems = Problems()
    # The first bytes are those of the manifest, so they are the shard, and nothing more is taken.
    report = get(place, tmp_path / "got", problems)
    assert (report.path / "data" / shard.name).stat().st_size == size


def test_another_size_in_the_manifest_than_at_the_place_is_refused(place: Path, tmp_path: Path) -> None:
    forge(place, "1.1.0", lambda manifest: manifest["files"][0].update(bytes=10**15))
    with pytest.raises(ReleaseError, match="another file"):
        get(place, tmp_path / "got")


def test_a_manifest_of_another_version_is_refused(place: Path, tmp_path: Path) -> None:
    forge(place, "1.1.0", lambda manifest: manifest.update(version="9.9.9"))
    with pytest.raises(ReleaseError, match=r"says that it is 9\.9\.9"):
        get(place, tmp_path / "got")


def test_another_release_of_that_name_is_left_alone(
    place: Path, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    shutil.copytree(releases[0], tmp_path / "got/1.1.0")
    before = contents(tmp_path / "got/1.1.0")
    with pytest.raises(ReleaseError, match=r"is not the 1\.1\.0 of"):
        get(place, tmp_path / "got")
    assert contents(tmp_path / "got/1.1.0") == before


def test_a_damaged_release_here_lends_nothing(
    place: Path, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    get(place, tmp_path / "got", version="1.0.0")
    for path in (tmp_path / "got/1.0.0/data").iterdir():
        path.write_bytes(bytes(path.stat().st_size))
    report = get(place, tmp_path / "got")
    assert report.linked == 0
    assert contents(report.path) == contents(releases[1])


def test_the_command_line_gets_into_a_folder_and_says_what_came(place: Path, tmp_path: Path) -> None:
    arguments = ["release", "get", str(place), "1.0.0", "--to", str(tmp_path / "got"), "--json"]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert (found["version"], found["unchanged"]) == ("1.0.0", False)
    assert json.loads(CliRunner().invoke(main, arguments).stdout)["unchanged"]
    missing = CliRunner().invoke(main, ["release", "get", str(tmp_path / "none"), "--to", str(tmp_path)])
    assert missing.exit_code == 3
