"""Addresses that never mean another actor later."""

from __future__ import annotations

from thespian.actors import ActorAddress


class Address(ActorAddress):
    """Address of one actor or endpoint: node, life of that node, number within that life.

    An actor that was created from another node has a text instead of a number: the address that its
    creator's node had unused for it.

    Unlike other Thespian addresses it can be a key of a map.

    Attributes:
        addressDetails: ``(node id, incarnation, local id)``; equal details are the same actor.
    """

    __slots__ = ("addressDetails",)

    def __init__(self, node_id: str, incarnation: int, local_id: int | str) -> None:
        self.addressDetails = (node_id, incarnation, local_id)

    @property
    def actorAddressString(self) -> str:  # noqa: N802 - Thespian's name
        """The address as text, for people only."""
        return str(self)

    def __str__(self) -> str:
        return "{}/{}/{}".format(*self.addressDetails)

    __repr__ = __str__

    @staticmethod
    def is_hosted(address: ActorAddress) -> bool:
        """Whether an actor was created from another node than its own."""
        return isinstance(address.addressDetails[2], str)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActorAddress) and self.addressDetails == other.addressDetails

    def __hash__(self) -> int:
        return hash(self.addressDetails)
