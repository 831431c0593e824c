"""Measures the pages of large requests in a browser: seconds, memory, and the longest frame.

    python -m tests.bench.pages [--count 1000000] [--slow]

It opens the pages of a request with a million invocations (``--slow``: with an event for each) and
of one with ten thousand, whose list it scrolls to the end and whose timeline it draws anew. The
bars are 2 s, 50 MB and 100 ms. What else the machine does lengthens frames, so the processor time
of the longest task of the page's thread is shown, too. Chromium is needed.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from jobx.kv.sqlite.store import SqliteStore
from tests.bench import dumps
from tests.support.authoring import COUNT, FAN, define
from tests.support.chromium import program
from tests.support.served import Served, served

if TYPE_CHECKING:
    from playwright.sync_api import Page

#: A timeline draws so many runs as bars.
_BARS: Final = 9_900
_PATIENCE_MS: Final = 180_000.0
#: What a browser notes of its threads: how long each task took, in processor time as well.
_TRACED: Final = ["toplevel", "devtools.timeline"]
_TASKS: Final = ("RunTask", "ThreadControllerImpl::RunTask")
#: Notes the longest time between two frames, from the first one on.
_FRAMES: Final = """
window.worst = 0;
let last = performance.now();
requestAnimationFrame(function frame(now) {
  worst = Math.max(worst, now - last);
  last = now;
  requestAnimationFrame(frame);
});
"""
#: Scrolls a list to the end of what it has, a screen a frame.
_SCROLL: Final = """async count => {
  worst = 0;
  const box = document.getElementById('rows');
  const row = () => box.querySelectorAll('tbody tr:not(.spacer)')[0].getBoundingClientRect().height;
  while (box.scrollTop < (count - 100) * row()) {
    box.scrollTop += box.clientHeight / 2;
    await new Promise(requestAnimationFrame);
  }
  return worst;
}"""
#: Draws the timeline again and again.
_DRAW: Final = """async () => {
  worst = 0;
  for (const width of ['100%', '90%', '80%', '70%', '100%']) {
    document.getElementById('timeline').style.width = width;
    for (let frame = 0; frame < 5; frame += 1) await new Promise(requestAnimationFrame);
  }
  return worst;
}"""


@click.command()
@click.option("--count", type=click.IntRange(1), default=1_000_000, show_default=True)
@click.option("--slow", "is_slow", is_flag=True)
def pages(count: int, is_slow: bool) -> None:
    """Print what the pages of large requests cost a browser."""
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-dev-shm-usage"]
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder) / "d"
        define(
            data_dir, {"fan": FAN, "each": COUNT}, {"fan": ("fan", "sum"), "each": ("each", "sum")}
        )
        with closing(SqliteStore(data_dir / "jobx.sqlite")) as store:
            dumps.write(store, count, is_slow=is_slow)
        with served(data_dir) as serving, sync_playwright() as playwright:
            large, small = dumps.ID, serving.post("fan", {"n": _BARS}).request_id
            browser = playwright.chromium.launch(executable_path=program(), args=options)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.add_init_script(_FRAMES)
            page.set_default_timeout(_PATIENCE_MS)
            page.goto(f"http://127.0.0.1:{serving.port}/ui/request/w/{small}")  # all is started
            for name in ("", "/tree", "/invocations", "/timeline"):
                _open(page, serving, f"{large}{name}", f"{count:,} {name or '/'}")
            _open(page, serving, f"{small}/invocations?kind=map", f"{_BARS:,} /invocations")
            page.locator("#rows.long").wait_for()
            with _tasks(page, "scrolled to the end"):
                worst = page.evaluate(_SCROLL, _BARS)
            click.echo(f"  longest frame {worst:.0f} ms")
            _open(page, serving, f"{small}/timeline", f"{_BARS:,} /timeline")
            with _tasks(page, "drawn at five widths"):
                worst = page.evaluate(_DRAW)
            click.echo(f"  longest frame {worst:.0f} ms")
            browser.close()


def _open(page: Page, serving: Served, place: str, name: str) -> None:
    """Open a page of a request twice, and print the second time: the first makes its view."""
    address = f"http://127.0.0.1:{serving.port}/ui/request/w/{place}"
    taken = []
    for turn in range(2):
        if turn == 1:  # it reads on while a log is being read, and then shows all of it
            page.locator("[data-reading=yes]").wait_for(state="detached")
        with _tasks(page, name):
            began = time.monotonic()
            page.goto(address)
            if "timeline" in place:
                page.locator("canvas").wait_for()
            taken.append(time.monotonic() - began)
            heap = _metrics(page)["JSHeapUsedSize"] / 1e6
    click.echo(f"  first {taken[0]:.2f} s, again {taken[1]:.2f} s, heap {heap:.1f} MB")


@contextmanager
def _tasks(page: Page, name: str) -> Iterator[None]:
    """Print the processor time of the longest task that a page does meanwhile."""
    browser = page.context.browser
    assert browser is not None
    browser.start_tracing(page=page, categories=_TRACED)
    try:
        yield
    finally:
        trace = json.loads(browser.stop_tracing())["traceEvents"]
    main = {
        (one["pid"], one["tid"])
        for one in trace
        if one.get("name") == "thread_name" and one["args"]["name"] == "CrRendererMain"
    }
    spent = [
        one.get("tdur", 0) / 1000
        for one in trace
        if one["name"] in _TASKS and (one["pid"], one["tid"]) in main
    ]
    click.echo(f"{name}: longest task {max(spent, default=0.0):.0f} ms of the processor")


def _metrics(page: Page) -> dict[str, float]:
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable")
    found = session.send("Performance.getMetrics")["metrics"]
    return {one["name"]: one["value"] for one in found}


if __name__ == "__main__":
    pages()
