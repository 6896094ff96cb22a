"""The categories, subtypes and content types, read from `annotation_configs/taxonomy.toml`.

Source of the classes: LEGION (arXiv 2503.15264), section 3. The order in the file is the order of the class
ids in a release.
"""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from functools import cache, cached_property
from importlib.resources import files
from typing import TypeVar

import msgspec

from synthscars.problems import FormatError


class Category(msgspec.Struct, frozen=True, kw_only=True):
    """One of the three kinds of artifact. `color` is `#RRGGBB`; for `deprecated` see `Taxonomy`."""

    id: str
    name: str
    definition: str
    color: str
    hotkey: str
    deprecated: str = ""


class Subtype(msgspec.Struct, frozen=True, kw_only=True):
    """One of the eleven finer kinds of artifact; belongs to the category with the id `category`."""

    id: str
    category: str
    name: str
    definition: str
    examples: tuple[str, ...]
    hotkey: str
    deprecated: str = ""


class ContentType(msgspec.Struct, frozen=True, kw_only=True):
    """What a picture is about."""

    id: str
    name: str
    definition: str
    hotkey: str
    deprecated: str = ""


_Entry = TypeVar("_Entry", Category, Subtype)


class Taxonomy(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """All closed vocabularies that annotators choose from, in the order of their class ids.

    `deprecated` of an entry, if not `""`, says that the next major version leaves it out, and what to use
    instead; until then it is a class like the others.
    """

    version: str
    categories: tuple[Category, ...]
    subtypes: tuple[Subtype, ...]
    content_types: tuple[ContentType, ...]

    @cached_property
    def category_ids(self) -> tuple[str, ...]:
        """Ids of the categories, in class order."""
        return tuple(category.id for category in self.categories)

    @cached_property
    def subtype_ids(self) -> tuple[str, ...]:
        """Ids of the subtypes, in class order."""
        return tuple(subtype.id for subtype in self.subtypes)

    @cached_property
    def content_type_ids(self) -> tuple[str, ...]:
        """Ids of the content types, in class order."""
        return tuple(content_type.id for content_type in self.content_types)

    def category(self, id: str) -> Category:
        """The category with this id; `KeyError` if there is none."""
        return _find(self.categories, id)

    def subtype(self, id: str) -> Subtype:
        """The subtype with this id; `KeyError` if there is none."""
        return _find(self.subtypes, id)

    def subtypes_of(self, category: str) -> tuple[Subtype, ...]:
        """The subtypes of the category with this id, in class order."""
        return tuple(subtype for subtype in self.subtypes if subtype.category == category)


def _find(entries: tuple[_Entry, ...], id: str) -> _Entry:
    for entry in entries:
        if entry.id == id:
            return entry
    raise KeyError(id)


def parse_taxonomy(text: str, source: str = "taxonomy") -> Taxonomy:
    """Read and check a taxonomy written as TOML.

    Raises `FormatError` naming `source` if a field is missing, an id or hotkey is used twice, or a subtype
    names a category that does not exist.
    """
    try:
        taxonomy = msgspec.convert(tomllib.loads(text), Taxonomy)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise FormatError(
            f"{source}: {error}", fix="compare it with the taxonomy.toml of synthscars"
        ) from error
    for ids in (taxonomy.category_ids, taxonomy.subtype_ids, taxonomy.content_type_ids):
        _refuse_repeats(source, ids, "id")
    _refuse_repeats(
        source,
        [category.hotkey for category in taxonomy.categories]
        + [subtype.hotkey for subtype in taxonomy.subtypes]
        + [content_type.hotkey for content_type in taxonomy.content_types],
        "hotkey",
    )
    for subtype in taxonomy.subtypes:
        if subtype.category not in taxonomy.category_ids:
            raise FormatError(
                f"{source}: subtype {subtype.id!r} names the unknown category {subtype.category!r}"
            )
    return taxonomy


def _refuse_repeats(source: str, values: Sequence[str], field: str) -> None:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise FormatError(f"{source}: {field} used more than once: {', '.join(repeated)}")


@cache
def load_taxonomy() -> Taxonomy:
    """The taxonomy that comes with synthscars."""
    resource = files("synthscars.annotation_configs") / "taxonomy.toml"
    return parse_taxonomy(resource.read_text(encoding="utf-8"), "taxonomy.toml")
