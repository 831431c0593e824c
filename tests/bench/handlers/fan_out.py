"""
Map the integers below `count`, each by itself.

**
handler_type: mapper
argument_spec:
- [count, int]
"""


def handler(count):
    yield MrConfigureToMap("number")
    for number in range(count):
        yield number, number
