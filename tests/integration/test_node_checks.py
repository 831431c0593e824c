"""Checks of handlers in a real node: bounded, and in nobody's way."""

from __future__ import annotations

from typing import Any

import pytest

from jobx.actors.gateway import entity_verbs
from jobx.errors import DeadlineExceeded, NotFound
from jobx.handlers.trial import examples
from jobx.model import Example
from tests.support.authoring import ANSWER, WORKFLOW
from tests.support.live_node import Start

HANGS = "def handler(arguments):\n    yield Return()\n    while True: pass\n"


def _handler(name: str, source: str, **more: Any) -> dict[str, Any]:
    fields = {
        "workflow_name": WORKFLOW,
        "handler_name": name,
        "description": "",
        "handler_type": "mapper",
        "source_code": source,
        **more,
    }
    return {"kind": "handler", "fields": fields}


def test_an_example_that_hangs_is_not_stored_later_and_blocks_nobody(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entity_verbs, "CHECK_S", 2.0)
    monkeypatch.setattr(examples, "EXAMPLE_LIMIT_S", 4.0)
    node = start({"good": ANSWER}, {"good": ("good", "sum")})
    example = Example(arguments={}, expected=[])
    hanging = node.ask_later("entity.put", **_handler("hangs", HANGS, examples=[example]))

    node.ask("entity.put", **_handler("quick", ANSWER))

    with pytest.raises(DeadlineExceeded, match="hangs, which was not stored"):
        hanging.result(60)
    with pytest.raises(NotFound):
        node.ask("entity.get", kind="handler", workflow=WORKFLOW, name="hangs")
