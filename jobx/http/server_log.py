"""The log of gunicorn itself: it goes where that of the node goes, in the same form."""

from __future__ import annotations

import os
from typing import Any

from gunicorn.glogging import Logger

from jobx import config_loading, logs


class ServerLog(Logger):
    """Has no files and forms of its own."""

    def setup(self, cfg: Any) -> None:
        """Start the log of this process; web workers inherit it."""
        super().setup(cfg)
        logs.start(config_loading.load(None, os.environ).node)
        self.error_log.propagate = True

    def _set_handler(self, log: Any, *words: Any, **options: Any) -> None:
        """Add one for accesses alone: what gunicorn says goes to the log of the process."""
        if log is not self.error_log:
            super()._set_handler(log, *words, **options)
