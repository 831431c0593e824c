"""
Yield ten pairs for one small integer.

**
handler_type: mapper
"""


def handler(key, value):
    yield MrConfigureToReturn()
    for number in range(10):
        yield number, value + number
