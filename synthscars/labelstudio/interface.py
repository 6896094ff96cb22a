"""What annotators see: the labelling interface and the guideline, filled from the taxonomy."""

from __future__ import annotations

import copy
from importlib.resources import files
from xml.etree import ElementTree

from synthscars.converters.labelstudio_tasks import (
    CATEGORY,
    CONTENT_TYPE,
    SUBTYPE_PREFIX,
)
from synthscars.problems import FormatError
from synthscars.taxonomy import Category, ContentType, Subtype, Taxonomy

TAXONOMY_MARK = "[taxonomy]"
"""The line of `guideline.md` that is replaced by the definitions of all categories and subtypes."""

# Label Studio's page takes bullets, numbers and margins away, and its server every style attribute.
_STYLES = {
    "h1": "font-size: 1.5em; font-weight: 600; margin: 0 0 0.5em",
    "h2": "font-size: 1.25em; font-weight: 600; margin: 1em 0 0.4em",
    "h3": "font-size: 1.1em; font-weight: 600; margin: 0.8em 0 0.3em",
    "p": "margin: 0.4em 0",
    "ol": "list-style: decimal; padding-left: 1.6em; margin: 0.4em 0",
    "ul": "list-style: disc; padding-left: 1.6em; margin: 0.4em 0",
    "li": "margin: 0.25em 0",
    "table": "border-collapse: collapse; margin: 0.5em 0",
    "th": "text-align: left; padding: 0.2em 1em 0.2em 0; border-bottom: 1px solid #888",
    "td": "vertical-align: top; padding: 0.2em 1em 0.2em 0; border-bottom: 1px solid #ccc",
}


def label_config(taxonomy: Taxonomy) -> str:
    """The labelling interface as Label Studio's XML, with the taxonomy's labels, colours and hotkeys.

    Names shown are the taxonomy's names; results carry its ids. Raises `FormatError` if the template lacks a
    control that has to be filled.
    """
    root = ElementTree.fromstring(_resource("label_config.xml"))
    categories = _control(root, CATEGORY)
    for category in taxonomy.categories:
        ElementTree.SubElement(
            categories,
            "Label",
            {**_shown(category), "background": category.color, "title": category.definition},
        )
    content_types = _control(root, CONTENT_TYPE)
    for content_type in taxonomy.content_types:
        ElementTree.SubElement(content_types, "Choice", _shown(content_type))
    _fill_subtypes(root, taxonomy)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def _fill_subtypes(root: ElementTree.Element, taxonomy: Taxonomy) -> None:
    # One control per category: Label Studio can hide a control by the region's label, but not a choice.
    pattern = _control(root, f"{SUBTYPE_PREFIX}CATEGORY")
    parent = next(element for element in root.iter() if pattern in list(element))
    position = list(parent).index(pattern)
    parent.remove(pattern)
    for offset, category in enumerate(taxonomy.categories):
        control = copy.deepcopy(pattern)
        control.set("name", f"{SUBTYPE_PREFIX}{category.id}")
        control.set("whenLabelValue", category.id)
        for subtype in taxonomy.subtypes_of(category.id):
            ElementTree.SubElement(control, "Choice", {**_shown(subtype), "hint": subtype.definition})
        parent.insert(position + offset, control)


def _shown(entry: Category | Subtype | ContentType) -> dict[str, str]:
    return {"value": entry.name, "alias": entry.id, "hotkey": entry.hotkey}


def _control(root: ElementTree.Element, name: str) -> ElementTree.Element:
    found = root.find(f".//*[@name='{name}']")
    if found is None:
        raise FormatError(f"label_config.xml: there is no control named {name!r}")
    return found


def guideline_html(taxonomy: Taxonomy) -> str:
    """The guideline as HTML, with every definition of the taxonomy; whatever it contains is escaped."""
    from markdown_it import MarkdownIt

    text = _resource("guideline.md")
    if TAXONOMY_MARK not in text:
        raise FormatError(f"guideline.md: the line {TAXONOMY_MARK} is missing")
    # Raw HTML is shown as text: definitions come from a file that anybody may edit.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    html = str(markdown.render(text.replace(TAXONOMY_MARK, _definitions(taxonomy))))
    rules = "\n".join(f".synthscars {tag} {{ {style} }}" for tag, style in _STYLES.items())
    return f'<style>\n{rules}\n</style>\n<div class="synthscars">\n{html}</div>\n'


def _definitions(taxonomy: Taxonomy) -> str:
    lines: list[str] = []
    for category in taxonomy.categories:
        lines += [f"### {category.name} (key {category.hotkey})", "", category.definition, ""]
        for subtype in taxonomy.subtypes_of(category.id):
            examples = "; ".join(subtype.examples)
            lines.append(
                f"- **{subtype.name}** (key {subtype.hotkey}): {subtype.definition} For example: {examples}."
            )
        lines.append("")
    return "\n".join(lines)


def _resource(name: str) -> str:
    return (files("synthscars.annotation_configs") / name).read_text(encoding="utf-8")
