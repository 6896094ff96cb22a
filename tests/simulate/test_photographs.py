"""Simulated photographs: the same scenes with a camera's traces, told apart by their pixels alone."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image

from synthscars.ingest.metadata import read_chunks, read_generation
from synthscars.problems import Problems, UsageError
from synthscars.simulate import simulate_image, simulate_photograph

COUNT = 16


@cache
def photographs():
    return [simulate_photograph(2, index) for index in range(COUNT)]


@cache
def generated():
    return [simulate_image(2, index) for index in range(COUNT)]


def opened(simulated):
    return Image.open(io.BytesIO(simulated.data))


def auc(ours, theirs):
    """How often one of `ours` is larger than one of `theirs`: 0.5 is chance."""
    return np.mean([a > b for a in ours for b in theirs])


def test_the_same_seed_and_index_give_the_same_photograph():
    again = simulate_photograph(2, 1)
    assert again.data == photographs()[1].data
    assert again.record == photographs()[1].record
    assert simulate_photograph(3, 1).data != again.data
    with pytest.raises(UsageError):
        simulate_photograph(-1, 0)


def test_a_photograph_is_real_and_nobody_annotated_it():
    for each in photographs():
        record = each.record
        assert (record.origin, record.status) == ("real", "unlabelled")
        assert (record.artifacts, record.reviews, record.caption, record.generation) == ((), (), "", None)
        assert record.license == "CC0-1.0"


def test_it_has_the_exif_of_a_camera_and_no_settings_of_a_generator():
    for each in photographs():
        exif = opened(each).getexif()
        assert exif[0x010F] == "Simulated"
        assert exif.get_ifd(0x8769)[0x8827] >= 100
        found = read_generation(read_chunks(opened(each), Problems()))
        assert found is None or (found.tool, found.model, found.prompt) == ("", "", "")


def test_size_format_and_name_do_not_tell_it_from_a_generated_image():
    for number in (0, 1):
        assert opened(photographs()[number]).format == opened(generated()[number]).format
    assert {each.image.size for each in photographs()} == {each.image.size for each in generated()}
    names = [each.record.file_name for each in (*photographs(), *generated())]
    assert len(set(names)) == len(names)
    assert {len(name) for name in names} == {len(names[0])}
    assert all(name.startswith("simulated-") for name in names)


def test_the_noise_tells_it_at_224_pixels_and_the_brightness_hardly_does():
    def noise(simulated):
        small = np.asarray(opened(simulated).resize((224, 224), Image.Resampling.BILINEAR), float)
        # Red against green: what a sensor does to one of them, and a grid in all of them does not.
        blocks = (small[:, :, 0] - small[:, :, 1]).reshape(28, 8, 28, 8).std(axis=(1, 3))
        return float(np.quantile(blocks, 0.2))  # where nothing is drawn

    def brightness(simulated):
        return float(np.mean(simulated.image))

    assert auc(map_list(noise, photographs()), map_list(noise, generated())) > 0.8
    assert 0.15 < auc(map_list(brightness, photographs()), map_list(brightness, generated())) < 0.85


def map_list(measure, simulated):
    return [measure(each) for each in simulated]
