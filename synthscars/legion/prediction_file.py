"""A file of predictions that is written batch by batch, so that a killed run goes on where it was.

What is done stands in `NAME.partial` beside the target, which takes its name when all is done. The batches of
a run that goes on are those of one that was never interrupted: a model may give other last digits to an image
in another batch, and the same inputs are to give the same bytes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import msgspec

from synthscars.predictions import (
    FORMAT,
    VERSION,
    Prediction,
    decode_prediction,
    encode_prediction,
    read_header,
    read_predictions,
    write_predictions,
)
from synthscars.problems import FormatError, Problems, UsageError, WorkspaceError

_BATCH = "batch_size"


class UnfinishedFile:
    """A file of predictions that is being written. finished: ids of the images that are in it.

    restarted: an unfinished file of another model or other settings was there, and was left behind.
    """

    def __init__(self, target: Path, header: Mapping[str, Any], batch_size: int) -> None:
        self.finished: set[str] = set()
        self.restarted = False
        self._target = target
        self._header = header
        self._partial = partial_path(target)
        first = {"model": "", **header, "format": FORMAT, "version": VERSION, _BATCH: batch_size}
        if self._partial.exists() and (kept := self._resume(first, batch_size)):
            self._file: IO[bytes] = self._partial.open("r+b")
            self._file.truncate(kept)
            self._file.seek(kept)
        else:
            self.restarted = self._partial.exists()
            self._file = self._partial.open("wb")
            self._file.write(msgspec.json.encode(first, order="deterministic") + b"\n")
            self._file.flush()

    def write(self, predictions: Sequence[Prediction]) -> None:
        """Add what one batch brought."""
        lines = [encode_prediction(prediction) + b"\n" for prediction in predictions]
        self._file.write(b"".join(lines))
        self._file.flush()
        self.finished.update(prediction.image_id for prediction in predictions)

    def predictions(self) -> Iterator[Prediction]:
        """What is in it so far. Raises `FormatError` if somebody else has changed it."""
        problems = Problems()
        yield from read_predictions(self._partial, problems)
        for problem in problems:
            raise FormatError(f"{self._partial}: {problem.what}", fix="remove it and run the command again")

    def complete(self) -> int:
        """Give the file its name; returns how many predictions are in it."""
        self._file.close()
        count = write_predictions(self._target, self.predictions(), self._header)
        self._partial.unlink()
        return count

    def close(self) -> None:
        """Leave it as it is, for another run to go on."""
        self._file.close()

    def _resume(self, first: dict[str, Any], batch_size: int) -> int:
        """How many bytes of the unfinished file are of use: whole batches, if it is of the same run."""
        try:
            if read_header(self._partial) != first:
                return 0
        except FormatError:
            return 0
        end, ends, ids = 0, [0], []
        with self._partial.open("rb") as file:
            for number, line in enumerate(file):
                if not line.endswith(b"\n"):
                    break  # the kill came in the middle of it
                if number:
                    try:
                        ids.append(decode_prediction(line).image_id)
                    except FormatError:
                        break
                end += len(line)
                ends.append(end)
        whole = len(ids) - len(ids) % batch_size
        self.finished.update(ids[:whole])
        return ends[whole + 1]


def partial_path(target: Path) -> Path:
    """Where the unfinished file of a target is."""
    return target.with_name(f"{target.name}.partial")


@contextmanager
def prediction_file(target: Path, header: Mapping[str, Any], batch_size: int) -> Iterator[UnfinishedFile]:
    """Open a file of predictions for writing, alone; goes on with an unfinished one of the same run.

    header: what its first line holds beside format and version. Call `complete` at the end; else what is
    done stays for the next run. Raises `WorkspaceError` if another process writes to it, `UsageError` if its
    name cannot be that of a file.
    """
    from filelock import FileLock, Timeout

    if target.is_dir():
        raise UsageError(f"{target} is a folder", fix="name a file, for instance predictions.jsonl")
    target.parent.mkdir(parents=True, exist_ok=True)
    lock = target.with_name(f".{target.name}.lock")
    try:
        with FileLock(lock, timeout=0):
            file = UnfinishedFile(target, header, batch_size)
            try:
                yield file
            finally:
                file.close()
                lock.unlink(missing_ok=True)
    except Timeout:
        raise WorkspaceError(
            f"another process writes {target}", fix="wait until it is done, or name another file"
        ) from None
