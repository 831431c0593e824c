from __future__ import annotations

import errno

import pytest

from jobx.handlers.files.quota import MEASURE_S, Quota, QuotaExceeded


class Use:
    """What is in use, and how often that was asked."""

    def __init__(self, use_bytes: int) -> None:
        self.use_bytes = use_bytes
        self.measured = 0
        self.now = 100.0
        self.quota = Quota("w", 1000, self.measure, lambda: self.now)

    def measure(self) -> int:
        self.measured += 1
        return self.use_bytes


def test_what_fits_is_admitted_to_the_last_byte() -> None:
    Use(400).quota.admit(600)


def test_what_does_not_fit_is_refused_with_both_figures() -> None:
    with pytest.raises(
        QuotaExceeded, match=r"1,000 bytes .*: 400 are in use, 601 do not"
    ) as caught:
        Use(400).quota.admit(601)
    assert caught.value.errno == errno.EDQUOT


def test_use_is_measured_once_while_there_is_room() -> None:
    use = Use(400)
    for _ in range(10):
        use.quota.admit(1)
        use.quota.grew(1)
    assert use.measured == 1


def test_use_is_measured_again_after_a_while() -> None:
    use = Use(400)
    use.quota.admit(1)
    use.now += MEASURE_S + 1
    use.use_bytes = 1000
    with pytest.raises(QuotaExceeded):
        use.quota.admit(1)


def test_use_is_measured_again_before_a_refusal() -> None:
    use = Use(1000)
    use.quota.admit(0)
    use.use_bytes, use.now = 0, use.now + 0.1
    use.quota.admit(1000)
    assert use.measured == 2


def test_what_was_written_counts_before_it_is_measured() -> None:
    use = Use(0)
    use.quota.admit(1000)
    use.quota.grew(1000)
    with pytest.raises(QuotaExceeded):
        use.quota.admit(1)


def test_shrinking_is_always_admitted() -> None:
    Use(5000).quota.admit(-1)
