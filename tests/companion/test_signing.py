"""Signed addresses: for one image, one variant, until one moment."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.companion.signing import refusal, signature, signed_path

KEY = "ab" * 32
ONE, OTHER = "1" * 64, "2" * 64


def parts(path: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(path).query))


def test_an_address_is_good_until_it_expires() -> None:
    path = signed_path(KEY, ONE, 1000)
    assert urlsplit(path).path == f"/companion/images/{ONE}"
    query = parts(path)
    assert refusal(KEY, ONE, query["variant"], query["expires"], query["signature"], 999.9) == ""
    assert "expired" in refusal(KEY, ONE, query["variant"], query["expires"], query["signature"], 1000)


@pytest.mark.parametrize(
    ("key", "image", "variant", "expires"),
    [
        ("cd" * 32, ONE, "upright", "1000"),
        (KEY, OTHER, "upright", "1000"),
        (KEY, ONE, "original", "1000"),
        (KEY, ONE, "upright", "1001"),
    ],
    ids=["another key", "another image", "another variant", "a later end"],
)
def test_nothing_of_it_can_be_changed(key: str, image: str, variant: str, expires: str) -> None:
    assert "does not fit" in refusal(key, image, variant, expires, signature(KEY, ONE, "upright", 1000), 0)


@pytest.mark.parametrize("expires", ["", "01000", "-1", "1e9", "١٠٠٠", " 1000", "9" * 13])
def test_an_end_is_written_in_one_way_only(expires: str) -> None:
    assert "not one that was signed" in refusal(KEY, ONE, "upright", expires, "0" * 64, 0)


@given(st.text(max_size=80))
def test_no_other_signature_opens_it(given_one: str) -> None:
    right = signature(KEY, ONE, "upright", 1000)
    assert bool(refusal(KEY, ONE, "upright", "1000", given_one, 0)) is (given_one != right)
