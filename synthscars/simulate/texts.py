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
}


def describe(
    fault: str, words: Mapping[str, str], rng: np.random.Generator, taken: set[str]
) -> tuple[str, str]:
    """A phrase that is not in `taken` (where there is one) and an explanation for a fault."""
    wording = WORDINGS[fault]
    phrases = [phrase.format(**words) for phrase in wording.phrases]
    free = [phrase for phrase in phrases if phrase not in taken] or phrases
    return pick(rng, free), pick(rng, wording.explanations).format(**words)
