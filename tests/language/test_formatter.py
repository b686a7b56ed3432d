"""Closures as text."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from engine.errors import BadDataError, LookupFailed, SyntaxFailed
from engine.language.formatter import as_written, compact, doc, layout, parse_closure, pretty
from engine.language.parser import parse
from tests.language.trees import closures, tree


def test_as_written() -> None:
    text = "x = |a|  a  +  1 /* one */ ; 2"
    value = parse(text).statements[0].value  # type: ignore[attr-defined]
    assert as_written(value, text) == "|a|  a  +  1 /* one */ "


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("|x,  y| { a = x;  /* note */ return a; }", "|x,y|{a=x;return a;}"),
        ("|x|'a  b' + x // c", "|x|'a  b'+x"),
        ("|| `p // {x + 1}  q /* */`", "||`p // {x+1}  q /* */`"),
        ("| | /a b/i", "||/a b/i"),
        ("||return  5, 2", "||return 5,2"),
        ("||return(5)", "||return(5)"),
        ("||return /* c */ 'x'", "||return 'x'"),
        ("||return/**/x", "||return x"),
        ("||{if (true) 1 else 2}", "||{if(true)1 else 2}"),
        ("||{if (true) {1}else{2}}", "||{if(true){1}else{2}}"),
        ("||{if (true) {1}\n else\n {2}}", "||{if(true){1} else {2}}"),
        ("||{for (x in [1]) {x}; 1}", "||{for(x in [1]){x};1}"),
        ("||{a; ; /* ; */ ; b ;}", "||{a;;;b;}"),
        ("|| {in : 1, else : 2}", "||{in:1,else:2}"),
        ("|| x . in ( 1 )", "||x.in(1)"),
        # without these blanks the text would mean something else
        ("|| 5 .foo", "||5 .foo"),
        ("|| 5 ..foo", "||5 ..foo"),
        ("|| a / /b/", "||a/ /b/"),
        ("|| a & &{b: 1}", "||a& &{b:1}"),
        ("|| a | |b| c", "||a| |b|c"),
        ("|| a | || c", "||a| ||c"),
        ("|| a || || c", "||a||||c"),
        ("|| - -5", "||--5"),
        ("|| `{ { { a } } }{ {} }b{ {} }`", "||`{ {{a}}}{ {}}b{ {}}`"),
        ("|| { { a } }", "||{{a}}"),
        ("|| return & {}", "||return & {}"),
        ("|| if (1) & {a}", "||if(1)& {a}"),
        ("|| a & {b}", "||a&{b}"),
    ],
)
def test_compact(source: str, text: str) -> None:
    assert compact(source) == text
    assert compact(text) == text
    assert tree(parse(text)) == tree(parse(source))


def test_compact_refuses_what_does_not_parse() -> None:
    with pytest.raises(SyntaxFailed):
        compact("|x| {")


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("|x|  x+1", "|x| x + 1"),
        ("|a,b,|a*b", "|a, b| a * b"),
        ("| |nil", "|| nil"),
        ("|x|  |y|  x+y", "|x| |y| x + y"),
        ("||-a*!b", "|| -a * !b"),
        ("||~ ~!a", "|| ~~!a"),
        ("||if(a)b else c", "|| if (a) b else c"),
        ("||if(a){b}", "|| if (a) {\n\tb;\n}"),
        ("||if(a){b;{c}}else{d}", "|| if (a) {\n\tb;\n\t{\n\t\tc;\n\t};\n} else {\n\td;\n}"),
        ("||for(a,b in c){d;break;continue}", "|| for (a, b in c) {\n\td;\n\tbreak;\n\tcontinue;\n}"),
        ("||return a,2,NO_IDS", "|| return a, 2, NO_IDS"),
        ("||return", "|| return"),
        ("||(a+b)*c", "|| (a + b) * c"),
        ("||f(a,b,)", "|| f(a, b)"),
        ("||.x+=1", "|| .x += 1"),
        ("||x=y", "|| x = y"),
        ("||a[1:2:3]", "|| a[1:2:3]"),
        ("||[a[],a[:],a[1:],a[::2]]", "|| [\n\ta[],\n\ta[:],\n\ta[1:],\n\ta[::2],\n]"),
        ("||a[0]=5", "|| a[0] = 5"),
        ("||a[1:]=b", "|| a[1:] = b"),
        ("||x[1][2]", "|| x[1][2]"),
        ("||a..b", "|| a..b"),
        ("||..a..b()", "|| ..a..b()"),
        ("||`a {b+c}`", "|| `a {b+c}`"),
        ("||[1,]", "|| [1]"),
        ("||[]", "|| []"),
        ("||{a:1,}", "|| {a: 1}"),
        ("||{a:1,b:}", "|| {\n\ta: 1,\n\tb:,\n}"),
        ("||T{a:[1,2]}", "|| T{a: [\n\t1,\n\t2,\n]}"),
        ("||&{a:'int',b:'str'}", "|| &{\n\ta: 'int',\n\tb: 'str',\n}"),
        ("||[E{A},E{||'A'}]", "|| [\n\tE{A},\n\tE{|| 'A'},\n]"),
        ("||[1,return 2]", "|| [\n\t1,\n\treturn 2\n]"),
        ("||[1,return 2,3,4]", "|| [\n\t1,\n\treturn 2, 3, 4,\n]"),
        ("||{'a\n\tb';`c\nd`}", "|| {\n\t'a\n\tb';\n\t`c\nd`;\n}"),
        ("||0x1F+1.50/*c*/+'it''s'+\"x\"", "|| 0x1F + 1.50 + 'it''s' + \"x\""),
        ("||5 .foo", "|| 5 .foo"),
        ("||-5 .foo", "|| -5 .foo"),
        ("||inf.foo", "|| inf.foo"),
        ("||5[0].a", "|| 5[0].a"),
        ("||nil.a", "|| nil.a"),
        ("||a?b:c", "|| a ? b : c"),
        ("||" + "a" * 18 + "?" + "b" * 10 + ":" + "c" * 10, "|| " + "a" * 18 + " ? " + "b" * 10 + " : " + "c" * 10),
        ("||" + "a" * 18 + "?" + "b" * 11 + ":" + "c" * 10,
         "|| " + "a" * 18 + "\n\t? " + "b" * 11 + "\n\t: " + "c" * 10),
        ("||.a.b.c()", "|| .a.b.c()"),
        ("||x." + "a" * 13 + "()." + "b" * 21 + "()." + "c" * 14 + "()[0]",
         "|| x." + "a" * 13 + "()\n\t." + "b" * 21 + "()\n\t." + "c" * 14 + "()[0]"),
        ("||." + "a" * 13 + "." + "b" * 20 + "." + "c" * 14 + "()",
         "|| ." + "a" * 13 + "." + "b" * 20 + "." + "c" * 14 + "()"),
        ("||x." + "a" * 40 + ".b=1", "|| x." + "a" * 40 + "\n\t.b = 1"),
        ("||{x." + "a" * 40 + ".map(|b|{c}).d}",
         "|| {\n\tx." + "a" * 40 + "\n\t\t.map(|b| {\n\t\t\tc;\n\t\t})\n\t\t.d;\n}"),
    ],
)  # fmt: skip
def test_pretty(source: str, text: str) -> None:
    assert pretty(source) == text
    assert tree(parse(text)) == tree(parse(source))


@settings(max_examples=400, deadline=None)
@given(closures())
def test_every_form_means_what_was_written(source: str) -> None:
    try:
        closure = parse_closure(source)
    except SyntaxFailed:
        return
    meaning = tree(closure)
    for text in (compact(source), pretty(source), pretty(compact(source)), as_written(closure, source)):
        assert tree(parse_closure(text)) == meaning
    assert compact(compact(source)) == compact(source)
    assert compact(pretty(source)).count(" ") <= source.count(" ") + source.count("\n") + source.count("\t")


def test_deep_closures_can_be_laid_out() -> None:
    for source in ["||" + "(" * 490 + "1" + ")" * 490, "||" + "||" * 490 + "1", "||" + "1+" * 490 + "1"]:
        assert compact(pretty(source)) == source
    text = "if(a){" * 200 + "b" + "}" * 200
    assert layout(parse(text).statements[0], text).endswith("\t\t};\n\t};\n}")


@pytest.mark.parametrize("text", ["||5", " |a| a ", "||1;", "|| 1 ;; // end", "/* a */ || 1"])
def test_parse_closure(text: str) -> None:
    assert parse_closure(text).body


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("x", LookupFailed), ("5", LookupFailed), ("(||1)", LookupFailed), ("x = ||1", LookupFailed),
        ("", BadDataError), (" // a", BadDataError), ("|x|x; 1", BadDataError),
        ("|x|{", SyntaxFailed), ("|x|", SyntaxFailed), ("|| break", SyntaxFailed), ("|| || continue", SyntaxFailed),
    ],
)  # fmt: skip
def test_what_is_no_closure(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        parse_closure(text)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("||{'my doc'; 1}", "my doc"), ("||{'only'}", "only"), ('||{"it""s"; 1}', 'it"s'),
        ("||{ /* c */ 'd5'; 1}", "d5"), ("||{'d'.len(); 1}", "d"), ("||{'d'[0]; 1}", "d"),
        ("||nil", ""), ("||'x'", ""), ("||{1; 'x'}", ""), ("||{`x`; 1}", ""), ("||{{'x'; 1}; 2}", ""),
        ("||{'a'+'b'; 1}", ""), ("||{return 'x'}", ""), ("||{a = 'x'; 1}", ""), ("||{('x'); 1}", ""),
        ("||wse({'x'; 1})", ""), ("||if(a){'x'; 1}", ""), ("||{}", ""), ("||{a: 'x'}", ""), ("||{.x; 'y'}", ""),
    ],
)  # fmt: skip
def test_doc(source: str, text: str) -> None:
    assert doc(parse_closure(source)) == text
