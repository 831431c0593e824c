from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.authoring import define
from tests.support.live_node import LiveNode, Start, live_node


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a node with the workflow ``w`` as ``define`` makes it."""
    with ExitStack() as stack:

        def run(
            handlers: Mapping[str, str],
            steps: Mapping[str, tuple[str, ...]],
            options: Mapping[str, Mapping[str, Any]] | None = None,
            **flags: Any,
        ) -> LiveNode:
            define(tmp_path, handlers, steps, **(options or {}))
            return stack.enter_context(live_node(tmp_path, **flags))

        yield run
