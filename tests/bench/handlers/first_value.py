"""
Yield the first value of each key.

**
handler_type: reducer
"""


def handler(key, values):
    yield key, next(iter(values))
