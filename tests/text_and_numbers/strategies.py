"""Values for property tests."""

from __future__ import annotations

from hypothesis import strategies as st

from engine.limits import INT_MAX, INT_MIN
from engine.values.text import decoded

ints = st.integers(INT_MIN, INT_MAX) | st.integers(-20, 20)
floats = st.floats().map(lambda value: value + 0.0)
texts = st.text(max_size=12)  # valid UTF-8
any_bytes = st.binary(max_size=12) | st.lists(st.sampled_from([b"a", b"b", b" ", b"\xc3", b"\xa9", b"\n"])).map(
    b"".join
)
strs = any_bytes.map(decoded) | texts  # any bytes, as a str carries them
