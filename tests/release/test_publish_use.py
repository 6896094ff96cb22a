"""What users do with what was published on the Hub: load it, fetch it, follow its versions."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hub import READER, WRITER, Fault, Hub, contents, large_files
from releasing import (
    add_records,
    changed,
    mark_verified,
    noise_png,
    raters_workspace,
    replace_records,
    sample_record,
)

from synthscars.problems import Problems, ReleaseError
from synthscars.release import build_release
from synthscars.release.check.run import check, encode_checks
from synthscars.release.publish import get_release, parse_target, publish_release
from synthscars.release.publish.send import Options
from synthscars.workspace import Workspace

REPO = "org/scars"


def publish(hub: Hub, folder: Path, **options: Any) -> int:
    """Publish, and give the bytes of large files that were sent."""
    hub.sent()
    given = Options(endpoint=hub.endpoint, token=WRITER, **options)
    publish_release(folder, parse_target(REPO), Problems(), given)
    return hub.sent()


def get(hub: Hub, to: Path, version: str) -> dict[str, bytes]:
    report = get_release(
        parse_target(REPO), to, Problems(), version=version, endpoint=hub.endpoint, token=READER
    )
    return contents(report.path)


def in_python(hub: Hub, folder: Path, code: str) -> Any:
    """What the code prints as JSON, with nothing but the environment to know the Hub by."""
    environment = {
        **os.environ,
        "HF_ENDPOINT": hub.endpoint,
        "HF_TOKEN": READER,
        "HF_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "0",
        "HF_DATASETS_OFFLINE": "0",
        "HF_HUB_DISABLE_XET": "1",
    }
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=folder, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()
    return json.loads(done.stdout)


_LOAD = """
import json, sys
import pandas
from datasets import get_dataset_config_names, load_dataset
from huggingface_hub import HfFileSystem, snapshot_download
from pathlib import Path

found = {"configs": get_dataset_config_names("org/scars", revision="v1.0.0")}
for config in ("default", "raters", "detection"):
    loaded = load_dataset("org/scars", config, revision="v1.0.0")
    ids = {name: sorted(split["image_id"]) for name, split in loaded.items()}
    sizes = [row["image"].size for split in loaded.values() for row in split]
    streamed = {
        name: sorted(
            row["image_id"]
            for row in load_dataset("org/scars", config, revision="v1.0.0", split=name, streaming=True)
        )
        for name in loaded
    }
    assert streamed == ids
    found[config] = {"columns": next(iter(loaded.values())).column_names, "ids": ids, "images": len(sizes)}
folder = Path(snapshot_download("org/scars", repo_type="dataset", revision="v1.0.0"))
found["snapshot"] = {
    path.relative_to(folder).as_posix(): path.stat().st_size for path in folder.rglob("*") if path.is_file()
}
files = HfFileSystem()
shards = files.glob("datasets/org/scars@v1.0.0/data/*.parquet")
found["pandas"] = sum(
    len(pandas.read_parquet(f"hf://{shard}", columns=["image_id"])) for shard in shards
)
json.dump(found, sys.stdout)
"""


@pytest.mark.slow
def test_a_version_is_loaded_streamed_and_fetched_as_users_do_it(hub: Hub, tmp_path: Path) -> None:
    workspace = raters_workspace(tmp_path / "w")
    build_release(workspace, "1.0.0", Problems())
    folder = workspace.release_dir("1.0.0")
    mark_verified(folder)
    publish(hub, folder)
    found = in_python(hub, tmp_path, _LOAD)

    manifest = json.loads((folder / "manifest.json").read_text())
    by_split: dict[str, list[str]] = {}
    for image, entry in sorted(manifest["images"].items()):
        by_split.setdefault(entry["split"], []).append(image)
    assert sorted(found["configs"]) == ["default", "detection", "raters"]
    for config in ("default", "raters"):
        assert found[config]["ids"] == by_split
    assert "rater_artifacts" in found["raters"]["columns"]
    assert "artifacts" not in found["raters"]["columns"]
    assert not {"artifacts", "rater_artifacts"} & set(found["detection"]["columns"])
    photographs = set(manifest["detection_images"])
    assert len(photographs) == 3
    in_detection = {image for ids in found["detection"]["ids"].values() for image in ids}
    assert in_detection == set(manifest["images"]) | photographs
    assert found["detection"]["images"] == len(in_detection)
    sizes = {path: len(data) for path, data in contents(folder).items()}
    assert {path: size for path, size in found["snapshot"].items() if path != ".gitattributes"} == sizes
    assert found["pandas"] == len(manifest["images"])


def three_versions(root: Path) -> tuple[Workspace, list[Path]]:
    """1.0.0 of 100 images, 1.1.0 with one more, 1.1.1 with one text corrected."""
    workspace = Workspace.create(root, "noise")
    records = add_records(workspace, range(100))
    build_release(workspace, "1.0.0", Problems())
    data = noise_png(100)
    records.append(sample_record(100, data))
    workspace.add_image(data, records[-1].image_id, ".png")
    replace_records(workspace, records)
    build_release(workspace, "1.1.0", Problems())
    number = next(number for number, record in enumerate(records) if record.artifacts)
    first, *others = records[number].artifacts
    corrected = changed(first, explanation=f"{first.explanation} Corrected.")  # type: ignore[arg-type]
    records[number] = changed(records[number], artifacts=(corrected, *others))
    replace_records(workspace, records)
    build_release(workspace, "1.1.1", Problems())
    folders = [workspace.release_dir(version) for version in ("1.0.0", "1.1.0", "1.1.1")]
    for folder in folders:
        mark_verified(folder)
    return workspace, folders


@pytest.mark.slow
def test_three_versions_send_only_what_is_new_and_each_comes_back_equal(hub: Hub, tmp_path: Path) -> None:
    _, folders = three_versions(tmp_path / "w")
    known: dict[str, int] = {}
    for folder in folders:
        fresh = {sha: size for sha, size in large_files(folder).items() if sha not in known}
        assert publish(hub, folder) == sum(fresh.values())
        known |= fresh
    for folder in folders:
        assert get(hub, tmp_path / "machine" / folder.name, folder.name) == contents(folder)
    shared = tmp_path / "one folder"
    for folder in folders:
        assert get(hub, shared, folder.name) == contents(folder)


@pytest.mark.slow
def test_interrupted_at_thirty_random_requests_all_ends_equal(hub: Hub, tmp_path: Path) -> None:
    _, folders = three_versions(tmp_path / "w")
    publish(hub, folders[0])
    expected = {folder.name: contents(folder) for folder in folders}
    choose = random.Random(4)
    interrupted = 0
    for number in range(30):
        sending = number < 15
        hub.faults[:] = [Fault(skip=choose.randrange(14), times=10**6, drop=choose.choice((0, 500)))]
        version = "1.1.0" if number % 2 else "1.1.1"
        to = tmp_path / f"got-{number}"
        try:
            if sending:
                publish(hub, next(folder for folder in folders if folder.name == "1.1.0"))
            else:
                get(hub, to, version)
        except ReleaseError:
            interrupted += 1
        hub.faults.clear()
        if sending:
            publish(hub, folders[1])
            found = hub.files(REPO, "v1.1.0")
            del found[".gitattributes"]
            assert found == expected["1.1.0"]
            assert [commit.title for commit in hub.repos[REPO].commits.values()].count("Release 1.1.0") == 1
            if number < 14:
                _forget(hub)
            else:
                publish(hub, folders[2])
        else:
            assert get(hub, to, version) == expected[version]
    assert interrupted > 15


def _forget(hub: Hub) -> None:
    """Put the repository back to where only 1.0.0 is there."""
    repo = hub.repos[REPO]
    repo.branches["main"] = repo.tags["v1.0.0"]
    for oid in [oid for oid, commit in repo.commits.items() if commit.title == "Release 1.1.0"]:
        del repo.commits[oid]
    repo.tags.pop("v1.1.0")


def test_a_release_with_leaks_as_a_check_wrote_them_down_goes_only_if_forced(
    hub: Hub, tmp_path: Path
) -> None:
    workspace = Workspace.create(tmp_path / "w", "noise")
    add_records(workspace, range(12))
    build_release(workspace, "1.0.0", Problems())
    folder = workspace.release_dir("1.0.0")
    mark_verified(folder)
    assert json.loads((folder / "checks.json").read_text())["severities"].get("error", 0) == 0
    found = Problems()
    report = check(folder, found, format="release")
    found.add("leak.group", "images of one group are in train and test", image="0" * 64)
    (folder / "checks.json").write_bytes(encode_checks(report, found))
    with pytest.raises(ReleaseError, match=r"the check found leak\.group") as error:
        publish(hub, folder)
    assert "--force" in error.value.fix
    assert hub.repos[REPO].tags == {}
    publish(hub, folder, force=True)
    assert list(hub.repos[REPO].tags) == ["v1.0.0"]
