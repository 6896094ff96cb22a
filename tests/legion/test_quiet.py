"""Bars of other libraries do not come between ours."""

from __future__ import annotations

from pathlib import Path

import datasets
import pytest
from tiny_legion import untrained
from transformers.utils import logging

from synthscars.legion import Predictor
from synthscars.legion.quiet import quiet


@pytest.fixture(autouse=True)
def shown() -> None:
    """Bars are shown before each of these tests, whatever others have left."""
    datasets.enable_progress_bars()
    logging.enable_progress_bar()


def test_loading_a_model_draws_no_bars(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = untrained(tmp_path)
    capfd.readouterr()
    Predictor(folder)
    assert capfd.readouterr() == ("", "")
    assert logging.is_progress_bar_enabled()


def test_bars_are_as_they_were_afterwards_whatever_happens() -> None:
    with pytest.raises(ZeroDivisionError):
        _fails_quietly()
    assert not datasets.are_progress_bars_disabled()
    logging.disable_progress_bar()
    try:
        with quiet():
            pass
        assert not logging.is_progress_bar_enabled()
    finally:
        logging.enable_progress_bar()


def _fails_quietly() -> None:
    with quiet():
        assert datasets.are_progress_bars_disabled()
        assert not logging.is_progress_bar_enabled()
        raise ZeroDivisionError
