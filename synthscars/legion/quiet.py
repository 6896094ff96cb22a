"""Silence for the progress bars of other libraries, where one of ours is shown."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quiet() -> Iterator[None]:
    """No progress bars of `datasets` and `transformers` while the block runs."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        with quiet_loading():
            yield
    finally:
        if shown:
            datasets.enable_progress_bars()


@contextmanager
def quiet_loading() -> Iterator[None]:
    """No progress bars of `transformers` while the block runs."""
    from transformers.utils import logging

    shown = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            logging.enable_progress_bar()
