import os
import stat
from pathlib import Path

import pytest

from synthscars.labelstudio.credentials import (
    FILE_NAME,
    Account,
    ensure_credentials,
    load_credentials,
    save_credentials,
)
from synthscars.problems import PlatformError


def test_secrets_are_made_once_and_readable_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "platform"
    before = os.umask(0)  # the most careless of all settings
    try:
        made = ensure_credentials(folder)
        save_credentials(folder, made)
    finally:
        os.umask(before)
    assert stat.S_IMODE((folder / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert ensure_credentials(folder) == made == load_credentials(folder)
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_secrets_that_a_copy_opened_to_others_are_closed_again(tmp_path: Path) -> None:
    made = ensure_credentials(tmp_path)
    tmp_path.chmod(0o755)
    (tmp_path / FILE_NAME).chmod(0o644)
    assert ensure_credentials(tmp_path) == made
    assert stat.S_IMODE((tmp_path / FILE_NAME).stat().st_mode) == 0o600
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


def test_no_two_workspaces_share_a_secret(tmp_path: Path) -> None:
    first, second = (ensure_credentials(tmp_path / name).owner for name in "ab")
    assert first.password != second.password
    assert first.token != second.token
    assert len(first.token) == 40  # what Label Studio takes as a token


def test_printing_an_account_shows_no_secret() -> None:
    account = Account(email="a@example.org", password="hush-password", token="hush-token", id=3)
    assert "hush" not in f"{account} {account!r} {[account]}"


def test_lost_credentials_of_an_existing_database_are_not_replaced_silently(tmp_path: Path) -> None:
    (tmp_path / "label_studio.sqlite3").write_bytes(b"")
    with pytest.raises(PlatformError, match="already has a database"):
        ensure_credentials(tmp_path)


def test_missing_and_damaged_files_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(PlatformError, match="is missing"):
        load_credentials(tmp_path)
    (tmp_path / FILE_NAME).write_text("{")
    with pytest.raises(PlatformError, match="cannot be read"):
        load_credentials(tmp_path)
