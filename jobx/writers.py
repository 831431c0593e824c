"""The parts of your own result writer; see docs/writers.md.

A facade: these names stay where they are, whatever moves behind them.
"""

from jobx.actors.egress.writers.base import Names, Options, Result, Writer

__all__ = ["Names", "Options", "Result", "Writer"]
