"""RichHF-18K (Liang et al., Rich Human Feedback for Text-to-Image Generation, CVPR 2024), read only.

`train.tfrecord`, `dev.tfrecord` and `test.tfrecord` of google-research-datasets/richhf-18k hold one
`tf.train.Example` an image of Pick-a-Pic v1:

| feature | what |
|---|---|
| `filename` | its name without suffix is the uid of the image in Pick-a-Pic (`image_0_uid`, `image_1_uid`) |
| `artifact_map`, `misalignment_map` | grey images of 512 x 512 pixels, whatever size the image has |
| `artifact_score`, `misalignment_score`, `aesthetics_score`, `overall_score` | 0 to 1, higher is better |
| `prompt_misalignment_label` | "1 0 1": one digit a word of the prompt, 0 where the image does not show it |

Three raters clicked on implausible places; the map is the mean of their marks, 255 where all of them agree.
The images and their prompts are not in the files.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from synthscars.converters.holds import Holds
from synthscars.converters.mask_parts import connected, scaled
from synthscars.converters.pictures import Picture, SourcePictures, base_name
from synthscars.converters.reading import Json, Where, plain, shown_files
from synthscars.converters.tfrecord import Broken, Damaged, Features, read_example, read_frames
from synthscars.geometry import from_mask
from synthscars.problems import FormatError, ImageError, Problems, UsageError
from synthscars.records import Artifact, Generation, ImageRecord, Ring, Status

NAMESPACE = "richhf"

HOLDS = Holds(
    image=frozenset({"file_name", "status", "split", "source", "extra"}),
    artifact=frozenset({"artifact_id", "outline"}),
    statuses=frozenset({"clean", "skipped"}),
    outlines="pixels",
    namespace=NAMESPACE,
    note="Read only. A region is where the mean of the raters' marks reaches a threshold, one half unless "
    "said otherwise; scores and word labels are kept in extra.",
)

_SCORES = ("artifact_score", "misalignment_score", "aesthetics_score", "overall_score")
_LABELS = "prompt_misalignment_label"
_KNOWN = frozenset({"filename", "artifact_map", "misalignment_map", _LABELS, *_SCORES})
_SPLITS = {"train": "train", "dev": "validation", "val": "validation", "test": "test"}
_BETWEEN_WORDS = re.compile(r'[,.?!":; ]+')
_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")


def read(
    source: Path,
    problems: Problems,
    *,
    images: Path | None = None,
    threshold: float = 0.5,
    split_components: bool = False,
    prompts: Mapping[str, str] | None = None,
) -> Iterator[ImageRecord]:
    """Read a TFRecord file, or all of a folder; records in the order of the files.

    images: a folder with images named by their uid, of any suffix; else `images` beside the files. Where an
    image is not at hand, the record has the size of its map, and its regions lie in that.
    threshold: part of the raters, in (0, 1], from which on a pixel is in the region: 0.5 is two of three.
    split_components: one artifact a connected part. By default the region is one artifact: whether two parts
    are two artifacts is nothing that the raters said.
    prompts: prompts by uid, out of Pick-a-Pic; they give the words that `prompt_misalignment_label` means.

    An image whose map is all zero and whose `artifact_score` is 1 is clean; one where fewer raters than the
    threshold marked something, or that nobody marked but somebody scored down, is skipped: disputed.

    A record with a wrong checksum or content is set aside; where a file is cut short or a length is damaged,
    what was read so far counts. Raises `FormatError` if there is no file, `UsageError` for a threshold that
    is none.
    """
    if not 0 < threshold <= 1:
        raise UsageError(f"the threshold {threshold} is not in (0, 1]", fix="0.5 is two raters of three")
    settings = _Settings(threshold, split_components, prompts or {})
    for path in _files(source):
        folder = images or path.parent / "images"
        yield from _read_file(path, problems, folder, settings)


class _Settings(NamedTuple):
    threshold: float
    split_components: bool
    prompts: Mapping[str, str]


def _files(source: Path) -> list[Path]:
    if not source.is_dir():
        return [source]
    found = shown_files(source, "*.tfrecord*")
    if not found:
        raise FormatError(f"{source}: no TFRecord file", fix="give train.tfrecord, or the folder it is in")
    order = list(_SPLITS)
    return sorted(found, key=lambda path: (order.index(s) if (s := path.stem) in order else 9, path.name))


def _read_file(path: Path, problems: Problems, folder: Path, settings: _Settings) -> Iterator[ImageRecord]:
    pictures = SourcePictures([folder], NAMESPACE)
    seen: set[str] = set()
    unsized = count = 0
    here = Where(problems, str(path))
    try:
        with path.open("rb") as file:
            for data in read_frames(file):
                count += 1
                where = here.at(image=f"record {count}")
                features = _features(data, where)
                if features is None:
                    continue
                reader = _Example(features, where, settings)
                record = reader.record(path, pictures, folder if folder.is_dir() else None)
                unsized += reader.sized_by_map
                if record.image_id in seen:
                    reader.where.warn(
                        "image.repeated", "the file has another record of this image", "merge them"
                    )
                seen.add(record.image_id)
                yield record
    except Broken as end:
        here.at(image=f"record {count + 1}").add(
            "file.broken", f"{end}: {count} records were read, nothing behind them can be", "fetch it again"
        )
    except OSError as error:
        raise FormatError(f"{path}: {error.strerror or error}") from error
    if unsized:
        problems.add(
            "image.size_of_map",
            f"{unsized} images are not at hand: they have the size of their map, and regions lie in that",
            fix="pass --images FOLDER with the images of Pick-a-Pic, named by their uid",
            severity="warning",
            file=str(path),
            count=unsized,
        )


def _features(data: bytes | None, where: Where) -> Features | None:
    if data is None:
        where.add("record.checksum", "its checksum is wrong: it was set aside", "fetch the file again")
        return None
    try:
        return read_example(data)
    except Damaged as error:
        where.add("record.damaged", f"{error}: it was set aside", "fetch the file again")
        return None


class _Example:
    """Reads one example; `sized_by_map`: whether the size of the image had to be taken from its map."""

    def __init__(self, features: Features, where: Where, settings: _Settings) -> None:
        self.features = features
        self.settings = settings
        self.where = where
        self.name = self._text("filename")
        if self.name:
            self.where = where.at(image=self.name)
        self.uid = PurePosixPath(base_name(self.name)).stem
        self.sized_by_map = False

    def record(self, path: Path, pictures: SourcePictures, folder: Path | None) -> ImageRecord:
        """The record of the example."""
        if not self.name:
            self.where.add("image.no_name", "it names no image", "nobody can tell which image it is about")
        extra: Json = {"filename": self.name, **self._scores(), **self._words(), **self._unknown()}
        heat = self._map("artifact_map")
        picture = self._picture(path, pictures, folder, heat)
        artifacts: tuple[Artifact, ...] = ()
        status: Status = "annotated"
        if heat is not None:
            extra |= {"threshold": self.settings.threshold, "map_size": [heat.shape[1], heat.shape[0]]}
            artifacts = self._artifacts(heat, picture)
            if not artifacts:
                status, reason = self._without_artifacts(heat, extra)
                extra |= {"skip_reason": reason} if reason else {}
        prompt = self.settings.prompts.get(self.uid)
        return ImageRecord(
            image_id=picture.image_id,
            file_name=picture.path.name if picture.path else base_name(self.name),
            width=picture.width,
            height=picture.height,
            status=status,
            artifacts=artifacts,
            generation=Generation(prompt=prompt) if prompt else None,
            split=_SPLITS.get(path.name.split(".")[0], ""),
            source=path.name,
            extra={NAMESPACE: extra},
        )

    def _picture(
        self,
        path: Path,
        pictures: SourcePictures,
        folder: Path | None,
        heat: npt.NDArray[np.float64] | None,
    ) -> Picture:
        name = base_name(self.name)
        if folder and name and not (folder / name).is_file():
            others = (f"{self.uid}{suffix}" for suffix in _SUFFIXES)
            name = next((other for other in others if (folder / other).is_file()), name)
        stand_in = "" if name else f"{path.name} {self.where.image}"
        found = pictures.find(name, self.where, stand_in=stand_in)
        if found.width or heat is None:
            return found
        self.sized_by_map = True
        return found._replace(width=heat.shape[1], height=heat.shape[0])

    def _artifacts(self, heat: npt.NDArray[np.float64], picture: Picture) -> tuple[Artifact, ...]:
        height, width = heat.shape
        if abs(width * picture.height - height * picture.width) > max(picture.width, picture.height):
            self.where.warn(
                "map.stretched",
                f"its map has {width} x {height} pixels, the image {picture.width} x {picture.height}: "
                "regions were stretched with it",
                "look whether the regions lie where they should",
            )
        rings = from_mask(heat >= self.settings.threshold)
        parts: Iterable[tuple[Ring, ...]] = [rings] if rings else []
        if rings and self.settings.split_components:
            parts = connected(rings)
        return tuple(
            Artifact(
                artifact_id=str(number),
                polygons=scaled(part, picture.width / width, picture.height / height),
            )
            for number, part in enumerate(parts, start=1)
        )

    def _without_artifacts(self, heat: npt.NDArray[np.float64], extra: Json) -> tuple[Status, str]:
        """Clean only if nobody marked anything and everybody gave the best score."""
        if heat.any():
            return "skipped", f"marked by fewer raters than the threshold: {heat.max():.2f}"
        if extra.get("artifact_score") is None:
            return "skipped", "nothing is marked, and there is no artifact score"
        if extra["artifact_score"] < 1:
            return "skipped", f"nothing is marked, but the artifact score is {extra['artifact_score']:.2f}"
        return "clean", ""

    def _map(self, name: str) -> npt.NDArray[np.float64] | None:
        """A heat map as the part of the raters who marked each pixel, 0 to 1; shape (height, width)."""
        from synthscars.images import open_image

        values = self.features.get(name)
        if not values or not isinstance(values[0], bytes):
            what = "there is no" if not values else "no image, but numbers, is the"
            self.where.add("map.missing", f"{what} {name}: its regions are unknown", "fetch the file again")
            return None
        try:
            image = open_image(values[0])
        except ImageError as error:
            self.where.add("map.damaged", f"{name}: {error.message}", "fetch the file again")
            return None
        full = 65535 if image.mode.startswith("I") else 255
        grey = image if image.mode.startswith("I") else image.convert("L")
        return np.asarray(grey, dtype=np.float64) / full

    def _text(self, name: str) -> str:
        values = self.features.get(name)
        if values and isinstance(values[0], bytes):
            return values[0].decode("utf-8", "replace")
        if values:
            self.where.warn("feature.wrong_type", f"{name} is a number, not a text", "it is left out")
        return ""

    def _scores(self) -> Json:
        found: Json = {}
        for name in _SCORES:
            values = self.features.get(name)
            if values and isinstance(values[0], (int, float)):
                found[name] = plain(values[0])
            else:
                self.where.warn(
                    "feature.wrong_type" if values else "feature.missing",
                    f"{name} is a text, not a number" if values else f"there is no {name}",
                    "it is left out",
                )
        return {name: value for name, value in found.items() if not isinstance(value, str)}

    def _words(self) -> Json:
        labels = self._text(_LABELS)
        prompt = self.settings.prompts.get(self.uid)
        found: Json = {_LABELS: labels} if labels else {}
        if labels and prompt:
            words = misaligned_words(labels, prompt)
            if words is None:
                self.where.warn(
                    "words.mismatch",
                    f"{len(labels.split())} labels of words do not fit the prompt {prompt[:80]!r}",
                    "look whether it is the prompt of this image",
                )
            else:
                found["misaligned_words"] = words
        return found

    def _unknown(self) -> Json:
        return {name: [_as_json(v) for v in vs] for name, vs in self.features.items() if name not in _KNOWN}


def _as_json(value: Any) -> Any:
    if not isinstance(value, bytes):
        return plain(value)
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"{len(value)} bytes"


def misaligned_words(labels: str, prompt: str) -> list[str] | None:
    """The words of a prompt that the image does not show, `None` if the labels do not fit the prompt.

    labels: `prompt_misalignment_label`, one 0 or 1 a word, 0: not shown. Words are what stands between blanks
    and the marks `,.?!":;`, as in the authors' `match_label_to_token.py`.
    """
    words = [word for word in _BETWEEN_WORDS.split(prompt) if word]
    digits = labels.split()
    if len(words) != len(digits) or not set(digits) <= {"0", "1"}:
        return None
    return [word for word, digit in zip(words, digits, strict=True) if digit == "0"]
