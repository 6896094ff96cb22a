"""The dataset card, `README.md`: metadata that `datasets` and the Hugging Face Hub read, and text for people.

Names, texts and prompts come from outside, so whatever goes into Markdown is escaped first.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from synthscars.files import atomic_file
from synthscars.records import ImageRecord, source_name
from synthscars.release.features import DESCRIPTIONS, to_row
from synthscars.release.manifest import Manifest
from synthscars.settings import ReleaseSettings
from synthscars.simulate.metadata import VERSION as SIMULATED
from synthscars.taxonomy import load_taxonomy

CARD_NAME = "README.md"

_TASKS = ["image-segmentation", "object-detection", "image-to-text", "image-classification"]
_TAGS = ["synthscars", "artifacts", "AI-generated images", "synthetic image detection", "explanation"]
_SIZES = (
    (1_000, "n<1K"),
    (10_000, "1K<n<10K"),
    (100_000, "10K<n<100K"),
    (1_000_000, "100K<n<1M"),
    (10_000_000, "1M<n<10M"),
)
_UNKNOWN = "unknown"
_LONGEST_TEXT = 1000
_LONGEST_LIST = 10

_CITATION = """\
@misc{kang2025legion,
  title         = {LEGION: Learning to Ground and Explain for Synthetic Image Detection},
  author        = {Hengrui Kang and Siwei Wen and Zichen Wen and Junyan Ye and Weijia Li and Peilin Feng and
                   Baichuan Zhou and Bin Wang and Dahua Lin and Linfeng Zhang and Conghui He},
  year          = {2025},
  eprint        = {2503.15264},
  archivePrefix = {arXiv},
  primaryClass  = {cs.CV}
}"""


def write_card(
    folder: Path, manifest: Manifest, records: Sequence[ImageRecord], settings: ReleaseSettings
) -> None:
    """Write the card of a release whose records these are, split by split."""
    title = settings.pretty_name or manifest.name
    parts = [
        _front_matter(manifest, title, settings.license),
        _introduction(manifest, records, title),
        _loading(manifest),
        _counts(manifest, records),
        _fields(),
        *([_example(records)] if records else []),
        _taxonomy(),
        _process(manifest, records),
        _limits(manifest, records),
        _licences(records, settings.license),
        "## Citation\n\n"
        "The categories, the caption grammar and the task are those of SynthScars and LEGION:\n\n"
        f"```bibtex\n{_CITATION}\n```",
    ]
    with atomic_file(folder / CARD_NAME) as file:
        file.write(("\n\n".join(parts) + "\n").encode())


def is_simulated(record: ImageRecord) -> bool:
    """Whether an image was drawn by `synthscars simulate` and not made by a generator."""
    return record.generation is not None and record.generation.parameters.get("Version") == SIMULATED


def _front_matter(manifest: Manifest, title: str, license: str) -> str:
    from datasets.info import DatasetInfo, DatasetInfosDict
    from datasets.splits import SplitDict, SplitInfo
    from huggingface_hub import DatasetCardData

    from synthscars.release.features import features

    arrow_bytes: Counter[str] = Counter()
    for shard in manifest.files:
        arrow_bytes[shard.split] += shard.arrow_bytes
    card = DatasetCardData(
        license=license,
        pretty_name=title,
        language=["en"],
        task_categories=_TASKS,
        tags=_TAGS,
        size_categories=[
            next((name for most, name in _SIZES if len(manifest.images) < most), "n>10M"),
        ],
        configs=[
            {
                "config_name": "default",
                "data_files": [
                    {"split": split, "path": f"data/{split}-*.parquet"} for split in manifest.splits
                ],
            }
        ],
    )
    info = DatasetInfo(
        features=features(),
        splits=SplitDict(
            {
                split: SplitInfo(split, num_bytes=arrow_bytes[split], num_examples=count)
                for split, count in manifest.splits.items()
            }
        ),
        download_size=sum(shard.bytes for shard in manifest.files),
        dataset_size=sum(arrow_bytes.values()),
    )
    DatasetInfosDict({"default": info}).to_dataset_card_data(card)
    return f"---\n{card.to_yaml()}\n---"


def _introduction(manifest: Manifest, records: Sequence[ImageRecord], title: str) -> str:
    status = Counter(record.status for record in records)
    simulated = sum(is_simulated(record) for record in records)
    text = (
        f"# {markdown_line(title)} {manifest.version}\n\n"
        "Images with the visible artifacts in them: where each one is, as polygons, of which kind it is, and "
        f"why what is seen there is wrong, in words. This release has {_number(len(records), 'image')}: "
        f"{status['annotated']} with {_number(manifest.artifacts, 'artifact')}, "
        f"{status['clean']} that were looked at and have none."
    )
    if simulated:
        share = "All" if simulated == len(records) else f"{simulated} of the"
        text += (
            f"\n\n> **Simulated.** {share} images were drawn by a simulation, not made by a generative "
            "model; their metadata imitate a generator's, and their annotations may be simulated as well. "
            "They are there to try the tools and must not be used to judge models."
        )
    return text


def _loading(manifest: Manifest) -> str:
    split = next(iter(manifest.splits))
    return (
        "## Loading\n\n```python\nfrom datasets import load_dataset\n\n"
        'dataset = load_dataset("path/to/this/folder")  # add streaming=True to read without a copy\n'
        f'example = dataset["{split}"][0]\n```\n\n'
        "Class labels are integers; `dataset[split].features` has their names. The files are plain "
        "Parquet and open in pandas, Polars or DuckDB as well."
    )


def _counts(manifest: Manifest, records: Sequence[ImageRecord]) -> str:
    taxonomy = load_taxonomy()
    splits = list(manifest.splits)
    images: dict[str, Counter[str]] = {
        "images": Counter(record.split for record in records),
    }
    for status in ("annotated", "clean"):
        images[f"images, {status}"] = Counter(record.split for record in records if record.status == status)
    for content in (*taxonomy.content_type_ids, None):
        images[f"images of content type {content or _UNKNOWN}"] = Counter(
            record.split for record in records if record.content_type == content
        )
    images["artifacts"] = Counter(record.split for record in records for _ in record.artifacts)
    for category in (*taxonomy.category_ids, None):
        images[f"artifacts of category {category or _UNKNOWN}"] = Counter(
            record.split
            for record in records
            for artifact in record.artifacts
            if artifact.category == category
        )
    rows = [
        [name, *(str(count[split]) for split in splits), str(count.total())]
        for name, count in images.items()
        if count.total() or not name.endswith(_UNKNOWN)
    ]
    return "## Counts\n\n" + markdown_table(["", *splits, "all"], rows)


def _fields() -> str:
    rows = [[f"`{name}`", text] for name, text in DESCRIPTIONS.items()]
    return "## Fields\n\n" + markdown_table(["field", "content"], rows, escaped=True)


def _example(records: Sequence[ImageRecord]) -> str:
    record = next((record for record in records if record.artifacts), records[0])
    row: dict[str, Any] = to_row(record, b"")
    row["image"] = {"bytes": "...", "path": record.file_name}
    if row["generation"] is not None:
        row["generation"]["raw"] = "..."
    for artifact in row["artifacts"]:
        artifact["polygons"] = [
            [*(round(value, 2) for value in ring[:6]), "..."] for ring in artifact["polygons"]
        ]
    text = msgspec.json.format(msgspec.json.encode(_cut(row)), indent=2).decode()
    # A run of backticks in a prompt would end the block; in JSON a backtick only stands inside strings.
    text = text.replace("`", "\\u0060")
    return (
        "## Example\n\nOne row as it is stored; long values and metadata are cut short here.\n\n"
        f"```json\n{text}\n```"
    )


def _cut(value: Any) -> Any:
    """JSON with long texts and lists cut short: a prompt may have megabytes."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "..."
    if isinstance(value, list):
        return [_cut(item) for item in value[:_LONGEST_LIST]]
    return {key: _cut(item) for key, item in value.items()} if isinstance(value, dict) else value


def _taxonomy() -> str:
    taxonomy = load_taxonomy()
    rows = [
        [
            f"`{category.id}`",
            f"`{subtype.id}`",
            markdown_line(subtype.definition),
            markdown_line("; ".join(subtype.examples)),
        ]
        for category in taxonomy.categories
        for subtype in taxonomy.subtypes_of(category.id)
    ]
    categories = "\n".join(
        f"- `{category.id}`: {markdown_line(category.definition)}" for category in taxonomy.categories
    )
    contents = "\n".join(
        f"- `{content.id}`: {markdown_line(content.definition)}" for content in taxonomy.content_types
    )
    return (
        f"## Categories\n\nTaxonomy {taxonomy.version}.\n\n{categories}\n\n"
        + markdown_table(["category", "subtype", "definition", "examples"], rows, escaped=True)
        + f"\n\nContent types:\n\n{contents}"
    )


def _process(manifest: Manifest, records: Sequence[ImageRecord]) -> str:
    """How the annotations came about: here, or, if nothing was merged, somewhere else."""
    raters = {rater for record in records for rater in record.raters if rater}
    looked = Counter(len(record.raters) for record in records)
    per_image = "; ".join(
        f"{_number(images, 'image')} by {_number(count, 'rater') if count else 'raters unknown'}"
        for count, images in sorted(looked.items())
    )
    agreements = [
        artifact.agreement
        for record in records
        for artifact in record.artifacts
        if artifact.agreement is not None
    ]
    if "min_iou" not in manifest.settings:
        who = f"{_number(len(raters), 'rater')} took part; {per_image}." if raters else "No rater is named."
        return (
            "## Annotation\n\n"
            "The annotations were converted from another format, whose source has to tell how they were "
            f"made. {who} Where several raters' answers had been merged before, `votes` and `agreement` of "
            "an artifact say how many drew it and how well they agree; what each rater answered about the "
            "whole image is in `reviews`."
        )
    text = (
        "## Annotation\n\n"
        "Raters draw regions as polygons in Label Studio, following a written guideline. For each they are "
        "asked for a category, a subtype, a phrase that names the place and a sentence that explains it; for "
        "each image for a content type, a scene sentence, and whether no artifact is visible.\n\n"
        f"{_number(len(raters), 'rater')} took part; {per_image}. Where several raters judged an image, "
        f"regions of one category with a mask IoU of at least {manifest.settings['min_iou']:g} count as one "
        "artifact, and an artifact is in the release if more than half of the raters drew it, or an "
        "adjudicator confirmed it; outline and texts are those of the rater who agrees best with the others. "
        "What each rater answered about the whole image is in `reviews`."
    )
    if agreements:
        mean = sum(agreements) / len(agreements)
        text += (
            f" Over the {_number(len(agreements), 'artifact')} that more than one rater drew, the mean mask "
            f"IoU with the other raters is {mean:.3f}."
        )
    return text


def _limits(manifest: Manifest, records: Sequence[ImageRecord]) -> str:
    out = (
        "; ".join(f"{markdown_line(reason)} {count}" for reason, count in sorted(manifest.left_out.items()))
        or "none"
    )
    artifacts = [artifact for record in records for artifact in record.artifacts]
    missing = "; ".join(
        f"{name} {sum(not getattr(artifact, name) for artifact in artifacts)}"
        for name in ("category", "subtype", "phrase", "explanation")
    )
    return (
        "## Known limits\n\n"
        f"- Images with a record that are not in this release: {out}.\n"
        f"- Artifacts that lack an answer: {missing}.\n"
        "- An artifact that no rater noticed is not in the data: `clean` means that nobody saw one.\n"
        "- Image files and `generation.raw` are the originals and were not searched for personal data; "
        "metadata of generators may hold paths or names. `rater_id` is as the source gave it.\n"
        "- Near-duplicates are found by group, by prompt and seed, and by equal perceptual hash. They are "
        "kept in one split, but pictures that are similar in other ways may be in different ones."
    )


def _licences(records: Sequence[ImageRecord], license: str) -> str:
    counts = Counter(
        (source_name(record.source) or _UNKNOWN, record.license or _UNKNOWN) for record in records
    )
    rows = [[source, name, str(count)] for (source, name), count in sorted(counts.items())]
    return (
        f"## Licences\n\nOf the annotations and the collection: {markdown_line(license)}. "
        "Of the images, by source:\n\n" + markdown_table(["source", "licence", "images"], rows)
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def markdown_table(head: Sequence[str], rows: Iterable[Sequence[str]], *, escaped: bool = False) -> str:
    """A table in Markdown; escaped: the cells are Markdown already."""
    cells = [list(head), ["---"] * len(head)]
    cells += [[cell if escaped else markdown_line(cell) for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in cells)


def markdown_line(text: str) -> str:
    """Text for one line of Markdown: no mark-up, no HTML, no line break, no end of a table cell."""
    line = " ".join(text.split())
    line = line.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_{}\[\]()#!|~])", r"\\\1", line)
