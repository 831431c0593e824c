"""The pages at ``/ui`` in a real browser, under their own policy."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.authoring import define
from tests.support.chromium import program
from tests.support.served import Served, served
from tests.support.services import need
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
#: It turns the direction of what follows, and is longer than any line.
HOSTILE += "\u202e\u2067" + "W" * 10_000
HANDLERS = {
    "fan": """
def handler(n):
    yield Map("each")
    for number in range(n):
        yield number, number
""",
    "each": f"""
def handler(key, value):
    yield Return()
    print({HOSTILE!r})
    if value == 400:
        raise ValueError({HOSTILE!r})
    yield "n", 1
""",
    "gated": """
import os, time
def handler(gate, more=""):
    yield Return()
    while not os.path.exists(gate):
        time.sleep(0.01)
    yield "n", 1
""",
}
STEPS = {"fan": ("fan", "sum"), "each": ("each", "sum"), "gated": ("gated", "sum")}
SPECS: dict[str, Any] = {
    "fan": {"argument_spec": (("n", "int"),)},
    "gated": {"argument_spec": (("gate", "str"), ("more", "str"))},
}
#: What a browser says when the policy of a page kept something away.
REFUSED = "Content Security Policy"


@dataclass
class Site:
    """The pages of a JobX with requests of each kind, in a browser."""

    serving: Served
    browser: Browser
    folder: Path
    requests: dict[str, str] = field(default_factory=dict)

    @property
    def places(self) -> list[str]:
        """Return the pages of each kind."""
        failed, done = (f"request/w/{self.requests[name]}" for name in ("failed", "done"))
        return [
            *(
                "",
                "node",
                "actors",
                "notifications",
                "requests/w",
                "workflow/w",
                "handler/w/each",
                "job/w/gated",
            ),
            *(failed, f"{failed}/tree", f"{failed}/invocation/m401"),
            *(f"{done}/timeline", f"{done}/invocations", f"{done}/result", "nowhere"),
        ]

    def open(self, place: str, **options: Any) -> Page:
        """Open a page; whatever goes wrong in it fails the test."""
        context = self.browser.new_context(**{"viewport": {"width": 1280, "height": 800}} | options)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: pytest.fail(f"{place}: {error}"))
        page.on("console", lambda said: self._hear(place, said.text))
        page.goto(f"http://127.0.0.1:{self.serving.port}/ui/{place}")
        return page

    @staticmethod
    def _hear(place: str, said: str) -> None:
        assert REFUSED not in said, f"{place}: {said}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need("dev", "dev", "playwright", "axe_playwright_python")
    found = program()
    from playwright.sync_api import sync_playwright

    folder = tmp_path_factory.mktemp("pages")
    define(folder / "d", HANDLERS, STEPS, **SPECS)
    with served(folder / "d") as serving, sync_playwright() as playwright:
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        browser = playwright.chromium.launch(executable_path=found, args=options)
        one = Site(serving, browser, folder)
        for name, count in (("done", 300), ("failed", 700)):
            one.requests[name] = serving.post("fan", {"n": count}).request_id
        yield one
        browser.close()


#: Which elements of the main part are to be seen and are not where they seem to be.
COVERED = """() => [...document.querySelectorAll('main h1, main h2, main a, main button, main dd')]
  .filter(one => one.getClientRects().length)
  .filter(one => {
    one.scrollIntoView({block: 'center', inline: 'center'});
    const box = one.getClientRects()[0];
    const [x, y] = [box.x + Math.min(4, box.width / 2), box.y + box.height / 2];
    const hit = document.elementFromPoint(x, y);
    return !hit || !(one.contains(hit) || hit.contains(one));
  }).map(one => one.outerHTML.slice(0, 120))"""
WIDTH = "() => document.documentElement.scrollWidth"
#: Which tables can be scrolled sideways.
SCROLLED = """() => [...document.querySelectorAll('.scroll')]
  .filter(one => one.scrollWidth > one.clientWidth).map(one => one.ariaLabel)"""

#: Which cells do not have the name of their column, which a narrow screen shows in front of them.
UNNAMED = """() => [...document.querySelectorAll('table.list:not(.requests *)')].flatMap(table => {
  const names = [...table.tHead.rows[0].cells].map(head => head.textContent);
  return [...table.tBodies[0].rows].flatMap(row => [...row.cells])
    .filter(cell => (cell.dataset.label ?? '') !== names[cell.cellIndex])
    .map(cell => cell.outerHTML.slice(0, 120));
})"""


#: Pages that are looked at in the dark.
DARK = ("", "node", "job/w/gated")


@pytest.mark.timeout(900)  # a browser opens each page, which takes seconds on a busy machine
def test_every_page_is_accessible_and_can_be_seen_and_hit(site: Site) -> None:
    """Each page is opened once, because a browser takes long to open one."""
    from axe_playwright_python.sync_playwright import Axe

    axe, wrong = Axe(), {}
    for place in site.places:
        page = site.open(place, color_scheme="dark" if place in DARK else "light")
        found = axe.run(page, options={"resultTypes": ["violations"], "preload": False}).response
        wrong |= {(place, one["id"]): one["nodes"][0]["html"] for one in found["violations"]}
        for width in (1280, 360):
            page.set_viewport_size({"width": width, "height": 740})
            wrong |= {(place, f"covered at {width}"): one for one in page.evaluate(COVERED)}
            if page.evaluate(WIDTH) > width:
                wrong[place, f"wider than {width}"] = str(page.evaluate(WIDTH))
        wrong |= {(place, f"{one} scrolls sideways"): "" for one in page.evaluate(SCROLLED)}
        wrong |= {(place, one): "has no name" for one in page.evaluate(UNNAMED)}
        page.context.close()
    assert wrong == {}


def test_pages_say_the_same_without_scripts(site: Site) -> None:
    failed = f"request/w/{site.requests['failed']}"
    for place in (failed, f"{failed}/invocations?state=failed", f"{failed}/timeline"):
        page = site.open(place, java_script_enabled=False)
        assert "m401" in page.locator("main").inner_text(), place
        page.context.close()


def test_hostile_text_does_nothing(site: Site) -> None:
    failed = f"request/w/{site.requests['failed']}"
    for place in ("", failed, f"{failed}/tree", f"{failed}/invocation/m401", "handler/w/each"):
        page = site.open(place)
        text = page.locator("main").inner_text()
        assert "onerror=" in text, place
        assert not {"\u202e", "\u2067"} & set(text), place
        assert page.evaluate(WIDTH) <= 1280, place
        assert page.title() != "taken", place
        assert page.locator("main img, main script").count() == 0, place
        page.context.close()


def test_form_shows_its_commands_runs_and_its_request_is_followed_to_the_end(site: Site) -> None:
    gate = site.folder / "gate"
    page = site.open("job/w/gated")
    page.get_by_label("gate").fill(str(gate))
    page.get_by_label("more").fill("it's <b>")
    page.locator("#jobx-run", has_text="more=it").wait_for()
    assert str(gate) in page.locator("#curl").inner_text()

    page.get_by_role("button", name="Run").click()
    page.locator("#standing[data-state=running]").wait_for()
    page.evaluate("window.kept = true")
    gate.touch()
    page.locator("#standing[data-state=succeeded]").wait_for()
    page.locator("h1", has_text="succeeded").wait_for()
    assert page.evaluate("window.kept")
    assert page.locator("form").count() == 0
    page.context.close()


def test_running_request_is_cancelled_by_keyboard(site: Site) -> None:
    page = site.open("job/w/gated")
    page.get_by_label("gate").fill(str(site.folder / "never"))
    page.get_by_role("button", name="Run").press("Enter")
    reason = page.get_by_label("reason")
    reason.fill("not needed")
    reason.press("Enter")
    page.locator("#standing[data-state=cancelled]").wait_for()
    assert "not needed" in page.locator("main").inner_text()
    page.context.close()


def test_long_list_has_few_rows_in_the_document_wherever_it_is_scrolled(site: Site) -> None:
    page = site.open(f"request/w/{site.requests['failed']}/invocations?kind=map")
    box = page.locator("#rows.long")
    box.wait_for()

    def reaches_the_end() -> bool:
        box.evaluate("one => { one.scrollTop += 1500 }")
        assert page.locator("#rows tbody tr").count() < 100
        return "\tm699\t" in box.inner_text()

    eventually(reaches_the_end)
    page.context.close()


#: Scrolls a box twenty times, picture by picture; returns how far it is then.
SCROLL = """async box => {
  for (let at = 0; at < 20; at += 1) {
    box.scrollTop += 120;
    await new Promise(requestAnimationFrame);
  }
  await new Promise(requestAnimationFrame);
  return box.scrollTop;
}"""


def test_long_list_is_where_it_was_scrolled_to(site: Site) -> None:
    page = site.open(f"request/w/{site.requests['failed']}/invocations?kind=map")
    box = page.locator("#rows.long")
    box.wait_for()
    assert box.evaluate(SCROLL) == 20 * 120
    page.context.close()


def test_page_of_a_node_that_was_away_comes_back(site: Site) -> None:
    page = site.open("node")
    away = page.context.request.get(page.url + "where").text()
    away = away.replace('id="problem"', 'id="problem" data-live')
    page.route(
        "**/ui/node", lambda route: route.fulfill(status=503, content_type="text/html", body=away)
    )
    page.get_by_role("button", name="No answer").wait_for()
    assert page.get_by_role("heading", name="Executors").count() == 1, "what was known is gone"
    page.reload()
    page.get_by_role("button", name="No answer").wait_for()
    page.unroute("**/ui/node")
    page.get_by_role("heading", name="Executors").wait_for()
    page.context.close()


def test_commands_are_of_what_the_form_holds_now(site: Site) -> None:
    page = site.open("job/w/gated")
    held: list[Any] = []
    page.route("**/job/w/gated", lambda route: held.append(route))

    def holds(count: int) -> bool:
        page.evaluate("1")  # lets the browser tell
        return len(held) == count

    for count, text in enumerate(("first", "second"), 1):
        page.get_by_label("more").fill(text)
        eventually(partial(holds, count))
    held[1].continue_()
    page.locator("#jobx-run", has_text="more=second").wait_for()
    with page.expect_response("**/job/w/gated"):
        held[0].continue_()
    page.evaluate("new Promise(requestAnimationFrame)")
    assert "more=second" in page.locator("#jobx-run").inner_text()
    page.context.close()


#: How many pixels of a picture have about a colour.
PIXELS = """([colour]) => {
  const one = document.querySelector('canvas'), pen = one.getContext('2d');
  const style = getComputedStyle(document.documentElement).getPropertyValue(colour).trim();
  const wanted = [1, 3, 5].map(at => parseInt(style.slice(at, at + 2), 16));
  const {data} = pen.getImageData(0, 0, one.width, one.height);
  let count = 0;
  for (let at = 0; at < data.length; at += 4)
    if (wanted.every((value, part) => Math.abs(value - data[at + part]) < 12)) count += 1;
  return count;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_failure_is_drawn_over_what_succeeded(site: Site, scheme: str) -> None:
    page = site.open(f"request/w/{site.requests['failed']}/timeline", color_scheme=scheme)
    page.locator("canvas").wait_for()
    assert page.evaluate(PIXELS, ["--bad"]) > 10
    assert page.evaluate(PIXELS, ["--step-0"]) > 10
    page.context.close()


def test_page_that_was_left_is_live_no_more(site: Site) -> None:
    """A stream of events ends with its page, so a browser has its connections for others."""
    page = site.open("job/w/gated")
    page.get_by_label("gate").fill(str(site.folder / "later"))
    page.get_by_role("button", name="Run").click()
    page.locator("#standing[data-state=running]").wait_for()
    for _ in range(8):
        page.reload()
        page.locator("#standing[data-state=running]").wait_for()
    (site.folder / "later").touch()
    page.locator("#standing[data-state=succeeded]").wait_for()
    eventually(lambda: page.get_by_role("button", name="Ended").count() == 1)
    page.context.close()
