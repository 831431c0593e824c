"""
List the lines that each word of one text stands on.

**
handler_type: mapper
"""

import re
from collections import defaultdict
from pathlib import Path


def handler(key, value):
    lines_of = defaultdict(list)
    text = Path(value, key).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), 1):
        for word in set(re.findall(r"[a-z']+", line.lower())):
            lines_of[word].append(number)

    yield MrConfigureToReturn()
    for word, lines in lines_of.items():
        yield word, {key: lines}
