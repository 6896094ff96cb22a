"""Settings for all tests: `HYPOTHESIS_PROFILE=thorough pytest` looks much further."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

if "PYTEST_XDIST_WORKER" in os.environ:
    # Several processes that each let torch have all cores are ten times as slow as one core each. Before
    # anything imports torch, and for the processes that tests start.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

# No deadline: the machine may be busy. Derandomized: a change that passed here passes there.
settings.register_profile("default", deadline=None, derandomize=True, max_examples=60)
settings.register_profile("thorough", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


def pytest_configure(config: pytest.Config) -> None:
    # pycocotools 2.0.11 under numpy 2: nothing that we could change.
    config.addinivalue_line(
        "filterwarnings", "ignore:__array__ implementation:DeprecationWarning:pycocotools.mask"
    )


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder with real generations and photographs, which is not part of the project."""
    shared = os.environ.get("SYNTHSCARS_SHARED") or Path(__file__).parents[2] / "shared"
    folder = Path(shared) / "data"
    if not (folder / "SOURCES.csv").is_file():
        pytest.skip(
            "needs the real pictures: name their folder in SYNTHSCARS_SHARED, or put it beside the project"
        )
    return folder


@pytest.fixture(autouse=True)
def one_environment() -> Iterator[None]:
    """`Dataset.map(num_proc=...)` leaves a copy in place of `os.environ`; rich goes on reading the first."""
    environment = os.environ
    yield
    if os.environ is not environment:
        os.environ = environment  # noqa: B003 - the mapping itself was exchanged, its content is the same
