"""Shared by all answers of one web worker."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from socket import gethostname
from typing import Final, TypeAlias

from jobx.config_sections import HttpSettings
from jobx.handlers.pairs.root_input import RootInputs
from jobx.http.node.client import NodePort
from jobx.http.resources.live import Streams
from jobx.http.writing.results import Reading

#: Graphs that one web worker draws at once.
MAX_DRAWN: Final = 2


async def _nothing() -> None:
    """Report nothing: nobody counts."""


@dataclass(frozen=True, slots=True)
class Site:
    """The parts of one web worker for its resources.

    Attributes:
        node: The node.
        settings: The limits.
        streams: Those of what happens to requests.
        inputs: Where large arguments are stored; without it they go to the node as they are, and
            results are only read from the folder that the node names.
        description: The OpenAPI document.
        host: The name of this machine.
        drawing: Bounds the graphs that are drawn at once.
        scraping: Bounds the metrics that are written at once.
        report: Reports to the node what this web worker counted.
    """

    node: NodePort
    settings: HttpSettings
    streams: Streams
    inputs: RootInputs | None = None
    description: bytes = b""
    host: str = field(default_factory=gethostname)
    drawing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_DRAWN))
    scraping: asyncio.Lock = field(default_factory=asyncio.Lock)
    report: Callable[[], Awaitable[None]] = _nothing

    @property
    def reading(self) -> Reading:
        """How results are read."""
        readable = self.inputs.readable if self.inputs else str
        return Reading(self.settings.max_inline_pairs, readable)


#: Answers one method of one address: gets a Site, a request, its response and what is named in the
#: address. Its query was looked at: nothing is in it that the operation does not know.
Responder: TypeAlias = Callable[..., Awaitable[None]]
