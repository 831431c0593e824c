"""
Map each log file of a folder, one a day, to the step day.

**
handler_type: mapper
argument_spec:
- [folder, str]
"""

from pathlib import Path


def handler(folder):
    yield MrConfigureToMap("day")
    for path in sorted(Path(folder).glob("*.log")):
        yield path.stem, {"path": str(path)}
