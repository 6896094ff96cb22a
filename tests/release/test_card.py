"""The card of a release: what the Hub and `load_dataset` read in it, and what people do."""

import re
from pathlib import Path

import msgspec
import pytest
import yaml
from folders import folder_bytes
from releasing import changed, filled_workspace, noise_png, sample_record

from synthscars.problems import Problems
from synthscars.records import Generation, Review
from synthscars.release import build_release, features, read_manifest
from synthscars.release.card import write_card
from synthscars.release.configs import config_columns, detection_columns
from synthscars.release.manifest import InputFile
from synthscars.release.totals import Totals
from synthscars.settings import ReleaseSettings
from synthscars.workspace import Workspace


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    workspace = filled_workspace(tmp_path_factory.mktemp("card") / "w")
    build_release(workspace, "1.0.0", Problems())
    return workspace


@pytest.fixture(scope="module")
def folder(workspace: Workspace) -> Path:
    return workspace.release_dir("1.0.0")


@pytest.mark.parametrize("streaming", [False, True])
@pytest.mark.parametrize("config", list(config_columns()))
def test_every_config_opens_with_its_columns_and_all_images(
    folder: Path, tmp_path: Path, config: str, streaming: bool
) -> None:
    import datasets

    loaded = datasets.load_dataset(str(folder), config, cache_dir=str(tmp_path), streaming=streaming)
    columns = config_columns()[config]
    rows = [row for split in loaded.values() for row in split]
    assert len(rows) == 24
    assert all(list(row) == columns for row in rows)
    assert all(list(split.features) == columns for split in loaded.values())


def test_the_detection_config_has_nothing_of_the_annotations() -> None:
    assert {"artifacts", "rater_artifacts", "reviews", "caption", "status"}.isdisjoint(detection_columns())
    assert set(detection_columns()) <= set(features())


def test_what_the_card_says_of_a_config_is_what_is_in_it(folder: Path, tmp_path: Path) -> None:
    import datasets

    front = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    for info in front["dataset_info"]:
        loaded = datasets.load_dataset(str(folder), info["config_name"], cache_dir=str(tmp_path))
        assert {split["name"]: split["num_examples"] for split in info["splits"]} == {
            name: len(split) for name, split in loaded.items()
        }
        assert info["download_size"] == sum(path.stat().st_size for path in folder.glob("data/*.parquet"))


# The text


def card_of(folder: Path, settings: ReleaseSettings, totals: Totals, **fields: object) -> str:
    """The card of a release of 24 images, as if it had other settings and totals."""
    manifest = read_manifest(folder)
    target = folder.parent.parent / f"card {len(list(folder.parent.parent.glob('card *')))}"
    write_card(target, msgspec.structs.replace(manifest, **fields), totals, settings)
    return (target / "README.md").read_text(encoding="utf-8")


def totals_of(folder: Path) -> Totals:
    totals = Totals()
    splits = read_manifest(folder).images
    for seed in range(24):
        record = sample_record(seed, noise_png(seed))
        totals.add(changed(record, split=splits[record.image_id].split), record.artifacts)
    return totals


def front_of(card: str) -> dict[str, object]:
    front = yaml.safe_load(card.split("---\n")[1])
    assert isinstance(front, dict)
    return front


def test_all_links_of_the_card_lead_to_files_of_the_release(folder: Path) -> None:
    for name in ("README.md", "DATA_STATEMENT.md", "GUIDELINE.md"):
        text = (folder / name).read_text(encoding="utf-8")
        links = re.findall(r"\]\(([^)]+)\)", text)
        assert all((folder / link).is_file() for link in links)
    card = (folder / "README.md").read_text(encoding="utf-8")
    for path in folder.glob("figures/*"):
        (alt,) = re.findall(rf"!\[([^\]]+)\]\(figures/{re.escape(path.name)}\)", card)
        assert len(alt) > 30


def test_the_loading_snippet_of_the_card_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import datasets

    snippet = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    calls: list[dict[str, object]] = []
    load = datasets.load_dataset

    def watched(path: str, *args: str, **options: object) -> object:
        calls.append({"path": path, "config": args, **options})
        return None if path == "organisation/name" else load(path, *args, **options)

    monkeypatch.setattr(datasets, "load_dataset", watched)
    exec(snippet.replace("path/to/this/folder", str(folder)), {})  # noqa: S102
    assert [call["config"] for call in calls if call["config"]] == [
        (name,) for name in config_columns() if name != "default"
    ]
    assert [call["revision"] for call in calls if "revision" in call] == ["v1.0.0"]


def test_a_licence_that_the_hub_does_not_know_is_other_with_a_name_and_a_link(folder: Path) -> None:
    totals = totals_of(folder)
    known = front_of(card_of(folder, ReleaseSettings(license="CC-BY-4.0"), totals))
    assert (known["license"], known.get("license_name")) == ("cc-by-4.0", None)
    settings = ReleaseSettings(license="My Licence, 2nd", license_link="https://x.invalid/l")
    own = front_of(card_of(folder, settings, totals))
    assert own["license"] == "other"
    assert (own["license_name"], own["license_link"]) == ("my-licence-2nd", "https://x.invalid/l")


def test_who_annotated_is_said_only_where_it_is_known(folder: Path) -> None:
    totals = totals_of(folder)
    assert "annotations_creators" not in front_of(card_of(folder, ReleaseSettings(), totals))
    stated = ReleaseSettings(annotations_creators=("expert-generated",), language=("en", "de"))
    front = front_of(card_of(folder, stated, totals))
    assert (front["annotations_creators"], front["language"]) == (["expert-generated"], ["en", "de"])


def test_the_dataset_is_cited_as_its_settings_say(folder: Path) -> None:
    totals = totals_of(folder)
    assert "Name the dataset and its version: noise card 1.0.0." in card_of(
        folder, ReleaseSettings(pretty_name="noise card"), totals
    )
    made = ReleaseSettings(
        authors=("Ada {Example}", "B & Co_"), doi="10.1234/x", homepage="https://x.invalid"
    )
    card = card_of(folder, made, totals)
    entry = card.split("```bibtex\n")[1].split("\n```")[0]
    assert "author  = {Ada Example and B \\& Co\\_}" in entry
    assert "doi     = {10.1234/x}" in entry
    assert entry.count("{") == entry.count("}")
    own = card_of(folder, ReleaseSettings(citation="@misc{x,\n```\n<b>}"), totals)
    assert "````bibtex\n@misc{x,\n```\n<b>}\n````" in own


def test_agreement_is_told_with_how_little_it_rests_on(folder: Path) -> None:
    alone = (folder / "README.md").read_text(encoding="utf-8")
    assert "nothing can be said about how well raters agree" in alone
    totals = Totals()
    for seed in range(1, 13):
        record = sample_record(seed, noise_png(seed))
        drawn = (*record.artifacts, *(changed(each, rater_id="rater-2") for each in record.artifacts))
        both = (*record.reviews, Review(rater_id="rater-2", status=record.status))
        totals.add(changed(record, split="train", reviews=both), drawn)
    card = card_of(folder, ReleaseSettings(), totals)
    assert "2 raters judged 12 images" in card
    assert "| category, kappa | 1.00 |  |" in card
    assert "Fewer than 20 images say little" in card
    assert "figures/agreement.png" in card


def test_long_lists_of_sources_and_models_are_cut(folder: Path) -> None:
    totals = Totals()
    for number in range(100):
        record = sample_record(1, noise_png(1))
        made = Generation(tool="t", model=f"model {number:03d} " + "x" * 5000)
        totals.add(
            changed(
                record, image_id=f"{number}", split="train", generation=made, source=f"s{number:03d}/x.png"
            )
        )
    card = card_of(folder, ReleaseSettings(), totals)
    assert card.count("And 60 images of others, which are rarer.") == 2
    assert len(card) < 60_000


def test_what_is_going_away_and_what_came_before_is_told(folder: Path) -> None:
    totals = totals_of(folder)
    plain = card_of(folder, ReleaseSettings(), totals)
    assert "CHANGES.md" not in plain
    inputs = {"manifest 0.9.0": InputFile("x", "0" * 64), "records": InputFile("y", "0" * 64)}
    card = card_of(folder, ReleaseSettings(), totals, inputs=inputs, deprecated={"extra": "use <source>"})
    assert "since 0.9.0 is in [CHANGES.md](CHANGES.md)" in card
    assert "| extra | use &lt;source&gt; |" in card


def test_names_and_labels_from_outside_are_only_text(folder: Path) -> None:
    totals = Totals()
    record = sample_record(1, noise_png(1))
    made = Generation(tool="<script>x</script>", model="a | b [l](http://x.invalid)", prompt="``` <i>")
    totals.add(changed(record, split="train", generation=made, source="<u>/x", license="*l*"))
    settings = ReleaseSettings(pretty_name="<b>name</b>", contact="<img src=x>", license="<s>")
    card = card_of(folder, settings, totals, left_out={"<em>": 2})
    text = re.sub(r"```json.*?```", "", card.split("---\n", 2)[2], flags=re.DOTALL)
    for markup in ("<script", "<u>", "<b>", "<img", "<s>", "<em>", "[l](", "*l*"):
        assert markup not in text


def test_a_release_without_images_has_a_card(folder: Path) -> None:
    card = card_of(folder, ReleaseSettings(), Totals(), files=(), splits={}, images={})
    assert "There are no images." in card


@pytest.mark.parametrize("seed", [0, 1])
def test_the_same_totals_write_the_same_bytes(folder: Path, tmp_path: Path, seed: int) -> None:
    for name in ("a", "b"):
        write_card(tmp_path / name, read_manifest(folder), totals_of(folder), ReleaseSettings(seed=seed))
    assert folder_bytes(tmp_path / "a") == folder_bytes(tmp_path / "b")
