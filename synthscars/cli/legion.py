"""`synthscars legion`."""

from __future__ import annotations

import click

from synthscars.cli.legion_predict import predict
from synthscars.cli.legion_serve import serve


@click.group()
def legion() -> None:
    """The reference model: finds, outlines and explains artifacts.

    \b
    Examples:
      synthscars legion predict model/ releases/1.0.0 --split test
      synthscars legion serve model/ --workspace my-scars
    """


legion.add_command(predict)
legion.add_command(serve)
