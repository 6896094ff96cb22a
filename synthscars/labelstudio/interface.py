"""The labelling interface of annotators and of adjudicators, filled from the taxonomy."""

from __future__ import annotations

import copy
from importlib.resources import files
from xml.etree import ElementTree

from synthscars.converters.labelstudio_tasks import (
    CATEGORY,
    CONFIDENCE,
    CONTENT_TYPE,
    IMAGE,
    PROMPT,
    SKIP_REASON,
    SUBTYPE_PREFIX,
)
from synthscars.problems import FormatError
from synthscars.settings import PlatformSettings
from synthscars.taxonomy import Category, ContentType, Subtype, Taxonomy

_SHAPES = {
    "polygon": "Polygon",
    "rectangle": "Rectangle",
    "ellipse": "Ellipse",
    "brush": "Brush",
    "magicwand": "MagicWand",
}


def label_config(taxonomy: Taxonomy, settings: PlatformSettings | None = None) -> str:
    """The labelling interface as Label Studio's XML, with the taxonomy's labels, colours and hotkeys.

    Names shown are the taxonomy's names; results carry its ids. settings: which shapes there are, and whether
    the prompt is shown, by default polygons and no prompt. Raises `FormatError` if the template lacks a
    control that has to be filled.
    """
    root = ElementTree.fromstring(_resource("label_config.xml"))
    settings = settings or PlatformSettings()
    _offer_shapes(root, settings)
    if not settings.show_prompt:
        _remove(root, _control(root, PROMPT))
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


def review_config(taxonomy: Taxonomy, settings: PlatformSettings | None = None) -> str:
    """The interface of adjudicators: that of raters, and above the answer what raters said (`$said`)."""
    root = ElementTree.fromstring(label_config(taxonomy, settings))
    # The panel beside the image; the first of its children belongs to the selected region.
    root[-1][0:0] = [ElementTree.fromstring(_resource("review_config.xml"))]
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode")


def _fill_subtypes(root: ElementTree.Element, taxonomy: Taxonomy) -> None:
    # One control per category: Label Studio can hide a control by the region's label, but not a choice.
    pattern = _control(root, f"{SUBTYPE_PREFIX}CATEGORY")
    parent, position = _remove(root, pattern)
    for offset, category in enumerate(taxonomy.categories):
        control = copy.deepcopy(pattern)
        control.set("name", f"{SUBTYPE_PREFIX}{category.id}")
        control.set("whenLabelValue", category.id)
        for subtype in taxonomy.subtypes_of(category.id):
            ElementTree.SubElement(control, "Choice", {**_shown(subtype), "hint": subtype.definition})
        parent.insert(position + offset, control)


def _offer_shapes(root: ElementTree.Element, settings: PlatformSettings) -> None:
    # Labels that go with any shape, and the shapes beside them; two controls would need two sets of keys.
    shapes = dict.fromkeys(settings.shapes)
    if list(shapes) == ["polygon"]:
        return
    labels = _control(root, CATEGORY)
    look = {key: labels.attrib.pop(key) for key in ("strokeWidth", "opacity", "pointSize", "snap")}
    labels.tag = "Labels"
    parent = next(element for element in root.iter() if labels in list(element))
    for place, shape in enumerate(shapes, start=list(parent).index(labels) + 1):
        drawn = {} if shape in ("brush", "magicwand") else {"strokeWidth": look["strokeWidth"]}
        fine = {key: look[key] for key in ("pointSize", "snap")} if shape == "polygon" else {}
        attributes = {"name": shape, "toName": IMAGE, "opacity": look["opacity"], **drawn, **fine}
        parent.insert(place, ElementTree.Element(_SHAPES[shape], attributes))
    if "magicwand" in shapes:
        # It reads the pixels, which a browser only allows if the server says so.
        _control(root, IMAGE).set("crossOrigin", "anonymous")


def skip_reasons() -> dict[str, str]:
    """Why an image may be skipped: ids and what is shown."""
    return _choices(SKIP_REASON)


def confidences() -> dict[str, str]:
    """How sure a rater may be of a region: ids and what is shown, surest first."""
    return _choices(CONFIDENCE)


def _choices(name: str) -> dict[str, str]:
    control = _control(ElementTree.fromstring(_resource("label_config.xml")), name)
    return {choice.get("alias", ""): choice.get("value", "") for choice in control}


def _remove(root: ElementTree.Element, element: ElementTree.Element) -> tuple[ElementTree.Element, int]:
    """Take an element out; gives its parent and its place there."""
    parent = next(each for each in root.iter() if element in list(each))
    position = list(parent).index(element)
    parent.remove(element)
    return parent, position


def _shown(entry: Category | Subtype | ContentType) -> dict[str, str]:
    return {"value": entry.name, "alias": entry.id, "hotkey": entry.hotkey}


def _control(root: ElementTree.Element, name: str) -> ElementTree.Element:
    found = root.find(f".//*[@name='{name}']")
    if found is None:
        raise FormatError(f"label_config.xml: there is no control named {name!r}")
    return found


def _resource(name: str) -> str:
    return (files("synthscars.annotation_configs") / name).read_text(encoding="utf-8")
