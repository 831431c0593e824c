"""The application for gunicorn, ``jobx.http.asgi:create()``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from jobx import config_loading
from jobx.handlers.blobs.opening import shared_blobs
from jobx.handlers.pairs.root_input import RootInputs
from jobx.http.app import create_app
from jobx.http.door.door import Door
from jobx.http.metering import Meter
from jobx.http.node.client import NodeClient
from jobx.http.node.reporter import Reporter
from jobx.http.resources.live import Streams
from jobx.kv.blobs import BlobFolder

#: Key in the state of the ASGI lifespan: a function that ends all waits, for the server's hooks.
CUT_WAITS: Final = "jobx.cut_waits"
#: The same of a function that ends all streams of events.
CUT_STREAMS: Final = "jobx.cut_streams"
#: How long a web worker that ends reports what it counted.
LAST_REPORT_S: Final = 1.0


class Lifespan:
    """Connects to the node when the web worker starts and drops the connection when it stops."""

    def __init__(self, client: NodeClient, reporter: Reporter, streams: Streams) -> None:
        self._client = client
        self._reporter = reporter
        self._streams = streams

    async def process_startup(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Start to connect; the web worker starts even if there is no node yet."""
        await self._client.start()
        self._reporter.start()
        state = scope.get("state", {})
        state[CUT_WAITS] = self._client.cut_waits
        state[CUT_STREAMS] = self._streams.cut

    async def process_shutdown(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Report what was counted, and drop the connection."""
        await self._reporter.stop(LAST_REPORT_S)
        await self._client.close()


def create() -> Door:
    """Return the application for the settings of the environment (``config_loading.load``).

    Raises:
        ConfigError: A setting is wrong.
    """
    settings = config_loading.load(None, os.environ)
    client = NodeClient(settings.gateway_path)
    blobs = BlobFolder(settings.blob_path, shared_blobs(settings.blobs))
    inputs = RootInputs(blobs, settings.inline_bytes)
    meter = Meter()
    reporter = Reporter(client, meter)
    streams = Streams(client, settings.http.max_watchers)
    app = create_app(client, settings.http, inputs, reporter, streams)
    app.add_middleware(Lifespan(client, reporter, streams))
    return Door(app, settings.http, meter)
