"""What every reader shares."""

import json
from unittest.mock import patch

import pytest

from synthscars.converters.reading import decode_json


@pytest.mark.parametrize("before", ["", " ", "\n"])
@pytest.mark.parametrize("sign", ["", "-"])
def test_integers_that_no_record_can_hold_become_texts(before: str, sign: str) -> None:
    number = f"{before}{sign}1234567890123456789012345"
    content = f'{{"a":{number},"b":[{number},1,{number}]}}'.encode()
    found = decode_json(content, "in.json")
    assert [type(each) for each in (found["a"], *found["b"])] == [str, str, int, str]


def test_a_file_full_of_hashes_is_read_the_quick_way() -> None:
    content = {
        "sha256": "6391e4fa8b1bf960b7931db4848c2351491827b1234567890123456789012345",
        "id": 2**62 // 10,
    }
    with patch("synthscars.converters.reading.json.loads", side_effect=AssertionError("the slow way")):
        assert decode_json(json.dumps(content).encode(), "in.json") == content
