"""What the documentation says can be done, done."""

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest
from releasing import filled_workspace

from synthscars.cli import main
from synthscars.problems import Problems
from synthscars.release import build_release

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page, language):
    return re.findall(
        rf"^```{language}\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


@pytest.fixture(scope="module")
def scars(tmp_path_factory):
    """A workspace `my-scars` with release 0.1.0 and a model, as the pages assume."""
    workspace = filled_workspace(tmp_path_factory.mktemp("docs") / "my-scars", 12)
    build_release(workspace, "0.1.0", Problems())
    shutil.copytree(ROOT / "tests/data/synthscars", workspace.root / "published")
    if importlib.util.find_spec("torch") is not None:
        from tiny_legion import untrained

        untrained(workspace.root / "model")
    return workspace.root


def needs(block):
    """The package that a snippet names in its first line, `# needs polars`, because we do not install it."""
    found = re.match(r"# needs (\w+)\n", block)
    return found[1] if found else None


SNIPPETS = [
    pytest.param(page, package, id=page.name if package is None else f"{page.name}-{package}")
    for page in PAGES
    for package in dict.fromkeys(map(needs, blocks(page, "python")))
]


@pytest.mark.parametrize(("page", "package"), SNIPPETS)
def test_the_python_snippets_run(page, package, scars, tmp_path):
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"{package} is not installed")
    code = "\n".join(block for block in blocks(page, "python") if needs(block) in (None, package))
    folder = scars.parent if page.name == "README.md" else scars
    environment = {**os.environ, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_the_commands_and_options_exist(page):
    shell = "\n".join(blocks(page, "sh"))
    mentioned = re.findall(r"^ *(?:.*&& )?synthscars (.+?)(?:#.*| &&.*)?$", shell, re.MULTILINE)
    mentioned += re.findall(r"`synthscars ([^`]+)`", page.read_text(encoding="utf-8"))
    for text in mentioned:
        group: click.Command = main
        for word in shlex.split(text):
            if isinstance(group, click.Group) and not word.startswith("-"):
                context = click.Context(group)
                # `up|push|pull` names several commands.
                for name in word.split("|"):
                    found = group.get_command(context, name)
                    assert found is not None, f"{page.name}: synthscars {text}"
                group = found
            elif word.startswith("-"):
                options = {option for parameter in group.params for option in parameter.opts}
                assert word.split("=")[0] in options, f"{page.name}: synthscars {text}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)\)", text):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_every_decision_is_listed():
    listed = (ROOT / "docs/adr/README.md").read_text(encoding="utf-8")
    for page in (ROOT / "docs/adr").glob("0*.md"):
        assert f"({page.name})" in listed
