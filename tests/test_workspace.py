import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st
from strategies import records

from synthscars.files import atomic_file
from synthscars.images import sha256
from synthscars.jsonl import read_records, write_records
from synthscars.problems import FormatError, UsageError, WorkspaceError
from synthscars.records import ImageRecord, encode_record
from synthscars.settings import CONFIG_NAME
from synthscars.workspace import Settings, Times, Workspace, check_version

RECORD = ImageRecord(image_id="ab" * 32, file_name="a.png", width=8, height=8, source="folder")


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    return Workspace.create(tmp_path / "scars")


# Create and open


def test_a_new_workspace_is_opened_with_its_defaults(tmp_path: Path) -> None:
    made = Workspace.create(tmp_path / "deep" / "scars")
    opened = Workspace.open(tmp_path / "deep" / "scars")
    assert opened.settings == made.settings == Settings(name="scars")
    assert opened.root == tmp_path / "deep" / "scars"
    assert opened.release_dir("1.0.0").parent == opened.root / "releases"


def test_an_empty_folder_becomes_a_workspace_under_any_name(tmp_path: Path) -> None:
    name = 'Scars "of" \\ 手 \n 👩‍🎨'
    assert Workspace.create(tmp_path, name).name == name
    assert Workspace.open(tmp_path).name == name


@pytest.mark.parametrize(("name", "kept"), [("a\x7fb", "a\x7fb"), ("caf\udce9", "caf?")])
def test_a_name_that_toml_has_no_letters_for_still_makes_a_workspace(
    tmp_path: Path, name: str, kept: str
) -> None:
    assert Workspace.create(tmp_path, name).name == kept


def test_what_a_killed_init_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / ".tmp-0123456789ab-synthscars.toml").write_bytes(b"name")
    (tmp_path / ".lock").write_bytes(b"")
    with Workspace.create(tmp_path).lock():
        assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", CONFIG_NAME]


@pytest.mark.parametrize("name", [".tmp-mine", ".tmp-0123456789ab-notes.txt", ".hidden"])
def test_a_hidden_file_of_somebody_else_is_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"mine")
    with pytest.raises(WorkspaceError, match="not an empty folder"):
        Workspace.create(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_folder_that_is_a_workspace_or_holds_anything_is_left_alone(tmp_path: Path, workspace) -> None:
    with pytest.raises(WorkspaceError, match="is a workspace already"):
        Workspace.create(workspace.root)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "note.txt").write_text("mine")
    with pytest.raises(WorkspaceError, match="not an empty folder"):
        Workspace.create(tmp_path / "full")
    with pytest.raises(WorkspaceError, match="not an empty folder"):
        Workspace.create(tmp_path / "full" / "note.txt")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["note.txt"]


def test_opening_what_is_no_workspace_says_how_to_make_one(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(WorkspaceError, match="is not a workspace") as caught:
            Workspace.open(path)
        assert "synthscars init" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = ", "Invalid value"),
        ("", "name"),
        ("name = 3", "name"),
        ('name = "a"\n[platform]\nport = "eighty"', "port"),
        ('name = "a"\ntitel = "typing error"', "titel"),
        ('name = "a"\n[release]\nlicence = "mit"', "licence"),
        ('name = "a"\nworkspace_version = 2', "workspace_version 2"),
        ('name = ""', "name: "),
        ('name = "a"\nconsensus = 1', "consensus: "),
        ('name = "a"\n[platform]\nport = 0', r"\[platform\] port: .*>= 1"),
        ('name = "a"\n[platform]\nport = 65536', r"\[platform\] port: .*<= 65535"),
        ('name = "a"\n[consensus]\nmin_iou = 0', r"\[consensus\] min_iou: "),
        ('name = "a"\n[consensus]\nmin_iou = 1.01', r"\[consensus\] min_iou: "),
        ('name = "a"\n[consensus]\nmin_iou = nan', r"\[consensus\] min_iou: "),
        ('name = "a"\n[release]\ntrain = -0.1', r"\[release\] train: "),
        ('name = "a"\n[release]\ntest = 1.5', r"\[release\] test: "),
        ('name = "a"\n[release]\nvalidation = nan', r"\[release\] validation: "),
        ('name = "a"\n[release]\ntrain = 0.9', r"\[release\] train, validation and test .* 1\.1, not 1"),
        (b"name = '\xff\xfe'", "utf-8"),
    ],
)
def test_damaged_settings_are_refused_with_file_and_field(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    (tmp_path / CONFIG_NAME).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(WorkspaceError, match=said) as caught:
        Workspace.open(tmp_path)
    assert str(tmp_path / CONFIG_NAME) in str(caught.value)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("text", "fix"),
    [
        ("[release]\nlicence = 1", "did you mean license?"),
        ("relase = 1", "did you mean release?"),
        ("[consensus]\nxyz = 1", "known here: min_iou"),
    ],
)
def test_the_nearest_setting_is_suggested(tmp_path: Path, text: str, fix: str) -> None:
    (tmp_path / CONFIG_NAME).write_text(f'name = "a"\n{text}')
    with pytest.raises(WorkspaceError) as caught:
        Workspace.open(tmp_path)
    assert caught.value.fix == fix


def test_settings_at_their_limits_are_taken(tmp_path: Path) -> None:
    third = 0.3333333
    (tmp_path / CONFIG_NAME).write_text(
        'name = "a"\n[platform]\nport = 65535\n[consensus]\nmin_iou = 1\n'
        f"[release]\ntrain = {third}\nvalidation = {third}\ntest = {third}\n"
    )
    opened = Workspace.open(tmp_path).settings
    assert (opened.platform.port, opened.consensus.min_iou, opened.release.train) == (65535, 1, third)
    (tmp_path / CONFIG_NAME).write_text('name = "a"\n[release]\ntrain = 1\nvalidation = 0\ntest = 0\n')
    assert Workspace.open(tmp_path).settings.release.train == 1


# Lock

HOLD = """
import sys, time
from pathlib import Path
from synthscars.workspace import Workspace
with Workspace.open(Path(sys.argv[1])).lock():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_that_another_process_holds_is_refused_and_ends_with_that_process(workspace) -> None:
    other = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(workspace.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(WorkspaceError, match="another synthscars command") as caught, workspace.lock():
            pass
        assert str(workspace.root) in str(caught.value)
        if Path("/proc/locks").exists():
            assert f"process {other.pid}" in str(caught.value)
        assert caught.value.fix
    finally:
        other.kill()
        other.communicate()
    with workspace.lock():
        pass


def test_a_lock_is_free_again_after_an_error(workspace) -> None:
    with pytest.raises(ValueError, match="oops"), workspace.lock():
        raise ValueError("oops")
    with workspace.lock():
        pass


def test_taking_the_lock_clears_away_what_a_killed_writer_left(workspace) -> None:
    workspace.add_image(b"data", RECORD.image_id, ".png")
    left = [
        workspace.root / ".tmp-1-a",
        workspace.root / "index" / ".tmp-2-b",
        workspace.root / "releases" / ".tmp-3-c" / "data.parquet",
        workspace.root / "images" / "ab" / ".tmp-4-d",
    ]
    others = [workspace.platform_dir / ".tmp-5-e", workspace.reports_dir / ".tmp-6-f"]
    for path in (*left, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"half")
    with workspace.lock():
        assert not any(path.exists() for path in left)
    assert all(path.exists() for path in others)
    assert workspace.find_image(RECORD.image_id) is not None


# Images


def test_an_image_is_kept_once_under_its_id(workspace) -> None:
    data = b"\x89PNG bytes"
    path = workspace.add_image(data, sha256(data), ".png")
    inode = path.stat().st_ino
    assert workspace.add_image(data, sha256(data), ".png") == path
    assert path.stat().st_ino == inode
    assert workspace.find_image(sha256(data)) == path
    assert path.read_bytes() == data
    assert path.relative_to(workspace.root).parts == ("images", sha256(data)[:2], f"{sha256(data)}.png")


def test_an_image_that_is_not_there_is_not_found(workspace) -> None:
    assert workspace.find_image("cd" * 32) is None


@pytest.mark.parametrize(
    ("image_id", "suffix"),
    [
        ("", ".png"),
        ("../../../etc/passwd", ".png"),
        ("ab" * 31 + "..", ".png"),
        ("ab" * 32 + "/..", ".png"),
        ("AB" * 32, ".png"),
        ("ab" * 33, ".png"),
        ("ab" * 32 + "\n", ".png"),
        ("ab" * 32, "/../../x"),
        ("ab" * 32, ""),
        ("ab" * 32, ".png/../../x"),
        ("ab" * 32, ".png\n"),
    ],
)
def test_only_a_sha256_makes_a_path(workspace, image_id: str, suffix: str) -> None:
    with pytest.raises(FormatError, match="not an image id"):
        workspace.image_path(image_id, suffix)


@given(st.text(max_size=70))
def test_no_text_leads_out_of_the_images_folder(text: str) -> None:
    workspace = Workspace(Path("/w"), Settings(name="w"))
    try:
        path = workspace.image_path(text, ".png")
    except FormatError:
        return
    assert os.path.normpath(path) == str(path)
    assert path.is_relative_to("/w/images")


def test_an_image_of_another_size_is_stored_again_and_those_without_a_file_are_counted(workspace) -> None:
    data = b"\x89PNG bytes"
    image_id = sha256(data)
    workspace.append_index([msgspec.structs.replace(RECORD, image_id=image_id), RECORD, RECORD])
    assert not workspace.has_image(image_id, len(data))
    assert workspace.missing_images() == 2
    path = workspace.add_image(data, image_id, ".png")
    assert workspace.has_image(image_id, len(data))
    assert workspace.missing_images() == 1
    path.write_bytes(data[:-1])
    assert not workspace.has_image(image_id, len(data))
    workspace.add_image(data, image_id, ".png")
    assert path.read_bytes() == data


# Index and numbered files


def test_the_newest_row_says_origin_and_licence_and_the_first_all_else(workspace) -> None:
    other = msgspec.structs.replace(RECORD, image_id="cd" * 32, origin="real")
    changed = {"file_name": "b.png", "source": "later", "width": 9, "extra": {"a": 1}}
    workspace.append_index([RECORD, other])
    workspace.append_index([msgspec.structs.replace(RECORD, license="MIT", **changed)])
    workspace.append_index([msgspec.structs.replace(RECORD, origin="real", **changed)])
    assert workspace.provenance() == {RECORD.image_id: ("real", "MIT"), other.image_id: ("real", "")}
    assert list(workspace.images()) == [msgspec.structs.replace(RECORD, origin="real", license="MIT"), other]


def test_a_batch_that_is_gone_is_noticed(workspace) -> None:
    paths = [workspace.append_index([RECORD]) for _ in range(3)]
    paths[1].unlink()
    for look in (workspace.index_batches, workspace.missing_images, lambda: list(workspace.images())):
        with pytest.raises(WorkspaceError, match=r"000002\.parquet is missing, though 000003") as caught:
            look()
        assert "backup" in caught.value.fix
    paths[2].rename(paths[1])
    assert len(workspace.index_batches()) == 2


def test_a_copy_of_a_batch_under_another_name_is_no_batch(workspace) -> None:
    path = workspace.append_index([RECORD])
    path.with_name("000002 (copy).parquet").write_bytes(path.read_bytes())
    assert list(workspace.index_rows()) == [RECORD]


def test_index_batches_are_appended_and_read_in_order(workspace) -> None:
    assert list(workspace.index_rows()) == []
    second_name = msgspec.structs.replace(RECORD, file_name="copy.png")
    other = msgspec.structs.replace(RECORD, image_id="cd" * 32)
    first = workspace.append_index([RECORD])
    before = first.read_bytes()
    workspace.append_index(iter([second_name, other]))
    assert [path.name for path in workspace.index_batches()] == ["000001.parquet", "000002.parquet"]
    assert list(workspace.index_rows()) == [RECORD, second_name, other]
    assert list(workspace.images()) == [RECORD, other]
    assert first.read_bytes() == before


@settings(max_examples=20)
@given(st.lists(records(max_artifacts=1), max_size=2))
def test_any_records_survive_the_index(tmp_path_factory, some: list[ImageRecord]) -> None:
    workspace = Workspace.create(tmp_path_factory.mktemp("index"))
    workspace.append_index(some)
    assert list(workspace.index_rows()) == some


def test_what_another_writer_has_half_done_is_not_read(workspace) -> None:
    workspace.append_index([RECORD])
    with atomic_file(workspace.index_dir / "000002.parquet") as file:
        file.write(b"half")
        file.flush()
        assert list(workspace.index_rows()) == [RECORD]
        assert workspace.append_index([RECORD]).name == "000002.parquet"


def test_a_damaged_index_batch_is_named(workspace) -> None:
    path = workspace.append_index([RECORD])
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(WorkspaceError, match=r"000001\.parquet") as caught:
        list(workspace.index_rows())
    assert caught.value.fix


def test_numbered_files_go_on_after_the_last(workspace) -> None:
    suffix = ".jsonl.zst"
    assert workspace.next_numbered(workspace.records_dir, suffix).name == "000001.jsonl.zst"
    with pytest.raises(WorkspaceError, match="no records yet") as caught:
        workspace.latest_records()
    assert "platform pull" in caught.value.fix
    for name in ("000001.jsonl.zst", "000009.jsonl.zst", "notes.jsonl.zst", "000010.json"):
        (workspace.records_dir).mkdir(exist_ok=True)
        (workspace.records_dir / name).write_bytes(b"")
    assert workspace.latest_records().name == "000009.jsonl.zst"
    assert workspace.next_numbered(workspace.records_dir, suffix).name == "000010.jsonl.zst"


@pytest.mark.parametrize("version", ["0.0.0", "0.1.0", "1.0.0", "10.20.30"])
def test_a_version_is_taken_as_it_is(version: str) -> None:
    assert check_version(version) == version


@pytest.mark.parametrize(
    "version",
    ["", "1", "1.0", "v1.0.0", "1.0.0.0", "01.0.0", "1.0.0-rc1", "../1.0.0", "1.0.0\n", "1.0.0/..", "١.٠.٠"],
)
def test_what_is_no_version_is_refused(workspace, version: str) -> None:
    with pytest.raises(UsageError, match="is not a version"):
        workspace.release_dir(version)


def test_records_that_cannot_be_written_leave_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl.zst"
    write_records(path, [RECORD])

    def broken():
        yield RECORD
        raise RuntimeError("the server is gone")

    with pytest.raises(RuntimeError, match="the server is gone"):
        write_records(path, broken())
    assert list(read_records(path)) == [RECORD]
    assert [path.name for path in tmp_path.iterdir()] == ["a.jsonl.zst"]


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.zst"])
def test_a_damaged_line_of_records_says_what_to_do(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    text = encode_record(RECORD) + b'\n\n{"image_id"\n'
    path.write_bytes(zstandard.compress(text) if path.suffix == ".zst" else text)
    read = read_records(path)
    assert next(read) == RECORD
    with pytest.raises(FormatError, match=f"{name}, line 3") as caught:
        next(read)
    assert "backup" in caught.value.fix
    assert "synthscars convert" in caught.value.fix


def test_an_image_was_ingested_when_the_first_batch_that_has_it_was_written(workspace: Workspace) -> None:
    a, b, c = (msgspec.structs.replace(RECORD, image_id=letter * 64) for letter in "abc")
    first, second = workspace.append_index([a, b]), workspace.append_index([b, c])
    early, late = (Times(status.st_mtime_ns, status.st_ctime_ns) for status in (first.stat(), second.stat()))
    assert workspace.ingested() == {"a" * 64: early, "b" * 64: early, "c" * 64: late}


def test_bytes_of_an_image_that_were_altered_before_it_was_indexed_are_replaced(workspace: Workspace) -> None:
    data = b"the bytes of an image"
    path = workspace.add_image(data, sha256(data), ".png")
    path.write_bytes(data[::-1])
    assert workspace.add_image(data, sha256(data), ".png") == path
    assert path.read_bytes() == data
