"""Falcon on gunicorn that says what it hears: the floor of what is asked over HTTP."""

from __future__ import annotations

from tests.bench import measure
from tests.bench.peers.gunicorn_peer import GunicornPeer

if __name__ == "__main__":
    application = "tests.bench.peers.hello_app:app"
    measure.main("hello", lambda folder: GunicornPeer(folder, application, {}))
