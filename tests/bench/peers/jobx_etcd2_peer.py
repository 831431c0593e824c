"""JobX with its store on etcd's v2 API."""

from __future__ import annotations

from tests.bench import measure
from tests.bench.peers.jobx_etcd_peer import on_etcd
from tests.bench.peers.jobx_peer import JobxPeer

if __name__ == "__main__":
    opened = on_etcd(lambda folder, url: JobxPeer(folder, store_url=url), "etcd2")
    measure.main("jobx_etcd2", opened)
