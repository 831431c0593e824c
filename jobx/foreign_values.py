"""Values of packages that have types of their own for numbers and times: numpy, pandas, pyarrow.

A scalar counts as what it says it is in Python: its ``item()``, or its ``as_py()``. None of the
packages is imported here.
"""

from __future__ import annotations

import datetime
from typing import Any, Final

from jobx.errors import a_kind

#: Methods that give a whole array, column or table, or a date, as Python's own.
_WHOLES: Final = ("tolist", "to_list", "to_pylist", "to_dict", "isoformat")
#: Kinds of numpy's times and durations, whose ``item()`` may be a bare number.
_TIMES: Final = ("M", "m")


def scalar(value: Any) -> Any:
    """Return a scalar of another package as Python's own; anything else is returned as it is.

    Raises:
        ValueError: It does not say what it is.
    """
    try:
        if callable(getattr(type(value), "as_py", None)):
            found = value.as_py()
        elif _has_item(value):
            found = value.item()
        else:
            return value
    except (TypeError, ArithmeticError, AttributeError, NotImplementedError) as error:
        raise ValueError(f"{a_kind(value)} cannot be a value: {error}") from error
    return value if type(found) is type(value) else found


def _has_item(value: Any) -> bool:
    """Tell whether a value is one number or text of an array package, and no bare time."""
    kind = getattr(getattr(value, "dtype", None), "kind", None)
    is_one = kind is not None and kind not in _TIMES and not getattr(value, "ndim", 0)
    return is_one and callable(getattr(type(value), "item", None))


def timestamp(value: Any) -> datetime.datetime:
    """Return a timestamp of another class as Python's own, to the microsecond.

    Raises:
        ValueError: It is none, as pandas's NaT, or of no year that Python has.
    """
    try:
        return datetime.datetime(
            *(value.year, value.month, value.day),
            *(value.hour, value.minute, value.second, value.microsecond),
            tzinfo=value.tzinfo,
            fold=value.fold,
        )
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{value!s:.40} cannot be a value: it is no time; None can") from error


def hint(value: object) -> str:
    """Return what to write in place of something that cannot be a value; '' if it is not known."""
    if getattr(getattr(value, "dtype", None), "kind", None) in _TIMES:
        return ""  # its tolist() may be a bare number
    for name in _WHOLES:
        if callable(getattr(type(value), name, None)):
            return f": give its .{name}()"
    return ""
