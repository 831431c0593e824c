"""What a request may not do, whatever its handlers say: pure."""

from __future__ import annotations

from collections.abc import Iterable

from jobx.config_sections import RequestSettings
from jobx.model import Failure


def excess(limits: RequestSettings, passed_bytes: int) -> Failure | None:
    """Return the failure of a request that has passed on too much; None if it may go on."""
    most = limits.max_bytes
    if not 0 < most < passed_bytes:
        return None
    text = f"its invocations passed on more than {most} bytes (requests.max_bytes)"
    return Failure(kind="limit", type="TooMuchData", message=text)


def growth(limits: RequestSettings, depth: int, mapped_count: int) -> Failure | None:
    """Return the failure of a request whose tree gets so deep, with so many mappers, if it is one.

    Args:
        limits: What is allowed.
        depth: The depth of the mappers to come.
        mapped_count: All mappers of the request, with them.
    """
    if depth > limits.max_tree_depth:
        text = f"mappers map on more than {limits.max_tree_depth} levels deep"
        return Failure(kind="limit", type="TreeTooDeep", message=text)
    if 0 < limits.max_invocations < mapped_count:
        most = limits.max_invocations
        text = f"the request has more than {most} mappers (requests.max_invocations)"
        return Failure(kind="limit", type="TooManyInvocations", message=text)
    return None


def unknown_step(step: str, steps: Iterable[str]) -> Failure:
    """Return the failure of a mapper that maps on to a step that its workflow does not have."""
    known = ", ".join(sorted(steps))
    text = f"there is no step {step!r} to map to; the workflow has {known}"
    return Failure(kind="protocol", type="UnknownStep", message=text)
