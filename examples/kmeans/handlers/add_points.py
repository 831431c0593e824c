"""
Add up the points of each centre: how many, and their sum.

**
handler_type: reducer
examples:
- arguments: [[0, [[1, [1, 2]], [1, [3, 4]]]]]
  expected: [[0, [2, [4, 6]]]]
"""


def handler(key, values):
    counts, points = zip(*values)
    yield key, [sum(counts), [sum(axis) for axis in zip(*points)]]
