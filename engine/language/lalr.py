"""The loop that runs Lark's LALR tables over a text that fits the grammar.

Lark builds the tables and the scanners; its own loop serves every grammar and every wish, which costs half of what
compiling a query costs. This one does what our grammar needs: no lines, no columns, no recovery. A text that does not
fit is for Lark's loop, which knows what was expected. Both call the same callbacks.
"""

from __future__ import annotations

from collections.abc import Callable
from re import Match
from sys import intern
from typing import Any, TypeAlias

from lark import Lark
from lark.parsers.lalr_analysis import Shift

__all__ = ["Tables", "Word"]


class Word(str):
    """A token's text, with its offsets. Lark's tokens have these too."""

    __slots__ = ("end_pos", "start_pos")

    start_pos: int
    end_pos: int


_Action: TypeAlias = "tuple[int, Callable[[list[Any]], Any] | None, str]"
"""Shift to a state, or go on in it: `(state, None, "")`. Reduce so many values: `(count, callback, rule's name)`."""

_Match: TypeAlias = Callable[[str, int], "Match[str] | None"]

_Scanner: TypeAlias = tuple[_Match, dict[str, dict[str, str]], frozenset[str]]
"""Matches what can come; words that are terminals of their own, by the terminal that matches them; what to skip."""

_State: TypeAlias = tuple[dict[str, _Action], _Match, dict[str, dict[str, str]], frozenset[str]]
"""What to do by the name of a terminal or rule, and the scanner for what can come."""

END = "$END"


def _scanner(lexer: Any) -> _Scanner:
    (pattern,) = lexer.scanner._mres
    words = {
        name: {terminal.pattern.value: terminal.name for terminal in callback.scanner.terminals}
        for name, callback in lexer.callback.items()
    }
    return pattern.match, words, frozenset(lexer.ignore_types)


class Tables:
    """The tables of a parser that Lark has made, with its contextual lexer and its transformer's callbacks."""

    def __init__(self, lark: Lark) -> None:
        frontend: Any = lark.parser
        table = frontend.parser._parse_table
        callbacks = frontend.parser.parser.callbacks
        (self._start,) = table.start_states.values()
        (self._end,) = table.end_states.values()
        self._states: dict[int, _State] = {}
        scanners: dict[int, _Scanner] = {}
        for state, actions in table.states.items():
            made: dict[str, _Action] = {}
            for name, (action, argument) in actions.items():
                if action is Shift:
                    made[intern(str(name))] = argument, None, ""
                else:
                    rule_name = intern(str(argument.origin.name))
                    made[intern(str(name))] = len(argument.expansion), callbacks[argument], rule_name
            lexer = frontend.lexer.lexers[state]
            if id(lexer) not in scanners:  # states in which the same can come share one
                scanners[id(lexer)] = _scanner(lexer)
            self._states[state] = made, *scanners[id(lexer)]

    def parse(self, text: str) -> Any:
        """What the callbacks made of the text; None when it does not fit. What they raise comes through."""
        states = self._states
        actions, match, words, skipped = states[self._start]
        path = [self._start]
        values: list[Any] = []
        place, size = 0, len(text)
        while True:
            token: Word | None = None
            name = END
            while place < size:
                found = match(text, place)
                if found is None:
                    return None
                name = found.lastgroup  # type: ignore[assignment]
                start, place = place, found.end()
                if name not in skipped:
                    token = Word(text[start:place])
                    token.start_pos = start
                    token.end_pos = place
                    special = words.get(name)
                    if special is not None:
                        name = special.get(token, name)
                    break
                name = END
            while True:
                action = actions.get(name)
                if action is None:
                    return None
                argument, callback, rule = action
                if callback is None:
                    path.append(argument)
                    values.append(token)
                    actions, match, words, skipped = states[argument]
                    break
                if argument:
                    children = values[-argument:]
                    del values[-argument:]
                    del path[-argument:]
                else:
                    children = []
                state = states[path[-1]][0][rule][0]
                path.append(state)
                values.append(callback(children))
                if state == self._end and name == END:
                    return values[-1]
                actions, match, words, skipped = states[state]
