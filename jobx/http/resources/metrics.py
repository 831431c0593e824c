"""Metrics of the node and of its web workers, for Prometheus."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from falcon.asgi import Request, Response

from jobx.errors import DeadlineExceeded, Unavailable
from jobx.http.resources.site import Site
from jobx.http.writing import exposition
from jobx.questions import GetMetrics
from jobx.views import MetricsView

#: How long a scrape may take; Prometheus itself waits 10 s.
SCRAPE_S: Final = 5.0


async def scrape(site: Site, req: Request, resp: Response) -> None:
    """Answer with all metrics, or 503 when the node does not answer in time.

    They are written in a thread, one scrape at a time: large ones take a good part of a second.
    """
    deadline = time.monotonic() + SCRAPE_S
    try:
        async with asyncio.timeout(SCRAPE_S):
            view = await _read(site, deadline)
            async with site.scraping:
                accept = req.get_header("Accept") or ""
                resp.data, resp.content_type = await asyncio.to_thread(
                    exposition.text, view, accept
                )
    except TimeoutError as error:
        raise Unavailable(f"the metrics were not ready within {SCRAPE_S:g} s") from error
    resp.set_header("Cache-Control", "no-store")


async def _read(site: Site, deadline: float) -> MetricsView:
    await site.report()
    try:
        return await site.node.call(GetMetrics(), deadline - time.monotonic())
    except DeadlineExceeded as error:
        raise Unavailable(f"the node does not answer: {error}") from error
