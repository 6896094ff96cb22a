"""Simulated generator outputs whose artifacts are known, for demos, tests and benchmarks."""

from synthscars.simulate.backgrounds import Background, read_backgrounds
from synthscars.simulate.image import SimulatedImage, simulate_image, simulate_photograph
from synthscars.simulate.write import read_truth, write_simulated

__all__ = [
    "Background",
    "SimulatedImage",
    "read_backgrounds",
    "read_truth",
    "simulate_image",
    "simulate_photograph",
    "write_simulated",
]
