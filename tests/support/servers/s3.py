"""An S3 server with one bucket on a free port."""

from __future__ import annotations

import logging
import urllib.request

from moto.server import ThreadedMotoServer

from tests.support.servers.lifeline import say, wait_for_parent

BUCKET = "shared"


def main() -> None:
    """Serve until the parent is gone."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    request = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")  # noqa: S310 - ours
    urllib.request.urlopen(request, timeout=60).close()  # noqa: S310 - ours
    say(endpoint_url=url, bucket=BUCKET)
    wait_for_parent()


if __name__ == "__main__":
    main()
