"""JobX over HTTP with its store on etcd's v2 API."""

from __future__ import annotations

from tests.bench import measure
from tests.bench.peers.jobx_etcd_peer import on_etcd
from tests.bench.peers.jobx_http_peer import JobxHttpPeer

if __name__ == "__main__":
    measure.main("jobx_etcd2", on_etcd(JobxHttpPeer, "etcd2"))
