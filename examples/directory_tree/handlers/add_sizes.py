"""
Add up files and bytes of each ending.

**
handler_type: reducer
examples:
- arguments: [[.txt, [[1, 10], [3, 5]]]]
  expected: [[.txt, [4, 15]]]
"""


def handler(key, values):
    files, sizes = zip(*values)
    yield key, [sum(files), sum(sizes)]
