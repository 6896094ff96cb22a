"""Tools and datasets for artifacts in AI-generated images."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from synthscars.problems import (
    FormatError,
    ImageError,
    PlatformError,
    Problem,
    Problems,
    ReleaseError,
    SynthScarsError,
    UsageError,
    WorkspaceError,
)
from synthscars.records import Artifact, Generation, ImageRecord, Review, decode_record, encode_record
from synthscars.taxonomy import Taxonomy, load_taxonomy

if TYPE_CHECKING:
    from synthscars.examples import draw, masks, rows, to_coco, to_gcg, to_record, union_mask

__version__ = "0.1.0"

__all__ = [
    "Artifact",
    "FormatError",
    "Generation",
    "ImageError",
    "ImageRecord",
    "PlatformError",
    "Problem",
    "Problems",
    "ReleaseError",
    "Review",
    "SynthScarsError",
    "Taxonomy",
    "UsageError",
    "WorkspaceError",
    "__version__",
    "decode_record",
    "draw",
    "encode_record",
    "load_taxonomy",
    "masks",
    "rows",
    "to_coco",
    "to_gcg",
    "to_record",
    "union_mask",
]

_OF_EXAMPLES = frozenset({"draw", "masks", "rows", "to_coco", "to_gcg", "to_record", "union_mask"})
"""Names of `synthscars.examples`, which loads numpy and more: not before somebody wants them."""


if not TYPE_CHECKING:  # which would else take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name in _OF_EXAMPLES:
            return getattr(import_module("synthscars.examples"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
