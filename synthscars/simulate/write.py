"""A folder of simulated generator outputs and the file that says what is wrong in them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from synthscars.files import atomic_file
from synthscars.problems import FormatError, UsageError
from synthscars.records import ImageRecord, encode_lines
from synthscars.simulate.image import simulate_image
from synthscars.workspace import read_records

TRUTH_NAME = "ground_truth.jsonl"


def write_simulated(
    folder: Path, count: int, seed: int = 0, *, progress: Callable[[int], None] | None = None
) -> Path:
    """Write images 0 to `count` - 1 of the series `seed` to `folder`/images and the truth beside them.

    `progress` is called with the number of images done. Running it again gives identical files; a file that
    is right already is left alone. Returns the truth file, which is written last. Raises `UsageError` for a
    negative count or seed.
    """
    if count < 0 or seed < 0:
        raise UsageError(f"count {count} and seed {seed} must not be negative")
    images = folder / "images"
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
    with atomic_file(truth) as file:
        file.writelines(encode_lines(records))
    return truth


def read_truth(path: Path) -> list[ImageRecord]:
    """Read what `write_simulated` wrote. Raises `FormatError` naming the file and the line."""
    try:
        return list(read_records(path))
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}", fix="run synthscars simulate first") from error
