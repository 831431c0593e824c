from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobx.actors.bridge.envelope import (
    MAX_DATAGRAM_BYTES,
    VERSION,
    Envelope,
    Epoch,
    Letter,
    Packet,
    Seal,
)

KEY = b"k" * 32
SEAL = Seal(KEY, "one")
NUMBERS = st.integers(0, 1 << 62)
EPOCHS = st.builds(Epoch, NUMBERS, NUMBERS)
PACKETS = st.builds(Packet, NUMBERS, st.booleans(), st.binary(max_size=50))
LETTERS = st.builds(Letter, EPOCHS, EPOCHS, NUMBERS, st.booleans(), st.lists(PACKETS, max_size=3))
ENVELOPE = Envelope("one", "w", "a", "b", Letter(Epoch(1, 1), Epoch(2, 1), 3))


@given(letter=LETTERS)
def test_an_envelope_comes_out_as_it_went_in(letter: Letter) -> None:
    envelope = Envelope("one", "w", "a", "b", letter)
    assert SEAL.open(SEAL.close(envelope)) == envelope


@given(position=st.integers(0), bit=st.integers(0, 7))
def test_a_datagram_with_a_flipped_bit_is_refused(position: int, bit: int) -> None:
    datagram = bytearray(SEAL.close(ENVELOPE))
    position %= len(datagram)
    datagram[position] ^= 1 << bit
    assert SEAL.open(bytes(datagram)) == ("version" if position == 0 else "key")


@given(datagram=st.binary(max_size=200))
def test_any_bytes_are_refused_by_a_word(datagram: bytes) -> None:
    assert SEAL.open(datagram) in {"size", "version", "key"}


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", "size"),
        (SEAL.close(ENVELOPE)[:33], "size"),
        (SEAL.close(ENVELOPE)[:-1], "key"),
        (VERSION + bytes(MAX_DATAGRAM_BYTES), "size"),
        (b"\x02" + SEAL.close(ENVELOPE)[1:], "version"),
        (Seal(b"x" * 32, "one").close(ENVELOPE), "key"),
        (SEAL.close(msgspec.structs.replace(ENVELOPE, cluster="two")), "cluster"),
        (SEAL.close(["one", "w"]), "form"),  # type: ignore[arg-type]  # not of its kind
        (SEAL.close(["one", "w", "a", "b", [[1, 1], [1], 0]]), "form"),  # type: ignore[arg-type]  # not of its kind
    ],
)
def test_a_bad_datagram_is_refused_by_name(datagram: bytes, reason: str) -> None:
    assert SEAL.open(datagram) == reason


def test_fields_of_later_versions_are_ignored() -> None:
    fields = msgspec.to_builtins(ENVELOPE)
    assert SEAL.open(SEAL.close([*fields, "new"])) == ENVELOPE  # type: ignore[arg-type]  # not of its kind
