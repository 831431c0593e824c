"""Which messages may cross the end of their receiver."""

from __future__ import annotations

import pytest
from thespian.actors import ActorExitRequest, ChildActorExited, WakeupMessage

from jobx.actors.coordination import batch, coordinator
from jobx.actors.runtime.deadletters import Answered, Perishable

#: Of these the runtime itself knows it.
OF_ITS_LIFE = (ActorExitRequest, ChildActorExited, WakeupMessage)
RECEIVED = [
    pytest.param(kind, id=f"{module.__name__.rpartition('.')[2]}-{kind.__name__}")
    for module in (batch, coordinator)
    for kind in module._RECEIVE
]


@pytest.mark.parametrize("kind", RECEIVED)
def test_all_that_coordinators_and_batches_are_told_may_cross_their_end(kind: type) -> None:
    assert issubclass(kind, (Perishable, Answered, *OF_ITS_LIFE))
