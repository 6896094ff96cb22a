"""The dataset card, `README.md`, and what belongs to it: figures, guideline and data statement."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from synthscars.files import atomic_file
from synthscars.release import card_process, card_text
from synthscars.release.card_front import front_matter
from synthscars.release.figures import Shown, write_figures
from synthscars.release.manifest import Manifest
from synthscars.release.markdown import markdown_line, markdown_table
from synthscars.release.statement import GUIDELINE_NAME, STATEMENT_NAME, data_statement, guideline
from synthscars.release.totals import Totals
from synthscars.settings import ReleaseSettings

__all__ = ["CARD_NAME", "draw_figures", "markdown_line", "markdown_table", "write_card"]

CARD_NAME = "README.md"


def draw_figures(
    folder: Path,
    name: str,
    version: str,
    splits: Sequence[str],
    totals: Totals,
    settings: ReleaseSettings,
    picture: Callable[[str], bytes | None] | None = None,
) -> list[Shown]:
    """Write `figures/` and say what they show; nothing if settings say that there are none.

    name, version: of the release. splits: those that it has. picture: see `write_card`.
    """
    title = settings.pretty_name or name
    return write_figures(folder, f"{title} {version}", splits, totals, picture) if settings.figures else []


def write_card(
    folder: Path,
    manifest: Manifest,
    totals: Totals,
    settings: ReleaseSettings,
    *,
    picture: Callable[[str], bytes | None] | None = None,
    shown: Sequence[Shown] | None = None,
    deprecations: str = "",
) -> None:
    """Write `README.md`, `DATA_STATEMENT.md`, `figures/` and, if raters followed it, `GUIDELINE.md`.

    picture: gives the original bytes of an image by its id, for the examples; None if they are not at hand.
    shown: what `draw_figures` drew before, which is then not drawn again. deprecations: what is to be said
    about versions that should not be used, as Markdown.
    """
    title = settings.pretty_name or manifest.name
    if shown is None:
        splits = list(manifest.splits)
        shown = draw_figures(folder, manifest.name, manifest.version, splits, totals, settings, picture)
    report = totals.agreement.report()
    parts = [
        front_matter(manifest, totals, settings, title),
        card_text.introduction(manifest, totals, title),
        *card_text.figures(shown, "examples.jpg"),
        card_text.loading(manifest),
        card_text.counts(manifest, totals),
        *card_text.figures(shown, "composition.png"),
        card_text.statistics(totals),
        *card_text.figures(shown, "sizes.png", "places.png"),
        card_text.fields(),
        *([card_text.example(totals.example, totals.example_drawn)] if totals.example else []),
        card_text.categories(),
        card_process.annotation(manifest, totals),
        card_process.agreement(report),
        *card_text.figures(shown, "agreement.png"),
        card_text.generators(totals),
        card_text.licences(totals, settings),
        card_text.limits(manifest, totals),
        card_text.about_versions(manifest, deprecations),
        card_text.citation(manifest, settings, title),
    ]
    texts = {CARD_NAME: "\n\n".join(parts), STATEMENT_NAME: data_statement(manifest, totals, settings)}
    if card_process.annotated_here(manifest):
        texts[GUIDELINE_NAME] = guideline()
    for name, text in texts.items():
        with atomic_file(folder / name) as file:
            file.write((text.rstrip() + "\n").encode())
