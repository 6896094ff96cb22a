"""Backups of a real PostgreSQL database, in a cluster made for the test."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from postgres import USER, sql

from synthscars.labelstudio.backup import backup
from synthscars.labelstudio.credentials import ensure_credentials
from synthscars.labelstudio.restoring import restore
from synthscars.problems import PlatformError
from synthscars.workspace import Workspace

pytestmark = pytest.mark.slow


def test_a_database_comes_back_and_the_one_before_is_kept(
    workspace: Workspace, postgres: Path, tmp_path: Path
) -> None:
    sql(postgres, "postgres", "create database scars")
    sql(postgres, "scars", "create table answer (text text)")
    sql(postgres, "scars", "insert into answer values ('six fingers')")
    config = workspace.root / "synthscars.toml"
    setting = f'[platform]\ndatabase = "postgresql://{USER}@/scars?host={postgres}"\n'
    config.write_text(config.read_text().replace("[platform]\n", setting))
    workspace = Workspace.open(workspace.root)
    ensure_credentials(workspace.platform_dir)
    archive = tmp_path / "a.tar.zst"
    assert backup(workspace, archive).database == "postgresql"
    sql(postgres, "scars", "update answer set text = 'changed since'")

    with pytest.raises(PlatformError, match="holds a platform already"):
        restore(workspace, archive)
    # Its folder is gone, but its database is not: nothing is overwritten unasked.
    workspace.platform_dir.rename(tmp_path / "gone")
    with pytest.raises(PlatformError, match="--force"):
        restore(workspace, archive)
    assert sql(postgres, "scars", "select text from answer") == "changed since"
    assert not any(workspace.platform_dir.glob("*.json"))

    done = restore(workspace, archive, force=True)
    assert sql(postgres, "scars", "select text from answer") == "six fingers"
    assert sorted(path.name for path in workspace.platform_dir.iterdir()) == ["credentials.json"]
    kept = list(workspace.root.glob("platform.before-restore-*/before-*.pgdump"))
    assert len(kept) == 1
    assert done.replaced == str(kept[0].parent)
    sql(postgres, "postgres", "create database before")
    subprocess.run(["pg_restore", "-h", str(postgres), "-U", USER, "-d", "before", str(kept[0])], check=True)
    assert sql(postgres, "before", "select text from answer") == "changed since"
