"""`DATA_STATEMENT.md`: whose language and whose judgement the data hold, and `GUIDELINE.md`.

After the schema of Bender and Friedman 2018 (doi 10.1162/tacl_a_00041), whose speech situation is here the
situation in which the images came about. What the data tell is counted; what only people can know comes from
the settings, and is not stated where it is not there.
"""

from __future__ import annotations

from importlib.resources import files

from synthscars.release.manifest import Manifest
from synthscars.release.markdown import markdown_line, number, paragraphs
from synthscars.release.totals import UNKNOWN, Totals
from synthscars.settings import CONFIG_NAME, ReleaseSettings
from synthscars.taxonomy import load_taxonomy

STATEMENT_NAME = "DATA_STATEMENT.md"
GUIDELINE_NAME = "GUIDELINE.md"

_MARK = "[taxonomy]"
_MOST_NAMES = 20


def data_statement(manifest: Manifest, totals: Totals, settings: ReleaseSettings) -> str:
    """The data statement as Markdown."""
    title = settings.pretty_name or manifest.name
    sections = {
        "A. Curation rationale": [_stated(settings.curation, "curation"), _chosen(manifest, totals)],
        "B. Language variety": [
            f"Language of phrases and explanations: {', '.join(map(markdown_line, settings.language))} "
            "(BCP 47).",
            _stated(settings.language_variety, "language_variety"),
        ],
        "C. Annotators": [
            "Those who drew the regions also wrote the texts: they are speakers and annotators in one."
            if "min_iou" in manifest.settings
            else "The annotations were converted from another format; its source has to tell who made them.",
            _raters(totals),
            _stated(settings.annotators, "annotators"),
        ],
        "D. How the images came about": [_stated(settings.images, "images"), _made(totals)],
        "E. Text characteristics": [_texts(totals)],
        "F. Recording quality": [
            f"{_files(manifest)} Outlines are polygons whose coordinates are not rounded."
        ],
        "G. Uses and misuse": [_stated(settings.uses, "uses")],
        "H. Personal data": [_stated(settings.personal_data, "personal_data"), _personal(manifest)],
        "I. Provenance": [_provenance(totals)],
    }
    head = (
        f"# Data statement: {markdown_line(title)} {markdown_line(manifest.version)}\n\n"
        "Whose language and whose judgement these data hold, after the schema of Bender and Friedman 2018 "
        "(<https://doi.org/10.1162/tacl_a_00041>). Numbers are counted from the data."
    )
    if totals.simulated:
        head += (
            f"\n\n> **Simulated.** {number(totals.simulated, 'image')} were drawn by a simulation, and their "
            "annotations may be simulated as well."
        )
    body = [f"## {name}\n\n" + "\n\n".join(filter(None, parts)) for name, parts in sections.items()]
    return "\n\n".join([head, *body])


def _stated(text: str, setting: str) -> str:
    if text.strip():
        return paragraphs(text)
    return f"*Not stated.* (State it as `{setting}` under `[release]` in `{CONFIG_NAME}` and build again.)"


def _chosen(manifest: Manifest, totals: Totals) -> str:
    out = "; ".join(
        f"{markdown_line(reason)} {count:,}" for reason, count in sorted(manifest.left_out.items())
    )
    text = f"{number(totals.images.total(), 'image')} that somebody looked at"
    if totals.detection_only:
        text += f" and {number(totals.detection_only.total(), 'real photograph')} without annotations"
    contents = [
        f"{name} {totals.of('content_type', name):,}"
        for name in (*load_taxonomy().content_type_ids, UNKNOWN)
        if totals.of("content_type", name)
    ]
    if contents:
        text += f". Content: {', '.join(contents)}"
    return f"{text}. Left out of what had a record: {out or 'nothing'}."


def _raters(totals: Totals) -> str:
    if not len(totals.raters):
        return "No annotator is named in the data."
    looked = ", ".join(
        f"{number(images, 'image')} by {label if label != '0' else 'nobody who is named'}"
        for label, images in sorted(totals.values("raters"), key=lambda item: int(item[0]))
    )
    return f"{number(len(totals.raters), 'annotator')} took part ({looked})."


def _made(totals: Totals) -> str:
    origins = ", ".join(f"{name} {count:,}" for name, count in totals.values("origin"))
    ranked = totals.generators.ranked()
    names = ", ".join(
        f"{markdown_line(' '.join(filter(None, names)) or UNKNOWN)} {count:,}"
        for names, count in ranked[:_MOST_NAMES]
    )
    more = f" and {len(ranked) - _MOST_NAMES} more" if len(ranked) > _MOST_NAMES else ""
    text = f"Images by origin: {origins or 'none'}."
    return text + (f" By tool and model, as their metadata say: {names}{more}." if names else "")


def _texts(totals: Totals) -> str:
    taxonomy = load_taxonomy()
    lines = []
    for name in ("phrase", "explanation", "caption"):
        spread = totals.spreads[f"words per {name}"]
        if spread.count:
            lines.append(
                f"- {number(spread.count, name)}: {spread.quantile(0.5):g} words in the median, 90 % have "
                f"{spread.quantile(0.05):g} to {spread.quantile(0.95):g}, the longest {spread.most:,.0f}."
            )
    kinds = ", ".join(f"{name} {totals.of('category', name):,}" for name in taxonomy.category_ids)
    lines.append(f"- Topics are artifacts in images, by category: {kinds}.")
    return (
        "A phrase names a place in the picture, an explanation says what is wrong there, a caption puts both "
        "behind a sentence about the whole picture.\n\n" + "\n".join(lines)
    )


def _files(manifest: Manifest) -> str:
    if not manifest.scrubbed:
        return "The image files are the originals, byte for byte."
    return (
        f"Of {number(len(manifest.scrubbed), 'image file')} the metadata are without personal data, and the "
        "pixels as they were; the others are the originals, byte for byte."
    )


def _personal(manifest: Manifest) -> str:
    people = "Generated pictures may show people who look like real ones."
    if "scrubbed" in manifest.settings:
        return (
            f"{people} What is known by its form (paths, addresses, positions, keys) was taken out of texts "
            "and of the metadata in the files; a name in a sentence is not found. `rater_id` is as it came."
        )
    return (
        f"{people} Metadata that generators wrote into the files, and `rater_id`, are as they came; "
        "`synthscars release check` looks for paths, addresses and places in them."
    )


def _provenance(totals: Totals) -> str:
    ranked = totals.sources.ranked()
    lines = [
        f"- {markdown_line(source)}, licence {markdown_line(licence)}: {number(count, 'image')}"
        for (source, licence), count in ranked[:_MOST_NAMES]
    ]
    if len(ranked) > _MOST_NAMES:
        lines.append(f"- and {len(ranked) - _MOST_NAMES} more")
    return "Images by source:\n\n" + "\n".join(lines) if lines else "There are no images."


def guideline() -> str:
    """What raters were told, with the definitions of all categories in it."""
    text = (files("synthscars.annotation_configs") / "guideline.md").read_text(encoding="utf-8")
    lines: list[str] = []
    taxonomy = load_taxonomy()
    for category in taxonomy.categories:
        lines += [f"### {markdown_line(category.name)}", "", markdown_line(category.definition), ""]
        for subtype in taxonomy.subtypes_of(category.id):
            examples = markdown_line("; ".join(subtype.examples))
            lines.append(
                f"- **{markdown_line(subtype.name)}**: {markdown_line(subtype.definition)} "
                f"For example: {examples}."
            )
        lines.append("")
    return text.replace(_MARK, "\n".join(lines).rstrip())
