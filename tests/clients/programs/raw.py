"""WATCH and UNWATCH as the client sends them, without the framework. Arguments: port, collection to make."""

from seeing import Seen, closed, connected, filled
from telling import main, step
from thingsdb import exceptions


async def raw(port, name):
    seen = Seen()
    client = await connected(port, seen)
    other = await connected(port)
    scope = f"//{name}"
    root, a, b = await filled(client, name, ".a = {x: 1, l: [1, {y: 2}]}; .b = {}; [.id(), .a.id(), .b.id()];")
    step("ids", [root, a, b])

    async def settled():
        await client.query("nil", scope=scope)

    await client.watch(a, 99999, b, scope=scope)
    await settled()
    step("watched")
    await client.query(".a.x = 2; .b.x = 3; .a.l.push({z: 1}, .b); .a.x = 4;", scope=scope)
    step("own change")
    await other.query(".a.s = set(.b); .a.s.add({n: 1}); .a.s.remove(.b); .a.del('s'); nil;", scope=scope)
    await settled()
    step("another's change")
    await client.watch(a, scope=scope)
    await settled()
    step("watched again")
    await client.unwatch(b, a, 99999, scope=scope)
    await other.query(".a.x = 5; .b.x = 6;", scope=scope)
    await settled()
    step("unwatched")
    await client.query(".b.watch();", scope=scope)
    await other.query(".del('b'); .a.l.clear();", scope=scope)
    await settled()
    step("deleted")
    for ids, where in (("1",), scope), ((), "@t"), ((), "//nothing"), ((), "nothing"):
        try:
            await client.watch(*ids, scope=where)
        except exceptions.ThingsDBError as error:
            step(f"refused {where}", type(error).__name__)
    await client.watch(root, scope=scope)
    await settled()
    step("root watched")
    await other.query("del_collection(name);", name=name, scope="@t")
    await client.query("nil", scope="@t")
    step("collection gone")
    await closed(client)
    await closed(other)


if __name__ == "__main__":
    main(raw)
