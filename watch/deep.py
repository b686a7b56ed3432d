"""Deep watches: things watched with what they contain, to a depth.

The promise: between two requests, a subscriber watches the things that it asked for by themselves, those within reach
of its deep watches, and no others; it has the first state of each, and was told of each end. What comes into reach and
what leaves it is found when a request is over: so a thing that is moved from one place in reach to another is told of
like any other, and a thing that was in reach when a request began is told until that request is over.

Subscribers that watch the same root to the same depth share a reach and the frames made of what comes into it.
Tests: tests/watch/test_deep.py.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from engine.contents import added, moves
from engine.effects import Gone, InstanceJob
from engine.errors import OperationError
from watch.audience import Form, Subscriber
from watch.events import WARNING, WATCH_INIT, WATCH_STOP, outgrown
from watch.reach import Edges, Graph, Reach

if TYPE_CHECKING:
    from engine.change import Job
    from engine.collection import Collection
    from engine.outcome import Outcome
    from watch.hub import Hub

__all__ = ["MAX_DEEP", "MAX_DEEP_THINGS", "DeepWatches"]

log = logging.getLogger("livethings.watch")

MAX_DEEP: Final = 127
"""The greatest depth."""

MAX_DEEP_THINGS: Final = 20_000
"""Things that the deep watches of one connection may reach, each watch counted by itself, unless configured."""

_REDEFINE: Final = ("mod_", "set_", "del_type", "del_enum")
"""How the jobs begin that change definitions which decide what things contain."""


class DeepWatches:
    """The deep watches of a hub, which subscribes to things and says what they need to have said."""

    def __init__(self, hub: Hub, limit: int) -> None:
        self.hub = hub
        self.limit = limit
        self.graph = Graph()
        self.reaches: dict[tuple[int, int], Reach] = {}  # by root and depth
        self._of: dict[Subscriber, dict[int, Reach]] = {}  # by root
        self._sizes: dict[Subscriber, int] = {}  # how many things are in all of them together
        # Of the outcomes that are being told:
        self._touched: dict[int, None] = {}  # things looked into that may contain others now
        self._added: dict[int, tuple[dict[int, None], set[str]]] = {}  # what some contain more, and where
        self._gone: dict[int, None] = {}  # things in reach that are no more
        self._cause = 0  # the change that all this came by

    # --- subscriptions -----------------------------------------------------------------------------------------------

    def has(self, subscriber: Subscriber) -> bool:
        """Has it any deep watch?"""
        return subscriber in self._of

    def reached(self, subscriber: Subscriber, thing_id: int) -> bool:
        """Is the thing within reach of one of its deep watches?"""
        node = self.graph.nodes.get(thing_id)
        return node is not None and any(subscriber in reach.members for reach in node.reaches)

    @contextmanager
    def planned(
        self, subscriber: Subscriber, collection: Collection, roots: Iterable[int], depth: int
    ) -> Iterator[Mapping[int, Reach]]:
        """What deep watches of things would reach, by those of the roots that are there, until `begin` or the end of
        the block. OperationError when it is more than a connection can have."""
        reaches: dict[int, Reach] = {}
        wanted = dict.fromkeys(roots)
        mine = self._of.get(subscriber, {})
        room = self.limit - self._sizes.get(subscriber, 0) + sum(len(mine[one].levels) for one in wanted if one in mine)
        try:
            for root in wanted:
                if collection.find(root) is not None:
                    reach = reaches[root] = self._reach(collection, root, depth)
                    reach.plans += 1
                    room -= len(reach.levels)
                    if room < 0:
                        raise OperationError(
                            f"the deep watches of a connection can reach at most {self.limit} things: "
                            "watch less deep, or fewer things"
                        )
            yield reaches
        finally:
            for reach in reaches.values():
                reach.plans -= 1
                self._tidy(reach)

    def begin(self, subscriber: Subscriber, planned: Mapping[int, Reach]) -> list[int]:
        """Watch what was planned, in the place of deep watches of the same roots. Gives what was in reach of these: the
        caller says the first states, and then has `stop` look at it."""
        before: list[int] = []
        for root in planned:
            before += self.unwatch(subscriber, root)
        for root, reach in planned.items():
            self._of.setdefault(subscriber, {})[root] = reach
            self._sizes[subscriber] = self._sizes.get(subscriber, 0) + len(reach.levels)
            reach.members[subscriber] = None
            for thing_id in reach.levels:
                self.hub.reach(subscriber, thing_id, reach.collection)
        return before

    def unwatch(self, subscriber: Subscriber, root: int) -> list[int]:
        """End the deep watch of a root, without a word; gives the ids of what was in its reach, the root's first."""
        reach = self._of.get(subscriber, {}).get(root)
        if reach is None:
            return []
        ids = list(reach.levels)
        self._leave(subscriber, reach)
        return ids

    def drop(self, subscriber: Subscriber) -> None:
        """End all deep watches of a subscriber, without a word."""
        for reach in list(self._of.get(subscriber, {}).values()):
            self._leave(subscriber, reach)

    def check_rights(self) -> None:
        """End, without a word, the deep watches of users who lost the right to them."""
        for reach in list(self.reaches.values()):
            for member in list(reach.members):
                if not self.hub.may_watch(member, reach.collection):
                    self._leave(member, reach)

    def _reach(self, collection: Collection, root: int, depth: int) -> Reach:
        reach = self.reaches.get((root, depth))
        if reach is None:
            reach = Reach(self.graph, collection, root, depth, self.limit + 1)
            reach.begin()
            self.reaches[root, depth] = reach
        return reach

    def _leave(self, subscriber: Subscriber, reach: Reach) -> None:
        mine = self._of[subscriber]
        del mine[reach.root]
        self._sizes[subscriber] -= len(reach.levels)
        if not mine:
            del self._of[subscriber], self._sizes[subscriber]
        del reach.members[subscriber]
        self._tidy(reach)

    def _tidy(self, reach: Reach) -> None:
        """Let go of a reach that nobody watches."""
        if not reach.members and not reach.plans and self.reaches.get((reach.root, reach.depth)) is reach:
            del self.reaches[reach.root, reach.depth]
            reach.clear()

    # --- outcomes ----------------------------------------------------------------------------------------------------

    def note(self, outcome: Outcome) -> None:
        """Note what an outcome may have moved. Not called while there is no deep watch."""
        nodes = self.graph.nodes
        change = outcome.change
        # The engine's last one may be later: a record of what was emitted in a room.
        self._cause = self.hub.engine.last_change if change is None else change.id
        if change is not None:
            redefined = False
            for thing_id, job in change.mutations:
                node = nodes.get(thing_id)
                if node is not None and node.children is not None and moves(job, node.names):
                    self._note_job(thing_id, job)
                if not redefined and next(iter(job)).startswith(_REDEFINE):
                    redefined = True
            if redefined:  # what instances and members of enums contain may have changed without a word in the change
                for reach in self.reaches.values():
                    if reach.collection.id == change.scope:
                        self._touched.update(dict.fromkeys(reach.levels))
        for effect in outcome.effects or ():
            if type(effect) is Gone:
                self._gone.update((thing_id, None) for thing_id in effect.things if thing_id in nodes)
            elif type(effect) is InstanceJob:
                self._touched.update((thing_id, None) for thing_id in effect.things if thing_id in nodes)
        if outcome.deleted:
            self._gone.update((thing_id, None) for thing_id in outcome.deleted if thing_id in nodes)

    def _note_job(self, thing_id: int, job: Job) -> None:
        """A job moves things: note which, if it says so, since the thing can be a large list."""
        if thing_id in self._touched:
            return
        more = added(job)
        if more is None:
            self._touched[thing_id] = None
            return
        ids, names = self._added.setdefault(thing_id, ({}, set()))
        if more[1]:
            ids.update(dict.fromkeys(more[1]))
            names.add(more[0])

    def settle(self) -> None:
        """Say what has come into reach, then what has left it and is still there; who is told that a thing is gone
        keeps watching it until then."""
        if not self._touched and not self._gone and not self._added:
            return
        touched, self._touched = self._touched, {}
        more, self._added = self._added, {}
        gone, self._gone = self._gone, {}
        changed: dict[Reach, list[Edges]] = {}
        for thing_id in {**touched, **more, **gone}:
            node = self.graph.nodes.get(thing_id)
            if node is None:  # it was unwatched in the meantime
                continue
            reaches = list(node.reaches)
            if node.children is not None:
                if thing_id in gone:
                    edges = self.graph.read(thing_id, None)
                elif thing_id in touched:
                    edges = self.graph.read(thing_id, reaches[0].collection.find(thing_id))
                else:
                    edges = self.graph.add(thing_id, *more[thing_id])
                if edges[1] or edges[2]:
                    for reach in reaches:
                        changed.setdefault(reach, []).append(edges)
            if thing_id in gone:
                for reach in reaches:
                    if reach.root == thing_id:
                        changed.setdefault(reach, [])
        left: list[tuple[Reach, list[int]]] = []
        for reach, moved in changed.items():
            came, lost = reach.change(moved, reach.root in gone)
            left.append((reach, lost))
            for member in reach.members:
                self._sizes[member] += len(came) - len(lost)
            if reach.overgrown:
                self._end(reach, [*reach.levels, *lost])
            elif came:
                self._tell(reach, came)
        for reach, lost in left:
            for member in list(reach.members):
                self.stop(member, lost, self._cause)
            if reach.root in gone:
                for member in list(reach.members):
                    self._leave(member, reach)

    def abandon(self) -> None:
        """Something went wrong in `settle`: end all deep watches, with a word for each thing."""
        members = list(self._of)
        self.reaches, self.graph, self._of, self._sizes = {}, Graph(), {}, {}
        for member in members:
            self.stop(member, self.hub.watched(member))

    def _tell(self, reach: Reach, came: list[int]) -> None:
        """Have the members of a reach watch what came into it, and say its first state to those who did not before."""
        for member in list(reach.members):
            if not self.hub.may_watch(member, reach.collection):  # who logged in anew, as somebody else
                ids = [*reach.levels]
                self._leave(member, reach)
                self.stop(member, ids)
            elif self._sizes[member] > self.limit:
                self._refuse(member, reach)
        for thing_id in came:
            new = [member for member in reach.members if self.hub.reach(member, thing_id, reach.collection)]
            if new:
                self._say_state(reach.collection, thing_id, new)

    def _say_state(self, collection: Collection, thing_id: int, members: list[Subscriber]) -> None:
        hub = self.hub
        thing = collection.find(thing_id)
        assert thing is not None
        try:
            state = collection.initial_event(thing, hub.engine.last_change)
            frames: dict[Form, bytes] = {}
            for member in members:
                form = member.form
                frame = frames.get(form)
                if frame is None:
                    frame = frames[form] = form.event(WATCH_INIT, state)
                hub.say(member, frame)
        except Exception:
            log.exception("the first state of the thing %d could not be encoded", thing_id)
            for member in members:
                hub.stop(member, thing_id)

    def _end(self, reach: Reach, ids: list[int]) -> None:
        """End a reach that has too many things, with a word."""
        for member in list(reach.members):
            self._refuse(member, reach, ids)

    def _refuse(self, member: Subscriber, reach: Reach, ids: Iterable[int] | None = None) -> None:
        hub = self.hub
        ids = list(reach.levels if ids is None else ids)
        self._leave(member, reach)
        hub.say(member, member.form.event(WARNING, outgrown(reach.root, self.limit)))
        self.stop(member, ids, hub.engine.last_change)

    def stop(self, subscriber: Subscriber, ids: Iterable[int], change: int | None = None) -> None:
        """Have a subscriber watch these things no more, unless something else makes it, and say so; with
        the change that caused it, where one did."""
        for thing_id in ids:
            if not self.reached(subscriber, thing_id) and self.hub.leave_reach(subscriber, thing_id):
                data = {"#": thing_id} if change is None else {"#": thing_id, "event": change}
                self.hub.say(subscriber, subscriber.form.event(WATCH_STOP, data))
