"""The whole of `synthscars verify` on given predictions: what is written, and when it passes."""

import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest
from click.testing import CliRunner, Result
from pages import Page
from planting import codes
from verifying import answers, blind, knows, nearly, silent, toy, toy_release, toys

from synthscars.cli import main
from synthscars.problems import Problems, UsageError
from synthscars.records import ImageRecord
from synthscars.release.publish import parse_target, publish_release
from synthscars.release.verified import read_verified
from synthscars.settings import VerifySettings
from synthscars.verify import Plan, Verification, read_verification, verify_release
from synthscars.verify.models import Work, checkpoint_digest, key_of

HOSTILE = "<script>alert(1)</script>\x1b[31m\u202e\"'& | `x`"
QUICK = VerifySettings(rounds=200)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[ImageRecord]]:
    """A release, and what models say of it: good.jsonl, blind.jsonl, silent.jsonl beside it."""
    root = tmp_path_factory.mktemp("toys")
    pairs = toys(train=40, test=28, photographs=8)
    record, data = pairs[0]
    artifact = msgspec.structs.replace(record.artifacts[0], phrase=HOSTILE, explanation=HOSTILE)
    pairs[0] = (msgspec.structs.replace(record, artifacts=(artifact,), file_name=f"{HOSTILE}.png"), data)
    records = toy_release(root / "1.0.0", pairs)
    answers(root / "good.jsonl", records, nearly, name=f"good {HOSTILE}")
    answers(root / "blind.jsonl", records, blind([r for r in records if r.split == "train"][1:]))
    answers(root / "silent.jsonl", records, silent)
    return root / "1.0.0", records


@pytest.fixture
def release(built: tuple[Path, list[ImageRecord]], tmp_path: Path) -> Path:
    shutil.copytree(built[0].parent, tmp_path / "w")
    return tmp_path / "w/1.0.0"


def plan(folder: Path, name: str = "good", shuffled: str | None = "blind") -> Plan:
    return Plan(
        predictions=folder.parent / f"{name}.jsonl",
        shuffled_predictions=folder.parent / f"{shuffled}.jsonl" if shuffled else None,
    )


def verify(folder: Path, *names: str | None, problems: Problems | None = None) -> Verification:
    collected = Problems() if problems is None else problems
    return verify_release(folder, plan(folder, *names), collected, settings=QUICK)  # type: ignore[arg-type]


def test_a_model_that_looks_verifies_a_sound_release_which_can_then_be_published(
    release: Path, tmp_path: Path
) -> None:
    before = codes(release)
    problems = Problems()
    found = verify(release, problems=problems)
    assert found.verified, found.reasons
    assert list(problems) == []
    assert read_verification(release) == msgspec.json.decode(
        (release / "verification.json").read_bytes(), type=Verification
    )
    assert codes(release) == before
    report = publish_release(release, parse_target(str(tmp_path / "out")), Problems())
    sent = {change.path for change in report.plan.add}
    assert {"verification.json", "verification/index.html", "verification/label_errors.jsonl"} <= sent


@pytest.mark.parametrize(
    ("model", "shuffled", "what"),
    [
        ("silent", "blind", "nothing is wrong anywhere"),
        ("blind", "blind", "the model is better than"),
        ("good", "good", "trained on shuffled labels it is hardly better"),
        ("good", None, "no predictions of a model on shuffled labels were given"),
    ],
)
def test_it_is_not_verified_by_a_model_that_does_not_look_nor_without_the_control(
    model: str, shuffled: str | None, what: str, release: Path
) -> None:
    found = verify(release, model, shuffled)
    assert not found.verified
    assert any(what in reason for reason in found.reasons)
    assert read_verified(release).state == "failed"


def test_a_release_that_changes_is_not_verified_any_more(release: Path) -> None:
    verify(release)
    assert read_verified(release).state == "verified"
    manifest = release / "manifest.json"
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert read_verified(release).state == "outdated"


def test_the_same_inputs_give_the_same_bytes_wherever_the_release_lies(release: Path, tmp_path: Path) -> None:
    names = ("verification.json", "verification/index.html", "verification/label_errors.jsonl")
    verify(release)
    first = [(release / name).read_bytes() for name in names]
    shutil.copytree(release.parent, tmp_path / "elsewhere")
    other = tmp_path / "elsewhere/1.0.0"
    verify(other)
    assert [(other / name).read_bytes() for name in names] == first
    assert str(tmp_path).encode() not in b"".join(first)


def test_missing_predictions_count_as_empty_answers_and_are_told(
    release: Path, built: tuple[Path, list[ImageRecord]]
) -> None:
    tested = [record for record in built[1] if record.split == "test"]
    answers(release.parent / "half.jsonl", tested[::2], nearly)
    problems = Problems()
    found = verify(release, "half", problems=problems)
    (told,) = (each for each in problems if each.code == "verify.no_prediction")
    assert told.count == len(tested) - len(tested[::2])
    assert found.answers[0].figures["fg_iou"].value < 0.6  # type: ignore[operator]


def test_predictions_of_other_images_are_refused(release: Path) -> None:
    answers(release.parent / "other.jsonl", [toy(99999, "test")[0]], knows)
    with pytest.raises(Exception, match="no prediction of an image of this release"):
        verify(release, "other")


def test_plans_that_contradict_themselves_are_refused(release: Path) -> None:
    file = release.parent / "good.jsonl"
    for bad in (
        Plan(predictions=file, checkpoint=release),
        Plan(checkpoint=release, shuffled_predictions=file, work=release.parent / "work"),
        Plan(),
    ):
        with pytest.raises(UsageError):
            verify_release(release, bad, Problems())


# The page


@pytest.fixture(scope="module")
def html(built: tuple[Path, list[ImageRecord]]) -> str:
    verify(built[0])
    return (built[0] / "verification/index.html").read_text(encoding="utf-8")


def test_the_page_needs_nothing_from_outside_and_runs_nothing(html: str) -> None:
    page = Page(html)
    assert not {"script", "link", "iframe", "object", "form"} & {tag for tag, _ in page.tags}
    for tag, attributes in page.tags:
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith(("data:image/", "data:", "#p"))
    assert "default-src 'none'" in html
    assert "prefers-color-scheme:dark" in html
    assert not re.search(r"url\(|@import|https?://", html)


def test_hostile_names_and_texts_are_shown_and_do_nothing(html: str) -> None:
    assert "alert(1)" in Page(html).text  # the name of the model
    assert "<script" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html


def test_every_tag_is_closed_where_it_must_be(html: str) -> None:
    for tag in ("html", "head", "body", "article", "figure", "svg", "div", "table", "details", "ol", "li"):
        assert len(re.findall(rf"<{tag}[ >]", html)) == len(re.findall(rf"</{tag}>", html)), tag


def test_every_picture_is_there_once_and_shown_again_beside_truth_and_prediction(html: str) -> None:
    page = Page(html)
    images = [attributes["id"] for tag, attributes in page.tags if tag == "image"]
    assert len(images) == len(set(images)) > 10
    uses = [attributes["href"] for tag, attributes in page.tags if tag == "use"]
    assert {use for use in uses if use} == {f"#{name}" for name in images}


def test_the_page_says_the_verdict_each_criterion_and_every_answer(
    html: str, built: tuple[Path, list[ImageRecord]]
) -> None:
    found = read_verification(built[0])
    text = Page(html).text
    assert "✓ Verified" in text
    for criterion in found.criteria:
        assert criterion.what in text
    for answer in found.answers[1:]:
        assert answer.title in text
    assert text.count("Is the ") == min(24, found.label_errors.listed)


# The command


def run(folder: Path, *arguments: str) -> Result:
    good, shuffled = folder.parent / "good.jsonl", folder.parent / "blind.jsonl"
    command = ["verify", str(folder), "--predictions", str(good), "--shuffled-predictions", str(shuffled)]
    return CliRunner().invoke(main, [*command, *arguments])


def test_the_command_ends_with_0_if_it_is_verified_and_shows_the_figures(release: Path) -> None:
    done = run(release)
    assert done.exit_code == 0, done.output
    assert re.search(r"trivial\.mean_mask_by_content_type\.pooled_f1 +passed +\+0\.", done.stdout)
    assert done.stdout.splitlines()[-1] == "verified"
    assert json.loads(run(release, "--json").stdout)["verified"] is True


def test_the_settings_of_the_workspace_hold_and_are_written_down(release: Path) -> None:
    config = release.parent.parent / "synthscars.toml"
    config.write_text('name = "toys"\n[verify]\nmask_margin = 0.99\nrounds = 200\n')
    done = run(release, "--json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    assert found["thresholds"]["mask_margin"] == 0.99
    assert found["verified"] is False
    config.write_text('name = "toys"\n[verify]\nmask_marign = 0.99\n')
    wrong = run(release)
    assert wrong.exit_code == 3
    assert "did you mean mask_margin?" in wrong.stderr


def test_a_release_without_a_test_split_cannot_be_verified(tmp_path: Path) -> None:
    toy_release(tmp_path / "1.0.0", [toy(number, "train") for number in range(8)])
    answers(tmp_path / "good.jsonl", [], knows)
    shutil.copy(tmp_path / "good.jsonl", tmp_path / "blind.jsonl")
    done = run(tmp_path / "1.0.0")
    assert done.exit_code == 3
    assert "no annotated images in the split test" in done.stderr


# The work folder


def test_a_stage_that_is_done_is_not_done_again_and_another_one_begins_anew(tmp_path: Path) -> None:
    work = Work(tmp_path / "work")
    key, other = key_of("release", 1), key_of("release", 2)
    assert not work.begin("model", key)
    (work.folder / "model").mkdir()
    (work.folder / "model/weights").write_text("half")
    again = Work(tmp_path / "work")
    assert not again.begin("model", key)  # killed: what is there may be gone on with
    assert (work.folder / "model/weights").exists()
    again.done("model", key)
    assert Work(tmp_path / "work").begin("model", key)
    assert not Work(tmp_path / "work").begin("model", other)
    assert not (work.folder / "model").exists()


def test_a_folder_of_somebody_else_is_not_worked_in(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    with pytest.raises(UsageError, match="not a work folder"):
        Work(tmp_path)
    assert (tmp_path / "thesis.txt").read_text() == "precious"


def test_a_model_is_known_by_its_weights_and_not_by_what_its_training_wrote_down(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UsageError, match="no weights"):
        checkpoint_digest(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    first = checkpoint_digest(tmp_path)
    (tmp_path / "training.jsonl").write_text("{}")
    assert checkpoint_digest(tmp_path) == first
    (tmp_path / "model.safetensors").write_bytes(b"others")
    assert checkpoint_digest(tmp_path) != first
