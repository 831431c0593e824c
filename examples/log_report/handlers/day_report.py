"""
Say what a day was like, for each status.

**
handler_type: reducer
"""


def handler(key, values):
    for requests, size_bytes, total_ms, slowest_ms in values:
        yield key, {
            "day": S_GET("day"),
            "requests": requests,
            "bytes": size_bytes,
            "mean_ms": round(total_ms / requests, 1),
            "slowest_ms": slowest_ms,
        }
