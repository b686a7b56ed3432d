"""Math, ranges, random numbers, arithmetic at the ends of the int range."""

from __future__ import annotations

import math
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import OperationError, OverflowFailed, ValueFailed, ZeroDivisionFailed
from engine.limits import INT_MAX, INT_MIN
from tests.text_and_numbers.strategies import floats, ints

Query = Callable[..., Any]

fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=80, deadline=None)


def _fits(value: int) -> bool:
    return INT_MIN <= value <= INT_MAX


@fast
@given(ints, st.integers(-25, 25))
def test_round_of_an_int_is_exact(query: Query, number: int, places: int) -> None:
    unit = 10 ** max(-places, 0)
    exact = int((Decimal(number) / unit).quantize(Decimal(1), ROUND_HALF_UP)) * unit
    if _fits(exact):
        assert query("round(n, p)", {"n": number, "p": places}) == exact
    else:
        with pytest.raises(OverflowFailed):
            query("round(n, p)", {"n": number, "p": places})


@fast
@given(floats, st.integers(-400, 400) | ints)
def test_round_of_a_float_never_fails(query: Query, number: float, places: int) -> None:
    result = query("round(n, p)", {"n": number, "p": places})
    assert type(result) is float
    assert math.isnan(result) == math.isnan(number)
    assert math.copysign(1, result) == 1 or result != 0
    if math.isfinite(number) and abs(places) < 15 and abs(number) < 1e15:
        assert abs(result - number) <= 0.5000001 * 10.0**-places + abs(number) * 1e-15


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("round(2.675, 2)", 2.68), ("round(1.005, 2)", 1.0), ("round(0.49999999999999994)", 0.0),
        ("round(1.5, 400)", 1.5), ("round(15, 400)", 15), ("round(1.5, -400)", 0.0), ("round(-0.4)", 0.0),
        ("round(4503599627370497.5)", 4503599627370498.0),
    ],
)  # fmt: skip
def test_round(query: Query, code: str, value: float) -> None:
    assert query(code) == value


@fast
@given(floats)
def test_ceil_and_floor(query: Query, number: float) -> None:
    for name, exact in (("ceil", math.ceil), ("floor", math.floor)):
        if math.isfinite(number) and _fits(exact(number)):
            assert query(f"{name}(x)", {"x": number}) == exact(number)
        else:
            with pytest.raises(OverflowFailed):
                query(f"{name}(x)", {"x": number})


@fast
@given(ints | floats, ints | floats)
def test_pow_never_fails(query: Query, base: float, exponent: float) -> None:
    assert type(query("pow(x, y)", {"x": base, "y": exponent})) is float


@pytest.mark.parametrize(
    ("code", "value"),
    [
        ("pow(0, -1)", math.inf), ("pow(10, 400)", math.inf), ("pow(-10, 401)", -math.inf), ("pow(nan, 0)", 1.0),
        ("pow(-10, 400)", math.inf), ("pow(-inf, 3)", -math.inf), ("pow(2, -inf)", 0.0), ("pow(-2, -9999)", 0.0),
        ("exp(1000)", math.inf), ("exp(-1000)", 0.0), ("loge(inf)", math.inf), ("abs(-inf)", math.inf),
    ],
)  # fmt: skip
def test_ends_of_the_float_range(query: Query, code: str, value: float) -> None:
    result = query(code)
    assert (result, math.copysign(1, result)) == (value, math.copysign(1, value))


@fast
@given(
    st.sampled_from(["abs", "ceil", "floor", "round", "sqrt", "loge", "log2", "log10", "exp", "sin", "cos", "tan"]),
    ints | floats,
)
def test_no_function_fails_unannounced(outcome: Query, name: str, number: float) -> None:
    done = outcome(f"{name}(x)", {"x": number})
    if done.error is None:
        assert done.value != 0 or math.copysign(1, done.value) == 1
    else:
        assert type(done.error) in (OverflowFailed, ValueFailed)


@fast
@given(ints, ints)
def test_int_arithmetic(query: Query, left: int, right: int) -> None:
    variables = {"a": left, "b": right}
    exact = {"+": left + right, "-": left - right, "*": left * right}
    if right:
        quotient = abs(left) // abs(right) * (1 if (left < 0) == (right < 0) else -1)
        exact |= {"/": quotient, "%": left - quotient * right}
    for operator, value in exact.items():
        if _fits(value):
            assert query(f"a {operator} b", variables) == value
        else:
            with pytest.raises(OverflowFailed):
                query(f"a {operator} b", variables)
    if not right:
        for operator in "/%":
            with pytest.raises(ZeroDivisionFailed):
                query(f"a {operator} b", variables)


@fast
@given(ints | floats | st.booleans(), ints | floats | st.booleans())
def test_mixed_arithmetic_gives_no_negative_zero(outcome: Query, left: float, right: float) -> None:
    for operator in "+-*/%":
        done = outcome(f"a {operator} b", {"a": left, "b": right})
        if done.error is None:
            assert done.value != 0 or math.copysign(1, done.value) == 1
            wants_float = operator != "%" and float in (type(left), type(right))
            assert type(done.value) is (float if wants_float else int)
        else:
            assert type(done.error) in (OverflowFailed, ZeroDivisionFailed)


@fast
@given(ints)
def test_bit_count(query: Query, number: int) -> None:
    assert query("x.bit_count()", {"x": number}) == bin(abs(number)).count("1")


@fast
@given(st.integers(-50, 50) | ints, st.integers(-50, 50) | ints, st.integers(-7, 7) | ints)
def test_range(query: Query, start: int, stop: int, step: int) -> None:
    variables = {"a": start, "b": stop, "c": step}
    if not step:
        with pytest.raises(ValueFailed):
            query("range(a, b, c)", variables)
        return
    count = max(0, -((start - stop) // step) if step > 0 else -((stop - start) // -step))
    if count > 100_000:
        with pytest.raises(OperationError):
            query("range(a, b, c)", variables)
    else:
        assert query("range(a, b, c)", variables) == list(range(start, stop, step))


@fast
@given(ints, ints)
def test_randint(query: Query, start: int, stop: int) -> None:
    if stop <= start:
        with pytest.raises(ValueFailed):
            query("randint(a, b)", {"a": start, "b": stop})
    elif stop - start > 2**63:
        with pytest.raises(OverflowFailed):
            query("randint(a, b)", {"a": start, "b": stop})
    else:
        assert start <= query("randint(a, b)", {"a": start, "b": stop}) < stop


def test_randstr(query: Query) -> None:
    assert set(query("randstr(1000, 'ab')")) == {"a", "b"}
    for code in ("randstr(0, '')", "randstr(0, 'é')", "randstr(-1)", "randstr(1025)"):
        with pytest.raises(ValueFailed):
            query(code)
