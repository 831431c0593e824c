"""
Add up the values of each key; called once a key.

**
handler_type: reducer
"""


def handler(key, values):
    yield key, sum(values)
