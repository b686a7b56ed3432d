"""Query text in pieces: as the parser sees it where it parses, and sensibly where it does not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import SyntaxFailed
from engine.functions import reference
from engine.language.parser import tokenise
from shell import scanning
from shell.scanning import is_unfinished, scan

NAMES = {scanning.NAME, scanning.PROPERTY, scanning.CALL, scanning.METHOD, scanning.TYPE}
KINDS = {
    "NUMBER": {scanning.NUMBER}, "STRING": {scanning.STRING}, "REGEX": {scanning.REGEX},
    "TEMPLATE_TEXT": {scanning.TEMPLATE}, "NAME": NAMES,
    **{name: {scanning.CONSTANT} for name in ("NIL", "TRUE", "FALSE", "INF", "NAN")},
    **{name: {scanning.KEYWORD} for name in ("IF", "ELSE", "FOR", "IN", "RETURN", "BREAK", "CONTINUE")},
}  # fmt: skip

TEXTS = [
    *(entry.declared.example for entry in reference.entries()),
    "a / b / c; /b/.test(x); (1) / 2 / 3; [/x/, /y/i]; if (x) /z/.test(y) else 4 / 2;",
    "a -1; a - -1; [-1, +1]; (a)-1; x[0]-1; f(-1); !-1; ~-1; 15 == 1.5e+3; 0xff;",
    "|a, b| a | b; || 1; x.map(|n| n || m); f(|| |x| x);",
    "`a {x} b {`c {1 + 2}`} {{no}} ``quoted```; {a: `{ {b: 1}.b }`};",
    "'it''s'; \"say \"\"so\"\"\"; '// no comment'; // 'no string'\n/* 'none' */ 1",
    "x = {if: 1, nil: 2}.len(); .in; .return; A{}; A{a: 1}; E{B}; &{a: 1}; return x, 2;",
    "for (x, i in [1]) { if (x) continue else break; }",
    "a ? b : c ? d : e; a==b; a!=b; a<=b; a<<b; x += 1; .y |= 2; .z[1:2] = [];",
]


@pytest.mark.parametrize("text", TEXTS)
def test_the_parser_sees_the_same(text: str) -> None:
    try:
        tokens = tokenise(text)
    except SyntaxFailed:  # some examples are what a method is called on
        return
    pieces = {piece.start: piece for piece in scan(text)}
    for token in tokens:
        if token.type in KINDS:
            piece = pieces[token.start_pos]
            assert piece.text == token
            assert piece.kind in KINDS[token.type]
    assert not is_unfinished(text)


def test_most_texts_parse() -> None:
    def parses(text: str) -> bool:
        try:
            tokenise(text)
        except SyntaxFailed:
            return False
        return True

    assert sum(map(parses, TEXTS)) > 300
    assert all(map(parses, TEXTS[-8:]))


@given(st.text(alphabet="ab1.,;:'\"`/|{}()[]=+-*? \n\\", max_size=60))
def test_no_text_is_lost(text: str) -> None:
    pieces = scan(text)
    assert "".join(piece.text for piece in pieces) == text
    assert all(piece.text for piece in pieces)


@pytest.mark.parametrize(
    "text",
    [
        "[1,", "f(", "{a: {", "x.map(|a", "x.map(|a, b|", "'open", "'it''s", '"open', "`open", "`a {", "`a {b} c",
        "/* open", "1 +", "x =", "x.", "a ?", "a ? b :", "if (x)", "if (x) 1 else", "for (x in", "a,", "x && // why",
        "return f(|x| {", "a ||", "/*/", "x.map(|a| `{a",
    ],
)  # fmt: skip
def test_unfinished(text: str) -> None:
    assert is_unfinished(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "x;",
        "f()",
        "}",
        ")",
        "]",
        "// (",
        "'('",
        "`{{`",
        "/(/",
        "/**/",
        "return",
        "break",
        "a b",
        "{}",
        "1 // +",
    ],
)
def test_finished(text: str) -> None:
    assert not is_unfinished(text)
