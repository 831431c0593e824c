"""Ends a request that cannot go on, by writing its last event in place of its coordinator."""

from __future__ import annotations

from typing import Any

from thespian.actors import ActorAddress

from jobx import model
from jobx.actors.coordination.journal import Journal
from jobx.actors.messages import (
    Cancel,
    CommitRefused,
    Committed,
    Describe,
    Described,
    Ended,
    Explain,
    Explained,
    GiveUp,
    Refused,
)
from jobx.actors.ports import Services
from jobx.actors.request.decisions import Finish
from jobx.actors.request.state import RequestState
from jobx.actors.runtime.actor import LoopActor
from jobx.errors import Conflict

_NO_PLAN = model.Plan(steps={})


class GivenUp(LoopActor):
    """A request that is given up: replaces a coordinator that fails whenever it continues.

    It reads no event and no plan, so no fault in these can stop it.

    Args:
        begin: The request and its failure.
    """

    node: Services

    def __init__(self, begin: GiveUp) -> None:
        super().__init__()
        self._reply_to = begin.reply_to
        state = RequestState(_NO_PLAN)
        state.events = begin.next_number
        self._journal = Journal(self.node, self.myAddress, begin.request, state)
        self._journal.finish(Finish("failed", begin.failure, ()))

    def describe(self) -> str:
        """Return what the actor tree shows."""
        return "GivenUp " + "/".join(self._journal.key)

    def receiveMessage(self, message: Any, sender: ActorAddress) -> None:  # noqa: N802 - Thespian's
        """Take the next message."""
        if isinstance(message, Committed):
            self._journal.became_durable(message.number)
            self._report(Ended(self._journal.request))
        elif isinstance(message, CommitRefused):
            self.node.log.forget(self._journal.key)
            may_exist = not isinstance(message.error, Conflict)
            self._report(Refused(self._journal.key, message.error, may_exist))
        elif isinstance(message, Describe | Cancel):
            self.send(message.reply_to, Described(message.ticket, None))  # the store knows

        elif isinstance(message, Explain):
            self.send(message.reply_to, Explained(message.ticket, None))

    def _report(self, report: Ended | Refused) -> None:
        self.send(self._reply_to, report)
        self.send(self.parent, report)
        self.leave()
