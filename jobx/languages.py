"""What a language of one's own is made of; see docs/languages.md.

A facade: these names stay where they are, whatever moves behind them.
"""

from jobx.handlers.languages.base import Checked, Loaded, Processor

__all__ = ["Checked", "Loaded", "Processor"]
