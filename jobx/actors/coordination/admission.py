"""Whether a node takes a new request."""

from __future__ import annotations

from jobx.actors.messages import RequestKey, Submit
from jobx.actors.ports import Services
from jobx.errors import Draining, JobxError, Overloaded


def refusal(
    node: Services, key: RequestKey, submit: Submit, opened: int, waiting: int, *, is_draining: bool
) -> JobxError | None:
    """Return why a new request is not accepted; None if it is, and its arguments are counted.

    Args:
        node: The adapters of the node.
        key: The request.
        submit: What asks for it.
        opened: Number of requests with a coordinator.
        waiting: Number of open requests that wait for one.
        is_draining: The node is stopping.
    """
    if is_draining:
        return Draining("the node is stopping", 5.0)
    if opened >= node.settings.requests.max_open:
        return Overloaded(f"{opened} requests are open, the most (requests.max_open)", 1.0)
    if waiting and not node.budget.has_room:
        return Overloaded(f"{waiting} open requests wait for memory", 1.0)
    try:
        node.budget.admit(key, len(submit.arguments.inline or b""))
    except Overloaded as error:
        return error
    return None
