"""What an exception of author code shows of others: causes and groups, within bounds."""

from __future__ import annotations

from itertools import pairwise

from jobx.handlers.tracebacks import handler_of, module_name, of_exception


def chained(count: int) -> BaseException:
    """Return an exception with ``count`` causes behind each other."""
    causes = [ValueError("0"), *(LookupError(f"cause {n}") for n in range(1, count + 1))]
    for error, cause in pairwise(causes):
        error.__cause__ = cause
    return causes[0]


def test_a_long_chain_shows_its_beginning_and_its_end() -> None:
    text = of_exception(chained(50), str)
    assert text.startswith("LookupError: cause 50\n")
    assert "… 44 more exceptions" in text
    assert [n for n in range(1, 51) if f"cause {n}\n" in text] == [1, 2, 3, 48, 49, 50]


def test_a_chain_that_leads_to_itself_is_told_once() -> None:
    error = chained(1)
    assert error.__cause__ is not None
    error.__cause__.__cause__ = error
    assert of_exception(error, str).count("LookupError") == 1


def test_a_wide_group_counts_what_it_does_not_show() -> None:
    group = ExceptionGroup("many", [ValueError(f"n{n}") for n in range(1000)])
    text = of_exception(group, str)
    assert "ValueError: n9\n" in text
    assert "- 990 more -" in text


def test_a_deep_group_ends() -> None:
    group = ExceptionGroup("inner", [ValueError("v")])
    for _ in range(200):
        group = ExceptionGroup("outer", [group])
    assert "1 more" in of_exception(group, str)


def test_a_member_that_its_group_led_to_is_told_once() -> None:
    group = ExceptionGroup("g", [ValueError("a"), KeyError("b")])
    member = group.exceptions[0]
    member.__context__ = group  # as ``except ExceptionGroup as g: raise g.exceptions[0]`` sets it
    text = of_exception(member, str)
    assert (text.count("KeyError: 'b'"), text.count("ValueError: a")) == (1, 0)
    assert of_exception(group, str).count("ValueError: a") == 1


def test_groups_in_causes_in_groups_end() -> None:
    group = ExceptionGroup("g", [ValueError(f"v{n}") for n in range(10)])
    for _ in range(200):
        members = [ValueError("m") for _ in range(10)]
        for member in members:
            member.__cause__ = group
        group = ExceptionGroup("g", members)
    assert "more" in of_exception(group, str)


def test_what_others_say_is_bounded() -> None:
    error = ExceptionGroup("g", [ValueError("\U0001d4d0" * 100_000) for _ in range(100)])
    error.__cause__ = ValueError("x" * 10_000_000)
    assert len(of_exception(error, str).encode()) <= 32 << 10


def test_secrets_of_causes_are_hidden() -> None:
    error = ExceptionGroup("g", [ValueError("secret")])
    error.__cause__ = ValueError("secret")
    assert "secret" not in of_exception(error, lambda text: text.replace("secret", "…"))


def test_the_name_of_a_module_tells_its_handler() -> None:
    name = module_name("a.b-c")
    assert "." not in name
    assert (handler_of(name), handler_of(f"{name[:-1]}@12ab)")) == ("a.b-c", "a.b-c")
