"""Tools and datasets for artifacts in AI-generated images."""

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
    "encode_record",
    "load_taxonomy",
]
