from __future__ import annotations

import mmap

from jobx.handlers.execution.shared_page import PAGE_BYTES, SharedPage


def test_a_page_tells_what_an_executor_is_at_until_it_rests() -> None:
    page = SharedPage(bytearray(PAGE_BYTES))
    assert not page.begin(7, 3, 1000)
    assert page.at_work() == (7, 3, 1000)
    page.restart(2000)
    assert page.at_work() == (7, 3, 2000)
    page.rest()
    assert page.at_work() == (0, 0, 0)


def test_both_ends_of_a_page_see_the_same() -> None:
    memory = bytearray(PAGE_BYTES)
    node, executor = SharedPage(memory), SharedPage(memory)
    node.recalled = 1 << 40
    executor.rss_bytes = 1 << 41
    assert executor.begin(1, 2, 3)  # and it was recalled
    assert (executor.recalled, node.rss_bytes, node.at_work()) == (1 << 40, 1 << 41, (1, 2, 3))


def test_a_page_is_unmapped_when_it_is_closed() -> None:
    memory = mmap.mmap(-1, PAGE_BYTES)
    SharedPage(memory).close()
    assert memory.closed
