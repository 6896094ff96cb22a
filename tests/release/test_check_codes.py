"""Every code that the check gives is listed once, and the documentation has the list."""

from __future__ import annotations

import json
import re
from pathlib import Path

from click.testing import CliRunner

import synthscars.release.check as package
from synthscars.cli import main
from synthscars.release.check.codes import CODES, codes_markdown

CHECK = Path(package.__file__).parent
ROOTS = sorted({name.split(".")[0] for name in CODES})
# Of a reader of one format, and not of the check.
NOT_OURS = {"published.py", "codes.py"}


def test_every_code_in_the_source_is_listed() -> None:
    files = [path for path in CHECK.glob("*.py") if path.name not in NOT_OURS]
    files += [CHECK.parents[1] / name for name in ("geometry.py", "images.py")]
    files += [CHECK.parent / "personal.py", CHECK.parent / "scrub_exif.py"]
    pattern = re.compile(rf'"((?:{"|".join(ROOTS)})\.[a-z_]+)"')
    used = {code for path in files for code in pattern.findall(path.read_text()) if not code.endswith(".py")}
    used -= {"image.png"}
    derived = {
        name for name in CODES if name.startswith("drift.") or name in ("phrase.empty", "explanation.empty")
    }
    assert used - set(CODES) == set()
    assert set(CODES) - used - derived == set()


def test_every_measure_of_drift_has_a_code() -> None:
    from synthscars.release.check import drift

    names = {f"drift.{name}" for name in (*drift._SHARES, *drift._NUMBERS)}
    others = {"drift.not_compared", "drift.vanished", "drift.new_rater"}
    assert {name for name in CODES if name.startswith("drift.")} == names | others


def test_the_documentation_has_the_table() -> None:
    assert codes_markdown() in (Path(__file__).parents[2] / "docs/how-to/check.md").read_text()


def test_the_command_lists_them() -> None:
    result = CliRunner().invoke(main, ["release", "check", "--codes", "--json"])
    assert result.exit_code == 0
    assert list(json.loads(result.stdout)) == list(CODES)
    assert "leak.lookalike" in CliRunner().invoke(main, ["release", "check", "--codes"]).stdout
