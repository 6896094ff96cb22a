"""`synthscars.toml`: what a new one holds, and what is told of a wrong one."""

import re
from pathlib import Path

import pytest

from synthscars.problems import WorkspaceError
from synthscars.settings import CONFIG_NAME, ReleaseSettings, new_settings, read_settings


def test_a_new_workspace_has_the_defaults(tmp_path: Path) -> None:
    (tmp_path / CONFIG_NAME).write_text(new_settings("scars"))
    assert read_settings(tmp_path).release == ReleaseSettings()


def test_every_line_that_is_commented_out_is_a_setting_that_works(tmp_path: Path) -> None:
    text = re.sub(r"(?m)^# (\w+ = )", r"\1", new_settings("scars"))
    (tmp_path / CONFIG_NAME).write_text(text)
    release = read_settings(tmp_path).release
    given = {name: getattr(release, name) for name in ReleaseSettings.__struct_fields__}
    assert [name for name, value in given.items() if not value] == ["scrub", "seed"]
    assert release.authors == ("Ada Example", "Ben Example")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('homepage = "javascript:alert(1)"', "[release] homepage: it is not an address that starts with"),
        ('homepage = "https://x.invalid/ <b>"', "[release] homepage: it is not an address"),
        ('doi = "https://doi.org/10.1234/x"', "[release] doi: it is not a DOI such as 10.1234/example"),
        ('language = ["plain English"]', "it is not a list of language tags"),
        ('authors = "Ada"', "[release] authors: Expected `array`, got `str`"),
        ('annotations_creators = ["robots"]', "annotations_creators[0]: Invalid enum value 'robots'"),
    ],
)
def test_a_wrong_setting_of_the_card_is_told(tmp_path: Path, line: str, told: str) -> None:
    (tmp_path / CONFIG_NAME).write_text(f'name = "scars"\n[release]\n{line}\n')
    with pytest.raises(WorkspaceError) as caught:
        read_settings(tmp_path)
    assert told in str(caught.value)
