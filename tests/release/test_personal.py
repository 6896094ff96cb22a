"""What counts as personal in a text, what stands in its place, and that nothing is found afterwards."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthscars.release.personal import findings_in, is_email, scrub_chunk, scrub_text, scrub_value


@pytest.mark.parametrize(
    ("text", "scrubbed", "code"),
    [
        ("/home/ann/models/x.safetensors", "[path]/x.safetensors", "personal.path"),
        ("file:///home/ann/x", "[path]/x", "personal.path"),
        ("/mnt/c/Users/ann/x", "[path]/x", "personal.path"),
        ("/run/media/ann/disk/x", "[path]/x", "personal.path"),
        ("Model:/home/ann/x.pt, Steps: 20", "Model:[path]/x.pt, Steps: 20", "personal.path"),
        ("from /Users/ann/My Models/x.pt on", "from [path]/x.pt on", "personal.path"),
        (r"C:\Users\ann\x.png", "[path]/x.png", "personal.path"),
        ("c:/users/ann/x", "[path]/x", "personal.path"),
        (r"C:\Users\Ann Example", "[path]", "personal.path"),
        (r"D:\Documents and Settings\ann\x y.png", "[path]/x y.png", "personal.path"),
        (r"\\nas\photos\Ann Example\x.png", "[path]/x.png", "personal.host"),
        ("smb://nas/photos", "smb://[host]/photos", "personal.host"),
        ("ann@gpu:/data/x", "[host]:/data/x", "personal.host"),
        ("by ann.ex+art@mail.example.org, 2024", "by [e-mail], 2024", "personal.email"),
        ("https://ann:word@example.org/x", "https://[secret]@example.org/x", "personal.secret"),
        ("--token hf_" + "aB3" * 10, "--token [secret]", "personal.secret"),
        ("api_key = '0123456789abcdef'", "api_key = '[secret]'", "personal.secret"),
        ("Authorization: Bearer abc123abc123abc123", "Authorization: Bearer [secret]", "personal.secret"),
        (
            "-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----",
            "[secret]",
            "personal.secret",
        ),
    ],
)
def test_something_personal_is_replaced_and_told_without_repeating_it(
    text: str, scrubbed: str, code: str
) -> None:
    found, findings = scrub_text(text, "here")
    assert found == scrubbed
    ((seen, what, place),) = findings
    assert (seen, place) == (code, "here")
    assert "ann" not in what.casefold()
    assert findings_in(found) == []


@pytest.mark.parametrize(
    "text",
    [
        "a house and a home/office",
        "https://example.org/home/page",
        "/home/user/x",
        r"C:\Users\Public\x",
        "models/home/x",
        "/usr/share/fonts",
        r"models\sd\x.safetensors",
        r'{"model": "sd\\xl\\x.safetensors"}',
        r"(a \(small\) \\(b\\))",
        "logo@2x.png",
        "50 apples @ 2 each",
        "Token merging ratio: 0.5, Model hash: 0123456789abcdef",
        "tokens: a, b, c; secret garden: flowers",
        "<lora:a_home_users:1>",
    ],
)
def test_what_only_looks_like_it_stays(text: str) -> None:
    assert scrub_text(text) == (text, [])


def test_json_in_a_text_stays_the_same_json_but_for_the_strings() -> None:
    inner = json.dumps({"file": "C:\\Users\\ann\\\u00fc.png", "n": 1.0})
    text = '{"a" :  1.50, "path": "\\/home\\/ann\\/x \\u00fc.png",\n "inner": ' + json.dumps(inner) + "}"
    found, _ = scrub_text(text)
    value = json.loads(found)
    assert value["path"] == "[path]/x \u00fc.png"
    assert json.loads(value["inner"]) == {"file": "[path]/\u00fc.png", "n": 1.0}
    assert found.startswith('{"a" :  1.50, "path": "')


def test_json_that_is_broken_is_scrubbed_as_text() -> None:
    found, _ = scrub_text('workflow:{"path": "D:\\\\Users\\\\ann\\\\x.png", ')
    assert found == 'workflow:{"path": "[path]/x.png", '


def test_keys_and_what_a_secret_is_named_are_looked_at_in_values() -> None:
    value = {
        "/home/ann/x": 1,
        "hf_token": "what ever it is",
        "list": [["a@example.org"]],
        "tokens": "a b c d e",
    }
    found, findings = scrub_value(value, "extra")
    assert found == {
        "[path]/x": 1,
        "hf_token": "[secret]",
        "list": [["[e-mail]"]],
        "tokens": "a b c d e",
    }
    assert {each.code for each in findings} == {"personal.path", "personal.secret", "personal.email"}
    assert scrub_value(found) == (found, [])


def test_two_keys_that_become_one_are_kept_apart() -> None:
    found, _ = scrub_value({"/home/ann/x": 1, "/home/bob/x": 2})
    assert sorted(found.values()) == [1, 2]


def test_a_chunk_that_is_a_name_goes_and_xmp_loses_places_and_cameras() -> None:
    assert scrub_chunk("exif:Artist", "Ann Example")[0] is None
    xmp = (
        '<rdf:Description exif:GPSLatitude="48,1N" dc:format="x">\n'
        "<exif:GPSLongitude>8,1E</exif:GPSLongitude>"
        "<aux:SerialNumber>123</aux:SerialNumber><dc:title>by ann@example.org</dc:title></rdf:Description>"
    )
    found, findings = scrub_chunk("xmp", xmp)
    assert found == '<rdf:Description dc:format="x">\n<dc:title>by [e-mail]</dc:title></rdf:Description>'
    assert [each.code for each in findings] == ["personal.gps", "personal.exif", "personal.email"]


def test_xmp_that_is_written_in_another_way_goes_as_a_whole() -> None:
    assert scrub_chunk("xmp", "<exif:GPSLatitude><b>48</b></exif:GPSLatitude>")[0] is None


def test_bytes_that_are_no_text_go_if_something_can_be_read_in_them() -> None:
    from base64 import b64encode

    def chunk(data: bytes) -> str:
        return "base64:" + b64encode(data).decode()

    assert scrub_chunk("exif:MakerNote", chunk(b"\0\1/home/ann/x\0"))[0] is None
    assert scrub_chunk("exif:MakerNote", chunk(b"\0\1\2\3"))[1] == []


@pytest.mark.parametrize(
    ("text", "expected"), [("ann@example.org", True), ("ann", False), ("a@2x.png", False)]
)
def test_an_address_is_told_from_other_ids(text: str, expected: bool) -> None:
    assert is_email(text) is expected


_PARTS = st.one_of(
    st.sampled_from(
        [
            *("/", "\\", "//", "\\\\", "\\\\\\\\", ":", ".", "@", '"', "'", "{", "}", ",", "=", "\n", " "),
            *("home", "Users", "ann", "C:", "D:/", "a@b.co", "example.org", "token", "key", "hf_", "sk-"),
            *("file://", "smb://", "ssh://", "https://", "[path]", "[host]", "aB3" * 8, "Bearer ", "\\u0040"),
            *("\\/", "-----BEGIN ", "/home/ann", "C:\\Users\\ann", "\\\\nas\\share", "media", "run/", "eyJ"),
        ]
    ),
    st.text(max_size=4),
)


@given(st.lists(_PARTS, max_size=24).map("".join))
def test_nothing_is_found_in_what_was_scrubbed(text: str) -> None:
    found, _ = scrub_text(text)
    assert scrub_text(found) == (found, [])


@given(
    st.recursive(_PARTS | st.integers() | st.none(), lambda each: st.dictionaries(_PARTS, each, max_size=3))
)
def test_json_in_a_text_is_json_afterwards(value: object) -> None:
    found, _ = scrub_text(json.dumps(value))
    json.loads(found)


@pytest.mark.parametrize(
    "part",
    [
        *("/", "/a", "a@", "a.", "@", "/home/", "C:\\", "ab", "a@b.", "/home/a/", "/home/a ", "\\\\", '"'),
        *('\\"', "token=", "://a:", "-----BEGIN PRIVATE KEY-----", "ssh://a", "<exif:GPSx>", '"a@b.co",'),
        *("hf_", "eyJaaaaaaaaaa.", "C:\\Users\\a b "),
    ],
)
def test_a_long_text_takes_time_in_proportion(part: str) -> None:
    # Quadratic time would be hours here, not seconds: it would end by the limit of the whole run.
    scrub_chunk("xmp", part * (300_000 // len(part)))
