"""Metrics of the node and of its web workers, for Prometheus."""

from __future__ import annotations

import asyncio
from typing import Final

from falcon.asgi import Request, Response

from jobx.errors import DeadlineExceeded, Unavailable
from jobx.http.resources.site import Site
from jobx.http.writing import exposition
from jobx.questions import GetMetrics
from jobx.views import MetricsView

#: How long a scrape may take, and the node of that; Prometheus itself waits 10 s.
SCRAPE_S: Final = 5.0
NODE_S: Final = 4.0


async def scrape(site: Site, req: Request, resp: Response) -> None:
    """Answer with all metrics, or 503 when the node does not answer in time.

    They are written in a thread, one scrape at a time: large ones take a good part of a second.
    """
    try:
        async with asyncio.timeout(SCRAPE_S):
            view = await _read(site)
            async with site.scraping:
                accept = req.get_header("Accept") or ""
                resp.data, resp.content_type = await asyncio.to_thread(
                    exposition.text, view, accept
                )
    except TimeoutError as error:
        raise Unavailable(f"the metrics were not ready within {SCRAPE_S:g} s") from error
    resp.set_header("Cache-Control", "no-store")


async def _read(site: Site) -> MetricsView:
    """Return the metrics of the node, which hears before what this web worker counted."""
    try:
        _, view = await asyncio.gather(site.report(), site.node.call(GetMetrics(), NODE_S))
        return view
    except DeadlineExceeded as error:
        raise Unavailable(f"the node does not answer: {error}") from error
