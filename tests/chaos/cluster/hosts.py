"""Hosts of a cluster on loopback: each has a node, an nsqd, and ways that can be cut."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Final

from tests.chaos.soak.faults import cont
from tests.support import nsq
from tests.support.etcd import Etcd
from tests.support.fault.rules import Faults
from tests.support.processes import descendants
from tests.support.proxy import Proxy, proxy
from tests.support.served import Served

KEY: Final = "a secret of thirty-two characters"
NAMES: Final = ("a", "b", "c")


class Host:
    """One host.

    Attributes:
        name: Its node's id.
        broker: Its nsqd.
        mail: The way to its nsqd, for all nodes.
        store: The ways from its node to the servers of etcd.
        faults: The shim below its processes.
        serving: Its node, not yet started.
        keeper: Held while processes of it are replaced.
    """

    def __init__(self, name: str, broker: nsq.Nsqd, mail: Proxy, store: list[Proxy]) -> None:
        self.name = name
        self.broker = broker
        self.mail = mail
        self.store = store
        self.keeper = threading.RLock()
        self.faults: Faults
        self.serving: Served

    def settings(self, folder: Path, root: str) -> dict[str, str]:
        """Return the settings that make its node a member of the cluster."""
        servers = ",".join(way.server for way in self.store)
        return {
            "JOBX_NODE_ID": self.name,
            "JOBX_CLUSTER_KEY": KEY,
            "JOBX_BRIDGE_NSQD": self.mail.server,
            "JOBX_STORE_URL": f"etcd://{servers}/{root}",
            "JOBX_BLOBS_URL": (folder / "blobs").as_uri(),
        }

    def prepare(self, folder: Path, root: str, environ: Mapping[str, str], log: IO[str]) -> None:
        """Make its node ready to be started."""
        self.faults = Faults(folder / f"fault-{self.name}")
        settings = self.settings(folder, root) | self.faults.environ | dict(environ)
        self.serving = Served(folder / f"data-{self.name}", settings, log)

    def end(self) -> None:
        """End what is left of its node."""
        process = getattr(self.serving, "process", None)
        if process is not None:
            cont(descendants(process.pid))
            if process.poll() is None:
                self.serving.kill_all()


@contextmanager
def hosts(kind: str, folder: Path, etcd: Etcd, *flags: str) -> Iterator[list[Host]]:
    """Run an nsqd for each host, and the ways; nodes must be prepared and started.

    Args:
        kind: Of ``nsq.KINDS``.
        folder: Where all of them have their files.
        etcd: The store.
        flags: Of each nsqd.
    """
    (folder / "blobs").mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        made = []
        for name in NAMES:
            broker = stack.enter_context(nsq.running(kind, folder, *flags))
            mail = stack.enter_context(proxy(broker.address, remembers=False))
            store = [stack.enter_context(proxy(server, remembers=False)) for server in etcd.servers]
            made.append(Host(name, broker, mail, store))
        yield made
