"""
Measure the files in a folder and below: those in it are returned, each folder in it is mapped to
this very step.

A mapper returns or maps on, not both. So a folder that has folders maps its own files on too, as
itself without what is below.

**
handler_type: mapper
argument_spec:
- [root, str]
- [below, bool]
"""

import os


def handler(root, below=True):
    with os.scandir(root) as entries:
        entries = sorted(entries, key=lambda entry: entry.name)
    folders = [entry for entry in entries if entry.is_dir(follow_symlinks=False)]

    if below and folders:
        yield MrConfigureToMap("folder")
        yield ".", {"root": root, "below": False}
        for folder in folders:
            yield folder.name, {"root": folder.path, "below": True}
        return

    yield MrConfigureToReturn()
    for entry in entries:
        if entry.is_file(follow_symlinks=False):
            ending = os.path.splitext(entry.name)[1].lower()
            yield ending, [1, entry.stat(follow_symlinks=False).st_size]
