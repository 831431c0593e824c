from __future__ import annotations

import pytest

from jobx import traceparent
from jobx.traceparent import Traceparent

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.mark.parametrize(("flags", "is_sampled"), [("01", True), ("00", False), ("03", True)])
def test_a_traceparent_names_a_trace_and_a_span(flags: str, is_sampled: bool) -> None:
    found = traceparent.read(f"00-{TRACE}-{SPAN}-{flags}")
    assert found == Traceparent(int(TRACE, 16), int(SPAN, 16), is_sampled)


@pytest.mark.parametrize(
    "text",
    [
        *(None, 7, "", "x", f"00-{TRACE}-{SPAN}", f"01-{TRACE}-{SPAN}-01"),
        *(f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"00-{TRACE.upper()}-{SPAN}-01"),
        *(f"00-{TRACE}-{SPAN}-01\n", f"00-{TRACE}-{SPAN}-01-x", f" 00-{TRACE}-{SPAN}-01"),
    ],
)
def test_anything_else_is_none(text: object) -> None:
    assert traceparent.read(text) is None
