"""What the text of a query says before it runs: does it need a change, and are `break` and `continue` in a loop?

Rules: specification, language 10 and 12, things 5, lists 4 and 8.5, time and procedures 3 and 6. They look at names as
written, not at what a name turns out to be, and at dead code like at any other.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Protocol

from engine.errors import SyntaxFailed
from engine.functions.registry import FUNCTIONS
from engine.language import nodes
from engine.language.nodes import Node
from engine.language.syntax_errors import line_and_column

__all__ = [
    "BUILT_IN",
    "MUTATORS",
    "RECEIVER_MUTATORS",
    "TASK_MUTATORS",
    "Functions",
    "analyse",
    "check_loops",
]

MUTATORS: Final = frozenset(
    ("assign", "clear", "del", "remove", "ren", "restrict", "set", "set_name", "to_thing", "to_type")
)
"""Methods that need a change in a collection, whatever stands before them."""

RECEIVER_MUTATORS: Final = frozenset(
    ("add", "extend", "extend_unique", "fill", "pop", "push", "shift", "splice", "unshift")
)
"""Methods that need a change in a collection, unless called on what can only be a value of the query's own."""

CERTAIN_THINGS: Final = frozenset(("root", "thing"))
"""Functions that can give nothing but a thing. On what they give, and on the root, `emit` needs a change in a
collection. Other values have an `emit` too that needs none (rooms), so elsewhere the call itself turns the query into
a change when it finds a thing."""

TASK_MUTATORS: Final = frozenset(("again_at", "again_in", "cancel", "set_args", "set_closure", "set_owner"))
"""Methods that need a change in collections and in the thingsdb scope, even under `nse`."""

# By kind of scope: the methods that `nse` holds back, and those that it doesn't. Tasks have a `del` too, but as a thing
# has one by that name, `nse` holds it back.
_METHODS: Final[dict[str, tuple[frozenset[str], frozenset[str]]]] = {
    "C": (MUTATORS | RECEIVER_MUTATORS, TASK_MUTATORS),
    "T": (frozenset(("del",)), TASK_MUTATORS),
    "N": (frozenset(), frozenset()),
}


class Functions(Protocol):
    """What the analysis has to know about the built-in functions. A scope is `"C"`, `"T"` or `"N"`."""

    def is_function(self, name: str, scope: str) -> bool:
        """Is there a built-in function of this name in this kind of scope?"""

    def changes(self, name: str, scope: str) -> bool:
        """Does a call of this function always make a change, even under `nse`?"""


class _Registry:
    def is_function(self, name: str, scope: str) -> bool:
        function = FUNCTIONS.get(name)
        return function is not None and scope in function.scopes

    def changes(self, name: str, scope: str) -> bool:
        function = FUNCTIONS.get(name)
        return function is not None and function.changes_in(scope)


BUILT_IN: Final[Functions] = _Registry()
"""The functions that the engine's pages declare."""


def analyse(code: nodes.Query | nodes.ClosureLiteral, scope: str, functions: Functions = BUILT_IN) -> bool:
    """Does the code need a change in a scope of this kind (`"C"`, `"T"` or `"N"`)?

    Sets `has_effects` of each closure literal in it, which also depends on the kind of scope. Raises SyntaxFailed
    where a `break` or `continue` has no loop.
    """
    if isinstance(code, nodes.Query):
        return _walk(code.statements, code.text, scope, functions)
    return _walk((code,), "", scope, functions)


def check_loops(query: nodes.Query) -> None:
    """Raise SyntaxFailed where a `break` or `continue` has no loop."""
    _walk(query.statements, query.text, "N", BUILT_IN)


class _Step:
    """Something to do between two nodes."""


_ASSIGNED: Final = _Step()
_LOOP_BEGINS: Final = _Step()
_LOOP_ENDS: Final = _Step()


class _Detached(_Step):
    """A closure literal that does not count for what it stands in."""

    def __init__(self, closure: nodes.ClosureLiteral) -> None:
        self.closure = closure


class _ClosureEnds(_Step):
    def __init__(self, closure: nodes.ClosureLiteral, found: bool, loops: int, suppressed: bool | None) -> None:
        self.closure = closure
        self.found = found  # what was known before it
        self.loops = loops
        self.suppressed = suppressed  # for a detached one, else None: `nse` in a closure holds on after it


def _walk(statements: Sequence[Node], text: str, scope: str, functions: Functions) -> bool:
    """Visit all nodes in the order of the text. A loop and not a recursion: chains and literals have no limit, and
    what nests 501 deep would be too deep for Python's stack."""
    in_collection = scope == "C"
    mutators, always = _METHODS[scope]

    found = False  # something that needs a change, in the query or the closure at hand
    suppressed = False  # by an `nse` earlier in the text
    loops = 0  # around the node at hand, in its own closure
    waiting: list[Node | _Step | None] = [*reversed(statements)]
    while waiting:
        node = waiting.pop()
        match node:
            case nodes.Constant() | nodes.Name() | nodes.GetProperty() | nodes.Root() | None:
                pass
            case nodes.Chain(head, links):
                waiting += reversed(links)
                first = links[0]
                if (
                    type(first) is nodes.CallMethod
                    and first.name in RECEIVER_MUTATORS
                    and _is_own(head, scope, functions)
                ):
                    waiting.pop()
                    waiting += reversed(first.arguments)
                elif type(first) is nodes.CallMethod and first.name == "emit" and _is_thing(head):
                    found = found or (in_collection and not suppressed)
                waiting.append(head)
            case nodes.CallMethod(name, arguments):
                if (name in mutators and not suppressed) or name in always:
                    found = True
                waiting += reversed(arguments)
                if name == "then" or name == "else":
                    _detach_first(arguments, waiting)
            case nodes.Call(name, arguments):
                if name == "nse":
                    suppressed = True
                elif (name == "wse" and scope != "N") or functions.changes(name, scope):
                    found = True
                waiting += reversed(arguments)
                if name == "future":
                    _detach_first(arguments, waiting)
            case nodes.Binary() | nodes.Logical():
                waiting += (node.right, node.left)
            case nodes.Assign() | nodes.Pair():
                waiting.append(node.value)
            case nodes.SetProperty():
                if in_collection and not suppressed:
                    found = True
                waiting.append(node.value)
            case nodes.GetItem():
                waiting.append(node.index)
            case nodes.SetItem():
                waiting += (node.value, _ASSIGNED, node.index)
            case nodes.GetSlice():
                waiting += (node.step, node.stop, node.first)
            case nodes.SetSlice():
                waiting += (node.value, _ASSIGNED, node.step, node.stop, node.first)
            case nodes.Parenthesis():
                waiting.append(node.inner)
            case nodes.Unary():
                waiting.append(node.operand)
            case nodes.Block():
                waiting += reversed(node.statements)
            case nodes.If():
                waiting += (node.orelse, node.body, node.test)
            case nodes.Ternary():
                waiting += (node.no, node.yes, node.test)
            case nodes.Return():
                waiting += (node.flags, node.deep, node.value)
            case nodes.ListLiteral():
                waiting += reversed(node.items)
            case nodes.ThingLiteral() | nodes.Anonymous() | nodes.Instance():
                waiting += reversed(node.pairs)
            case nodes.Template():
                waiting += [part for part in reversed(node.parts) if isinstance(part, Node)]
            case nodes.Member():
                if isinstance(node.member, nodes.ClosureLiteral):
                    waiting.append(node.member)
            case nodes.ClosureLiteral():
                node.held_back = suppressed
                waiting += (_ClosureEnds(node, found, loops, None), node.body)
                found, loops = False, 0
            case nodes.For():
                waiting += (_LOOP_ENDS, node.body, _LOOP_BEGINS, node.iterable)
            case nodes.Break() | nodes.Continue():
                if not loops:
                    word = "break" if isinstance(node, nodes.Break) else "continue"
                    where = line_and_column(text, node.start)
                    raise SyntaxFailed(f"{where}: {word} must stand in a for loop, in the same closure as the loop")
            case _Step():
                if node is _ASSIGNED:
                    if in_collection and not suppressed:
                        found = True
                elif node is _LOOP_BEGINS:
                    loops += 1
                elif node is _LOOP_ENDS:
                    loops -= 1
                elif isinstance(node, _Detached):
                    closure = node.closure
                    waiting += (_ClosureEnds(closure, found, loops, suppressed), closure.body)
                    found, loops, suppressed = False, 0, False
                elif isinstance(node, _ClosureEnds):
                    node.closure.has_effects = found
                    loops = node.loops
                    if node.suppressed is None:
                        found = found or node.found
                    else:
                        found, suppressed = node.found, node.suppressed
    return found


def _is_own(receiver: Node, scope: str, functions: Functions) -> bool:
    """Can the receiver as written be a value of the query's own: a variable, a list literal, what a function made?"""
    while isinstance(receiver, nodes.Parenthesis):
        receiver = receiver.inner
        if isinstance(receiver, nodes.Assign):  # `(x = []).push(1)`
            return True
    if isinstance(receiver, nodes.Call):
        return functions.is_function(receiver.name, scope)
    return isinstance(receiver, (nodes.Name, nodes.ListLiteral))


def _is_thing(receiver: Node) -> bool:
    """Does the receiver as written say that it is a thing?"""
    if isinstance(receiver, nodes.Call):
        return receiver.name in CERTAIN_THINGS
    return isinstance(receiver, nodes.Root)


def _detach_first(arguments: list[Node], waiting: list[Node | _Step | None]) -> None:
    """The first argument has just been put on top of `waiting`: where it is a closure literal, let it count apart."""
    if arguments and isinstance(arguments[0], nodes.ClosureLiteral):
        waiting[-1] = _Detached(arguments[0])
