"""The corners of rooms: what is refused, who hears what, rooms of two collections. Arguments: host, port, prefix."""

import asyncio

from telling import main, step, tell
from thingsdb.client import Client
from thingsdb.exceptions import ThingsDBError
from thingsdb.room import Room, event


class Ear(Room):
    def __init__(self, name, *arguments, **options):
        super().__init__(*arguments, **options)
        self.name = name
        self.joins = 0

    async def on_join(self):
        # Joining waits for this, and nothing that is emitted meanwhile gets ahead of it.
        tell(ear=self.name, known=await self.client.query("return 1;", scope=self.scope))
        self.joins += 1

    def on_leave(self):
        tell(ear=self.name, left=True)

    def on_delete(self):
        tell(ear=self.name, gone=True)

    @event("count")
    def on_count(self, number, *rest):
        tell(ear=self.name, count=number, rest=list(rest))

    def on_emit(self, name, *arguments):
        tell(ear=self.name, other=name, arguments=list(arguments))


async def refused(awaitable):
    try:
        await awaitable
    except (ThingsDBError, LookupError, TypeError) as error:
        return type(error).__name__
    return None


async def more_rooms(host, port, prefix):
    clients = []

    async def connected(*credentials):
        client = Client()
        await client.connect(host, port)
        await client.authenticate(*credentials)
        clients.append(client)
        return client

    async def settled():
        for client in clients:
            await client.query("nil", scope="@n")

    client = await connected("admin", "pass")
    one, two = f"//{prefix}1", f"//{prefix}2"
    for name in one, two:
        await client.new_collection(name[2:])
        await client.query(".r = room(); .r.set_name('hall'); .t = {}; .many = range(12).map(|| room());", scope=name)
    room_id = await client.query(".r.id();", scope=one)

    # By id, by name, by code; two ears of a client can't be in one room, so they are on two clients.
    client.set_default_scope(one)
    by_id = Ear("by id", room_id)
    await by_id.join(client)
    step("default scope", by_id.scope == f"@collection:{prefix}1")
    other = await connected("admin", "pass")
    by_name = Ear("by name", "hall", one)
    await by_name.join(other, wait=None)
    elsewhere = Ear("elsewhere", "hall", two)
    await elsewhere.join(client)

    step(
        "refused",
        [
            await refused(Ear("x", 999_999, one).join(client)),
            await refused(Ear("x", "no_hall", one).join(client)),
            await refused(Ear("x", ".t;", one).join(client)),
            await refused(Ear("x", ".t.id();", one).join(client)),
            await refused(Ear("x", ".t.id();", one).no_join(client)),
            await refused(Ear("x", 1, "//nowhere").join(client)),
        ],
    )

    # Who only speaks needs no joining.
    speaker = Ear("speaker", "hall", one)
    await speaker.no_join(other)
    await speaker.emit("count", 1, None, True, 2.5, "é", b"bytes", [[{"deep": [{}]}]])
    await speaker.emit("", peers_only=True)
    await speaker.emit("big", "x" * 300_000, peers_only=True)
    await settled()

    # In order, however many come from two sides at once, and each once.
    await asyncio.gather(
        *(speaker.emit("count", number, "there") for number in range(100, 200)),
        *(by_id.emit("count", number, "here") for number in range(200, 300)),
        client.query("for (i in range(300, 400)) .r.emit('count', i, 'code');", scope=one),
    )
    await settled()
    step("emitted")

    # Things in what code emits come to the depth that it says.
    await client.query(".t.inner = {leaf: {end: 1}}; .r.emit(3, NO_IDS, 'thing', .t);", scope=one)
    await settled()

    # Many rooms in one go; a room that goes with its parent.
    many = [Ear(f"many {number}", f".many[{number}].id();", two) for number in range(12)]
    for ear in many:
        await ear.join(client)
    await client.query(".many.each(|r, i| r.emit('count', i)); .many.pop(); .many.remove(|r, i| i == 0);", scope=two)
    await settled()
    step("many")

    # A user who may not join; one who loses the right stays.
    guest_name = f"{prefix}guest"
    await client.query(f"new_user('{guest_name}'); set_password('{guest_name}', 'pass');", scope="@t")
    await client.query(f"grant('{one}', '{guest_name}', QUERY);", scope="@t")
    guest = await connected(guest_name, "pass")
    ear = Ear("guest", room_id, one)
    step("may not join", [await refused(ear.join(guest)), await refused(guest._emit(room_id, "count", 0, scope=one))])
    await client.query(f"grant('{one}', '{guest_name}', QUERY|JOIN);", scope="@t")
    await ear.join(guest)
    await client.query(f"revoke('{one}', '{guest_name}', JOIN);", scope="@t")
    await by_id.emit("count", 400)
    clients.remove(guest)
    await settled()
    await guest.query("nil", scope=one)
    guest.close()

    # Leaving, leaving again, and the collection going.
    await by_name.leave()
    await settled()
    await by_id.emit("count", 401)
    step("left again", await refused(by_name.leave()))
    await client.query(f"del_collection('{prefix}2');", scope="@t")
    await settled()
    step("gone", [await refused(elsewhere.emit("count", 0)), await refused(elsewhere.leave())])
    for one in clients:
        one.close()
        await one.wait_closed()


if __name__ == "__main__":
    main(more_rooms)
