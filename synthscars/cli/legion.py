"""`synthscars legion`."""

from __future__ import annotations

import click

from synthscars.cli.legion_predict import predict
from synthscars.cli.legion_serve import serve
from synthscars.cli.legion_train import train


@click.group()
def legion() -> None:
    """The reference model: finds, outlines and explains artifacts.

    \b
    Examples:
      synthscars legion train releases/1.0.0 model/
      synthscars legion predict model/ releases/1.0.0 --split test
      synthscars legion serve model/ --workspace my-scars
    """


legion.add_command(train)
legion.add_command(predict)
legion.add_command(serve)
