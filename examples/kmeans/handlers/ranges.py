"""
Map ranges of the points to the step range.

**
handler_type: mapper
argument_spec:
- [points, list]
- [centres, list]
examples:
- arguments: {points: [[0, 0], [4, 4]], centres: [[1, 1]]}
  expected: [[0, {points: [[0, 0], [4, 4]], centres: [[1, 1]]}]]
"""

RANGE = 500


def handler(points, centres):
    yield MrConfigureToMap("range")
    for start in range(0, len(points), RANGE):
        yield start, {"points": points[start : start + RANGE], "centres": centres}
