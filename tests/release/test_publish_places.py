"""Publishing to folders and to what fsspec reaches."""

import contextlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from click.testing import CliRunner
from hub import contents, two_releases
from killing import killed_at

from synthscars.cli import main
from synthscars.problems import Problems, ReleaseError, UsageError
from synthscars.release.publish import PublishReport, parse_target, publish_release
from synthscars.release.publish.places import Place
from synthscars.release.publish.send import Moment, Options
from synthscars.release.publish.send_place import _with_folder


@pytest.fixture(scope="module")
def releases(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return two_releases(tmp_path_factory.getbasetemp())


@pytest.fixture
def memory() -> Iterator[Any]:
    found = fsspec.filesystem("memory")
    found.store.clear()
    yield found
    found.store.clear()


def publish(folder: Path, target: object, **options: Any) -> PublishReport:
    return publish_release(folder, parse_target(str(target)), Problems(), Options(**options))


def in_memory(memory: Any, version: str) -> dict[str, bytes]:
    start = f"/bucket/{version}/"
    return {path.removeprefix(start): memory.cat_file(path) for path in memory.find(start)}


def without_listing(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: data for path, data in files.items() if path != "files.json"}


# Folders


def test_a_folder_gets_each_version_and_an_index_of_them(releases: tuple[Path, Path], tmp_path: Path) -> None:
    for folder in releases:
        assert publish(folder, tmp_path / "out").state == "published"
    for folder in releases:
        assert without_listing(contents(tmp_path / "out" / folder.name)) == contents(folder)
        assert publish(folder, tmp_path / "out").state == "unchanged"
    index = json.loads((tmp_path / "out/releases.json").read_text())
    assert (index["latest"], list(index["versions"])) == ("1.1.0", ["1.0.0", "1.1.0"])
    assert index["versions"]["1.1.0"]["files"] == len(contents(releases[1]))


def test_the_newest_is_the_highest_version_and_not_the_last_one(
    releases: tuple[Path, Path], tmp_path: Path
) -> None:
    for folder in reversed(releases):
        publish(folder, tmp_path / "out")
    assert json.loads((tmp_path / "out/releases.json").read_text())["latest"] == "1.1.0"


def test_shards_that_an_older_version_has_are_linked(releases: tuple[Path, Path], tmp_path: Path) -> None:
    publish(releases[0], tmp_path / "out")
    plan = publish(releases[1], tmp_path / "out").plan
    old, new = contents(releases[0]), contents(releases[1])
    same = {path for path in new if path.endswith(".parquet") and new[path] in old.values()}
    assert same
    assert {change.path for change in plan.copy} == same
    for change in plan.copy:
        linked = tmp_path / "out/1.1.0" / change.path
        assert linked.samefile(tmp_path / "out" / change.source)


def test_a_published_shard_that_was_damaged_is_not_taken_over(
    releases: tuple[Path, Path], tmp_path: Path
) -> None:
    publish(releases[0], tmp_path / "out")
    for path in (tmp_path / "out/1.0.0/data").iterdir():
        data = bytearray(path.read_bytes())
        data[100] ^= 255
        path.write_bytes(data)
    publish(releases[1], tmp_path / "out")
    assert without_listing(contents(tmp_path / "out/1.1.0")) == contents(releases[1])


def test_file_urls_are_folders(releases: tuple[Path, Path], tmp_path: Path) -> None:
    publish(releases[0], f"file://{tmp_path}/out")
    assert (tmp_path / "out/1.0.0/manifest.json").exists()


_PUBLISH = """
from synthscars.problems import Problems
from synthscars.release.publish import parse_target, publish_release

publish_release(Path(sys.argv[1]), parse_target(sys.argv[2]), Problems())
"""


@pytest.mark.slow
def test_killed_at_any_step_a_folder_shows_no_half_release_and_the_next_run_completes(
    releases: tuple[Path, Path], tmp_path: Path
) -> None:
    publish(releases[0], tmp_path / "undisturbed")
    expected = contents(tmp_path / "undisturbed")
    step = 0
    while killed_at(step := step + 3, _PUBLISH, releases[0], tmp_path / f"out-{step}"):
        out = tmp_path / f"out-{step}"
        if (out / "1.0.0").exists():
            assert without_listing(contents(out / "1.0.0")) == contents(releases[0])
        publish(releases[0], out)
        assert contents(out) == expected
    assert step > 12


# Buckets


def test_a_bucket_gets_the_same_and_copies_on_its_own_side(
    releases: tuple[Path, Path], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(releases[0], "memory://bucket")
    copied: list[str] = []
    original = type(memory).cp_file
    monkeypatch.setattr(
        type(memory), "cp_file", lambda self, a, b, **more: (copied.append(b), original(self, a, b, **more))
    )
    plan = publish(releases[1], "memory://bucket").plan
    assert len(copied) == len(plan.copy) > 0
    for folder in releases:
        assert without_listing(in_memory(memory, folder.name)) == contents(folder)
        assert publish(folder, "memory://bucket").state == "unchanged"
    assert json.loads(memory.cat_file("/bucket/releases.json"))["latest"] == "1.1.0"


def test_a_bucket_that_cannot_copy_is_sent_everything(
    releases: tuple[Path, Path], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(type(memory), "cp_file", refuse)
    for folder in releases:
        publish(folder, "memory://bucket")
    assert without_listing(in_memory(memory, "1.1.0")) == contents(releases[1])


def test_interrupted_at_any_write_a_bucket_is_completed_and_never_looks_whole(
    releases: tuple[Path, Path], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(releases[0], "memory://bucket")
    undisturbed = {path: memory.cat_file(path) for path in memory.find("/bucket")}
    writes = {name: getattr(type(memory), name) for name in ("put_file", "pipe_file", "rm_file")}
    left = 0

    def counted(name: str) -> Any:
        def call(self: Any, *args: Any, **more: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise ConnectionError("the line is dead")
            return writes[name](self, *args, **more)

        return call

    for name in writes:
        monkeypatch.setattr(type(memory), name, counted(name))
    step, interrupted = 0, True
    while interrupted:
        memory.store.clear()
        left, interrupted = step, False
        try:
            publish(releases[0], "memory://bucket")
        except ReleaseError:
            interrupted = True
        if interrupted and "/bucket/1.0.0/files.json" in memory.store:
            there = in_memory(memory, "1.0.0")
            assert {path: there[path] for path in contents(releases[0])} == contents(releases[0])
        left = 10**6
        publish(releases[0], "memory://bucket")
        assert {path: memory.cat_file(path) for path in memory.find("/bucket")} == undisturbed
        step += 1
    assert step > len(contents(releases[0]))


@pytest.mark.parametrize(("scheme", "made"), [("memory", True), ("s3", False)])
def test_a_folder_is_made_where_there_are_folders_but_never_a_bucket(
    memory: Any, monkeypatch: pytest.MonkeyPatch, scheme: str, made: bool
) -> None:
    place = Place(parse_target("memory://bucket"))
    place.target = parse_target(f"{scheme}://bucket")
    calls: list[str] = []

    def write() -> None:
        calls.append("write")
        if len(calls) == 1:
            raise FileNotFoundError("there is no such bucket")

    monkeypatch.setattr(type(memory), "makedirs", lambda *_, **__: calls.append("made"))
    with contextlib.nullcontext() if made else pytest.raises(FileNotFoundError):
        _with_folder(place, "/bucket/1.0.0/x", write)
    assert calls == (["write", "made", "write"] if made else ["write"])


def test_what_has_arrived_is_not_sent_again(
    releases: tuple[Path, Path], memory: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = type(memory).put_file
    sent: list[str] = []

    def dies_at_third(self: Any, source: str, target: str, **more: Any) -> None:
        if len(sent) == 2:
            sent.append("")
            raise ConnectionError("the line is dead")
        sent.append(target)
        put(self, source, target, **more)

    monkeypatch.setattr(type(memory), "put_file", dies_at_third)
    with pytest.raises(ReleaseError, match="the line is dead"):
        publish(releases[0], "memory://bucket")
    publish(releases[0], "memory://bucket")
    assert sorted(filter(None, sent)) == sorted(f"/bucket/1.0.0/{path}" for path in contents(releases[0]))


def test_a_half_release_of_another_build_is_replaced_whole(releases: tuple[Path, Path], memory: Any) -> None:
    shard = next(path for path in contents(releases[0]) if path.endswith(".parquet"))
    other = bytes(len(contents(releases[0])[shard]))
    memory.pipe_file(f"/bucket/1.0.0/{shard}", other)
    memory.pipe_file("/bucket/1.0.0/data/old-00000.parquet", b"old")
    memory.pipe_file("/bucket/1.0.0/uploading.json", b"{}")
    publish(releases[0], "memory://bucket")
    assert without_listing(in_memory(memory, "1.0.0")) == contents(releases[0])


def test_a_dry_run_writes_nothing(releases: tuple[Path, Path], memory: Any, tmp_path: Path) -> None:
    for target in ("memory://bucket", str(tmp_path / "out")):
        report = publish(releases[0], target, dry_run=True)
        assert {change.path for change in report.plan.add} == set(contents(releases[0]))
    assert memory.store == {}
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["memory://bucket", "out"])
def test_a_published_version_does_not_change(
    releases: tuple[Path, Path],
    memory: Any,
    tmp_path: Path,
    target: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    publish(releases[0], target)
    shutil.copytree(releases[0], tmp_path / "other")
    with (tmp_path / "other/README.md").open("a") as file:
        file.write("\nmore\n")
    with pytest.raises(ReleaseError, match="other content"):
        publish(tmp_path / "other", target)


# Before anything is sent


@pytest.fixture
def copy(releases: tuple[Path, Path], tmp_path: Path) -> Path:
    return Path(shutil.copytree(releases[0], tmp_path / "copy"))


def refused(folder: Path, tmp_path: Path, **options: Any) -> list[str]:
    problems = Problems()
    with pytest.raises(ReleaseError, match="cannot be published"):
        publish_release(folder, parse_target(str(tmp_path / "out")), problems, Options(**options))
    assert not (tmp_path / "out").exists()
    return [problem.code for problem in problems if problem.severity == "error"]


def test_a_release_that_is_not_whole_is_refused_with_all_that_is_wrong(copy: Path, tmp_path: Path) -> None:
    first, second, *_ = sorted((copy / "data").iterdir())
    first.unlink()
    second.write_bytes(second.read_bytes()[:-1] + b"x")
    (copy / "data/extra-00000.parquet").write_bytes(b"x")
    assert sorted(refused(copy, tmp_path)) == ["file.changed", "file.missing", "file.unknown"]


def test_links_are_not_published(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "secret.md").write_text("secret")
    (copy / "SECRET.md").symlink_to(tmp_path / "secret.md")
    assert refused(copy, tmp_path) == ["file.link"]


def test_faults_that_a_check_found_stop_it_unless_forced(copy: Path, tmp_path: Path) -> None:
    found = {"problems": [{"code": "leak.lookalike", "severity": "error", "what": "twins"}]}
    (copy / "checks.json").write_text(json.dumps(found))
    assert refused(copy, tmp_path) == ["checks.errors"]
    assert publish(copy, tmp_path / "out", force=True).state == "published"


def test_a_card_that_would_not_load_every_shard_is_refused(copy: Path, tmp_path: Path) -> None:
    text = (copy / "README.md").read_text()
    (copy / "README.md").write_text(text.replace("data/train-*", "data/trian-*"))
    assert set(refused(copy, tmp_path)) == {"card.configs"}
    (copy / "README.md").write_text("no metadata")
    assert refused(copy, tmp_path) == ["card.metadata"]


@pytest.mark.parametrize("path", ["../../evil.parquet", "/tmp/evil.parquet", "data/../../evil.parquet"])
def test_a_manifest_that_names_files_elsewhere_is_refused(copy: Path, tmp_path: Path, path: str) -> None:
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"][0]["path"] = path
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ReleaseError, match="not a path within a release"):
        publish(copy, tmp_path / "out")


def test_progress_counts_files_and_bytes(releases: tuple[Path, Path], tmp_path: Path) -> None:
    seen: list[Moment] = []
    publish_release(releases[0], parse_target(str(tmp_path / "out")), Problems(), progress=seen.append)
    sending = [moment for moment in seen if moment.doing == "sending"]
    files = contents(releases[0])
    assert (sending[0].bytes, sending[0].files) == (0, 0)
    assert (sending[-1].bytes, sending[-1].files) == (sum(map(len, files.values())), len(files))


# Targets


@pytest.mark.parametrize(
    ("text", "kind", "location"),
    [
        ("org/name", "hub", "org/name"),
        ("hf://datasets/org/name", "hub", "org/name"),
        ("https://huggingface.co/datasets/org/name/", "hub", "org/name"),
        ("./org/name", "folder", "./org/name"),
        ("/org/name", "folder", "/org/name"),
        ("published", "folder", "published"),
        ("s3://bucket/some/prefix/", "bucket", "s3://bucket/some/prefix"),
    ],
)
def test_targets_mean_what_they_look_like(text: str, kind: str, location: str) -> None:
    target = parse_target(text)
    assert (target.kind, target.location) == (kind, location)


def test_a_name_that_may_mean_two_things_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org/name").mkdir(parents=True)
    with pytest.raises(UsageError, match="may be the folder or a dataset"):
        parse_target("org/name")
    for text in ("hf://models/x", "hf://datasets/a/b/c", ""):
        with pytest.raises(UsageError):
            parse_target(text)


def test_passwords_in_urls_are_not_shown() -> None:
    target = parse_target("ftp://me:s%40cret@host/x")
    assert target.shown == "ftp://host/x"
    said = target.redact("530 s@cret at ftp://me:s%40cret@host/x/y and http://mirror/z?sign=abc\x1b[2J")
    assert said == "530 … at ftp://host/x/y and http://mirror/z"
    with pytest.raises(UsageError) as error:
        parse_target("https://host/x?sign=secret")
    assert "secret" not in f"{error.value.message}{error.value.fix}"


def test_a_file_system_that_nobody_knows_is_a_clear_error(releases: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="nonsense"):
        publish(releases[0], "nonsense://bucket")


def test_the_command_line_publishes_lists_and_shows_what_would_go(
    releases: tuple[Path, Path], tmp_path: Path
) -> None:
    out = str(tmp_path / "out")
    for folder in releases:
        dry = CliRunner().invoke(main, ["release", "publish", str(folder), out, "--dry-run"])
        assert dry.exit_code == 0, dry.output
        assert "data/train-00000" in dry.stdout
        assert CliRunner().invoke(main, ["release", "publish", str(folder), out]).exit_code == 0
    listed = CliRunner().invoke(main, ["release", "versions", out, "--json"])
    assert [one["version"] for one in json.loads(listed.stdout)["versions"]] == ["1.0.0", "1.1.0"]


@pytest.mark.parametrize("command", ["publish", "get", "versions"])
def test_help_has_an_example(command: str) -> None:
    result = CliRunner().invoke(main, ["release", command, "--help"])
    assert result.exit_code == 0
    assert f"synthscars release {command}" in result.output.split("Example")[1]
