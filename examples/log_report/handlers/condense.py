"""
Condense the lines of each status to one row: how many, their bytes, their milliseconds, the
longest.

It runs in the executor of the mapper, before anything is sent or stored: of a million lines a few
rows are left.

**
handler_type: combiner
examples:
- arguments: [[200, [[512, 3], [1024, 9]]], [404, [[0, 1]]]]
  expected: [[200, [2, 1536, 12, 9]], [404, [1, 0, 1, 1]]]
"""


def handler(key, values):
    sizes, durations = zip(*values)
    yield key, [len(sizes), sum(sizes), sum(durations), max(durations)]
