from __future__ import annotations

from jobx import config_loading
from jobx.actors.cluster import membership


def test_a_node_shows_that_its_queues_go_with_it() -> None:
    settings = config_loading.load(None, {}, {"node.id": "a"})
    assert membership._record_of(settings, 1).has_ephemeral_queues
