"""Parents and children on different nodes: their births, mail and ends.

This is the engine's ``Placement``. It knows the link of each child that was created on a peer, and
of each *hosted* actor: one that a peer created here. When a link breaks, parents hear ChildLost for
children beyond it, and its hosted actors exit. Mail between others does not leave the node.
"""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from thespian.actors import Actor, ActorAddress, ActorExitRequest, ChildActorExited

from jobx.actors.bridge import codec
from jobx.actors.bridge.codec import Exit, Exited, Mail, Spawn, Wire
from jobx.actors.bridge.ends import End, LocalEnd, Post
from jobx.actors.bridge.link import Broken
from jobx.actors.bridge.transport import Lane
from jobx.actors.runtime.address import Address
from jobx.actors.runtime.failure import NODE_LOST, ChildLost
from jobx.actors.runtime.placement import Creation, check_here
from jobx.errors import FrameError, TooLarge

if TYPE_CHECKING:
    from jobx.actors.runtime.engine import Engine

_LOG: Final = logging.getLogger(__name__)


class Families:
    """The actors whose parents or children are on other nodes. On the loop's thread only.

    Args:
        engine: The actors of this node.
        site: This node.
        post: Sends what links have to send.
        find: Returns the link of a lane; None if there is none.
        put: Sends an item on a link.
        kinds: Classes of actors that may be created from other nodes, by their names on the wire.
        choose: Says on which lane an actor is created; None: here.
    """

    def __init__(
        self,
        engine: Engine,
        site: LocalEnd,
        post: Post,
        find: Callable[[Lane], End | None],
        put: Callable[[End, bytes], None],
        *,
        kinds: Mapping[str, type[Actor]],
        choose: Callable[[Creation], Lane | None],
    ) -> None:
        self._engine = engine
        self._scheduler = engine.scheduler
        self._site = site
        self._post = post
        self._find = find
        self._put = put
        self._kinds = dict(kinds)
        self._names = {kind: name for name, kind in kinds.items()}
        self._choose = choose
        self._children: dict[ActorAddress, End] = {}
        self._parents: dict[ActorAddress, ActorAddress] = {}
        self._hosted: dict[ActorAddress, End] = {}
        self._numbers = itertools.count(1)
        self._is_closed = False

    def register(self, registration: int) -> None:
        """Name children by another registration of this node."""
        self._site = self._site._replace(registration=registration)

    def close(self) -> None:
        """Send nothing more."""
        self._is_closed = True

    def takes(self) -> dict[type, Callable[[End, Any], None]]:
        """Return what takes items from a link, by their kinds."""
        return {
            Spawn: self._spawn,
            Mail: self._mail,
            Exit: self._exit,
            Exited: self._exited,
        }

    def borrowed(self) -> Counter[Lane]:
        """Return the lanes that children of actors here are on, with their numbers."""
        return Counter(end.lane for end in self._children.values())

    def is_hosted(self, address: ActorAddress) -> bool:
        """Whether an actor here was created by a peer."""
        return address in self._hosted

    @property
    def hosted(self) -> int:
        """Number of actors here that peers created."""
        return len(self._hosted)

    def place(self, creation: Creation) -> ActorAddress | None:
        """Create an actor where ``choose`` says; see ``Placement``."""
        name = self._names.get(creation.actor_class)
        if name is not None and creation.parent is not None:
            lane = self._choose(creation)
            end = self._find(lane) if lane is not None else None
            if end is not None and end.has_room:
                with suppress(TooLarge):
                    return self._create(end, name, creation.parent, creation.arguments)
        check_here(creation)
        return None

    def _create(
        self, end: End, name: str, parent: ActorAddress, arguments: tuple[Any, ...]
    ) -> ActorAddress:
        unused = f"{self._site.node_id}/{self._site.registration}/{next(self._numbers)}"
        child = Address(end.lane.peer, end.link.peer_epoch.registration, unused)
        end.link.outbox.put(codec.spawn(child, parent, name, arguments))
        self._post.touch(end)
        self._children[child], self._parents[child] = end, parent
        end.add(end.children, child, self._scheduler.now())
        return child

    def send(self, target: ActorAddress, message: Any, sender: ActorAddress) -> bool:
        """Send between a parent and its child; see ``Placement``."""
        exited = message.childAddress if isinstance(message, ChildActorExited) else None
        end = self._children.get(target) or self._hosted.get(exited or sender)
        if end is None or self._is_closed:
            return False
        self._put(end, codec.mail(target, message, sender))
        if exited is not None:
            self._remove_hosted(end, exited)
        return True

    def part(self, end: End, broken: Broken) -> None:
        """Tell parents that their children are lost, and end the children of lost parents."""
        for child in list(end.children):
            self._gone(end, ChildLost(child, NODE_LOST, f"{end.lane.peer}: {broken.reason}", ""))
        for hosted in list(end.hosted):
            self._remove_hosted(end, hosted)
            self._engine.deliver(hosted, ActorExitRequest())

    def _remove_hosted(self, end: End, hosted: ActorAddress) -> None:
        self._hosted.pop(hosted, None)
        end.remove(end.hosted, hosted, self._scheduler.now())

    def _spawn(self, end: End, item: Spawn) -> None:
        child, parent = Address(*item.child), Address(*item.parent)
        is_theirs = item.parent[0] == end.lane.peer and _is_unused_by(item.parent[0], item.child)
        if item.child[0] != self._site.node_id or not is_theirs or child in self._hosted:
            error = FrameError(f"{item.parent[0]} may not create {child} here")
            self._put(end, codec.mail(parent, _failed(child, error), child))
            return
        self._hosted[child] = end
        end.add(end.hosted, child, self._scheduler.now())
        try:
            kind = self._kinds.get(item.kind)
            if kind is None:
                raise FrameError(f"this node knows no actors called {item.kind!r}")
            arguments = tuple(codec.read_message(argument) for argument in item.arguments)
        except FrameError as error:
            self.send(parent, _failed(child, error), child)
        else:
            self._engine.host(child, parent, kind, arguments)

    def _mail(self, end: End, item: Mail) -> None:
        target, sender = Address(*item.target), Address(*item.sender)
        is_to_parent = sender in end.children and self._parents[sender] == target
        if target not in end.hosted and not is_to_parent:
            return  # the child is gone, or writes to somebody else
        try:
            message = codec.read_message(item.message)
        except FrameError as error:
            self._end_child(end, target if target in end.hosted else sender, error)
        else:
            self._engine.deliver(target, message, sender)

    def _end_child(self, end: End, child: ActorAddress, error: FrameError) -> None:
        """End a child to which or from which something came that cannot be read."""
        _LOG.error("%s is ended: %s", child, error)
        if child in end.hosted:
            self._engine.deliver(child, ActorExitRequest())
        else:
            self._put(end, codec.mail(child, ActorExitRequest(), child))
            self._gone(end, _failed(child, error))

    def _exit(self, end: End, item: Exit) -> None:
        child = Address(*item.child)
        if child in end.hosted:
            self._engine.deliver(child, ActorExitRequest(recursive=item.is_recursive))

    def _exited(self, end: End, item: Exited) -> None:
        self._gone(end, codec.notice(item))

    def _gone(self, end: End, notice: ChildActorExited) -> None:
        child = notice.childAddress
        if child in end.children:
            del self._children[child], self._parents[child]
            end.remove(end.children, child, self._scheduler.now())
            self._engine.exited_elsewhere(notice)


def _is_unused_by(peer: str, child: Wire) -> bool:
    """Whether a peer names its children so; actors of this node have numbers."""
    return isinstance(child[2], str) and child[2].startswith(f"{peer}/")


def _failed(child: ActorAddress, error: FrameError) -> ChildLost:
    return ChildLost(child, type(error).__name__, str(error), "")
