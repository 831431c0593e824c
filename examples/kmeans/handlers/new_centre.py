"""
The new centre is the mean of the points that were given to the old one.

**
handler_type: reducer
examples:
- arguments: [[0, [[2, [4, 6]], [2, [0, 2]]]]]
  expected: [[0, [1, 2]]]
"""


def handler(key, values):
    counts, sums = zip(*values)
    yield key, [sum(axis) / sum(counts) for axis in zip(*sums)]
