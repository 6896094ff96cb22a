"""XML of CVAT as a stream of elements, read without trusting it, and written.

Documents with a DOCTYPE are refused, so there are no entities to expand and nothing outside the file to
fetch; elements are refused below a depth that no annotation has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from synthscars.converters.reading import Json
from synthscars.problems import FormatError

_CHUNK = 1 << 18
_DEEPEST = 40

# https://www.w3.org/TR/xml/#charsets
_UNWRITABLE = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
# Readers turn line ends into "\n", and any white space of an attribute into a space.
_IN_TEXT = str.maketrans({**_ESCAPES, "\r": "&#13;"})
_IN_QUOTES = str.maketrans({**_ESCAPES, '"': "&quot;", "\r": "&#13;", "\n": "&#10;", "\t": "&#9;"})


class BrokenXmlError(FormatError):
    """The document ends or breaks off after some of its elements were read."""


def writable(text: str) -> str:
    """The text with characters that XML 1.0 cannot hold (most control characters) replaced."""
    return _UNWRITABLE.sub("\ufffd", text)


def elements(path: Path, root: str) -> Iterator[Element]:
    """The children of the root element one by one, each complete.

    Raises `FormatError` if the file is no XML, declares a DOCTYPE or has another root; `BrokenXmlError` if it
    breaks after the first child.
    """
    builder: TreeBuilder | None = None
    ready: list[Element] = []
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth, builder
        depth += 1
        if depth > _DEEPEST:
            raise FormatError(f"{path}: elements in elements, {depth} deep", fix="this is no file of CVAT")
        if depth == 1:
            if tag != root:
                raise FormatError(f"{path}: the root element is <{tag[:60]}>, not <{root}>", fix=_EXPORT)
            return
        if depth == 2:
            builder = TreeBuilder()
        if builder is not None:
            builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth, builder
        depth -= 1
        if builder is not None:
            builder.end(tag)
            if depth == 1:
                ready.append(builder.close())
                builder = None

    def data(text: str) -> None:
        if builder is not None:
            builder.data(text)

    def doctype(*_: Any) -> None:
        raise FormatError(f"{path}: it declares a DOCTYPE", fix="take it out; CVAT writes none")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = data
    parser.StartDoctypeDeclHandler = doctype
    any_yet = False
    try:
        with path.open("rb") as file:
            while True:
                chunk = file.read(_CHUNK)
                try:
                    parser.Parse(chunk, not chunk)
                except expat.ExpatError as error:
                    # What was complete before the break counts.
                    yield from ready
                    kind = BrokenXmlError if any_yet or ready else FormatError
                    raise kind(f"{path}: {error}", fix=_EXPORT) from error
                any_yet = any_yet or bool(ready)
                yield from ready
                ready.clear()
                if not chunk:
                    return
    except (OSError, ValueError, LookupError) as error:
        raise FormatError(f"{path}: {error}", fix=_EXPORT) from error


_EXPORT = "export it again as 'CVAT for images 1.1'"


# As JSON, to be kept


def to_json(element: Element) -> Json:
    """An element as JSON; white space around its children is left out."""
    found: Json = {"element": element.tag}
    if element.attrib:
        found["attributes"] = dict(element.attrib)
    children = [to_json(child) for child in element]
    if children:
        found["children"] = children
    elif element.text:
        found["text"] = element.text
    return found


def from_json(value: Any, indent: str) -> str:
    """An element as text out of what `to_json` gave; `""` if it is not that."""
    if not isinstance(value, dict) or not is_name(value.get("element")):
        return ""
    attributes = value.get("attributes")
    text, children = value.get("text"), value.get("children")
    return tag(
        value["element"],
        {key: str(each) for key, each in attributes.items()} if isinstance(attributes, dict) else {},
        indent,
        text if isinstance(text, str) else "",
        [from_json(child, indent + "  ") for child in children] if isinstance(children, list) else [],
    )


def is_name(value: Any) -> bool:
    """Whether this can be the name of an element or attribute."""
    return isinstance(value, str) and re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*", value) is not None


# As text


def start_tag(name: str, attributes: Mapping[str, str], indent: str) -> str:
    """`<name key="value">` on a line of its own, not ended."""
    quoted = "".join(
        f' {key}="{writable(value).translate(_IN_QUOTES)}"'
        for key, value in attributes.items()
        if is_name(key)
    )
    return f"{indent}<{name}{quoted}>"


def tag(
    name: str, attributes: Mapping[str, str], indent: str, text: str = "", children: list[str] | None = None
) -> str:
    """A whole element with its text, or its children, each of which ends its line."""
    opened = start_tag(name, attributes, indent)
    if children:
        return f"{opened}\n{''.join(children)}{indent}</{name}>\n"
    return f"{opened}{writable(text).translate(_IN_TEXT)}</{name}>\n"
