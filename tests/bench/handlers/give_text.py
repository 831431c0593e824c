"""
Yield a text of `size` bytes that cannot be compressed by more than half.

**
handler_type: mapper
argument_spec:
- [size, int]
"""

import functools
import random


@functools.cache
def large_text(size):
    return random.Random(size).randbytes(size // 2).hex()


def handler(size):
    yield MrConfigureToReturn()
    yield "text", large_text(size)
