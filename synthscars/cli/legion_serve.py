"""`synthscars legion serve`."""

from __future__ import annotations

from pathlib import Path

import click

from synthscars.cli import legion_model
from synthscars.cli.common import console, open_workspace
from synthscars.cli.legion_model import batch_size_option, checkpoint_argument, device_option
from synthscars.labelstudio.companion_file import HOOK_HOST

SERVE_TOKEN = "SYNTHSCARS_SERVE_TOKEN"
LABEL_STUDIO_TOKEN = "SYNTHSCARS_LABEL_STUDIO_TOKEN"
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]", "::1", HOOK_HOST)


@click.command(short_help="Serve pre-annotations to Label Studio.")
@checkpoint_argument
@click.option(
    "--host",
    default="127.0.0.1",
    show_default=True,
    help=f"The address to listen at; for the Label Studio of `platform up`: {HOOK_HOST}.",
)
@click.option(
    "--port", type=click.IntRange(0, 65535), default=9090, show_default=True, help="0: any free one."
)
@click.option(
    "-w",
    "--workspace",
    type=click.Path(path_type=Path, file_okay=False),
    help="The workspace whose images the tasks are about.",
)
@click.option("--label-studio", metavar="URL", help="The Label Studio that images may be fetched from.")
@batch_size_option
@device_option
def serve(
    checkpoint: Path,
    host: str,
    port: int,
    workspace: Path | None,
    label_studio: str | None,
    batch_size: int,
    device: str,
) -> None:
    """Answer Label Studio with pre-annotations: outlines, categories, phrases and explanations to correct.

    Connect it under Settings, Model, Connect Model, with the address that this prints. Experts then find its
    regions in every task that they open.

    Images come from the --workspace, by the ids that `synthscars platform push` put into the tasks, or from
    --label-studio, with the token of an account in SYNTHSCARS_LABEL_STUDIO_TOKEN. From nowhere else. With a
    token in SYNTHSCARS_SERVE_TOKEN, only requests that bring it are answered: as the password of Basic
    authentication in Label Studio, or as a bearer token.

    Ctrl-C or SIGTERM ends it after the requests that are being answered. The log, a line of JSON for each
    request, is on stderr.

    \b
    Examples:
      synthscars legion serve model/ --workspace my-scars
      SYNTHSCARS_SERVE_TOKEN=… synthscars legion serve model/ --host 0.0.0.0 --label-studio https://ls.example.org
    """
    import os

    from synthscars.legion.serving import create_app, run
    from synthscars.legion.task_images import FindImage, FromLabelStudio, from_workspace
    from synthscars.problems import UsageError
    from synthscars.services.logs import log_to_stderr
    from synthscars.services.sockets import listen

    images: list[FindImage] = []
    if workspace is not None:
        images.append(from_workspace(open_workspace(workspace)))
    if label_studio is not None:
        secret = os.environ.get(LABEL_STUDIO_TOKEN)
        if not secret:
            raise UsageError(
                f"--label-studio needs the token of an account in {LABEL_STUDIO_TOKEN}",
                fix="make one in Label Studio, under Account & Settings",
            )
        images.append(FromLabelStudio(label_studio, secret))
    if not images:
        raise UsageError(
            "where are the images of the tasks?", fix="name a --workspace, a --label-studio, or both"
        )
    token = os.environ.get(SERVE_TOKEN) or None
    at = listen(host, port)
    with at:
        predictor = legion_model.load_predictor(checkpoint, device)
        loopback = host in _LOOPBACK
        app = create_app(
            predictor,
            images,
            token,
            batch_size=batch_size,
            hosts=_LOOPBACK if loopback and not token else None,
        )
        log_to_stderr()
        shown = f"[{host}]" if ":" in host else host
        screen = console()
        screen.print(f"{predictor.name} at http://{shown}:{at.getsockname()[1]}", markup=False)
        if not loopback and not token:
            screen.print(f"anybody who reaches {host} can use it: set {SERVE_TOKEN} to ask for a token")
        run(app, at)
