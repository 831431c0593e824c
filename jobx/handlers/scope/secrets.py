"""Secrets of scope factories: read by the node, hidden in all reports of executors.

This protects against mistakes only. Author code that wants to reveal a secret can, for example by
spelling it backwards.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from jobx.errors import ConfigError
from jobx.handlers.failures import shorten

#: Most bytes of all secrets as JSON: they reach the fork server in one message.
MAX_BYTES: Final = 64 << 10
#: A shorter text occurs in too many words to be hidden.
SHORTEST: Final = 6
_HIDDEN: Final = b"***"


def read_secrets(sources: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return secrets by name; the last newline of a file is removed.

    Args:
        sources: The setting ``scope.secrets``.
        environ: The environment.

    Raises:
        ConfigError: One is missing or cannot be read, or they are too large; it names the source.
    """
    secrets = {name: _read(name, source, environ) for name, source in sources.items()}
    if len(json.dumps(secrets)) > MAX_BYTES:
        reason = f"all of them together may have {MAX_BYTES} bytes at most, as JSON"
        raise ConfigError("scope.secrets", "more", reason)
    return secrets


def _read(name: str, source: str, environ: Mapping[str, str]) -> str:
    kind, _, place = source.partition(":")
    try:
        if kind == "env":
            return environ[place]
        return Path(place).read_text(encoding="utf-8").removesuffix("\n")
    except KeyError as error:
        reason = "there is no such variable"
        raise ConfigError(f"scope.secrets, {name}", source, reason) from error
    except UnicodeDecodeError:
        # Not chained: that error contains the content of the file.
        raise ConfigError(f"scope.secrets, {name}", source, "it is not UTF-8") from None
    except OSError as error:
        reason = error.strerror or str(error)
        raise ConfigError(f"scope.secrets, {name}", source, reason) from error


class Redactor:
    """Replaces secrets by ``***``.

    Args:
        secrets: The texts to hide, if they have at least ``SHORTEST`` characters.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form.encode("utf-8", "surrogatepass") for s in secrets for form in _forms(s)}
        # The longest first, so that a secret that begins with another one is hidden whole.
        self._forms = sorted(forms, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms))) if forms else None

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        if self._pattern is None:
            return text
        body = self.body(text.encode("utf-8", "surrogatepass"))
        return body.decode("utf-8", "surrogatepass")

    def body(self, body: bytes, *, is_cut: bool = False) -> bytes:
        """Return bytes without secrets; if ``is_cut``, the end may be the beginning of one."""
        if self._pattern is None:
            return body
        hidden = self._pattern.sub(_HIDDEN, body)
        return self._without_head(hidden) if is_cut else hidden

    def _without_head(self, body: bytes) -> bytes:
        longest = 0
        for form in self._forms:
            sizes = range(min(len(form), len(body)), SHORTEST - 1, -1)
            longest = max(longest, next((n for n in sizes if body.endswith(form[:n])), 0))
        return body[: len(body) - longest] + _HIDDEN if longest else body


def _forms(secret: str) -> Iterator[str]:
    """Yield the forms of a secret: unchanged, quoted, cut, and line by line."""
    body = secret.encode("utf-8", "surrogatepass")
    forms = [secret, repr(secret)[1:-1], json.dumps(secret)[1:-1], repr(body)[2:-1]]
    for short in (shorten(secret)[1:-1], shorten(body)[2:-1]):
        if short not in forms:
            forms += short.split("...")
    # Lines of output end with a line feed only; other line ends are text.
    for form in (*forms, *re.split(r"\r?\n", secret)):
        if len(form) >= SHORTEST:
            yield form
