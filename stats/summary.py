"""Counts and distributions of a release."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from synthscars.stats.tables import Tables, read_tables

if TYPE_CHECKING:
    import pandas as pd

UNKNOWN = "unknown"
ALL = "all"

Counts = dict[str, dict[str, int]]
"""Label → split → number; `all` is the sum over the splits."""


class Distribution(msgspec.Struct, frozen=True):
    """How one number is distributed. std: of the sample (n - 1), 0 for one value. p5 to p95: percentiles."""

    count: int
    mean: float
    std: float
    min: float
    p5: float
    p25: float
    median: float
    p75: float
    p95: float
    max: float


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that is counted in a release.

    counts: by name of what is counted. Of images: `status`, `origin`, `content_type`, `generator`, `source`,
    `license`, `artifacts_per_image`, `raters_per_image`; of artifacts: `category`, `subtype`, `votes`;
    `rater`: of the images each one finished.

    sizes: by name of what is measured. `area_share` (of the image, in [0, 1]), `area` (square pixels),
    `vertices`, `rings`, `agreement`, lengths of `phrase` and `explanation`: over artifacts; `coverage` (share
    of the image under its artifacts): over images that have any; lengths of `caption`: over images.

    area_share_by_category: `area_share` over the artifacts of each category that has any.

    photographs: by split, images that only the config `detection` has; they are in none of the other counts.
    """

    name: str
    version: str
    images: dict[str, int]
    artifacts: dict[str, int]
    counts: dict[str, Counts]
    sizes: dict[str, Distribution]
    area_share_by_category: dict[str, Distribution]
    photographs: dict[str, int] = {}


def summarize(source: Path | Tables) -> Summary:
    """Count a release: its folder, or the tables read from it. Raises `ReleaseError` if it is none."""
    tables = source if isinstance(source, Tables) else read_tables(source)
    images, artifacts, labels = tables.images, tables.artifacts, tables.labels
    finished = images[["split", "raters"]].explode("raters").dropna()

    def count(frame: pd.DataFrame, column: str, known: Sequence[str] = ()) -> Counts:
        return _count(frame, column, tables.splits, known)

    texts = [f"{text}_{unit}" for text in ("phrase", "explanation") for unit in ("characters", "words")]
    sizes = {
        **{
            column: distribution(artifacts[column])
            for column in ("area_share", "area", "vertices", "rings", "agreement", *texts)
        },
        "coverage": distribution(images.loc[images["artifacts"] > 0, "coverage"]),
        "caption_characters": distribution(images["caption_characters"]),
        "caption_words": distribution(images["caption_words"]),
    }
    by_category = {
        str(category): distribution(group)
        for category, group in artifacts.groupby("category", sort=False)["area_share"]
    }
    return Summary(
        name=tables.name,
        version=tables.version,
        images=_totals(images, tables.splits),
        artifacts=_totals(artifacts, tables.splits),
        counts={
            "status": count(images, "status"),
            "origin": count(images, "origin"),
            "content_type": count(images, "content_type", labels.content_type),
            "category": count(artifacts, "category", labels.category),
            "subtype": count(artifacts, "subtype", labels.subtype),
            "generator": count(images, "generator"),
            "source": count(images, "source"),
            "license": count(images, "license"),
            "rater": count(finished.rename(columns={"raters": "rater"}), "rater"),
            "artifacts_per_image": count(images, "artifacts"),
            "raters_per_image": count(images.assign(raters=images["raters"].map(len)), "raters"),
            "votes": count(artifacts, "votes"),
        },
        sizes={name: found for name, found in sizes.items() if found is not None},
        area_share_by_category={
            name: found for name in labels.category if (found := by_category.get(name)) is not None
        },
        photographs={**tables.photographs, ALL: sum(tables.photographs.values())},
    )


def _totals(frame: pd.DataFrame, splits: Sequence[str]) -> dict[str, int]:
    counts = frame["split"].value_counts()
    return {**{split: int(counts.get(split, 0)) for split in splits}, ALL: len(frame)}


def _count(frame: pd.DataFrame, column: str, splits: Sequence[str], known: Sequence[str]) -> Counts:
    """Rows by the value of a column and by split: known labels in their order, numbers by size, others by
    name."""
    values = [_label(value) for value in frame[column].tolist()]
    others = set(values) - set(known) - {UNKNOWN}
    ordered = [*known, *sorted(others, key=lambda label: (len(label) if label.isdigit() else 0, label))]
    if UNKNOWN in values:
        ordered.append(UNKNOWN)
    counts: Counts = {label: {**dict.fromkeys(splits, 0), ALL: 0} for label in ordered}
    for label, split in zip(values, frame["split"].tolist(), strict=True):
        counts[label][split] += 1
        counts[label][ALL] += 1
    return counts


def _label(value: object) -> str:
    # pandas turns integers with gaps into floats, and gaps into NaN.
    if value is None or value != value:
        return UNKNOWN
    return str(int(value)) if isinstance(value, float) else str(value)


def distribution(values: pd.Series) -> Distribution | None:
    """Describe numbers, leaving gaps out; `None` if there are none."""
    known = values.dropna().astype("float64")
    if known.empty:
        return None
    quantiles = known.quantile([0.05, 0.25, 0.5, 0.75, 0.95])
    return Distribution(
        count=len(known),
        mean=float(known.mean()),
        std=float(known.std()) if len(known) > 1 else 0.0,
        min=float(known.min()),
        p5=float(quantiles[0.05]),
        p25=float(quantiles[0.25]),
        median=float(quantiles[0.5]),
        p75=float(quantiles[0.75]),
        p95=float(quantiles[0.95]),
        max=float(known.max()),
    )


def encode_summary(summary: Summary) -> bytes:
    """The summary as indented JSON."""
    return msgspec.json.format(msgspec.json.encode(summary), indent=2) + b"\n"
