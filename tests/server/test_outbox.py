"""Nothing leaves before what it could have seen is durable, and all leaves in order."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from server.outbox import Outbox


class Line:
    """A connection that notes what was written and in how many writes."""

    def __init__(self) -> None:
        self.out: list[bytes] = []
        self.written: list[bytes] = []
        self.writes = 0

    def flush(self) -> None:
        self.writes += 1
        self.written += self.out
        self.out.clear()


class All:
    def __init__(self, *lines: Line) -> None:
        self.connections = lines
        self.appends = tuple(line.out.append for line in lines)


def made(max_held: int = 1 << 20) -> tuple[Outbox, list[Callable[[], None]]]:
    scheduled: list[Callable[[], None]] = []
    return Outbox(scheduled.append, max_held=max_held), scheduled


def turn(scheduled: list[Callable[[], None]]) -> None:
    callbacks = scheduled[:]
    scheduled.clear()
    for callback in callbacks:
        callback()


def test_frames_of_one_turn_leave_in_one_write() -> None:
    outbox, scheduled = made()
    one, other = Line(), Line()
    outbox.say(one, b"a")
    outbox.say(All(one, other), b"b")
    outbox.say(one, b"c")
    assert one.written == []
    assert len(scheduled) == 1
    turn(scheduled)
    assert (one.written, one.writes) == ([b"a", b"b", b"c"], 1)
    assert (other.written, other.writes) == ([b"b"], 1)


def test_a_read_waits_for_the_change_it_may_have_seen_and_not_for_a_later_one() -> None:
    outbox, scheduled = made()
    line = Line()
    outbox.executed(1)
    outbox.say(line, b"change 1")
    outbox.say(line, b"read 1")
    outbox.executed(2)
    outbox.say(line, b"change 2")
    turn(scheduled)
    assert line.written == []
    outbox.durable(1)
    turn(scheduled)
    assert line.written == [b"change 1", b"read 1"]
    outbox.say(line, b"read 2")
    outbox.durable(2)
    outbox.say(line, b"read 3")
    turn(scheduled)
    assert line.written == [b"change 1", b"read 1", b"change 2", b"read 2", b"read 3"]
    assert outbox.open


def test_durable_before_it_is_said_opens_at_once() -> None:
    outbox, scheduled = made()
    line = Line()
    outbox.executed(1)
    outbox.durable(1)
    outbox.say(line, b"a")
    turn(scheduled)
    assert line.written == [b"a"]


@given(st.data())
def test_any_order_of_commits_keeps_the_promise(data: st.DataObject) -> None:
    """Frames are numbered; each must be written in order, and never before its tag is durable."""
    outbox, scheduled = made()
    lines = [Line() for _ in range(3)]
    said: list[list[tuple[int, int]]] = [[] for _ in lines]
    executed = durable = count = 0
    for action in data.draw(st.lists(st.sampled_from(["change", "say", "all", "durable", "turn"]), max_size=60)):
        if action == "change":
            executed += 1
            outbox.executed(executed)
        elif action in ("say", "all"):
            count += 1
            which = range(3) if action == "all" else [data.draw(st.integers(0, 2))]
            target = All(*lines) if action == "all" else lines[which[0]]
            outbox.say(target, str(count).encode())
            for index in which:
                said[index].append((count, executed))
        elif action == "durable":
            durable = data.draw(st.integers(durable, executed))
            outbox.durable(durable)
        else:
            turn(scheduled)
        for line, expected in zip(lines, said, strict=True):
            numbers = [int(frame) for frame in line.written]
            assert numbers == [number for number, _ in expected][: len(numbers)]
            assert all(tag <= durable for _, tag in expected[: len(numbers)])
    outbox.durable(executed)
    turn(scheduled)
    for line, expected in zip(lines, said, strict=True):
        assert [int(frame) for frame in line.written] == [number for number, _ in expected]
    assert outbox.held == 0
    assert outbox.open


def test_it_is_full_by_bytes_and_by_frames_until_drained() -> None:
    outbox, _ = made(max_held=4096)
    line = Line()
    resumed: list[str] = []
    outbox.executed(1)
    outbox.say(line, b"x" * 4096)
    assert not outbox.full
    outbox.say(line, b"x")
    assert outbox.full
    outbox.when_drained(lambda: resumed.append("bytes"))
    outbox.executed(2)
    for _ in range(5):
        outbox.say(line, b"")
    outbox.durable(1)
    assert outbox.full
    assert resumed == []
    outbox.durable(2)
    assert not outbox.full
    assert resumed == ["bytes"]


def test_a_marker_comes_in_its_place() -> None:
    outbox, _ = made()
    line = Line()
    seen: list[list[bytes]] = []
    outbox.executed(1)
    outbox.say(line, b"a")
    outbox.when_said(lambda: seen.append(list(line.out)))
    outbox.say(line, b"b")
    assert seen == []
    outbox.durable(1)
    assert seen == [[b"a"]]


def test_one_line_that_fails_costs_the_others_nothing() -> None:
    class Broken(Line):
        def flush(self) -> None:
            raise OSError("broken")

    outbox, scheduled = made()
    lines = [Line(), Broken(), Line()]
    outbox.say(All(*lines), b"a")
    turn(scheduled)
    assert [line.written for line in lines] == [[b"a"], [], [b"a"]]
