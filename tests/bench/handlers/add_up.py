"""
Add up the values of each key.

**
handler_type: reducer
"""


def handler(key, values):
    yield key, sum(values)
