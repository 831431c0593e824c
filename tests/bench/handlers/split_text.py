"""
Map each chunk of whole lines of a text to `step`.

**
handler_type: mapper
argument_spec:
- [path, str]
- [chunk_bytes, int]
- [step, str]
"""

import os


def handler(path, chunk_bytes, step):
    yield MrConfigureToMap(step)
    size, start = os.path.getsize(path), 0
    with open(path, "rb") as text:
        while start < size:
            text.seek(start + chunk_bytes)
            text.readline()
            stop = min(text.tell(), size)
            yield start, [path, stop]
            start = stop
