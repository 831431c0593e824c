"""A Tahoe-LAFS grid of one process: client and storage, no introducer, loopback only."""

from __future__ import annotations

import json
import secrets
import sys
from pathlib import Path

from allmydata.client import create_client
from allmydata.util import iputil
from foolscap.api import Tub
from twisted.internet import protocol, reactor, stdio
from twisted.python import log

from tests.support.ports import free_ports
from tests.support.servers.lifeline import say

_CONFIG = """[node]
nickname = test
web.port = tcp:{web}:interface=127.0.0.1
tub.port = tcp:{tub}:interface=127.0.0.1
tub.location = tcp:127.0.0.1:{tub}
[client]
shares.needed = 1
shares.happy = 1
shares.total = 1
force_foolscap = true
[storage]
enabled = true
force_foolscap = true
reserved_space = 0
"""


def _write_node(folder: Path, web: int, tub: int) -> None:
    """Write the files of a node that knows its own storage server without an introducer."""
    private = folder / "private"
    private.mkdir(parents=True, mode=0o700)
    (folder / "tahoe-client.tac").write_text("")
    (folder / "tahoe.cfg").write_text(_CONFIG.format(web=web, tub=tub))
    tub_id = Tub(certFile=str(private / "node.pem")).getTubID()
    tub_id = tub_id if isinstance(tub_id, str) else tub_id.decode()
    furl = f"pb://{tub_id}@tcp:127.0.0.1:{tub}/{secrets.token_hex(16)}"
    (private / "storage.furl").write_text(f"{furl}\n")
    announced = {
        "nickname": "self",
        "anonymous-storage-FURL": furl,
        "permutation-seed-base32": tub_id,
    }
    servers = {"storage": {"v0-self": {"ann": announced}}}
    (private / "servers.yaml").write_text(json.dumps(servers))


def _listen_on_loopback(tub: Tub, port: int | None = None) -> int:
    port = port or iputil.allocate_tcp_port()
    tub.listenOn(f"tcp:{port}:interface=127.0.0.1")
    tub.setLocation(f"localhost:{port}")
    return port


class _Lifeline(protocol.Protocol):
    def connectionLost(self, reason: object = None) -> None:  # noqa: N802 - Twisted's name
        if reactor.running:
            reactor.stop()


def main(folder: Path) -> None:
    """Run the grid until the parent is gone."""
    iputil.listenOnUnused = _listen_on_loopback  # Tahoe's own opens its log port to everybody
    web, tub = free_ports(2)
    _write_node(folder, web, tub)
    log.startLogging((folder / "log").open("w"), setStdout=False)

    def started(service: object) -> None:
        service.startService()
        reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
        say(url_prefix=f"http://127.0.0.1:{web}")

    def boot() -> None:
        creating = create_client(str(folder))
        creating.addCallbacks(started, lambda failure: (failure.printTraceback(), reactor.stop()))

    stdio.StandardIO(_Lifeline())
    reactor.callWhenRunning(boot)
    reactor.run()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
