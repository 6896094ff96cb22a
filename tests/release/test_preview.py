"""The card in the terminal and on a page that looks as on the Hub, also of hostile releases."""

import base64
import io
import json
import re
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result
from pages import Page
from PIL import Image
from releasing import add_records, changed, noise_png, replace_records

from synthscars.cli import main
from synthscars.problems import Problems, ReleaseError
from synthscars.release import build_release
from synthscars.release.preview import Card, read_card, sources, views
from synthscars.release.preview_card import card_html, header_tags
from synthscars.release.preview_page import SIDE
from synthscars.taxonomy import load_taxonomy
from synthscars.workspace import Workspace

HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(2)> & \x1b[31m \u202e [bold]|`# '


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """A release of 24 images, all texts of one of them hostile."""
    workspace = Workspace.create(tmp_path_factory.mktemp("preview") / "w", "n")
    records = add_records(workspace, range(24))
    bad = records[3]
    artifacts = tuple(
        changed(each, phrase=HOSTILE, explanation=HOSTILE, artifact_id=HOSTILE) for each in bad.artifacts
    )
    generation = changed(bad.generation or records[1].generation, prompt=HOSTILE, model=HOSTILE)
    records[3] = changed(
        bad,
        file_name=HOSTILE,
        source=HOSTILE,
        license=HOSTILE,
        artifacts=artifacts,
        extra={HOSTILE: HOSTILE},
        generation=generation,
    )
    replace_records(workspace, records)
    build_release(workspace, "1.0.0", Problems())
    return workspace


def run(workspace: Workspace, *arguments: str, terminal: bool = False) -> Result:
    # TTY_COMPATIBLE outranks what the surroundings say of colours and terminals.
    environment = {"TTY_COMPATIBLE": "1" if terminal else "0", "COLUMNS": "100"}
    return CliRunner().invoke(
        main, ["release", "card", *arguments, "--workspace", str(workspace.root)], env=environment
    )


@pytest.fixture(scope="module")
def html(workspace: Workspace) -> str:
    target = workspace.root / "preview.html"
    result = run(workspace, "--html", str(target))
    assert result.exit_code == 0, result.output
    return target.read_text(encoding="utf-8")


def pictures(html: str, panel: int) -> list[Image.Image]:
    part = html.split(f'<div class="view p{panel}">')[1].split('<p class="foot">')[0]
    found = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', part)
    return [Image.open(io.BytesIO(base64.b64decode(each))) for each in found]


# The page


def test_hostile_texts_are_shown_and_do_nothing(html: str) -> None:
    page = Page(html)
    tags = {tag for tag, _ in page.tags}
    assert not tags & {"script", "iframe", "link", "object", "form", "base", "embed"}
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert page.text.count("<script>alert(1)</script>") > 5
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "␛[31m" in page.text


def test_the_page_needs_nothing_from_outside_and_runs_nothing(html: str) -> None:
    page = Page(html)
    (policy,) = [attrs["content"] for _, attrs in page.tags if "http-equiv" in attrs]
    assert policy is not None
    assert policy.startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    loaded = [attrs["src"] for _, attrs in page.tags if "src" in attrs]
    assert loaded
    assert all(str(address).startswith("data:image/") for address in loaded)
    assert not re.search(r"url\(|@import", html)
    assert "prefers-color-scheme:dark" in html


def test_every_config_and_split_has_a_table_that_a_radio_button_shows(html: str) -> None:
    page = Page(html)
    radios = [attrs for tag, attrs in page.tags if tag == "input"]
    expected = [
        f"{c}, {s}" for c in ("default", "raters", "detection") for s in ("train", "validation", "test")
    ]
    assert [attrs["aria-label"] for attrs in radios] == expected
    assert [("checked" in attrs) for attrs in radios] == [True] + [False] * 8
    assert html.count('<div class="view ') == 9
    for number in range(9):
        assert f"#v{number}:checked~.views>.p{number}{{display:block}}" in html


def test_there_is_a_small_picture_for_every_row_with_outlines_where_the_config_has_regions(html: str) -> None:
    default, detection = pictures(html, 0), pictures(html, 6)
    assert len(default) == len(detection) == 19
    for image in (*default, *detection):
        assert image.format == "JPEG"
        assert max(image.size) <= SIDE
    drawn = [one.resize((24, 16)).tobytes() != other.resize((24, 16)).tobytes()
             for one, other in zip(default, detection, strict=True)]  # fmt: skip
    assert any(drawn)


def test_the_first_rows_are_shown_and_all_are_counted(workspace: Workspace, tmp_path: Path) -> None:
    run(workspace, "--html", str(tmp_path / "p.html"), "--rows", "2")
    html = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert len(pictures(html, 0)) == 2
    assert "the first 2 of 19 rows" in Page(html).text


def test_every_tag_is_closed_where_it_must_be(html: str) -> None:
    for tag in (
        "html",
        "head",
        "body",
        "section",
        "div",
        "table",
        "details",
        "summary",
        "svg",
        "h2",
        "dl",
        "a",
    ):
        assert len(re.findall(rf"<{tag}[ >]", html)) == len(re.findall(rf"</{tag}>", html)), tag


def test_the_same_release_gives_the_same_page_wherever_it_is(workspace: Workspace, html: str) -> None:
    run(workspace, "1.0.0", "--html", str(workspace.root / "again.html"))
    assert (workspace.root / "again.html").read_text(encoding="utf-8") == html
    assert str(workspace.root) not in html


# Distributions


def test_distributions_are_those_of_all_rows(workspace: Workspace) -> None:
    folder = workspace.release_dir("1.0.0")
    found = sources(folder, read_card(folder).header)
    (train,) = [
        view for view in views(found, Problems(), rows=1) if (view.config, view.split) == ("default", "train")
    ]
    rows = [row for path in (folder / "data").glob("train-*") for row in pq.read_table(path).to_pylist()]
    names = load_taxonomy().category_ids
    assert (train.total, len(train.rows)) == (len(rows), 1)
    categories = Counter(names[each["category"]] for row in rows for each in row["artifacts"])
    assert train.distributions["artifacts.category"].counts == categories
    assert train.distributions["content_type"].missing == sum(row["content_type"] is None for row in rows) > 0
    items = train.distributions["artifacts"]
    assert (items.least, items.most, sum(items.bins)) == (0, 3, len(rows))
    assert [count for count in items.bins if count] == [
        count for _, count in sorted(Counter(len(row["artifacts"]) for row in rows).items())
    ]
    lengths = train.distributions["caption"]
    assert (lengths.least, lengths.most) == (
        min(len(row["caption"]) for row in rows),
        max(len(row["caption"]) for row in rows),
    )
    assert train.distributions["license"].kind == "classes"
    assert train.distributions["image_id"].kind == "lengths"


# Files


def test_no_file_outside_the_folder_is_read(workspace: Workspace, tmp_path: Path) -> None:
    release = workspace.release_dir("1.0.0")
    inside = next((release / "data").glob("train-*"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data/train-00000.parquet").write_bytes(inside.read_bytes())
    (tmp_path / "data/train-00001.parquet").symlink_to(inside)
    header = {
        "configs": [
            {"config_name": "a", "data_files": [{"split": "train", "path": "data/train-*.parquet"}]},
            {"config_name": "b", "data_files": [{"split": "train", "path": f"{release}/data/*.parquet"}]},
            {"config_name": "c", "data_files": [{"split": "train", "path": "../**/*.parquet"}]},
            "nonsense",
            {"data_files": 7},
        ]
    }
    (only,) = sources(tmp_path, header)
    assert (only.config, [path.name for path in only.files]) == ("a", ["train-00000.parquet"])


def test_a_release_in_the_cache_of_the_hub_is_read_through_its_links(
    workspace: Workspace, tmp_path: Path
) -> None:
    release = workspace.release_dir("1.0.0")
    snapshot, blobs = tmp_path / "snapshots/abc", tmp_path / "blobs"
    (snapshot / "data").mkdir(parents=True)
    blobs.mkdir()
    for number, path in enumerate(sorted([release / "README.md", *(release / "data").iterdir()])):
        (blobs / str(number)).write_bytes(path.read_bytes())
        (snapshot / path.relative_to(release)).symlink_to(blobs / str(number))
    found = sources(snapshot, read_card(snapshot).header)
    assert [(each.config, each.split) for each in found][:3] == [
        ("default", "train"),
        ("default", "validation"),
        ("default", "test"),
    ]


def test_damaged_files_are_told_and_the_rest_is_shown(workspace: Workspace, tmp_path: Path) -> None:
    release = workspace.release_dir("1.0.0")
    (tmp_path / "data").mkdir()
    (tmp_path / "README.md").write_bytes((release / "README.md").read_bytes())
    for path in (release / "data").iterdir():
        (tmp_path / "data" / path.name).write_bytes(
            b"PAR1" if path.name.startswith("test") else path.read_bytes()
        )
    result = run(workspace, str(tmp_path), "--html", str(tmp_path / "p.html"))
    assert result.exit_code == 1
    assert "file.unreadable" in result.stderr
    assert len(pictures((tmp_path / "p.html").read_text(encoding="utf-8"), 0)) == 19


# The card


def test_figures_of_the_release_are_in_the_page_and_nothing_else_is(tmp_path: Path) -> None:
    folder = tmp_path / "release"
    (folder / "figures").mkdir(parents=True)
    (folder / "figures/one.png").write_bytes(noise_png(1))
    (folder / "figures/secret.png").write_text("no picture")
    (tmp_path / "outside.png").write_bytes(noise_png(2))
    text = "\n\n".join(
        f"![what {name}]({name})"
        for name in (
            "figures/one.png",
            "figures/secret.png",
            "../outside.png",
            "https://example.org/x.png",
            "figures/none.png",
            "data:image/svg+xml;base64,PHN2Zz4=",
        )
    )
    html = card_html(Card({}, text), folder)
    loaded = [attrs["src"] for tag, attrs in Page(html).tags if tag == "img"]
    assert loaded == [f"data:image/png;base64,{base64.b64encode(noise_png(1)).decode()}"]
    assert "https://example.org/x.png" in Page(html).text


def test_markdown_of_the_card_is_rendered_and_html_in_it_is_text(tmp_path: Path) -> None:
    text = (
        "# A & B\n\n## A & B\n\n| a | b |\n|---|---|\n| 1 | `2` |\n\n<b onclick=x>bold</b> **strong**\n\n"
        "[web](https://example.org/?a=1&b=2) [bad](javascript:alert(1)) [file](manifest.json) [up](#a--b)\n"
    )
    page = Page(card_html(Card({}, text), tmp_path))
    assert ("h2", {"id": "card-a--b"}) in page.tags
    assert ("h3", {"id": "card-a--b-1"}) in page.tags
    assert {"table", "td", "code", "strong"} <= {tag for tag, _ in page.tags}
    assert "<b onclick=x>bold</b>" in page.text
    links = [attrs.get("href") for tag, attrs in page.tags if tag == "a"]
    assert links == ["https://example.org/?a=1&b=2", None, "#card-a--b"]
    assert "javascript" in page.text


def test_tags_are_those_of_the_header() -> None:
    header = {
        "license": "other",
        "license_name": "ours",
        "task_categories": ["image-segmentation"],
        "language": "en",
        "size_categories": ["n<1K"],
        "configs": [{"config_name": "default"}, {"config_name": "raters"}, 3],
        "tags": [{"no": "text"}],
    }
    assert header_tags(header) == [
        ("Tasks", ["image-segmentation"]),
        ("Languages", ["en"]),
        ("Size", ["n<1K"]),
        ("License", ["ours"]),
        ("Subsets", ["default", "raters"]),
    ]


def test_json_is_the_header(workspace: Workspace) -> None:
    header = json.loads(run(workspace, "--json").stdout)
    assert [config["config_name"] for config in header["configs"]] == ["default", "raters", "detection"]
    assert header["license"] == "other"


@pytest.mark.parametrize("terminal", [False, True])
def test_the_terminal_shows_the_card_and_no_control_characters_of_the_data(
    workspace: Workspace, terminal: bool
) -> None:
    result = run(workspace, terminal=terminal)
    assert result.exit_code == 0, result.output
    assert "Known limits" in result.stdout
    assert "\x1b[31m" not in result.stdout
    assert "\u202e" not in result.stdout
    # For a pipe, the Markdown as it is; at a terminal, the tags first.
    assert ("# n 1.0.0" in result.stdout) is not terminal
    assert ("image-segmentation" in result.stdout) is terminal


BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(9)
)


@pytest.mark.parametrize(
    "card",
    [f"---\n{BOMB}---\n", "---\na: [\n---\n", "---\n- list\n---\n", "---\na: !!python/name:os.system\n---\n"],
)
def test_a_header_that_is_none_is_told(workspace: Workspace, tmp_path: Path, card: str) -> None:
    (tmp_path / "README.md").write_text(card)
    result = run(workspace, str(tmp_path))
    assert result.exit_code == 3, result.output
    assert "header" in result.stderr


def test_a_card_without_a_header_is_shown_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# Only text\n")
    assert read_card(tmp_path) == Card({}, "# Only text\n")


def test_what_is_no_release_is_told(workspace: Workspace, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"has no README\.md"):
        read_card(tmp_path)
    assert run(workspace, str(tmp_path)).exit_code == 3
    assert run(workspace, "9.9.9").exit_code == 3
    assert run(workspace, "nowhere").exit_code == 2


def test_help_has_an_example() -> None:
    result = CliRunner().invoke(main, ["release", "card", "--help"])
    assert "synthscars release card 1.0.0 --html preview.html" in result.output.split("Example")[1]
