"""A convolutional stem in the place of a vision transformer's patch embedding.

A patch embedding learns edges and textures slowly from few images, a few convolutions learn them at once
(Xiao et al. 2021, "Early Convolutions Help Transformers See Better"). For presets that are trained from
scratch; checkpoints of CLIP and SAM have none.
"""

from __future__ import annotations

import math

from torch import Tensor, nn


class ConvStem(nn.Module):
    """(batch, 3, side, side) to (batch, width, side / patch, side / patch), halving step by step.

    patch: a power of 2. `weight` is what CLIP asks for the type and device of the convolution replaced.
    """

    def __init__(self, width: int, patch: int) -> None:
        super().__init__()
        steps = round(math.log2(patch))
        if 2**steps != patch:
            raise ValueError(f"a convolutional stem halves: the patch size {patch} is no power of 2")
        layers: list[nn.Module] = []
        before = 3
        for step in range(steps):
            after = max(width >> (steps - step), 16)
            layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.GroupNorm(1, after), nn.GELU()]
            before = after
        self.layers = nn.Sequential(*layers)
        self.project = nn.Conv2d(before, width, 1)

    @property
    def weight(self) -> Tensor:
        """The last convolution's."""
        return self.project.weight

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        found: Tensor = self.project(self.layers(pixels))
        return found
