"""
Map each text below a folder to the step text.

**
handler_type: mapper
argument_spec:
- [folder, str]
"""

from pathlib import Path


def handler(folder):
    yield MrConfigureToMap("text")
    for path in sorted(Path(folder).glob("**/*.txt")):
        yield path.relative_to(folder).as_posix(), folder
