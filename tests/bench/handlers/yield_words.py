"""
Yield one pair for each word of a chunk of a text.

**
handler_type: mapper
"""

import re

WORD = re.compile(r"[A-Za-z']+")


def handler(key, value):
    path, stop = value
    with open(path, "rb") as text:
        text.seek(key)
        chunk = text.read(stop - key).decode()

    yield MrConfigureToReturn()
    for word in map(str.lower, WORD.findall(chunk)):
        yield word, 1
