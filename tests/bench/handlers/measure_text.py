"""
Yield the length of a text.

**
handler_type: mapper
argument_spec:
- [text, str]
"""


def handler(text):
    yield MrConfigureToReturn()
    yield "length", len(text)
