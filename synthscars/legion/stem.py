"""A convolutional pyramid in the place of a vision transformer's patch embedding.

From few images a patch embedding learns edges and textures slowly, and convolutions learn them at once (Xiao
et al. 2021, "Early Convolutions Help Transformers See Better"). This one is a small residual network (He et
al. 2016) that goes down to patches four times as large, where it sees the whole picture, and comes back up
with what it saw there (Lin et al. 2017, "Feature Pyramid Networks"). For presets that are trained from
scratch; checkpoints of CLIP and SAM have none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

_NARROWEST = 32
_TEXTURE = 2
"""How often the picture has been halved where its texture is read: later, it is averaged away."""
_WINDOWS = 4


class Pyramid(nn.Module):
    """(batch, 3, side, side) to (batch, width, side / patch, side / patch), seen at sizes up to 4 patches.

    patch: a power of 2, at least 4; blocks: residual blocks at each size but the largest and the smallest.
    `weight` is what CLIP and SAM ask for the type and device of the convolution replaced.
    """

    def __init__(self, width: int, patch: int, blocks: int = 2) -> None:
        super().__init__()
        steps = round(math.log2(patch))
        if 2**steps != patch or steps < 2:
            raise ValueError(f"a pyramid halves twice or more, so it has no patches of {patch}")
        widths = [max(width >> (steps - step), _NARROWEST) for step in range(1, steps + 1)]
        # At full width and half size a block costs more than it tells.
        counts = [0] + [blocks] * (steps - 1)
        pairs = zip([3, *widths], widths, counts, strict=False)
        self.below = nn.Sequential(*(_halving(before, after, count) for before, after, count in pairs))
        self.coarse = _halving(width, width, blocks)
        self.coarsest = _halving(width, width, 1)
        self.back, self.back_to_coarse = (nn.Conv2d(width, width, 1) for _ in range(2))
        self.mix = _Block(width)
        self.norm = nn.BatchNorm2d(width)
        self.width = width
        self.texture_width = widths[_TEXTURE - 1]
        reset(self)

    @property
    def weight(self) -> Tensor:
        """The first convolution's."""
        first: Tensor = self.below[0][0].weight  # type: ignore[index]
        return first

    def forward(self, pixels: Tensor) -> Tensor:
        """See the class."""
        return self._seen(self._first(pixels))[0]

    def scales(self, pixels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What `forward` gives; what is seen in patches twice as large: half the sides, as wide; the texture.

        The texture is mean and deviation of what is seen in patches of 4, in each of 4 x 4 windows of the
        picture: (batch, 2 * texture_width, 4, 4).
        """
        first = self._first(pixels)
        return *self._seen(first), _texture(first.float())

    def _first(self, pixels: Tensor) -> Tensor:
        # Convolutions on CPUs are faster so by a third.
        first: Tensor = self.below[:_TEXTURE](pixels.contiguous(memory_format=torch.channels_last))
        return first

    def _seen(self, first: Tensor) -> tuple[Tensor, Tensor]:
        one = self.below[_TEXTURE:](first)
        two = self.coarse(one)
        two = two + _twice(self.back_to_coarse(self.coarsest(two)))
        return self.norm(self.mix(one + _twice(self.back(two)))), two


class StemEmbeddings(nn.Module):
    """In the place of CLIP's embeddings: takes what a pyramid sees that belongs to another encoder.

    Both encoders see the same square, and what one learns of edges, textures and things serves the other too.
    Its patches are twice as large as the pyramid's. CLS begins with the texture of the whole picture, which
    the patches have lost: it is what tells a generator from a camera.
    scale, shift: from this encoder's normalised pixels to those that the pyramid wants, one each channel.
    """

    def __init__(
        self, pyramid: Pyramid, width: int, patches: int, scale: Sequence[float], shift: Sequence[float]
    ) -> None:
        super().__init__()
        self._pyramid = (pyramid,)  # in a tuple it is no part of this module, and is saved once
        self.patch_embedding = nn.Sequential(nn.Conv2d(2 * pyramid.width, width, 1), nn.BatchNorm2d(width))
        reset(self)
        self.texture_norm = nn.BatchNorm2d(2 * pyramid.texture_width)
        self.texture = nn.Linear(2 * pyramid.texture_width, width)
        self.class_embedding = nn.Parameter(torch.randn(width))
        self.position_embedding = nn.Embedding(patches + 1, width)
        self.scale, self.shift = list(scale), list(shift)

    def forward(self, pixel_values: Tensor, interpolate_pos_encoding: bool = False) -> Tensor:
        """(batch, 3, side, side) to (batch, 1 + patches, width), CLS first.

        interpolate_pos_encoding: the side is another one than was learned from, and positions are resampled.
        """
        scale, shift = (pixel_values.new_tensor(each).view(1, 3, 1, 1) for each in (self.scale, self.shift))
        fine, coarse, texture = self._pyramid[0].scales(pixel_values * scale + shift)
        patches: Tensor = self.patch_embedding(torch.cat([nn.functional.avg_pool2d(fine, 2), coarse], dim=1))
        token = self.class_embedding + self.texture(self.texture_norm(texture).mean(dim=(2, 3)))
        tokens = torch.cat([token[:, None], patches.flatten(2).transpose(1, 2)], dim=1)
        positions = self.position_embedding.weight
        if interpolate_pos_encoding:
            positions = torch.cat([positions[:1], resampled(positions[1:], patches.shape[-1])])
        return tokens + positions


def resampled(positions: Tensor, side: int) -> Tensor:
    """What tells the positions of a square of patches, (patches, width), for one of side x side patches."""
    before = round(len(positions) ** 0.5)
    cells = positions.T.reshape(1, -1, before, before)
    cells = nn.functional.interpolate(cells, size=(side, side), mode="bicubic", align_corners=False)
    return cells.flatten(2)[0].T


def reset(module: nn.Module) -> None:
    """As for residual networks: signals keep their size, and every block begins as nothing."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight)
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]
    for part in module.modules():
        if isinstance(part, _Block):
            nn.init.zeros_(part.second.weight)


def _texture(seen: Tensor) -> Tensor:
    mean = nn.functional.adaptive_avg_pool2d(seen, _WINDOWS)
    square = nn.functional.adaptive_avg_pool2d(seen * seen, _WINDOWS)
    return torch.cat([mean, (square - mean * mean).clamp(min=1e-6).sqrt()], dim=1)


def _twice(seen: Tensor) -> Tensor:
    return nn.functional.interpolate(seen, scale_factor=2.0, mode="nearest")


def _halving(before: int, after: int, blocks: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, 3, stride=2, padding=1),
        nn.BatchNorm2d(after),
        nn.GELU(),
        *(_Block(after) for _ in range(blocks)),
    )


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
