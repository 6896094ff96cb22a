"""Label Studio's own Python environment: made on first use, shared by all workspaces.

The server pins hundreds of megabytes of dependencies, so it never shares an environment with synthscars.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from synthscars.labelstudio import processes
from synthscars.problems import PlatformError

LABEL_STUDIO_VERSION = "1.23.2"
"""The one version that synthscars is tested with."""

ENVIRONMENT_VARIABLE = "SYNTHSCARS_LABEL_STUDIO_ENV"
"""Where the environment is, if not in the user's cache folder."""

_CLIENT_LIBRARIES = {"label_studio_sdk": "label-studio-sdk", "httpx": "httpx"}
_MARKER = "synthscars-environment.json"
_LAST_LINES = 15

Say = Callable[[str], None]
"""Tells the reader what is happening, one line at a time."""


def require_client_library() -> None:
    """Check for the libraries that speak to Label Studio, before anything is installed or started.

    Raises `PlatformError` naming those that are missing.
    """
    missing = [name for module, name in _CLIENT_LIBRARIES.items() if find_spec(module) is None]
    if missing:
        raise PlatformError(
            f"{' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not installed",
            fix='install synthscars with its platform extra: pip install ".[platform]" in its folder',
        )


def environment_path() -> Path:
    """Where Label Studio's environment is or will be."""
    chosen = os.environ.get(ENVIRONMENT_VARIABLE)
    if chosen:
        return Path(chosen).expanduser().resolve()
    from platformdirs import user_cache_path

    return user_cache_path("synthscars", appauthor=False) / f"label-studio-{LABEL_STUDIO_VERSION}"


def executable(environment: Path) -> Path:
    """The `label-studio` command of an environment."""
    return _scripts(environment) / ("label-studio.exe" if os.name == "nt" else "label-studio")


def is_ready(environment: Path) -> bool:
    """Whether an environment holds Label Studio in our version, completely installed.

    One that somebody made by hand counts, one whose installation by us was interrupted does not.
    """
    if not executable(environment).exists() or _state(environment) == "installing":
        return False
    packages = [*environment.glob("lib/python*/site-packages"), *environment.glob("Lib/site-packages")]
    return any((folder / f"label_studio-{LABEL_STUDIO_VERSION}.dist-info").is_dir() for folder in packages)


def ensure_environment(say: Say) -> Path:
    """Make the environment if it is not there, and return its folder.

    Two callers at once install once. An installation that was interrupted is started again.
    Raises `PlatformError` with pip's last lines if the installation fails.
    """
    environment = environment_path()
    if is_ready(environment):
        return environment
    from filelock import FileLock

    environment.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(environment.with_name(environment.name + ".lock")):
        if not is_ready(environment):
            _refuse_foreign(environment)
            _install(environment, say)
    return environment


def _refuse_foreign(environment: Path) -> None:
    ours = _state(environment) is not None
    if environment.exists() and not ours and (environment.is_file() or any(environment.iterdir())):
        raise PlatformError(
            f"{environment} is in the way: it holds no Label Studio {LABEL_STUDIO_VERSION}, "
            "and synthscars did not make it",
            fix=f"name another folder in {ENVIRONMENT_VARIABLE}, or remove this one",
        )


def _install(environment: Path, say: Say) -> None:
    say(f"installing Label Studio {LABEL_STUDIO_VERSION} into {environment}")
    say("this happens once, takes about 1 GB of disk and a minute or two")
    environment.mkdir(parents=True, exist_ok=True)
    _end_orphan(environment)
    # Written first and changed last, so that a folder left by a kill is known as ours and as half made.
    _mark(environment, "installing")
    for leftover in environment.iterdir():
        if leftover.name != _MARKER:
            shutil.rmtree(leftover) if leftover.is_dir() and not leftover.is_symlink() else leftover.unlink()
    venv = [sys.executable, "-m", "venv", str(environment)]
    _run(venv, "a Python environment cannot be made", environment, say)
    pip = [str(_scripts(environment) / "python"), "-m", "pip", "install", "--no-input"]
    pip += ["--disable-pip-version-check", "--progress-bar", "off"]
    _run(
        [*pip, f"label-studio=={LABEL_STUDIO_VERSION}"], "Label Studio cannot be installed", environment, say
    )
    if not executable(environment).exists():
        raise PlatformError(f"{environment} has no label-studio command after the installation")
    _mark(environment, "ready")
    say("Label Studio is installed")


def _run(command: list[str], failure: str, environment: Path, say: Say) -> None:
    # What the caller's environment says about Python packages must not reach the new one.
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    last: deque[str] = deque(maxlen=_LAST_LINES)
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=clean, text=True, errors="replace"
    ) as process:
        try:
            _mark(environment, "installing", process.pid)
            assert process.stdout is not None
            collected = 0
            for line in process.stdout:
                last.append(line.rstrip())
                if line.startswith("Collecting "):
                    collected += 1
                    if collected % 25 == 0:
                        say(f"{collected} packages found so far")
                elif line.startswith("Installing collected packages"):
                    say(f"{line.count(',') + 1} packages are being unpacked")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise PlatformError(
            f"{failure} ({command[0]} ended with {process.returncode}):\n" + "\n".join(last),
            fix="check the network, the disk and, on Debian, that python3-venv is installed; run it again",
        )


def _scripts(environment: Path) -> Path:
    return environment / ("Scripts" if os.name == "nt" else "bin")


def _end_orphan(environment: Path) -> None:
    """End what a killed installation left running, before it writes into the folder of the new one."""
    try:
        pid = json.loads((environment / _MARKER).read_text(encoding="utf-8")).get("pid", 0)
    except (OSError, ValueError, AttributeError):
        return
    if isinstance(pid, int) and pid > 0 and str(environment) in processes.command_line(pid):
        processes.kill(pid)


def _mark(environment: Path, state: str, pid: int = 0) -> None:
    temporary = environment / f".tmp-{_MARKER}"
    content = {"state": state, "label_studio": LABEL_STUDIO_VERSION, **({"pid": pid} if pid else {})}
    temporary.write_text(json.dumps(content), encoding="utf-8")
    temporary.replace(environment / _MARKER)


def _state(environment: Path) -> str | None:
    """`installing` or `ready`, `None` if the folder is not one that we made."""
    try:
        state = json.loads((environment / _MARKER).read_text(encoding="utf-8"))["state"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        return "installing"
    return state if state == "ready" else "installing"
