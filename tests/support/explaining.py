"""Starting requests of a test's node, and asking why they are where they are."""

from __future__ import annotations

from typing import Any

import msgspec

from jobx.views import ExplainView
from tests.support.authoring import WORKFLOW
from tests.support.live_node import LiveNode, outcome_of


def begin(node: LiveNode, job: str, arguments: dict[str, Any], **more: Any) -> str:
    """Start a request and return its id."""
    return outcome_of(node.post_later(job, arguments, is_blocking=False, **more)).request.request_id


def explain(node: LiveNode, request_id: str) -> ExplainView:
    """Return why a request is where it is."""
    answer = node.ask("request.explain", workflow=WORKFLOW, request_id=request_id)
    return msgspec.convert(answer, ExplainView)
