"""A person at a browser, for `annotator_day.py`: what can be seen and done on the platform's pages."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import msgspec
from annotator_plan import Done, Plan, Region

TIMEOUT = 120_000
"""Milliseconds; the machine may be busy."""

_PAUSE = 120
"""Milliseconds between two clicks or keys, which is quicker than people are."""

# Label Studio's editor keeps the task and its regions in a global variable of the page.
_SHOWN = """(before) => {
    const picture = document.querySelector('img[alt=image]');
    return window.Htx?.task && Htx.task.id !== before && Htx.annotationStore.selected
        && document.querySelector('.konvajs-content') && picture?.complete && picture.naturalWidth > 0;
}"""
_TASK = "() => ({id: Htx.task.id, image: Htx.task.dataObj.image_id, "
_TASK += "size: [Htx.task.dataObj.width, Htx.task.dataObj.height]})"
_REGIONS = """() => Htx.annotationStore.selected.regions.filter(
    (each) => each.type && each.closed !== false).length"""

_PLACEHOLDER = "asdf"
_TOLD_BY_THE_EDITOR = {
    "no explanation": "Every region needs an explanation",
    "no content type": "Say what the picture is about",
}
_TOLD_BY_THE_GUARD = {"placeholder": "says nothing", "crossing": "crosses itself"}

_HAS_CONTENT_TYPE = """() => Htx.annotationStore.selected.results.some(
    (each) => each.from_name.name === 'content_type' && each.mainValue?.length)"""

Place = tuple[float, float]
"""In parts of the picture's width and height."""


class Person:
    """Somebody at a page of a browser. seen: what the page reports that nobody expects, a line each."""

    def __init__(self, browser: Any, url: str, pictures: Path | None) -> None:
        context = browser.new_context(viewport={"width": 1440, "height": 900})
        self.page = context.new_page()
        self.page.set_default_timeout(TIMEOUT)
        self.url = url
        self.pictures = pictures
        self.seen: list[str] = []
        self.refusals: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.seen.append(f"error: {error}"))
        self.page.on("response", self._on_response)

    def log_in(self, email: str, password: str) -> float:
        """Log in at the platform's address; seconds until the first page is there."""
        self.page.goto(f"{self.url}/")
        self.page.fill("input[name=email]", email)
        self.picture("login")
        self.page.fill("input[name=password]", password)
        started = time.perf_counter()
        self.page.press("input[name=password]", "Enter")
        self.page.get_by_text("Recent Projects").wait_for()
        took = time.perf_counter() - started
        self.page.wait_for_load_state("networkidle")
        return took

    def open_queue(self, title: str) -> float:
        """From the first page into the stream of a project's tasks; seconds until a picture is shown."""
        started = time.perf_counter()
        self.page.get_by_text(title).first.click()
        self.page.get_by_text("Label All Tasks").click()
        self.page.wait_for_selector(".pic-1-good")  # the guideline
        self.picture("guideline")
        self.page.keyboard.press("Escape")
        self.page.wait_for_selector(".pic-1-good", state="detached")
        self.wait_for_task(0)
        return time.perf_counter() - started

    def wait_for_task(self, before: int) -> None:
        """Wait until a picture is shown, of another task than this one."""
        self.page.wait_for_function(_SHOWN, arg=before)

    def task(self) -> dict[str, Any]:
        """The task that is shown: `id`, `image`, `size`."""
        found: dict[str, Any] = self.page.evaluate(_TASK)
        return found

    def do(self, plan: Plan, *, last: bool) -> Done:
        """Answer the task that is shown, mistakes first; ends when the next picture is there."""
        task = self.task()
        name = f"{plan.kind} {plan.mistake}".strip().replace(" ", "-") + ("-keys" if plan.keys else "")
        started = time.perf_counter()
        if plan.kind == "skipped":
            self.key(plan.reason[0])
        elif plan.kind == "clean":
            self.key("n")
        corners = [self._region(region, plan, place) for place, region in enumerate(plan.regions)]
        if plan.kind != "skipped" and plan.mistake != "no content type":
            self._whole(plan)
        if plan.mistake in _TOLD_BY_THE_EDITOR:
            self._be_warned(plan)
        elif plan.mistake in _TOLD_BY_THE_GUARD:
            corners[0] = self._be_refused(plan, corners[0])
        self.picture(name)
        drawn = time.perf_counter()
        answer = self.submit(keys=plan.keys, skip=plan.kind == "skipped")
        answered = time.perf_counter()
        if answer.status != 201:
            raise RuntimeError(f"task {task['id']}: the answer was refused: {answer.text()[:500]}")
        if not last:
            self.wait_for_task(task["id"])
        width, height = task["size"]
        return Done(
            image_id=task["image"],
            task=task["id"],
            plan=plan,
            corners=tuple(
                tuple(
                    part * side for corner in ring for part, side in zip(corner, (width, height), strict=True)
                )
                for ring in corners
            ),
            draw=drawn - started,
            submit=answered - drawn,
            load=time.perf_counter() - answered,
        )

    def submit(self, *, keys: bool, skip: bool = False) -> Any:
        """Press Submit, or Skip; the response."""
        with self.page.expect_response(
            lambda answer: "/annotations" in answer.url and answer.request.method == "POST"
        ) as submitted:
            self._press_submit(keys=keys, skip=skip)
        return submitted.value

    def key(self, key: str) -> None:
        """Press a key, as anybody would, and wait a moment."""
        self.page.keyboard.press(key)
        self.page.wait_for_timeout(_PAUSE)

    def click(self, x: float, y: float) -> Place:
        """Click at a place of the picture, in parts of its sides, on a whole pixel of the screen.

        Returns where that was.
        """
        # Of the picture, which is a little larger or smaller than the frame that it is shown in.
        box = self.page.locator("img[alt=image]").bounding_box()
        at = round(box["x"] + x * box["width"]), round(box["y"] + y * box["height"])
        self.page.mouse.click(*at)
        self.page.wait_for_timeout(_PAUSE)
        return (at[0] - box["x"]) / box["width"], (at[1] - box["y"]) / box["height"]

    def picture(self, name: str) -> None:
        """Keep what the page shows, if pictures are wanted."""
        if self.pictures is not None:
            self.page.screenshot(path=self.pictures / f"{name}.png")

    def regions(self) -> int:
        """How many finished regions there are."""
        return int(self.page.evaluate(_REGIONS))

    def answer_whole(self, content_type: tuple[str, str]) -> None:
        """Say what the picture is about, unless that is said already: its key would take it back."""
        if not self.page.evaluate(_HAS_CONTENT_TYPE):
            self.key(content_type[0])

    def _region(self, region: Region, plan: Plan, place: int) -> list[Place]:
        mistake = plan.mistake if place == 0 else ""
        if mistake == "crossing":
            x, y = region.middle
            corners = ((x - 0.1, y - 0.1), (x + 0.1, y + 0.1), (x + 0.1, y - 0.1), (x - 0.1, y + 0.1))
            region = msgspec.structs.replace(region, corners=corners, middle=(x - 0.07, y))
        clicked = self._draw(region, stop=mistake == "two points")
        explanation = {"placeholder": _PLACEHOLDER, "no explanation": ""}.get(mistake, region.explanation)
        self._describe(region, plan, place, explanation)
        return clicked

    def _draw(self, region: Region, *, stop: bool = False) -> list[Place]:
        """Draw a closed polygon; returns where its corners were clicked. stop: try to submit after two."""
        before = self.regions()
        self.key(region.category[0])
        clicked = [self.click(*corner) for corner in region.corners[:2]]
        if stop:
            self.picture("two-points")
            if self.page.locator("[data-testid=bottombar-submit-button]").is_enabled():
                raise RuntimeError("an outline of two points can be submitted")
        clicked += [self.click(*corner) for corner in region.corners[2:]]
        self.click(*region.corners[0])
        self.page.wait_for_function(f"(count) => ({_REGIONS})() === count", arg=before + 1)
        return clicked

    def _describe(self, region: Region, plan: Plan, place: int, explanation: str) -> None:
        if plan.keys:
            for _ in range(place + 1):
                self.key("Alt+.")
            self.key(region.subtype[0])
            self.key(region.confidence[0])
            self.key("Enter")
            self._type(region.phrase)
            self.key("Tab")
            self._type(explanation)
            self.key("Tab")
        else:
            self.click(*region.middle)
            self.key(region.subtype[0])
            self.key(region.confidence[0])
            for field, text in (("Where", region.phrase), ("Why it is impossible", explanation)):
                if text:
                    self._write(field, text)
        self.key("Escape")

    def _write(self, field: str, text: str) -> None:
        """Type into the newest region's field, and end it; only one that is empty has its hint."""
        self.page.get_by_placeholder(field).last.click()
        self._type(text)
        self.key("Enter")

    def _type(self, text: str) -> None:
        self.page.keyboard.insert_text(text)
        self.page.wait_for_timeout(_PAUSE)

    def _whole(self, plan: Plan) -> None:
        self.key(plan.content_type[0])
        if plan.scene:
            self._write("One sentence", plan.scene)
            self.key("Escape")

    def _be_warned(self, plan: Plan) -> None:
        """Submit what the editor itself finds unfinished, read the warning, and mend it."""
        self._press_submit(keys=plan.keys)
        warning = self.page.locator(".ant-modal-confirm")
        warning.get_by_text(_TOLD_BY_THE_EDITOR[plan.mistake]).wait_for()
        self.picture(f"warned-{plan.mistake}".replace(" ", "-"))
        self.page.wait_for_timeout(_PAUSE)
        self.key("Enter")
        warning.wait_for(state="detached")
        if plan.mistake == "no content type":
            self._whole(plan)
        else:  # the region that lacks something is selected
            self._write("Why it is impossible", plan.regions[0].explanation)
            self.key("Escape")

    def _be_refused(self, plan: Plan, corners: list[Place]) -> list[Place]:
        """Submit what the guard refuses, read why, and mend it; returns the first region's corners."""
        answer = self.submit(keys=plan.keys, skip=plan.kind == "skipped")
        message = self.page.locator("#synthscars-refused")
        message.get_by_text(_TOLD_BY_THE_GUARD[plan.mistake]).wait_for()
        self.picture(f"refused-{plan.mistake}")
        if answer.status != 400:
            raise RuntimeError(f"a {plan.mistake} answer got {answer.status}, not 400")
        self.key("Enter")
        message.wait_for(state="detached")
        region = plan.regions[0]
        if plan.mistake == "placeholder":
            self.click(*region.middle)  # else the first click only selects the region
            self.page.wait_for_timeout(500)
            self.page.get_by_text(_PLACEHOLDER, exact=True).last.dblclick()
            self.page.keyboard.press("Control+A")
            self._type(region.explanation)
            self.key("Enter")
            self.key("Escape")
            return corners
        # The outline is drawn anew.
        self.click(region.middle[0] - 0.07, region.middle[1])
        self.key("Backspace")
        self.page.wait_for_function(f"(count) => ({_REGIONS})() === count", arg=len(plan.regions) - 1)
        drawn = self._draw(region)
        self._describe(region, plan, len(plan.regions) - 1, region.explanation)
        return drawn

    def _press_submit(self, *, keys: bool, skip: bool = False) -> None:
        if keys:
            self.page.keyboard.press("Control+Space" if skip else "Control+Enter")
        else:
            button = "skip" if skip else "submit"
            self.page.click(f"[data-testid=bottombar-{button}-button]")

    def _on_console(self, message: Any) -> None:
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.seen.append(f"console: {message.text[:300]}")

    def _on_response(self, answer: Any) -> None:
        advertisement = "/heidi-tips" in answer.url
        no_more_tasks = answer.status == 404 and "id=next_task" in answer.url
        if answer.status < 400 or advertisement or no_more_tasks:
            return
        if answer.headers.get("x-synthscars-refused"):
            self.refusals.append(f"{answer.status} {answer.request.method} {answer.url}")
        else:
            self.seen.append(f"{answer.status} {answer.request.method} {answer.url}")
