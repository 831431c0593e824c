from __future__ import annotations

import math

from jobx.actors.cluster.silence import AGAIN_S, SILENT_S, Silence


def test_a_silent_node_is_named_after_a_while_and_then_seldom() -> None:
    silence = Silence()
    assert silence.due(["b"], 100.0) == []
    assert silence.next_at == 100.0 + SILENT_S
    assert silence.due(["b"], silence.next_at) == ["b"]
    assert silence.due(["b"], 100.0 + SILENT_S + AGAIN_S - 1.0) == []
    assert silence.due(["b"], 100.0 + SILENT_S + AGAIN_S) == ["b"]


def test_a_node_that_answered_between_is_given_its_time_again() -> None:
    silence = Silence()
    silence.due(["b"], 100.0)
    silence.due([], 101.0)
    assert silence.next_at == math.inf
    assert silence.due(["b"], 100.0 + SILENT_S) == []
