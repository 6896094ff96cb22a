"""LEGION at reference size: finds, outlines and explains artifacts (arXiv 2503.15264, section 4).

torch and transformers are loaded when one of these names is first wanted.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthscars.legion.configuration_legion import LegionConfig
    from synthscars.legion.modeling_legion import LegionForArtifactAnalysis
    from synthscars.legion.predictor import Predictor
    from synthscars.legion.processing_legion import LegionProcessor
    from synthscars.legion.settings import TrainingSettings
    from synthscars.legion.training import train

__all__ = [
    "LegionConfig",
    "LegionForArtifactAnalysis",
    "LegionProcessor",
    "Predictor",
    "TrainingSettings",
    "train",
]

_MODULES = {
    "LegionConfig": "configuration_legion",
    "LegionForArtifactAnalysis": "modeling_legion",
    "LegionProcessor": "processing_legion",
    "Predictor": "predictor",
    "TrainingSettings": "settings",
    "train": "training",
}


if not TYPE_CHECKING:  # which would else take any name for one of ours

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return getattr(import_module(f"synthscars.legion.{_MODULES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
