"""`/companion/ml`: the workspace's model as an ML backend of Label Studio, or a clear no."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from synthscars.problems import SynthScarsError
from synthscars.services.logs import log
from synthscars.workspace import Workspace

if TYPE_CHECKING:
    from starlette.requests import Request

PATHS = {"/health": "GET", "/setup": "POST", "/predict": "POST", "/webhook": "POST"}
NO_MODEL = (
    'no model is configured: name one with model = "path" under [platform] in synthscars.toml, '
    "then `synthscars platform down` and `up`"
)


def ml_routes(workspace: Workspace, secret: str) -> list[Mount]:
    """The routes. secret: the password that Label Studio must bring (Basic authentication, or bearer).

    A model that cannot be loaded does not keep the companion from starting: what is wrong is answered.
    """
    model = workspace.settings.platform.model
    if not model:
        return [_without(NO_MODEL)]
    checkpoint = workspace.root / Path(model).expanduser()
    if not (checkpoint / "config.json").is_file():
        why = "the folder that [platform] model names holds no model: it has no config.json"
        log("model_failed", why=why)
        return [_without(why)]
    try:
        # torch is imported here, if anywhere.
        from synthscars.legion.loading import load_checkpoint
        from synthscars.legion.serving import create_app
        from synthscars.legion.task_images import from_workspace

        predictor = load_checkpoint(checkpoint)
        return [Mount("/companion/ml", create_app(predictor, [from_workspace(workspace)], secret))]
    except ImportError as error:
        why = f'the model needs the legion extra ({error.name} is missing): pip install "synthscars[legion]"'
    except SynthScarsError as error:
        why = f"the model cannot be loaded: {error.message}"
    log("model_failed", why=why)
    return [_without(why)]


def _without(why: str) -> Mount:
    async def unavailable(_request: Request) -> Response:
        return JSONResponse({"error": why}, 503)

    return Mount(
        "/companion/ml", routes=[Route(path, unavailable, methods=[way]) for path, way in PATHS.items()]
    )
