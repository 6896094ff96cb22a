"""Images by their id: who gets them, which bytes, and what browsers may keep."""

from __future__ import annotations

import hashlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from companion_client import client_of, companion_of
from PIL import Image

from synthscars.companion.pictures import Pictures
from synthscars.companion.signing import signed_path
from synthscars.images import open_image, upright
from synthscars.labelstudio.companion_file import Companion
from synthscars.workspace import Workspace

pytest.importorskip("starlette")

from starlette.testclient import TestClient

LOGGED_IN = {"x-role": "annotator"}


def add(workspace: Workspace, data: bytes, suffix: str = ".png") -> str:
    image_id = hashlib.sha256(data).hexdigest()
    workspace.add_image(data, image_id, suffix)
    return image_id


def picture(kind: str, orientation: int = 1, mode: str = "RGB") -> bytes:
    """A picture of 60 x 40 whose upper left corner is white, stored with an EXIF orientation."""
    pixels = np.zeros((40, 60, len(mode)), dtype=np.uint8)
    pixels[..., -1] = 100 if mode == "RGBA" else 0
    pixels[:20, :20] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(pixels, mode).save(buffer, kind, exif=exif)
    return buffer.getvalue()


@pytest.fixture
def companion() -> Companion:
    return companion_of()


@pytest.fixture
def client(workspace: Workspace, companion: Companion) -> Iterator[TestClient]:
    with client_of(workspace, companion) as client:
        yield client


@pytest.mark.parametrize("role", ["annotator", "adjudicator", "manager"])
def test_whoever_is_logged_in_gets_an_image_byte_for_byte(
    client: TestClient, workspace: Workspace, role: str
) -> None:
    data = picture("PNG")
    answer = client.get(f"/companion/images/{add(workspace, data)}", headers={"x-role": role})
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "private" in answer.headers["cache-control"]


def test_nobody_else_does_without_a_signature(client: TestClient, workspace: Workspace) -> None:
    answer = client.get(f"/companion/images/{add(workspace, picture('PNG'))}")
    assert answer.status_code == 403
    assert "log in" in answer.json()["error"]
    assert answer.headers["cache-control"] == "no-store"


def test_a_signed_address_needs_no_account_and_opens_that_image_alone(
    client: TestClient, workspace: Workspace, companion: Companion
) -> None:
    one, other = add(workspace, picture("PNG")), add(workspace, picture("PNG", mode="RGBA"))
    path = signed_path(companion.key, one, int(time.time()) + 60)
    assert client.get(path).status_code == 200
    assert client.get(path.replace(one, other)).status_code == 403
    assert client.get(path.replace("variant=upright", "variant=original")).status_code == 403
    # Somebody logged in with a bad signature does not get it either: a link is what it says it is.
    assert client.get(f"{path}0", headers=LOGGED_IN).status_code == 403
    late = client.get(signed_path(companion.key, one, int(time.time()) - 1))
    assert (late.status_code, "expired" in late.json()["error"]) == (403, True)


def test_a_forged_address_does_not_even_tell_whether_there_is_such_an_image(
    client: TestClient, workspace: Workspace
) -> None:
    known, unknown = add(workspace, picture("PNG")), "f" * 64
    query = f"?expires=9999999999&signature={'0' * 64}"
    answers = [client.get(f"/companion/images/{one}{query}") for one in (known, unknown)]
    assert answers[0].status_code == answers[1].status_code == 403
    assert answers[0].json() == answers[1].json()


@pytest.mark.parametrize(
    "name",
    [
        "../../synthscars.toml",
        "..%2f..%2fsynthscars.toml",
        "..%252f..%252fsynthscars.toml",
        "%2e%2e/%2e%2e/platform/companion.json",
        "%2fetc%2fpasswd",
        "a" * 63,
        "A" * 64,
        "a" * 64 + "%00",
        "a" * 64 + ".png",
        "ab/" + "a" * 64,
        "١" * 64,
    ],
)
def test_no_file_is_found_by_anything_but_an_id(client: TestClient, workspace: Workspace, name: str) -> None:
    answer = client.get(f"/companion/images/{name}", headers=LOGGED_IN)
    assert answer.status_code in (403, 404) or answer.text == "the guard"
    assert workspace.name not in answer.text


def test_parts_can_be_asked_for(client: TestClient, workspace: Workspace) -> None:
    data = picture("PNG")
    path = f"/companion/images/{add(workspace, data)}"
    part = client.get(path, headers={**LOGGED_IN, "range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, data[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(data)}"
    end = client.get(path, headers={**LOGGED_IN, "range": "bytes=-5"})
    assert end.content == data[-5:]
    beyond = client.get(path, headers={**LOGGED_IN, "range": f"bytes={len(data)}-"})
    assert beyond.status_code == 416
    assert client.get(path, headers={**LOGGED_IN, "range": "bytes=zz"}).status_code == 400
    stale = {"range": "bytes=0-1", "if-range": '"something else"'}
    assert client.get(path, headers={**LOGGED_IN, **stale}).content == data
    head = client.head(path, headers=LOGGED_IN)
    assert (head.content, head.headers["content-length"]) == (b"", str(len(data)))


def test_what_a_browser_has_is_not_sent_again(client: TestClient, workspace: Workspace) -> None:
    path = f"/companion/images/{add(workspace, picture('PNG'))}"
    etag = client.get(path, headers=LOGGED_IN).headers["etag"]
    for known in (etag, f'"x", W/{etag}', "*"):
        again = client.get(path, headers={**LOGGED_IN, "if-none-match": known})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag)
    assert client.get(path, headers={**LOGGED_IN, "if-none-match": '"x"'}).status_code == 200
    # Having it is no reason to be let in.
    assert client.get(path, headers={"if-none-match": etag}).status_code == 403


def test_only_the_editors_pages_may_read_pixels(client: TestClient, workspace: Workspace) -> None:
    path = f"/companion/images/{add(workspace, picture('PNG'))}"
    ours, other = "http://127.0.0.1:8080", "https://evil.example.org"
    answer = client.get(path, headers={**LOGGED_IN, "origin": ours})
    assert answer.headers["access-control-allow-origin"] == ours
    assert "Origin" in answer.headers["vary"]
    assert (
        "access-control-allow-origin" not in client.get(path, headers={**LOGGED_IN, "origin": other}).headers
    )
    asked = client.options(path, headers={"origin": ours, "access-control-request-method": "GET"})
    assert asked.status_code == 204
    assert asked.headers["access-control-allow-origin"] == ours


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP"])
def test_every_image_goes_out_upright(
    client: TestClient, workspace: Workspace, kind: str, orientation: int
) -> None:
    data = picture(kind, orientation)
    image_id = add(workspace, data, {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}[kind])
    answer = client.get(f"/companion/images/{image_id}", headers=LOGGED_IN)
    seen = Image.open(io.BytesIO(answer.content))
    assert seen.getexif().get(0x0112, 1) == orientation if orientation == 1 else 1
    # As they are, without turning them again.
    expected = np.asarray(upright(open_image(data)).convert("RGB"), dtype=int)
    found = np.asarray(seen.convert("RGB"), dtype=int)
    assert found.shape == expected.shape
    assert np.abs(found - expected).mean() < (0.01 if kind == "PNG" else 2)
    assert (answer.content == data) is (orientation == 1)
    original = client.get(f"/companion/images/{image_id}?variant=original", headers=LOGGED_IN)
    assert original.content == data
    if orientation != 1:
        assert original.headers["etag"] != answer.headers["etag"]


def test_what_was_turned_keeps_its_transparency(client: TestClient, workspace: Workspace) -> None:
    image_id = add(workspace, picture("WEBP", 6, "RGBA"), ".webp")
    answer = client.get(f"/companion/images/{image_id}", headers=LOGGED_IN)
    assert answer.headers["content-type"] == "image/png"
    assert Image.open(io.BytesIO(answer.content)).mode == "RGBA"


def test_turned_images_are_kept_but_not_without_end(workspace: Workspace, tmp_path: Path) -> None:
    ids = [add(workspace, picture("PNG", 6) + bytes([number])) for number in range(4)]
    sizes = []
    first = Pictures(workspace)
    for image_id in ids:
        found = first.find(image_id)
        assert found is not None
        assert found.turned
        sizes.append(found.path.stat().st_size)
    small = Pictures(workspace, cache_bytes=2 * sizes[0])
    again = small.find(ids[0])  # used again, so it is not the oldest any more
    assert again is not None
    small.trim(keep=again.path)
    kept = {path.stem for path in small.cache_dir.iterdir()}
    assert ids[0] in kept
    assert len(kept) == 2
    # What was removed is made again.
    assert small.find(ids[1]) is not None


def test_a_damaged_file_that_must_be_turned_is_told(client: TestClient, workspace: Workspace) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", exif=exif)
    image_id = add(workspace, buffer.getvalue()[: len(buffer.getvalue()) // 2], ".jpg")
    answer = client.get(f"/companion/images/{image_id}", headers=LOGGED_IN)
    assert answer.status_code == 422
    assert "damaged" in answer.json()["error"]


def test_a_manager_makes_signed_addresses(
    client: TestClient, workspace: Workspace, companion: Companion
) -> None:
    path = f"/companion/images/{add(workspace, picture('PNG'))}/address"
    manager = {"x-role": "manager"}
    made = client.post(path, json={"seconds": 60}, headers=manager).json()
    assert made["url"].startswith(f"{companion.url}/companion/images/")
    assert client.get(made["url"]).status_code == 200
    for role in ("annotator", "adjudicator"):
        assert client.post(path, json={}, headers={"x-role": role}).status_code == 403
    assert client.post(path, json={}).status_code == 403
    for body in ({"seconds": 0}, {"seconds": True}, {"seconds": 1e9}, {"seconds": "60"}, {"variant": []}):
        assert client.post(path, json=body, headers=manager).status_code == 400
    other = f"/companion/images/{'f' * 64}/address"
    assert client.post(other, json={}, headers=manager).status_code == 404
