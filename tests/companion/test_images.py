"""Addresses of images: who gets which bytes."""

from __future__ import annotations

import hashlib
import io
import os
import time
from pathlib import Path

import pytest
from PIL import Image
from starlette.testclient import TestClient

from synthscars.companion.pictures import Pictures
from synthscars.companion.signing import refusal, signature, signed_path
from synthscars.labelstudio.companion_file import Companion
from synthscars.problems import ImageError
from synthscars.workspace import Workspace

KEY = "ab" * 32
ADA = {"x-test-role": "annotator"}
EDITOR = "http://127.0.0.1:8080"


def put(workspace: Workspace, data: bytes, suffix: str) -> str:
    image_id = hashlib.sha256(data).hexdigest()
    workspace.add_image(data, image_id, suffix)
    return image_id


def encoded(kind: str = "PNG", size: tuple[int, int] = (40, 20), turn: int = 1, mode: str = "RGB") -> bytes:
    """Red at the top left, blue elsewhere, as it is stored."""
    image = Image.new(mode, size, "blue")
    image.paste("red", (0, 0, 10, 10))
    exif = Image.Exif()
    exif[0x0112] = turn
    data = io.BytesIO()
    image.save(data, kind, **({"exif": exif} if turn != 1 else {}))
    return data.getvalue()


@pytest.fixture
def plain(workspace: Workspace) -> str:
    return put(workspace, encoded(), ".png")


def address(companion: Companion, image_id: str, seconds: int = 60, variant: str = "upright") -> str:
    return signed_path(companion.key, image_id, int(time.time()) + seconds, variant)


def test_a_signed_address_works_without_an_account(
    client: TestClient, companion: Companion, plain: str
) -> None:
    answer = client.get(address(companion, plain))
    assert (answer.status_code, answer.content) == (200, encoded())
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    seconds = int(answer.headers["cache-control"].split("max-age=")[1].split(",")[0])
    assert 0 < seconds <= 60


def test_without_account_or_signature_there_is_nothing(client: TestClient, plain: str) -> None:
    assert client.get(f"/companion/images/{plain}").status_code == 403
    answer = client.get(f"/companion/images/{plain}", headers=ADA)
    assert (answer.status_code, answer.content) == (200, encoded())


def test_a_signature_fits_one_image_one_variant_one_time(
    client: TestClient, companion: Companion, workspace: Workspace, plain: str
) -> None:
    other = put(workspace, encoded(size=(30, 30)), ".png")
    good = address(companion, plain)
    expires = good.split("expires=")[1].split("&")[0]
    for forged in (
        good.replace(plain, other),
        good.replace("upright", "original"),
        good.replace(expires, str(int(expires) + 1)),
        good.replace(f"expires={expires}", f"expires=0{expires}"),
        good.replace(f"expires={expires}", f"expires=%20{expires}"),
        good[:-1] + ("0" if good[-1] != "0" else "1"),
        good.split("&signature")[0],
        good.split("&expires")[0] + "&signature=" + good.split("signature=")[1],
        good.upper().replace("/COMPANION/IMAGES/", "/companion/images/"),
        address(companion, plain, seconds=-1),
        signed_path(KEY, plain, int(expires)),
    ):
        answer = client.get(forged)
        assert answer.status_code in (400, 403), forged
        assert answer.headers["cache-control"] == "no-store"
    assert client.get(good).status_code == 200
    # A bad signature does not become good by logging in.
    assert client.get(good[:-2] + "zz", headers=ADA).status_code == 403


def test_why_an_address_is_refused() -> None:
    good = signature(KEY, "a", "upright", 100)
    assert refusal(KEY, "a", "upright", "100", good, 99.9) == ""
    assert "expired" in refusal(KEY, "a", "upright", "100", good, 100)
    # Whether it has expired is told to nobody who has no valid one.
    assert "does not fit" in refusal(KEY, "a", "upright", "100", "0" * 64, 1e9)
    for expires in ("", "-1", "1e9", "٣", "9" * 13, "100\n", "1_00"):
        assert "not one that was signed" in refusal(KEY, "a", "upright", expires, good, 0)
    for given in ("", good.upper(), good + "\n", "é" * 64):
        assert "not one that was signed" in refusal(KEY, "a", "upright", "100", given, 0)
    assert signature("cd" * 32, "a", "upright", 100) != good


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=-5", 206, slice(-5, None)),
        ("bytes=10-", 206, slice(10, None)),
        ("bytes=999999-", 416, slice(0, 0)),
        ("bytes=abc", 400, slice(0, 0)),
    ],
)
def test_parts_of_an_image(client: TestClient, plain: str, asked: str, status: int, part: slice) -> None:
    answer = client.get(f"/companion/images/{plain}", headers={**ADA, "range": asked})
    assert answer.status_code == status
    if status == 206:
        assert answer.content == encoded()[part]
        assert answer.headers["content-range"].endswith(f"/{len(encoded())}")
    else:
        assert encoded() not in answer.content


def test_what_a_browser_has_is_not_sent_again(client: TestClient, plain: str) -> None:
    path = f"/companion/images/{plain}"
    etag = client.get(path, headers=ADA).headers["etag"]
    for given in (etag, f"W/{etag}", f'"x", {etag}', "*"):
        answer = client.get(path, headers={**ADA, "if-none-match": given})
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == etag
    assert client.get(path, headers={**ADA, "if-none-match": '"other"'}).status_code == 200
    assert client.get(path, headers={"if-none-match": etag}).status_code == 403


def test_head_says_how_much_there_is_and_sends_nothing(client: TestClient, plain: str) -> None:
    answer = client.head(f"/companion/images/{plain}", headers=ADA)
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) == len(encoded())


def test_pixels_are_for_the_pages_of_the_editor(client: TestClient, plain: str) -> None:
    path = f"/companion/images/{plain}"
    assert (
        client.get(path, headers={**ADA, "origin": EDITOR}).headers["access-control-allow-origin"] == EDITOR
    )
    for origin in ("https://evil.example", "null", f"{EDITOR}.evil.example", EDITOR.upper(), "*"):
        for method in ("GET", "OPTIONS"):
            answer = client.request(method, path, headers={**ADA, "origin": origin})
            assert "access-control-allow-origin" not in answer.headers
            assert "origin" in answer.headers["vary"].lower()
    preflight = client.options(path, headers={"origin": EDITOR})
    assert (preflight.status_code, preflight.headers["access-control-allow-origin"]) == (204, EDITOR)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("turn", range(2, 9))
def test_a_turned_image_comes_upright_and_its_original_byte_for_byte(
    client: TestClient, workspace: Workspace, kind: str, turn: int
) -> None:
    data = encoded(kind, turn=turn)
    image_id = put(workspace, data, ".jpg" if kind == "JPEG" else ".png")
    path = f"/companion/images/{image_id}"
    answer = client.get(path, headers=ADA)
    assert answer.headers["content-type"] == f"image/{kind.lower()}"
    shown = Image.open(io.BytesIO(answer.content)).convert("RGB")
    assert shown.getexif().get(0x0112, 1) == 1
    assert shown.size == ((20, 40) if turn >= 5 else (40, 20))
    right, bottom = turn in (2, 3, 6, 7), turn in (3, 4, 7, 8)
    corner = (shown.width - 5 if right else 4, shown.height - 5 if bottom else 4)
    red, _, blue = shown.getpixel(corner)  # type: ignore[misc]
    assert red > 200 > 60 > blue
    original = client.get(f"{path}?variant=original", headers=ADA)
    assert original.content == data
    assert original.headers["etag"] != answer.headers["etag"]


@pytest.mark.parametrize(
    "image_id",
    [
        *("..", "%2e%2e", "%2e%2e%2f%2e%2e%2fsynthscars.toml", "../../synthscars.toml", "%2Fetc%2Fpasswd"),
        *("a" * 64, "A" * 64, "a" * 63, "a" * 65, "a" * 64 + "%0a", "a" * 64 + ".png", "%00", "%ff", "a/b"),
        *("..%5c..%5csynthscars.toml", "é", "%25%32%65%25%32%65"),
    ],
)
def test_no_id_leads_out_of_the_images(client: TestClient, companion: Companion, image_id: str) -> None:
    for variant in ("upright", "original"):
        answer = client.get(f"/companion/images/{image_id}?variant={variant}", headers=ADA)
        assert answer.status_code == 404 or "guard" in answer.json()
        assert b"workspace_version" not in answer.content
    asked = client.post(f"/companion/images/{image_id}/address", json={}, headers={"x-test-role": "manager"})
    assert asked.status_code in (404, 405) or "guard" in asked.json()


def test_unknown_variants_are_named(client: TestClient, plain: str) -> None:
    answer = client.get(f"/companion/images/{plain}?variant=huge", headers=ADA)
    assert (answer.status_code, "original" in answer.json()["error"]) == (400, True)


def test_a_file_that_was_damaged_since_is_said_so(client: TestClient, workspace: Workspace) -> None:
    data = encoded("JPEG", size=(400, 300), turn=6)
    image_id = put(workspace, data, ".jpg")
    path = workspace.find_image(image_id)
    assert path is not None
    path.chmod(0o600)
    path.write_bytes(data[:700])
    with pytest.raises(ImageError):
        Pictures(workspace).find(image_id)
    assert client.get(f"/companion/images/{image_id}", headers=ADA).status_code == 422
    path.unlink()
    assert client.get(f"/companion/images/{image_id}", headers=ADA).status_code == 404


def test_the_folder_of_turned_images_stays_small(workspace: Workspace) -> None:
    pictures = Pictures(workspace, cache_bytes=1)
    ids = [put(workspace, encoded(size=(40 + n, 20), turn=6), ".png") for n in range(3)]
    for image_id in ids:
        found = pictures.find(image_id)
        assert found is not None
        assert found.turned
        assert found.path.is_file()
    assert [path.stem for path in pictures.cache_dir.iterdir()] == ids[-1:]


def test_those_used_longest_ago_go_first(workspace: Workspace, tmp_path: Path) -> None:
    pictures = Pictures(workspace)
    ids = [put(workspace, encoded(size=(40 + n, 20), turn=6), ".png") for n in range(3)]
    sizes = []
    for age, image_id in zip((100, 300, 200), ids, strict=True):
        found = pictures.find(image_id)
        assert found is not None
        then = time.time() - age
        os.utime(found.path, (then, then))
        sizes.append(found.path.stat().st_size)
    small = Pictures(workspace, cache_bytes=sum(sizes) - 1)
    small.trim()
    assert {path.stem for path in small.cache_dir.iterdir()} == {ids[0], ids[2]}


def test_managers_get_signed_addresses_that_work(client: TestClient, plain: str) -> None:
    path = f"/companion/images/{plain}/address"
    boss = {"x-test-role": "manager"}
    for headers in ({}, ADA):
        assert client.post(path, json={}, headers=headers).status_code == 403
    made = client.post(path, json={"seconds": 5, "variant": "original"}, headers=boss).json()
    assert 0 < made["expires"] - time.time() <= 5
    assert client.get(made["url"]).content == encoded()
    for body in (
        *({"seconds": 0}, {"seconds": 10**9}, {"seconds": True}, {"seconds": 1.5}, {"seconds": "1"}),
        *({"variant": "x"}, {"variant": ["upright"]}, {"variant": None}),
    ):
        assert client.post(path, json=body, headers=boss).status_code == 400
    unknown = client.post(f"/companion/images/{'a' * 64}/address", json={}, headers=boss)
    assert unknown.status_code == 404
