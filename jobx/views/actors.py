"""The actors of a node."""

from __future__ import annotations

from jobx.views.base import View


class ActorView(View, frozen=True, kw_only=True):
    """One live actor.

    Attributes:
        mailbox: Its unread messages; the oldest has waited for ``oldest_s``.
        handled: Messages that it has handled, in ``time_s`` altogether.
        restarts: How often it was started again, and why the last time; ``restarts_used`` of its
            budget of ``restart_limit`` were used by then, those that nobody asked for.
        held_bytes: Memory that it holds of the budget of open requests.
    """

    address: str
    name: str
    state: str
    mailbox: int
    age_s: float
    children: list[ActorView] = []
    #: Children that are not shown because the view is bounded.
    hidden: int = 0
    class_name: str = ""
    parent: str | None = None
    handled: int = 0
    time_s: float = 0.0
    oldest_s: float | None = None
    restarts: int = 0
    restarts_used: int = 0
    restart_limit: int | None = None
    restart_reason: str | None = None
    held_bytes: int | None = None


class ActorTree(View, frozen=True, kw_only=True):
    """The live actors of a node, by their roots."""

    actors: list[ActorView]


class ActorPage(View, frozen=True, kw_only=True):
    """A page of actors, in the order of their creation, without their children.

    ``next`` is the cursor of the page behind, or None.
    """

    node_id: str
    actors: list[ActorView]
    next: str | None = None


class MailCount(View, frozen=True, kw_only=True):
    """Unread messages of one type."""

    message: str
    count: int


class ActorDetail(View, frozen=True, kw_only=True):
    """One actor with its surroundings.

    Attributes:
        actor: The actor with its first children.
        parents: From its parent up to the root.
        mail: Its first unread messages by type; ``unread`` are behind them.
    """

    node_id: str
    actor: ActorView
    parents: list[ActorView]
    mail: list[MailCount]
    unread: int = 0


class ActorClassView(View, frozen=True, kw_only=True):
    """All actors of one class, since the node started.

    Attributes:
        failure: Why the last of those that ``failed`` did.
        handled: Messages that they have handled, in ``time_s`` altogether.
        slow: Messages that took over 10 ms; the longest took ``longest_s``.
        mailbox: Their unread messages; the oldest has waited for ``oldest_s``.
    """

    class_name: str
    live: int
    created: int
    failed: int
    failure: str | None = None
    handled: int
    time_s: float
    slow: int
    longest_s: float
    mailbox: int
    oldest_s: float | None = None
    restarts: int = 0
    restart_reason: str | None = None


class SlowHandlerView(View, frozen=True, kw_only=True):
    """Messages of one type that took actors of one class over 10 ms."""

    class_name: str
    message: str
    count: int
    time_s: float
    longest_s: float
    last_at: float


class StallView(View, frozen=True, kw_only=True):
    """The node's loop stood still for over 100 ms, at one place of the code."""

    where: str
    count: int
    longest_s: float
    last_at: float


class ActorSummary(View, frozen=True, kw_only=True):
    """The actors of a node by their classes, and what was wrong with them since it started.

    Attributes:
        queued: Actors with unread messages.
        dead_letters: Messages that nobody has read.
        held_bytes: Memory of open requests, of ``limit_bytes``.
        traces: Traces of messages that are on.
    """

    node_id: str
    live: int
    queued: int
    created: int
    failed: int
    handled: int
    dead_letters: int
    held_bytes: int
    limit_bytes: int
    slow: int
    stalls: int
    traces: int
    classes: list[ActorClassView]
    slow_handlers: list[SlowHandlerView]
    stalled: list[StallView]


class TracedMessage(View, frozen=True, kw_only=True):
    """A message that a traced actor has handled: its type and about its size, not its content.

    Attributes:
        size_is_least: The size is that of its first parts.
        waited_s: How long it was in the mailbox.
        took_s: How long it was handled.
        failed: It ended the actor.
    """

    at: float
    receiver: str
    class_name: str
    message: str
    size_bytes: int
    size_is_least: bool = False
    sender: str
    sender_class: str | None = None
    waited_s: float
    took_s: float
    failed: bool = False


class ActorTrace(View, frozen=True, kw_only=True):
    """What actors have handled while somebody asked. ``is_full``: there may have been more."""

    node_id: str
    messages: list[TracedMessage]
    took_s: float
    is_full: bool = False


class DeadLetterView(View, frozen=True, kw_only=True):
    """Messages of one type and sender that one actor has not read."""

    message: str
    target: str
    target_class: str | None = None
    sender: str
    sender_class: str | None = None
    reason: str
    count: int
    first_at: float
    last_at: float


class DeadLetterPage(View, frozen=True, kw_only=True):
    """The last groups of dead letters, newest first; ``count``: all messages since the start."""

    node_id: str
    count: int
    letters: list[DeadLetterView]


class ActorDump(View, frozen=True, kw_only=True):
    """The actors of a node and what it tells of them. ``is_cut``: there are more actors."""

    summary: ActorSummary
    actors: list[ActorView]
    is_cut: bool = False
    dead_letters: DeadLetterPage


class ActorTold(View, frozen=True, kw_only=True):
    """What follows from the stop or the restart of an actor."""

    node_id: str
    address: str
    name: str
    says: str
