"""
Sum up the days of each status, and name the slowest one.

**
handler_type: reducer
examples:
- arguments:
  - - 200
    - - {day: mon, requests: 2, bytes: 10, mean_ms: 5.0, slowest_ms: 9}
      - {day: tue, requests: 3, bytes: 20, mean_ms: 4.0, slowest_ms: 7}
  expected:
  - [200, {requests: 5, bytes: 30, slowest: {day: mon, ms: 9}}]
"""


def handler(key, values):
    slowest = max(values, key=lambda day: day["slowest_ms"])
    yield key, {
        "requests": sum(day["requests"] for day in values),
        "bytes": sum(day["bytes"] for day in values),
        "slowest": {"day": slowest["day"], "ms": slowest["slowest_ms"]},
    }
