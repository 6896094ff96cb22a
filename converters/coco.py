"""COCO instances: one JSON file of images, annotations and categories, alone or in a folder. Both ways.

As the COCO API has it (https://cocodataset.org/#format-data, `pycocotools/coco.py`)::

    {"info": {...}, "licenses": [{"id": 1, "name": "cc-by-4.0", "url": ""}],
     "categories": [{"id": 2, "name": "structure", "supercategory": "artifact"}, ...],
     "images": [{"id": 1, "file_name": "a.png", "width": 512, "height": 512, "license": 1, ...}],
     "annotations": [{"id": 1, "image_id": 1, "category_id": 2, "iscrowd": 0, "area": 900.0,
                      "bbox": [x, y, width, height], "segmentation": [[x0, y0, x1, y1, ...], ...], ...}]}

Pixels of the upright image, origin at the top left corner of the top left pixel. One artifact is one
annotation, its rings are the polygons of one `segmentation`. Every other field of a record is a key of its
own on the image or the annotation, which other tools ignore: `sha256` is the `image_id`, `original_name` a
name that could not be used for the file. `rater_list` (on images: who looked, and found just what is theirs)
and `rater_id` are what KaLOS (arXiv 2603.27197) measures agreement with. An artifact without an outline would
not be valid for the COCO API and stands on its image instead, in `artifacts_without_outline`.

The folder is that of CVAT and Datumaro: `annotations/instances_<split>.json` and `images/<split>/`; images
without a split are in `default`. Reading also takes COCO's own (`<split>/`), Roboflow's
(`<split>/_annotations.coco.json` beside the images) and single files beside or above `images/`.
"""

from __future__ import annotations

from synthscars.converters.coco_model import HOLDS
from synthscars.converters.coco_read import read
from synthscars.converters.coco_write import write

OPTIONS = {"segmentation": ("polygons", "rle")}

__all__ = ["HOLDS", "OPTIONS", "read", "write"]
