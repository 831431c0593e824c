"""A reader that keeps the views of each request that has ended, as others do of long ones."""

from __future__ import annotations

import sys

from jobx.actors.readers import folds
from jobx.actors.readers.main import main

if __name__ == "__main__":
    folds.LONG = 0  # type: ignore[misc]  # this process is for one test
    main(sys.argv[1:])
