"""`croissant.json`: a release described in Croissant 1.1 (JSON-LD), so that other tools find and read it.

The files have relative addresses, so the description holds wherever the folder is. Nothing in it depends on
the day: a date of publication is there only if it is given.

Sources: https://docs.mlcommons.org/croissant/docs/croissant-spec-1.1.html and its extension for responsible
AI, https://docs.mlcommons.org/croissant/docs/croissant-rai-spec.html
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from synthscars.files import atomic_file
from synthscars.release.configs import config_columns, config_files, config_splits
from synthscars.release.croissant_fields import Json, enumerations, record_set, splits
from synthscars.release.features import DESCRIPTIONS
from synthscars.release.manifest import Manifest
from synthscars.release.shards import Shard
from synthscars.release.totals import Totals
from synthscars.settings import ReleaseSettings

CROISSANT_NAME = "croissant.json"

_VERSIONS = ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"]
_PARQUET = "application/x-parquet"
"""The only name of Parquet that mlcroissant reads."""

_CROISSANT_TERMS = (
    "annotation", "arrayShape", "citeAs", "column", "containedIn", "equivalentProperty", "excludes",
    "extract", "field", "fileObject", "fileProperty", "fileSet", "format", "includes", "isArray",
    "isLiveDataset", "jsonPath", "key", "md5", "parentField", "path", "readLines", "recordSet",
    "references", "regex", "repeated", "replace", "samplingRate", "sdVersion", "separator", "source",
    "subField", "transform", "unArchive", "value",
)  # fmt: skip
_CONTEXT: Json = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "sc": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "dct": "http://purl.org/dc/terms/",
    "conformsTo": "dct:conformsTo",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "examples": {"@id": "cr:examples", "@type": "@json"},
    **{term: f"cr:{term}" for term in _CROISSANT_TERMS},
}

CITATION = """\
@misc{kang2025legion,
  title         = {LEGION: Learning to Ground and Explain for Synthetic Image Detection},
  author        = {Hengrui Kang and Siwei Wen and Zichen Wen and Junyan Ye and Weijia Li and Peilin Feng and
                   Baichuan Zhou and Bin Wang and Dahua Lin and Linfeng Zhang and Conghui He},
  year          = {2025},
  eprint        = {2503.15264},
  archivePrefix = {arXiv},
  primaryClass  = {cs.CV}
}"""
"""The paper that the categories and the task are from."""

_ABOUT = {
    "default": "One record per image, with the regions that the raters agree on.",
    "raters": "One record per image, with the regions that each rater drew, not merged.",
    "detection": "One record per image, also of real photographs: the picture and where it comes from, "
    "without annotations.",
}
_KEYWORDS = [
    "synthscars",
    "artifacts",
    "AI-generated images",
    "synthetic image detection",
    "image segmentation",
    "explanation",
]
_SPDX = {
    name.lower(): name
    for name in (
        "AFL-3.0", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "CC0-1.0", "CC-BY-2.0", "CC-BY-2.5",
        "CC-BY-3.0", "CC-BY-4.0", "CC-BY-NC-2.0", "CC-BY-NC-3.0", "CC-BY-NC-4.0", "CC-BY-NC-ND-3.0",
        "CC-BY-NC-ND-4.0", "CC-BY-NC-SA-2.0", "CC-BY-NC-SA-3.0", "CC-BY-NC-SA-4.0", "CC-BY-ND-4.0",
        "CC-BY-SA-3.0", "CC-BY-SA-4.0", "CDLA-Permissive-1.0", "CDLA-Permissive-2.0", "CDLA-Sharing-1.0",
        "MIT", "ODbL-1.0", "ODC-By-1.0", "PDDL-1.0", "Unlicense",
    )
}  # fmt: skip
"""Licences of data that SPDX has a page about. The Hugging Face Hub writes the same names in lower case."""


def write_croissant(
    folder: Path,
    manifest: Manifest,
    settings: ReleaseSettings,
    *,
    licences: Sequence[str] = (),
    totals: Totals | None = None,
    published: str = "",
) -> None:
    """Write `croissant.json` of a release whose files the manifest lists.

    licences: of the images, beside that of the collection. totals: for how many raters looked at an image and
    how well they agree. published: `YYYY-MM-DD`. What is not known is left out.
    """
    described = describe(
        manifest,
        settings,
        licences=licences,
        totals=totals,
        published=published,
    )
    with atomic_file(folder / CROISSANT_NAME) as file:
        file.write(msgspec.json.format(msgspec.json.encode(described), indent=2) + b"\n")


def describe(
    manifest: Manifest,
    settings: ReleaseSettings,
    *,
    licences: Sequence[str] = (),
    totals: Totals | None = None,
    published: str = "",
) -> Json:
    """What `write_croissant` writes."""
    from datasets import Features

    from synthscars.release.features import features

    configs = config_columns()
    optional: Json = {
        "url": settings.homepage,
        "creator": [{"@type": "sc:Person", "name": name} for name in settings.authors],
        "datePublished": published,
        "sameAs": f"https://doi.org/{settings.doi}" if settings.doi else "",
        "citeAs": settings.citation or CITATION,
    }
    return {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": _VERSIONS,
        "name": settings.pretty_name or manifest.name,
        "description": _description(manifest),
        "version": manifest.version,
        "license": list(_licences(settings, licences)),
        **{name: value for name, value in optional.items() if value},
        "keywords": _KEYWORDS,
        "inLanguage": list(settings.language),
        "isLiveDataset": False,
        **_responsible(manifest, settings, totals),
        "distribution": list(_distribution(manifest, list(configs))),
        "recordSet": [
            splits(list(manifest.splits)),
            *enumerations(features()),
            *(
                record_set(
                    config,
                    Features({name: features()[name] for name in columns}),
                    _file_set_id(config),
                    DESCRIPTIONS,
                    _ABOUT.get(config, f"The config {config}."),
                )
                for config, columns in configs.items()
            ),
        ],
    }


def _description(manifest: Manifest) -> str:
    return (
        "Images with the visible artifacts in them: where each one is, as polygons, of which kind it is, and "
        f"why what is seen there is wrong, in words. {len(manifest.images)} images with {manifest.artifacts} "
        f"artifacts; taxonomy {manifest.taxonomy_version}."
    )


def _licences(settings: ReleaseSettings, images: Sequence[str]) -> Iterator[str | Json]:
    """The licences, each once: by its page if it has one, else by its name."""
    own = settings.license_name or settings.license
    if settings.license_link:
        yield {"@type": "sc:CreativeWork", "name": own, "url": settings.license_link}
    for name in dict.fromkeys([*([] if settings.license_link else [own]), *images]):
        if spdx := _SPDX.get(name.lower()):
            yield f"https://spdx.org/licenses/{spdx}.html"
        elif name.startswith(("https://", "http://")):
            yield name
        elif name:
            yield {"@type": "sc:CreativeWork", "name": name}


# Files


def _distribution(manifest: Manifest, configs: Sequence[str]) -> Iterator[Json]:
    """Every file with its hash, and the set of files that each config reads."""
    for file in manifest.files:
        yield {
            "@type": "cr:FileObject",
            "@id": file.path,
            "name": file.path.rpartition("/")[2],
            "description": f"{file.rows} rows of the split {file.split}",
            "contentUrl": file.path,
            "contentSize": f"{file.bytes} B",
            "encodingFormat": _PARQUET,
            "sha256": file.sha256,
        }
    for config in configs:
        yield {
            "@type": "cr:FileSet",
            "@id": _file_set_id(config),
            "name": _file_set_id(config),
            "description": f"the files of {config}: {_listed(manifest, config)}",
            "encodingFormat": _PARQUET,
            "includes": sorted({_pattern(file) for file in _files(manifest, config)}),
        }


def _files(manifest: Manifest, config: str) -> Iterator[Shard]:
    for split in config_splits(manifest, config):
        yield from config_files(manifest, config, split)


def _pattern(file: Shard) -> str:
    return f"{file.path.partition('/')[0]}/{file.split}-*.parquet"


def _listed(manifest: Manifest, config: str) -> str:
    return ", ".join(
        f"{split} {sum(folders.values())} rows" for split, folders in config_splits(manifest, config).items()
    )


def _file_set_id(config: str) -> str:
    return f"{config}-files"


# Responsible AI


def _responsible(manifest: Manifest, settings: ReleaseSettings, totals: Totals | None) -> dict[str, Any]:
    """The properties of the extension for responsible AI that are known."""
    merged = "min_iou" in manifest.settings
    found: dict[str, Any] = {
        "rai:dataCollection": "Generated images, with what their files tell of the generator; where the "
        "config detection has real photographs, these are for telling generated from real ones. `source` of "
        "an image says where it comes from.",
        "rai:dataUseCases": [
            "finding, naming and explaining artifacts in generated images",
            "telling generated images from photographs",
        ],
        "rai:personalSensitiveInformation": [
            "Paths, addresses, positions and keys were taken out of texts and of the metadata in the files, "
            "as far as their form tells them; names in sentences are not found."
            if "scrubbed" in manifest.settings
            else "Image files are the originals, and `generation.raw` holds their metadata as found: they "
            "may hold names, paths or places.",
            "`rater_id` is as the source gave it.",
        ],
        "rai:dataBiases": [
            "Categories, generators and content types are as frequent as in the sources, not as in the world."
        ],
        "rai:dataLimitations": [
            "An artifact that no rater noticed is not in the data: `clean` means that nobody saw one.",
            "Pictures that are similar without being near-duplicates may be in different splits.",
        ],
    }
    if merged:
        found["rai:dataAnnotationPlatform"] = ["Label Studio"]
        found["rai:dataAnnotationProtocol"] = [
            "Raters follow a written guideline: they draw each region as a polygon and say its category and "
            "subtype, where it is, and why what is seen there is wrong; of the image they say what it is "
            "about, describe it, or say that nothing is wrong.",
            "Regions of one category whose masks overlap with an IoU of at least "
            f"{manifest.settings['min_iou']:g} are one artifact, which is kept if more than half of the "
            "raters drew it or an adjudicator confirmed it.",
        ]
    said = {
        "rai:dataCollection": " ".join(filter(None, (settings.curation, settings.images))),
        "rai:annotatorDemographics": settings.annotators,
        "rai:dataUseCases": settings.uses,
        "rai:personalSensitiveInformation": settings.personal_data,
    }
    for name, text in said.items():
        if text:
            known = found.get(name, [])
            found[name] = f"{text} {known}" if isinstance(known, str) else [text, *known]
    if totals is not None:
        found |= _raters(totals)
        if totals.simulated:
            found["rai:dataLimitations"].insert(
                0,
                f"{totals.simulated} images were drawn by a simulation and must not be used to judge models.",
            )
    return found


def _raters(totals: Totals) -> dict[str, Any]:
    looked = sorted((int(label), images) for label, images in totals.values("raters"))
    found: dict[str, Any] = {
        "rai:annotationsPerItem": "; ".join(
            f"{images} image{'s' * (images != 1)} by "
            f"{f'{count} rater' + 's' * (count != 1) if count else 'unknown raters'}"
            for count, images in looked
        )
    }
    agreement = totals.spreads["agreement"]
    if agreement.count:
        found["rai:dataAnnotationAnalysis"] = [
            f"Mean mask IoU with the other raters, over the {agreement.count} artifacts that more than one "
            f"rater drew: {agreement.mean:.3f}."
        ]
    return {name: value for name, value in found.items() if value}
