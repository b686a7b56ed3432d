"""Moments as text: `strftime` and `strptime` in the C locale (spec/time-and-procedures.md, sections 1.2 and 1.3)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

from engine.errors import ValueFailed
from engine.values.calendar import Fields, offset_minutes

__all__ = ["Parsed", "format_fields", "parse_text"]

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


class Parsed:
    """What a text gave; parts that it did not give keep their defaults."""

    def __init__(self) -> None:
        self.year = 1900
        self.month = 1
        self.day = 1
        self.hour = 0
        self.minute = 0
        self.second = 0
        self.century: int | None = None
        self.year_of_century: int | None = None
        self.yday: int | None = None
        self.weekday: int | None = None
        self.week: tuple[int, int] | None = None  # the number, and the weekday that weeks begin on
        self.afternoon: bool | None = None
        self.seconds: int | None = None  # given directly


_WHITE = " \t\n\v\f\r"


class _Reader:
    """Reads a text by a pattern of `strptime`."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.parsed = Parsed()

    def fail(self) -> ValueFailed:
        return ValueFailed(f"the text {self.text[:80]!r} does not fit the format")

    def blanks(self) -> None:
        while self.at < len(self.text) and self.text[self.at] in _WHITE:
            self.at += 1

    def literal(self, char: str) -> None:
        if self.text[self.at : self.at + 1] != char:
            raise self.fail()
        self.at += 1

    def number(self, least: int, most: int, digits: int) -> int:
        self.blanks()
        end = self.at
        while end < len(self.text) and end - self.at < digits and "0" <= self.text[end] <= "9":
            end += 1
        if end == self.at:
            raise self.fail()
        value = int(self.text[self.at : end])
        if not least <= value <= most:
            raise self.fail()
        self.at = end
        return value

    def name(self, names: tuple[str, ...]) -> int:
        rest = self.text[self.at :].lower()
        for index, name in enumerate(names):
            for form in (name.lower(), name[:3].lower()):
                if rest.startswith(form):
                    self.at += len(form)
                    return index
        raise self.fail()

    def read(self, pattern: str) -> None:
        index = 0
        while index < len(pattern):
            char = pattern[index]
            if char in _WHITE:
                self.blanks()
            elif char == "%" and index + 1 < len(pattern):
                index += 1
                self.specifier(pattern[index])
            else:
                self.literal(char)
            index += 1

    def specifier(self, letter: str) -> None:
        parsed = self.parsed
        match letter:
            case "a" | "A":
                parsed.weekday = self.name(DAYS)
            case "b" | "B" | "h":
                parsed.month = self.name(MONTHS) + 1
            case "c":
                self.read("%a %b %e %H:%M:%S %Y")
            case "C":
                parsed.century = self.number(0, 99, 2)
            case "d" | "e":
                parsed.day = self.number(1, 31, 2)
            case "D":
                self.read("%m/%d/%y")
            case "H" | "k":
                parsed.hour = self.number(0, 23, 2)
            case "I" | "l":
                parsed.hour = self.number(1, 12, 2) % 12
            case "j":
                parsed.yday = self.number(1, 366, 3)
            case "m":
                parsed.month = self.number(1, 12, 2)
            case "M":
                parsed.minute = self.number(0, 59, 2)
            case "n" | "t":
                self.blanks()
            case "p":
                rest = self.text[self.at : self.at + 2].upper()
                if rest not in ("AM", "PM"):
                    raise self.fail()
                parsed.afternoon = rest == "PM"
                self.at += 2
            case "r":
                self.read("%I:%M:%S %p")
            case "R":
                self.read("%H:%M")
            case "s":
                parsed.seconds = self.number(0, 2**63 - 1, 19)
            case "S":
                parsed.second = self.number(0, 61, 2)
            case "T":
                self.read("%H:%M:%S")
            case "U":
                parsed.week = (self.number(0, 53, 2), 0)
            case "W":
                parsed.week = (self.number(0, 53, 2), 1)
            case "w":
                parsed.weekday = self.number(0, 6, 1)
            case "u":
                parsed.weekday = self.number(1, 7, 1) % 7
            case "y":
                parsed.year_of_century = self.number(0, 99, 2)
            case "Y":
                parsed.year = self.number(0, 9999, 4)
                parsed.century = parsed.year_of_century = None
            case "z":
                self.offset()
            case "Z":
                while self.at < len(self.text) and self.text[self.at].isalpha():
                    self.at += 1
            case "%":
                self.literal("%")
            case _:
                raise self.fail()

    def offset(self) -> None:
        self.blanks()
        if self.text[self.at : self.at + 1] == "Z":
            self.at += 1
            return
        end = self.at + 1
        while end < len(self.text) and self.text[end].isdigit():
            end += 1
        offset_minutes(self.text[self.at : end])
        self.at = end


def parse_text(text: str, pattern: str) -> Parsed:
    """Read a whole text by a pattern; ValueError when it does not fit."""
    reader = _Reader(text)
    reader.read(pattern)
    if reader.at != len(text):
        raise reader.fail()
    parsed = reader.parsed
    if parsed.afternoon:
        parsed.hour += 12
    if parsed.year_of_century is not None:
        century = parsed.century
        base = (1900 if parsed.year_of_century >= 69 else 2000) if century is None else century * 100
        parsed.year = base + parsed.year_of_century
    elif parsed.century is not None:
        parsed.year = parsed.century * 100
    if parsed.yday is not None:
        parsed.month, parsed.day = 1, parsed.yday
    elif parsed.week is not None and parsed.weekday is not None and parsed.year >= 1:
        number, first = parsed.week
        january = (date(parsed.year, 1, 1).weekday() + 1) % 7
        offset = (7 - (january - first)) % 7 + (number - 1) * 7 + (parsed.weekday - first) % 7
        parsed.month, parsed.day = 1, offset + 1
    return parsed
