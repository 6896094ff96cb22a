import subprocess
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from PIL import Image
from releasing import (
    changed,
    filled_workspace,
    noise_png,
    replace_records,
    sample_record,
    without_figures,
)

from synthscars.problems import Problems
from synthscars.release import build_release
from synthscars.stats import Tables, read_tables, summarize
from synthscars.stats.plots import plot_sizes, plot_subtypes, save_plots
from synthscars.taxonomy import load_taxonomy


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Tables:
    workspace = without_figures(filled_workspace(tmp_path_factory.mktemp("plots") / "w", 40))
    build_release(workspace, "1.0.0", Problems())
    return read_tables(workspace.release_dir("1.0.0"))


def bars_of(figure: object) -> dict[str, float]:
    """Length of the whole bar by the name beside it."""
    (axes,) = figure.axes  # type: ignore[attr-defined]
    labels = [label.get_text() for label in axes.get_yticklabels()]
    names = {round(place, 6): label for place, label in zip(axes.get_yticks(), labels, strict=True)}
    lengths: dict[str, float] = {}
    for patch in axes.patches:
        name = names[round(patch.get_y() + patch.get_height() / 2, 6)]
        lengths[name] = lengths.get(name, 0) + patch.get_width()
    return lengths


def test_bars_are_as_long_as_the_counts(tables: Tables) -> None:
    counts = summarize(tables).counts["subtype"]
    taxonomy = load_taxonomy()
    bars = bars_of(plot_subtypes(tables))
    for subtype in taxonomy.subtypes:
        assert bars[subtype.name] == counts[subtype.id]["all"]
    assert sum(bars.values()) == len(tables.artifacts)


def test_histograms_hold_every_region_and_mark_the_median(tables: Tables) -> None:
    figure = plot_sizes(tables)
    taxonomy = load_taxonomy()
    medians = summarize(tables).area_share_by_category
    assert len(figure.axes) == len(medians)
    for axes, category in zip(figure.axes, taxonomy.categories, strict=True):
        bars = [patch for patch in axes.patches if patch.get_height()]
        assert sum(bar.get_height() for bar in bars) == medians[category.id].count
        (line,) = axes.lines
        assert line.get_xdata()[0] == pytest.approx(medians[category.id].median)
        assert matplotlib.colors.to_hex(bars[0].get_facecolor()).upper() == category.color


def test_the_same_release_gives_the_same_bytes_whatever_the_users_settings(
    tables: Tables, tmp_path: Path
) -> None:
    first = save_plots(tables, tmp_path / "a")
    with matplotlib.rc_context({"font.size": 30, "axes.facecolor": "black", "savefig.dpi": 40}):
        second = save_plots(tables, tmp_path / "b")
    assert [path.name for path in first] == ["artifacts_by_subtype.png", "region_sizes.png"]
    for one, other in zip(first, second, strict=True):
        assert one.read_bytes() == other.read_bytes()
        with Image.open(one) as image:
            assert "Software" not in image.info
            assert np.asarray(image.convert("L")).std() > 10


def test_no_global_state_is_touched(tables: Tables, tmp_path: Path) -> None:
    before = dict(matplotlib.rcParams)
    save_plots(tables, tmp_path)
    assert dict(matplotlib.rcParams) == before
    code = "import sys, synthscars.stats.plots; assert 'matplotlib' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("kind", ["none", "unknown", "whole"])
def test_unusual_releases_can_be_drawn(tmp_path: Path, kind: str) -> None:
    workspace = filled_workspace(tmp_path / "w", 4)
    records = [sample_record(seed, noise_png(seed)) for seed in range(4)]
    if kind == "none":
        records = records[:1]
    elif kind == "unknown":
        artifacts = tuple(changed(a, category=None, subtype=None) for a in records[3].artifacts)
        records[3] = changed(records[3], artifacts=artifacts)
    else:
        whole = (0.0, 0.0, 48.0, 0.0, 48.0, 32.0, 0.0, 32.0)
        records = [changed(records[1], artifacts=(changed(records[1].artifacts[0], polygons=(whole,)),))]
    build_release(workspace, "1.0.0", Problems(), records=replace_records(workspace, records))
    tables = read_tables(workspace.release_dir("1.0.0"))
    for path in save_plots(tables, tmp_path / "plots"):
        with Image.open(path) as image:
            assert image.width > 600
    assert sum(bars_of(plot_subtypes(tables)).values()) == len(tables.artifacts)
