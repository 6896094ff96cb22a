"""Publishing and getting when others interfere, servers lie, and folders hold more than a release."""

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hub import WRITER, Fault, Hub, contents, two_releases

from synthscars.problems import Problems, ReleaseError, UsageError
from synthscars.release.publish import (
    PublishReport,
    get_release,
    parse_target,
    publish_release,
    published_versions,
    send_place,
)
from synthscars.release.publish.send import Options

REPO = "org/scars"


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return two_releases(tmp_path_factory.getbasetemp())


@pytest.fixture
def copy(releases: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(releases[0], tmp_path / "copy/1.0.0"))


@pytest.fixture
def other(releases: tuple[Path, Path], tmp_path: Path) -> Path:
    """Another 1.0.0, whose card has other content of the same size."""
    folder = Path(shutil.copytree(releases[0], tmp_path / "other/1.0.0"))
    card = (folder / "README.md").read_bytes()
    (folder / "README.md").write_bytes(card[:-2] + b"!\n")
    return folder


@pytest.fixture
def memory() -> Iterator[Any]:
    found = fsspec.filesystem("memory")
    found.store.clear()
    yield found
    found.store.clear()


def publish(folder: Path, target: object, problems: Problems | None = None, **options: Any) -> PublishReport:
    return publish_release(
        folder,
        parse_target(str(target)),
        problems if problems is not None else Problems(),
        Options(**options),
    )


def to_hub(hub: Hub, folder: Path, **options: Any) -> PublishReport:
    return publish(folder, REPO, endpoint=hub.endpoint, token=WRITER, **options)


def in_memory(memory: Any) -> dict[str, bytes]:
    found = {
        path.removeprefix("/bucket/1.0.0/"): memory.cat_file(path) for path in memory.find("/bucket/1.0.0/")
    }
    found.pop("files.json", None)
    return found


# What a folder holds beside a release


def test_credentials_and_litter_beside_a_release_stay_here_and_are_named(copy: Path, tmp_path: Path) -> None:
    expected = contents(copy)
    litter = [".env", ".DS_Store", "data/.DS_Store", "client_secret.json", "figures/key.pem", "notes.txt"]
    for path in litter:
        (copy / path).parent.mkdir(exist_ok=True)
        (copy / path).write_text("hf_secret")
    problems = Problems()
    publish(copy, tmp_path / "out", problems)
    found = contents(tmp_path / "out/1.0.0")
    del found["files.json"]
    assert found == expected
    named = [problem.file for problem in problems if problem.code == "publish.left_out"]
    assert sorted(named) == sorted(litter)


def test_a_version_in_the_folder_of_another_is_refused(copy: Path, tmp_path: Path) -> None:
    copy.rename(tmp_path / "1.1.0")
    with pytest.raises(ReleaseError, match=r"says that it is 1\.0\.0, and is named 1\.1\.0"):
        publish(tmp_path / "1.1.0", tmp_path / "out")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_instead_of_a_shard_is_refused_and_not_waited_for(copy: Path, tmp_path: Path) -> None:
    shard = next((copy / "data").iterdir())
    shard.unlink()
    os.mkfifo(shard)
    with pytest.raises(ReleaseError, match="it is no file"):
        publish(copy, tmp_path / "out")


def test_a_small_file_that_changes_after_it_was_verified_is_not_committed(
    hub: Hub, copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = contents(copy)

    def spoil() -> None:
        (copy / "README.md").write_text("changed")

    hub.faults.append(Fault("POST", "/commit/", call=spoil))
    hub.faults.append(Fault("POST", "/validate-yaml", call=spoil))
    to_hub(hub, copy)
    found = hub.files(REPO, "v1.0.0")
    del found[".gitattributes"]
    assert found == expected


def test_a_file_that_changes_while_it_goes_to_a_bucket_is_found(
    copy: Path, releases: tuple[Path, Path], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = type(memory).put_file

    def spoiled(self: Any, source: str, target: str, **more: Any) -> None:
        if source.endswith("README.md"):
            text = Path(source).read_bytes()
            Path(source).write_bytes(text[:-2] + b"!\n")
        put(self, source, target, **more)

    with monkeypatch.context() as patched:
        patched.setattr(type(memory), "put_file", spoiled)
        with pytest.raises(ReleaseError, match=r"README\.md changed while it was sent"):
            publish(copy, "memory://bucket")
    publish(releases[0], "memory://bucket")  # what was sent is not taken for what it should be
    assert in_memory(memory) == contents(releases[0])


# Two who publish


def test_a_half_release_of_another_build_is_never_mixed_with_ours(
    releases: tuple[Path, Path], other: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its files have the sizes of ours, and our first run dies after it announced itself."""
    put = type(memory).put_file

    def dies_at(name: str) -> Any:
        def call(self: Any, source: str, target: str, **more: Any) -> None:
            if source.endswith(name):
                raise ConnectionError("the line is dead")
            put(self, source, target, **more)

        return call

    for folder, name in ((other, "manifest.json"), (releases[0], ".parquet")):
        with monkeypatch.context() as patched:
            patched.setattr(type(memory), "put_file", dies_at(name))
            with pytest.raises(ReleaseError, match="the line is dead"):
                publish(folder, "memory://bucket")
    publish(releases[0], "memory://bucket")
    assert in_memory(memory) == contents(releases[0])


@pytest.mark.parametrize("target", ["memory://bucket", "folder"])
def test_files_that_no_release_was_published_with_are_left_alone(
    releases: tuple[Path, Path], memory: Any, tmp_path: Path, target: str
) -> None:
    memory.pipe_file("/bucket/1.0.0/thesis.docx", b"years of work")
    (tmp_path / "folder/1.0.0").mkdir(parents=True)
    (tmp_path / "folder/1.0.0/thesis.docx").write_bytes(b"years of work")
    where = target if ":" in target else tmp_path / target
    for dry_run in (True, False):
        with pytest.raises(ReleaseError, match=r"has thesis\.docx") as error:
            publish(releases[0], where, dry_run=dry_run)
        assert "move what is there away" in error.value.fix
    assert in_memory(memory) == {"thesis.docx": b"years of work"}
    assert contents(tmp_path / "folder") == {"1.0.0/thesis.docx": b"years of work"}


@pytest.mark.parametrize("target", ["memory://bucket", "folder"])
def test_who_publishes_another_release_of_the_version_in_between_is_not_overwritten(
    releases: tuple[Path, Path],
    other: Path,
    memory: Any,
    tmp_path: Path,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    where = target if ":" in target else tmp_path / target
    name = "_fill_bucket" if ":" in target else "_fill_folder"
    fill = getattr(send_place, name)

    def beaten(*arguments: Any) -> None:
        monkeypatch.setattr(send_place, name, fill)
        publish(other, where)
        fill(*arguments)

    monkeypatch.setattr(send_place, name, beaten)
    with pytest.raises(ReleaseError, match="by somebody else in the meantime"):
        publish(releases[0], where)
    found = in_memory(memory) if ":" in target else contents(tmp_path / "folder/1.0.0")
    found.pop("files.json", None)
    assert found == contents(other)


def test_two_who_send_the_same_version_to_a_bucket_do_not_mix(
    releases: tuple[Path, Path], other: Path, memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = type(memory).put_file

    def announced(self: Any, source: str, target: str, **more: Any) -> None:
        put(self, source, target, **more)
        if source.endswith("manifest.json"):  # the other one begins while ours ends
            memory.pipe_file("/bucket/1.0.0/uploading.json", b"of the other")

    monkeypatch.setattr(type(memory), "put_file", announced)
    with pytest.raises(ReleaseError, match="somebody else publishes"):
        publish(releases[0], "memory://bucket")
    assert "/bucket/1.0.0/files.json" not in memory.store


def test_an_index_that_somebody_else_wrote_in_between_has_both_versions(
    releases: tuple[Path, Path], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = send_place._write

    def beaten(place: Any, path: str, data: bytes) -> None:
        if path == send_place.INDEX_NAME:
            monkeypatch.setattr(send_place, "_write", write)
            publish(releases[1], "memory://bucket")
        write(place, path, data)

    monkeypatch.setattr(send_place, "_write", beaten)
    publish(releases[0], "memory://bucket")
    assert list(json.loads(memory.cat_file("/bucket/releases.json"))["versions"]) == ["1.0.0", "1.1.0"]


def test_another_release_that_was_tagged_in_between_stays_on_main(
    hub: Hub, releases: tuple[Path, Path], other: Path
) -> None:
    hub.faults.append(Fault("POST", "/commit/", call=lambda: to_hub(hub, other)))
    with pytest.raises(ReleaseError, match=r"v1\.0\.0 with other content"):
        to_hub(hub, releases[0])
    for revision in ("main", "v1.0.0"):
        found = hub.files(REPO, revision)
        del found[".gitattributes"]
        assert found == contents(other)


@pytest.mark.parametrize("branch", ["v1.0.0", "1.0.0", "refs/pr/1"])
def test_a_branch_that_would_hide_a_tag_is_refused(
    hub: Hub, releases: tuple[Path, Path], branch: str
) -> None:
    with pytest.raises(UsageError, match="taken for something else"):
        to_hub(hub, releases[0], branch=branch)


# Servers that lie


def test_of_a_file_no_more_is_taken_than_the_hub_said(
    hub: Hub, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    to_hub(hub, releases[0])
    for path in (hub.root / "large").iterdir():
        path.write_bytes(path.read_bytes() + bytes(50_000_000))
    with pytest.raises(ReleaseError, match="bytes that are said of it"):
        get_release(parse_target(REPO), tmp_path / "got", Problems(), endpoint=hub.endpoint, token=WRITER)
    taken = sum(path.stat().st_size for path in (tmp_path / "got").rglob("*") if path.is_file())
    assert taken < 10_000_000
    assert not (tmp_path / "got/1.0.0").exists()


@pytest.mark.parametrize("path", ["/refs", "/tree/", "/preupload", "/objects/batch", "/commit/"])
def test_an_answer_that_is_none_of_a_hub_is_a_clear_error(
    hub: Hub, releases: tuple[Path, Path], path: str
) -> None:
    hub.faults[:] = [Fault(path=path, status=200, times=99)]
    with pytest.raises(ReleaseError) as error:
        to_hub(hub, releases[0])
    assert error.value.fix
    assert hub.repos[REPO].tags == {}


def test_tags_that_are_no_versions_are_no_versions(hub: Hub, releases: tuple[Path, Path]) -> None:
    to_hub(hub, releases[0])
    tags = hub.repos[REPO].tags
    for name in ("v1.0." + "9" * 5000, "v../1.0.0", "v1.0.0\n", "v01.0.0", "v1.0", "1.0.0"):
        tags[name] = tags["v1.0.0"]
    found = published_versions(parse_target(REPO), endpoint=hub.endpoint, token=WRITER)
    assert [one.version for one in found] == ["1.0.0"]


def test_room_is_not_asked_for_what_is_here_already(
    releases: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in releases:
        publish(folder, tmp_path / "out")
    source = parse_target(str(tmp_path / "out"))
    get_release(source, tmp_path / "got", Problems(), version="1.0.0")
    old, new = contents(releases[0]).values(), contents(releases[1])
    come = sum(len(data) for path, data in new.items() if not (path.endswith(".parquet") and data in old))
    usage = shutil.disk_usage(tmp_path)
    needed = come - len(new["manifest.json"])  # it is there by the time that is asked
    for free in (needed - 1, needed):
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: usage._replace(free=free))
        if free < needed:
            with pytest.raises(ReleaseError, match="has room for"):
                get_release(source, tmp_path / "got", Problems())
        else:
            assert get_release(source, tmp_path / "got", Problems()).fetched == needed


def test_two_who_get_the_same_version_into_one_folder_do_not_disturb_each_other(
    releases: tuple[Path, Path], tmp_path: Path
) -> None:
    from filelock import FileLock

    publish(releases[0], tmp_path / "out")
    (tmp_path / "got").mkdir()
    with (
        FileLock(tmp_path / "got/.fetching-1.0.0.lock"),
        pytest.raises(ReleaseError, match="another process gets this version"),
    ):
        get_release(parse_target(str(tmp_path / "out")), tmp_path / "got", Problems())
    report = get_release(parse_target(str(tmp_path / "out")), tmp_path / "got", Problems())
    assert contents(report.path) == contents(releases[0])
    assert [path.name for path in (tmp_path / "got").iterdir()] == ["1.0.0"]


# Secrets and signals


def started(hub: Hub, folder: Path, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": WRITER,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        **more,
    }
    command = [sys.executable, "-m", "synthscars", "release", *arguments]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_not_even_the_clients_debugging_shows_a_token_or_a_signed_address(
    hub: Hub, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    hub.faults.append(Fault("GET", "/storage/get/", drop=1000))
    for arguments in (
        ["publish", str(releases[0]), REPO],
        ["get", REPO, "--to", str(tmp_path / "got")],
    ):
        process = started(hub, tmp_path, *arguments, HF_DEBUG="1")
        out, err = process.communicate()
        assert process.returncode == 0, err.decode()
        assert b"/api/datasets/" in err  # it does log
        for secret in (WRITER, hub.secret):
            assert secret.encode() not in out + err
    assert logging.getLogger("huggingface_hub").handlers


def test_ctrl_c_says_what_to_do_and_the_next_run_completes(
    hub: Hub, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    running: list[subprocess.Popen[bytes]] = []
    hub.faults[:] = [
        Fault("PUT", "/storage/upload/", lost=True, call=lambda: os.kill(running[0].pid, signal.SIGINT)),
        Fault("PUT", "/storage/upload/", skip=1, times=99, status=503),
    ]
    running.append(started(hub, tmp_path, "publish", str(releases[0]), REPO))
    _, err = running[0].communicate()
    assert running[0].returncode == 130, err.decode()
    assert b"run the same command again" in err
    assert b"Traceback" not in err
    assert hub.repos[REPO].tags == {}
    hub.faults.clear()
    to_hub(hub, releases[0])
    found = hub.files(REPO, "v1.0.0")
    del found[".gitattributes"]
    assert found == contents(releases[0])
