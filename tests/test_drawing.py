"""Pictures of annotated images: what stands where, judged by their pixels."""

import numpy as np
import pytest
from PIL import Image

from synthscars import drawing, drawing_text
from synthscars.drawing import draw_artifacts
from synthscars.records import Artifact
from synthscars.simulate import simulate_image
from synthscars.taxonomy import load_taxonomy

GREY = Image.new("RGB", (640, 480), (128, 128, 128))


def artifact(*rings, category="physics", phrase="the left hand", **fields):
    return Artifact(artifact_id="1", category=category, polygons=rings, phrase=phrase, **fields)


def square(left, top, side=100.0):
    return (left, top, left + side, top, left + side, top + side, left, top + side)


def pixels(image):
    return np.asarray(image).astype(int)


def is_color(image, text):
    rgb = [int(text[place : place + 2], 16) for place in (1, 3, 5)]
    return (np.abs(pixels(image) - rgb) < 12).all(axis=2)


@pytest.fixture
def places(monkeypatch):
    """Where labels were put, as [left, top, right, bottom], while a picture is drawn."""
    found = []
    draw_label = drawing._draw_label

    def note(canvas, label, place, *rest):
        found.append([*map(float, place)])
        draw_label(canvas, label, place, *rest)

    monkeypatch.setattr(drawing, "_draw_label", note)
    return found


@pytest.mark.parametrize("category", ["physics", "structure", "distortion"])
def test_the_outline_is_where_the_polygon_is_and_has_the_color_of_the_category(category):
    color = load_taxonomy().category(category).color
    drawn = draw_artifacts(GREY, [artifact(square(300, 200), category=category)], labels=False)
    rows, columns = np.nonzero(is_color(drawn, color))
    # Half the width of a line beyond the edges of the square, and no more.
    assert (columns.min(), rows.min()) == pytest.approx((299, 199), abs=1)
    assert (columns.max(), rows.max()) == pytest.approx((400, 300), abs=1)
    inside = pixels(drawn)[206:294, 306:394]
    assert (inside == 128).all()
    assert (pixels(drawn)[:190] == 128).all()


def test_rings_that_overlap_have_one_outline():
    color = load_taxonomy().category("physics").color
    drawn = draw_artifacts(GREY, [artifact(square(300, 200), square(350, 200))], labels=False)
    found = is_color(drawn, color)
    assert found[250, 296:304].any()
    assert found[250, 446:454].any()
    assert not found[250, 310:440].any()


def test_the_image_itself_stays_as_it_is():
    before = GREY.tobytes()
    drawn = draw_artifacts(GREY, [artifact(square(300, 200))], explanations=True)
    assert GREY.tobytes() == before
    assert drawn is not GREY


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "CMYK", "I;16"])
def test_any_mode_becomes_rgb(mode):
    drawn = draw_artifacts(Image.new(mode, (400, 400)), [artifact(square(10, 10))])
    assert drawn.mode == "RGB"


def test_what_is_transparent_is_white():
    drawn = draw_artifacts(Image.new("RGBA", (400, 400), (0, 0, 0, 0)), [])
    assert (pixels(drawn) == 255).all()


def test_small_images_are_enlarged_so_that_labels_can_be_read():
    drawn = draw_artifacts(Image.new("RGB", (48, 32)), [artifact(square(4, 4, 10))])
    assert drawn.size == (576, 384)
    color = load_taxonomy().category("physics").color
    drawn = draw_artifacts(Image.new("RGB", (48, 32)), [artifact(square(4, 4, 10))], labels=False)
    _, columns = np.nonzero(is_color(drawn, color))
    assert (columns.min(), columns.max()) == pytest.approx((48, 168), abs=2)


@pytest.mark.parametrize("size", [(512, 512), (60, 400), (1600, 300), (48, 32)])
def test_labels_are_inside_the_picture_and_on_no_other_label(places, size):
    rng = np.random.default_rng(1)
    side = min(size) / 12
    corners = rng.uniform(-side, np.array(size), (12, 2))
    artifacts = [artifact(square(*corner, 1.5 * side), phrase=f"the left hand {n}")
                 for n, corner in enumerate(corners)]  # fmt: skip
    drawn = draw_artifacts(Image.new("RGB", size), artifacts)
    assert len(places) == 12
    for left, top, right, bottom in places:
        assert 0 <= left < right <= drawn.width
        assert 0 <= top < bottom <= drawn.height
    for number, one in enumerate(places):
        for other in places[:number]:
            apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
            assert apart


def test_as_many_artifacts_as_one_published_image_has_keep_their_phrases_apart(places):
    rng = np.random.default_rng(0)
    artifacts = [artifact(square(*corner, 50), phrase=f"the {n}. finger of the left hand")
                 for n, corner in enumerate(rng.uniform(0, 460, (22, 2)))]  # fmt: skip
    draw_artifacts(Image.new("RGB", (512, 512)), artifacts)
    boxes = np.array(places)
    assert len(boxes) == 22
    low = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    overlap = np.clip(high - low, 0, None).prod(axis=2)
    assert np.count_nonzero(overlap) == 22  # each with itself


def test_a_label_stays_off_what_is_wrong_where_there_is_room(places):
    draw_artifacts(GREY, [artifact(square(200, 150, 150))])
    ((left, top, right, bottom),) = places
    assert right <= 200 or left >= 350 or bottom <= 150 or top >= 300


def test_labels_can_be_read_on_their_colors():
    def luminance(value):
        parts = np.array(value) / 255
        linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
        return float(linear @ [0.2126, 0.7152, 0.0722])

    inks = {"white": (255, 255, 255), "black": (0, 0, 0)}
    raters = drawing._rater_colors([*map(str, range(8)), ""], []).values()
    categories = [drawing._color(artifact(category=each)) for each in (*load_taxonomy().category_ids, None)]
    for color in (*categories, *raters):
        darker, lighter = sorted([luminance(color), luminance(inks[drawing_text.ink(color)])])
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5  # WCAG 2, level AA


def test_explanations_stand_below_the_picture_and_make_it_higher():
    record = simulate_image(5, 1).record
    image = simulate_image(5, 1).image
    plain = draw_artifacts(image, record.artifacts)
    drawn = draw_artifacts(image, record.artifacts, explanations=True)
    assert drawn.width == plain.width == image.width
    assert plain.height == image.height < drawn.height
    legend = pixels(drawn)[image.height :]
    assert (legend[:2] == 255).all()
    assert (legend.sum(axis=2) < 200).any()
    more = draw_artifacts(image, record.artifacts * 2, explanations=True)
    assert more.height - image.height > 1.8 * (drawn.height - image.height)


def test_lines_are_wrapped_balanced_and_cut():
    font = drawing_text.load_font(None, 14)
    text = "the smeared area on the hair above the forehead"
    lines = drawing_text.balanced(text, font, 256, 3)
    assert " ".join(lines) == text
    assert len(lines) == 2
    assert abs(font.getlength(lines[0]) - font.getlength(lines[1])) < 80
    cut = drawing_text.wrap(text * 20, font, 256, 3)
    assert len(cut) == 3
    assert cut[-1].endswith("…")
    assert all(font.getlength(line) <= 256 for line in cut)
    assert drawing_text.wrap("", font, 256, 3) == [""]


@pytest.mark.parametrize(
    "text",
    ["", "\x00\x07\n\t", "x" * 100_000, "\ud800 alone", "<script>", "左手", "יד שמאל", "e\u0301" * 300, "🖐"],
)  # fmt: skip
def test_no_text_breaks_the_picture(text):
    item = artifact(square(10, 10), phrase=text, explanation=text, category=None)
    drawn = draw_artifacts(GREY, [item], explanations=True)
    assert drawn.width == 640
    assert drawn.height < 1200


@pytest.mark.parametrize(
    "ring",
    [
        (1e300, 1e300, -1e300, 1e300, 0.0, -1e300),
        (-50.0, -50.0, 700.0, -50.0, 700.0, 600.0, -50.0, 600.0),
        (10.0, 10.0, 100.0, 100.0, 100.0, 10.0, 10.0, 100.0),
        (5000.0, 5000.0, 5100.0, 5000.0, 5100.0, 5100.0),
        (5.0, 5.0, 6.0, 6.0),
        (5.0, 5.0, 6.0, 6.0, 7.0, 7.0),
        (),
    ],
)
def test_no_outline_breaks_the_picture(ring):
    assert draw_artifacts(GREY, [artifact(ring)], explanations=True).width == 640
    assert draw_artifacts(GREY, [artifact()], explanations=True).width == 640


def test_an_artifact_without_words_is_called_by_its_subtype_or_category():
    assert drawing._title(artifact(phrase=" ", subtype="optical_display")) == "Optical display"
    assert drawing._title(artifact(phrase="")) == "Physics"
    assert drawing._title(artifact(phrase="", category=None)) == "artifact"
    assert drawing._title(artifact(phrase="the  left\nhand")) == "the left hand"


def test_a_font_that_is_no_font_is_an_error(tmp_path):
    (tmp_path / "font.ttf").write_bytes(b"nonsense")
    with pytest.raises(OSError, match="unknown file format"):
        draw_artifacts(GREY, [artifact(square(1, 1))], font=tmp_path / "font.ttf")


def test_the_same_picture_twice_has_the_same_bytes():
    simulated = simulate_image(5, 3)
    first, second = (draw_artifacts(simulated.image, simulated.record.artifacts) for _ in range(2))
    assert first.tobytes() == second.tobytes()


# Raters


def test_raters_have_a_color_each_and_a_line_in_the_key_also_who_drew_nothing(monkeypatch):
    told = []
    text = drawing.ImageDraw.ImageDraw.text
    monkeypatch.setattr(
        drawing.ImageDraw.ImageDraw,
        "text",
        lambda pen, place, what, *rest, **more: (told.append(what), text(pen, place, what, *rest, **more))[1],
    )
    drawn_by = [("ben", 100), ("ben", 250), ("anna", 400), ("", 500)]
    regions = [artifact(square(left, 100), rater_id=rater) for rater, left in drawn_by]
    drawn = draw_artifacts(GREY, regions, labels=False, raters=["anna", "ben", "carla"])
    assert told == ["anna: 1 region", "ben: 2 regions", "carla: no regions", "unknown rater: 1 region"]
    colors = drawing._rater_colors(["anna", "ben", "carla"], regions)
    assert len(set(colors.values())) == 4
    for (rater, left), y in zip(drawn_by, (150, 150, 150, 150), strict=True):
        assert drawn.getpixel((left, y)) == colors[rater]
        assert drawn.getpixel((left + 50, y)) == (128, 128, 128)
    key = drawn.crop((0, GREY.height, *drawn.size))
    assert all(color in {each for _, each in key.getcolors(1 << 20)} for color in colors.values())


def test_a_rater_keeps_the_color_whoever_else_drew_something():
    first = drawing._rater_colors(["anna", "ben"], [artifact(square(1, 1), rater_id="ben")])
    second = drawing._rater_colors(["anna", "ben"], [artifact(square(1, 1), rater_id="carla")])
    assert first == {rater: second[rater] for rater in ("anna", "ben")}


def test_a_name_that_is_too_long_or_none_at_all_does_not_break_the_key():
    for rater in ("x" * 3000, "\n\t", "\u202e" * 9, "👩🏽‍🎨"):
        assert draw_artifacts(GREY, [], raters=[rater]).size[0] == 640
        drawn = draw_artifacts(GREY, [artifact(square(9, 9), rater_id=rater)], explanations=True, raters=[])
        assert drawn.height > 480
    assert draw_artifacts(GREY, [], raters=[]).size == GREY.size
