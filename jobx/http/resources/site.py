"""What all that is answered by one web worker shares."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from socket import gethostname
from typing import Final, TypeAlias

from jobx.config import HttpSettings
from jobx.handlers.pairs.root_input import RootInputs
from jobx.http.node.client import NodePort

#: Graphs that one web worker draws at once.
MAX_DRAWN: Final = 2


@dataclass(frozen=True, slots=True)
class Site:
    """One web worker, as its resources see it.

    Attributes:
        node: What answers.
        settings: The limits.
        inputs: Where large arguments are kept; without one they go to the node as they are.
        description: The OpenAPI document.
        host: The name of this machine.
        drawing: Places for those who draw.
    """

    node: NodePort
    settings: HttpSettings
    inputs: RootInputs | None = None
    description: bytes = b""
    host: str = field(default_factory=gethostname)
    drawing: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(MAX_DRAWN))


#: Answers one method of one address: gets a Site, a request, its response and what is named in the
#: address. Its query was looked at: nothing is in it that the operation does not know.
Responder: TypeAlias = Callable[..., Awaitable[None]]
