"""What other programs keep in a node's store, on every store that a node may have."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from jobx.durable import KvQueue, KvTree, open_store
from tests.support.authoring import WORKFLOW, define

pytestmark = pytest.mark.every_store


def test_a_program_finds_its_collections_in_the_store_of_the_node(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    define(tmp_path, {}, {})
    monkeypatch.setenv("JOBX_NODE_DATA_DIR", str(tmp_path))
    with closing(open_store(os.environ)) as store:
        queue, tree = KvQueue(store, WORKFLOW, "inbox"), KvTree(store, WORKFLOW, "seen")
        queue.create()
        tree.create()
        queue.add({"folder": "/srv"})
        tree.set("count", 1)
    with closing(open_store(os.environ)) as store:
        assert KvQueue(store, WORKFLOW, "inbox").list_data() == [{"folder": "/srv"}]
        assert KvTree(store, WORKFLOW, "seen").get("count") == 1
