"""Workspaces with simulated images, for the tests around Label Studio."""

from __future__ import annotations

from pathlib import Path

import msgspec

from synthscars.records import ImageRecord
from synthscars.simulate import simulate_image
from synthscars.workspace import Workspace


def fill(workspace: Workspace, count: int, first: int = 0) -> list[ImageRecord]:
    """Put simulated images into a workspace as ingesting them would; returns the truth about them."""
    drawn = [simulate_image(seed=1, index=first + index) for index in range(count)]
    for image in drawn:
        workspace.add_image(image.data, image.record.image_id, Path(image.record.file_name).suffix)
    workspace.append_index(
        msgspec.structs.replace(
            image.record, status="unlabelled", caption="", content_type=None, artifacts=(), reviews=()
        )
        for image in drawn
    )
    return [image.record for image in drawn]
