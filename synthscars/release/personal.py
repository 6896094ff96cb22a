"""What counts as personal data in a text, and how it is taken out: one set of rules for finding and removing.

Paths with the name of a user, host names in paths, e-mail addresses, keys and passwords are told by their
form; a name in a sentence is not found. Whatever is found is replaced by a placeholder that says what stood
there. What is written in JSON inside a text is replaced within its strings, so that it stays the same JSON.

A text without personal data comes back as it is, and `scrub_text` finds nothing in what it returns.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

PATH, EMAIL, HOST, SECRET = "[path]", "[e-mail]", "[host]", "[secret]"  # placeholders, no secrets

PEOPLE_CHUNKS = {"exif:Artist": "Artist", "exif:XPAuthor": "XPAuthor", "Author": "Author"}
"""Metadata chunks, by the names of `synthscars.ingest.metadata`, that hold nothing but somebody's name."""

BINARY = "base64:"
XMP = "xmp"

_ROUNDS = 8  # what is taken out may have hidden something from a rule that came before
_DEPTH = 4  # JSON in a text in JSON in a text
_SHORT = 300  # characters of a text that may be one path as a whole


class Finding(NamedTuple):
    """Something personal. what: told without repeating it; place: where it is."""

    code: str
    what: str
    place: str = ""


class _Rule(NamedTuple):
    """pattern: what to look at; judge: its replacement and what it is, `None` if it is nothing personal."""

    code: str
    pattern: re.Pattern[str]
    judge: Callable[[re.Match[str]], tuple[str, str] | None]


# Users that nobody is: of systems, containers and examples.
_NOBODY = frozenset(
    re.split(
        r"\|",
        "all users|app|default|default user|ec2-user|guest|jovyan|public|root|runner|sagemaker-user|shared"
        "|ubuntu|user|username",
    )
)
# `logo@2x.png` is a file.
_SUFFIXES = frozenset(
    re.split(" ", "avif bmp gif jpeg jpg json png safetensors svg tif tiff txt webp yaml yml zip")
)

# Each part is bounded, so that no text makes the rules slow. A part of a path may hold spaces if a separator
# follows it. An address in the web (`//host/home/x`) is no path.
_WORD = r"[^/\\\s\"'<>|:*?,;\[\]]{1,128}"
_POSIX_PART = rf"(?:{_WORD}(?: {_WORD}){{1,3}}(?=/)|{_WORD})"
_WINDOWS_PART = rf"(?:{_WORD}(?: {_WORD}){{1,3}}(?=[\\/])|{_WORD})"
_WHOLE_PART = r"[^/\\\r\n\"<>|:*?\[\]]{1,128}"
_POSIX_START = r"(?:file://)?(?P<start>(?:/[\w.-]{1,64}){0,3}/(?:home|Users)|/run/media)/"
_WINDOWS_START = r"(?P<start>[A-Za-z]:[\\/]{1,4}(?:Users|Documents and Settings))[\\/]{1,4}"

_POSIX = re.compile(rf"(?<![\w.])(?<!:/){_POSIX_START}(?P<user>{_POSIX_PART})(?P<rest>(?:/{_POSIX_PART})*)")
_WINDOWS = re.compile(
    rf"(?<![A-Za-z]){_WINDOWS_START}(?P<user>{_WINDOWS_PART})(?P<rest>(?:[\\/]{{1,4}}{_WINDOWS_PART})*)",
    re.IGNORECASE,
)
_WHOLE = re.compile(
    rf"(?:{_POSIX_START}|(?i:{_WINDOWS_START.replace('start', 'other')}))"
    rf"(?P<user>{_WHOLE_PART})(?P<rest>(?:[\\/]{{1,4}}{_WHOLE_PART})*)"
)
# Two backslashes and one, or four and two where they are doubled; two and two is a relative path in JSON.
_UNC = re.compile(
    r"(?<![\w\\:/])(?:\\{2}(?P<one>\w[\w.-]{0,63})\\(?![\\nrtu\"(])|\\{4}(?P<two>\w[\w.-]{0,63})\\{2}(?!\\))"
    rf"(?P<rest>{_WINDOWS_PART}(?:[\\/]{{1,4}}{_WINDOWS_PART})*)"
)
_SHARE = re.compile(r"\b(?P<scheme>smb|afp|nfs|sftp|ssh|file)://(?P<host>[\w@-][\w.@:-]{0,254})")
_REMOTE = re.compile(r"(?<![\w.+-])[\w.-]{1,64}@[A-Za-z0-9][\w.-]{0,63}:(?=[/~])")
_EMAIL = re.compile(r"(?<![\w.+-])([\w.+-]{1,64})@(?:[A-Za-z0-9-]{1,63}\.){1,8}([A-Za-z]{2,24})(?![\w-])")
_LOGIN = re.compile(r"(?<=://)[^\s/@:\"'\[\]]{1,64}:[^\s/@\"'\[\]]{1,128}@")
_KEY = re.compile(
    r"(?<![A-Za-z0-9_-])(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|gh[opsu]_[A-Za-z0-9]{20,}"
    r"|github_pat_\w{20,}|glpat-[\w-]{16,}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,}|xox[abprs]-[\w-]{10,}"
    r"|r8_[A-Za-z0-9]{20,}|eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*)"
)
_PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:(?!-----)[\s\S]){0,8000}"
    r"(?:-----END [A-Z ]{0,20}PRIVATE KEY-----)?"
)
_SECRET_NAME = (
    r"(?:api|access|auth|secret|private)[_-]?(?:key|token)|token|secret|passw(?:or)?d|passphrase"
    r"|authorization"
)
_NAMED = re.compile(
    rf"(?<![A-Za-z])(?P<name>(?:{_SECRET_NAME})"
    r"\\{0,3}[\"']?\s{0,3}[:=]\s{0,3}\\{0,3}[\"']?(?:Bearer )?)"
    r"(?P<value>[\w\-+=/]{16,512})",
    re.IGNORECASE,
)
_SECRET_KEY = re.compile(rf"(?:\w*[_-])?(?:{_SECRET_NAME})", re.IGNORECASE)


def _path(match: re.Match[str]) -> tuple[str, str] | None:
    user = match["user"].strip()
    if not user or user.casefold() in _NOBODY:
        return None
    groups = match.groupdict()
    start = groups["start"] or groups.get("other") or ""
    folder = re.split(r"[\\/]", start)[-1]
    return _kept(match["rest"]), f"a path with a user name (…/{folder}/{user[0]}…)"


def _kept(rest: str) -> str:
    """The placeholder of a path and the name of the file in it; the folders may be named after people."""
    name = re.split(r"[\\/]", rest)[-1]
    return f"{PATH}/{name}" if name else PATH


def _unc(match: re.Match[str]) -> tuple[str, str]:
    host = match["one"] or match["two"]
    parts = match["rest"]
    rest = parts if re.search(r"[\\/]", parts) else ""
    return _kept(rest), f"a path with a host name (\\\\{host[0]}…)"


def _email(match: re.Match[str]) -> tuple[str, str] | None:
    return None if match[2].lower() in _SUFFIXES else (EMAIL, f"an e-mail address ({match[1][0]}…@…)")


def _named(match: re.Match[str]) -> tuple[str, str] | None:
    value = match["value"]
    kinds = (str.isdigit, str.isalpha)
    return (match["name"] + SECRET, _KEY_SEEN) if all(any(map(is_, value)) for is_ in kinds) else None


_KEY_SEEN = "a key, token or password"

_RULES = (
    _Rule("personal.secret", _PRIVATE_KEY, lambda _: (SECRET, "a private key")),
    _Rule("personal.secret", _LOGIN, lambda _: (f"{SECRET}@", "a password in an address")),
    _Rule("personal.secret", _KEY, lambda _: (SECRET, _KEY_SEEN)),
    _Rule("personal.secret", _NAMED, _named),
    _Rule("personal.path", _POSIX, _path),
    _Rule("personal.path", _WINDOWS, _path),
    _Rule("personal.host", _UNC, _unc),
    _Rule(
        "personal.host",
        _SHARE,
        lambda found: (f"{found['scheme']}://{HOST}", f"a host name ({found['host'][0]}…)"),
    ),
    _Rule("personal.host", _REMOTE, lambda found: (f"{HOST}:", f"a host name ({found[0][0]}…@…)")),
    _Rule("personal.email", _EMAIL, _email),
)
# No rule finds anything in a text without one of these; most texts have none.
_HINTS = re.compile(
    r"@|home/|Users|media/|Documents and|\\\\|(?:smb|afp|nfs|ssh|sftp|file)://|://[^/\s]*:|token|key|secret|passw|passphrase"
    r"|authorization|hf_|sk-|gh[opsu]_|github_pat|glpat|AKIA|AIza|xox|r8_|eyJ|\\/|\\u00",
    re.IGNORECASE,
)
# One string of JSON, wherever it stands.
_STRING = re.compile(r'(?<!\\)"((?:[^"\\]|\\.)*+)"', re.DOTALL)


def scrub_text(text: str, place: str = "") -> tuple[str, list[Finding]]:
    """A text with placeholders instead of what is personal in it, and what that was."""
    found: dict[Finding, None] = {}
    for _ in range(_ROUNDS):
        before = text
        text = _pass(text, place, found, _DEPTH)
        if text == before:
            break
    return text, list(found)


def findings_in(text: str, place: str = "") -> list[Finding]:
    """What is personal in a text."""
    return scrub_text(text, place)[1]


def _pass(text: str, place: str, found: dict[Finding, None], depth: int) -> str:
    if _HINTS.search(text) is None:
        return text
    if depth and '"' in text:
        text = _STRING.sub(lambda match: _string(match, place, found, depth - 1), text)
    if len(text) < _SHORT and (whole := _WHOLE.fullmatch(text)) and (judged := _path(whole)):
        found[Finding("personal.path", judged[1], place)] = None
        text = judged[0]
    for code, pattern, judge in _RULES:

        def replace(match: re.Match[str], code: str = code, judge: object = judge) -> str:
            result = judge(match)  # type: ignore[operator]
            if result is None:
                return match[0]
            found[Finding(code, result[1], place)] = None
            return str(result[0])

        text = pattern.sub(replace, text)
    return text


def _string(match: re.Match[str], place: str, found: dict[Finding, None], depth: int) -> str:
    if _HINTS.search(match[1]) is None:
        return match[0]
    try:
        text = json.loads(match[0], strict=False)
    except ValueError:
        return match[0]
    scrubbed = _pass(text, place, found, depth)
    # Everything else in the JSON stays as it was written.
    return match[0] if scrubbed == text else json.dumps(scrubbed, ensure_ascii=match[0].isascii())


def scrub_value(value: Any, place: str = "") -> tuple[Any, list[Finding]]:
    """A JSON value without what is personal in its texts and keys; what the name of a secret says is one."""
    if isinstance(value, str):
        return scrub_text(value, place)
    found: list[Finding] = []
    if isinstance(value, Mapping):
        result: dict[str, Any] = {}
        for key, entry in value.items():
            inner = f"{place}.{str(key)[:40]}"
            name, seen = scrub_text(str(key), place)
            if seen:
                inner = f"{place}.{name[:40]}"
            while name in result:  # two keys that differ only in what is personal
                name += " "
            if isinstance(entry, str) and len(entry) >= _LEAST_SECRET and _is_secret_name(str(key)):
                if entry != SECRET:
                    seen.append(Finding("personal.secret", _KEY_SEEN, inner))
                result[name] = SECRET
            else:
                result[name], more = scrub_value(entry, inner)
                seen += more
            found += seen
        return result, found
    if isinstance(value, (list, tuple)):
        pairs = [scrub_value(entry, place) for entry in value]
        return type(value)(each for each, _ in pairs), [one for _, seen in pairs for one in seen]
    return value, found


_LEAST_SECRET = 8


def _is_secret_name(key: str) -> bool:
    return _SECRET_KEY.fullmatch(key) is not None


def is_email(text: str) -> bool:
    """Whether a text is an e-mail address and nothing else."""
    found = _EMAIL.fullmatch(text)
    return found is not None and found[2].lower() not in _SUFFIXES


# Metadata chunks

# What is taken out of XMP: where a picture was taken, numbers and owners of cameras.
_XMP_NAMES = (
    r"(?P<name>exif:GPS\w+|(?:aux|exifEX):(?:SerialNumber|BodySerialNumber|LensSerialNumber|OwnerName"
    r"|CameraOwnerName))"
)
_XMP_ELEMENT = re.compile(rf"<{_XMP_NAMES}(?:\s[^<>]{{0,500}})?(?:/>|>[^<>]{{0,2000}}</(?P=name)\s{{0,9}}>)")
_XMP_ATTRIBUTE = re.compile(rf"\s{_XMP_NAMES}\s{{0,9}}=\s{{0,9}}(?:\"[^\"]{{0,2000}}\"|'[^']{{0,2000}}')")
_XMP_ANY = re.compile(rf"\b{_XMP_NAMES}\b")


def scrub_chunk(name: str, text: str, place: str = "") -> tuple[str | None, list[Finding]]:
    """A metadata chunk, by the name that `synthscars.ingest.metadata` gives it, without what is personal.

    `None` if nothing of it can stay: a name, or bytes that are no text.
    """
    if name in PEOPLE_CHUNKS:
        if not text.strip("\0 "):
            return text, []
        return None, [Finding("personal.exif", f"who or what made it ({PEOPLE_CHUNKS[name]})", place)]
    if text.startswith(BINARY):
        found = binary_findings(_decoded(text), place)
        return (None if found else text), found
    if name != XMP:
        return scrub_text(text, place)
    found = list(_xmp_findings(text, place))
    if found:
        text = _XMP_ATTRIBUTE.sub("", _XMP_ELEMENT.sub("", text))
        if _XMP_ANY.search(text):  # written in a way that is not known
            return None, found
    text, more = scrub_text(text, place)
    return text, found + more


def _xmp_findings(text: str, place: str) -> Iterator[Finding]:
    names = {match["name"] for match in _XMP_ANY.finditer(text)}
    if any(name.startswith("exif:GPS") for name in names):
        yield Finding("personal.gps", "where it was taken (GPS)", place)
    for name in sorted(name.split(":")[1] for name in names if not name.startswith("exif:GPS")):
        yield Finding("personal.exif", f"who or what made it ({name})", place)


def binary_findings(data: bytes, place: str = "") -> list[Finding]:
    """What is personal in the readable parts of bytes that are no text as a whole."""
    return findings_in(b"\n".join(_READABLE.findall(data)).decode("ascii"), place)


_READABLE = re.compile(rb"[ -~]{6,}")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text[len(BINARY) :])
    except ValueError:
        return b""
