"""
List the thumbnails as they come: there is one for each key.

**
handler_type: reducer
examples:
- arguments: [[a.png, [1]]]
  expected: [[a.png, 1]]
"""


def handler(key, values):
    yield key, values[0]
