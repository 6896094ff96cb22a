"""What lies behind a subject: a wall with a window, a park, a studio. Each also says what the light is."""

from __future__ import annotations

from synthscars.simulate.canvas import Color, darker, lighter, mix
from synthscars.simulate.shapes import Points, between, blob, curve, ellipse, limb, pick, points, rectangle
from synthscars.simulate.stage import Stage

WALLS: tuple[Color, ...] = (
    (222, 205, 188), (190, 208, 205), (214, 196, 204), (200, 206, 222), (228, 214, 178), (178, 196, 182),
)  # fmt: skip
SKIES: tuple[tuple[Color, Color], ...] = (
    ((112, 170, 216), (232, 240, 238)), ((146, 178, 222), (252, 228, 206)), ((98, 152, 200), (206, 230, 240)),
    ((132, 140, 190), (253, 216, 184)),
)  # fmt: skip
GREENS: tuple[Color, ...] = ((118, 158, 92), (136, 168, 96), (96, 146, 104), (150, 166, 88))
LEAVES: tuple[Color, ...] = ((82, 130, 82), (104, 142, 74), (66, 122, 98), (196, 140, 72), (150, 156, 70))


def sky(stage: Stage, horizon: float) -> Color:
    """A sky with the sun on the side of the light and a few clouds; returns the colour at the horizon."""
    top, bottom = pick(stage.rng, SKIES)
    stage.canvas.gradient(top, mix(bottom, top, -0.1))
    stage.canvas.fill(rectangle(0, 0, stage.width, horizon + 4), top, to=bottom)
    x = stage.width * (0.11 if stage.side < 0 else 0.89) + between(stage.rng, -8, 8)
    y = between(stage.rng, 62, 86)
    for radius, alpha in ((120, 0.16), (74, 0.26), (46, 0.4)):
        stage.canvas.fill(ellipse(x, y, radius, radius), (255, 246, 208), alpha=alpha, blur=radius / 3.4)
    stage.canvas.fill(ellipse(x, y, 29, 29), (255, 248, 216), to=(255, 232, 170))
    stage.light_name = "the sun"
    for side, name in ((0.2, "left"), (0.8, "right")):
        stage.spot(f"the sky on the {name}", ellipse(side * stage.width, horizon * 0.4, 80, horizon * 0.28))
    for _ in range(int(stage.rng.integers(2, 4))):
        cx = stage.width * between(stage.rng, 0.2, 0.85)
        cy = between(stage.rng, 40, max(60.0, horizon * 0.45))
        w = between(stage.rng, 34, 60)
        for dx, dy, r in ((-0.7, 0.1, 0.34), (0, -0.12, 0.48), (0.62, 0.08, 0.36), (0.1, 0.16, 0.5)):
            cloud = ellipse(cx + dx * w, cy + dy * w, r * w * 1.5, r * w * 0.62)
            stage.canvas.fill(cloud, (255, 255, 255), alpha=0.42, blur=3.5)
    return bottom


def hill(stage: Stage, y: float, swing: float, color: Color, *, texture: bool = True) -> Points:
    """A rolling hill from side to side whose top is near `y`; returns its outline."""
    xs = (-20.0, 0.25 * stage.width, 0.5 * stage.width, 0.75 * stage.width, stage.width + 20.0)
    top = curve(*((x, y + between(stage.rng, -swing, swing)) for x in xs), n=14)
    outline = points(*((float(a), float(b)) for a, b in top), (stage.width + 20, 520), (-20, 520))
    stage.canvas.fill(
        outline,
        lighter(color, 0.14),
        to=darker(color, 0.2),
        texture="soft" if texture else None,
        amount=0.022,
    )
    return outline


def tree(
    stage: Stage,
    x: float,
    base: float,
    size: float,
    color: Color,
    *,
    wrong: bool = False,
    thing: str = "tree",
) -> Points:
    """A round tree with its shadow; `size` is its height. Returns the outline of the crown."""
    bark = (112, 84, 68)
    r = size * 0.3
    trunk = limb(points((x, base), (x, base - size * 0.5)), size * 0.11, size * 0.07)
    crown = blob(
        *((x + dx * r, base - size * 0.68 + dy * r) for dx, dy in ((-1.0, 0.3), (-1.1, -0.35),
        (-0.62, -0.98), (0.08, -1.22), (0.74, -0.92), (1.12, -0.25), (0.92, 0.42), (0.1, 0.62)))
    )  # fmt: skip
    whole = points(
        *((float(a), float(b)) for a, b in crown),
    )
    shadow = _standing(whole, x, base, size * 0.05)
    stage.cast(shadow, x, base, size * 0.07, wrong=wrong, thing=thing, length=0.95, flat=0.2)
    stage.canvas.fill(trunk, bark, shade=0.3)
    stage.canvas.fill(
        crown,
        lighter(color, 0.06),
        to=darker(color, 0.14),
        shade=0.42,
        depth=r * 0.5,
        texture="soft",
        amount=0.05,
    )
    for dx, dy, k in ((-0.42, -0.34, 0.42), (0.36, -0.5, 0.36), (0.1, 0.1, 0.4)):
        leaf = ellipse(x + dx * r, base - size * 0.68 + dy * r, k * r, k * r * 0.86)
        stage.canvas.fill(leaf, lighter(color, 0.3), alpha=0.16, blur=r * 0.12)
    return crown


def _standing(crown: Points, x: float, base: float, half: float) -> Points:
    """The outline of a crown together with a straight trunk down to the ground."""
    low = crown[:, 1].argmax()
    around = [(float(a), float(b)) for a, b in crown]
    return (
        points(*around[: low + 1], (x - half, base), (x + half, base), *around[low + 1 :])
        if (around[low - 1][0] < around[(low + 1) % len(around)][0])
        else points(*around[: low + 1], (x + half, base), (x - half, base), *around[low + 1 :])
    )


def park(stage: Stage, horizon: float = 330.0) -> Points:
    """Sky, sun, hills and far trees; returns the outline of the near meadow."""
    haze = sky(stage, horizon)
    green = pick(stage.rng, GREENS)
    hill(stage, horizon - 46, 14, mix(haze, (118, 142, 168), 0.55), texture=False)
    hill(stage, horizon - 18, 10, mix(green, haze, 0.4), texture=False)
    for _ in range(5):
        x = between(stage.rng, 0, stage.width)
        r = between(stage.rng, 12, 26)
        bush = mix(pick(stage.rng, LEAVES[:3]), haze, 0.4)
        stage.canvas.fill(ellipse(x, horizon - r * 0.4, r * 1.25, r), bush, shade=0.3)
    return hill(stage, horizon, 6, green)


def wall(stage: Stage, floor: float | None = None) -> Color:
    """A wall with a window on the side of the light and, at `floor`, a skirting board; returns its colour."""
    color = pick(stage.rng, WALLS)
    stage.canvas.gradient(lighter(color, 0.2), darker(color, 0.06))
    whole = rectangle(-4, -4, stage.width + 4, 516)
    stage.canvas.fill(whole, lighter(color, 0.2), to=darker(color, 0.1), texture="cloth", amount=0.009)
    end = floor or 330.0
    for side, name in ((0.16, "left"), (0.84, "right")):
        stage.spot(f"the wall on the {name}", ellipse(side * stage.width, end * 0.55, 74, end * 0.32))
    window(stage)
    if floor is not None:
        stage.canvas.fill(
            rectangle(-4, floor - 12, stage.width + 4, floor), lighter(color, 0.5), to=lighter(color, 0.3)
        )
    return color


def window(stage: Stage) -> None:
    """A window at the edge of the picture, the light of the room."""
    stage.light_name = "the window"
    half = 62.0
    x = between(stage.rng, 40, 58) if stage.side < 0 else stage.width - between(stage.rng, 40, 58)
    top, bottom = 40.0, 216.0
    glow = ellipse(x, (top + bottom) / 2, 150, 170)
    stage.canvas.fill(glow, (255, 248, 222), alpha=0.34, blur=46)
    stage.canvas.fill(
        rectangle(x - half - 8, top - 8, x + half + 8, bottom + 8, 4), (250, 246, 238), shade=0.12, depth=3
    )
    stage.canvas.fill(rectangle(x - half, top, x + half, bottom), (176, 214, 240), to=(244, 248, 236))
    stage.canvas.fill(ellipse(x + 12, bottom - 6, 44, 22), (168, 200, 160), alpha=0.55, blur=4)
    for bar in (rectangle(x - 3, top, x + 3, bottom), rectangle(x - half, 122, x + half, 128)):
        stage.canvas.fill(bar, (250, 246, 238))
    stage.canvas.fill(
        rectangle(x - half - 14, bottom + 6, x + half + 14, bottom + 16, 3),
        (246, 240, 230),
        to=(214, 204, 194),
    )


def studio(stage: Stage) -> Color:
    """A plain backdrop with a soft disc of light."""
    color = pick(stage.rng, WALLS)
    deep = darker(color, between(stage.rng, 0.12, 0.3))
    stage.canvas.gradient(mix(deep, color, 0.5), deep)
    x = stage.width / 2 + stage.side * 70
    stage.canvas.fill(ellipse(x, 200, 230, 230), lighter(color, 0.5), alpha=0.6, blur=70)
    stage.light_name = "the lamp"
    for side, name in ((0.16, "left"), (0.84, "right")):
        stage.spot(f"the backdrop on the {name}", ellipse(side * stage.width, 200, 76, 130))
    return color


def floor(stage: Stage, top: float) -> Points:
    """Floor boards from `top` down, with a rug; returns the outline of the floor."""
    wood: Color = pick(stage.rng, ((186, 146, 108), (164, 124, 94), (206, 172, 134)))
    outline = rectangle(-6, top, stage.width + 6, 520)
    stage.canvas.fill(outline, lighter(wood, 0.2), to=darker(wood, 0.08), texture="wood", amount=0.06)
    for side, name in ((0.18, "left"), (0.82, "right")):
        stage.spot(f"the floor on the {name}", ellipse(side * stage.width, top + 80, 84, 60), detail=True)
    y, step = top + 14, 18.0
    while y < 512:
        stage.canvas.fill(rectangle(-6, y, stage.width + 6, y + 1.2), darker(wood, 0.4), alpha=0.3)
        y, step = y + step, step * 1.35
    rug = pick(stage.rng, WALLS)
    stage.canvas.fill(
        ellipse(stage.width / 2, 462, stage.width * 0.42, 50),
        darker(rug, 0.25),
        texture="cloth",
        amount=0.018,
    )
    stage.canvas.fill(
        ellipse(stage.width / 2, 462, stage.width * 0.38, 42),
        lighter(rug, 0.1),
        texture="cloth",
        amount=0.018,
    )
    return outline


def grass(stage: Stage, meadow: Points) -> None:
    """Tufts and flowers on a meadow, and a spot for patches."""
    top = float(meadow[:, 1].min())
    for _ in range(46):
        y = between(stage.rng, top + 30, 506)
        x = between(stage.rng, 4, stage.width - 4)
        size = 5 + 12 * (y - top) / (512 - top)
        tone: Color = pick(stage.rng, ((84, 128, 74), (148, 176, 98), (104, 146, 80)))
        for lean in (-0.5, 0.0, 0.5):
            blade = limb(points((x + lean * 3, y), (x + lean * size, y - size)), 2.4, 0.8)
            stage.canvas.fill(blade, tone, alpha=0.85)
        if stage.rng.random() < 0.3:
            petal: Color = pick(stage.rng, ((250, 246, 236), (240, 200, 90), (226, 134, 150)))
            stage.canvas.fill(ellipse(x, y - size, size * 0.22, size * 0.22), petal, alpha=0.95)
    for side, name in ((0.17, "left"), (0.83, "right")):
        stage.spot(f"the meadow on the {name}", ellipse(side * stage.width, 452, 70, 44), detail=True)
