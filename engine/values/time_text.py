"""Moments as text: `strftime` and `strptime` in the C locale (spec/time-and-procedures.md, sections 1.2 and 1.3)."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from engine.errors import ValueFailed
from engine.values.calendar import Fields, days_from_epoch

__all__ = ["Parsed", "format_fields", "offset_text", "parse_text"]

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November",
    "December",
)  # fmt: skip


def offset_text(seconds: int) -> str:
    """An offset as `%z` shows it."""
    minutes = abs(seconds) // 60
    return f"{'-' if seconds < 0 else '+'}{minutes // 60:02}{minutes % 60:02}"


def _week_of(fields: Fields, first: int) -> int:
    """The week of the year, weeks beginning on a weekday; 0 before the first one."""
    return (fields.yday + 7 - (fields.weekday - first) % 7) // 7


def _iso(fields: Fields) -> tuple[int, int]:
    """ISO 8601's year and week."""
    # A year with the same calendar that Python knows.
    known = (fields.year - 1) % 400 + 2001
    year, week, _ = date(known, fields.month, fields.day).isocalendar()
    return year - known + fields.year, week


def _twelve(hour: int) -> int:
    return hour % 12 or 12


FORMATS: dict[str, Callable[[Fields, int], str]] = {
    "a": lambda f, s: DAYS[f.weekday][:3],
    "A": lambda f, s: DAYS[f.weekday],
    "b": lambda f, s: MONTHS[f.month - 1][:3],
    "B": lambda f, s: MONTHS[f.month - 1],
    "h": lambda f, s: MONTHS[f.month - 1][:3],
    "c": lambda f, s: format_fields("%a %b %e %H:%M:%S %Y", f, s),
    "C": lambda f, s: f"{f.year // 100:02}",
    "d": lambda f, s: f"{f.day:02}",
    "D": lambda f, s: format_fields("%m/%d/%y", f, s),
    "e": lambda f, s: f"{f.day:2}",
    "F": lambda f, s: f"{f.year}-{f.month:02}-{f.day:02}",
    "g": lambda f, s: f"{_iso(f)[0] % 100:02}",
    "G": lambda f, s: str(_iso(f)[0]),
    "H": lambda f, s: f"{f.hour:02}",
    "I": lambda f, s: f"{_twelve(f.hour):02}",
    "j": lambda f, s: f"{f.yday + 1:03}",
    "k": lambda f, s: f"{f.hour:2}",
    "l": lambda f, s: f"{_twelve(f.hour):2}",
    "m": lambda f, s: f"{f.month:02}",
    "M": lambda f, s: f"{f.minute:02}",
    "n": lambda f, s: "\n",
    "p": lambda f, s: "AM" if f.hour < 12 else "PM",
    "P": lambda f, s: "am" if f.hour < 12 else "pm",
    "r": lambda f, s: format_fields("%I:%M:%S %p", f, s),
    "R": lambda f, s: f"{f.hour:02}:{f.minute:02}",
    "s": lambda f, s: str(s),
    "S": lambda f, s: f"{f.second:02}",
    "t": lambda f, s: "\t",
    "T": lambda f, s: f"{f.hour:02}:{f.minute:02}:{f.second:02}",
    "u": lambda f, s: str(f.weekday or 7),
    "U": lambda f, s: f"{_week_of(f, 0):02}",
    "V": lambda f, s: f"{_iso(f)[1]:02}",
    "w": lambda f, s: str(f.weekday),
    "W": lambda f, s: f"{_week_of(f, 1):02}",
    "x": lambda f, s: format_fields("%m/%d/%y", f, s),
    "X": lambda f, s: f"{f.hour:02}:{f.minute:02}:{f.second:02}",
    "y": lambda f, s: f"{f.year % 100:02}",
    "Y": lambda f, s: str(f.year),
    "z": lambda f, s: offset_text(f.offset),
    "Z": lambda f, s: f.abbreviation,
    "%": lambda f, s: "%",
}


def format_fields(pattern: str, fields: Fields, seconds: int) -> str:
    """The wall clock by a pattern of `strftime`; unknown specifiers stay as they are."""
    parts = []
    index = 0
    while index < len(pattern):
        char = pattern[index]
        if char == "%" and index + 1 < len(pattern):
            write = FORMATS.get(pattern[index + 1])
            parts.append(pattern[index : index + 2] if write is None else write(fields, seconds))
            index += 2
        else:
            parts.append(char)
            index += 1
    return "".join(parts)


# --- reading ---------------------------------------------------------------------------------------------------------

Date = tuple[int, int, int]


@dataclass(slots=True)
class Parsed:
    """What a text says; what it does not say is as at 1900-01-01T00:00:00. `seconds` when it says the moment itself."""

    year: int = 1900
    month: int = 1
    day: int = 1
    hour: int = 0
    minute: int = 0
    second: int = 0
    seconds: int | None = None


_WHITE = " \t\n\v\f\r"
_OFFSET = re.compile(r"Z|[+-][0-9]{2}(?::?[0-9]{2})?", re.ASCII)
_SHORTHANDS = {
    "c": "%a %b %e %H:%M:%S %Y",
    "D": "%m/%d/%y",
    "r": "%I:%M:%S %p",
    "R": "%H:%M",
    "T": "%H:%M:%S",
}


class _Reader:
    """Reads a text by a pattern of `strptime`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.year: int | None = None
        self.century: int | None = None
        self.year_of_century: int | None = None
        self.month: int | None = None
        self.day: int | None = None
        self.yday: int | None = None  # 0 for 1 January
        self.weekday: int | None = None
        self.week: tuple[int, int] | None = None  # its number, and the weekday on which weeks begin
        self.hour = 0
        self.twelve = False  # the hour was read on a clock of twelve hours
        self.afternoon = False
        self.minute = 0
        self.second = 0
        self.seconds: int | None = None

    def fail(self) -> ValueFailed:
        return ValueFailed(f"the text {self.text[:80]!r} does not fit the format")

    # --- pieces of text ----------------------------------------------------------------------------------------------

    def blanks(self) -> None:
        while self.text[self.at : self.at + 1] in _WHITE and self.at < len(self.text):
            self.at += 1

    def literal(self, char: str) -> None:
        if self.text[self.at : self.at + 1] != char:
            raise self.fail()
        self.at += 1

    def number(self, least: int, most: int, digits: int) -> int:
        """A number of at most so many digits, after any spaces. It ends before a digit that would make it too large."""
        text, at = self.text, self.at
        while text[at : at + 1] == " ":
            at += 1
        value, begin = 0, at
        while at < len(text) and "0" <= text[at] <= "9" and at - begin < digits and value * 10 <= most:
            value = value * 10 + int(text[at])
            at += 1
        if at == begin or not least <= value <= most:
            raise self.fail()
        self.at = at
        return value

    def name(self, names: tuple[str, ...]) -> int:
        """The place of a name, which the text has in full or as its first three letters."""
        for length in (9, 8, 7, 6, 5, 4, 3):
            word = self.text[self.at : self.at + length]
            for place, name in enumerate(names):
                if word.isascii() and word.lower() in (name.lower(), name[:3].lower()):
                    self.at += len(word)
                    return place
        raise self.fail()

    # --- the pattern -------------------------------------------------------------------------------------------------

    def read(self, pattern: str) -> None:
        chars = iter(pattern)
        for char in chars:
            if char in _WHITE:
                self.blanks()
            elif char == "%":
                self.specifier(next(chars, ""))
            else:
                self.literal(char)

    def specifier(self, letter: str) -> None:
        match letter:
            case "a" | "A":
                self.weekday = self.name(DAYS)
            case "b" | "B" | "h":
                self.month = self.name(MONTHS) + 1
            case "c" | "D" | "r" | "R" | "T":
                self.read(_SHORTHANDS[letter])
            case "C":
                self.century = self.number(0, 99, 2)
                self.year = None
            case "d" | "e":
                self.day = self.number(1, 31, 2)
            case "H":
                self.hour, self.twelve = self.number(0, 23, 2), False
            case "I":
                self.hour, self.twelve = self.number(1, 12, 2) % 12, True
            case "j":
                self.yday = self.number(1, 366, 3) - 1
            case "m":
                self.month = self.number(1, 12, 2)
            case "M":
                self.minute = self.number(0, 59, 2)
            case "n" | "t":
                self.blanks()
            case "p":
                half = self.text[self.at : self.at + 2].upper()
                if half not in ("AM", "PM"):
                    raise self.fail()
                self.afternoon = half == "PM"
                self.at += 2
            case "s":
                self.seconds = self.number(0, 2**63 - 1, 19)
            case "S":
                self.second = self.number(0, 61, 2)
            case "U" | "W":
                self.week = self.number(0, 53, 2), int(letter == "W")
            case "w":
                self.weekday = self.number(0, 6, 1)
            case "y":
                self.year_of_century = self.number(0, 99, 2)
                self.year = None
            case "Y":
                self.year = self.number(0, 9999, 4)
                self.century = self.year_of_century = None
            case "z":
                self.blanks()
                offset = _OFFSET.match(self.text, self.at)
                if offset is None:
                    raise self.fail()
                self.at = offset.end()
            case "Z":
                self.blanks()
                while self.at < len(self.text) and self.text[self.at] not in _WHITE:
                    self.at += 1
            case "%":
                self.literal("%")
            case _:
                raise self.fail()

    # --- what it comes to --------------------------------------------------------------------------------------------

    def whole_year(self) -> int | None:
        """The year, None when the text has none."""
        if self.year_of_century is not None:
            century = self.century
            if century is None:
                century = 19 if self.year_of_century >= 69 else 20
            return century * 100 + self.year_of_century
        return self.year if self.century is None else self.century * 100

    def date(self) -> Date:
        """The date; the day may lie beyond its month."""
        given = self.whole_year()
        year = 1900 if given is None else given
        if self.month is None or self.day is None:
            if self.yday is not None and given is not None:
                return year, 1, self.yday + 1
            if self.week is not None and self.weekday is not None:
                number, first = self.week
                january = (days_from_epoch(year, 1, 1) + 4 - first) % 7  # how far into a week the year begins
                return year, 1, -january % 7 + (number - 1) * 7 + (self.weekday - first) % 7 + 1
        return year, self.month or 1, self.day or 1


def parse_text(text: str, pattern: str) -> Parsed:
    """Read a whole text by a pattern; ValueError when it does not fit."""
    reader = _Reader(text)
    reader.read(pattern)
    if reader.at != len(text):
        raise reader.fail()
    hour = reader.hour + (12 if reader.twelve and reader.afternoon else 0)
    return Parsed(*reader.date(), hour, reader.minute, reader.second, reader.seconds)
