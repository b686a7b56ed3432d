"""How events become bytes."""

from __future__ import annotations

from typing import Any

import msgpack
import pytest

from server.forms import BINARY_FRAME, PACKAGE, pack_event

BAD = b"a\xff\xc3\xa9".decode("utf-8", "surrogateescape")


@pytest.mark.parametrize(
    ("tree", "decoded"),
    [
        ({"x": ["é", 1]}, {"x": ["é", 1]}),
        ({"x": BAD, "y": "é"}, {"x": b"a\xff\xc3\xa9", "y": "é"}),
        ({"jobs": [{"set": {"x": (1, [BAD], None)}}]}, {"jobs": [{"set": {"x": [1, [b"a\xff\xc3\xa9"], None]}}]}),
    ],
)
def test_every_client_can_decode_an_event(tree: Any, decoded: Any) -> None:
    assert msgpack.unpackb(pack_event(tree), raw=False) == decoded
    for form in PACKAGE, BINARY_FRAME:
        assert form.event(2, tree).endswith(pack_event(tree))
