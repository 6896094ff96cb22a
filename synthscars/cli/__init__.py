"""The command line: thin commands over the library, loaded only when they are called."""

from __future__ import annotations

import io
import signal
import sys
import threading
from importlib import import_module
from keyword import iskeyword

import click

from synthscars import __version__
from synthscars.cli.common import Command

_COMMANDS = {
    "demo": ("demo", "The whole way on simulated images, in one go."),
    "init": ("workspace", "Make a workspace."),
    "ingest": ("ingest", "Take images with their metadata into the workspace."),
    "status": ("workspace", "Say what is in the workspace."),
    "platform": ("platform", "Run Label Studio, send it tasks, fetch annotations."),
    "consensus": ("consensus", "Merge what several raters drew."),
    "adjudicate": ("adjudicate", "Make one rater's answer final."),
    "release": ("release", "Build versioned dataset releases."),
    "stats": ("stats", "Count and plot what is in a release."),
    "verify": ("verify", "Prove that a release can be learned from, or say why not."),
    "evaluate": ("evaluate", "Score a model's predictions against a release."),
    "legion": ("legion", "The reference model: train it, predict, serve."),
    "simulate": ("simulate", "Draw simulated generator outputs with known artifacts."),
    "import": ("import_", "Take the published SynthScars dataset, with all its defects found."),
    "convert": ("convert", "Read one format, write another."),
    "formats": ("convert", "List the formats and what each can hold."),
}
"""Command → the module of this package that has it, and its line in the list of commands.

The line is here so that `synthscars --help` need not import every command.
"""


class _Lazy(Command):
    def list_commands(self, _context: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, _context: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        module = import_module(f"synthscars.cli.{_COMMANDS[name][0]}")
        command = getattr(module, f"{name}_" if iskeyword(name) else name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, _context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in _COMMANDS.items()])


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="synthscars")
def main() -> None:
    """Datasets of artifacts in AI-generated images: ingest, annotate, release.

    \b
    Exit codes:
      0    done, perhaps with warnings
      1    done, but some items had to be set aside
      2    the call makes no sense
      3    cannot work: no workspace, the server is down, the disk is full
      130  interrupted (143: by SIGTERM)

    \b
    Start here:
      synthscars demo                      # everything, on simulated images
      synthscars init my-scars && cd my-scars
      synthscars ingest path/to/images
      synthscars platform up && synthscars platform push
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character of a file's name must not end the work.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    if threading.current_thread() is threading.main_thread():
        # As at Ctrl-C: what is half done is cleared away first.
        signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
