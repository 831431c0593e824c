"""What all questions have in common: their base, and what their fields may be."""

from __future__ import annotations

from typing import Annotated, Final, Generic, TypeAlias, TypeVar

from msgspec import Meta, Struct

from jobx import views

#: Of the link between a node and who asks it; both ends speak the same. It grows with each change
#: of a question, so that who is of another version is refused at once, and is told why.
PROTOCOL: Final = 6

_MAX_WAIT_S: Final = 31_536_000

A = TypeVar("A", bound=views.View)
#: A name or an id; who answers checks more.
Text: TypeAlias = Annotated[str, Meta(max_length=128)]
Long: TypeAlias = Annotated[str, Meta(max_length=4096)]
WaitSeconds: TypeAlias = Annotated[float, Meta(ge=0, le=_MAX_WAIT_S)]
#: A value of an argument that requests are found by.
Scalar: TypeAlias = Long | int | float | bool | None
Whole: TypeAlias = Annotated[int, Meta(ge=0)]
Limit: TypeAlias = Annotated[int, Meta(ge=1, le=1_000_000)]
#: Of what is shown page by page.
PageLimit: TypeAlias = Annotated[int, Meta(ge=1, le=10_000)]
Reason: TypeAlias = Annotated[str, Meta(max_length=500)]


class Question(
    Struct, Generic[A], frozen=True, kw_only=True, array_like=True, forbid_unknown_fields=True
):
    """Base of all questions. ``A``: what answers it."""

    @property
    def verb(self) -> str:
        """What is asked, in a word."""
        return str(self.__struct_config__.tag)


class OfRequest(Question[A], Generic[A], frozen=True, kw_only=True):
    """Base of questions about one request."""

    workflow: Text
    request_id: Text
