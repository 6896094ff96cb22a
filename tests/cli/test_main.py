"""What holds for every command."""

import os
import subprocess
import sys

import click
import pytest
from click.testing import CliRunner

from synthscars.cli import main


def commands(group=main, path=()):
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield (*path, name), command
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))


ALL = dict(commands())


def run(*arguments, **options):
    return CliRunner().invoke(main, [str(argument) for argument in arguments], **options)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_teaches_by_example(path):
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert "Example" in result.stdout
    assert f"synthscars {' '.join(path)}" in result.stdout


SERVERS = {("legion", "serve")}
"""They run until they are stopped, and have a log instead of a result."""


@pytest.mark.parametrize(
    "path",
    [path for path, command in ALL.items() if not isinstance(command, click.Group) and path not in SERVERS],
)
def test_every_command_can_print_json(path):
    assert "--json" in {option for parameter in ALL[path].params for option in parameter.opts}


def test_the_list_of_commands_is_complete_and_described():
    listed = run("--help").stdout
    for (name, *_), command in ALL.items():
        assert name in listed
        assert command.help


@pytest.mark.parametrize(
    "arguments",
    [
        ("status",),
        ("ingest", "."),
        ("consensus",),
        ("release", "build", "1.0.0"),
        ("platform", "status"),
        ("stats",),
    ],
    ids=" ".join,
)
def test_without_a_workspace_the_message_says_how_to_make_one(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert result.exit_code == 3
    assert "synthscars.toml" in result.stderr
    assert "synthscars init" in result.stderr
    assert "Traceback" not in result.stderr


def test_an_unknown_option_is_a_usage_error():
    assert run("status", "--frobnicate").exit_code == 2


def test_a_workspace_is_found_from_a_folder_inside_it(tmp_path, monkeypatch):
    assert run("init", tmp_path / "scars").exit_code == 0
    (tmp_path / "scars" / "deep" / "down").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "scars" / "deep" / "down")
    assert run("status", "--json").exit_code == 0


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from synthscars.cli import main; main(['--help'], standalone_mode=False);"
        "print([name for name in ('torch', 'datasets', 'pandas', 'numpy', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip().endswith("[]")


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "synthscars", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("synthscars, version ")


def test_a_terminal_without_unicode_shows_what_it_can(tmp_path):
    folder = tmp_path / "wörk"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(
        [sys.executable, "-m", "synthscars", "init", str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert "w\\xf6rk" in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path):
    assert run("init", tmp_path / "scars").exit_code == 0
    command = [sys.executable, "-m", "synthscars", "status", "--json", "-w", str(tmp_path / "scars")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    message = process.stderr.read()
    process.stderr.close()
    process.wait()
    assert message == b""
