"""JobX with its store on etcd: a server of its own, which waits for the disk as SQLite does."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from tests.bench import measure
from tests.bench.peers.jobx_peer import JobxPeer
from tests.support.etcd import V2, etcd_servers

#: Opens a peer in a folder, with a store by its URL.
_Open = Callable[[Path, str], JobxPeer]


def on_etcd(open_peer: _Open, scheme: str = "etcd") -> Callable[[Path], JobxPeer]:
    """Return what opens a peer whose store is on etcd, by the API of a scheme of ``store.url``."""

    def opened(folder: Path) -> JobxPeer:
        with ExitStack() as stack:
            etcd = stack.enter_context(etcd_servers(folder / "etcd", flags=(V2,)))
            peer = open_peer(folder, etcd.url_of(scheme))
            peer.after = stack.pop_all()
            return peer

    return opened


if __name__ == "__main__":
    measure.main("jobx_etcd", on_etcd(lambda folder, url: JobxPeer(folder, store_url=url)))
