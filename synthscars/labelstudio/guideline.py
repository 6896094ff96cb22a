"""The guideline: one text, filled from the taxonomy and with worked examples, in the tool and as a file."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from html import escape
from importlib.resources import files
from pathlib import Path

from synthscars.files import atomic_file
from synthscars.labelstudio.guideline_examples import SIDE, Example, data_uri, examples
from synthscars.problems import FormatError, PlatformError, UsageError
from synthscars.taxonomy import Taxonomy

TAXONOMY_MARK = "[taxonomy]"
"""The line of `guideline.md` that is replaced by the definitions of all categories and subtypes."""

EXAMPLES_MARK = "[examples]"
"""The line of `guideline.md` that is replaced by the worked examples."""

SUFFIXES = (".html", ".pdf", ".md")

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
"""Programs that can print a page, in the order in which they are tried."""

_PRINTING = 120
# Label Studio's page takes bullets, numbers and margins away, and its server every style attribute.
_STYLES = {
    "h1": "font-size: 1.5em; font-weight: 600; margin: 0 0 0.5em",
    "h2": "font-size: 1.25em; font-weight: 600; margin: 1em 0 0.4em",
    "h3": "font-size: 1.1em; font-weight: 600; margin: 0.8em 0 0.3em",
    "p": "margin: 0.4em 0",
    "ol": "list-style: decimal; padding-left: 1.6em; margin: 0.4em 0",
    "ul": "list-style: disc; padding-left: 1.6em; margin: 0.4em 0",
    "li": "margin: 0.25em 0",
    "table": "border-collapse: collapse; margin: 0.5em 0",
    "th": "text-align: left; padding: 0.2em 1em 0.2em 0; border-bottom: 1px solid #888",
    "td": "vertical-align: top; padding: 0.2em 1em 0.2em 0; border-bottom: 1px solid #ccc",
    ".pic": f"width: min({SIDE}px, 36vw); aspect-ratio: 1; background-size: cover; margin: 0.3em 0",
}
_PAGE_STYLES = """\
body { font: 15px/1.5 "DejaVu Sans", system-ui, sans-serif; color: #1a1a1a; background: #fff; max-width: 46em;
       margin: 2em auto; padding: 0 1em }
h3, table, .pic { break-inside: avoid } h2, h3 { break-after: avoid }
@media print { body { margin: 0; max-width: none; font-size: 11px } * { print-color-adjust: exact } }
"""


def guideline_html(taxonomy: Taxonomy, *, pictures: bool = True) -> str:
    """The guideline as HTML for Label Studio, with every definition of the taxonomy; all text is escaped.

    Label Studio's server takes the address out of every picture that is in its HTML, so that they come as
    backgrounds from the style sheet. pictures: without, the examples are left out.
    """
    shown = examples() if pictures else ()
    body = _body(taxonomy, shown, lambda number, side: f'<div class="pic pic-{number}-{side}"></div>')
    rules = [f".synthscars {tag} {{ {style} }}" for tag, style in _STYLES.items()]
    for number, example in enumerate(shown, start=1):
        for side, picture in zip(("good", "bad"), example.pictures, strict=False):
            rules.append(f".pic-{number}-{side} {{ background-image: url({data_uri(picture)}) }}")
    style = "\n".join(rules)
    return f'<style>\n{style}\n</style>\n<div class="synthscars">\n{body}</div>\n'


def guideline_page(taxonomy: Taxonomy) -> str:
    """The guideline as an HTML page of its own, pictures included."""
    title = "How to mark artifacts"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{title}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{_PAGE_STYLES}</style>\n</head>\n<body>\n{guideline_html(taxonomy)}</body>\n</html>\n"
    )


def write_guideline(taxonomy: Taxonomy, target: Path) -> None:
    """Write the guideline as a page (`.html`), on paper (`.pdf`) or as text (`.md`, its pictures beside it).

    Raises `UsageError` for any other name, `PlatformError` if a PDF is wanted and there is no browser that
    prints it.
    """
    suffix = target.suffix.lower()
    if suffix not in SUFFIXES:
        what = f"{target.name} is no name for a guideline"
        raise UsageError(what, fix=f"end it with {', '.join(SUFFIXES)}")
    if suffix == ".pdf":
        _print(guideline_page(taxonomy), target)
        return
    text = _markdown(taxonomy, target) if suffix == ".md" else guideline_page(taxonomy)
    with atomic_file(target) as file:
        file.write(text.encode())


def _print(page: str, target: Path) -> None:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        raise PlatformError(
            "a PDF is printed by Chromium, which is not installed",
            fix="install it (apt-get install chromium), or write an .html and print that",
        )
    with tempfile.TemporaryDirectory(prefix="synthscars-") as name:
        source, made = Path(name) / "guideline.html", Path(name) / "guideline.pdf"
        source.write_text(page, encoding="utf-8")
        command = [browser, "--headless", "--disable-gpu", "--no-pdf-header-footer", "--no-first-run"]
        # A browser of root has no sandbox of its own; the page is ours and loads nothing.
        command += ["--no-sandbox"] if os.geteuid() == 0 else []
        command += [f"--user-data-dir={name}/profile", f"--print-to-pdf={made}", source.as_uri()]
        try:
            ended = subprocess.run(command, capture_output=True, timeout=_PRINTING, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PlatformError(f"{browser} does not print: {error}", fix="write an .html instead") from error
        if ended.returncode or not made.is_file():
            said = ended.stderr.decode("utf-8", "replace").strip().splitlines()
            raise PlatformError(
                f"{browser} does not print: {said[-1] if said else 'it says nothing'}",
                fix="write an .html and print that",
            )
        with atomic_file(target) as file:
            file.write(made.read_bytes())


def _body(taxonomy: Taxonomy, shown: tuple[Example, ...], picture: Callable[[int, str], str]) -> str:
    from markdown_it import MarkdownIt

    # Raw HTML is shown as text: definitions come from a file that anybody may edit.
    markdown = MarkdownIt("commonmark", {"html": False}).enable("table")
    parts = [str(markdown.render(part)) for part in _filled(taxonomy).split(EXAMPLES_MARK, 1)]
    told = "".join(_example(number, one, picture) for number, one in enumerate(shown, start=1))
    return told.join(parts)


def _filled(taxonomy: Taxonomy) -> str:
    text = (files("synthscars.annotation_configs") / "guideline.md").read_text(encoding="utf-8")
    for mark in (TAXONOMY_MARK, EXAMPLES_MARK):
        if mark not in text:
            raise FormatError(f"guideline.md: the line {mark} is missing")
    return text.replace(TAXONOMY_MARK, _definitions(taxonomy))


def _example(number: int, example: Example, picture: Callable[[int, str], str]) -> str:
    head = f"<h3>{escape(example.title)}</h3>\n"
    if not example.bad:
        return f"{head}{picture(number, 'good')}\n<p>{escape(example.why)}</p>\n"
    rows = [
        ("", "good", "not good"),
        ("", picture(number, "good"), picture(number, "bad")),
        ("where", escape(example.phrase), escape(example.bad_phrase)),
        ("why", escape(example.explanation), escape(example.bad_explanation)),
    ]
    first, *others = rows
    cells = "".join(f"<th>{cell}</th>" for cell in first)
    lines = "".join("<tr>" + "".join(f"<td>{cell}</td>" for cell in row) + "</tr>\n" for row in others)
    # As the server writes tables: else the project would seem to differ at every push.
    table = f"<table>\n<thead>\n<tr>{cells}</tr>\n</thead>\n<tbody>\n{lines}</tbody>\n</table>\n"
    return f"{head}{table}<p>{escape(example.why)}</p>\n"


def _markdown(taxonomy: Taxonomy, target: Path) -> str:
    folder = target.with_name(f"{target.stem}-pictures")
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[str] = []
    for number, example in enumerate(examples(), start=1):
        links: list[str] = []
        for side, picture in zip(("good", "bad"), example.pictures, strict=False):
            name = f"example-{number}-{side}.webp"
            with atomic_file(folder / name) as file:
                file.write(picture)
            links.append(f"![{side}]({folder.name}/{name})")
        parts += [f"### {example.title}", ""]
        if example.bad:
            parts += ["| | good | not good |", "|---|---|---|", f"| | {' | '.join(links)} |"]
            parts += [f"| where | {example.phrase} | {example.bad_phrase} |"]
            parts += [f"| why | {example.explanation} | {example.bad_explanation} |", ""]
        else:
            parts += [links[0], ""]
        parts += [example.why, ""]
    return _filled(taxonomy).replace(EXAMPLES_MARK, "\n".join(parts))


def _definitions(taxonomy: Taxonomy) -> str:
    lines: list[str] = []
    for category in taxonomy.categories:
        lines += [f"### {category.name} (key {category.hotkey})", "", category.definition, ""]
        for subtype in taxonomy.subtypes_of(category.id):
            told = "; ".join(subtype.examples)
            lines.append(
                f"- **{subtype.name}** (key {subtype.hotkey}): {subtype.definition} For example: {told}."
            )
        lines.append("")
    return "\n".join(lines)
