"""What a training run is told."""

from __future__ import annotations

import msgspec

from synthscars.problems import UsageError

FROM_SCRATCH = ("tiny", "small")
"""Presets that are trained here; `paper` is built from checkpoints."""


class TrainingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One training run. The same settings and the same release give the same weights on the same machine.

    preset: see `LegionConfig.preset`; `paper` is built from checkpoints, whose folders or Hub ids are `llava`
    and `sam`, has no warm-up, and the paper's learning rate is 1e-4. warmup_epochs: of the mask path
    alone, and after it a quarter as many of the global encoder (`synthscars.legion.warmup`); epochs: of the
    language model too, the paper's first stage; detection_epochs: of the detection head alone, its second.
    learning_rate: of all but that one, each stage with a cosine schedule. streaming: rows as they come, for
    releases that do not fit on the disk. shuffle_labels: every image learns the labels of another one, for
    `verify`. max_images: of the train split. show: validation images that are answered
    after every epoch. device: `cpu`, where there is a GPU that is not to be used.
    """

    preset: str = "tiny"
    llava: str | None = None
    sam: str | None = None
    warmup_epochs: int = 18
    epochs: int = 8
    detection_epochs: int = 30
    batch_size: int = 8
    learning_rate: float = 1e-3
    detection_learning_rate: float = 1e-3
    vocab_size: int = 2000
    seed: int = 0
    streaming: bool = False
    shuffle_labels: bool = False
    max_images: int | None = None
    show: int = 48
    device: str | None = None

    def stages(self) -> dict[str, int]:
        """The epochs of each stage but the last, in their order."""
        return {
            "warmup": self.warmup_epochs,
            "words": -(-self.warmup_epochs // 4),
            "language": self.epochs,
        }

    def __post_init__(self) -> None:
        """Raise `UsageError` for what cannot be trained."""
        if self.preset == "paper" and not (self.llava and self.sam):
            raise UsageError(
                "the preset paper is not trained from scratch", fix="name checkpoints of LLaVA and of SAM"
            )
        if self.preset not in (*FROM_SCRATCH, "paper"):
            raise UsageError(f"there is no preset {self.preset}", fix="choose tiny, small or paper")
        for name in ("warmup_epochs", "epochs", "detection_epochs", "seed", "show"):
            if getattr(self, name) < 0:
                raise UsageError(f"{name} is negative: {getattr(self, name)}")
        if self.streaming and (self.shuffle_labels or self.max_images):
            raise UsageError(
                "a stream is neither shuffled as a whole nor cut off", fix="leave out streaming, or the other"
            )
        if self.batch_size < 1 or self.learning_rate <= 0:
            raise UsageError("batch size and learning rate must be positive")
