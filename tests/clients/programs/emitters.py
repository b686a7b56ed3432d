"""Emitter objects, found by the root, by code and by id. Arguments: port, collection to make."""

from seeing import Seen, closed, connected, filled
from telling import main, step, tell
from thingsdb.model.emitter import Emitter
from thingsdb.util import event


@event("rang")
def tell_rang(emitter, *arguments):
    tell(rang=list(arguments), by=type(emitter).__name__)


class RootBell(Emitter):
    on_rang = tell_rang


class HomeBell(Emitter):
    on_rang = tell_rang


class IdBell(Emitter):
    on_rang = tell_rang


async def emitters(port, name):
    seen = Seen(quiet=True)
    client = await connected(port, seen)
    other = await connected(port)
    scope = f"//{name}"
    thing = await filled(client, name, ".home = {}; .other = {}; .other.id();")
    bells = RootBell(client, "", scope), HomeBell(client, ".home", scope), IdBell(client, thing, scope)
    await seen.until(lambda: seen.count("init") == 3)
    await client.query("nil", scope=scope)  # the reply with the id comes after the init

    async def query(code, **variables):
        await other.query(code, scope=scope, **variables)
        await client.query("nil", scope=scope)  # what was told before this has come

    step("ids", [bell._thing_id for bell in bells])
    await query(".emit('rang', 1);")
    await query(".home.emit('rang', 'two', [3], {x: 4});")
    await query("thing(id).emit(2, 'rang', {x: {y: 5}});", id=thing)
    await query(".emit('unheard'); .home.x = 1; .home.emit('rang'); .home.x = 2;")
    handlers = len(client._event_handlers)
    await query(".del('other');")
    step("one less", handlers - len(client._event_handlers))
    await client.unwatch(bells[1]._thing_id, scope=scope)
    await query(".home.emit('rang', 'unheard'); .emit('rang', 6);")
    step("two less", handlers - len(client._event_handlers))
    await closed(client)
    await closed(other)


if __name__ == "__main__":
    main(emitters)
