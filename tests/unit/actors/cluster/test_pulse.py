from __future__ import annotations

from collections.abc import Callable

import pytest

from jobx.actors.cluster.pulse import Pulse

PATIENCE_S = 5.0


class Supervisor:
    """Answers when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0
        self.asked: list[Callable[[], None]] = []
        self.pulse = Pulse(self.asked.append, PATIENCE_S, lambda: self.now)

    def beat(self, after_s: float) -> bool:
        self.now += after_s
        self.pulse.beat()
        return self.pulse.is_alive

    def answer(self) -> None:
        self.asked.pop()()


@pytest.fixture
def supervisor() -> Supervisor:
    return Supervisor()


def test_a_supervisor_is_alive_before_it_is_asked_and_while_it_answers(
    supervisor: Supervisor,
) -> None:
    assert supervisor.pulse.is_alive
    for _ in range(5):
        assert supervisor.beat(2 * PATIENCE_S)
        supervisor.answer()


def test_a_supervisor_that_does_not_answer_in_time_is_told_once_and_asked_once(
    supervisor: Supervisor, caplog: pytest.LogCaptureFixture
) -> None:
    found = [supervisor.beat(PATIENCE_S / 2) for _ in range(6)]
    assert found == [True, True, False, False, False, False]
    assert len(supervisor.asked) == 1
    assert caplog.text.count("the supervisor has not answered for 5 s") == 1

    supervisor.answer()
    assert supervisor.beat(1.0)
    assert "the supervisor answers again" in caplog.text


def test_the_supervisor_of_a_node_that_drains_is_asked_no_more(supervisor: Supervisor) -> None:
    supervisor.beat(1.0)
    supervisor.pulse.stop()
    assert supervisor.beat(2 * PATIENCE_S)
    assert len(supervisor.asked) == 1
