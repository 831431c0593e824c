from __future__ import annotations

import pytest

from jobx import values
from jobx.errors import InvalidInput
from jobx.handlers.pairs import sequences


@pytest.mark.parametrize("count", [0, 1, 15, 16, 256, (1 << 16) - 1, 1 << 16])
def test_items_packed_at_once_are_those_packed_one_by_one(count: int) -> None:
    items = [[n, [n]] for n in range(count)]
    body = sequences.pack(values.packer(), items)
    assert body == b"".join(map(values.pack, items))
    assert sequences.unpack(body, count) == items


@pytest.mark.parametrize("count", [1, 3])
def test_another_number_of_items_is_refused(count: int) -> None:
    with pytest.raises(InvalidInput):
        sequences.unpack(sequences.pack(values.packer(), [1, 2]), count)
