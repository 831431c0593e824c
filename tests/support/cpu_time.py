"""What a call costs, whatever other tests left and other threads do."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable


def cpu_s(call: Callable[[], object]) -> float:
    """Return the processor time of a call in this thread, in seconds.

    Collections meanwhile look at objects of the call alone.
    """
    gc.freeze()
    try:
        began = time.thread_time()
        call()
        return time.thread_time() - began
    finally:
        gc.unfreeze()
