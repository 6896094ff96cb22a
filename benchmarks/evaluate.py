"""Scoring a test split: `synthscars.metrics` beside the published way, which reads the annotations per image.

1,000 images with as many regions as those of the published test split, annotations as JSON and as a release's
records would have them, and predicted masks in run-length encoding. The peers take turns, each in a process
of its own; all must come to the same mean foreground IoU and F1. Reported are medians of
milliseconds an image: CPU time, which other work on the machine hardly changes, and wall-clock time.

published       the annotation file read again for each image, ids searched in file names, vertices cut off,
                cv2.fillPoly, IoU and F1 of decoded masks, as LEGION's evaluation was published
read once       the same, but the file is read once: what the published way could not be faster than
same figures    ours, for the same figures: `fillpoly`, no text
everything      ours, all that `score_image` counts (regions, categories, ROUGE-L of captions and phrases),
                and the summary without its bootstrap
everything coco the same with pycocotools' rasterizer, the default

    python benchmarks/evaluate.py
    python benchmarks/evaluate.py --images 200 --runs 3
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# The literal reading of the published evaluation, which the tests compare figures with.
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

Figures = dict[str, float]
SIZE = 512
_REGIONS = 2.67
"""Mean number of refs of an image of the published test split."""

_PLACES = ("the left hand", "the sign above the door", "the rear wheel", "the face of the woman on the right")
_REASONS = (
    "The fingers are fused and there are more of them than a hand has, which no human anatomy allows.",
    "The letters are malformed and do not form any word of a known language, as a real sign would.",
    "It is not attached to the axle, so the vehicle could neither stand nor drive as it is shown here.",
    "Both eyes look into different directions and differ in size, and the skin has a waxen, uniform texture.",
)


def main() -> None:
    """Make the input, run the peers, print a table and, as the last line, the figures as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _make(folder, options.images)
        found: dict[str, list[Figures]] = {peer: [] for peer in PEERS}
        for number in range(options.runs):
            for peer in list(PEERS) if number % 2 == 0 else list(PEERS)[::-1]:
                done = subprocess.run(
                    [sys.executable, __file__, "--peer", peer, str(folder)],
                    capture_output=True,
                    text=True,
                    check=True,
                )
                found[peer].append(json.loads(done.stdout))
                print(f"{number + 1}/{options.runs} {peer}: {found[peer][-1]}", file=sys.stderr)
    same = [(runs[0]["fg_iou"], runs[0]["f1"]) for peer, runs in found.items() if peer != "everything coco"]
    assert np.allclose(same, same[0], atol=1e-6), same
    medians = {
        peer: {clock: statistics.median(each[clock] for each in runs) for clock in ("cpu_ms", "wall_ms")}
        for peer, runs in found.items()
    }
    print(f"{options.images:,} images of {SIZE} x {SIZE}, median of {options.runs} runs, ms an image")
    print(f"{'':16} {'CPU':>9} {'wall':>9} {'published / it (CPU)':>21}")
    for peer, median in medians.items():
        ratio = medians["published"]["cpu_ms"] / median["cpu_ms"]
        print(f"{peer:16} {median['cpu_ms']:9.3f} {median['wall_ms']:9.3f} {ratio:19.1f} x")
    print(json.dumps({"images": options.images, "runs": options.runs, "median": medians}))


# Input


def _make(folder: Path, images: int) -> None:
    """Annotations, records and predictions of so many images."""
    from synthscars.caption import compose
    from synthscars.converters.rle import write_rle
    from synthscars.geometry import to_rle
    from synthscars.jsonl import write_records
    from synthscars.predictions import PredictedRegion, Prediction, Rle, write_predictions
    from synthscars.records import Artifact, ImageRecord

    rng = np.random.default_rng(0)
    records, predictions, entries = [], [], []
    for number in range(images):
        artifacts, regions = [], []
        for place in range(1 + rng.poisson(_REGIONS - 1)):
            ring = _outline(rng)
            kind = int(rng.integers(len(_PLACES)))
            artifacts.append(
                Artifact(
                    artifact_id=str(place),
                    category="structure",
                    subtype="deformed",
                    polygons=(ring,),
                    phrase=_PLACES[kind],
                    explanation=_REASONS[kind],
                )
            )
            shift = rng.normal(0, 6, 2).tolist()
            moved = [value + shift[index % 2] for index, value in enumerate(ring)]
            regions.append(
                PredictedRegion(
                    phrase=_PLACES[int(rng.integers(len(_PLACES)))],
                    explanation=_REASONS[int(rng.integers(len(_REASONS)))],
                    category="structure",
                    rle=Rle(**write_rle(to_rle([moved], SIZE, SIZE))),
                )
            )
        image_id = f"{number:06d}"
        caption = compose("A crowded street in the evening", [(a.phrase, a.explanation) for a in artifacts])
        answer = compose("A street with people at night", [(r.phrase, r.explanation) for r in regions])
        records.append(
            ImageRecord(
                image_id=image_id,
                file_name=f"{image_id}.png",
                width=SIZE,
                height=SIZE,
                status="annotated",
                content_type="human",
                caption=caption,
                artifacts=tuple(artifacts),
            )
        )
        predictions.append(
            Prediction(image_id=image_id, width=SIZE, height=SIZE, text=answer, regions=tuple(regions))
        )
        refs = [
            {
                "sentence": a.phrase,
                "bbox": [0, 0, 0, 0],
                "segmentation": [list(ring) for ring in a.polygons],
                "explanation": a.explanation,
            }
            for a in artifacts
        ]
        entries.append({str(number): {"img_file_name": f"{image_id}.png", "caption": caption, "refs": refs}})
    (folder / "test.json").write_text(json.dumps(entries, indent=4))
    write_records(folder / "records.jsonl", records)
    write_predictions(folder / "predictions.jsonl", predictions)


def _outline(rng: np.random.Generator) -> tuple[float, ...]:
    """An irregular polygon of some 4 % of the image at most."""
    points = int(rng.integers(8, 40))
    angles = np.sort(rng.uniform(0, 2 * np.pi, points))
    radius = rng.uniform(10, 50) * rng.uniform(0.7, 1.0, points)
    x, y = rng.uniform(60, SIZE - 60, 2)
    ring = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
    return tuple(ring.ravel().tolist())


# Peers: each prepares what is not measured and gives the work


def _published(folder: Path) -> Callable[[], Figures]:
    return _literally(folder, again=True)


def _read_once(folder: Path) -> Callable[[], Figures]:
    return _literally(folder, again=False)


def _literally(folder: Path, *, again: bool) -> Callable[[], Figures]:
    import cv2  # noqa: F401  (loaded before the clock starts, as for the others)
    from published_evaluation import f1, iou, mask_of, true_mask
    from pycocotools import mask as coco

    predictions = [json.loads(line) for line in (folder / "predictions.jsonl").read_text().splitlines()[1:]]
    annotations = folder / "test.json"

    def work() -> Figures:
        entries = None if again else json.loads(annotations.read_text(encoding="utf-8"))
        rows = []
        for prediction in predictions:
            place = prediction["image_id"], prediction["height"], prediction["width"]
            predicted = coco.decode(coco.merge([region["rle"] for region in prediction["regions"]]))
            true = true_mask(annotations, *place) if entries is None else mask_of(entries, *place)
            miou = (iou(predicted, true, 0) + iou(predicted, true, 1)) / 2
            rows.append((iou(predicted, true, 1), miou, f1(predicted, true)))
        foreground, _, f1_mean = np.mean(rows, axis=0).tolist()
        return {"fg_iou": foreground, "f1": f1_mean}

    return work


def _same_figures(folder: Path) -> Callable[[], Figures]:
    import cv2  # noqa: F401

    from synthscars.geometry import rle_area
    from synthscars.jsonl import read_records
    from synthscars.metrics.masks import both, predicted_mask, rasterizer_of, union
    from synthscars.metrics.overlap import Pixels
    from synthscars.predictions import PredictionFile
    from synthscars.problems import Problems

    def work() -> Figures:
        rasterize = rasterizer_of("fillpoly")
        rows = []
        with PredictionFile(folder / "predictions.jsonl", Problems()) as predictions:
            for record in read_records(folder / "records.jsonl"):
                size = record.width, record.height
                prediction = predictions.get(record.image_id)
                true = union([rasterize(each.polygons, *size) for each in record.artifacts], *size)
                seen = union(
                    [predicted_mask(each, *size, rasterize)[0] for each in prediction.regions], *size
                )
                pixels = Pixels.of(rle_area(true), rle_area(seen), both(true, seen), size[0] * size[1])
                rows.append(pixels.overlap())
        return {name: float(np.mean([row[name] for row in rows])) for name in ("fg_iou", "f1")}

    return work


def _everything(folder: Path, rasterizer: Any = "fillpoly") -> Callable[[], Figures]:
    import cv2  # noqa: F401
    import faster_coco_eval  # noqa: F401

    from synthscars.jsonl import read_records
    from synthscars.metrics import score_images, summarize
    from synthscars.metrics.text import rouge_l
    from synthscars.predictions import PredictionFile
    from synthscars.problems import Problems

    rouge_l("loads its", "library")

    def work() -> Figures:
        with PredictionFile(folder / "predictions.jsonl", Problems()) as predictions:
            pairs = (
                (predictions.get(record.image_id), record)
                for record in read_records(folder / "records.jsonl")
            )
            found = summarize(score_images(pairs, rasterizer=rasterizer), rounds=0)
        overlap = found.localization.per_image
        return {"fg_iou": overlap.fg_iou or 0.0, "f1": overlap.f1 or 0.0}

    return work


PEERS: dict[str, Callable[[Path], Callable[[], Figures]]] = {
    "published": _published,
    "read once": _read_once,
    "same figures": _same_figures,
    "everything": _everything,
    "everything coco": lambda folder: _everything(folder, "coco"),
}


def _be(peer: str, folder: Path) -> None:
    """Do the work of one peer and print its figures, with milliseconds an image."""
    work = PEERS[peer](folder)
    images = len((folder / "predictions.jsonl").read_bytes().splitlines()) - 1
    start, cpu = time.perf_counter(), time.process_time()
    figures = work()
    spent = {"cpu_ms": time.process_time() - cpu, "wall_ms": time.perf_counter() - start}
    print(json.dumps({name: 1000 * seconds / images for name, seconds in spent.items()} | figures))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--peer"]:
        _be(sys.argv[2], Path(sys.argv[3]))
    else:
        main()
