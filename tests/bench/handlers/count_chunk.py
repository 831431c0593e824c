"""
Count the words of a chunk of a text.

**
handler_type: mapper
"""

import re
from collections import Counter

WORD = re.compile(r"[A-Za-z']+")


def handler(key, value):
    path, stop = value
    with open(path, "rb") as text:
        text.seek(key)
        chunk = text.read(stop - key).decode()

    yield MrConfigureToReturn()
    yield from Counter(map(str.lower, WORD.findall(chunk))).items()
