"""
Yield the keys of one child; those of all children interleave.

**
handler_type: mapper
"""


def handler(key, value):
    children, keys = value

    yield MrConfigureToReturn()
    for number in range(key, children * keys, children):
        yield f"{number:08d}", number
