"""The page, the Markdown and the table of a difference, and the command that makes them."""

import base64
import io
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from pages import Page
from PIL import Image
from releasing import add_records, changed, noise_png, replace_records, sample_record

from synthscars.cli import main
from synthscars.problems import Problems
from synthscars.release import build_release
from synthscars.workspace import Workspace

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> & \x1b[31m \u202e [bold]|`# '
VOID = {"meta", "img", "br", "image", "polygon", "path", "rect"}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """1.0.0 and 1.0.1, in which every text of image 3 is hostile; image 8 is new."""
    workspace = Workspace.create(tmp_path_factory.mktemp("diff") / "w", "n")
    records = add_records(workspace, range(8))
    build_release(workspace, "1.0.0", Problems())
    data = noise_png(8)
    added = sample_record(8, data)
    workspace.add_image(data, added.image_id, ".png")
    bad = records[3]
    artifacts = tuple(
        changed(each, phrase=HOSTILE, explanation=f"{each.explanation} {HOSTILE}", artifact_id=HOSTILE)
        for each in bad.artifacts
    )
    records[3] = changed(
        bad, file_name=HOSTILE, source=HOSTILE, artifacts=artifacts, extra={HOSTILE: HOSTILE}
    )
    ring = (1.0, 1.0, 9.0, 1.0, 9.0, 9.0)
    records[1] = changed(records[1], artifacts=(changed(records[1].artifacts[0], polygons=(ring,)),))
    replace_records(workspace, [*records, added])
    build_release(workspace, "1.1.0", Problems())
    # A build refuses a version that is too low, but somebody may have renamed the folder.
    low = workspace.release_dir("1.1.0").rename(workspace.release_dir("1.0.1"))
    manifest = low / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"version": "1.1.0"', '"version": "1.0.1"'))
    return workspace


def run(workspace: Workspace, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["release", "diff", *arguments, "--workspace", str(workspace.root)])


@pytest.fixture(scope="module")
def html(workspace: Workspace) -> str:
    target = workspace.root / "changes.html"
    result = run(workspace, "1.0.0", "1.0.1", "--html", str(target))
    assert result.exit_code == 1, result.output  # the version is too low
    return target.read_text(encoding="utf-8")


def test_hostile_texts_are_shown_and_do_nothing(html: str) -> None:
    page = Page(html)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "img", "iframe", "link", "object", "a", "form"}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert "<script>alert(1)</script>" in page.text
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "␛[31m" in page.text


def test_the_page_needs_nothing_from_outside(html: str) -> None:
    page = Page(html)
    links = [value for _, attrs in page.tags for name in ("href", "src") if (value := attrs.get(name))]
    assert links
    assert all(link.startswith("data:image/jpeg;base64,") for link in links)
    assert "default-src 'none'" in html
    assert "prefers-color-scheme:dark" in html
    assert not re.search(r"url\(|@import", html)


def test_pictures_are_small_and_have_old_and_new_outlines(html: str) -> None:
    page = Page(html)
    (picture, *_) = [attrs["href"] for tag, attrs in page.tags if tag == "image"]
    assert picture is not None
    image = Image.open(io.BytesIO(base64.b64decode(picture.partition(",")[2])))
    assert (image.format, image.size) == ("JPEG", (48, 32))
    kinds = [(attrs["class"], attrs["points"]) for tag, attrs in page.tags if tag == "polygon"]
    assert ("is", "1 1 9 1 9 9") in kinds
    assert any(kind == "was" for kind, _ in kinds)


def test_every_tag_is_closed_where_it_must_be(html: str) -> None:
    for tag in ("html", "head", "body", "article", "figure", "svg", "ul", "li", "div", "table", "del", "ins"):
        assert len(re.findall(rf"<{tag}[ >]", html)) == len(re.findall(rf"</{tag}>", html)), tag


def test_at_most_as_many_examples_are_shown_as_asked_for_and_the_rest_counted(
    workspace: Workspace, tmp_path: Path
) -> None:
    run(workspace, "1.0.0", "1.0.1", "--html", str(tmp_path / "p.html"), "--examples", "1")
    page = Page((tmp_path / "p.html").read_text(encoding="utf-8"))
    assert sum(tag == "article" for tag, _ in page.tags) == 1
    assert "1 of them are shown, 1 are not." in page.text


def test_the_page_of_a_release_without_its_pictures_says_so(workspace: Workspace, tmp_path: Path) -> None:
    import pyarrow.parquet as pq

    folders = []
    for version in ("1.0.0", "1.0.1"):
        folder = tmp_path / version / "data"
        folder.mkdir(parents=True)
        for path in (workspace.release_dir(version) / "data").glob("*.parquet"):
            pq.write_table(pq.read_table(path).drop_columns(["image"]), folder / path.name)
        folders.append(str(folder.parent))
    result = CliRunner().invoke(main, ["release", "diff", *folders, "--html", str(tmp_path / "p.html")])
    assert result.exit_code == 0, result.output  # no manifest, no version to judge
    assert "The picture could not be read." in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_the_same_releases_give_the_same_page(workspace: Workspace, html: str, tmp_path: Path) -> None:
    run(workspace, "1.0.0", "1.0.1", "--html", str(tmp_path / "again.html"))
    assert (tmp_path / "again.html").read_text(encoding="utf-8") == html


def test_a_version_that_is_too_low_ends_with_1_and_names_the_one_to_take(workspace: Workspace) -> None:
    result = run(workspace, "1.0.0", "1.0.1")
    assert result.exit_code == 1
    assert "version.too_low" in result.stderr
    assert "1.1.0" in result.stderr
    assert "\x1b[31m" not in result.output
    assert "images added: 1" in result.stdout


def test_json_has_everything(workspace: Workspace) -> None:
    found = json.loads(run(workspace, "1.0.0", "1.0.1", "--json").stdout)
    assert [image["file_name"] for image in found["added"]] == ["image 8.png"]
    assert {image["file_name"] for image in found["changed"]} == {"image 1.png", HOSTILE}
    assert found["bump"]["needed"] == "minor"
    assert [problem["code"] for problem in found["problems"]] == ["version.too_low"]


def test_markdown_is_one_line_per_change_and_escaped(workspace: Workspace) -> None:
    text = run(workspace, "1.0.0", "1.0.1", "--markdown").stdout
    assert text.startswith("# Changes from 1.0.0 to 1.0.1\n")
    assert "## Images added\n\n1: " in text
    assert "IoU 0." in text
    assert not re.search(r"<(script|img)", text)
    assert re.findall(r"^#+ .*", text, re.MULTILINE) == [
        "# Changes from 1.0.0 to 1.0.1",
        "## Counts",
        "## Images added",
        "## Images changed",
    ]


def test_equal_releases_end_with_0(workspace: Workspace) -> None:
    result = run(workspace, "1.0.0", "1.0.0", "--markdown")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.endswith("Both hold the same.\n")


def test_what_is_no_release_ends_with_3_and_a_call_that_makes_no_sense_with_2(
    workspace: Workspace, tmp_path: Path
) -> None:
    missing = run(workspace, "1.0.0", "9.9.9")
    assert (missing.exit_code, "9.9.9" in missing.stderr) == (3, True)
    assert run(workspace, "1.0.0", str(tmp_path)).exit_code == 3
    assert run(workspace, "1.0.0", "nowhere").exit_code == 2
    assert run(workspace, "1.0.0", "1.0.1", "--json", "--markdown").exit_code == 2


def test_help_has_an_example() -> None:
    result = CliRunner().invoke(main, ["release", "diff", "--help"])
    assert "synthscars release diff 1.0.0 1.1.0" in result.output.split("Example")[1]
