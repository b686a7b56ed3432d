"""Rows of figures, and how they are printed."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.pipeline import Rate

__all__ = ["Row", "as_json", "rates", "table"]


@dataclass(frozen=True)
class Row:
    """One figure of each target, by the target's name, in `unit`; the medians of the rounds.

    `ratio` is the median of the rounds' ratios to the baseline. `note` says what the baseline of this row is, where it
    is not the bare server, or anything else worth knowing.
    """

    name: str
    unit: str
    values: dict[str, float]
    ratios: dict[str, float] = field(default_factory=dict)
    cost: float | None = None
    """Seconds of the server's processor a unit."""
    busy: float | None = None
    """How busy the load's own process was, 0 to 1; near 1 it may be what was measured."""
    note: str = ""


def rates(name: str, unit: str, rounds: dict[str, list[Rate]], note: str = "") -> Row:
    """A row of rates."""
    values = {target: [rate.per_second for rate in made] for target, made in rounds.items()}
    ours = rounds["livethings"]
    return Row(
        name,
        unit,
        {target: statistics.median(made) for target, made in values.items()},
        ratios(values),
        statistics.median([rate.cost for rate in ours]),
        statistics.median([rate.busy for rate in ours]),
        note,
    )


def ratios(values: dict[str, list[float]]) -> dict[str, float]:
    """The medians of the rounds' ratios to the baseline."""
    base = values.get("baseline")
    if not base:
        return {}
    return {
        target: statistics.median([mine / theirs for mine, theirs in zip(made, base, strict=True)])
        for target, made in values.items()
        if target != "baseline"
    }


_NAMES = {"livethings": "livethings", "baseline": "baseline", "other": "other"}


def table(rows: Sequence[Row]) -> str:
    """The rows, aligned."""
    with_other = any("other" in row.values for row in rows)
    heads = ["", "unit", "livethings", "baseline", "ratio"]
    heads += ["other", "ratio"] if with_other else []
    heads += ["server CPU", "load busy", ""]
    lines = [heads]
    for row in rows:
        cells = [row.name, row.unit, _number(row.values.get("livethings")), _number(row.values.get("baseline"))]
        cells.append(_ratio(row.ratios.get("livethings")))
        if with_other:
            cells += [_number(row.values.get("other")), _ratio(row.ratios.get("other"))]
        cells += [_cost(row.cost), "" if row.busy is None else f"{row.busy:.0%}", row.note]
        lines.append(cells)
    widths = [max(len(line[column]) for line in lines) for column in range(len(heads))]
    texts = (0, 1, len(heads) - 1)
    return "\n".join(
        "  ".join(
            cell.ljust(width) if column in texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as plain values."""
    return [asdict(row) for row in rows]


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _ratio(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _cost(seconds: float | None) -> str:
    return "" if not seconds else f"{seconds * 1e6:.2f} µs"
