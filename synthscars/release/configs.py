"""The configs of a release: views of one set of Parquet files, as `datasets` reads them from the card.

`default` has every column of `data/`; `raters` has what each rater drew in place of the merged regions;
`detection` has what tells generated from real pictures, of `data/` and of the real photographs in
`detection/`.
"""

from __future__ import annotations

from typing import Any

from synthscars.release.features import features
from synthscars.release.manifest import Manifest
from synthscars.release.shards import Shard

DATA, DETECTION = "data", "detection"
"""Folders of a release: images with annotations, and real photographs that need none."""

_FOLDERS = {"detection": (DATA, DETECTION)}
_MERGED = "artifacts"
_RATERS = "rater_artifacts"


def default_columns() -> list[str]:
    """The columns of the config `default`, in their order: all."""
    return list(features())


def raters_columns() -> list[str]:
    """The columns of the config `raters`: every rater's regions, not the merged ones."""
    return [name for name in features() if name != _MERGED]


def detection_columns() -> list[str]:
    """The columns of the config `detection`: the picture and where it comes from."""
    return [
        "image",
        "image_id",
        "file_name",
        "width",
        "height",
        "origin",
        "content_type",
        "generation",
        "group_id",
        "source",
        "license",
    ]


def config_columns() -> dict[str, list[str]]:
    """Config → its columns, of the configs that a release has. No `raters` without `rater_artifacts`."""
    configs = {"default": default_columns(), "raters": raters_columns(), "detection": detection_columns()}
    if _RATERS not in features():
        del configs["raters"]
    return configs


def config_files(manifest: Manifest, config: str, split: str) -> list[Shard]:
    """The files of a split that a config reads."""
    folders = _FOLDERS.get(config, (DATA,))
    return [file for file in manifest.files if file.split == split and _folder(file) in folders]


def config_splits(manifest: Manifest, config: str) -> dict[str, dict[str, int]]:
    """Split → folder → number of rows, in the order of the manifest's splits."""
    found: dict[str, dict[str, int]] = {}
    for split in dict.fromkeys([*manifest.splits, *(file.split for file in manifest.files)]):
        rows: dict[str, int] = {}
        for file in config_files(manifest, config, split):
            rows[_folder(file)] = rows.get(_folder(file), 0) + file.rows
        if rows:
            found[split] = dict(sorted(rows.items()))
    return found


def config_metadata(manifest: Manifest) -> list[dict[str, Any]]:
    """The `configs` of the card's YAML: which files each config reads, and which of their columns."""
    configs = []
    for name, columns in config_columns().items():
        data_files = []
        for split, folders in config_splits(manifest, name).items():
            paths = [f"{folder}/{split}-*.parquet" for folder in folders]
            data_files.append({"split": split, "path": paths[0] if len(paths) == 1 else paths})
        config: dict[str, Any] = {"config_name": name, "data_files": data_files}
        if columns != default_columns():
            config["columns"] = columns
        configs.append(config)
    return configs


def _folder(file: Shard) -> str:
    return file.path.split("/", 1)[0]
