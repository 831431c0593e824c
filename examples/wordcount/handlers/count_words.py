"""
Count the words of one file.

This is the module form: a function `handler`, which takes the pair that the step list_files
mapped here. The key is the path.

**
handler_type: mapper
"""

import re
from collections import Counter

WORD = re.compile(r"[A-Za-z']+")


def handler(key, value):
    with open(key, encoding="utf-8", errors="replace") as file:
        words = WORD.findall(file.read())

    yield MrConfigureToReturn()
    yield from Counter(map(str.lower, words)).items()
