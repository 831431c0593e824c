"""
Give each point to the nearest centre: yields the centre's number, one, and the point.

**
handler_type: mapper
argument_spec:
- [points, list]
- [centres, list]
examples:
- arguments: {points: [[0, 0], [9, 9], [1, 1]], centres: [[0, 1], [8, 8]]}
  expected: [[0, [1, [0, 0]]], [0, [1, [1, 1]]], [1, [1, [9, 9]]]]
"""

from math import dist


def handler(points, centres):
    yield MrConfigureToReturn()
    for point in points:
        nearest = min(range(len(centres)), key=lambda number: dist(point, centres[number]))
        yield nearest, [1, point]
