"""A convolutional stem in the place of a vision transformer's patch embedding.

From few images a patch embedding learns edges and textures slowly, and convolutions learn them at once (Xiao
et al. 2021, "Early Convolutions Help Transformers See Better"). This one is a small residual network (He et
al. 2016). For presets that are trained from scratch; checkpoints of CLIP and SAM have none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

_NARROWEST = 32


class ConvStem(nn.Module):
    """(batch, 3, side, side) to (batch, width, side / patch, side / patch), halving step by step.

    patch: a power of 2, at least 4; blocks: residual blocks at each size but the first. `weight` is what CLIP
    asks for the type and device of the convolution replaced.
    """

    def __init__(self, width: int, patch: int, blocks: int = 3) -> None:
        super().__init__()
        steps = round(math.log2(patch))
        if 2**steps != patch or steps < 2:
            raise ValueError(f"a convolutional stem halves twice or more, so no patches of {patch}")
        layers: list[nn.Module] = []
        before = 3
        for step in range(1, steps + 1):
            after = max(width >> (steps - step), _NARROWEST)
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.BatchNorm2d(after), nn.GELU()]
            if step > 1:  # At full width and half size a block costs more than it tells.
                layers += [_Block(after) for _ in range(blocks)]
            before = after
        self.layers = nn.Sequential(*layers, nn.BatchNorm2d(width))
        self.width = width
        reset(self)

    @property
    def weight(self) -> Tensor:
        """The first convolution's."""
        first: Tensor = self.layers[0].weight  # type: ignore[assignment]
        return first

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        # Convolutions on CPUs are faster so by a third.
        found: Tensor = self.layers(pixels.contiguous(memory_format=torch.channels_last))
        return found


class Deeper(nn.Module):
    """Patches twice as large as those of a stem that belongs to another encoder.

    Both encoders see the same square, and what one learns of edges, textures and things serves the other too.
    scale, shift: from this encoder's normalised pixels to those that the stem wants, one each channel.
    """

    def __init__(self, stem: ConvStem, width: int, scale: Sequence[float], shift: Sequence[float]) -> None:
        super().__init__()
        self._stem = (stem,)  # in a tuple it is no part of this module, and is saved once
        before = stem.width
        self.layers = nn.Sequential(
            nn.Conv2d(before, width, 3, stride=2, padding=1),
            nn.BatchNorm2d(width),
            nn.GELU(),
            _Block(width),
            _Block(width),
            nn.BatchNorm2d(width),
        )
        reset(self)
        self.scale, self.shift = list(scale), list(shift)

    @property
    def weight(self) -> Tensor:
        """The first convolution's."""
        first: Tensor = self.layers[0].weight  # type: ignore[assignment]
        return first

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        scale, shift = (pixels.new_tensor(each).view(1, 3, 1, 1) for each in (self.scale, self.shift))
        found: Tensor = self.layers(self._stem[0](pixels * scale + shift))
        return found


def reset(module: nn.Module) -> None:
    """As for residual networks: signals keep their size, and every block begins as nothing."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
    for part in module.modules():
        if isinstance(part, _Block):
            nn.init.zeros_(part.second.weight)


class _Block(nn.Module):
    """Adds two convolutions of what comes in to it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(width)
        self.first = nn.Conv2d(width, width, 3, padding=1)
        self.second = nn.Conv2d(width, width, 3, padding=1)

    def forward(self, seen: Tensor) -> Tensor:
        more: Tensor = self.second(nn.functional.gelu(self.first(self.norm(seen))))
        return seen + more
