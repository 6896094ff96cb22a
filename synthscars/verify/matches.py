"""How little the words of each artifact fit its place, by a trained LEGION: evidence of label errors.

As `models`, it reaches LEGION only when it is asked, and leaves its result in the work folder.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from synthscars.files import atomic_file
from synthscars.records import ImageRecord
from synthscars.release.filing import Stages
from synthscars.release.verified import manifest_digest
from synthscars.verify.models import Work, checkpoint_digest, items_of, key_of
from synthscars.verify.suspects import Key

if TYPE_CHECKING:
    from synthscars.legion.running import Loaded

NAME = "misfits.jsonl"
_BATCH = 8


class _Line(msgspec.Struct):
    image_id: str
    artifact_id: str
    misfit: float


def misfits_of(
    folder: Path,
    checkpoint: Path,
    records: Sequence[ImageRecord],
    work: Work,
    *,
    seed: int,
    device: str,
    stages: Stages,
) -> dict[Key, float]:
    """See `synthscars.legion.matching.misfits`; of all artifacts that have both a place and words.

    Images that cannot be read are left out: whoever looks at them for another reason reports them.
    """
    wanted = {record.image_id: record for record in records if record.artifacts}
    key = key_of(manifest_digest(folder), checkpoint_digest(checkpoint), seed, sorted(wanted))
    target = work.folder / NAME
    if not work.begin(NAME, key):
        with atomic_file(target) as file:
            for line in _measured(folder, checkpoint, wanted, seed, device, stages):
                file.write(msgspec.json.encode(line) + b"\n")
        work.done(NAME, key)
    lines = (msgspec.json.decode(line, type=_Line) for line in target.read_bytes().splitlines())
    return {(line.image_id, line.artifact_id): line.misfit for line in lines}


def _measured(
    folder: Path, checkpoint: Path, wanted: dict[str, ImageRecord], seed: int, device: str, stages: Stages
) -> Iterator[_Line]:
    import numpy as np

    from synthscars.legion import Predictor
    from synthscars.legion.matching import FOLDS, MODELS, can_match, misfits, seen_at_regions, words_of

    predictor = Predictor(checkpoint, device="cpu" if device == "auto" else device)
    seen, words, groups, keys = [], [], [], []
    for batch in _batches(folder, wanted, stages("looking at regions", len(wanted))):
        told = [wanted[each.image_id] for each in batch]
        seen.append(seen_at_regions(predictor, [each.image for each in batch], told))
        for record in told:
            for artifact in filter(can_match, record.artifacts):
                words.append(words_of(predictor, artifact))
                groups.append(record.group_id or record.image_id)
                keys.append((record.image_id, artifact.artifact_id))
    if not keys:
        return
    advance = stages("matching words and regions", FOLDS * MODELS)
    found = misfits(np.concatenate(seen), words, groups, seed=seed, advance=advance)
    for (image_id, artifact_id), misfit in zip(keys, found.tolist(), strict=True):
        yield _Line(image_id, artifact_id, round(misfit, 6))


def _batches(
    folder: Path, wanted: dict[str, ImageRecord], advance: Callable[[int], None]
) -> Iterator[list[Loaded]]:
    from synthscars.engine import map_ordered
    from synthscars.legion.running import Loaded, load_item

    batch: list[Loaded] = []
    for found in map_ordered(load_item, items_of(folder, wanted.values()), workers=2, ahead=_BATCH):
        advance(1)
        if isinstance(found, Loaded):
            batch.append(found)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
