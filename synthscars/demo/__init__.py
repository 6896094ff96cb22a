"""The whole way on simulated images: every station once, and a check against the known artifacts."""

from synthscars.demo.run import DemoReport, run_demo
from synthscars.demo.score import Score, score

__all__ = ["DemoReport", "Score", "run_demo", "score"]
