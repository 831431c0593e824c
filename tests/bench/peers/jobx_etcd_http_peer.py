"""JobX over HTTP with its store on etcd."""

from __future__ import annotations

from tests.bench import measure
from tests.bench.peers.jobx_etcd_peer import on_etcd
from tests.bench.peers.jobx_http_peer import JobxHttpPeer

if __name__ == "__main__":
    measure.main("jobx_etcd", on_etcd(JobxHttpPeer))
