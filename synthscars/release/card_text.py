"""The text of the card, section by section: what a release holds and how it was made.

Names, texts and prompts come from outside, so whatever goes into Markdown is escaped first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from synthscars.records import Artifact, ImageRecord
from synthscars.release.configs import config_columns
from synthscars.release.croissant import CITATION
from synthscars.release.features import DESCRIPTIONS, to_row
from synthscars.release.figures import FIGURES, Shown
from synthscars.release.manifest import Manifest
from synthscars.release.markdown import fenced, markdown_line, markdown_table, number
from synthscars.release.totals import UNKNOWN, Tally, Totals
from synthscars.settings import ReleaseSettings
from synthscars.shown import escape_json
from synthscars.taxonomy import load_taxonomy

_LONGEST_TEXT = 1000
_LONGEST_LIST = 10
_LINE = 100
_MOST_ROWS = 40
"""Of a table whose rows come from outside."""


def introduction(manifest: Manifest, totals: Totals, title: str) -> str:
    """The title, what the release is, and a warning if its images are simulated."""
    images, simulated = totals.images.total(), totals.simulated
    text = (
        f"# {markdown_line(title)} {manifest.version}\n\n"
        "Images with the visible artifacts in them: where each one is, as polygons, of which kind it is, and "
        f"why what is seen there is wrong, in words. This release has {number(images, 'image')}: "
        f"{totals.of('status', 'annotated'):,} with {number(totals.artifacts.total(), 'artifact')}, "
        f"{totals.of('status', 'clean'):,} that were looked at and have none."
    )
    if extra := totals.detection_only.total():
        text += (
            f" {number(extra, 'real photograph')} more, without annotations, are in the config `detection`."
        )
    if simulated:
        share = "All" if simulated == images + extra else f"{simulated:,} of the"
        text += (
            f"\n\n> **Simulated.** {share} images were drawn by a simulation, not made by a generative "
            "model; their metadata imitate a generator's, and their annotations may be simulated as well. "
            "They are there to try the tools and must not be used to judge models."
        )
    return text


def loading(manifest: Manifest) -> str:
    """How to open every config, from a folder and from the Hub."""
    split = next(iter(manifest.splits), "train")
    what = {
        "default": "the annotations that stand, after the raters' answers were merged",
        "raters": "what every rater drew, unmerged, in `rater_artifacts`",
        "detection": "pictures and their `origin`, generated or real, for detectors",
    }
    configs = config_columns()
    rows = [[f"`{name}`", what[name], str(len(columns))] for name, columns in configs.items()]
    lines = [
        "from datasets import load_dataset",
        "",
        'dataset = load_dataset("path/to/this/folder")',
        f'example = dataset["{split}"][0]',
        "",
        "# From the Hub, in just this version:",
        f'load_dataset("organisation/name", revision="v{manifest.version}")',
        "# Without downloading all of it first:",
        f'load_dataset("path/to/this/folder", split="{split}", streaming=True)',
        *(f'load_dataset("path/to/this/folder", "{name}")' for name in configs if name != "default"),
    ]
    return (
        "## Loading\n\n"
        + fenced("\n".join(lines), "python")
        + "\n\n"
        + markdown_table(["config", "holds", "columns"], rows, escaped=True)
        + "\n\nClass labels are integers; `dataset[split].features` has their names. The files are plain "
        "Parquet and open in pandas, Polars or DuckDB as well."
    )


def figures(shown: Sequence[Shown], *names: str) -> list[str]:
    """The figures of these names that there are, each with its caption."""
    return [
        f"![{markdown_line(each.alt)}]({FIGURES}/{each.name})\n\n*{markdown_line(each.caption)}*"
        for each in shown
        if each.name in names
    ]


def counts(manifest: Manifest, totals: Totals) -> str:
    """What there is of what, by split."""
    taxonomy = load_taxonomy()
    splits = list(manifest.splits)

    def row(text: str, values: Sequence[int]) -> list[str]:
        return [text, *(f"{value:,}" for value in values), f"{sum(values):,}"]

    def labelled(kind: str, text: str, labels: Sequence[str]) -> list[list[str]]:
        return [
            row(text.format(label), [totals.of(kind, label, split) for split in splits])
            for label in labels
            if label != UNKNOWN or totals.of(kind, label)
        ]

    rows = [
        row("images", [totals.images[split] for split in splits]),
        *labelled("status", "images, {}", ("annotated", "clean")),
        *labelled("content_type", "images of content type {}", (*taxonomy.content_type_ids, UNKNOWN)),
        row("artifacts", [totals.artifacts[split] for split in splits]),
        *labelled("category", "artifacts of category {}", (*taxonomy.category_ids, UNKNOWN)),
        *labelled("subtype", "artifacts of subtype {}", (*taxonomy.subtype_ids, UNKNOWN)),
    ]
    if totals.detection_only:
        rows.append(
            row("real photographs, detection only", [totals.detection_only[split] for split in splits])
        )
    return "## Counts\n\n" + markdown_table(["", *splits, "all"], rows)


def statistics(totals: Totals) -> str:
    """How large, how many, how long: the distribution of every number."""
    spreads = {
        **{name: spread for name, spread in totals.spreads.items() if name != "agreement"},
        **{
            f"area of an artifact, {category}, % of the image": spread
            for category, spread in totals.regions.share.items()
        },
    }
    rows = []
    for name, spread in spreads.items():
        if spread.count:
            scale = 100 if "%" in name else 1
            values = [spread.quantile(share) for share in (0.05, 0.5, 0.95)]
            values = [spread.mean, *values, spread.most]
            rows.append([name, f"{spread.count:,}", *(_short(scale * value) for value in values)])
    if not rows:
        return "## Statistics\n\nThere are no images."
    return (
        "## Statistics\n\n"
        + markdown_table(["", "number", "mean", "5 %", "median", "95 %", "most"], rows)
        + "\n\nQuantiles are exact to half a percent of their value."
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def fields() -> str:
    """Every column and what it holds."""
    rows = [[f"`{name}`", text] for name, text in DESCRIPTIONS.items()]
    return "## Fields\n\n" + markdown_table(["field", "content"], rows, escaped=True)


def example(record: ImageRecord, drawn: tuple[Artifact, ...] | None) -> str:
    """One row as JSON. drawn: what each rater drew on the image."""
    row: dict[str, Any] = to_row(record, b"", drawn)
    row["image"] = {"bytes": "...", "path": record.file_name}
    if row["generation"] is not None:
        row["generation"]["raw"] = "..."
    for artifact in (*row["artifacts"], *(row["rater_artifacts"] or ())):
        artifact["polygons"] = [
            [*(round(value, 2) for value in ring[:6]), "..."] for ring in artifact["polygons"]
        ]
    for name in ("reviews", "rater_artifacts"):
        if row[name] and len(row[name]) > 1:
            row[name] = [row[name][0], "..."]
    # A run of backticks in a prompt would end the block; in JSON a backtick only stands inside strings.
    text = escape_json(_json(_cut(row)).replace("`", "\\u0060"))
    return (
        "## Example\n\nOne row as it is stored; long values and metadata are cut short here.\n\n"
        f"```json\n{text}\n```"
    )


def _json(value: Any, indent: str = "") -> str:
    """JSON with one field a line, but with what is short on one line."""
    short: str = msgspec.json.format(msgspec.json.encode(value), indent=0).decode()
    nested = isinstance(value, dict) or (
        isinstance(value, list) and any(isinstance(each, dict) for each in value)
    )
    if not isinstance(value, (dict, list)) or (not nested and len(short) <= _LINE) or not value:
        return short
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{_json(str(key))}: {_json(item, deeper)}" for key, item in value.items()]
        opening, closing = "{", "}"
    else:
        parts = [_json(item, deeper) for item in value]
        opening, closing = "[", "]"
    return opening + ",".join(f"\n{deeper}{part}" for part in parts) + f"\n{indent}{closing}"


def _cut(value: Any) -> Any:
    """JSON with long texts and lists cut short: a prompt may have megabytes."""
    if isinstance(value, str):
        return value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "..."
    if isinstance(value, list):
        return [_cut(item) for item in value[:_LONGEST_LIST]]
    return {key: _cut(item) for key, item in value.items()} if isinstance(value, dict) else value


def categories() -> str:
    """The closed vocabularies and what they mean."""
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
    kinds = "\n".join(
        f"- `{category.id}`: {markdown_line(category.definition)}" for category in taxonomy.categories
    )
    contents = "\n".join(
        f"- `{content.id}`: {markdown_line(content.definition)}" for content in taxonomy.content_types
    )
    return (
        f"## Categories\n\nTaxonomy {taxonomy.version}.\n\n{kinds}\n\n"
        + markdown_table(["category", "subtype", "definition", "examples"], rows, escaped=True)
        + f"\n\nContent types:\n\n{contents}"
    )


def generators(totals: Totals) -> str:
    """Which tools and models made how many of the images, as far as their metadata tell."""
    if not len(totals.generators):
        return "## Generators\n\nNo image of this release was generated."
    rows = [
        [tool or UNKNOWN, model or UNKNOWN, f"{count:,}"] for (tool, model), count in _top(totals.generators)
    ]
    return (
        "## Generators\n\nAs the metadata in the image files say, which anybody may have changed.\n\n"
        + markdown_table(["tool", "model", "images"], rows)
        + _rest(totals.generators)
    )


def licences(totals: Totals, settings: ReleaseSettings) -> str:
    """Of the collection, and of the images by source."""
    name = settings.license_name or settings.license
    link = f" (<{settings.license_link}>)" if settings.license_link else ""
    rows = [[source, text, f"{count:,}"] for (source, text), count in sorted(_top(totals.sources))]
    return (
        f"## Licences\n\nOf the annotations and the collection: {markdown_line(name)}{link}. "
        "Of the images, by source:\n\n"
        + markdown_table(["source", "licence", "images"], rows)
        + _rest(totals.sources)
    )


def _top(tally: Tally[tuple[str, str]]) -> list[tuple[tuple[str, str], int]]:
    return tally.ranked()[:_MOST_ROWS]


def _rest(tally: Tally[tuple[str, str]]) -> str:
    left = sum(count for _, count in tally.ranked()[_MOST_ROWS:]) + tally.others
    return f"\n\nAnd {number(left, 'image')} of others, which are rarer." if left else ""


def limits(manifest: Manifest, totals: Totals) -> str:
    """What is missing, and what the data do not say."""
    out = (
        "; ".join(f"{markdown_line(reason)} {count:,}" for reason, count in sorted(manifest.left_out.items()))
        or "none"
    )
    missing = "; ".join(
        f"{name} {totals.of('missing', name):,}" for name in ("category", "subtype", "phrase", "explanation")
    )
    return (
        "## Known limits\n\n"
        f"- Images with a record that are not in this release: {out}.\n"
        f"- Artifacts that lack an answer: {missing}.\n"
        "- An artifact that no rater noticed is not in the data: `clean` means that nobody saw one.\n"
        f"- {_personal(manifest)} `rater_id` is as the source gave it.\n"
        "- Near-duplicates are kept in one split, as far as they are found; pictures that are similar in "
        "other ways may be in different ones.\n"
        "- Who the raters are, why these images were chosen and what is known about personal data is in "
        "[DATA_STATEMENT.md](DATA_STATEMENT.md), as far as it was stated."
    )


def _personal(manifest: Manifest) -> str:
    if "scrubbed" not in manifest.settings:
        return (
            "Image files and `generation.raw` are the originals; metadata of generators may hold paths or "
            "names."
        )
    return (
        "Personal data that are known by their form (paths, addresses, positions, keys) were taken out of "
        f"all texts and of the metadata of {number(len(manifest.scrubbed), 'image file')}; no pixel was "
        "changed."
    )


def about_versions(manifest: Manifest, deprecations: str = "") -> str:
    """What a version number means, what changed, and what is going away.

    deprecations: versions that should not be used, as Markdown.
    """
    earlier = [role.removeprefix("manifest ") for role in manifest.inputs if role.startswith("manifest ")]
    before = (
        f" What changed since {markdown_line(earlier[-1])} is in [CHANGES.md](CHANGES.md)." if earlier else ""
    )
    text = (
        f"## Versions\n\nThis is version {markdown_line(manifest.version)}.{before} A version does not "
        "change once it is out: the last part of the number counts corrections, the middle one new images "
        "and fields, the first one changes of the categories or columns."
    )
    if manifest.deprecated:
        rows = [[name, why] for name, why in manifest.deprecated.items()]
        text += "\n\nThe next major version may leave these out:\n\n" + markdown_table(
            ["column or class", "instead"], rows
        )
    if deprecations:
        text += f"\n\nVersions that should not be used any more:\n\n{deprecations}"
    return text


def citation(manifest: Manifest, settings: ReleaseSettings, title: str) -> str:
    """How to cite the dataset, and the work that its task comes from."""
    if settings.citation.strip():
        own = fenced(settings.citation, "bibtex" if settings.citation.strip().startswith("@") else "")
    elif settings.authors:
        own = fenced(bibtex(manifest, settings, title), "bibtex")
    else:
        own = f"Name the dataset and its version: {markdown_line(title)} {markdown_line(manifest.version)}."
    ways = [
        *([f"homepage: <{settings.homepage}>"] if settings.homepage else []),
        *([f"contact: {markdown_line(settings.contact)}"] if settings.contact else []),
    ]
    return (
        f"## Citation\n\n{own}\n\n"
        + (f"{'; '.join(ways)[0].upper()}{'; '.join(ways)[1:]}.\n\n" if ways else "")
        + "The categories, the caption grammar and the task are those of SynthScars and LEGION:\n\n"
        + fenced(CITATION, "bibtex")
    )


def bibtex(manifest: Manifest, settings: ReleaseSettings, title: str) -> str:
    """An entry made from the settings. It has no year: a release does not know when it is published."""
    key = re.sub(r"[^a-z0-9]+", "-", manifest.name.lower()).strip("-") or "dataset"
    entries = {
        "title": f"{{{_tex(title)}}}",
        "author": " and ".join(map(_tex, settings.authors)),
        "version": manifest.version,
        "doi": settings.doi,
        "url": settings.homepage,
    }
    width = max(map(len, entries))
    lines = [f"  {name:<{width}} = {{{text}}}" for name, text in entries.items() if text]
    return f"@misc{{{key},\n" + ",\n".join(lines) + "\n}"


def _tex(text: str) -> str:
    line = " ".join(text.split()).replace("{", "").replace("}", "").replace("\\", "")
    return re.sub(r"([#$%&_])", r"\\\1", line)
