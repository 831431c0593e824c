"""
Take a while.

**
handler_type: mapper
"""

import time


def handler(key, value):
    yield MrConfigureToReturn()
    time.sleep(value / 1000)
    yield "slept", 1
