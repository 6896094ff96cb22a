"""`synthscars legion predict`: what is predicted, from where, and that a killed run goes on."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from killing import killed_at
from PIL import Image
from platform_images import fill
from releasing import filled_workspace, noise_png, raters_workspace, replace_records
from saturated import SaturatedBlob

from synthscars.cli import main
from synthscars.images import sha256
from synthscars.legion.prediction_file import partial_path, prediction_file
from synthscars.predictions import Prediction, encode_prediction, read_header, read_predictions
from synthscars.problems import Problems
from synthscars.release.build import build_release
from synthscars.workspace import Workspace


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> SaturatedBlob:
    """What every checkpoint is in these tests."""
    found = SaturatedBlob()
    monkeypatch.setattr("synthscars.cli.legion_model.load_predictor", lambda _checkpoint, _device: found)
    return found


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Five pictures in a folder."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number in range(5):
        (folder / f"{number}.png").write_bytes(noise_png(number))
    return folder


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["legion", "predict", "model", *map(str, arguments)])


def predictions(path: Path) -> list[Prediction]:
    problems = Problems()
    found = list(read_predictions(path, problems))
    assert not list(problems)
    return found


def test_a_folder_of_images_is_predicted_in_the_order_of_its_names(
    model: SaturatedBlob, pictures: Path, tmp_path: Path
) -> None:
    result = run(pictures, "-o", tmp_path / "p.jsonl", "--batch-size", 2, "--json")
    assert result.exit_code == 0, result.stderr
    said = json.loads(result.stdout)
    assert (said["images"], said["predicted"], said["written"], said["failed"]) == (5, 5, 5, 0)
    found = predictions(tmp_path / "p.jsonl")
    assert [one.image_id for one in found] == [sha256(noise_png(number)) for number in range(5)]
    assert said["regions"] == sum(len(one.regions) for one in found) > 0
    assert read_header(tmp_path / "p.jsonl")["model"] == model.name
    assert model.calls == [2, 2, 1]
    assert not partial_path(tmp_path / "p.jsonl").exists()


def test_images_are_seen_upright(model: SaturatedBlob, tmp_path: Path) -> None:
    image = Image.new("RGB", (40, 20), "white")
    image.paste((255, 0, 0), (0, 0, 10, 5))
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    assert run(tmp_path / "turned.png", "-o", tmp_path / "p.jsonl").exit_code == 0
    (found,) = predictions(tmp_path / "p.jsonl")
    assert (found.width, found.height) == (20, 40)
    assert found.regions[0].rle is not None
    assert found.regions[0].rle.size == (40, 20)


def test_bad_images_are_named_with_their_reason_and_cost_no_other_image_its_prediction(
    model: SaturatedBlob, pictures: Path, tmp_path: Path
) -> None:
    (pictures / "1.png").write_bytes(noise_png(1)[:200])
    (pictures / "3.png").write_bytes(b"")
    (pictures / "again.png").write_bytes(noise_png(4))
    result = run(pictures, "-o", tmp_path / "p.jsonl", "--json")
    assert result.exit_code == 1
    said = json.loads(result.stdout)
    assert {(one["code"], one["file"]) for one in said["problems"]} == {
        ("image.damaged", "pictures/1.png"),
        ("image.empty", "pictures/3.png"),
    }
    assert (said["predicted"], said["failed"], said["repeated"]) == (3, 2, 1)
    assert len(predictions(tmp_path / "p.jsonl")) == 3


def test_an_image_that_the_model_cannot_take_costs_no_other_image_its_prediction(
    model: SaturatedBlob, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = sha256(noise_png(2))
    real = model._one

    def fails(image: Image.Image, image_id: str) -> Prediction:
        if image_id == bad:
            raise RuntimeError("out of\nmemory")
        return real(image, image_id)

    monkeypatch.setattr(model, "_one", fails)
    result = run(pictures, "-o", tmp_path / "p.jsonl")
    assert result.exit_code == 1
    assert "predict.failed" in result.stderr
    assert "pictures/2.png" in result.stderr
    assert "out of memory" in result.stderr
    assert bad not in {one.image_id for one in predictions(tmp_path / "p.jsonl")}
    assert len(predictions(tmp_path / "p.jsonl")) == 4


def test_a_release_is_predicted_split_by_split(model: SaturatedBlob, tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "scars", 12)
    assert CliRunner().invoke(main, ["release", "build", "1.0.0", "-w", str(workspace.root)]).exit_code == 0
    manifest = json.loads((workspace.release_dir("1.0.0") / "manifest.json").read_bytes())
    test = {image_id for image_id, entry in manifest["images"].items() if entry["split"] == "test"}
    assert 0 < len(test) < 12
    whole = run(workspace.release_dir("1.0.0"), "-o", tmp_path / "all.jsonl")
    assert whole.exit_code == 0, whole.stderr
    assert {one.image_id for one in predictions(tmp_path / "all.jsonl")} == set(manifest["images"])
    part = run("1.0.0", "-w", workspace.root, "--split", "test", "-o", tmp_path / "test.jsonl")
    assert part.exit_code == 0, part.stderr
    assert {one.image_id for one in predictions(tmp_path / "test.jsonl")} == test
    header = read_header(tmp_path / "test.jsonl")
    assert (header["source"], header["split"]) == ("noise 1.0.0", "test")
    none = run("1.0.0", "-w", workspace.root, "--split", "tset", "-o", tmp_path / "none.jsonl")
    assert none.exit_code == 2
    assert "test" in none.stderr


def test_photographs_of_a_release_that_nobody_annotated_are_predicted_too(
    model: SaturatedBlob, tmp_path: Path
) -> None:
    workspace = raters_workspace(tmp_path / "scars", 6, photographs=3)
    CliRunner().invoke(main, ["release", "build", "1.0.0", "-w", str(workspace.root)])
    release = workspace.release_dir("1.0.0")
    photographs = set(json.loads((release / "manifest.json").read_bytes())["detection_images"])
    assert len(photographs) == 3
    assert run(release, "-o", tmp_path / "p.jsonl").exit_code == 0
    assert photographs <= {one.image_id for one in predictions(tmp_path / "p.jsonl")}


def test_a_published_release_is_fetched(
    model: SaturatedBlob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = filled_workspace(tmp_path / "scars", 4)
    assert CliRunner().invoke(main, ["release", "build", "1.0.0", "-w", str(workspace.root)]).exit_code == 0
    asked: list[tuple[object, ...]] = []

    class Got:
        path = workspace.release_dir("1.0.0")

    def get(target: object, parent: Path, _problems: Problems, *, version: str | None) -> Got:
        asked.append((target.shown, parent.name, version))  # type: ignore[attr-defined]
        return Got()

    monkeypatch.setattr("synthscars.release.publish.get_release", get)
    monkeypatch.chdir(tmp_path)
    assert run("org/name@1.0.0", "-o", "p.jsonl").exit_code == 0
    assert asked == [("hf://datasets/org/name", "name", "1.0.0")]
    assert len(predictions(Path("p.jsonl"))) == 4


def test_of_a_workspace_the_images_are_predicted_that_nobody_answered(
    model: SaturatedBlob, tmp_path: Path
) -> None:
    workspace = Workspace.create(tmp_path / "scars")
    truth = fill(workspace, 3)
    assert run(workspace.root, "-o", tmp_path / "all.jsonl").exit_code == 0
    assert len(predictions(tmp_path / "all.jsonl")) == 3
    replace_records(workspace, truth[:2])
    assert run(workspace.root, "-o", tmp_path / "left.jsonl").exit_code == 0
    assert [one.image_id for one in predictions(tmp_path / "left.jsonl")] == [truth[2].image_id]


def test_limit_takes_the_first_images(model: SaturatedBlob, pictures: Path, tmp_path: Path) -> None:
    assert run(pictures, "-o", tmp_path / "p.jsonl", "--limit", 2).exit_code == 0
    found = predictions(tmp_path / "p.jsonl")
    assert [one.image_id for one in found] == [sha256(noise_png(number)) for number in range(2)]


def test_images_are_perturbed_the_same_way_each_time_and_not_all_alike(
    model: SaturatedBlob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(2):
        Image.new("RGB", (16, 16), (number, 100, 100)).save(tmp_path / f"{number}.png")
    seen: list[bytes] = []
    real = model._one

    def look(image: Image.Image, image_id: str) -> Prediction:
        seen.append(image.tobytes())
        return real(image, image_id)

    monkeypatch.setattr(model, "_one", look)
    for name in ("a", "b"):
        result = run(tmp_path / "*.png", "-o", tmp_path / f"{name}.jsonl", "--perturb", "noise-0.1")
        assert result.exit_code == 0, result.stderr
    assert seen[:2] == seen[2:]
    first, second = (np.frombuffer(data, dtype=np.uint8).astype(int) - 100 for data in seen[:2])
    assert 15 < first.reshape(-1, 3)[:, 1:].std() < 35  # a tenth of 255
    assert (first != second).mean() > 0.9
    assert read_header(tmp_path / "a.jsonl")["perturbation"] == "noise-0.1"
    unknown = run(tmp_path / "0.png", "-o", tmp_path / "c.jsonl", "--perturb", "nose")
    assert unknown.exit_code == 2
    assert "noise-0.1" in unknown.stderr


def test_a_file_that_is_there_is_replaced_only_by_force(
    model: SaturatedBlob, pictures: Path, tmp_path: Path
) -> None:
    target = tmp_path / "p.jsonl"
    target.write_text("mine")
    refused = run(pictures, "-o", target)
    assert refused.exit_code == 2
    assert target.read_text() == "mine"
    assert run(pictures, "-o", target, "--force").exit_code == 0
    assert len(predictions(target)) == 5


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(["nowhere.png"], "does not exist"), ([".", "--split", "test"], "--split is for a release")],
)
def test_calls_that_make_no_sense_end_with_two(
    model: SaturatedBlob, arguments: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
    assert not Path("predictions.jsonl").exists()


def test_what_is_no_checkpoint_is_said_before_anything_is_loaded(pictures: Path, tmp_path: Path) -> None:
    result = run(pictures, "-o", tmp_path / "p.jsonl")
    assert result.exit_code == 2
    assert "config.json" in result.stderr


class TestAKilledRunGoesOn:
    """With what is left of it, and to the same bytes."""

    def test_with_the_batches_of_one_that_was_never_killed(
        self, model: SaturatedBlob, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert run(pictures, "-o", tmp_path / "whole.jsonl", "--batch-size", 2).exit_code == 0
        model.calls.clear()
        real = model.predict
        calls = 0

        def interrupted(*arguments: object, **options: object) -> list[Prediction]:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise KeyboardInterrupt
            return real(*arguments, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(model, "predict", interrupted)
        assert run(pictures, "-o", tmp_path / "p.jsonl", "--batch-size", 2).exit_code == 130
        assert not (tmp_path / "p.jsonl").exists()
        monkeypatch.setattr(model, "predict", real)
        # Killed in the middle of writing: half of the second batch is there, and half of a line.
        lines = partial_path(tmp_path / "p.jsonl").read_bytes().splitlines(keepends=True)
        assert len(lines) == 5
        partial_path(tmp_path / "p.jsonl").write_bytes(b"".join(lines[:4]) + lines[4][:100])
        model.calls.clear()
        result = run(pictures, "-o", tmp_path / "p.jsonl", "--batch-size", 2, "--json")
        said = json.loads(result.stdout)
        assert (said["resumed"], said["predicted"], said["written"]) == (2, 3, 5)
        assert model.calls == [2, 1]
        assert (tmp_path / "p.jsonl").read_bytes() == (tmp_path / "whole.jsonl").read_bytes()

    def test_but_not_with_what_another_model_said(
        self, model: SaturatedBlob, pictures: Path, tmp_path: Path
    ) -> None:
        other = Prediction(image_id=sha256(noise_png(0)), width=48, height=32, text="another model's")
        first = {"format": "synthscars.predictions", "version": 1, "model": "another", "batch_size": 1}
        partial_path(tmp_path / "p.jsonl").write_bytes(
            json.dumps(first).encode() + b"\n" + encode_prediction(other) + b"\n"
        )
        result = run(pictures, "-o", tmp_path / "p.jsonl", "--batch-size", 1, "--json")
        assert result.exit_code == 0
        assert [one["code"] for one in json.loads(result.stdout)["problems"]] == ["predictions.restarted"]
        assert all(one.text != "another model's" for one in predictions(tmp_path / "p.jsonl"))

    def test_after_a_kill_at_any_moment(self, pictures: Path, tmp_path: Path) -> None:
        code = """
import sys
sys.path.insert(0, sys.argv.pop(1))
from saturated import SaturatedBlob
import synthscars.cli.legion_model as cli
cli.load_predictor = lambda checkpoint, device: SaturatedBlob()
from synthscars.cli import main
main(["legion", "predict", "model", sys.argv[1], "-o", sys.argv[2], "--batch-size", "2"])
"""
        support = Path(__file__).parents[1] / "support"
        target, step = tmp_path / "p.jsonl", 1
        while killed_at(step, code, support, pictures, target) and not target.exists():
            step += 1
        assert len(predictions(target)) == 5
        assert step > 1

    def test_two_at_once_do_not_write_to_one_file(
        self, model: SaturatedBlob, pictures: Path, tmp_path: Path
    ) -> None:
        with prediction_file(tmp_path / "p.jsonl", {}, 8):
            result = run(pictures, "-o", tmp_path / "p.jsonl")
        assert result.exit_code == 3
        assert "another process" in result.stderr


def test_nothing_of_this_machine_is_in_the_file(model: SaturatedBlob, pictures: Path, tmp_path: Path) -> None:
    assert run(pictures, "-o", tmp_path / "p.jsonl").exit_code == 0
    assert str(tmp_path).encode() not in (tmp_path / "p.jsonl").read_bytes()


def test_an_image_of_one_colour_has_no_region(model: SaturatedBlob, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.new("L", (8, 8), 100).save(buffer, "PNG")
    (tmp_path / "grey.png").write_bytes(buffer.getvalue())
    assert run(tmp_path / "grey.png", "-o", tmp_path / "p.jsonl").exit_code == 0
    (found,) = predictions(tmp_path / "p.jsonl")
    assert found.regions == ()


@pytest.mark.slow
def test_a_real_checkpoint_is_loaded_and_predicts(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tiny_legion import untrained

    checkpoint = untrained(tmp_path / "model")
    command = ["legion", "predict", str(checkpoint), str(pictures), "-o", str(tmp_path / "p.jsonl")]
    result = CliRunner().invoke(main, [*command, "--limit", "1"])
    assert result.exit_code == 0, result.stderr
    (found,) = predictions(tmp_path / "p.jsonl")
    assert (found.image_id, found.width, found.height) == (sha256(noise_png(0)), 48, 32)
    assert found.synthetic is not None
    assert read_header(tmp_path / "p.jsonl")["model"].startswith("legion-")


def test_a_page_shows_what_was_found(model: SaturatedBlob, pictures: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), "grey").save(pictures / "plain.png")
    page = tmp_path / "p.html"
    result = run(pictures, "-o", tmp_path / "p.jsonl", "--page", page, "--page-images", 2)
    assert result.exit_code == 0, result.stderr
    assert f"look at it: {page}" in result.stdout.replace("\n", "")
    text = page.read_text(encoding="utf-8")
    assert f"What {model.name} sees in pictures" in text
    assert "Something found: 5" in text
    assert text.count("<article>") == 2
    assert text.count("data:image/jpeg;base64,") == 3
    assert "Nothing found: 1" in text


def test_how_much_a_page_shows_is_no_use_without_one(
    model: SaturatedBlob, pictures: Path, tmp_path: Path
) -> None:
    result = run(pictures, "-o", tmp_path / "p.jsonl", "--page-images", 2)
    assert result.exit_code == 2
    assert "name it with --page" in result.stderr
    assert not list(tmp_path.glob("p.*"))


def test_a_page_of_a_release_shows_the_pictures_in_it(model: SaturatedBlob, tmp_path: Path) -> None:
    workspace = filled_workspace(tmp_path / "ws")
    release = build_release(workspace, "1.0.0", Problems(), check=False).path
    result = run(release, "-o", tmp_path / "p.jsonl", "--page", tmp_path / "p.html", "--json")
    assert json.loads(result.stdout)["page"] == str(tmp_path / "p.html")
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert text.count("data:image/jpeg;base64,") == text.count("<article>") + text.count("<figcaption>") > 0
    assert 'fill="#808080"' not in text


def test_a_page_that_is_there_is_kept_unless_force_is_given(
    model: SaturatedBlob, pictures: Path, tmp_path: Path
) -> None:
    page = tmp_path / "p.html"
    page.write_text("mine")
    result = run(pictures, "-o", tmp_path / "p.jsonl", "--page", page)
    assert result.exit_code == 2
    assert "--page" in result.stderr
    assert page.read_text() == "mine"
    assert not model.calls
    assert run(pictures, "-o", tmp_path / "p.jsonl", "--page", page, "--force").exit_code == 0
    assert page.read_text(encoding="utf-8") != "mine"


def test_a_page_that_cannot_be_written_costs_no_prediction(
    model: SaturatedBlob, pictures: Path, tmp_path: Path
) -> None:
    target, page = tmp_path / "p.jsonl", tmp_path / "file" / "p.html"
    page.parent.write_text("not a folder")
    assert run(pictures, "-o", target, "--page", page, "--batch-size", 1).exit_code != 0
    assert model.calls == [1] * 5
    page.parent.unlink()
    result = run(pictures, "-o", target, "--page", page, "--batch-size", 1)
    assert result.exit_code == 0, result.stderr
    assert model.calls == [1] * 5
    assert len(predictions(target)) == 5
    assert page.read_text(encoding="utf-8").count("<article>") == 5


def test_predictions_and_page_are_two_files(model: SaturatedBlob, pictures: Path, tmp_path: Path) -> None:
    result = run(pictures, "-o", tmp_path / "p", "--page", tmp_path / "p", "--force")
    assert result.exit_code == 2
    assert "--page" in result.stderr
    assert not list(tmp_path.glob("p*.partial"))
