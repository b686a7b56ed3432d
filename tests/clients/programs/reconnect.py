"""A model, emitters and queries over restarts of the server. Arguments: port, collection to make, number of restarts.

At each step "ready" the server may go; the program goes on when it is back.
"""

from seeing import Seen, closed, connected, filled
from telling import main, step, tell
from thingsdb.model import Collection, Thing
from thingsdb.model.emitter import Emitter
from thingsdb.util import event


class Song(Thing):
    tune = "str"


class Home(Thing):
    num = "int"
    songs = "[Song]", Song


class Shop(Collection):
    home = "Home", Home


class Bell(Emitter):
    @event("rang")
    def on_rang(self, *arguments):
        tell(rang=list(arguments))


async def reconnect(port, name, restarts):
    seen = Seen(quiet=True)
    client = await connected(port, seen)
    await filled(client, name, ".home = {num: 0, songs: [{tune: 'a'}]}; nil;")
    shop = Shop(name)
    await shop.load(client)
    await seen.until(lambda: shop.home.songs[0])
    Bell(client, ".home", f"//{name}")
    home = shop.home
    for restart in range(1, restarts + 1):
        step("ready", home.num)
        await seen.until(lambda restart=restart: seen.count("reconnect") == restart)
        num = restart * 10
        await shop.query(".home.num = num; .home.songs.push({tune: 'b'});", num=num)
        await seen.until(lambda num=num: home.num == num and all(home.songs))
        step("again", [home is shop.home, home.num, [song.tune for song in home.songs]])
        await shop.query(".home.emit('rang', num);", num=num)
    step("ids", sorted(shop._things))
    await closed(client)


if __name__ == "__main__":
    main(reconnect)
