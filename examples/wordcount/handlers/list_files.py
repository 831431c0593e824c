"""
List the Python files below a folder, but not those of installed packages. Each is mapped to the
step count_file.

This is the bare form: the file is the body of a generator, and `arguments` and the markers are
there by themselves.

**
handler_type: mapper
argument_spec:
- [root, str]
required_capability: none
"""

import os

INSTALLED = {"site-packages", "dist-packages"}

root = arguments["root"]
if not os.path.isdir(root):
    raise NotADirectoryError(root)

yield MrConfigureToMap("count_file")

for folder, subfolders, names in os.walk(root):
    subfolders[:] = sorted(set(subfolders) - INSTALLED)
    for name in sorted(names):
        if name.endswith(".py"):
            yield os.path.join(folder, name), None
