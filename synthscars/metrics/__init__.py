"""How well predictions agree with a release: where, what, why, and whether at all.

`score_image` counts one image, `summarize` adds scores up and makes figures of the sums; in between, scores
may be kept, sent around and put together in any order. `bootstrap` says how far a figure can be trusted,
`bootstrap_gain` whether one model is better than another on the same images. `perturb` has the perturbations
of the paper's robustness table.
"""

from synthscars.metrics.evaluation import Evaluation, Figure, summarize
from synthscars.metrics.masks import RASTERIZERS, Rasterizer
from synthscars.metrics.perturbations import PERTURBATIONS, perturb
from synthscars.metrics.resampling import bootstrap, bootstrap_gain
from synthscars.metrics.scores import ImageScore, decode_score, encode_score, score_image, score_images
from synthscars.metrics.statistics import STATISTICS, value_of

__all__ = [
    "PERTURBATIONS",
    "RASTERIZERS",
    "STATISTICS",
    "Evaluation",
    "Figure",
    "ImageScore",
    "Rasterizer",
    "bootstrap",
    "bootstrap_gain",
    "decode_score",
    "encode_score",
    "perturb",
    "score_image",
    "score_images",
    "summarize",
    "value_of",
]
