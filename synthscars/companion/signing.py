"""Addresses of images that work without an account, for a while: signed with HMAC-SHA256."""

from __future__ import annotations

import hashlib
import hmac
import re
from urllib.parse import urlencode

from synthscars.labelstudio.companion_file import IMAGES_PATH

VARIANTS = ("upright", "original")
"""`upright`: as it is meant to be seen. `original`: the bytes that were ingested."""

_SIGNATURE = re.compile("[0-9a-f]{64}")


def signature(key: str, image_id: str, variant: str, expires: int) -> str:
    """The signature (hex) of an address. expires: seconds since 1970."""
    message = f"{image_id}\n{variant}\n{expires}".encode()
    return hmac.new(bytes.fromhex(key), message, hashlib.sha256).hexdigest()


def signed_path(key: str, image_id: str, expires: int, variant: str = "upright") -> str:
    """The path and query under which the companion hands out an image until `expires`."""
    query = {"variant": variant, "expires": expires, "signature": signature(key, image_id, variant, expires)}
    return f"{IMAGES_PATH}{image_id}?{urlencode(query)}"


def refusal(key: str, image_id: str, variant: str, expires: str, given: str, now: float) -> str:
    """Why a signed address is not valid, `""` if it is. now: seconds since 1970."""
    # Of one form only: "1" and "01" must not both be an expiry.
    if not re.fullmatch("[1-9][0-9]{0,11}", expires) or not _SIGNATURE.fullmatch(given):
        return "the address of the image is not one that was signed here"
    if not hmac.compare_digest(signature(key, image_id, variant, int(expires)), given):
        return "the signature of the address does not fit it"
    # Told only to those who had a valid one.
    if int(expires) <= now:
        return "the address of the image has expired: ask for a new one"
    return ""
