"""
Count the letters of a text.

**
handler_type: mapper
argument_spec:
- [text, str]
"""

from collections import Counter


def handler(text):
    letters = filter(str.isalpha, text.lower())
    yield MrConfigureToReturn()
    yield from Counter(letters).items()
