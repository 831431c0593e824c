"""
Merge the places of each word: maps of lines by text.

**
handler_type: reducer
examples:
- arguments: [[be, [{a.txt: [1, 2]}, {b.txt: [7]}]]]
  expected: [[be, {a.txt: [1, 2], b.txt: [7]}]]
"""


def handler(key, values):
    places = {}
    for value in values:
        places.update(value)
    yield key, places
