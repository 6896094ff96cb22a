"""How `foreign/` was made, with FiftyOne 1.22: a dataset as its users have them, not one of synthscars.

Needs FiftyOne and a MongoDB, which the tests do not.
"""

from pathlib import Path

import fiftyone as fo
import numpy as np
from PIL import Image

HERE = Path(__file__).parent


def pictures(folder: Path) -> None:
    for number, name in enumerate(("hand.png", "sky.png")):
        pixels = np.full((40, 60, 3), 60 + 100 * number, dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)


def dataset(folder: Path) -> fo.Dataset:
    hole = np.zeros((10, 20), dtype=bool)
    hole[:, :] = True
    hole[4:6, 8:12] = False
    classes = np.zeros((40, 60), dtype=np.uint8)
    classes[10:20, 30:40] = 1
    classes[0:5, 0:5] = 7
    hand = fo.Sample(str(folder / "hand.png"), tags=["to check", "test"], reviewer="anna", score=0.5)
    hand["content_type"] = fo.Classification(label="human")
    hand["ground_truth"] = fo.Polylines(
        polylines=[
            fo.Polyline(
                label="Structure",
                points=[[(0.1, 0.1), (0.5, 0.1), (0.5, 0.5)]],
                closed=True,
                filled=True,
                phrase="the left hand",
                explanation="six fingers",
                mood="odd",
                tags=["hard"],
            ),
            fo.Polyline(
                label="glitch",
                points=[
                    [(0.5, 0.5), (0.9, 0.5), (0.9, 0.9), (0.5, 0.9)],
                    [(0.6, 0.6), (0.8, 0.6), (0.8, 0.8), (0.6, 0.8)],
                ],
                closed=True,
                filled=True,
            ),
            fo.Polyline(label="structure", points=[[(0.1, 0.1), (0.5, 0.1), (0.5, 0.5)]]),
        ]
    )
    hand["predictions"] = fo.Detections(
        detections=[
            fo.Detection(label="physics", bounding_box=[0.5, 0.25, 0.25, 0.5], confidence=0.75),
            fo.Detection(label="noise_blurring", bounding_box=[10 / 60, 0.25, 20 / 60, 0.25], mask=hole),
        ]
    )
    hand["classes"] = fo.Segmentation(mask=classes)
    hand["points"] = fo.Keypoints(keypoints=[fo.Keypoint(label="thumb", points=[(0.2, 0.2)])])
    found = fo.Dataset()
    found.add_samples([hand, fo.Sample(str(folder / "sky.png"))])
    found.mask_targets = {"classes": {1: "distortion", 7: "sky"}}
    found.compute_metadata()
    return found


if __name__ == "__main__":
    scratch = HERE / "scratch"
    scratch.mkdir()
    pictures(scratch)
    dataset(scratch).export(str(HERE / "foreign"), dataset_type=fo.types.FiftyOneDataset)
