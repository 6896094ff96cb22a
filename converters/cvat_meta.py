"""What stands before the images in a file of CVAT: the task or project, and its labels with attributes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from synthscars.converters.cvat_xml import tag
from synthscars.records import STATUSES

IMAGE_TAG = "image"
"""The label of the tag that holds the fields of an image."""

USUAL = ("phrase", "explanation", "subtype", "rater_id", "artifact_id")
"""Attributes that every label of a region declares."""

OF_IMAGE = (
    *("status", "image_id", "file_name", "origin", "content_type", "caption", "reviews"),
    *("generation", "group_id", "split", "source", "license", "extra"),
)
"""Attributes that the label of images declares."""


def head(
    name: str,
    labels: Mapping[str, Iterable[str]],
    of_image: Iterable[str],
    subsets: Mapping[str, int],
    count: int,
) -> str:
    """Everything before the images: a task, or a project with a task for each subset.

    labels: the attributes of each; of_image: those of the tag of images; subsets: the number of images in
    each; count: in all.
    """
    described = [_label(each, "any", attributes) for each, attributes in labels.items()]
    described.append(_label(IMAGE_TAG, "tag", of_image))
    listed = tag("labels", {}, "      ", children=described)
    if subsets:
        tasks = [
            tag("task", {}, " " * 8, children=[*_task(number, subset, size), _line(10, "subset", subset)])
            for number, (subset, size) in enumerate(subsets.items())
        ]
        inside = [
            _line(6, "id", "0"),
            _line(6, "name", name),
            tag("tasks", {}, " " * 6, children=tasks),
            listed,
            _line(6, "subsets", "\n".join(subsets)),
        ]
        meta = tag("project", {}, "    ", children=inside)
    else:
        meta = tag("task", {}, "    ", children=[*_task(0, name, count, 6), listed])
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n'
        f"{tag('meta', {}, '  ', children=[meta])}"
    )


def _task(number: int, name: str, size: int, indent: int = 10) -> list[str]:
    values = {"id": str(number), "name": name, "size": str(size), "mode": "annotation", "overlap": "0"}
    values |= {"start_frame": "0", "stop_frame": str(max(size - 1, 0)), "frame_filter": ""}
    return [_line(indent, key, value) for key, value in values.items()]


def _line(indent: int, name: str, value: str) -> str:
    return tag(name, {}, " " * indent, value)


def _label(name: str, kind: str, attributes: Iterable[str]) -> str:
    described = [
        tag(
            "attribute",
            {},
            " " * 12,
            children=[
                _line(14, "name", each),
                _line(14, "mutable", "False"),
                _line(14, "input_type", "select" if each == "status" else "text"),
                _line(14, "default_value", STATUSES[0] if each == "status" else ""),
                _line(14, "values", "\n".join(STATUSES) if each == "status" else ""),
            ],
        )
        for each in attributes
    ]
    return tag(
        "label",
        {},
        " " * 8,
        children=[
            _line(10, "name", name),
            _line(10, "type", kind),
            tag("attributes", {}, " " * 10, children=described),
        ],
    )
