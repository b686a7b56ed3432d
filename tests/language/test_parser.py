"""What a text parses to, what is refused, and where the limits are."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.errors import SyntaxFailed
from engine.language import nodes
from engine.language.parser import parse, tokenise
from tests.language.trees import every, sources, tree


def one(text: str) -> nodes.Node:
    """The only statement of a text."""
    (statement,) = parse(text).statements
    return statement


def same(text: str, other: str) -> bool:
    return bool(tree(parse(text)) == tree(parse(other)))


def refused(text: str) -> str:
    """The message with which a text is refused."""
    with pytest.raises(SyntaxFailed) as caught:
        parse(text)
    return caught.value.message


# --- lexical rules


@pytest.mark.parametrize("text", ["", " ", "\n\n", "// nothing", "/* nothing */", "/* a */ // b", "/* // */"])
def test_a_text_without_statements(text: str) -> None:
    assert parse(text).statements == []


@pytest.mark.parametrize(
    ("text", "count"), [("7", 1), ("7;", 1), ("7;;", 1), ("7; /* a; */ ;// ;\n8", 2), ("7;8;;", 2)]
)
def test_separators(text: str, count: int) -> None:
    assert len(parse(text).statements) == count


@pytest.mark.parametrize("text", [";", ";7", "7 8", "a = 1\nb = 2", "if(a){b} c", "1\xa0+ 2", "7;;\x00"])
def test_statements_need_separators_and_only_known_blanks(text: str) -> None:
    refused(text)


@pytest.mark.parametrize("blank", [" ", "\t", "\n", "\v", "\f", "\r", "/* a */", "// a\n", "/**/", "/*/ */"])
def test_blanks_may_stand_between_tokens(blank: str) -> None:
    assert same(blank.join(["", "a", ".", "b", "(", "1", "+", "2", ")", "[", "0", "]", ""]), "a.b(1+2)[0]")


@pytest.mark.parametrize(
    "text", ["1 = = 1", "1 < = 2", "1 & & 2", "1 > > 2", "x + = 1", "1 ! = 2", "x. .a", "& {a: 1}"]
)
def test_no_blank_within_a_token(text: str) -> None:
    refused(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0), ("007", 7), ("-5", -5), ("+5", 5), ("0xfF", 255), ("-0x10", -16), ("0o17", 15), ("0b101", 5),
        ("9223372036854775807", 2**63 - 1), ("-9223372036854775807", 1 - 2**63), ("0x7fffffffffffffff", 2**63 - 1),
        ("1.5", 1.5), (".5", 0.5), ("1.5e+3", 1500.0), ("-1.5e-3", -0.0015), ("1.0e+999", float("inf")),
        ("inf", float("inf")), ("0" * 5000 + "1", 1), ("-" + "0" * 5000 + "1", -1), ("0" * 5000, 0),
        ("true", True), ("false", False), ("nil", None),
    ],
)  # fmt: skip
def test_numbers_and_words(text: str, value: object) -> None:
    constant = one(text)
    assert isinstance(constant, nodes.Constant)
    assert (constant.value, type(constant.value)) == (value, type(value))
    assert constant.source == text


@pytest.mark.parametrize(
    "text", ["9223372036854775808", "-9223372036854775808", "0x8000000000000000", "9" * 100_000, "0b" + "1" * 64]
)
def test_an_int_beyond_64_bits_parses(text: str) -> None:
    assert isinstance(one(text), nodes.IntOverflow)


@pytest.mark.parametrize(
    "text",
    [
        "5.", "1e3", "1e+3", "1.5e3", "1.5E+3", "1.5e+", "5.foo", "5.len()", "1..2", "1.2.3", "12abc", "1_000", "5_",
        "0X1F", "0x", "0xg", "0x1.5", "0b2", "0o8", "0O7", "1.5f",
    ],
)  # fmt: skip
def test_what_is_no_number(text: str) -> None:
    refused(text)


def test_a_sign_belongs_to_a_literal_only_where_an_operand_is_expected() -> None:
    assert tree(one("1-1")) == ("Binary", "-", ("Constant", 1), ("Constant", 1))
    assert tree(one("1--1")) == ("Binary", "-", ("Constant", 1), ("Constant", -1))
    assert tree(one("0+1")) == ("Binary", "+", ("Constant", 0), ("Constant", 1))
    assert tree(one("--5")) == ("Unary", "-", ("Constant", -5))
    assert tree(one("- 5")) == ("Unary", "-", ("Constant", 5))
    assert tree(one("5 .foo")) == ("Chain", ("Constant", 5), [("GetProperty", "foo", "False")])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("''", ""), ("'a''b'", "a'b"), ('"a""b\'"', "a\"b'"), (r"'\n'", "\\n"), ("'a\nb'", "a\nb"), ("''''", "'"),
        ("'/* a'", "/* a"), ("'\ud800'", "\ud800"), ("'ü€'", "ü€"),
    ],
)  # fmt: skip
def test_strings(text: str, value: str) -> None:
    assert tree(one(text)) == ("Constant", value)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("``", []),
        ("````", ["`"]),
        ("` a // b /* c `", [" a // b /* c "]),
        ("`//a{1}//b`", ["//a", ("Constant", 1), "//b"]),
        ("`{{{1}}}`", ["{", ("Constant", 1), "}"]),
        ("`{1}{'}'}`", [("Constant", 1), ("Constant", "}")]),
        ("`{ {a: 1} }`", [("ThingLiteral", [("Pair", "a", ("Constant", 1))])]),
        ("`{`in {x}`}`", [("Template", ["in ", ("Name", "x")])]),
        ("`{{a}}`", ["{a}"]),
        ("`a\n'b`", ["a\n'b"]),
    ],
)
def test_templates(text: str, parts: list[object]) -> None:
    assert tree(one(text)) == ("Template", parts)


@pytest.mark.parametrize("text", ["`a", "`a{`", "`a}`", "`{}`", "`{1;2}`", "`{1 2}`", "`{1}}`", "`a` `b`"])
def test_what_is_no_template(text: str) -> None:
    refused(text)


def test_regular_expressions_stand_where_an_operand_is_expected() -> None:
    assert tree(one("/a b/im")) == ("RegexLiteral", "a b", "im")
    assert tree(one(r"/a\/b/")) == ("RegexLiteral", r"a\/b", "")
    assert tree(one(r"/\/[*]/")) == ("RegexLiteral", r"\/[*]", "")
    assert same("12/3/2", "12 / 3 / 2")
    assert same("x/y/2", "x / y / 2")
    assert tree(one("[4/2, /6/]")) == (
        "ListLiteral",
        [("Binary", "/", ("Constant", 4), ("Constant", 2)), ("RegexLiteral", "6", "")],
    )
    for text in ["/a", "/a\nb/", "/[/]/", "/a/I", "/*a/", "/"]:
        refused(text)


def test_names() -> None:
    assert tree(one("a" * 255)) == ("Name", "a" * 255)
    for word in ["ifx", "nilly", "infinity", "_", "A1", "inn", "returnx", "True"]:
        assert tree(one(word)) == ("Name", word)
    assert "255" in refused("a" * 256)
    assert "255" in refused("x." + "a" * 256)
    for text in ["é=1", "aé", "1a", "a$b", "#1", "@", "a b"]:
        refused(text)


# --- words as names


@pytest.mark.parametrize("word", ["if", "for", "in", "else", "break", "continue"])
def test_words_that_can_be_variables(word: str) -> None:
    assert tree(one(f"{word} = 5")) == ("Assign", word, "", ("Constant", 5))
    assert tree(one(f"{word} += 5")) == ("Assign", word, "+", ("Constant", 5))
    assert tree(one(f"{word}.x")) == ("Chain", ("Name", word), [("GetProperty", "x", "False")])
    assert tree(one(f"{word}{{a: 1}}")) == ("Instance", word, [("Pair", "a", ("Constant", 1))])
    assert tree(one(f"{word}()")) == ("Call", word, [])
    if word not in ("break", "continue"):
        assert tree(one(word)) == ("Name", word)


@pytest.mark.parametrize("word", ["nil", "true", "false", "inf", "nan", "return"])
def test_words_that_can_not(word: str) -> None:
    refused(f"{word} = 5")
    refused(f"{word} += 5")


@pytest.mark.parametrize(
    "word",
    "if for in else break continue nil true false inf nan return a".split(),  # noqa: SIM905
)
def test_any_word_is_a_property_key_parameter_member_or_loop_variable(word: str) -> None:
    assert tree(one(f"x.{word}")) == ("Chain", ("Name", "x"), [("GetProperty", word, "False")])
    assert tree(one(f".{word}(1)")) == ("Chain", ("Root",), [("CallMethod", word, [("Constant", 1)], "False")])
    assert tree(one(f"{{{word}: 1}}")) == ("ThingLiteral", [("Pair", word, ("Constant", 1))])
    assert tree(one(f"{{a: 1, {word}:}}"))[1][1] == ("Pair", word, None)
    assert tree(one(f"T{{{word}:}}")) == ("Instance", "T", [("Pair", word, None)])
    assert tree(one(f"E{{{word}}}")) == ("Member", "E", word)
    assert tree(one(f"|{word}, {word}| 1")) == ("ClosureLiteral", [word, word], ("Constant", 1))
    if word != "return":
        assert tree(one(f"for ({word}, {word} in x) y"))[1] == [word, word]


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("if(1)", 1), ("if()", 0), ("if(1,2)", 2), ("if(1,)", 1), ("if(1,2,)", 2), ("for()", 0), ("for(x)", 1),
        ("for(a,b,)", 2), ("if(a,b,c)", 3), ("else(1)", 1), ("break(1)", 1),
    ],
)  # fmt: skip
def test_what_does_not_fit_as_a_statement_is_a_call(text: str, count: int) -> None:
    call = one(text)
    assert isinstance(call, nodes.Call)
    assert (call.name, len(call.arguments)) == (text.split("(")[0], count)


@pytest.mark.parametrize(
    "body", ["|x| x", "||5", "-1", "+a", "/re/", "[0]", "(1)", "{}", "{1; 2}", "&{a: 1}", ".x", "`t`", "!a", "~a"]
)
def test_what_follows_a_condition_is_its_body_where_it_can_be(body: str) -> None:
    condition = one(f"if(1){body}")
    assert isinstance(condition, nodes.If)
    assert tree(condition.body) == tree(one(body))


def test_what_can_be_no_body_goes_on_from_the_call() -> None:
    call = ("Call", "if", [("Constant", 1)])
    assert tree(one("if(1) * 2")) == ("Binary", "*", call, ("Constant", 2))
    assert tree(one("if(1) ? 2 : 3")) == ("Ternary", call, ("Constant", 2), ("Constant", 3))


# --- grammar


def test_precedence() -> None:
    levels = ["||", "&&", "==", "|", "^", "&", "<<", "+", "*"]
    for index, loose in enumerate(levels):
        for tight in levels[index + 1 :]:
            left, right = tree(one(f"a {tight} b {loose} c")), tree(one(f"a {loose} b {tight} c"))
            assert left[1:2] == right[1:2] == (loose,)
            assert left[2][1] == right[3][1] == tight
    for level in [["==", "!=", "<=", ">=", "<", ">"], ["<<", ">>"], ["+", "-"], ["*", "/", "%"]]:
        for first in level:
            for second in level:
                grouped = tree(one(f"a {first} b {second} c"))
                assert (grouped[1], grouped[2][1]) == (second, first)
    assert tree(one("a || b || c"))[2][0] == "Logical"
    assert tree(one("a + b * c ? d : e ? f : g"))[0] == "Ternary"
    assert tree(one("a ? b : c ? d : e"))[3][0] == "Ternary"
    assert tree(one("x = 1 ? 2 : 3"))[0] == "Assign"


def test_bodies_and_right_sides_take_all_they_can() -> None:
    assert tree(one("if(a){1}+1"))[2] == ("Binary", "+", ("Block", [("Constant", 1)]), ("Constant", 1))
    assert tree(one("|x| x || 5"))[2] == ("Logical", "||", ("Name", "x"), ("Constant", 5))
    assert tree(one("1 + a = 5"))[3] == ("Assign", "a", "", ("Constant", 5))
    assert tree(one("!a = 1")) == ("Unary", "!", ("Assign", "a", "", ("Constant", 1)))
    assert tree(one("if(a) if(b) 1 else 2")) == (
        "If", ("Name", "a"), ("If", ("Name", "b"), ("Constant", 1), ("Constant", 2)), None,
    )  # fmt: skip
    assert tree(one("[return 1, 2]")) == ("ListLiteral", [("Return", ("Constant", 1), ("Constant", 2), None)])


def test_braces() -> None:
    assert tree(one("{}")) == ("ThingLiteral", [])
    assert tree(one("{a}")) == ("Block", [("Name", "a")])
    assert tree(one("{a;}")) == ("Block", [("Name", "a")])
    assert tree(one("{a: 1,}")) == ("ThingLiteral", [("Pair", "a", ("Constant", 1))])
    assert tree(one("{a:, b:}")) == ("ThingLiteral", [("Pair", "a", None), ("Pair", "b", None)])
    assert tree(one("T{}")) == ("Instance", "T", [])
    assert tree(one("T{||1}")) == ("Member", "T", ("ClosureLiteral", [], ("Constant", 1)))
    assert tree(one("&{}")) == ("Anonymous", [])
    assert tree(one("a &{1}")) == ("Binary", "&", ("Name", "a"), ("Block", [("Constant", 1)]))
    assert tree(one("return &{a: 1}, 2")) == (
        "Return", ("Anonymous", [("Pair", "a", ("Constant", 1))]), ("Constant", 2), None,
    )  # fmt: skip
    for text in ["{;}", "{1:2}", "{a,}", "{,}", "{'a': 1}", "T{1}", "T{a,b}", "T{a,}", "&{b}", "{a: 1; b}", "{", "{1"]:
        refused(text)


def test_chains() -> None:
    assert tree(one("a.b[0].c(1)..d = 2")) == (
        "Chain",
        ("Name", "a"),
        [
            ("GetProperty", "b", "False"),
            ("GetItem", ("Constant", 0)),
            ("CallMethod", "c", [("Constant", 1)], "False"),
            ("SetProperty", "d", "", ("Constant", 2), "True"),
        ],
    )
    assert tree(one("..a")) == ("Chain", ("Root",), [("GetProperty", "a", "True")])
    assert tree(one("-x.y[0]")) == ("Unary", "-", tree(one("x.y[0]")))
    assert tree(one("(a.b).c"))[1][0] == "Parenthesis"
    for text in ["x()=1", "(x)=1", "'a'='b'", "f()()", "(||1)(1)", "(f)()", ".[0]", ".'a'", "a.", ".1a", "[1]=2"]:
        refused(text)


def test_slices() -> None:
    assert tree(one("x[]"))[2] == [("GetSlice", None, None, None, 0)]
    assert tree(one("x[:]"))[2] == [("GetSlice", None, None, None, 1)]
    assert tree(one("x[::]"))[2] == [("GetSlice", None, None, None, 2)]
    assert tree(one("x[1:2:3]"))[2] == [("GetSlice", ("Constant", 1), ("Constant", 2), ("Constant", 3), 2)]
    assert tree(one("x[::3]"))[2] == [("GetSlice", None, None, ("Constant", 3), 2)]
    assert tree(one("x[a?1:2:3]"))[2] == [("GetSlice", tree(one("a?1:2")), ("Constant", 3), None, 1)]
    assert tree(one("x[1:] += y"))[2] == [("SetSlice", ("Constant", 1), None, None, "+", ("Name", "y"), 1)]
    assert tree(one("x[0] -= y"))[2] == [("SetItem", ("Constant", 0), "-", ("Name", "y"))]
    for text in ["x[1:2:3:4]", "x[1,2]", "x[1 2]", "x[", "x[1"]:
        refused(text)


def test_prefixes() -> None:
    assert tree(one("~ ~!- a")) == ("Unary", "~~!-", ("Name", "a"))
    for text in ["-~5", "!~5", "!if(a){1}", "-{1}", "!return 5", "!return", "~return(5)", "!|x|x", "!", "-"]:
        refused(text)


def test_closures() -> None:
    assert tree(one("||1")) == tree(one("| |1")) == ("ClosureLiteral", [], ("Constant", 1))
    assert tree(one("|a,|1")) == ("ClosureLiteral", ["a"], ("Constant", 1))
    assert tree(one("|a||b|a")) == ("ClosureLiteral", ["a"], ("ClosureLiteral", ["b"], ("Name", "a")))
    assert tree(one("||||1")) == ("ClosureLiteral", [], ("ClosureLiteral", [], ("Constant", 1)))
    assert tree(one("a||b|c|d"))[1] == "||"
    for text in ["|x|", "||", "|x y|x", "|x,,y|x", "|,|x", "|1|1", "|x=1|x"]:
        refused(text)


@pytest.mark.parametrize(
    "text",
    [
        "for(in [1])1", "for(x,in [1])1", "for(x in)1", "for(1 in x)1", "for(.x in y)1", "for(x y in z)1",
        "for(x in [1])", "for(x of y)1", "for(a.b in x)1", "for('a' in x)1", "for((a) in x)1", "for x in y {1}",
    ],
)  # fmt: skip
def test_what_is_no_loop(text: str) -> None:
    refused(text)


def test_a_method_call_may_follow_a_block_at_the_start_of_a_statement() -> None:
    chain = one("{.home}.watch().id")
    assert isinstance(chain, nodes.Chain)
    assert isinstance(chain.head, nodes.Block)
    assert [type(link) for link in chain.links] == [nodes.CallMethod, nodes.GetProperty]
    assert len(parse("{.home}.watch(); {.home}.id();").statements) == 2
    for text in ["{1}.len()", "{a}.b", "{a}[0]", "x = {a}.b()", "f({a}.b())", "if(a){b}.c()", "|x|{x}.c()", "-{a}.b()"]:
        refused(text)
    refused("{.home}.watch() + 1")


# --- offsets


def test_a_closure_reaches_to_the_end_of_its_statement() -> None:
    text = "x = |a| a + /* b */ 1 // c\n ; |b| b ; f(|c| c  , 1); |d| |e| e /* f */"
    closures = [node for node in every(parse(text)) if isinstance(node, nodes.ClosureLiteral)]
    assert sorted(text[closure.start : closure.end] for closure in closures) == [
        "|a| a + /* b */ 1 // c\n ", "|b| b ", "|c| c  ", "|d| |e| e /* f */", "|e| e /* f */",
    ]  # fmt: skip


@settings(max_examples=200, deadline=None)
@given(sources())
def test_offsets_cut_out_what_a_node_was_parsed_from(text: str) -> None:
    try:
        query = parse(text)
    except SyntaxFailed:
        return
    alone = (nodes.GetProperty, nodes.CallMethod, nodes.GetItem, nodes.GetSlice, nodes.SetProperty, nodes.SetItem)
    for node in every(query):
        if isinstance(node, (nodes.Query, nodes.Root, nodes.Pair, nodes.SetSlice, *alone)):
            continue
        source = text[node.start : node.end]
        assert source
        if not isinstance(node, (nodes.Binary, nodes.Logical)):  # which may be cut out of a tighter expression
            assert tree(one(source)) == tree(node)


# --- limits


@pytest.mark.parametrize(
    ("opening", "inner", "closing", "most"),
    [
        ("(", "1", ")", 500),
        ("[", "1", "]", 500),
        ("f(", "1", ")", 500),
        ("x[", "1", "]", 500),
        ("{a:", "1", "}", 500),
        ("T{a:", "1", "}", 500),
        ("&{a:", "1", "}", 500),
        ("{", "1", "}", 500),
        ("if(a){", "1", "}", 250),
        ("for(a in b)", "1", "", 500),
        ("||", "1", "", 500),
        ("x=", "1", "", 500),
        (".x=", "1", "", 500),
        ("x[0]=", "1", "", 500),
        ("1+", "1", "", 500),
        ("1&&", "1", "", 500),
        ("1*2+", "1", "", 250),
        ("1?2:", "1", "", 500),
        ("return ", "1", "", 500),
        ("`{", "1", "}`", 500),
        ("if(a)1 else ", "1", "", 500),
        ("f(1,", "1", ")", 500),
    ],
)
def test_statements_nest_501_deep(opening: str, inner: str, closing: str, most: int) -> None:
    parse(opening * most + inner + closing * most)
    assert "501" in refused(opening * (most + 1) + inner + closing * (most + 1))


@pytest.mark.parametrize(
    "text",
    [
        "1;" * 10_000, "-" * 10_000 + "x", "~" * 10_000 + "!" * 10_000 + "x", "x" + ".map(|y|y)" * 5_000,
        "[" + "1," * 20_000 + "]", "nil" + "..a" * 10_000, "x" + "[0]" * 10_000, "'" + "a''" * 300_000 + "'",
        "{a:" + "(" * 450 + "1" + ")" * 450 + "}", "`" + "{1}" * 5_000 + "`", "f(" + "1+1," * 5_000 + "1)",
        "/*" + "(" * 5_000 + "*/1",
    ],
)  # fmt: skip
def test_what_has_no_limit(text: str) -> None:
    assert parse(text).statements


def test_deep_nesting_that_is_refused_harms_nothing() -> None:
    refused("(" * 50_000)
    refused("(" * 20_000 + "1" + ")" * 20_000)
    refused("1" + "+1" * 20_000)
    refused("x" + "=y" * 20_000)


# --- messages


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 2", "line 1, column 3: found '2' where an operator, ';' or the end was expected"),
        ("a = 1;\nb = = 2", "line 2, column 5: found '=' where a value was expected"),
        ("f(1", "line 1, column 4: found the end where ',' or ')' was expected"),
        ("x.5", "line 1, column 3: found '5' where a name was expected"),
        ("a ? b", "line 1, column 6: found the end where ':' was expected"),
        ("x = \"abc", 'line 1, column 5: a string begins here and has no closing "'),
        ("1 + /abc", "line 1, column 5: a regular expression begins here and has no closing '/' on its line"),
        ("1 + /* abc", "line 1, column 5: a comment begins here and has no '*/'"),
        ("1 /* abc", "line 1, column 3: a comment begins here and has no '*/'"),
        ("`abc", "line 1, column 5: a template has no closing '`'"),
        ("`a}b`", "line 1, column 3: found '}' alone in a template, where a brace that is text is written twice"),
        ("5.foo", "line 1, column 1: '5.foo' is no number, and no name can begin with a digit"),
        ("for(1 in x) y", "line 1, column 1: a loop is written for(NAME, NAME, … in VALUE); '1' is no name"),
    ],
)  # fmt: skip
def test_a_message_says_where_what_and_what_instead(text: str, message: str) -> None:
    assert refused(text) == message


@settings(max_examples=300, deadline=None)
@given(sources(), st.integers(0, 300), st.integers(0, 5), st.text("()[]{}|&;:,.'\"`/*+-!~= \n1aé\ud800#", max_size=3))
def test_a_broken_text_gets_a_message_and_nothing_worse(text: str, at: int, gone: int, instead: str) -> None:
    broken = text[:at] + instead + text[at + gone :]
    try:
        parse(broken)  # whatever else it raises fails the test
    except SyntaxFailed as refusal:
        message = refusal.message
    else:
        return
    assert re.match(r"line \d+, column \d+: .", message)
    assert not message.endswith("where  was expected")


@settings(max_examples=100, deadline=None)
@given(sources())
def test_tokens_and_the_blanks_between_them_are_the_text(text: str) -> None:
    try:
        tokens = tokenise(text)
    except SyntaxFailed:
        return
    end = 0
    for token in tokens:
        start = token.start_pos
        assert start is not None
        assert parse(text[end:start]).statements == []
        assert text[start : token.end_pos] == token
        end = token.end_pos or 0


@pytest.mark.parametrize("text", ["1.watch()", "1.5.unwatch()", "-1.emit('x')", "0xff.watch()"])
def test_a_number_may_be_followed_by_a_method_of_the_older_language(text: str) -> None:
    chain = parse(text).statements[0]
    assert isinstance(chain, nodes.Chain)
    assert isinstance(chain.head, nodes.Constant)
    assert isinstance(chain.links[0], nodes.CallMethod)
