"""Publishing to a real HTTP server that speaks the Hub's API, through the real `huggingface_hub`."""

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub import READER, WRITER, Fault, Hub, contents, large_files, two_releases
from releasing import mark_verified

from synthscars.problems import Problems, ReleaseError, UsageError
from synthscars.release.publish import PublishReport, parse_target, publish_release
from synthscars.release.publish.send import Options

REPO = "org/scars"


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return two_releases(tmp_path_factory.getbasetemp())


def publish(hub: Hub, folder: Path, problems: Problems | None = None, **options: Any) -> PublishReport:
    given = Options(**{"endpoint": hub.endpoint, "token": WRITER, **options})
    return publish_release(folder, parse_target(REPO), problems or Problems(), given)


def published(hub: Hub, revision: str = "main") -> dict[str, bytes]:
    files = hub.files(REPO, revision)
    files.pop(".gitattributes", None)
    return files


def titles(hub: Hub) -> list[str]:
    return [commit.title for commit in hub.repos[REPO].commits.values()]


def test_a_version_is_one_commit_with_its_tag_and_the_next_sends_only_what_is_new(
    hub: Hub, releases: tuple[Path, Path]
) -> None:
    old, new = releases
    report = publish(hub, old)
    assert (report.state, report.tag) == ("published", "v1.0.0")
    assert published(hub) == published(hub, "v1.0.0") == contents(old)
    assert hub.sent() == sum(large_files(old).values())

    publish(hub, new)
    assert published(hub) == published(hub, "v1.1.0") == contents(new)
    assert published(hub, "v1.0.0") == contents(old)
    fresh = {sha: size for sha, size in large_files(new).items() if sha not in large_files(old)}
    assert hub.sent() == sum(fresh.values()) < sum(large_files(new).values())
    assert titles(hub) == ["initial commit", "Release 1.0.0", "Release 1.1.0"]


def test_publishing_the_same_again_changes_nothing_and_an_old_one_does_not_come_back(
    hub: Hub, releases: tuple[Path, Path]
) -> None:
    for folder in releases:
        publish(hub, folder)
    before, sent = hub.snapshot(), hub.sent()
    assert sent
    for folder in releases:
        assert publish(hub, folder).state == "unchanged"
    assert hub.snapshot() == before
    assert hub.sent() == 0


def test_a_dry_run_says_what_would_go_and_writes_nothing(hub: Hub, releases: tuple[Path, Path]) -> None:
    publish(hub, releases[0])
    before = hub.snapshot()
    hub.log.clear()
    plan = publish(hub, releases[1], dry_run=True, token=None).plan
    assert hub.snapshot() == before
    assert {method for method, _, _ in hub.log} == {"GET", "HEAD"} or {m for m, _, _ in hub.log} == {"GET"}
    old, new = contents(releases[0]), contents(releases[1])
    assert {change.path for change in plan.keep} == {path for path in new if old.get(path) == new[path]}
    touched = {change.path for change in (*plan.add, *plan.copy)}
    assert touched == {path for path in new if old.get(path) != new[path]}
    assert {change.path for change in plan.delete} == set(old) - set(new)
    assert [change.path for change in plan.foreign] == [".gitattributes"]
    assert {change.path: change.bytes for change in plan.add} == {
        change.path: len(new[change.path]) for change in plan.add
    }


def test_old_shards_go_and_what_people_added_stays(hub: Hub, releases: tuple[Path, Path]) -> None:
    publish(hub, releases[0])
    hub.write(REPO, "data/train-99999.parquet", b"stale")
    hub.write(REPO, "notes/CONTRIBUTING.md", b"by hand")
    plan = publish(hub, releases[1]).plan
    assert "data/train-99999.parquet" in [change.path for change in plan.delete]
    assert published(hub) == {**contents(releases[1]), "notes/CONTRIBUTING.md": b"by hand"}


def test_a_renamed_shard_is_copied_by_the_hub(hub: Hub, releases: tuple[Path, Path], tmp_path: Path) -> None:
    publish(hub, releases[0])
    hub.sent()
    folder = tmp_path / "renamed"
    shutil.copytree(releases[0], folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    shard = manifest["files"][0]["path"]
    renamed = shard.replace(".parquet", "x.parquet")
    (folder / shard).rename(folder / renamed)
    text = (folder / "manifest.json").read_text().replace(shard, renamed).replace('"1.0.0"', '"1.0.1"')
    (folder / "manifest.json").write_text(text)
    mark_verified(folder)
    report = publish(hub, folder)
    assert [(change.source, change.path) for change in report.plan.copy] == [(shard, renamed)]
    assert [change.path for change in report.plan.delete] == [shard]
    assert published(hub, "v1.0.1") == contents(folder)
    assert hub.sent() == 0


def test_large_files_go_in_parts_where_the_hub_asks_for_it(hub: Hub, releases: tuple[Path, Path]) -> None:
    hub.multipart = 10_000
    publish(hub, releases[0])
    assert any("/storage/complete/" in path for _, path, _ in hub.log)
    assert published(hub) == contents(releases[0])


def test_a_repository_is_made_only_if_wanted(hub: Hub, releases: tuple[Path, Path]) -> None:
    del hub.repos[REPO]
    with pytest.raises(ReleaseError, match="not there") as error:
        publish(hub, releases[0])
    assert REPO not in hub.repos
    assert "look at the name" in error.value.fix
    assert publish(hub, releases[0], create=True, dry_run=True).state == "planned"
    assert REPO not in hub.repos
    publish(hub, releases[0], create=True, private=True)
    assert hub.repos[REPO].private
    assert published(hub) == contents(releases[0])


@pytest.mark.parametrize(
    ("token", "said"),
    [("hf_wrong_secret", "does not accept the token"), (READER, "may not do that"), (None, "no token")],
)
def test_a_token_that_will_not_do_is_told_before_anything_is_sent(
    hub: Hub, releases: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, token: str | None, said: str
) -> None:
    monkeypatch.setattr("huggingface_hub.get_token", lambda: None)
    before = hub.snapshot()
    with pytest.raises(ReleaseError, match=said) as error:
        publish(hub, releases[0], token=token)
    assert "HF_TOKEN" in error.value.fix
    assert "hf auth login" in error.value.fix
    assert error.value.exit_code == 3
    assert token is None or token not in f"{error.value.message}{error.value.fix}"
    assert hub.snapshot() == before
    assert hub.sent() == 0


def test_a_tag_with_other_content_is_never_moved(
    hub: Hub, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    publish(hub, releases[0])
    other = tmp_path / "other"
    shutil.copytree(releases[0], other)
    with (other / "README.md").open("a") as file:
        file.write("\nmore\n")
    before = hub.snapshot()
    with pytest.raises(ReleaseError, match=r"v1\.0\.0 with other content \(README\.md\)"):
        publish(hub, other)
    assert hub.snapshot() == before


def test_main_never_goes_back_and_an_older_version_has_its_branch(
    hub: Hub, releases: tuple[Path, Path]
) -> None:
    publish(hub, releases[1])
    with pytest.raises(ReleaseError, match=r"holds 1\.1\.0, which is newer"):
        publish(hub, releases[0])
    publish(hub, releases[0], branch="v1.0")
    assert published(hub, "v1.0") == published(hub, "v1.0.0") == contents(releases[0])
    assert published(hub) == contents(releases[1])


def test_a_pull_request_is_proposed_once_and_tagged_after_the_merge(
    hub: Hub, releases: tuple[Path, Path]
) -> None:
    report = publish(hub, releases[0], pull_request=True, token=READER)
    assert report.state == "proposed"
    assert "--tag-only" in report.next
    assert report.pull_request.endswith("/discussions/1")
    assert hub.repos[REPO].tags == {}
    assert published(hub) == {}
    assert published(hub, "refs/pr/1") == contents(releases[0])

    again = publish(hub, releases[0], pull_request=True, token=READER)
    assert again.pull_request == report.pull_request
    assert list(hub.repos[REPO].pulls) == [1]
    with pytest.raises(ReleaseError, match="does not hold"):
        publish(hub, releases[0], tag_only=True)

    hub.merge(REPO, 1)
    assert publish(hub, releases[0], tag_only=True).tag == "v1.0.0"
    assert published(hub, "v1.0.0") == contents(releases[0])
    assert publish(hub, releases[0], tag_only=True).state == "unchanged"


def test_somebody_elses_commit_in_between_is_kept(hub: Hub, releases: tuple[Path, Path]) -> None:
    hub.faults.append(Fault("POST", "/commit/", call=lambda: hub.write(REPO, "notes.txt", b"from somebody")))
    publish(hub, releases[0])
    assert published(hub) == {**contents(releases[0]), "notes.txt": b"from somebody"}
    assert [status for _, path, status in hub.log if "/commit/" in path] == [412, 200]


def test_a_main_that_changes_all_the_time_is_a_clear_error(hub: Hub, releases: tuple[Path, Path]) -> None:
    count = iter(range(1000))
    hub.faults.append(
        Fault("POST", "/commit/", times=99, call=lambda: hub.write(REPO, "n", b"%d" % next(count)))
    )
    with pytest.raises(ReleaseError, match="changed by somebody else"):
        publish(hub, releases[0])
    assert hub.repos[REPO].tags == {}


@pytest.mark.parametrize(
    "fault",
    [
        Fault("PUT", "/storage/upload/", status=503),
        Fault("PUT", "/storage/upload/", drop=1000),
        Fault("PUT", "/storage/upload/", lost=True),
        Fault("POST", "/objects/batch", status=429, headers={"Retry-After": "1"}),
        Fault("POST", "/preupload/", status=500),
        Fault("POST", "/commit/", status=502),
        Fault("POST", "/commit/", lost=True),
        Fault("POST", "/commit/", status=429, headers={"Retry-After": "1"}),
        Fault("GET", "/tree/", status=503),
    ],
    ids=lambda fault: f"{fault.method}{fault.path}{fault.status or ('lost' if fault.lost else 'drop')}",
)
def test_a_passing_failure_is_tried_again(hub: Hub, releases: tuple[Path, Path], fault: Fault) -> None:
    hub.faults.append(Fault(**vars(fault)))
    publish(hub, releases[0])
    assert published(hub, "v1.0.0") == contents(releases[0])
    assert titles(hub).count("Release 1.0.0") == 1


def test_contents_that_are_garbled_on_the_way_are_never_committed(
    hub: Hub, releases: tuple[Path, Path]
) -> None:
    hub.faults.append(Fault("PUT", "/storage/upload/", garble=True, times=99))
    with pytest.raises(ReleaseError, match="400"):
        publish(hub, releases[0])
    assert published(hub) == {}


def test_no_message_holds_the_token_or_a_signed_address(hub: Hub, releases: tuple[Path, Path]) -> None:
    for path in ("/refs", "/preupload", "/objects/batch", "/storage/", "/commit/", "/tag/"):
        hub.faults[:] = [Fault(path=path, status=403, times=99)]
        with pytest.raises(ReleaseError) as error:
            publish(hub, releases[0])
        said = f"{error.value.message}{error.value.fix}"
        assert WRITER not in said
        assert hub.secret not in said


@pytest.mark.slow
def test_with_the_network_gone_at_any_request_the_rerun_completes(
    hub: Hub, releases: tuple[Path, Path]
) -> None:
    old, new = releases
    publish(hub, old)
    undisturbed = (contents(old), contents(new))
    finished, step, advice = False, 0, list[str]()
    while not finished:
        gone = Fault(skip=step, times=10**6, drop=0)
        hub.faults.append(gone)
        try:
            publish(hub, new)
            finished = True
        except ReleaseError as error:
            advice.append(error.fix)
        hub.faults.clear()
        step += 1
        # Whoever looks in between sees the old release or the new one, and a tag only on the new one.
        assert published(hub) in undisturbed
        if "v1.1.0" in hub.repos[REPO].tags:
            assert published(hub, "v1.1.0") == undisturbed[1]
        else:
            assert not finished
        if step % 2 == 0 and not finished:  # every other time from the start, else from where it stopped
            publish(hub, new)
            assert published(hub) == published(hub, "v1.1.0") == undisturbed[1]
            assert titles(hub).count("Release 1.1.0") == 1
            _forget(hub)
    assert len(advice) == step - 1 > 8
    assert all("run the same command again" in fix for fix in advice)


def _forget(hub: Hub) -> None:
    """Put the repository back to where only 1.0.0 is there, its large files as well."""
    repo = hub.repos[REPO]
    repo.branches["main"] = repo.tags["v1.0.0"]
    del repo.tags["v1.1.0"]
    kept = {repo.branches["main"], *(oid for oid, commit in repo.commits.items() if not commit.parent)}
    wanted = {entry.sha256 for oid in kept for entry in repo.commits[oid].tree.values()}
    for oid in list(repo.commits):
        if oid not in kept:
            del repo.commits[oid]
    for path in (hub.root / "large").iterdir():
        if path.name not in wanted:
            path.unlink()


@pytest.mark.slow
def test_killed_at_requests_of_every_kind_the_rerun_equals_an_undisturbed_one(
    hub: Hub, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    publish(hub, releases[0])
    for path in ("/auth-check", "/refs", "/tree/", "/preupload/", "/storage/upload/", "/commit/", "/tag/"):
        running: list[subprocess.Popen[bytes]] = []
        hub.faults[:] = [
            Fault(path=path, call=lambda running=running: os.kill(running[0].pid, signal.SIGKILL))
        ]
        running.append(started(hub, tmp_path, "publish", str(releases[1]), REPO))
        assert running[0].wait() == -signal.SIGKILL, path
        assert published(hub) in (contents(releases[0]), contents(releases[1]))
        assert started(hub, tmp_path, "publish", str(releases[1]), REPO).wait() == 0
        assert published(hub) == published(hub, "v1.1.0") == contents(releases[1])
        assert titles(hub).count("Release 1.1.0") == 1
        _forget(hub)


def started(hub: Hub, folder: Path, *arguments: str, **more: str) -> subprocess.Popen[bytes]:
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": WRITER,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
        **more,
    }
    command = [sys.executable, "-m", "synthscars", "release", *arguments]
    if arguments[0] == "-c":
        command = [sys.executable, *arguments]
    return subprocess.Popen(
        command, env=environment, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def test_the_command_line_speaks_json_and_says_in_words_what_to_do(
    hub: Hub, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    done = started(hub, tmp_path, "publish", str(releases[0]), REPO, "--json")
    out, _ = done.communicate()
    assert done.returncode == 0
    found = json.loads(out)
    assert (found["state"], found["tag"]) == ("published", "v1.0.0")
    refused = started(hub, tmp_path, "publish", str(releases[1]), REPO, HF_TOKEN="hf_wrong_secret")
    out, err = refused.communicate()
    assert refused.returncode == 3
    assert b"hf auth login" in err
    assert b"hf_wrong_secret" not in out + err


@pytest.mark.slow
def test_load_dataset_gives_each_version_its_own_rows_and_main_the_newest(
    hub: Hub, releases: tuple[Path, Path], tmp_path: Path
) -> None:
    for folder in releases:
        publish(hub, folder)
    code = """
import json, sys
from datasets import load_dataset
found = {}
for revision in ("v1.0.0", "v1.1.0", None):
    loaded = load_dataset("org/scars", revision=revision)
    ids = sorted(row for split in loaded.values() for row in split["image_id"])
    sizes = {name: row["image"].size for name, split in loaded.items() for row in split}
    streamed = [
        row["image_id"]
        for name in loaded
        for row in load_dataset("org/scars", revision=revision, split=name, streaming=True)
    ]
    assert sorted(streamed) == ids
    found[str(revision)] = ids
json.dump(found, sys.stdout)
"""
    done = started(hub, tmp_path, "-c", code)
    out, err = done.communicate()
    assert done.returncode == 0, err.decode()
    found = json.loads(out)
    ids = [sorted(json.loads((folder / "manifest.json").read_text())["images"]) for folder in releases]
    assert found == {"v1.0.0": ids[0], "v1.1.0": ids[1], "None": ids[1]}
    assert len(ids[1]) == len(ids[0]) + 3


@pytest.mark.parametrize(
    "options",
    [
        {"pull_request": True, "branch": "b"},
        {"tag_only": True, "pull_request": True},
        {"private": True},
    ],
)
def test_options_that_contradict_each_other_are_refused(
    hub: Hub, releases: tuple[Path, Path], options: dict[str, Any]
) -> None:
    with pytest.raises(UsageError):
        publish(hub, releases[0], **options)
    assert hub.log == []
