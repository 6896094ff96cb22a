import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import synthscars

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SETUPTOOLS = PROJECT["tool"]["setuptools"]

# A name that is taken away or changed breaks users: it belongs in the changelog.
PUBLIC = [
    "Artifact",
    "FormatError",
    "Generation",
    "ImageError",
    "ImageRecord",
    "PlatformError",
    "Problem",
    "Problems",
    "ReleaseError",
    "Review",
    "SynthScarsError",
    "Taxonomy",
    "UsageError",
    "WorkspaceError",
    "__version__",
    "decode_record",
    "draw",
    "encode_record",
    "load_taxonomy",
    "masks",
    "rows",
    "to_coco",
    "to_gcg",
    "to_record",
    "union_mask",
]

HEAVY = {"torch", "datasets", "pandas", "numpy", "pyarrow", "PIL", "matplotlib", "shapely", "pycocotools"}


def test_the_public_names_are_the_promised_ones() -> None:
    assert synthscars.__all__ == PUBLIC
    assert all(hasattr(synthscars, name) for name in PUBLIC)


def test_the_version_is_that_of_the_project() -> None:
    assert synthscars.__version__ == PROJECT["project"]["version"]


def _imported(statement: str) -> set[str]:
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", statement], capture_output=True, text=True, check=True
    )
    lines = [
        line.rpartition("|")[2].strip() for line in run.stderr.splitlines() if line.startswith("import time:")
    ]
    return {name.partition(".")[0] for name in lines}


@pytest.mark.parametrize(
    "statement",
    [
        "import synthscars",
        "import synthscars.records, synthscars.caption, synthscars.problems",
        "import synthscars.workspace, synthscars.engine, synthscars.cli",
    ],
)
def test_the_light_modules_load_nothing_heavy(statement: str) -> None:
    imported = _imported(statement)
    assert {"synthscars", "msgspec"} <= imported
    assert not HEAVY & imported


def test_every_package_of_the_tree_is_installed() -> None:
    folders = SETUPTOOLS["package-dir"]
    found = set()
    for package, folder in folders.items():
        for init in (ROOT / folder).rglob("__init__.py"):
            below = init.parent.relative_to(ROOT / folder).parts
            found.add(".".join([package, *below]))
    assert found == set(SETUPTOOLS["packages"])


def test_every_package_can_be_imported_and_says_what_it_is() -> None:
    for name in SETUPTOOLS["packages"]:
        assert importlib.import_module(name).__doc__
