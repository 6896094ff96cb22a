"""A folder of simulated generator outputs and photographs, and the file that says what is wrong in them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from synthscars.files import atomic_file, is_temporary
from synthscars.jsonl import read_records, write_records
from synthscars.problems import FormatError, UsageError
from synthscars.records import ImageRecord, decode_record, encode_record
from synthscars.simulate.backgrounds import Background, chosen
from synthscars.simulate.image import simulate_image, simulate_photograph
from synthscars.simulate.metadata import file_name

TRUTH_NAME = "ground_truth.jsonl"
JOURNAL_NAME = "ground_truth.partial.jsonl"
"""Records of what is drawn already, while a series is written: a run that was killed goes on from it."""
IMAGES, PHOTOGRAPHS = "images", "photographs"


class _Job(NamedTuple):
    """One picture to draw, and where to; picklable."""

    folder: str
    seed: int
    number: int
    photograph: bool
    background: Background | None = None


def write_simulated(
    folder: Path,
    count: int,
    seed: int = 0,
    *,
    photographs: int = 0,
    workers: int = 1,
    backgrounds: Sequence[Background] = (),
    progress: Callable[[int], None] | None = None,
) -> Path:
    """Write the series `seed` to `folder` and the truth beside it.

    Images 0 to `count` - 1 go to `folder`/images, photographs 0 to `photographs` - 1 (origin "real") to
    `folder`/photographs. `backgrounds`: pictures that the images are drawn on, in turns, instead of scenes.
    `workers`: processes that draw; the files are the same for any number of them.
    `progress` is called with the number of pictures done. Running it again gives identical files; a file that
    is right already is left alone, and a run that was killed goes on where it stopped. Returns the truth
    file, which is written last: first the images, then the photographs. Raises `UsageError` for a negative
    number, or, before anything is written, if there is a file in one of the two folders that the truth would
    not speak of.
    """
    if min(count, seed, photographs) < 0:
        raise UsageError(f"count {count}, photographs {photographs} and seed {seed} must not be negative")
    if workers < 1:
        raise UsageError(f"{workers} workers cannot draw", fix="choose 1 or more")
    jobs = [
        _Job(str(folder), seed, index, False, chosen(backgrounds, seed, index) if backgrounds else None)
        for index in range(count)
    ]
    jobs += [_Job(str(folder), seed, index, True) for index in range(photographs)]
    names = {job: _name(job) for job in jobs}
    for part, photograph in ((IMAGES, False), (PHOTOGRAPHS, True)):
        ours = {name for job, name in names.items() if job.photograph == photograph}
        _check_free(folder / part, ours)
        if ours or not photograph:
            (folder / part).mkdir(parents=True, exist_ok=True)
    journal = folder / JOURNAL_NAME
    found = _drawn_already(journal)
    records = {
        job: found[name] for job, name in names.items() if _is_right(_path(job, name), found.get(name))
    }
    missing = [job for job in jobs if job not in records]
    done = len(records)
    if progress is not None and done:
        progress(done)
    with journal.open("ab") as file:
        for job, line in zip(missing, _drawn(missing, workers), strict=True):
            file.write(line + b"\n")
            file.flush()
            records[job] = decode_record(line, "a simulated image")
            done += 1
            if progress is not None:
                progress(done)
    truth = folder / TRUTH_NAME
    write_records(truth, (records[job] for job in jobs))
    journal.unlink()
    return truth


def _name(job: _Job) -> str:
    on = job.background.sha256 if job.background else ""
    return file_name(job.seed, job.number, photograph=job.photograph, on=on)


def _path(job: _Job, name: str) -> Path:
    return Path(job.folder) / (PHOTOGRAPHS if job.photograph else IMAGES) / name


def _drawn(jobs: list[_Job], workers: int) -> Iterator[bytes]:
    """The encoded records of `jobs` in their order, while the pictures are written."""
    if workers == 1 or len(jobs) < 2:
        yield from map(_draw, jobs)
        return
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    # Started anew instead of forked: the caller may have threads, and every platform can do it.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        try:
            yield from pool.map(_draw, jobs, chunksize=4)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _draw(job: _Job) -> bytes:
    """Draw and write one picture; its encoded record."""
    if job.photograph:
        simulated = simulate_photograph(job.seed, job.number)
    else:
        simulated = simulate_image(job.seed, job.number, job.background)
    path = _path(job, simulated.record.file_name)
    if not path.is_file() or path.read_bytes() != simulated.data:
        with atomic_file(path) as file:
            file.write(simulated.data)
    return encode_record(simulated.record)


def _drawn_already(journal: Path) -> dict[str, ImageRecord]:
    """File name to record of what a killed run has drawn; a line cut short is none."""
    found = {}
    if journal.is_file():
        for line in journal.read_bytes().split(b"\n"):
            try:
                record = decode_record(line, str(journal))
            except FormatError:
                continue
            found[record.file_name] = record
    return found


def _is_right(path: Path, record: ImageRecord | None) -> bool:
    if record is None or not path.is_file():
        return False
    return hashlib.sha256(path.read_bytes()).hexdigest() == record.image_id


def _check_free(images: Path, ours: set[str]) -> None:
    if images.exists() and not images.is_dir():
        raise UsageError(f"{images} is not a folder", fix="choose a new folder")
    others = [path.name for path in images.glob("*") if path.name not in ours and not is_temporary(path)]
    if others:
        raise UsageError(
            f"{images} holds {min(others)}, which is not one of these {len(ours)} pictures",
            fix="choose a new folder",
        )


def read_truth(path: Path) -> list[ImageRecord]:
    """Read what `write_simulated` wrote. Raises `FormatError` naming the file and the line."""
    try:
        return list(read_records(path))
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror}", fix="run synthscars simulate first") from error
