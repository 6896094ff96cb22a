import re
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

import msgspec
import pytest
from click.testing import CliRunner
from PIL import Image

from synthscars.cli import main
from synthscars.labelstudio import guideline_examples
from synthscars.labelstudio.guideline import (
    BROWSERS,
    guideline_html,
    guideline_page,
    write_guideline,
)
from synthscars.labelstudio.guideline_examples import SIDE, examples
from synthscars.labelstudio.interface import confidences, label_config, skip_reasons
from synthscars.problems import PlatformError, UsageError
from synthscars.taxonomy import Taxonomy, load_taxonomy

TAXONOMY = load_taxonomy()


def nasty(taxonomy: Taxonomy) -> Taxonomy:
    """The taxonomy with markup in its texts."""
    first, *others = taxonomy.categories
    spoiled = msgspec.structs.replace(
        first, name='"><script>x</script>', definition="<img src=x onerror=alert(1)> & more"
    )
    return msgspec.structs.replace(taxonomy, categories=(spoiled, *others))


def test_the_guideline_defines_every_subtype() -> None:
    html = guideline_html(TAXONOMY)
    for subtype in TAXONOMY.subtypes:
        assert f"<strong>{subtype.name}</strong> (key {subtype.hotkey}): {subtype.definition}" in html
    assert "No visible artifact" in html
    assert "[taxonomy]" not in html
    assert "[examples]" not in html


def test_every_reason_to_skip_and_every_confidence_is_explained_with_its_key() -> None:
    html = guideline_html(TAXONOMY, pictures=False)
    keys = {
        choice.get("alias"): choice.get("hotkey")
        for choice in ElementTree.fromstring(label_config(TAXONOMY)).iter("Choice")
    }
    for reason, shown in skip_reasons().items():
        assert f"<strong>{shown}</strong> ({keys[reason]})" in html
    for confidence, shown in confidences().items():
        assert f"<td>{keys[confidence]}</td>\n<td>{shown}</td>" in html


def test_markup_in_the_taxonomy_is_shown_and_not_run() -> None:
    html = guideline_html(nasty(TAXONOMY))
    assert "<script>" not in html
    assert "<img" not in html
    assert "&lt;img src=x onerror=alert(1)&gt; &amp; more" in html


def test_the_examples_are_small_pictures_and_always_the_same() -> None:
    shown = examples()
    assert [bool(one.bad) for one in shown] == [True] * 5 + [False]
    for one in shown:
        for picture in one.pictures:
            assert Image.open(BytesIO(picture)).size == (SIDE, SIDE)
        assert one.good != one.bad
        assert one.why.endswith(".")
    # Every project carries them.
    assert len(guideline_html(TAXONOMY)) < 200_000
    guideline_examples.examples.cache_clear()
    guideline_examples._image.cache_clear()
    assert examples() == shown


def test_the_page_holds_its_pictures_and_loads_nothing() -> None:
    page = guideline_page(TAXONOMY)
    found = re.findall(r"url\(([^)]*)\)", page)
    assert len(found) == sum(len(one.pictures) for one in examples())
    for address in found:
        assert Image.open(BytesIO(b64decode(address.removeprefix("data:image/webp;base64,"))))
    assert "http" not in page


def test_as_text_the_pictures_lie_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "guide.md"
    result = CliRunner().invoke(main, ["platform", "guideline", "--output", str(target)])
    assert result.exit_code == 0
    links = re.findall(r"!\[\w+\]\(([^)]*)\)", target.read_text())
    assert len(links) == sum(len(one.pictures) for one in examples())
    assert all((tmp_path / link).is_file() for link in links)


def test_other_files_than_guidelines_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no name for a guideline"):
        write_guideline(TAXONOMY, tmp_path / "guide.docx")


def test_without_a_browser_a_pdf_is_refused_and_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(PlatformError, match="not installed"):
        write_guideline(TAXONOMY, tmp_path / "guide.pdf")
    broken = tmp_path / BROWSERS[0]
    broken.write_text("#!/bin/sh\necho it is broken >&2\nexit 1\n")
    broken.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(PlatformError, match="does not print: it is broken"):
        write_guideline(TAXONOMY, tmp_path / "guide.pdf")
    assert not (tmp_path / "guide.pdf").exists()


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(not Path("/usr/bin/chromium").exists(), reason="chromium is missing")
def test_the_guideline_is_printed(tmp_path: Path) -> None:
    target = tmp_path / "guide.pdf"
    write_guideline(TAXONOMY, target)
    assert target.read_bytes().startswith(b"%PDF")
    assert len(target.read_bytes()) > 50_000
