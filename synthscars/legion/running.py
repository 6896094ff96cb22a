"""Images through a model, in batches: while it works on one, the next is read and decoded in threads."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from PIL import Image

from synthscars.engine import map_ordered
from synthscars.images import open_image, sha256, upright
from synthscars.predictions import Prediction, encode_prediction
from synthscars.problems import ImageError, Problem, SynthScarsError

Change = Callable[[Image.Image, str], Image.Image]
"""Something done to an upright RGB image, given its id, before the model sees it; it keeps its size."""

_READERS = 2


class Predicts(Protocol):
    """What is wanted of a model: `synthscars.legion.Predictor` has it, and so may any other."""

    @property
    def name(self) -> str:
        """The model and the digest of its weights: another one has another name."""

    def predict(
        self, images: Sequence[Image.Image], image_ids: Sequence[str], *, batch_size: int = 8
    ) -> list[Prediction]:
        """What the model says about some upright RGB images, one prediction for each, in their order."""


class Item(NamedTuple):
    """One image that is wanted. load: reads its bytes; may raise `OSError` and `SynthScarsError`.

    name: for messages. image_id: `""` for the sha256 of the bytes.
    """

    name: str
    load: Callable[[], bytes]
    image_id: str = ""


class Loaded(NamedTuple):
    """An image that is ready for the model: upright, RGB."""

    item: Item
    image_id: str
    image: Image.Image


class Known(NamedTuple):
    """An image that need not be looked at again."""

    image_id: str


def load_item(
    item: Item, *, skip: Container[str] = (), change: Change | None = None
) -> Loaded | Known | Problem:
    """Read and decode one image; a problem says why it cannot be used. skip: ids of images that are known."""
    image_id = item.image_id
    if image_id in skip:
        return Known(image_id)
    try:
        data = item.load()
        image_id = image_id or sha256(data)
        if image_id in skip:
            return Known(image_id)
        image = upright(open_image(data)).convert("RGB")
        return Loaded(item, image_id, image if change is None else change(image, image_id))
    except ImageError as error:
        return Problem(code=error.code, what=error.message, fix=error.fix, file=item.name, image=image_id)
    except SynthScarsError as error:
        code = "image.missing"
        return Problem(code=code, what=error.message, fix=error.fix, file=item.name, image=image_id)
    except OSError as error:
        # Without the path, which is where the file lies on this machine.
        what = f"it cannot be read: {error.strerror or type(error).__name__}"
        fix = "check that it is there and that you may read it"
        return Problem(code="image.unreadable", what=what, fix=fix, file=item.name, image=image_id)


def predict_loaded(predictor: Predicts, batch: Sequence[Loaded]) -> list[Prediction | Problem]:
    """Run the model on some images together; one prediction or problem for each, in their order.

    If it fails they are given to it one by one, so that an image it cannot take costs no other image its
    prediction.
    """
    if not batch:
        return []
    try:
        images, image_ids = [one.image for one in batch], [one.image_id for one in batch]
        found = predictor.predict(images, image_ids, batch_size=len(batch))
        if [one.image_id for one in found] != image_ids:
            raise RuntimeError(f"{len(found)} predictions of {len(batch)} images, or of other ones")
        for prediction in found:
            encode_prediction(prediction)
        return list(found)
    except (
        Exception
    ) as error:  # whatever a model may raise: out of memory, a bad shape, a number that is none
        if len(batch) > 1:
            return [one for each in batch for one in predict_loaded(predictor, [each])]
        what = f"the model cannot take it: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        (one,) = batch
        fix = "try it alone, with --batch-size 1 and on another --device"
        return [Problem(code="predict.failed", what=what, fix=fix, file=one.item.name, image=one.image_id)]


class Step(NamedTuple):
    """What became of one item: its prediction, that it is known or was seen before, or its problem."""

    item: Item
    outcome: Prediction | Known | Problem


def predict_items(
    predictor: Predicts,
    items: Iterable[Item],
    *,
    batch_size: int = 8,
    skip: Container[str] = (),
    change: Change | None = None,
) -> Iterator[list[Step]]:
    """Predict many images in batches, in their order; each list is what one batch of the model brought.

    skip: ids of images that are done. An image that comes a second time is known. Only images that can be
    used make a batch, so the batches are the same whatever else is between them. At most three batches of
    images are in memory.
    """
    seen: set[str] = set()
    steps: list[Step | Loaded] = []
    waiting = 0

    def look(item: Item) -> tuple[Item, Loaded | Known | Problem]:
        return item, load_item(item, skip=skip, change=change)

    for item, found in map_ordered(look, items, workers=_READERS, ahead=batch_size):
        if isinstance(found, Loaded):
            if found.image_id in seen:
                steps.append(Step(item, Known(found.image_id)))
            else:
                seen.add(found.image_id)
                steps.append(found)
                waiting += 1
        else:
            steps.append(Step(item, found))
        if waiting == batch_size:
            yield _run(predictor, steps)
            steps, waiting = [], 0
    if steps:
        yield _run(predictor, steps)


def _run(predictor: Predicts, steps: Sequence[Step | Loaded]) -> list[Step]:
    outcomes = iter(predict_loaded(predictor, [step for step in steps if isinstance(step, Loaded)]))
    return [Step(step.item, next(outcomes)) if isinstance(step, Loaded) else step for step in steps]
