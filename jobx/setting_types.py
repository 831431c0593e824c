"""The types of settings, and words for which values they allow."""

from __future__ import annotations

import types
import typing
from typing import Annotated, Any, Final, Literal

import msgspec

#: Most of what is counted, and of what is measured in bytes: more is as good as no limit.
MOST: Final = 1_000_000_000
MOST_BYTES: Final = 1 << 50
Count = Annotated[int, msgspec.Meta(ge=1, le=MOST)]
CountOrNone = Annotated[int, msgspec.Meta(ge=0, le=MOST)]
Bytes = Annotated[int, msgspec.Meta(ge=1, le=MOST_BYTES)]
BytesOrNone = Annotated[int, msgspec.Meta(ge=0, le=MOST_BYTES)]
#: Seconds, at most a year: more is as good as no limit, and timers take no infinity.
PositiveFloat = Annotated[float, msgspec.Meta(gt=0, le=31_536_000)]
HostName = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^([A-Za-z0-9._-]+|\[?[0-9A-Fa-f:.]+\]?)$",
        description="a name or an address, without a port",
    ),
]
#: A name in the cluster, of a workflow, or of a capability.
Name = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$",
        description="1 to 63 of a-z 0-9 _ . -, beginning with a letter or digit",
    ),
]
VariableName = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z_]\w*$", description="a name of a variable")
]
HeaderName = Annotated[
    str, msgspec.Meta(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]*$", description="a name of a header")
]
WholePath = Annotated[
    str, msgspec.Meta(pattern=r"^/", description="a whole path, which begins with /")
]
MailAddress = Annotated[
    str,
    msgspec.Meta(pattern=r"^([^\s,<>]+|[^,<>\r\n]*<[^\s,<>]+>)$", description="an address of mail"),
]
SigningKeys = Annotated[
    str,
    msgspec.Meta(
        pattern=r"^((whsec_([A-Za-z0-9+/]{4})*[A-Za-z0-9+/]{2,4}={0,2}|(?!whsec_)\S+)( +|$))*$",
        description="keys of Standard Webhooks (whsec_ and base64), or other texts without blanks",
    ),
]
Level = Literal["debug", "info", "warning", "error", "critical"]
#: A module and a name in it.
DottedPath = Annotated[
    str, msgspec.Meta(pattern=r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$", description="package.module:name")
]
SecretSource = Annotated[
    str,
    msgspec.Meta(pattern=r"^(env:[A-Za-z_]\w*|file:.+)$", description="env:VARIABLE or file:/path"),
]

_WORDS: Final[dict[Any, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number",
    float: "a number",
}


def described(hint: Any) -> str:
    """Return what a type of ``jobx.config`` allows, to follow "must be"."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        return _bounded(inner[0], inner[1:])
    if origin is Literal:
        return f"one of {', '.join(map(str, inner))}"
    if origin is tuple:
        return f"a list; each is {described(inner[0])}"
    if origin is dict:
        return f"a table; each value is {described(inner[1])}"
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(described, inner))
    return _WORDS.get(hint, "a value")


def _bounded(kind: Any, metas: typing.Iterable[Any]) -> str:
    word = _WORDS.get(kind, "a value")
    for meta in metas:
        if isinstance(meta, msgspec.Meta):
            word = meta.description or word
            word += _bounds(meta)
    return word


def _bounds(meta: msgspec.Meta) -> str:
    least = f" of at least {meta.ge}" if meta.ge is not None else ""
    least = f" over {meta.gt}" if meta.gt is not None else least
    most = f"at most {meta.le}" if meta.le is not None else ""
    return f"{least}{' and ' if least and most else ''}{' ' if most and not least else ''}{most}"
