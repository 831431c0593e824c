"""The faults of a cluster's soak, with their weights."""

from __future__ import annotations

from typing import Final

#: Of one host; see ``tests/chaos/soak/plan.py``. One that is lost comes back after a while.
HOST_FAULTS: Final = {
    "kill executor": 4.0,
    "kill fork server": 1.0,
    "kill web worker": 1.0,
    "kill node": 3.0,
    "kill all": 1.0,
    "lose": 3.0,
    "restart": 2.0,
    "stop executor": 1.0,
    "stop node": 3.0,
    "clock": 1.0,
}
#: Of what the hosts share, and of the ways between them. ``compact etcd`` has the store forget what
#: a host that is cut off has not seen. ``bad nsqd`` loses, doubles, delays and
#: reorders messages; only the broker of our own does so.
SHARED_FAULTS: Final = {
    "kill nsqd": 2.0,
    "stop nsqd": 1.0,
    "bad nsqd": 3.0,
    "cut nsqd": 2.0,
    "kill etcd": 2.0,
    "stop etcd": 1.0,
    "kill quorum": 1.0,
    "cut etcd": 2.0,
    "slow etcd": 1.0,
    "reset etcd": 1.0,
    "compact etcd": 1.0,
    "cut host": 2.0,
    "change": 2.0,
}
FAULTS: Final = {**HOST_FAULTS, **SHARED_FAULTS}
#: How long a fault lasts, in s: also for more than two lease times.
LASTS_S: Final = (0.3, 1.0, 3.0, 12.0)
#: What an nsqd does that is bad.
BAD_FLAGS: Final = (
    ("--double", "0.5"),
    ("--shuffle", "100", "--double", "0.2"),
    ("--drop", "0.1"),
    ("--delay", "2"),
    ("--drop", "0.1", "--delay", "1", "--double", "0.3"),
)
