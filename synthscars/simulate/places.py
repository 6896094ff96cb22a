"""More layouts: a lake with mountains, a shelf of things, a bird on a branch, a person from head to toe."""

from __future__ import annotations

from synthscars.simulate import backdrops
from synthscars.simulate.canvas import Color, darker, lighter, mix
from synthscars.simulate.furnish import furnish, spread
from synthscars.simulate.shapes import between, blob, curve, ellipse, limb, pick, points, rectangle
from synthscars.simulate.stage import Stage
from synthscars.simulate.still_life import OWN
from synthscars.simulate.street import walker
from synthscars.simulate.things import THINGS, WOODS

LAKE_FAULTS = ("reflection", "shadow")
SHELF_FAULTS = ("text", "uneven", "extra", "deformed")
BRANCH_FAULTS = ("eyes",)
FIGURE_FAULTS = ("shadow",)
_PLUMAGE: tuple[tuple[str, Color], ...] = (
    ("blue", (84, 136, 196)), ("red", (204, 84, 70)), ("yellow", (232, 194, 80)), ("brown", (150, 112, 84)),
    ("green", (104, 160, 96)),
)  # fmt: skip


def lake(stage: Stage) -> None:
    """A lake below mountains, with trees on the shore and a house that the water reflects."""
    rng, fill = stage.rng, stage.canvas.fill
    stage.indoors, stage.ground = False, "shore"
    shore = between(rng, 250, 290)
    haze = backdrops.sky(stage, shore)
    for number in range(3):
        x, high = stage.width * (0.2 + 0.3 * number) + between(rng, -40, 40), between(rng, 90, 170)
        rock = mix(haze, (104, 112, 140), 0.55)
        fill(
            points((x - high * 1.2, shore), (x, shore - high), (x + high * 1.2, shore)),
            lighter(rock, 0.1),
            to=rock,
        )
        side, line = high * 0.3, shore - high * 0.75
        cap = points((x - side, line), (x, shore - high), (x + side, line), (x, shore - high * 0.66))
        fill(cap, (248, 250, 252))
    stage.spot("the mountains", rectangle(20, shore - 90, stage.width - 20, shore - 14), detail=True)
    fill(rectangle(-6, shore - 12, stage.width + 6, shore + 4), pick(rng, backdrops.GREENS), texture="soft")
    water: Color = pick(rng, ((96, 146, 178), (110, 158, 170), (92, 128, 168)))
    fill(rectangle(-6, shore, stage.width + 6, 520), lighter(water, 0.35), to=darker(water, 0.2))
    house = stage.width * between(rng, 0.3, 0.7)
    tone, roof = (
        pick(rng, ((232, 214, 190), (214, 170, 140), (240, 236, 226))),
        pick(rng, ((176, 80, 66), (92, 96, 116))),
    )
    wrong = stage.wants("reflection")
    _house(stage, house, shore, 1, tone, roof)
    other = pick(rng, ("tower", "tree"))
    box = rectangle(house - 46, shore + 2, house + 46, shore + 124)
    if wrong and stage.plant:
        if other == "tower":
            fill(rectangle(house - 20, shore + 2, house + 20, shore + 92), mix((150, 150, 158), water, 0.25))
            fill(
                points((house - 28, shore + 92), (house + 28, shore + 92), (house, shore + 128)),
                mix((70, 80, 110), water, 0.25),
            )
        else:
            fill(rectangle(house - 7, shore + 2, house + 7, shore + 50), mix((112, 84, 68), water, 0.25))
            fill(ellipse(house, shore + 76, 40, 46), mix((66, 122, 88), water, 0.2))
    else:
        _house(stage, house, shore, -1, mix(tone, water, 0.35), mix(roof, water, 0.35))
    if wrong:
        stage.mark(
            "reflection",
            *(
                [box]
                if other == "tree"
                else [box, rectangle(house - 28, shore + 90, house + 28, shore + 128)]
            ),
            thing="house",
            shown=other,
        )
    else:
        stage.allow("reflection", "a reflection that is right", box)
    for _ in range(16):
        x, y = between(rng, 0, stage.width), between(rng, shore + 20, 505)
        fill(ellipse(x, y, between(rng, 16, 44), 1.6), (255, 255, 255), alpha=0.35)
    for side, name in ((0.15, "left"), (0.85, "right")):
        stage.spot(f"the water on the {name}", ellipse(side * stage.width, 410, 66, 60))
    near = backdrops.hill(stage, 478, 5, pick(rng, backdrops.GREENS))
    stage.spot("the meadow in front", near, detail=True)
    trunk = stage.width * pick(rng, (between(rng, 0.08, 0.2), between(rng, 0.8, 0.92)))
    leaf = pick(rng, backdrops.LEAVES)
    crown = backdrops.tree(stage, trunk, 492, between(rng, 190, 240), leaf, wrong=stage.wants("shadow"))
    stage.spot("the crown of the tree", crown, detail=True)
    furnish(
        stage,
        spread(stage, ((0.25, 0.42), (0.5, 0.72)), (490, 506), (0.85, 1.15)),
        spread(stage, ((0.3, 0.5), (0.6, 0.75)), (60, 120), (0.8, 1.1)),
        0.35,
    )
    stage.scene = "A lake below snowy mountains with a house on the far shore and a tree in front."
    stage.prompt = f"mountain lake, house on the shore, tree, sun from the {stage.light_from}"


def _house(stage: Stage, x: float, shore: float, up: int, tone: Color, roof: Color) -> None:
    """A house on the shore (`up` 1), or upside down below it (-1)."""

    def at(*pairs: tuple[float, float]) -> list[tuple[float, float]]:
        return [(x + dx, shore - up * dy) for dx, dy in pairs]

    stage.canvas.fill(points(*at((-38, 0), (-38, 56), (38, 56), (38, 0))), tone)
    stage.canvas.fill(points(*at((-46, 54), (0, 96), (46, 54))), roof)
    for dx in (-22, 22):
        pane = points(*at((dx - 9, 22), (dx - 9, 44), (dx + 9, 44), (dx + 9, 22)))
        stage.canvas.fill(pane, (96, 124, 152) if up > 0 else mix((96, 124, 152), tone, 0.3))


def shelf(stage: Stage) -> None:
    """Two boards on a wall with things on them."""
    rng, fill = stage.rng, stage.canvas.fill
    backdrops.wall(stage)
    stage.ground = "board"
    wood = pick(rng, WOODS)
    across = 3 if stage.width < 600 else 4
    levels = (between(rng, 214, 236), between(rng, 446, 470))
    cells = [(level, column) for level in levels for column in range(across)]
    names = [str(name) for name in rng.permutation(sorted(THINGS))]
    needed = [pick(rng, owned) for fault, owned in OWN.items() if stage.wants(fault)]
    names = list(dict.fromkeys(needed + names))[: across * 2 - 1]
    places = [cells[i] for i in rng.permutation(len(cells))]
    free = places[len(names)]
    owners = {
        fault: next((n for n in names if n in owned), "") if stage.wants(fault) else ""
        for fault, owned in OWN.items()
    }
    for level in levels:
        fill(rectangle(18, level + 6, stage.width - 18, level + 34), (40, 30, 50), alpha=0.22, blur=6)
        board = rectangle(14, level - 6, stage.width - 14, level + 14)
        fill(board, lighter(wood, 0.15), to=darker(wood, 0.1), texture="wood", amount=0.06)
    for name, (level, column) in zip(names, places, strict=False):
        x = stage.width * (column + 0.5) / across + between(rng, -10, 10)
        wrong = {"shadow": False, **{fault: name == owner for fault, owner in owners.items()}}
        with stage.canvas.zoomed(x, level, between(rng, 0.9, 1.12)):
            THINGS[name](stage, x, level, wrong)
            stage.spot(f"the {name}", rectangle(x - 50, level - 130, x + 50, level + 4), feature=True)
    x = stage.width * (free[1] + 0.5) / across
    gap = spread(stage, ((x / stage.width, x / stage.width + 0.01),), (free[0], free[0] + 1), (0.85, 1.1))
    furnish(stage, gap, (), 0.5)
    stage.scene = f"Two wooden boards on a wall carry a {', a '.join(names[:-1])} and a {names[-1]}."
    stage.prompt = f"shelf with {', '.join(names)}, light from the {stage.light_from}"


def branch(stage: Stage) -> None:
    """A bird on a branch, seen from the front."""
    rng, fill = stage.rng, stage.canvas.fill
    backdrops.park(stage, between(rng, 330, 400))
    stage.indoors, stage.ground = False, "meadow"
    if rng.random() < 0.4:
        stage.canvas.blur(between(rng, 4, 7))
        stage.allow("background blur", "a background out of focus")
    name, color = pick(rng, _PLUMAGE)
    x, y, size = stage.width * between(rng, 0.36, 0.64), between(rng, 300, 350), between(rng, 0.95, 1.25)
    bark: Color = pick(rng, ((112, 84, 68), (134, 110, 92), (88, 74, 66)))
    bend = between(rng, 40, 70) * pick(rng, (-1, 1))
    way = pick(rng, (-1, 1))
    root, tip = x - way * stage.width * 0.62, x + way * 170
    line = curve(
        (root, y + 40),
        (x - way * 90, y + 6),
        (x, y),
        (x + way * 60, y + 4),
        (x + way * 110, y + bend),
        (tip, y + bend * 0.6),
    )
    shape = limb(line, 34, 14)
    fill(shape, bark, shade=0.5, depth=8, texture="wood", amount=0.08)
    stage.allow("bent branch", "a branch that is bent", shape)
    stage.spot("the branch", shape, detail=True)
    for share in (0.25, 0.45, 0.8, 0.95):
        at = line[int(share * (len(line) - 1))]
        leaf = blob(
            (at[0], at[1]), (at[0] + 16, at[1] - 22), (at[0] + 6, at[1] - 48), (at[0] - 10, at[1] - 22)
        )
        fill(leaf, pick(rng, backdrops.LEAVES), shade=0.4, depth=6)
    furnish(
        stage,
        spread(stage, ((0.08, 0.25), (0.75, 0.92)), (470, 500), (0.9, 1.2)),
        spread(stage, ((0.06, 0.2), (0.8, 0.94)), (80, 150), (0.85, 1.15)),
        0.4,
    )
    with stage.canvas.zoomed(x, y, size):
        _bird(stage, x, y, color)
    stage.scene = f"A {name} bird sits on a bent branch and looks at the viewer."
    stage.prompt = f"{name} bird on a branch, park, light from the {stage.light_from}"


def _bird(stage: Stage, x: float, y: float, color: Color) -> None:
    fill, rng = stage.canvas.fill, stage.rng
    belly = mix(color, (255, 246, 230), 0.6)
    fill(limb(points((x - 4, y - 10), (x + 10, y + 74)), 34, 20), darker(color, 0.3), shade=0.4)
    body = blob(
        (x, y + 14),
        (x - 64, y - 30),
        (x - 58, y - 110),
        (x - 40, y - 168),
        (x, y - 192),
        (x + 40, y - 168),
        (x + 58, y - 110),
        (x + 64, y - 30),
    )
    fill(body, lighter(color, 0.06), to=darker(color, 0.12), shade=0.45, depth=22, texture="fur", amount=0.05)
    fill(ellipse(x, y - 50, 40, 52), belly, alpha=0.95, blur=6)
    for side in (-1, 1):
        wing = blob(
            (x + side * 44, y - 112), (x + side * 70, y - 70), (x + side * 62, y - 8), (x + side * 46, y - 40)
        )
        fill(wing, darker(color, 0.25), shade=0.4, depth=8, texture="fur", amount=0.06)
        foot = limb(points((x + side * 18, y + 4), (x + side * 18, y + 18)), 14, 18)
        fill(foot, (214, 150, 70), shade=0.4)
    odd = int(pick(rng, (-1, 1)))
    for side in (-1, 1):
        wrong = stage.wants("eyes") and side == odd
        cx, cy, r = x + side * 21, y - 146.0, 9.0
        big = ellipse(cx + side * 3, cy + 8, 21, 21)
        if wrong and stage.plant:
            fill(big, (250, 240, 200))
            fill(ellipse(cx + side * 3, cy + 8, 15, 15), (206, 60, 50))
            fill(ellipse(cx + side * 3, cy + 8, 8, 8), (20, 16, 22))
        else:
            fill(ellipse(cx, cy, r, r), (26, 22, 28))
            fill(ellipse(cx + stage.side * 3, cy - 3, 2.6, 2.6), (255, 255, 255))
        if wrong:
            stage.mark("eyes", big, ellipse(cx, cy, r, r), place="left" if side < 0 else "right")
    beak = blob((x - 13, y - 134), (x, y - 142), (x + 13, y - 134), (x, y - 112))
    fill(beak, (228, 160, 62), shade=0.5, depth=5)
    stage.spot("the head of the bird", ellipse(x, y - 138, 46, 44), feature=True)
    stage.spot("the belly of the bird", ellipse(x, y - 54, 40, 48))
    stage.spot("the left wing of the bird", ellipse(x - 58, y - 62, 16, 46), detail=True)
    stage.spot("the right wing of the bird", ellipse(x + 58, y - 62, 16, 46), detail=True)


def figure(stage: Stage) -> None:
    """A person from head to toe, outdoors or in a room."""
    rng = stage.rng
    stage.indoors = bool(rng.random() < 0.5)
    if stage.indoors:
        level = between(rng, 340, 370)
        backdrops.wall(stage, level)
        backdrops.floor(stage, level)
    else:
        backdrops.grass(stage, backdrops.park(stage, between(rng, 310, 350)))
    stage.ground = "floor" if stage.indoors else "meadow"
    x, base, size = stage.width * between(rng, 0.3, 0.7), between(rng, 440, 462), between(rng, 2.0, 2.6)
    shares = [share for share in (0.1, 0.28, 0.72, 0.9) if abs(share * stage.width - x) > 100]
    furnish(
        stage,
        spread(stage, [(share - 0.03, share + 0.03) for share in shares], (430, 500), (0.85, 1.2)),
        spread(stage, [(share - 0.03, share + 0.03) for share in shares], (70, 140), (0.8, 1.15)),
        0.4,
    )
    with stage.canvas.zoomed(x, base, size):
        walker(stage, x, base, stage.wants("shadow"))
        for side in (-1, 1):
            stage.canvas.fill(ellipse(x + side * 4.4, base - 115, 1.9, 1.5), (250, 248, 244))
            stage.canvas.fill(ellipse(x + side * 4.4, base - 115, 1.2, 1.4), (44, 34, 34))
        stage.canvas.fill(
            limb(curve((x - 4, base - 107), (x, base - 106), (x + 4, base - 107)), 1.2, 1.2), (150, 62, 62)
        )
        stage.canvas.fill(
            limb(points((x, base - 113), (x + 1, base - 110)), 1.2, 1.4), (120, 70, 56), alpha=0.6
        )
        stage.spot("the head of the person", ellipse(x, base - 114, 13, 17), feature=True)
        stage.spot("the jacket of the person", rectangle(x - 11, base - 92, x + 11, base - 54))
        stage.spot("the trousers of the person", rectangle(x - 12, base - 50, x + 12, base - 12))
    where = "in a room" if stage.indoors else "in a park"
    stage.scene = f"A person walks {where} and is seen from head to toe."
    stage.prompt = f"full body picture of a person walking {where}, light from the {stage.light_from}"
