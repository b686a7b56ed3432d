"""Bytes to packages, without a socket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.native import HEADER, MAX_LENGTH, Decoder, PackageError, alone, package

packages = st.tuples(st.integers(0, 0xFFFF), st.integers(0, 0xFF), st.binary(max_size=40))


@given(st.lists(packages, max_size=8), st.lists(st.integers(0, 400), max_size=12))
def test_any_split_gives_the_same_packages(sent: list[tuple[int, int, bytes]], cuts: list[int]) -> None:
    stream = b"".join(package(*one) for one in sent)
    decoder = Decoder()
    got = []
    last = 0
    for cut in [*sorted(cuts), len(stream)]:
        got += decoder.feed(stream[last:cut])
        last = max(last, cut)
    assert got == sent
    assert decoder.error is None
    assert decoder.waiting == 0


@given(st.lists(packages, max_size=4), st.integers(0, 0xFF), st.integers(0, 0xFF), st.integers(1, 100))
def test_a_wrong_check_byte_ends_the_stream_after_the_packages_before_it(
    sent: list[tuple[int, int, bytes]], kind: int, check: int, step: int
) -> None:
    if kind ^ check == 0xFF:
        check ^= 1
    stream = b"".join(package(*one) for one in sent) + HEADER.pack(0, 1, kind, check) + package(1, 32)
    decoder = Decoder()
    got = [one for at in range(0, len(stream), step) for one in decoder.feed(stream[at : at + step])]
    assert got == sent
    assert isinstance(decoder.error, PackageError)


def test_the_largest_length_is_waited_for_and_one_more_is_an_error() -> None:
    decoder = Decoder()
    assert decoder.feed(HEADER.pack(MAX_LENGTH, 1, 34, 221)) == []
    assert decoder.error is None
    decoder = Decoder()
    assert decoder.feed(HEADER.pack(MAX_LENGTH + 1, 1, 34, 221)) == []
    assert decoder.error is not None


def test_a_complete_package_may_not_be_over_the_limit_either() -> None:
    decoder = Decoder(max_length=4)
    assert decoder.feed(package(1, 34, b"1234") + package(2, 34, b"12345")) == [(1, 34, b"1234")]
    assert decoder.error is not None


def test_what_waits_is_bounded() -> None:
    decoder = Decoder(max_waiting=16)
    head = HEADER.pack(100, 1, 34, 221)
    assert decoder.feed(head + b"x" * 8) == []
    assert decoder.error is None
    assert decoder.feed(b"x") == []
    assert decoder.error is not None
    assert decoder.waiting == 0
    assert decoder.feed(package(1, 32)) == []


def test_a_message_is_one_package_and_the_rest_is_ignored() -> None:
    assert alone(package(7, 34, b"abc")) == (7, 34, b"abc")
    assert alone(package(7, 34, b"abc") + package(8, 32)) == (7, 34, b"abc")


@pytest.mark.parametrize(
    "message",
    [b"", b"1234567", HEADER.pack(0, 1, 34, 0), HEADER.pack(4, 1, 34, 221) + b"123", package(1, 34, b"a")[:-1]],
)
def test_a_message_that_is_no_package(message: bytes) -> None:
    with pytest.raises(PackageError):
        alone(message)
