"""What exceptions of author code show: the author's own lines, causes, notes, groups; bounded."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from types import FrameType, TracebackType
from typing import Final, TypeAlias

#: File name, line, function; then the file that has the line, if it is another.
StackFrame: TypeAlias = tuple[str, int, str] | tuple[str, int, str, str]
_Redact: TypeAlias = Callable[[str], str]

MAX_MESSAGE: Final = 4096
#: Author frames that are shown of a traceback: the outermost and the innermost ones.
_OUTER_FRAMES: Final = 5
_INNER_FRAMES: Final = 20
#: Exceptions that are shown of a chain of causes: the last ones, and the first ones.
_LAST_CAUSES: Final = 3
_FIRST_CAUSES: Final = 3
#: Exceptions that are shown of a group, and how deep groups in groups are.
_GROUP_WIDTH: Final = 10
_GROUP_DEPTH: Final = 4
#: Exceptions that are looked at to tell of one, causes and groups together.
_MOST_TOLD: Final = 200
#: Characters that are shown of a source line, and of the names of its file and function.
_SHOWN: Final = 200
_MAX_BYTES: Final = 32 << 10
#: What is shown of the causes of an exception, and of what is in a group, next to its own lines.
_MAX_OTHERS_BYTES: Final = 8 << 10
_CAUSE: Final = "\nThe above exception was the direct cause of the following exception:\n\n"
_CONTEXT: Final = "\nDuring handling of the above exception, another exception occurred:\n\n"
_HANDLER: Final = "<handler "
_MODULE: Final = "handler("
#: Modules whose name is left out of an exception's type.
_OWN_MODULES: Final = ("builtins", _MODULE, "jobx.handlers.", "jobx.system.", "jobx.errors")
#: Where Python itself keeps the traceback: author code may hide it behind an attribute that raises.
_TRACEBACK: Final[Callable[[BaseException], TracebackType | None]] = vars(BaseException)[
    "__traceback__"
].__get__
#: What exceptions without a message mean.
_UNSAID: Final[Mapping[str, str]] = {
    "MemoryError": "no memory is left",
    "bdb.BdbQuit": "the debugger was left; it has a terminal in jobx handler test --pdb",
}


def filename(handler_name: str) -> str:
    """Return the file name that a handler's code has in tracebacks."""
    return f"{_HANDLER}{handler_name}>"


def module_name(handler_name: str) -> str:
    """Return the name of a handler's module; a dot would make it part of another one."""
    return f"{_MODULE}{handler_name.replace('.', ':')})"


def show_source(file: str, source_code: str) -> None:
    """Let tracebacks quote the source of a file, as it was loaded."""
    lines = [f"{line}\n" for line in source_code.split("\n")]
    linecache.cache[file] = (len(source_code), None, lines, file)


def hide_source(file: str) -> None:
    """Undo ``show_source``."""
    linecache.cache.pop(file, None)


def type_name(cls: type[BaseException]) -> str:
    """Return the name of an exception class, with its module unless that is the author's own."""
    module = getattr(cls, "__module__", None)
    if not isinstance(module, str) or module.startswith(_OWN_MODULES):
        return cls.__name__
    return f"{module}.{cls.__qualname__}"


def message_of(error: BaseException) -> str:
    """Return the message of an exception, then its notes, each on a line of its own."""
    try:
        text = str(error)
    except Exception as unsayable:  # noqa: BLE001 - author code: anything may come out of __str__
        text = f"(its message cannot be shown: __str__ raised {type_name(type(unsayable))})"
    if not text:
        text = next((said for name, said in _UNSAID.items() if _is_a(error, name)), "")
    notes = getattr(error, "__notes__", None)
    noted = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    return "\n".join([text, *noted])


def _is_a(error: BaseException, name: str) -> bool:
    return any(type_name(cls) == name for cls in type(error).__mro__[:-1])


def printable(text: str) -> str:
    """Return ``text`` with lone surrogates escaped, so that it can be sent."""
    return text.encode("utf-8", "backslashreplace").decode()


def cut(text: str) -> str:
    """Return the beginning of a message, printable."""
    return printable(text if len(text) <= MAX_MESSAGE else f"{text[:MAX_MESSAGE]}…")


def frames_of(error: BaseException) -> TracebackType | None:
    """Return the traceback of an exception, whatever its class says of it."""
    return _TRACEBACK(error)


def of_frames(frames: Sequence[StackFrame], redact: _Redact) -> str:
    """Return the text of frames, outermost first."""
    return _cut_bytes(_frames_text(frames, redact), _MAX_BYTES)


def of_exception(error: BaseException, redact: _Redact) -> str:
    """Return the traceback of an exception after those of its causes, without its own message.

    Of a group, the exceptions in it follow.
    """
    told = {id(error)}
    earlier = _cut_bytes("".join(_causes(error, redact, told)), _MAX_OTHERS_BYTES)
    members = _cut_bytes("".join(_members(error, redact, told)), _MAX_OTHERS_BYTES)
    own = _frames_text(own_frames(frames_of(error)), redact)
    return earlier + _cut_bytes(own, _MAX_BYTES - 2 * _MAX_OTHERS_BYTES) + members


def own_frames(innermost: TracebackType | None) -> list[StackFrame]:
    """Return the frames of a traceback that are the author's own, outermost first."""
    frames: list[StackFrame] = []
    while innermost is not None:
        file = shown_file(innermost.tb_frame)
        if file:
            code = innermost.tb_frame.f_code
            frames.append((file, innermost.tb_lineno, code.co_name, code.co_filename))
        innermost = innermost.tb_next
    return frames


def handler_of(module: str) -> str:
    """Return the name of the handler that a module is of."""
    return module.removeprefix(_MODULE).partition("@")[0].removesuffix(")").replace(":", ".")


def shown_file(frame: FrameType) -> str:
    """Return what is shown as the file of a frame; '' if it is not of a handler."""
    file = frame.f_code.co_filename
    if file.startswith(_HANDLER):
        return file
    module = frame.f_globals.get("__name__")
    if (
        isinstance(module, str)
        and module.startswith(_MODULE)
        and file == frame.f_globals.get("__file__")
    ):
        return filename(handler_of(module))
    return ""


def _earlier(error: BaseException) -> tuple[BaseException | None, str]:
    """Return what Python shows before an exception, and the words between the two."""
    if error.__cause__ is not None:
        return error.__cause__, _CAUSE
    if error.__suppress_context__:
        return None, ""
    return error.__context__, _CONTEXT


def _causes(error: BaseException, redact: _Redact, told: set[int], depth: int = 0) -> Iterator[str]:
    """Yield the text of what led to an exception, the first of it first.

    Args:
        error: The exception.
        redact: Hides secrets in a text.
        told: The ids of exceptions that the text has; a group's member may have the group as its
            cause.
        depth: The groups around it.
    """
    chain: list[tuple[BaseException, str]] = []
    seen = set(told)
    earlier, words = _earlier(error)
    while earlier is not None and id(earlier) not in seen:
        chain.append((earlier, words))
        seen.add(id(earlier))
        earlier, words = _earlier(earlier)
    hidden = len(chain) - _LAST_CAUSES - _FIRST_CAUSES
    for number, (cause, words) in enumerate(reversed(chain)):
        if hidden <= 0 or not _FIRST_CAUSES <= number < _FIRST_CAUSES + hidden:
            yield _whole(cause, redact, told, depth) + words
        elif number == _FIRST_CAUSES:
            yield f"… {hidden} more exceptions\n\n"


def _whole(error: BaseException, redact: _Redact, told: set[int], depth: int) -> str:
    """Return an exception with its own lines, its message, and what is in it if it is a group."""
    told.add(id(error))
    frames = _frames_text(own_frames(frames_of(error)), redact)
    head = "Traceback (most recent call last):\n" if frames else ""
    said = cut(redact(f"{type_name(type(error))}: {message_of(error)}".removesuffix(": ")))
    return f"{head}{frames}{said}\n{''.join(_members(error, redact, told, depth))}"


def _members(
    error: BaseException, redact: _Redact, told: set[int], depth: int = 0
) -> Iterator[str]:
    """Yield the text of the exceptions in a group, each behind a bar."""
    if not isinstance(error, BaseExceptionGroup):
        return
    shown = 0
    for member in error.exceptions[: _GROUP_WIDTH if depth < _GROUP_DEPTH else 0]:
        if id(member) in told or len(told) >= _MOST_TOLD:
            continue
        shown += 1
        told.add(id(member))
        earlier = "".join(_causes(member, redact, told, depth + 1))
        text = earlier + _whole(member, redact, told, depth + 1)
        yield f"  +---------------- {shown} ----------------\n{_barred(text.splitlines())}"
    if hidden := len(error.exceptions) - shown:
        yield f"  +---------------- {hidden} more ----------------\n"


def _barred(lines: Iterable[str]) -> str:
    return "".join(f"  | {line}".rstrip() + "\n" for line in lines)


def _frames_text(frames: Sequence[StackFrame], redact: _Redact) -> str:
    hidden = len(frames) - _OUTER_FRAMES - _INNER_FRAMES
    shown = frames if hidden <= 0 else [*frames[:_OUTER_FRAMES], *frames[-_INNER_FRAMES:]]
    lines = [_frame_text(redact, *frame) for frame in shown]
    if hidden > 0:
        lines.insert(_OUTER_FRAMES, f"  … {hidden} more\n")
    return "".join(lines)


def _frame_text(redact: _Redact, name: str, line: int, function: str, file: str = "") -> str:
    source = linecache.getline(file or name, line).strip()
    # A secret that is cut first would not be found.
    name, function, source = (redact(text)[:_SHOWN] for text in (name, function, source))
    return printable(f'  File "{name}", line {line}, in {function}\n    {source}\n')


def _cut_bytes(text: str, most: int) -> str:
    return text.encode()[:most].decode(errors="ignore")
