"""The real pictures beside the project; skipped where they are not."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from synthscars.ingest import IngestReport, ingest
from synthscars.problems import Problems
from synthscars.records import Generation, ImageRecord
from synthscars.workspace import Workspace

# What these files do not say: two were made from an image alone, two name no sampler.
_NO_PROMPT = {"Disty0--Qwen-Image-Layered-SDNQ-uint4-svd-r32.jpg", "Qwen--Qwen-Image-Layered.jpg"}
_NO_SAMPLER = {"Boogu--Boogu-Image-0.1-Edit.jpg", "Boogu--Boogu-Image-0.1-Edit-Turbo.jpg"}


@pytest.fixture(scope="module")
def ingested(
    shared_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Workspace, IngestReport, Problems]:
    workspace = Workspace.create(tmp_path_factory.mktemp("real") / "workspace")
    problems = Problems()
    sources = [shared_data / "generations", shared_data / "metadata_fixtures"]
    report = ingest(workspace, sources, problems)
    return workspace, report, problems


def _generations(workspace: Workspace, folder: str) -> dict[str, Generation]:
    found = {
        record.file_name: record.generation or Generation()
        for record in workspace.index_rows()
        if record.source.startswith(f"{folder}/")
    }
    assert found
    return found


def test_no_file_is_lost(shared_data: Path, ingested: tuple[Workspace, IngestReport, Problems]) -> None:
    workspace, report, problems = ingested
    names = {
        path.relative_to(shared_data).as_posix(): path
        for folder in ("generations", "metadata_fixtures")
        for path in (shared_data / folder).rglob("*")
        if path.is_file()
    }
    assert len(names) == report.files == 217 + 16
    indexed = {record.source: record for record in workspace.index_rows()}
    bad = {problem.file for problem in problems if problem.severity == "error"}
    assert set(indexed) | bad == set(names)
    assert not set(indexed) & bad
    for source, record in indexed.items():
        kept = workspace.find_image(record.image_id)
        assert kept is not None
        assert kept.read_bytes() == names[source].read_bytes()


def test_only_the_malformed_fixture_is_quarantined(
    ingested: tuple[Workspace, IngestReport, Problems],
) -> None:
    # Its neighbours named bad_images are whole images of one pixel.
    workspace, report, problems = ingested
    errors = [(problem.code, problem.file) for problem in problems if problem.severity == "error"]
    assert errors == [("image.empty", "metadata_fixtures/bad_images__empty_file.png")]
    assert report.quarantined == 1
    assert len(list(workspace.quarantine_dir.glob("*.json"))) == 1


@pytest.mark.parametrize(("folder", "count"), [("sdnext", 150), ("sdcpp", 31)])
def test_settings_are_present_for_every_file_that_carries_them(
    ingested: tuple[Workspace, IngestReport, Problems], folder: str, count: int
) -> None:
    found = _generations(ingested[0], f"generations/{folder}")
    assert len(found) == count
    missing = {
        field: {name for name, generation in found.items() if getattr(generation, field) in ("", None)}
        for field in ("prompt", "seed", "steps", "sampler", "model", "tool")
    }
    here = set(found)
    assert missing == {
        "prompt": _NO_PROMPT & here,
        "seed": set(),
        "steps": set(),
        "sampler": _NO_SAMPLER & here,
        "model": set(),
        "tool": set(),
    }


def test_a_setting_that_stands_for_another_is_marked(
    ingested: tuple[Workspace, IngestReport, Problems],
) -> None:
    sdcpp = _generations(ingested[0], "generations/sdcpp")
    origins = {name: generation.parameters.get("model_from") for name, generation in sdcpp.items()}
    assert sorted(name for name, origin in origins.items() if origin == "file name") == [
        "flux__flux1-dev-q2_k.png",
        "flux__flux1-dev-q3_k.png",
        "flux__flux1-dev-q4_k.png",
        "flux__flux1-dev-q8_0 with lora.png",
        "flux__flux1-dev-q8_0.png",
        "flux__flux1-schnell-q8_0.png",
        "flux__kontext1_dev_output.png",
    ]
    assert sdcpp["without_lcm.png"].model == "v1-5-pruned-emaonly-ggml-model-f16.bin"
    assert origins["without_lcm.png"] is None
    assert sdcpp["logo.png"].model == "z_image_turbo_bf16.safetensors"
    assert sdcpp["logo.png"].prompt.startswith("纯白的背景")
    sdnext = _generations(ingested[0], "generations/sdnext")
    assert sdnext["gemini-3-pro-image.jpg"].parameters["sampler_from"].startswith("left out")
    assert sdnext["AiArtLab--sdxs-1b.jpg"].sampler == "FlowMatchEulerDiscreteScheduler"
    assert sdnext["AiArtLab--sdxs-1b.jpg"].parameters["sampler_from"] == "Scheduler"
    assert sdnext["ponyRealism_V23.jpg"].sampler == "Euler a"
    assert "sampler_from" not in sdnext["ponyRealism_V23.jpg"].parameters


@pytest.mark.parametrize(
    "name",
    [
        "parsers__AUTOMATIC1111__automatic1111_cropped.jpg",
        "parsers__AUTOMATIC1111__automatic1111_cropped.png",
        "bad_images__text_after_idat.png",
    ],
)
def test_the_web_ui_fixtures_are_read(ingested: tuple[Workspace, IngestReport, Problems], name: str) -> None:
    found = _generations(ingested[0], "metadata_fixtures")[name]
    assert (found.tool, found.prompt, found.negative_prompt) == (
        "automatic1111",
        "photo of a duck",
        "monochrome",
    )
    assert (found.steps, found.sampler, found.cfg_scale, found.seed) == (15, "UniPC", 5.0, 235284042)
    assert (found.width, found.height) == (512, 400)
    assert (found.model_hash, found.model) == ("c0d1994c73", "realistic_realisticVisionV20_v20")


@pytest.mark.parametrize(
    ("start", "count", "tool", "chunk", "missing"),
    [
        ("generations/comfyui/", 16, "comfyui", "prompt", set()),
        ("generations/mflux/", 10, "mflux", "exif:UserComment", {"sampler"}),
        ("metadata_fixtures/parsers__ComfyUI", 4, "comfyui", "workflow", set()),
        ("metadata_fixtures/parsers__NovelAI", 1, "novelai", "Comment", set()),
        ("metadata_fixtures/parsers__Fooocus", 1, "fooocus", "parameters", set()),
        ("metadata_fixtures/parsers__InvokeAI__invokeai_imeta1", 1, "invokeai", "invokeai_metadata", set()),
        ("metadata_fixtures/parsers__InvokeAI__invokeai_sdmeta1", 1, "invokeai", "sd-metadata", set()),
        ("metadata_fixtures/parsers__InvokeAI__invokeai_dream1", 1, "invokeai", "Dream", {"model"}),
    ],
)
def test_every_tool_s_settings_are_read_and_what_it_wrote_is_kept(
    ingested: tuple[Workspace, IngestReport, Problems],
    start: str,
    count: int,
    tool: str,
    chunk: str,
    missing: set[str],
) -> None:
    records = [row for row in ingested[0].index_rows() if row.source.startswith(start)]
    assert len(records) == count
    for record in records:
        found = record.generation
        assert found is not None
        assert found.tool == tool
        assert found.raw[chunk]
        fields = ("prompt", "seed", "steps", "sampler", "model")
        assert {field for field in fields if getattr(found, field) in ("", None)} == missing, record.source


def test_what_two_workflows_made_is_read_as_people_would_read_them(
    ingested: tuple[Workspace, IngestReport, Problems],
) -> None:
    found = _generations(ingested[0], "generations/comfyui")
    cascade = found["stable_cascade__stable_cascade__canny_controlnet.png"]
    assert (cascade.model, cascade.seed) == ("stable_cascade_stage_c.safetensors", 784805947292946)
    assert (cascade.width, cascade.height, cascade.parameters["samplers"]) == (1024, 1024, "2")
    flux = found["flux__flux_depth_lora_example.png"]
    assert (flux.model, flux.loras) == ("flux1-dev.safetensors", ("flux1-depth-dev-lora.safetensors",))
    assert (flux.prompt, flux.negative_prompt) == ("a photograph of a shark in the sea", "")
    assert flux.parameters["guidance"] == "10.0"


def test_sizes_and_hashes_are_those_of_the_files(
    shared_data: Path, ingested: tuple[Workspace, IngestReport, Problems]
) -> None:
    from PIL import Image, ImageOps

    def expected(record: ImageRecord) -> tuple[str, int, int]:
        data = (shared_data / record.source).read_bytes()
        with Image.open(shared_data / record.source) as image:
            return hashlib.sha256(data).hexdigest(), *ImageOps.exif_transpose(image).size

    for record in ingested[0].index_rows():
        assert (record.image_id, record.width, record.height) == expected(record)


def test_photographs_are_taken_as_real(shared_data: Path, tmp_path: Path) -> None:
    workspace = Workspace.create(tmp_path / "workspace")
    problems = Problems()
    report = ingest(workspace, [shared_data / "photographs"], problems, origin="real", license="CC-BY-4.0")
    assert report.files == report.added + report.duplicates
    assert report.files == len(list((shared_data / "photographs").iterdir()))
    assert {(row.origin, row.license) for row in workspace.index_rows()} == {("real", "CC-BY-4.0")}
