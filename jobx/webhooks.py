"""For receivers of posts of a node: checks signatures; see docs/notifications.md.

A facade: this name stays where it is, whatever moves behind it.
"""

from jobx.actors.egress.signing import is_valid

__all__ = ["is_valid"]
