"""A trace as JSON, written node by node.

To convert or encode all of a large tree in one call would hold up every thread of the process, for
seconds at 100,000 invocations. So a node writes the text, and web workers pass it on as it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import msgspec
from msgspec.structs import replace

from jobx.views import TraceNode, TraceView

_ENCODER: Final = msgspec.json.Encoder()


def encode(view: TraceView) -> bytes:
    """Return what ``msgspec.json.encode`` does, however large or deep the tree is."""
    fields = (
        b'{"request":',
        _ENCODER.encode(view.request),
        b',"root":',
        b"null" if view.root is None else b"".join(_tree(view.root)),
        b',"deliveries":',
        _ENCODER.encode(view.deliveries),
        b"}",
    )
    return b"".join(fields)


def _tree(root: TraceNode) -> Iterator[bytes]:
    """Yield the text of a tree; without recursion, since it may be deeper than the stack."""
    head, tail = _halves(root)
    yield head
    above = [(tail, iter(root.children), True)]
    while above:
        tail, children, is_first = above.pop()
        child = next(children, None)
        if child is None:
            yield tail
            continue
        above.append((tail, children, False))
        head, tail = _halves(child)
        yield head if is_first else b"," + head
        above.append((tail, iter(child.children), True))


def _halves(node: TraceNode) -> tuple[bytes, bytes]:
    """Return what comes before and behind the children of a node; they are its last list."""
    head, _, tail = _ENCODER.encode(replace(node, children=[])).rpartition(b"[]")
    return head + b"[", b"]" + tail
