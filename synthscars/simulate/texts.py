"""What is said about each kind of planted artifact: where it is and why it cannot be.

`{...}` fields are filled from the words of the mark and from the light: `{light}` ("the sun"), `{side}` (the
side that the light comes from) and `{away}` (the other one).
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from synthscars.simulate.shapes import pick


class Wording(msgspec.Struct, frozen=True):
    """Category and subtype (ids of the taxonomy) of a fault, and the texts to choose from."""

    category: str
    subtype: str
    phrases: tuple[str, ...]
    explanations: tuple[str, ...]


WORDINGS: dict[str, Wording] = {
    "shadow": Wording(
        "physics",
        "optical_display",
        ("the shadow of the {thing}", "the shadow cast by the {thing}", "the dark shadow beside the {thing}"),
        (
            "The light comes from {light} on the {side}, yet this shadow falls towards it.",
            "With {light} on the {side}, the shadow must lie on the {away}. It lies on the {side}.",
            "The shadow points at {light}. No light from the {side} can throw a shadow to the {side}.",
        ),
    ),
    "floating": Wording(
        "physics",
        "physical_law_violation",
        ("the {thing} in mid-air", "the floating {thing}", "the {thing} above the {ground}"),
        (
            "The {thing} hangs in the air without touching the {ground} or anything else that could hold it.",
            "Nothing carries the {thing}, and gravity would pull it down to the {ground}.",
            "There is empty space below the {thing}, so it would have to fall onto the {ground}.",
        ),
    ),
    "finger": Wording(
        "structure",
        "incomplete_redundant",
        (
            "the sixth finger of the {hand} hand",
            "the outer finger of the raised hand",
            "the extra finger beside the little finger",
        ),
        (
            "The raised hand has six digits. A fifth long finger grows beside the little finger.",
            "A hand has a thumb and four fingers, but a further finger sticks out on the outer side here.",
            "Counting the thumb, six digits leave the palm; a human hand has five.",
        ),
    ),
    "extra": Wording(
        "structure",
        "incomplete_redundant",
        (
            "the extra {part} of the {thing}",
            "the additional {part} of the {thing}",
            "the superfluous {part} on the {thing}",
        ),
        (
            "The {thing} has {usual}, but a further {part} is attached here.",
            "This is one {part} too many, for the {thing} should have {usual}.",
            "This {part} is redundant, since the {thing} has {usual} and never more.",
        ),
    ),
    "text": Wording(
        "structure",
        "text_distortion",
        ("the letters on the {thing}", "the lettering of the {thing}", "the writing on the {thing}"),
        (
            "The letters are mirrored and stuck together from halves, so that no word can be read.",
            "What should be a word consists of shapes that belong to no alphabet.",
            "The characters are scrambled. Several are upside down or melted into one another.",
        ),
    ),
    "eyes": Wording(
        "structure",
        "asymmetrical",
        ("the eye on the {place}", "the larger eye on the {place}", "the uneven eye on the {place}"),
        (
            "This eye is much larger than the other one, sits lower and has an iris of another colour.",
            "The two eyes do not match, for this one is half as large again, and lower in the face.",
            "A face is nearly symmetrical, but this eye differs from the other in size, height and colour.",
        ),
    ),
    "uneven": Wording(
        "structure",
        "asymmetrical",
        (
            "the {place} {part} of the {thing}",
            "the {part} on the {place} of the {thing}",
            "the mismatched {part} on the {place} of the {thing}",
        ),
        (
            "The sides of the {thing} should match, but the {part} on the {place} has another shape.",
            "The {thing} is symmetrical except here, where its {place} {part} does not mirror the other one.",
            "This {part} differs clearly from its counterpart, although both should be alike.",
        ),
    ),
    "deformed": Wording(
        "structure",
        "deformed",
        (
            "the {part} of the {thing}",
            "the bent {part} of the {thing}",
            "the misshapen {part} of the {thing}",
        ),
        (
            "The {part} bulges and dents as if it had melted; a real one is perfectly round.",
            "This {part} is not round, so the {thing} could not work.",
            "The outline of the {part} is warped. The {thing} needs a circular one.",
        ),
    ),
    "blotch": Wording(
        "distortion",
        "color_texture",
        ("the {colour} blotch on {place}", "the {colour} patch on {place}", "the {colour} stain on {place}"),
        (
            "A {colour} blotch with a hard edge covers a surface that has neither this colour nor texture.",
            "The colour jumps to {colour} without any reason in the light or the material.",
            "The surface turns mottled and {colour} here, as if another material had been pasted onto it.",
        ),
    ),
    "noise": Wording(
        "distortion",
        "noise_blurring",
        ("the noisy patch on {place}", "the grainy area on {place}", "the speckled patch on {place}"),
        (
            "Coloured noise covers this place, while everything around it is clean.",
            "The picture breaks up into coloured grain here; the neighbouring surface is smooth.",
            "Strong speckles hide the surface in one patch only, so they cannot come from a camera.",
        ),
    ),
    "smear": Wording(
        "distortion",
        "noise_blurring",
        ("the blurred patch on {place}", "the smeared area on {place}", "the washed-out patch on {place}"),
        (
            "This place is smeared, although what lies beside it at the same distance is sharp.",
            "The details dissolve into a blur in one patch only, while the surroundings are crisp.",
            "The texture is wiped away here without any motion or depth that could explain the blur.",
        ),
    ),
    "mirror": Wording(
        "physics",
        "optical_display",
        ("the reflection in the mirror", "the {shown} in the mirror", "what the mirror shows of the {thing}"),
        (
            "A {thing} lies before the mirror, but its reflection is a {shown}.",
            "The mirror shows a {shown} where it should show the {thing} that lies in front of it.",
            "A mirror repeats what is before it. This one turns the {thing} into a {shown}.",
        ),
    ),
    "reflection": Wording(
        "physics",
        "optical_display",
        (
            "the reflection of the {thing} in the water",
            "the {shown} in the water",
            "the mirror image in the lake",
        ),
        (
            "The water shows a {shown} where the {thing} on the shore should be reflected.",
            "Below the {thing} the lake reflects a {shown}, which is not there.",
            "Water mirrors what stands above it. Here it turns the {thing} into a {shown}.",
        ),
    ),
    "liquid": Wording(
        "physics",
        "physical_law_violation",
        (
            "the {colour} liquid in the bottle",
            "the slanted surface in the bottle",
            "the liquid of the bottle",
        ),
        (
            "The bottle stands upright, yet the surface of its liquid is steep instead of level.",
            "A liquid at rest lies level. Here it climbs up the {high} side of the bottle.",
            "Gravity would level the {colour} liquid, but it stays piled up on the {high}.",
        ),
    ),
    "crate": Wording(
        "physics",
        "space_perspective",
        ("the lid of the crate", "the top of the wooden crate", "the upper side of the crate"),
        (
            "The lid grows wider towards the back, although its edges should come together with distance.",
            "The far edge of the crate is longer than the near one, against all perspective.",
            "The sides of the lid run apart towards the back, so near and far contradict each other.",
        ),
    ),
    "skittles": Wording(
        "physics",
        "space_perspective",
        ("the far end of the row of skittles", "the farthest skittle of the row", "the far skittle"),
        (
            "The skittle farthest away is the largest, although the row should get smaller with distance.",
            "It stands at the far end of the row and is still larger than the near ones.",
            "Equal skittles look smaller farther away. This one looks larger, so size and depth disagree.",
        ),
    ),
    "missing": Wording(
        "structure",
        "incomplete_redundant",
        (
            "the missing {part} of the {thing}",
            "the gap in place of the {part} of the {thing}",
            "the place of the absent {part} of the {thing}",
        ),
        (
            "The {thing} lacks its {side_of} {part}, and nothing stands in that place.",
            "One {part} of the {thing} is missing here, while the others are there.",
            "Where the {side_of} {part} should be there is nothing, so the {thing} is incomplete.",
        ),
    ),
    "candle": Wording(
        "structure",
        "illogical",
        (
            "the flame of the candle",
            "the flame at the side of the candle",
            "the misplaced flame of the candle",
        ),
        (
            "The flame burns at the side of the candle where no wick is, while the wick on top is unlit.",
            "A candle burns at its wick. This flame sticks to the middle of the wax.",
            "Flame and candle are well drawn but do not belong together like this; the wick is elsewhere.",
        ),
    ),
    "tap": Wording(
        "structure",
        "illogical",
        ("the tap on the {thing}", "the metal tap of the {thing}", "the water tap in the {thing}"),
        (
            "A water tap grows out of the {thing}, where there is nothing that could flow out of it.",
            "Nobody fits a tap to an {thing}; the two things make no sense together.",
            "The {thing} and the tap are each well drawn, but no {thing} has a tap.",
        ),
    ),
    "umbrella": Wording(
        "structure",
        "illogical",
        ("the handle of the umbrella", "the handle on top of the umbrella", "the umbrella's handle"),
        (
            "The handle sits on the outside of the canopy, so nobody could stand below and hold it.",
            "An umbrella is held from below, but its handle grows out of the top.",
            "The handle is on the side that the rain falls on. The umbrella could not be used.",
        ),
    ),
    "melt": Wording(
        "structure",
        "deformed",
        ("{place}", "the melted shape of {place}", "the distorted outline of {place}"),
        (
            "The shape flows in waves as if it had melted, although it should be firm.",
            "Everything here is bent and pulled out of shape; the real thing has clean outlines.",
            "The outlines wobble and run into each other, so that the shape is no longer right.",
        ),
    ),
    "texture": Wording(
        "distortion",
        "color_texture",
        ("the {pattern} on {place}", "the area of {pattern} on {place}", "the patch of {pattern} on {place}"),
        (
            "A surface of {pattern} lies on a thing that cannot have such a texture.",
            "The texture turns into {pattern} here without any change of the material.",
            "There are {pattern} in this place only, and they do not belong to the surface around it.",
        ),
    ),
    "sketch": Wording(
        "distortion",
        "artistic_style",
        ("the pencil sketch on {place}", "the sketched part of {place}", "the hatched area on {place}"),
        (
            "This part is a pencil drawing with hatching, while the rest of the picture is in colour.",
            "The style changes to a grey sketch here and back again right beside it.",
            "Pencil strokes on white paper replace the surface, in another style than everything around.",
        ),
    ),
    "pixels": Wording(
        "distortion",
        "artistic_style",
        ("the pixel art on {place}", "the blocky part of {place}", "the area of square blocks on {place}"),
        (
            "This part consists of large square blocks like an old video game, unlike the rest.",
            "The picture turns into pixel art here, while its surroundings are smooth.",
            "Square blocks in a few colours replace the surface; the style breaks in this place.",
        ),
    ),
    "comic": Wording(
        "distortion",
        "artistic_style",
        ("the comic style on {place}", "the dotted comic part of {place}", "the printed dots on {place}"),
        (
            "This part is drawn as a printed comic with a black outline and dots, unlike the rest.",
            "Comic dots and a thick outline appear here although the picture is not a comic.",
            "The style jumps to flat colour with printed dots in one place only.",
        ),
    ),
}


def wording_of(fault: str) -> Wording:
    """The wording of a fault as a mark names it, with or without ":prop"."""
    return WORDINGS[fault.split(":")[0]]


def describe(
    fault: str, words: Mapping[str, str], rng: np.random.Generator, taken: set[str]
) -> tuple[str, str]:
    """A phrase that is not in `taken` (where there is one) and an explanation for a fault."""
    wording = wording_of(fault)
    phrases = [phrase.format(**words) for phrase in wording.phrases]
    free = [phrase for phrase in phrases if phrase not in taken] or phrases
    return pick(rng, free), pick(rng, wording.explanations).format(**words)
