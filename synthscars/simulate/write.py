"""A folder of simulated generator outputs and the file that says what is wrong in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from synthscars.files import atomic_file, is_temporary
from synthscars.jsonl import read_records, write_records
from synthscars.problems import FormatError, UsageError
from synthscars.records import ImageRecord
from synthscars.simulate.image import simulate_image
from synthscars.simulate.metadata import file_name

TRUTH_NAME = "ground_truth.jsonl"


def write_simulated(
    folder: Path, count: int, seed: int = 0, *, progress: Callable[[int], None] | None = None
) -> Path:
    """Write images 0 to `count` - 1 of the series `seed` to `folder`/images and the truth beside them.

    `progress` is called with the number of images done. Running it again gives identical files; a file that
    is right already is left alone. Returns the truth file, which is written last. Raises `UsageError` for a
    negative count or seed, or, before anything is written, if there is a file in `folder`/images that the
    truth would not speak of.
    """
    if count < 0 or seed < 0:
        raise UsageError(f"count {count} and seed {seed} must not be negative")
    images = folder / "images"
    _check_free(images, count)
    images.mkdir(parents=True, exist_ok=True)
    records = []
    for index in range(count):
        simulated = simulate_image(seed, index)
        path = images / simulated.record.file_name
        if not path.is_file() or path.read_bytes() != simulated.data:
            with atomic_file(path) as file:
                file.write(simulated.data)
        records.append(simulated.record)
        if progress is not None:
            progress(index + 1)
    truth = folder / TRUTH_NAME
    write_records(truth, records)
    return truth


def _check_free(images: Path, count: int) -> None:
    if images.exists() and not images.is_dir():
        raise UsageError(f"{images} is not a folder", fix="choose a new folder")
    ours = {file_name(index) for index in range(count)}
    others = [path.name for path in images.glob("*") if path.name not in ours and not is_temporary(path)]
    if others:
        raise UsageError(
            f"{images} holds {min(others)}, which is not one of these {count} images",
            fix="choose a new folder",
        )


def read_truth(path: Path) -> list[ImageRecord]:
    """Read what `write_simulated` wrote. Raises `FormatError` naming the file and the line."""
    try:
        return list(read_records(path))
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}", fix="run synthscars simulate first") from error
