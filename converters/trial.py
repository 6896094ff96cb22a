"""A conversion that leaves nothing behind: the writer writes to a temporary folder.

Only a writer knows all that it cannot write. Images are not copied but linked.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from synthscars.converters.losses import Losses
from synthscars.converters.pictures import Finder, How, TargetPictures
from synthscars.problems import Problems, SynthScarsError
from synthscars.records import ImageRecord


class TrialPictures(TargetPictures):
    """Links images where they would be copied, where links are allowed, and embeds none."""

    def data(self, record: ImageRecord, losses: Losses) -> bytes | None:
        """`None`; an image that is not at hand is counted."""
        self._found(record, losses)
        return None

    def _put(self, found: Path | bytes, target: Path) -> None:
        if isinstance(found, Path):
            with suppress(OSError):
                target.symlink_to(found.resolve())
                return
        super()._put(found, target)


def tried(
    write: Callable[[Path, Problems, TargetPictures], int],
    target: Path,
    problems: Problems,
    find: Finder,
    how: How,
) -> int:
    """What `write` returns and reports for a target, which is not written."""
    with TemporaryDirectory(prefix="synthscars-") as folder:
        elsewhere = Path(folder) / target.name

        def named(text: str) -> str:
            return text.replace(str(elsewhere), str(target))

        found = Problems()
        try:
            return write(elsewhere, found, TrialPictures(find, how))
        except SynthScarsError as error:
            error.message, error.fix = named(error.message), named(error.fix)
            error.args = (error.message,)
            raise
        finally:
            problems.extend(
                msgspec.structs.replace(
                    each, file=named(each.file), what=named(each.what), fix=named(each.fix)
                )
                for each in found
            )
