"""A chat in a terminal: what is said and was said, and who is here.

With a server running (`livethings serve`):

    pip install livethings-client
    python chat.py ann

and in another terminal `python chat.py bob`. Lines that you type are said to all; the end of the input (Control-D) ends
it. LIVETHINGS_URL, LIVETHINGS_USER and LIVETHINGS_PASSWORD say which server, and as whom, when that is not this
machine's with the first user's first password.
"""

import asyncio
import os
import sys

from livethings import Database, Joined, Room, connect

SCOPE = "//stuff"


async def listen(room: Room) -> None:
    """Show what is said, from what the server still has on; also what was said while the connection was lost."""
    async for event in room:
        print("{}: {}".format(*event.args))


async def greet(db: Database) -> None:
    """Show who comes and goes: connections, of which each program has one."""
    async for event in db.presence(SCOPE, room="chat"):
        came = "is here" if isinstance(event, Joined) else "has left"
        print(f"* connection {event.connection} of {event.user} {came}")


async def main(name: str) -> None:
    """Say what is typed, until the input ends."""
    async with connect(
        os.environ.get("LIVETHINGS_URL", "ws://127.0.0.1:9270"),
        user=os.environ.get("LIVETHINGS_USER", "admin"),
        password=os.environ.get("LIVETHINGS_PASSWORD", "pass"),
    ) as db:
        await db.query(SCOPE, "if (!.has('chat')) { .chat = room(); .chat.set_name('chat') }; nil")
        room = db.room(SCOPE, "chat", since=0)
        tasks = [asyncio.create_task(listen(room)), asyncio.create_task(greet(db))]
        while line := await asyncio.to_thread(sys.stdin.readline):
            await room.emit("said", name, line.strip())
        for task in tasks:
            task.cancel()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
