"""The card of a release: what the Hub and `load_dataset` read in it, and what people do."""

from pathlib import Path

import pytest
import yaml
from releasing import filled_workspace

from synthscars.problems import Problems
from synthscars.release import build_release, features
from synthscars.release.configs import config_columns, detection_columns
from synthscars.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = filled_workspace(tmp_path_factory.mktemp("card") / "w")
    build_release(workspace, "1.0.0", Problems())
    return workspace


@pytest.fixture(scope="module")
def folder(workspace: Workspace) -> Path:
    return workspace.release_dir("1.0.0")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("config", list(config_columns()))
def test_every_config_opens_with_its_columns_and_all_images(
    folder: Path, tmp_path: Path, config: str, streaming: bool
) -> None:
    import datasets

    loaded = datasets.load_dataset(str(folder), config, cache_dir=str(tmp_path), streaming=streaming)
    columns = config_columns()[config]
    rows = [row for split in loaded.values() for row in split]
    assert len(rows) == 24
    assert all(list(row) == columns for row in rows)
    assert all(list(split.features) == columns for split in loaded.values())


def test_the_detection_config_has_nothing_of_the_annotations() -> None:
    assert {"artifacts", "rater_artifacts", "reviews", "caption", "status"}.isdisjoint(detection_columns())
    assert set(detection_columns()) <= set(features())


def test_what_the_card_says_of_a_config_is_what_is_in_it(folder: Path, tmp_path: Path) -> None:
    import datasets

    front = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    for info in front["dataset_info"]:
        loaded = datasets.load_dataset(str(folder), info["config_name"], cache_dir=str(tmp_path))
        assert {split["name"]: split["num_examples"] for split in info["splits"]} == {
            name: len(split) for name, split in loaded.items()
        }
        assert info["download_size"] == sum(path.stat().st_size for path in folder.glob("data/*.parquet"))
