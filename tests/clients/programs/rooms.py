"""Rooms, with the client of today, over a restart of the server. Arguments: host, port, collection to make."""

import asyncio

from telling import main, step, tell
from thingsdb.client import Client
from thingsdb.room import Room, event


class Chat(Room):
    def __init__(self, name, *arguments, **options):
        super().__init__(*arguments, **options)
        self.name = name
        self.joins = asyncio.Queue()

    async def on_join(self):
        tell(room=self.name, joined=self.id is not None)
        self.joins.put_nowait(None)

    def on_leave(self):
        tell(room=self.name, left=True)

    def on_delete(self):
        tell(room=self.name, gone=True)

    def on_emit(self, name, *arguments):
        tell(room=self.name, other=[name, *arguments])

    @event("said")
    def on_said(self, *arguments):
        tell(room=self.name, said=list(arguments))


async def connected(host, port):
    client = Client()
    await client.connect(host, port)
    await client.authenticate("admin", "pass")
    return client


async def rooms(host, port, name):
    client, other = await connected(host, port), await connected(host, port)
    await client.new_collection(name)
    scope = f"//{name}"
    await client.query(".chat = room(); .quiet = room(); .chat.set_name('chat');", scope=scope)
    chat = Chat("chat", ".chat.id();", scope)
    mine = Chat("mine", "chat", scope)
    quiet = Chat("quiet", ".quiet.id();", scope)
    await chat.join(client)
    await quiet.join(client)
    await mine.join(other)

    async def settled():
        for one in client, other:
            await one.query("nil", scope=scope)

    await mine.emit("said", 1, {"x": [2]})
    await settled()
    await mine.emit("said", "to others", peers_only=True)
    await settled()
    await other.query(".chat.emit('sung', 'la');", scope=scope)
    await settled()
    await mine.leave()
    await other.query(".del('quiet');", scope=scope)
    await settled()
    while not chat.joins.empty():
        chat.joins.get_nowait()
    step("ready", chat.scope == f"@collection:{name}")
    await chat.joins.get()
    await other.query(".chat.emit('said', 'again');", scope=scope)
    await settled()
    for one in client, other:
        one.close()
        await one.wait_closed()


if __name__ == "__main__":
    main(rooms)
