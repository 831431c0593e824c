"""Look at the actors of a node; stop them, start them again."""

from __future__ import annotations

from typing import Annotated, Generic, Literal, TypeAlias

from msgspec import Meta

from jobx import views
from jobx.questions.base import A, Limit, Question, Reason, Text

#: The address of an actor; see ``ActorView``.
Address: TypeAlias = Annotated[str, Meta(max_length=300)]
ActorLimit: TypeAlias = Annotated[int, Meta(ge=1, le=1000)]
ActorState: TypeAlias = Literal["idle", "busy", "queued", "stopping", "remote"]
#: Time in handlers, messages handled, unread ones, age of the oldest, memory of the budget.
ActorMeasure: TypeAlias = Literal["time", "handled", "mailbox", "oldest", "held"]
TraceSeconds: TypeAlias = Annotated[float, Meta(gt=0, le=60)]


class GetActorTree(Question[views.ActorTree], frozen=True, kw_only=True, tag="actors.tree"):
    """The live actors, up to so many."""

    limit: Limit | None = None


class OfNode(Question[A], Generic[A], frozen=True, kw_only=True):
    """Base of questions about the actors of a node; ``node``: another one of the cluster."""

    node: Text | None = None


class OfActors(OfNode[A], Generic[A], frozen=True, kw_only=True):
    """Base of questions about the actors that a filter lets through.

    Attributes:
        class_name: Of this class.
        name: With this text in their name.
        state: In this state.
        below: Below the actor of this address.
    """

    class_name: Text | None = None
    name: Text | None = None
    state: ActorState | None = None
    below: Address | None = None


class GetActorSummary(OfNode[views.ActorSummary], frozen=True, kw_only=True, tag="actors.summary"):
    """The actors by their classes, slow handlers, stalls of the loop."""


class ListActors(OfActors[views.ActorPage], frozen=True, kw_only=True, tag="actors.list"):
    """A page of actors, in the order of their creation, behind a cursor."""

    after: Text | None = None
    limit: ActorLimit = 100


class TopActors(OfActors[views.ActorPage], frozen=True, kw_only=True, tag="actors.top"):
    """The actors with most of something, in that order."""

    by: ActorMeasure = "time"
    limit: ActorLimit = 20


class GetActor(OfNode[views.ActorDetail], frozen=True, kw_only=True, tag="actors.show"):
    """One actor."""

    address: Address


class TraceActors(OfActors[views.ActorTrace], frozen=True, kw_only=True, tag="actors.trace"):
    """What actors handle from now on; answered after so long, or so many messages.

    Attributes:
        address: Only this actor.
    """

    address: Address | None = None
    wait_s: TraceSeconds = 10.0
    limit: ActorLimit = 1000


class ListDeadLetters(OfNode[views.DeadLetterPage], frozen=True, tag="actors.dead-letters"):
    """The last groups of messages that nobody has read."""


class StopActor(OfNode[views.ActorTold], frozen=True, kw_only=True, tag="actors.stop"):
    """Stop an actor, for a reason; its request ends, or its work fails."""

    address: Address
    reason: Reason = ""


class RestartActor(OfNode[views.ActorTold], frozen=True, kw_only=True, tag="actors.restart"):
    """Start an actor again: a coordinator from its log, the work of a batch anew."""

    address: Address
    reason: Reason = ""
