"""
Read a log file, a request a line: address, method, path, status, bytes, milliseconds. What is no
such line is counted under the status 0.

The name of the file is the day. The lines do not carry it; the reducer of this step finds it in the
session.

**
handler_type: mapper
argument_spec:
- [path, str]
"""

import re
from pathlib import Path

LINE = re.compile(r"\S+ (?:GET|POST|PUT|DELETE) \S+ (\d{3}) (\d+) (\d+)")


def handler(path):
    S_SET("day", Path(path).stem)
    yield MrConfigureToReturn()
    with open(path, encoding="utf-8", errors="replace") as log:
        for line in log:
            match = LINE.fullmatch(line.rstrip())
            if match is None:
                LOG.warning("no request: %r", line)
                yield 0, [0, 0]
            else:
                status, size_bytes, duration_ms = map(int, match.groups())
                yield status, [size_bytes, duration_ms]
