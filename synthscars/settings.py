"""`synthscars.toml`: the settings of a workspace, with their ranges and defaults. No secrets."""

from __future__ import annotations

import math
import re
import tomllib
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from synthscars.problems import WorkspaceError

CONFIG_NAME = "synthscars.toml"

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Link = Annotated[str, msgspec.Meta(pattern=r"^(https?://[^\s<>\"]+)?\Z")]
Database = Annotated[str, msgspec.Meta(pattern=r"^(postgres(ql)?://[^\s:@/]+@[^\s@]+)?\Z")]
Doi = Annotated[str, msgspec.Meta(pattern=r"^(10\.\d{4,9}/[^\s<>\"]+)?\Z")]
Language = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z")]
Shape = Literal["polygon", "rectangle", "ellipse", "brush", "magicwand"]
Creators = Literal["crowdsourced", "expert-generated", "found", "machine-generated", "no-annotation", "other"]


class PlatformSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[platform]`: where annotators work, and what they see there.

    port: at which they find it. title: of the project. database: `postgresql://user@host/name`, SQLite in
    the workspace if empty; never with a password. model: folder of a LEGION that makes pre-annotations,
    relative to the workspace. reconcile_minutes: between two pulls on our own account, 0 for none. shapes:
    what regions may be drawn with. show_prompt: annotators see the prompt and the generator, which biases
    what they find; only tasks that are pushed from then on have them. min_area: square pixels of the original
    image; smaller regions are refused.
    """

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 8080
    title: str = ""
    database: Database = ""
    model: str = ""
    reconcile_minutes: Annotated[float, msgspec.Meta(ge=0, le=10_000)] = 10
    shapes: Annotated[tuple[Shape, ...], msgspec.Meta(min_length=1)] = ("polygon",)
    show_prompt: bool = False
    min_area: Annotated[float, msgspec.Meta(ge=0)] = 100.0


class ConsensusSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[consensus]`: regions of two raters are one artifact from this mask IoU on."""

    min_iou: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5


class ReleaseSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[release]`: what the card says, and how images are split (shares whose sum is 1).

    license: identifier of the Hugging Face Hub, or any name. citation: BibTeX, made from authors, homepage
    and DOI if empty. annotations_creators: as the Hub calls them. The texts from `curation` on go into the
    data statement, which says "not stated" where they are empty: why these images were chosen; of what kind
    the language is; who annotated, how they were trained and paid; how the images were made or taken; what
    the data may be used for and what not; what is known about personal data. scrub: personal data are taken
    out of texts and of the metadata of image files. figures: the card has plots and images with their
    outlines; without, it says the same in words and numbers, and a small release is built faster.
    """

    pretty_name: str = ""
    license: str = "other"
    license_name: str = ""
    license_link: Link = ""
    authors: tuple[str, ...] = ()
    homepage: Link = ""
    contact: str = ""
    doi: Doi = ""
    citation: str = ""
    language: tuple[Language, ...] = ("en",)
    annotations_creators: tuple[Creators, ...] = ()
    curation: str = ""
    language_variety: str = ""
    annotators: str = ""
    images: str = ""
    uses: str = ""
    personal_data: str = ""
    scrub: bool = False
    figures: bool = True
    seed: int = 0
    train: Share = 0.8
    validation: Share = 0.1
    test: Share = 0.1


class VerifySettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[verify]`: what a release must show; `docs/how-to/verify.md` says what is held against what.

    mask_margin, text_margin, detection_margin: by how much the model must be better than every trivial answer
    in foreground IoU and F1, in ROUGE-L, in AUROC. confidence: of the intervals. rounds: of the bootstrap.
    shuffled: whether a model trained on shuffled labels is asked for. shuffled_slack: by how much that one
    may be better than the best trivial answer. nearest_slack: by how much copying from the most similar image
    may work better from train to test than within train. test_images: with artifacts, at least.
    review: share of the artifacts in the list of likely label errors.
    """

    mask_margin: Share = 0.05
    text_margin: Share = 0.02
    detection_margin: Share = 0.1
    confidence: Annotated[float, msgspec.Meta(ge=0.5, lt=1)] = 0.95
    rounds: Annotated[int, msgspec.Meta(ge=100, le=100_000)] = 1000
    shuffled: bool = True
    shuffled_slack: Share = 0.05
    nearest_slack: Share = 0.05
    test_images: Annotated[int, msgspec.Meta(ge=2)] = 20
    review: Share = 0.1


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything in `synthscars.toml`."""

    name: Annotated[str, msgspec.Meta(min_length=1)]
    workspace_version: int = 1
    platform: PlatformSettings = PlatformSettings()
    consensus: ConsensusSettings = ConsensusSettings()
    release: ReleaseSettings = ReleaseSettings()
    verify: VerifySettings = VerifySettings()


_NEW_CONFIG = """\
# A synthscars workspace. Secrets do not belong here.
name = {name}
workspace_version = 1

[platform]
port = 8080            # the next free one is taken if this is busy
# database = "postgresql://user@host/name"  # its password: docs/how-to/serve-a-team.md; SQLite if left out
# model = "model"        # a LEGION whose regions annotators correct
# reconcile_minutes = 10 # answers are pulled so often while the platform runs; 0: never
show_prompt = false    # annotators do not see prompt and generator: they bias
min_area = 100         # square pixels of the original image; smaller regions are refused
# shapes = ["polygon"] # also "rectangle", "ellipse", "brush", "magicwand"

[consensus]
min_iou = 0.5          # mask IoU from which two raters' regions are one artifact

[verify]
mask_margin = 0.05     # by how much a model must be better than every trivial answer: foreground IoU and F1
text_margin = 0.02     # the same in ROUGE-L

[release]
license = "other"      # licence of the dataset, as the Hugging Face Hub spells it
scrub = false          # take paths, addresses and the like out of texts and of image files' metadata
figures = true         # plots, and some of the images with their outlines, on the card
seed = 0               # of the splits
train = 0.8
validation = 0.1
test = 0.1

# What the card and the data statement of a release say; all of it may be left out.
# pretty_name = "My Scars"
# license_name = "name of a licence that the Hub does not know"
# license_link = "https://example.org/licence"
# authors = ["Ada Example", "Ben Example"]
# homepage = "https://example.org/my-scars"
# contact = "scars@example.org"
# doi = "10.1234/example"
# citation = "BibTeX; made from the lines above if left out"
# language = ["en"]                           # of phrases and explanations
# annotations_creators = ["expert-generated"] # or crowdsourced, found, machine-generated, other
# curation = "Why these images were chosen."
# language_variety = "What kind of English the raters write."
# annotators = "Who they are, how they were trained and paid."
# images = "How the images were made or taken."
# uses = "What the data are for, and what they must not be used for."
# personal_data = "Who may be recognised, and what was done about it."
"""


def new_settings(name: str) -> str:
    """The text of the settings of a new workspace."""
    return _NEW_CONFIG.format(name=_toml_string(name))


def read_settings(folder: Path) -> Settings:
    """The settings of the workspace in this folder.

    Raises `WorkspaceError` naming the file and the setting if there are none or they cannot be used.
    """
    config = folder / CONFIG_NAME
    try:
        settings = msgspec.convert(tomllib.loads(config.read_text(encoding="utf-8")), Settings)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise WorkspaceError(
            f"{folder} is not a workspace: it has no {CONFIG_NAME}",
            fix="make one with `synthscars init FOLDER`, or name one with --workspace",
        ) from error
    except msgspec.ValidationError as error:
        raise _wrong_setting(config, str(error)) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise WorkspaceError(f"{config}: {error}", fix="mend this line of the settings") from error
    if settings.workspace_version != 1:
        raise WorkspaceError(
            f"{config}: workspace_version {settings.workspace_version} is not known to this synthscars",
            fix="upgrade synthscars",
        )
    shares = settings.release
    total = shares.train + shares.validation + shares.test
    if not math.isclose(total, 1, abs_tol=1e-6, rel_tol=0):
        raise WorkspaceError(
            f"{config}: [release] train, validation and test have the sum {total:g}, not 1",
            fix="mend these lines of the settings",
        )
    return settings


_FORMS = {
    "database": "an address such as postgresql://user@host/name, without a password",
    "license_link": "an address that starts with https://",
    "homepage": "an address that starts with https://",
    "doi": "a DOI such as 10.1234/example, without an address before it",
    "language": 'a list of language tags such as ["en"]',
}
"""What is expected of settings that have a pattern."""


def _wrong_setting(config: Path, error: str) -> WorkspaceError:
    """Says where in the file it is: msgspec puts `- at `$.release.train`` behind its message."""
    what, _, place = error.partition(" - at `$.")
    *sections, key = place.rstrip("`").split(".") if place else [""]
    fix = "mend this line of the settings"
    if unknown := re.fullmatch(r"Object contains unknown field `(.*)`", what, re.DOTALL):
        sections, key = [key] if key else [], unknown[1]
        what = "there is no such setting"
        near = get_close_matches(key, _known_settings(sections), n=1)
        fix = f"did you mean {near[0]}?" if near else f"known here: {', '.join(_known_settings(sections))}"
    if "matching regex" in what:
        what = f"it is not {_FORMS.get(key.split('[')[0], 'what is expected here')}"
    where = "".join(f"[{section}] " for section in sections) + key
    return WorkspaceError(f"{config}: {where}: {what}" if where else f"{config}: {what}", fix=fix)


def _known_settings(sections: list[str]) -> list[str]:
    fields: dict[str, Any] = {field.name: field.type for field in msgspec.structs.fields(Settings)}
    kind = fields[sections[0]] if sections else Settings
    return [field.name for field in msgspec.structs.fields(kind)]


def _toml_string(text: str) -> str:
    # A JSON string is a TOML string, but for DEL. Bytes of a folder's name that are no text become `?`.
    printable = text.encode("utf-8", "replace").decode()
    return msgspec.json.encode(printable).decode().replace("\x7f", "\\u007f")
