"""The dataset card, `README.md`: metadata that `datasets` and the Hugging Face Hub read, and text for people.

Names, texts and prompts come from outside, so whatever goes into Markdown is escaped first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from synthscars.files import atomic_file
from synthscars.records import ImageRecord
from synthscars.release.configs import config_columns, config_files, config_metadata, config_splits
from synthscars.release.features import DESCRIPTIONS, to_row
from synthscars.release.manifest import Manifest
from synthscars.release.markdown import markdown_line, markdown_table
from synthscars.release.totals import UNKNOWN, Totals
from synthscars.settings import ReleaseSettings
from synthscars.taxonomy import load_taxonomy

if TYPE_CHECKING:
    from datasets.info import DatasetInfo

__all__ = ["CARD_NAME", "markdown_line", "markdown_table", "write_card"]

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
    folder: Path,
    manifest: Manifest,
    totals: Totals,
    settings: ReleaseSettings,
    *,
    picture: Callable[[str], bytes | None] | None = None,
) -> None:
    """Write the card of a release.

    picture: gives the original bytes of an image by its id, for the examples; None if they are not at hand.
    """
    title = settings.pretty_name or manifest.name
    parts = [
        _front_matter(manifest, title, settings.license),
        _introduction(manifest, totals, title),
        _loading(manifest),
        _counts(manifest, totals),
        _fields(),
        *([_example(totals.example)] if totals.example else []),
        _taxonomy(),
        _process(manifest, totals),
        _limits(manifest, totals),
        _licences(totals, settings.license),
        "## Citation\n\n"
        "The categories, the caption grammar and the task are those of SynthScars and LEGION:\n\n"
        f"```bibtex\n{_CITATION}\n```",
    ]
    with atomic_file(folder / CARD_NAME) as file:
        file.write(("\n\n".join(parts) + "\n").encode())


def _front_matter(manifest: Manifest, title: str, license: str) -> str:
    from datasets.info import DatasetInfosDict
    from huggingface_hub import DatasetCardData

    card = DatasetCardData(
        license=license,
        pretty_name=title,
        language=["en"],
        task_categories=_TASKS,
        tags=_TAGS,
        size_categories=[
            next((name for most, name in _SIZES if len(manifest.images) < most), "n>10M"),
        ],
        configs=config_metadata(manifest),
    )
    DatasetInfosDict(
        {name: _info(manifest, name, columns) for name, columns in config_columns().items()}
    ).to_dataset_card_data(card)
    return f"---\n{card.to_yaml()}\n---"


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


def _introduction(manifest: Manifest, totals: Totals, title: str) -> str:
    images, simulated = totals.images.total(), totals.simulated
    text = (
        f"# {markdown_line(title)} {manifest.version}\n\n"
        "Images with the visible artifacts in them: where each one is, as polygons, of which kind it is, and "
        f"why what is seen there is wrong, in words. This release has {_number(images, 'image')}: "
        f"{totals.of('status', 'annotated')} with {_number(totals.artifacts.total(), 'artifact')}, "
        f"{totals.of('status', 'clean')} that were looked at and have none."
    )
    if simulated:
        share = "All" if simulated == images else f"{simulated} of the"
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


def _counts(manifest: Manifest, totals: Totals) -> str:
    taxonomy = load_taxonomy()
    splits = list(manifest.splits)
    named = [
        *(("status", name, f"images, {name}") for name in ("annotated", "clean")),
        *(
            ("content_type", name, f"images of content type {name}")
            for name in (*taxonomy.content_type_ids, UNKNOWN)
        ),
        *(("category", name, f"artifacts of category {name}") for name in (*taxonomy.category_ids, UNKNOWN)),
    ]
    rows = []
    for kind, label, text in named:
        if label != UNKNOWN or totals.of(kind, label):
            counts = [totals.of(kind, label, split) for split in splits]
            rows.append([text, *map(str, counts), str(totals.of(kind, label))])
    for place, name, count in ((0, "images", totals.images), (-1, "artifacts", totals.artifacts)):
        row = [name, *(str(count[split]) for split in splits), str(count.total())]
        if place:
            place = next(number for number, row in enumerate(rows) if row[0].startswith("artifacts"))
        rows.insert(place, row)
    return "## Counts\n\n" + markdown_table(["", *splits, "all"], rows)


def _fields() -> str:
    rows = [[f"`{name}`", text] for name, text in DESCRIPTIONS.items()]
    return "## Fields\n\n" + markdown_table(["field", "content"], rows, escaped=True)


def _example(record: ImageRecord) -> str:
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


def _process(manifest: Manifest, totals: Totals) -> str:
    """How the annotations came about: here, or, if nothing was merged, somewhere else."""
    raters = len(totals.raters)
    looked = sorted((int(label), images) for label, images in totals.values("raters"))
    per_image = "; ".join(
        f"{_number(images, 'image')} by {_number(count, 'rater') if count else 'raters unknown'}"
        for count, images in looked
    )
    if "min_iou" not in manifest.settings:
        who = f"{_number(raters, 'rater')} took part; {per_image}." if raters else "No rater is named."
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
        f"{_number(raters, 'rater')} took part; {per_image}. Where several raters judged an image, "
        f"regions of one category with a mask IoU of at least {manifest.settings['min_iou']:g} count as one "
        "artifact, and an artifact is in the release if more than half of the raters drew it, or an "
        "adjudicator confirmed it; outline and texts are those of the rater who agrees best with the others. "
        "What each rater answered about the whole image is in `reviews`."
    )
    merged = totals.spreads["agreement"]
    if merged.count:
        text += (
            f" Over the {_number(merged.count, 'artifact')} that more than one rater drew, the "
            f"mean mask IoU with the other raters is {merged.mean:.3f}."
        )
    return text


def _limits(manifest: Manifest, totals: Totals) -> str:
    out = (
        "; ".join(f"{markdown_line(reason)} {count}" for reason, count in sorted(manifest.left_out.items()))
        or "none"
    )
    missing = "; ".join(
        f"{name} {totals.of('missing', name)}" for name in ("category", "subtype", "phrase", "explanation")
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


def _licences(totals: Totals, license: str) -> str:
    rows = [[source, name, str(count)] for (source, name), count in sorted(totals.sources.counts.items())]
    return (
        f"## Licences\n\nOf the annotations and the collection: {markdown_line(license)}. "
        "Of the images, by source:\n\n" + markdown_table(["source", "licence", "images"], rows)
    )


def _number(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
