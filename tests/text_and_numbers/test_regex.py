"""Regexes: the dialect on bytes, groups, and what a hostile pattern may cost."""

from __future__ import annotations

import io
from array import array
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import OperationError, TypeFailed, ValueFailed
from engine.regex import pattern as patterns
from engine.regex.pattern import MAX_PATTERN_BYTES, Pattern
from engine.regex.pcre import Code, Spans, flattened, unflattened
from engine.regex.process import MatchingProcess, TookTooLong
from engine.regex.worker import ANSWER, REQUEST, serve
from engine.values.regex import compiled_regex
from engine.values.text import decoded, encoded
from tests.text_and_numbers.strategies import any_bytes, strs

Query = Callable[..., Any]

fast = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> Iterator[MatchingProcess]:
    """Searches in the other process end after a moment."""
    process = MatchingProcess(0.05)
    monkeypatch.setattr(patterns, "_process", process)
    yield process
    process.stop()


@pytest.mark.parametrize(
    ("pattern", "flags", "text", "matches"),
    [
        (r"^..$", "", "é", True),  # a character of two bytes
        (r"^.$", "", "é", False),
        (r"É", "i", "é", False),  # only ASCII ignores case
        (r"\w", "", "é", False),
        (r"^[é]$", "", "\udcc3", True),  # a class holds bytes
        (r"\x{41}", "", "A", True),
        (r"\x41", "", "A", True),
        (r"(*UTF)^.$", "", "é", True),
        (r"(*UTF)(*UCP)^\w$", "", "é", True),
        (r"(*UTF).", "", "a\udcc3", False),  # no UTF-8: no match
        (r"(?R)?a", "", "aa", False),  # recursion without end: no match
        (r"a\zb|a$", "", "a\n", True),
        (r"a.b", "", "a\rb", True),
        (r"a.b", "", "a\x00b", True),
        (r"a\x00b", "", "a\x00b", True),
        (r"(?<=ab|c)d", "", "abd", True),
        (r"a++a", "", "aaa", False),
        (r"\Ga", "", "ba", False),
        (r"\Q.\E", "", "a", False),
        (r"(?|(a)|(b))\1", "", "bb", True),
        (r"(a)?(?(1)b|c)", "", "c", True),
        (r"a(*SKIP)(*FAIL)|b", "", "ab", True),
        (r"\p{Lu}", "", "A", True),
        (r"[[:alpha:]]\h\N\R", "", "a x\n", True),
        ("a b # c", "", "a b # c", True),
        ("(?x) a b # c", "", "ab", True),
    ],
)  # fmt: skip
def test_dialect(query: Query, pattern: str, flags: str, text: str, matches: bool) -> None:
    assert query("regex(p, f).test(t)", {"p": pattern, "f": flags, "t": text}) is matches


@pytest.mark.parametrize(
    "pattern",
    ["(", "[", "a{2,1}", "*", "(?<n>a)(?<n>b)", r"\x{100}", r"\u0041", "(?<=a+)b", "a" * (MAX_PATTERN_BYTES + 1)],
)
def test_wrong_patterns(query: Query, pattern: str) -> None:
    with pytest.raises(ValueFailed):
        query("regex(p)", {"p": pattern})


def test_wrong_flags(query: Query) -> None:
    for flags in ("x", "i ", "G", "é"):
        with pytest.raises(ValueFailed):
            query("regex('a', f)", {"f": flags})


def test_a_stored_closure_has_no_wrong_regex(query: Query) -> None:
    assert query("c = |x| /(/; 'fine'") == "fine"
    for code in (".c = |x| /(/", "{c: |x| [/(/]}", "new_procedure('p', || /(/)", ".c = || `{/(/}`"):
        with pytest.raises(ValueFailed):
            query(code)
    assert query(".c = |x| x / 2; .c(8) / 2") == 2


def test_equality_is_by_pattern_and_flags_as_written(query: Query) -> None:
    assert query("[/a/gi == /a/gi, /a/gi == /a/ig, /a/ == '/a/', regex('a') == /a/]") == [True, False, False, True]
    with pytest.raises(TypeFailed):
        query("/a/ < /b/")


@fast
@given(strs)
def test_groups_that_took_no_part(query: Query, text: str) -> None:
    data = encoded(text)
    expected: list[str] | None = None
    for index, byte in enumerate(data):
        if byte in b"ab":
            expected = [chr(byte)] if byte == 98 else ["a", "a"]
            follows = data[index + 1 : index + 2] == b"b" and byte == 97
            expected = ["ab", "a", "b"] if follows else expected
            break
    assert query("/(a)?(?(1)(b)?|b)/.match(t)", {"t": text}) == expected


def test_a_global_match_goes_on_where_the_last_one_ended(query: Query) -> None:
    assert query(r"/(?<=\d)\d|^\d/g.match('12 34')") == ["1", "2", "4"]
    assert query(r"/a\Kb|c/g.match('abc')") == ["b", "c"]
    assert query(r"/x*/g.match('xxaxx')") == ["xx", ""]
    assert query("/./g.match('é')") == ["\udcc3", "\udca9"]


@fast
@given(any_bytes, st.sampled_from([rb"a", rb"(a)|(b)", rb"\s*", rb"(?=b)", rb"[^a]+", rb"(.)(.)?", rb"$", rb"a|$"]))
def test_split_puts_a_text_together_again(query: Query, data: bytes, pattern: bytes) -> None:
    text = decoded(data)
    spans = Pattern(pattern, 0).search_all(data, 1000)
    expected: list[bytes] = []
    position = 0
    for (start, end), *groups in spans:
        expected += [data[position:start], *(data[first:last] if first >= 0 else b"" for first, last in groups)]
        position = end
    expected.append(data[position:])
    variables = {"t": text, "p": pattern.decode()}
    assert query("t.split(regex(p))", variables) == [decoded(part) for part in expected]
    assert query("t.replace(regex(p), '')", variables) == decoded(
        b"".join(data[a:b] for a, b in _between(spans, len(data)))
    )


def _between(spans: list[Spans], length: int) -> list[tuple[int, int]]:
    starts, ends = [0, *(match[0][1] for match in spans)], [*(match[0][0] for match in spans), length]
    return list(zip(starts, ends, strict=True))


# --- what a search may cost ----------------------------------------------------------------------------------------


def test_spans_as_numbers() -> None:
    found: list[Spans] = [((0, 2), (-1, -1), (1, 2)), ((4, 4),)]
    assert unflattened(flattened(found)) == found
    assert unflattened([]) == []


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (rb"(a+)+$", b"a" * 60 + b"b"),
        (rb"^(\w+\s?)*$", b"word " * 20 + b"!"),
        (rb"(a|aa)+$", b"a" * 60 + b"b"),
        (rb"(?:a?){60}a{60}b", b"a" * 60),
        (rb"(.*)*(.*)*(.*)*[x]y", b"x" * 40),
    ],
)
def test_a_hostile_pattern_has_no_match(pattern: bytes, text: bytes) -> None:
    assert Pattern(pattern, 0).search(text) is None
    assert Pattern(pattern, 0).search_all(text, 10) == []
    assert Pattern(pattern, 0).matches(text) is False


def test_earlier_matches_count_where_a_later_search_gives_up() -> None:
    text = b"x" + b"a" * 60 + b"b"
    assert Pattern(rb"x|(a+)+$", 0).search_all(text, 10) == [((0, 1),)]


@pytest.mark.parametrize("length", [10, 5000])
def test_long_subjects_give_the_same(length: int) -> None:
    text = b"one 1, two 22;" * length
    code = Code(rb"(\d)(\d)?", 0, match_limit=None, heap_limit=4096)
    pattern = Pattern(rb"(\d)(\d)?", 0)
    assert pattern.search_all(text, 10**9) == code.search_all(text, 10**9)
    assert pattern.search_all(text, 3) == code.search_all(text, 3)
    assert pattern.search(text) == code.search(text, 0)
    assert pattern.matches(text)
    assert not Pattern(rb"z+", 0).matches(text)


def test_a_pattern_that_needs_many_steps_is_searched_in_the_end() -> None:
    text = b"ab," * 300 + b"!"
    assert Pattern(rb"^(?:(?:a|b|c)+,?)*!", 0).search(text) == ((0, len(text)),)


def test_deep_recursion_where_machine_code_has_too_small_a_stack() -> None:
    text = b"(" * 5000 + b")" * 5000
    assert Pattern(rb"\((?:[^()]|(?R))*\)", 0).search(text) == ((0, len(text)),)


def test_a_search_that_takes_too_long_is_ended(hasty: MatchingProcess, query: Query) -> None:
    text = b"a" * 20_000
    slow = Pattern(rb"(?:[ab]*[cd]|.)*[ef]", 0)
    for _ in range(2):
        with pytest.raises(TookTooLong):
            slow.search(text)
    hasty.seconds = 10
    assert Pattern(rb"(b)?$", 0).search(text) == ((20_000, 20_000),)
    hasty.seconds = 0.05
    code = "r = /(?:[ab]*[cd]|.)*[ef]/; try(r.test(t)).code()"
    assert query(code, {"t": text.decode()}) == OperationError.code
    assert query("r = /(?:[ab]*[cd]|.)*[ef]/g; try(t.split(r)).code()", {"t": text.decode()}) == OperationError.code


def test_a_process_that_was_killed_is_replaced(hasty: MatchingProcess) -> None:
    hasty.seconds = 10
    text = b"x" * 5000 + b"1"
    assert Pattern(rb"\d+", 0).search(text) == ((5000, 5001),)
    assert hasty._process is not None
    hasty._process.kill()
    hasty._process.wait()
    with pytest.raises(TookTooLong):
        Pattern(rb"\d+", 0).search(text)
    assert Pattern(rb"\d+", 0).search(text) == ((5000, 5001),)


def test_the_other_side_answers_until_there_are_no_more_requests() -> None:
    text = b"a1b22"
    request = REQUEST.pack(3, 0, len(text), 10, 0.0) + rb"\d+" + text
    answers = io.BytesIO()
    serve(io.BytesIO(request * 2 + request[:5]), answers)
    numbers = array("q", flattened([((1, 2),), ((3, 5),)]))
    assert answers.getvalue() == (ANSWER.pack(len(numbers)) + numbers.tobytes()) * 2


def test_many_steps_back_over_a_long_text() -> None:
    text = b"ab" * 300_000
    assert Pattern(rb"^(?:a|b)*$", 0).search(text) == ((0, len(text)),)


def test_the_process_ends_with_its_requests() -> None:
    process = MatchingProcess(1)
    assert process.search_all(rb"b", 0, b"abb", 10) == [((1, 2),), ((2, 3),)]
    running = process._process
    assert running is not None
    assert running.stdin is not None
    running.stdin.close()
    assert running.wait(10) == 0
    process._process = None


def test_compiled_patterns_are_kept() -> None:
    assert compiled_regex("a+b", "i") is compiled_regex("a+b", "i")
    compiled_regex.cache_clear()
    for number in range(2000):
        compiled_regex(f"a{number}", "")
    assert compiled_regex.cache_info().currsize <= 1024
