"""The datagrams of the bridge: what is in one, and how another cluster's are told apart.

A datagram is a version byte, a MAC (HMAC-SHA-256 by the cluster's key) and a msgpack array: the
fields of ``Envelope`` in their order. Later versions of JobX may append fields; what is not known
is ignored. A change that old nodes must not misread gets a new version byte.
"""

from __future__ import annotations

import hmac
from typing import Final, Literal, NamedTuple, TypeAlias

import msgspec
from msgspec import Struct

from jobx.errors import UNREADABLE

VERSION: Final = b"\x01"
#: nsqd takes 1 MiB at most by default.
MAX_DATAGRAM_BYTES: Final = 1 << 20
_MAC_BYTES: Final = 32
_HEAD_BYTES: Final = len(VERSION) + _MAC_BYTES

#: Why a datagram is dropped. ``size``: it is too short or too long. ``version``: another form.
#: ``key``: it was not made with the cluster's key. ``form``: its maker has a fault. ``cluster``,
#: ``node``, ``workflow``: it is for another one. ``stale``: for or from an epoch that is over.
Refusal: TypeAlias = Literal[
    "size", "version", "key", "form", "cluster", "node", "workflow", "stale"
]


class Epoch(NamedTuple):
    """One epoch of one end of a link; later ones are greater.

    Attributes:
        registration: The registration of the node with its cluster, which only grows.
        number: Grows each time that the end gives up the link.
    """

    registration: int
    number: int


#: The epoch of a peer of which nothing is known yet.
UNKNOWN: Final = Epoch(0, 0)


class Packet(Struct, frozen=True, array_like=True):
    """A message of a stream, or a part of a large one.

    Attributes:
        number: Its number in the stream, from 1.
        is_last: The message ends with it.
    """

    number: int
    is_last: bool
    body: bytes


class Letter(Struct, frozen=True, array_like=True):
    """What one end of a link tells the other.

    Attributes:
        source_epoch: The epoch of the sender.
        target_epoch: The epoch of the receiver as far as the sender knows; UNKNOWN if it does not.
        acked: All packets of the receiver up to this number have arrived.
        wants_ack: The receiver must answer as soon as its supervisor has.
        packets: Packets of the sender.
        is_alive: The sender's supervisor has answered what the receiver wanted an answer to; None:
            an earlier version, which does not ask its supervisor.
    """

    source_epoch: Epoch
    target_epoch: Epoch
    acked: int
    wants_ack: bool = False
    packets: list[Packet] = []
    is_alive: bool | None = None


class Envelope(Struct, frozen=True, array_like=True):
    """A letter with the names of its ends: ``source`` and ``target`` are node ids."""

    cluster: str
    workflow: str
    source: str
    target: str
    letter: Letter


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Envelope)


class Seal:
    """Makes datagrams of envelopes, and envelopes of datagrams.

    Args:
        key: The secret of the cluster.
        cluster: The name of the cluster.
    """

    def __init__(self, key: bytes, cluster: str) -> None:
        self._cluster = cluster
        # The key of one version proves nothing in another.
        self._key = hmac.digest(key, b"jobx bridge" + VERSION, "sha256")

    def close(self, envelope: Envelope) -> bytes:
        """Return an envelope as a datagram."""
        body = _ENCODER.encode(envelope)
        return b"".join((VERSION, hmac.digest(self._key, body, "sha256"), body))

    def open(self, datagram: bytes) -> Envelope | Refusal:
        """Return the envelope in a datagram, or why there is none for this cluster.

        Nothing of a datagram is read before its MAC was checked.
        """
        if not _HEAD_BYTES < len(datagram) <= MAX_DATAGRAM_BYTES:
            return "size"
        if datagram[: len(VERSION)] != VERSION:
            return "version"
        body = memoryview(datagram)[_HEAD_BYTES:]
        mac = datagram[len(VERSION) : _HEAD_BYTES]
        if not hmac.compare_digest(mac, hmac.digest(self._key, body, "sha256")):
            return "key"
        try:
            envelope: Envelope = _DECODER.decode(body)
        except UNREADABLE:
            return "form"
        return envelope if envelope.cluster == self._cluster else "cluster"
