"""`synthscars adjudicate`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from synthscars.cli.common import held, json_option, output, print_json, workspace_option

if TYPE_CHECKING:
    from synthscars.workspace import Workspace


@click.command()
@click.argument("image")
@click.argument("rater", required=False, default="")
@click.option("--undo", is_flag=True, help="Let the majority decide again.")
@workspace_option
@json_option
def adjudicate(workspace: Workspace, image: str, rater: str, undo: bool, as_json: bool) -> None:
    """Make the answer of one rater about an IMAGE final, whatever the majority or an adjudicator says.

    IMAGE is a file name or the first digits of an image id; RATER is an id as `synthscars consensus` prints
    it, or the e-mail address of the account. To correct all raters, answer the task yourself in Label Studio
    and name yourself. The newest decision holds. Needs the running server; counts from the next pull on.

    \b
    Examples:
      synthscars adjudicate 0049942e5c1a rater-3
      synthscars adjudicate portrait-17.png lead@example.com
      synthscars adjudicate portrait-17.png --undo
    """
    from synthscars.labelstudio.adjudicate import find_image, make_final
    from synthscars.labelstudio.client import connect
    from synthscars.labelstudio.settling import overrule
    from synthscars.problems import UsageError

    if bool(rater) == undo:
        raise UsageError("name a RATER, or --undo", fix="synthscars adjudicate --help shows both")
    found = find_image(workspace, image)
    client = connect(workspace)
    with held(workspace):
        final = make_final(client, workspace, found, rater)
        overrule(client, workspace, found.image_id)
    if as_json:
        print_json(final)
    else:
        decided = (
            f"the answer of {final.rater_id} is final" if final.rater_id else "the majority decides again"
        )
        output().print(
            f"{final.file_name}: {decided}; `synthscars platform pull` takes it over", markup=False
        )
