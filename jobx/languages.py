"""The parts of your own language; see docs/languages.md.

A facade: these names stay here, whatever moves behind them.
"""

from jobx.handlers.languages.base import Checked, Loaded, Processor

__all__ = ["Checked", "Loaded", "Processor"]
