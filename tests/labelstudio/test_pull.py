import json
from pathlib import Path

import httpx
import msgspec
import pytest
import zstandard
from platform_images import fill

from synthscars.converters import labelstudio as converter
from synthscars.jsonl import read_records
from synthscars.labelstudio.client import Client
from synthscars.labelstudio.project import Project
from synthscars.labelstudio.pull import parse_export, parse_missing, pull, store_export
from synthscars.labelstudio.retries import Patience
from synthscars.problems import FormatError, PlatformError, Problems
from synthscars.records import Artifact, ImageRecord, Review, Status
from synthscars.workspace import Workspace


def export_of(records: list[ImageRecord]) -> bytes:
    """What the server would send if one rater had drawn the true artifacts."""
    tasks = []
    for number, record in enumerate(records, start=1):
        artifacts = [msgspec.structs.replace(one, rater_id="rater-2") for one in record.artifacts]
        status: Status = "annotated" if artifacts else "clean"
        reviews = (Review(rater_id="rater-2", status=status, content_type=record.content_type),)
        answered = msgspec.structs.replace(record, artifacts=tuple(artifacts), reviews=reviews)
        tasks.append({"id": number, **converter.task(answered, "/data/x.png", Problems())})
    return msgspec.json.encode(tasks)


def close_to(found: Artifact, true: Artifact) -> bool:
    rings = zip(found.polygons, true.polygons, strict=True)
    return (found.phrase, found.explanation, found.category, found.subtype) == (
        true.phrase,
        true.explanation,
        true.category,
        true.subtype,
    ) and all(abs(a - b) < 1e-9 for one, other in rings for a, b in zip(one, other, strict=True))


def test_an_export_is_kept_byte_for_byte_and_once(workspace: Workspace, tmp_path: Path) -> None:
    raw = b'[ {"id": 1, "data": {}} ]\n'
    first = store_export(workspace, raw)
    assert first == workspace.exports_dir / "000001.json.zst"
    assert zstandard.ZstdDecompressor().stream_reader(first.open("rb")).read() == raw
    assert store_export(workspace, raw) == first
    file = tmp_path / "raw.json"
    for changed in (raw + b" ", raw[:-1], b""):
        file.write_bytes(changed)
        assert store_export(workspace, file) != first
    assert len(list(workspace.exports_dir.iterdir())) == 4
    # An older state that comes back is a new export: exports tell what was pulled when.
    assert store_export(workspace, raw).name == "000005.json.zst"


def test_the_bytes_do_not_depend_on_how_the_export_came(workspace: Workspace, tmp_path: Path) -> None:
    raw = json.dumps([{"id": number} for number in range(200_000)]).encode()
    other = Workspace.create(tmp_path / "other")
    file = tmp_path / "raw.json"
    file.write_bytes(raw)
    assert store_export(workspace, raw).read_bytes() == store_export(other, file).read_bytes()
    assert store_export(workspace, file).name == "000001.json.zst"


def test_records_hold_what_was_drawn_and_what_ingest_knew(workspace: Workspace) -> None:
    truth = fill(workspace, 4)
    problems = Problems()
    path = parse_export(workspace, store_export(workspace, export_of(truth)), problems)
    assert path == workspace.latest_records() == workspace.records_dir / "000001.jsonl.zst"
    assert not len(problems)
    for found, true in zip(read_records(path), truth, strict=True):
        assert (found.image_id, found.status) == (true.image_id, true.status)
        assert found.generation == true.generation
        assert len(found.artifacts) == len(true.artifacts)
        assert all(map(close_to, found.artifacts, true.artifacts))
    assert {record.status for record in truth} >= {"annotated"}


def test_a_pull_that_was_killed_between_storing_and_reading_is_made_up_for(
    workspace: Workspace, tmp_path: Path
) -> None:
    truth = fill(workspace, 3)
    raw = export_of(truth)
    store_export(workspace, raw)
    store_export(workspace, raw + b"\n")
    parsed = parse_missing(workspace, Problems())
    assert [path.name for path in parsed] == ["000001.jsonl.zst", "000002.jsonl.zst"]
    assert parse_missing(workspace, Problems()) == []
    undisturbed = Workspace.create(tmp_path / "undisturbed")
    fill(undisturbed, 3)
    parse_export(undisturbed, store_export(undisturbed, raw), Problems())
    assert undisturbed.latest_records().read_bytes() == parsed[0].read_bytes()


def test_reading_again_gives_the_same_bytes(workspace: Workspace) -> None:
    export = store_export(workspace, export_of(fill(workspace, 3)))
    first = parse_export(workspace, export, Problems()).read_bytes()
    assert parse_export(workspace, export, Problems()).read_bytes() == first


def test_an_export_that_cannot_be_read_leaves_no_records_behind(workspace: Workspace) -> None:
    export = store_export(workspace, b"<html>502 Bad Gateway</html>")
    with pytest.raises(FormatError, match=r"000001\.json\.zst"):
        parse_export(workspace, export, Problems())
    assert not workspace.records_dir.exists() or not list(workspace.records_dir.iterdir())


def answering(content: bytes, status: int = 200) -> Client:
    """A connection to a server that gives the same answer to every request."""
    client = Client("http://127.0.0.1:9", "f" * 40, Patience(tries=1))
    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=content))
    client.http = httpx.Client(base_url=client.url, transport=transport)
    return client


@pytest.mark.parametrize(
    ("content", "status", "told"),
    [
        (b"<!doctype html><title>Log in</title>", 200, "whole export: an HTML page"),
        (b'[{"id": 1}, {"id": 2, "ann', 200, "whole export: it: "),
        (b"", 200, "whole export: it: the file is empty"),
        (b'{"detail": "Invalid token."}', 401, "Invalid token"),
        (b"<h1>Server Error (500)</h1>", 500, "500.: an HTML page"),
    ],
)
def test_what_is_no_whole_export_is_not_kept(
    workspace: Workspace, content: bytes, status: int, told: str
) -> None:
    with pytest.raises(PlatformError, match=told) as caught:
        pull(answering(content, status), Project(1, "scars"), workspace, Problems())
    assert "f" * 40 not in str(caught.value)
    assert "<" not in str(caught.value)
    assert not workspace.exports_dir.exists()


def test_an_old_export_that_cannot_be_read_stops_no_later_pull(workspace: Workspace) -> None:
    store_export(workspace, b'[{"id": 1}, {"id": 2, "ann')
    truth = fill(workspace, 2)
    problems = Problems()
    result = pull(answering(export_of(truth)), Project(1, "scars"), workspace, problems)
    assert (result.records, result.images) == ("000002.jsonl.zst", 2)
    assert [(one.code, one.file) for one in problems] == [("export.unreadable", "000001.json.zst")]


@pytest.mark.parametrize("content", [b"<!doctype html>", b'{"results": [', b"\xff\xfe\x00"])
def test_an_answer_that_is_not_json_becomes_an_error_without_its_text(content: bytes) -> None:
    with pytest.raises(PlatformError, match="not JSON") as caught:
        answering(content).request("GET", "/api/projects/")
    assert "results" not in str(caught.value)
