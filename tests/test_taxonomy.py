import re
from importlib.resources import files

import pytest

from synthscars.problems import FormatError
from synthscars.taxonomy import load_taxonomy, parse_taxonomy

TEXT = (files("synthscars.annotation_configs") / "taxonomy.toml").read_text(encoding="utf-8")


def test_the_classes_are_those_of_the_paper_in_their_order() -> None:
    taxonomy = load_taxonomy()
    assert taxonomy.category_ids == ("physics", "structure", "distortion")
    assert [len(taxonomy.subtypes_of(category)) for category in taxonomy.category_ids] == [3, 5, 3]
    assert len(taxonomy.subtype_ids) == 11
    assert set(taxonomy.content_type_ids) == {"human", "object", "animal", "scene"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", taxonomy.version)


def test_every_class_can_be_shown_to_an_annotator() -> None:
    taxonomy = load_taxonomy()
    entries = (*taxonomy.categories, *taxonomy.subtypes, *taxonomy.content_types)
    for entry in entries:
        assert re.fullmatch(r"[a-z_]+", entry.id)
        assert entry.name
        assert entry.definition.endswith(".")
        assert len(entry.hotkey) == 1
    assert len({entry.hotkey for entry in entries}) == len(entries)
    assert len({entry.name for entry in entries}) == len(entries)
    assert all(len(subtype.examples) >= 2 for subtype in taxonomy.subtypes)


# Machado, Oliveira, Fernandes: A physiologically-based model for simulation of color vision deficiency
# (IEEE TVCG 2009), severity 1.0, on linear RGB.
DEFICIENCIES = {
    "normal": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "protanopia": (
        (0.152286, 1.052583, -0.204868),
        (0.114503, 0.786281, 0.099216),
        (-0.003882, -0.048116, 1.051998),
    ),
    "deuteranopia": (
        (0.367322, 0.860646, -0.227968),
        (0.280085, 0.672501, 0.047413),
        (-0.011820, 0.042940, 0.968881),
    ),
    "tritanopia": (
        (1.255528, -0.076749, -0.178779),
        (-0.078411, 0.930809, 0.147602),
        (0.004733, 0.691367, 0.303900),
    ),
    "no colours": ((0.2126, 0.7152, 0.0722),) * 3,
}
# A difference of 2.3 is just noticeable; at 15 colours have different names.
LEAST = {"normal": 70, "protanopia": 50, "deuteranopia": 50, "tritanopia": 35, "no colours": 12}


def _lab(color: str, vision: str) -> tuple[float, float, float]:
    """CIE L*a*b* (D65) of `#RRGGBB` as seen with a colour vision deficiency."""
    encoded = [int(color[index : index + 2], 16) / 255 for index in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in encoded]
    seen = [
        min(max(sum(m * c for m, c in zip(row, linear, strict=True)), 0.0), 1.0)
        for row in DEFICIENCIES[vision]
    ]
    to_xyz = ((0.4124, 0.3576, 0.1805), (0.2126, 0.7152, 0.0722), (0.0193, 0.1192, 0.9505))
    xyz = [sum(m * c for m, c in zip(row, seen, strict=True)) for row in to_xyz]
    x, y, z = (
        t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116
        for t in (xyz[0] / 0.95047, xyz[1], xyz[2] / 1.08883)
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("vision", DEFICIENCIES)
def test_the_colours_of_the_categories_can_be_told_apart(vision: str) -> None:
    colors = [category.color for category in load_taxonomy().categories]
    for index, first in enumerate(colors):
        for second in colors[index + 1 :]:
            pairs = zip(_lab(first, vision), _lab(second, vision), strict=True)
            assert sum((a - b) ** 2 for a, b in pairs) ** 0.5 > LEAST[vision], (first, second)


def test_entries_are_found_by_id() -> None:
    taxonomy = load_taxonomy()
    assert taxonomy.category("physics").name == "Physics"
    assert taxonomy.subtype("deformed").category == "structure"
    with pytest.raises(KeyError):
        taxonomy.category("deformed")
    with pytest.raises(KeyError):
        taxonomy.subtype("physics")
    assert taxonomy.subtypes_of("nothing") == ()


def test_the_file_is_read_once() -> None:
    assert load_taxonomy() is load_taxonomy()
    assert parse_taxonomy(TEXT) == load_taxonomy()


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('id = "structure"', 'id = "physics"', "id used more than once: physics"),
        ('hotkey = "w"', 'hotkey = "q"', "hotkey used more than once: q"),
        ('category = "physics"', 'category = "chemistry"', "unknown category 'chemistry'"),
        ('color = "#0055B8"\n', "", "color"),
        ("version =", "versoin =", "version"),
        ("[[categories]]", "[[categories", "my.toml"),
    ],
)
def test_a_mistake_in_the_file_is_named(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(FormatError, match=re.escape(said)) as caught:
        parse_taxonomy(TEXT.replace(old, new, 1), "my.toml")
    assert str(caught.value).startswith("my.toml: ")
