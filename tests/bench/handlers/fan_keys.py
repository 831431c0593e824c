"""
Map to `children` mappers of `keys` distinct keys each.

**
handler_type: mapper
argument_spec:
- [children, int]
- [keys, int]
"""


def handler(children, keys):
    yield MrConfigureToMap("keys")
    for child in range(children):
        yield child, [children, keys]
