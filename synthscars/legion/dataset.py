"""The training examples of a release, loaded by `load_dataset` and kept, scaled, beside the checkpoint."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from synthscars.legion.data import Example, augmented, example_of, uncropped
from synthscars.problems import ReleaseError
from synthscars.records import ORIGINS, STATUSES

if TYPE_CHECKING:
    from datasets import Dataset

_BUFFER = 256
"""Images that a stream is shuffled within."""
_TEXTS = ("phrases", "explanations", "subtypes")
LABELS = ("scene", "content_type", "synthetic", "answered", *_TEXTS, "rings")
"""What was said about an image, as against the image."""


class Examples(torch.utils.data.Dataset[Example]):
    """Rows that `read_examples` made, augmented anew in every epoch.

    seed: of the augmentation, `None` for none. canvas: side of what it gives, that of the rows if not given.
    labels_of: for each row, the row whose labels it gets instead
    of its own (`shuffled`).
    """

    def __init__(
        self,
        rows: Sequence[Any] | Dataset,
        *,
        seed: int | None = None,
        canvas: int | None = None,
        labels_of: Sequence[int] | None = None,
    ) -> None:
        self.rows = rows
        self.seed = seed
        self.canvas = canvas
        self.labels_of = labels_of
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the loader before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Example:
        example = unpacked(self.rows[index])
        if self.labels_of is not None:
            example = relabelled(example, unpacked(self.rows[self.labels_of[index]]))
        if self.seed is None:
            return example
        return augmented(example, np.random.default_rng([self.seed, self.epoch, index]), self.canvas)


class ExampleStream(torch.utils.data.IterableDataset[Example]):
    """The same from a release that is streamed: nothing is kept, and images are shuffled within a buffer.

    rows: an iterable dataset of packed examples; count: how many they are; seed, canvas: see `Examples`.
    """

    def __init__(self, rows: Any, count: int, *, seed: int | None = None, canvas: int | None = None) -> None:
        self.rows = rows
        self.count = count
        self.seed = seed
        self.canvas = canvas
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Called by the loader before each epoch."""
        self.epoch = epoch
        self.rows.set_epoch(epoch)

    def __iter__(self) -> Iterator[Example]:
        for number, row in enumerate(self.rows):
            example = unpacked(row)
            if self.seed is None:
                yield example
            else:
                rng = np.random.default_rng([self.seed, self.epoch, number])
                yield augmented(example, rng, self.canvas)


def stream_examples(
    release: str, canvas: int, *, revision: str | None, seed: int, augment: bool
) -> ExampleStream:
    """Everything of the train split that a model may see, as it comes: annotated images and photographs.

    canvas: side of what comes out. Raises `ReleaseError` if the release does not say how many images it has.
    """
    from datasets import interleave_datasets

    annotated = open_split(release, "train", revision=revision, streaming=True)
    everything = open_split(release, "train", config="detection", revision=revision, streaming=True)
    splits = everything.info.splits or {}
    count = splits["train"].num_examples if "train" in splits else 0
    if not count:
        raise ReleaseError(f"{release} does not say how many images it has", fix="train without streaming")
    side = uncropped(canvas) if augment else canvas
    told, photographs = (
        rows.map(packed, fn_kwargs={"canvas": side}, remove_columns=rows.column_names, features=_features())
        for rows in (
            annotated.filter(answered, input_columns=["status"]),
            everything.filter(photographed, input_columns=["origin", "image_id"]),
        )
    )
    mixed = interleave_datasets([told, photographs], stopping_strategy="all_exhausted_without_replacement")
    mixed = mixed.shuffle(seed=seed, buffer_size=_BUFFER)
    return ExampleStream(mixed, count, seed=seed if augment else None, canvas=canvas)


def read_examples(
    rows: Dataset, canvas: int, *, limit: int | None = None, cache: Path | None = None
) -> Dataset:
    """Rows of a release (`open_split`) scaled to the canvas.

    cache: the folder that keeps what was made. Raises `FormatError` naming the image if a row is wrong.
    """
    if limit is not None and limit < len(rows):
        rows = rows.select(range(limit))
    named = hashlib.sha256(f"{rows._fingerprint} {canvas}".encode()).hexdigest()[:16]
    if cache is not None:
        cache.mkdir(parents=True, exist_ok=True)
    return rows.map(
        packed,
        fn_kwargs={"canvas": canvas},
        remove_columns=rows.column_names,
        features=_features(),
        cache_file_name=str(cache / f"{named}.arrow") if cache is not None else None,
        writer_batch_size=100,
        keep_in_memory=cache is None,
    )


def answered(status: int) -> bool:
    """Whether somebody has looked for artifacts, of a value of the column `status`."""
    return STATUSES[status] in ("annotated", "clean")


def photographed(origin: int, image_id: str, others: frozenset[str] = frozenset()) -> bool:
    """Whether an image is a photograph, of two columns' values, and none of the `others`."""
    return ORIGINS[origin] == "real" and image_id not in others


def open_split(
    release: str, split: str, *, config: str = "default", revision: str | None = None, streaming: bool = False
) -> Any:
    """One split of a release as `load_dataset` gives it, images undecoded. Raises `ReleaseError`."""
    from datasets import Image, load_dataset
    from datasets.exceptions import DatasetNotFoundError

    try:
        rows = load_dataset(release, config, split=split, revision=revision, streaming=streaming)
    except (DatasetNotFoundError, FileNotFoundError, ValueError) as error:
        raise ReleaseError(
            f"{release}: split {split} of config {config} cannot be loaded: {error}",
            fix="give the folder of a release, or org/name of one that is published",
        ) from error
    return rows.cast_column("image", Image(decode=False))


def packed(row: dict[str, Any], canvas: int) -> dict[str, Any]:
    """An example with its pixels as bytes, as the cache keeps it."""
    example = example_of(row, canvas)
    return {**example, "pixels": example["pixels"].tobytes()}


def unpacked(row: Any) -> Example:
    """The opposite of `packed`; rows that hold an array already are taken as they are."""
    if not isinstance(row["pixels"], bytes):
        return dict(row)
    pixels = np.frombuffer(row["pixels"], dtype=np.uint8)
    side = round((len(pixels) // 3) ** 0.5)
    return {**row, "pixels": pixels.reshape(side, side, 3)}


def shuffled(count: int, seed: int) -> list[int]:
    """For each of `count` rows, the row whose labels it is given: never its own, if there are two or more."""
    order = np.random.default_rng([seed, 7]).permutation(count)
    given = np.empty(count, dtype=np.int64)
    given[order] = np.roll(order, 1)
    return [int(index) for index in given]


def relabelled(example: Example, other: Example) -> Example:
    """The picture of one example with the labels of another, whose outlines are stretched to fit."""
    scale = (example["width"] / other["width"], example["height"] / other["height"])
    rings = [
        [(np.asarray(ring).reshape(-1, 2) * scale).ravel().tolist() for ring in region]
        for region in other["rings"]
    ]
    return {**example, **{name: other[name] for name in LABELS}, "rings": rings}


def _features() -> Any:
    from datasets import Features, List, Value

    texts = {name: List(Value("string")) for name in _TEXTS}
    numbers = {name: Value("int32") for name in ("width", "height", "synthetic", "answered")}
    return Features(
        {
            "pixels": Value("large_binary"),
            **numbers,
            **{name: Value("string") for name in ("image_id", "scene", "content_type")},
            **texts,
            "rings": List(List(List(Value("float64")))),
        }
    )
