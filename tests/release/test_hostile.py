"""A release in which every text from outside is an attack: none of it becomes mark-up, YAML, or an escape."""

from __future__ import annotations

import json
import os
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import mlcroissant as mlc
import msgspec
import pytest
import yaml
from click.testing import CliRunner
from markdown_it import MarkdownIt
from releasing import filled_workspace, replace_records

from synthscars.cli import main
from synthscars.cli.common import fail, print_json, show_problems
from synthscars.jsonl import read_records
from synthscars.problems import Problems
from synthscars.records import ImageRecord
from synthscars.release import build_release
from synthscars.release.deprecate import deprecate
from synthscars.workspace import Workspace

EVIL = (
    "</title></style></script>--><script>evil()</script><img src=x onerror=evil()>"
    "\"' onmouseover=evil() x='\" javascript:evil() <a href='javascript:evil()'>evil</a> "
    "[evil](javascript:evil()) ![evil](https://evil.example/x.png) <https://evil.example> **evil** _evil_ "
    "`evil` | evil | # evil\n\n# evil\n\n---\nevil: true\n---\n- evil\n1. evil\n> evil\n\n```\nevil\n```\n"
    "~~~\n\tevil\n&lt;evil&gt; &amp; {{evil}} {% evil %} ${evil} $$evil$$ %s %(evil)s {0} {evil} \\evil "
    "[link=evil]evil[/link] [bold red]evil[/] \x1b]8;;https://evil.example\x1b\\evil\x1b[2J\x1b[31m \x9b31m "
    "\x00\x07\x08\r\x7f \u202egnp.live\u202c \u2066x\u2069 \u200f\u2028\u2029 😈 👩‍👩‍👧 中文 ']]> ]]> <!--"
)
NAME = EVIL.replace("\x00", "")
HEADER = {
    "language", "license", "license_name", "pretty_name", "tags", "task_categories", "size_categories",
    "annotations_creators", "source_datasets", "configs", "dataset_info",
}  # fmt: skip
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def evil_record(record: ImageRecord, note: str = "") -> ImageRecord:
    """The record with every text in it replaced."""
    text = f"{EVIL}{note}"
    artifacts = tuple(
        msgspec.structs.replace(
            each, phrase=text, explanation=text, rater_id=f"{NAME}1", artifact_id=f"{n} {text}"
        )
        for n, each in enumerate(record.artifacts)
    )
    generation = record.generation and msgspec.structs.replace(
        record.generation,
        tool=text,
        model=text,
        prompt=text,
        negative_prompt=text,
        parameters={text: text},
        raw={text: text},
    )
    return msgspec.structs.replace(
        record,
        file_name=f"{record.image_id[:4]} {NAME}.png".replace("/", "⁄"),
        artifacts=artifacts,
        reviews=tuple(
            msgspec.structs.replace(each, rater_id=f"{NAME}1", scene=text) for each in record.reviews
        ),
        caption="",
        generation=generation,
        source=text,
        license=text,
        extra={text: text},
    )


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    root = tmp_path_factory.mktemp("hostile") / "w"
    workspace = filled_workspace(root, 12)
    config = root / "synthscars.toml"
    config.write_text(
        re.sub(r'^name = ".*"$', lambda _: f"name = {_toml(NAME)}", config.read_text(), flags=re.MULTILINE)
        + f"""
pretty_name = {_toml(NAME)}
license_name = {_toml(NAME)}
authors = [{_toml(NAME)}, {_toml(NAME)}]
contact = {_toml(NAME)}
citation = {_toml(NAME)}
curation = {_toml(NAME)}
language_variety = {_toml(NAME)}
annotators = {_toml(NAME)}
images = {_toml(NAME)}
uses = {_toml(NAME)}
personal_data = {_toml(NAME)}
"""
    )
    workspace = Workspace.open(root)
    records = [evil_record(each) for each in read_all(workspace)]
    replace_records(workspace, records)
    build_release(workspace, "1.0.0", Problems())
    replace_records(workspace, [evil_record(each, f" and {n}") for n, each in enumerate(records)])
    build_release(workspace, "1.1.0", Problems())
    deprecate(workspace, "1.0.0", reason=NAME, use="1.1.0")
    replace_records(workspace, [evil_record(each, f" or {n}") for n, each in enumerate(records)])
    build_release(workspace, "1.1.1", Problems())
    return workspace


def read_all(workspace: Workspace) -> list[ImageRecord]:
    return list(read_records(sorted(workspace.records_dir.iterdir())[-1]))


def _toml(text: str) -> str:
    return '"' + "".join(f"\\u{ord(each):04x}" if ord(each) < 0x10000 else each for each in text) + '"'


def run(workspace: Workspace, *arguments: str) -> str:
    result = CliRunner().invoke(main, ["release", *arguments, "-w", str(workspace.root)], color=True)
    assert result.exit_code in (0, 1), result.output
    assert not isinstance(result.exception, Exception) or isinstance(result.exception, SystemExit)
    return result.output


class Page(HTMLParser):
    """Where texts from outside stand, and what there is of elements and attributes."""

    VOID = frozenset({"meta", "img", "input", "br", "hr", "rect", "path"})

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.evil: set[tuple[str, ...]] = set()
        self.tags: list[str] = []
        self.attributes: set[tuple[str, str]] = set()
        self.addresses: set[str] = set()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.attributes.add((tag, name))
            if name in ("href", "src", "action", "srcset", "style", "id"):
                self.addresses.add(f"{name}={value}")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data: str) -> None:
        if "evil" in data:
            self.evil.add(tuple(self.open))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data[:80]}")


def assert_harmless(page: Page) -> None:
    assert page.evil, "nothing of the texts is shown"
    inside = {tag for where in page.evil for tag in where}
    assert inside.isdisjoint({"a", "script", "style", "iframe", "object", "svg", "form", "button"})
    assert {"script", "iframe", "object", "embed", "link", "base", "form"}.isdisjoint(page.tags)
    assert {name for _, name in page.attributes if name.startswith("on")} == set()
    for address in page.addresses:
        if not address.startswith(("id=card-", "href=#card-")):
            assert "evil" not in address


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0", "1.1.1"])
@pytest.mark.parametrize("name", ["README.md", "DATA_STATEMENT.md", "CHANGES.md"])
def test_markdown_has_no_mark_up_from_outside(workspace: Workspace, version: str, name: str) -> None:
    path = workspace.release_dir(version) / name
    if name == "CHANGES.md" and version == "1.0.0":
        assert not path.exists()
        return
    text = path.read_text(encoding="utf-8")
    assert CONTROLS.search(text) is None
    assert len(text) < 500_000
    body = text.split("---\n", 2)[2] if text.startswith("---\n") else text
    html = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(body)
    page = Page(html)
    assert_harmless(page)
    allowed = {"h1", "p", "ul", "ol", "li", "table", "thead", "tbody", "tr", "td", "th", "pre", "code"}
    allowed |= {"s", "strong"} if name == "CHANGES.md" else set()
    for where in page.evil:
        assert set(where) <= allowed
        assert ("code" in where) == ("pre" in where)
    headings = [tag for tag in page.tags if tag in ("h1", "h2", "h3", "hr")]
    ours = re.findall(
        r"^#+ (?!evil)", re.sub(r"^(`{3,})[^`]*?^\1$", "", body, flags=re.MULTILINE), re.MULTILINE
    )
    assert len(headings) == len(ours)


@pytest.mark.parametrize("version", ["1.0.0", "1.1.0", "1.1.1"])
def test_the_header_of_the_card_has_only_our_keys(workspace: Workspace, version: str) -> None:
    text = (workspace.release_dir(version) / "README.md").read_text(encoding="utf-8")
    header = yaml.safe_load(text.split("---\n", 2)[1])
    assert set(header) <= HEADER
    assert [each["config_name"] for each in header["configs"]] == ["default", "raters", "detection"]
    assert re.fullmatch(r"[a-z0-9.+-]+", header["license_name"])


def test_the_croissant_file_is_valid(workspace: Workspace) -> None:
    path = workspace.release_dir("1.1.1") / "croissant.json"
    dataset = mlc.Dataset(jsonld=path)
    assert not dataset.metadata.ctx.issues.errors
    assert len(path.read_bytes()) < 200_000


@pytest.mark.parametrize(
    "arguments", [("card", "1.1.1", "--html"), ("diff", "1.0.0", "1.1.1", "--html")], ids=lambda each: each[0]
)
def test_pages_are_harmless(workspace: Workspace, tmp_path: Path, arguments: tuple[str, ...]) -> None:
    target = tmp_path / "page.html"
    run(workspace, *arguments, str(target))
    text = target.read_text(encoding="utf-8")
    assert CONTROLS.search(text) is None
    page = Page(text)
    assert_harmless(page)
    assert page.tags.count("title") == page.tags.count("style") == page.tags.count("body") == 1
    assert "default-src 'none'" in text


@pytest.mark.parametrize(
    "arguments",
    [
        ("list",),
        ("list", "--json"),
        ("card", "1.1.1"),
        ("card", "1.1.1", "--json"),
        ("check", "1.1.1"),
        ("check", "1.1.1", "--json"),
        ("diff", "1.0.0", "1.1.1"),
        ("diff", "1.0.0", "1.1.1", "--json"),
        ("diff", "1.0.0", "1.1.1", "--markdown"),
        ("deprecate", "1.1.0", "--reason", NAME, "--use", "1.1.1"),
    ],
    ids=" ".join,
)
def test_nothing_reaches_the_terminal_as_a_command(
    workspace: Workspace, arguments: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = run(workspace, *arguments)
    assert "evil" in text or arguments[0] in ("check", "deprecate")
    assert CONTROLS.search(text) is None


def test_problems_and_errors_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    problems = Problems()
    problems.add("evil.code", EVIL, file=EVIL, image=EVIL, region=EVIL, fix=EVIL)
    show_problems(problems)
    with pytest.raises(SystemExit):
        fail(EVIL, EVIL, 3)
    shown = capsys.readouterr().err
    assert shown.count("␛") > 10
    assert CONTROLS.search(shown) is None


def test_json_says_the_same_without_what_a_terminal_obeys(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"text": EVIL})
    printed = capsys.readouterr().out
    assert CONTROLS.search(printed) is None
    assert json.loads(printed) == {"text": EVIL}


def test_a_folder_whose_name_is_no_text_is_checked(workspace: Workspace, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"odd \xff\x1b[2J")
    shutil.copytree(workspace.release_dir("1.1.1"), folder)
    shutil.copyfile(
        next((folder / "data").glob("train*")), folder / "data" / os.fsdecode(b"train-\xff.parquet")
    )
    for options in ((), ("--json",)):
        text = run(workspace, "check", str(folder), *options)
        assert "file.unlisted" in text
        assert CONTROLS.search(text) is None
    run(workspace, "card", str(folder), "--html", str(tmp_path / "page.html"))
