"""The YAML at the top of the card, which `datasets` and the Hugging Face Hub read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from synthscars.release.configs import config_columns, config_files, config_metadata, config_splits
from synthscars.release.manifest import Manifest
from synthscars.release.totals import Totals
from synthscars.settings import ReleaseSettings
from synthscars.shown import visible

if TYPE_CHECKING:
    from datasets.info import DatasetInfo

_TASKS = ["image-segmentation", "object-detection", "image-to-text", "image-classification"]
_TAGS = ["synthscars", "artifacts", "AI-generated images", "synthetic image detection", "explanation"]
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
# Of the licences that the Hub knows by an identifier, those that data, texts and pictures have.
_LICENSES = frozenset(
    {
        "apache-2.0",
        "mit",
        "openrail",
        "bigscience-openrail-m",
        "creativeml-openrail-m",
        "openrail++",
        "bsd",
        "bsd-2-clause",
        "bsd-3-clause",
        "c-uda",
        "cc",
        "cc0-1.0",
        "cc-by-2.0",
        "cc-by-2.5",
        "cc-by-3.0",
        "cc-by-4.0",
        "cc-by-sa-3.0",
        "cc-by-sa-4.0",
        "cc-by-nc-2.0",
        "cc-by-nc-3.0",
        "cc-by-nc-4.0",
        "cc-by-nd-4.0",
        "cc-by-nc-nd-3.0",
        "cc-by-nc-nd-4.0",
        "cc-by-nc-sa-2.0",
        "cc-by-nc-sa-3.0",
        "cc-by-nc-sa-4.0",
        "cdla-sharing-1.0",
        "cdla-permissive-1.0",
        "cdla-permissive-2.0",
        "etalab-2.0",
        "agpl-3.0",
        "gfdl",
        "gpl",
        "gpl-2.0",
        "gpl-3.0",
        "lgpl",
        "lgpl-2.1",
        "lgpl-3.0",
        "mpl-2.0",
        "odc-by",
        "odbl",
        "pddl",
        "unlicense",
        "wtfpl",
        "unknown",
        "other",
    }
)


def front_matter(manifest: Manifest, totals: Totals, settings: ReleaseSettings, title: str) -> str:
    """The YAML between its two lines of dashes."""
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    count = totals.images.total() + totals.detection_only.total()
    card = DatasetCardData(
        language=list(settings.language),
        annotations_creators=list(_creators(manifest, totals, settings)) or None,
        source_datasets=["original"] if "min_iou" in manifest.settings else None,
        pretty_name=visible(title),
        task_categories=_TASKS,
        tags=_TAGS,
        size_categories=[next((name for most, name in _SIZES if count < most), "n>10M")],
        configs=config_metadata(manifest),
        **_license(settings),
    )
    DatasetInfosDict(
        {name: _info(manifest, name, columns) for name, columns in config_columns().items()}
    ).to_dataset_card_data(card)
    return f"---\n{card.to_yaml()}\n---"


def _license(settings: ReleaseSettings) -> dict[str, Any]:
    """The licence as the Hub wants it: one that it does not know is `other`, with a name and a link."""
    text = settings.license.strip()
    known = text.lower() if text.lower() in _LICENSES else "other"
    found: dict[str, Any] = {"license": known}
    name = settings.license_name or ("" if known == text.lower() else text)
    if known == "other" and name:
        # The Hub takes lower-case words with hyphens.
        found["license_name"] = re.sub(r"[^a-z0-9.+]+", "-", name.lower()).strip("-") or "unnamed"
    if known == "other" and settings.license_link:
        found["license_link"] = settings.license_link
    return found


def _creators(manifest: Manifest, totals: Totals, settings: ReleaseSettings) -> Sequence[str]:
    """Who annotated, in the Hub's words: as the settings say, or where it is plain."""
    if settings.annotations_creators:
        return settings.annotations_creators
    if totals.images and totals.simulated == totals.images.total():
        return ["machine-generated"]
    return [] if "min_iou" in manifest.settings else ["found"]


def _info(manifest: Manifest, config: str, columns: Sequence[str]) -> DatasetInfo:
    """What `datasets` would know of a config after reading it. Sizes are those of the whole files."""
    from datasets import Features
    from datasets.info import DatasetInfo
    from datasets.splits import SplitDict, SplitInfo

    from synthscars.release.features import features

    splits = {
        split: SplitInfo(
            split,
            num_examples=sum(folders.values()),
            num_bytes=sum(file.arrow_bytes for file in config_files(manifest, config, split)),
        )
        for split, folders in config_splits(manifest, config).items()
    }
    return DatasetInfo(
        features=Features({name: features()[name] for name in columns}),
        splits=SplitDict(splits),
        download_size=sum(file.bytes for split in splits for file in config_files(manifest, config, split)),
        dataset_size=sum(split.num_bytes for split in splits.values()),
    )
