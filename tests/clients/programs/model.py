"""Build a model's collection and watch it change, flow by flow. Arguments: port, name."""

from seeing import Seen, closed, connected
from shop import SCRIPTS, Cup, Shop, Song, Taste
from telling import main, step


async def model(port, name):
    seen = Seen()
    client = await connected(port, seen)
    shop = Shop(name)
    await shop.build(client, classes=[Cup, Song], scripts=SCRIPTS, delete_if_exists=True)
    step("types", await client.query("types_info().map(|t| [t.load().name, t.load().fields]);", scope=f"//{name}"))
    step("enums", await client.query("enums_info().map(|e| e.load().members);", scope=f"//{name}"))

    await shop.load(client)
    await seen.until(lambda: shop.home and shop.songs[0])
    home = shop.home
    song = shop.songs[0]
    step("loaded", {
        "open": shop.open, "home": [type(home).__name__, home.num, home.songs, home.cups, home.taste.name],
        "song": [type(song).__name__, song.tune, song.taste.value, song.likes], "guest": home.guest,
    })  # fmt: skip

    await shop.query(".home.num = 2; .open = false;")
    step("set", [home.num, shop.open])
    await client.run("set_num", 3, scope=f"//{name}")
    step("run", home.num)
    await shop.set_num(4)
    step("run by the model", home.num)

    await shop.query(".home.songs.push(Song{tune: 'b', likes: ['x']});")
    await seen.until(lambda: home.songs[0])
    step("push", [(one.tune, one.likes) for one in home.songs])
    await shop.query(
        ".home.songs.extend([Song{tune: 'c'}, Song{tune: 'd', taste: Taste{SWEET}}]); .home.songs.shift();"
    )
    await seen.until(lambda: all(home.songs))
    step("splice", [(one.tune, one.taste.name) for one in home.songs])
    await shop.query(".home.songs[0].likes.push('y', 'z'); .home.songs[0].likes.pop();")
    step("a list of text", home.songs[0].likes)
    await shop.query(".home.songs.push(.songs[0]);")
    step("a known thing", home.songs[-1] is song)

    await shop.query(".home.cups.add(Cup{size: 1}, Cup{size: 2});")
    await seen.until(lambda: len(home.cups) == 2 and all(home.cups))
    step("add", sorted(cup.size for cup in home.cups))
    gone = next(cup.id() for cup in home.cups if cup.size == 1)
    await shop.query(".home.cups.remove(|cup| cup.size == 1);")
    step("remove", [cup.size for cup in home.cups])
    step("gone", gone)

    await shop.query(".home.taste = Taste{SWEET};")
    step("a member", [home.taste.name, home.taste.value, home.taste is Taste.SWEET])
    await shop.query("mod_enum('Taste', 'add', 'SALT', 'sea'); .home.taste = Taste{SALT};")
    step("a new member", [home.taste.name, home.taste.value])
    await shop.query("mod_enum('Taste', 'ren', 'SALT', 'SALTY'); mod_enum('Taste', 'def', 'SALTY');")
    step("a renamed member", [home.taste.name, Taste.SALTY.value])
    await shop.query(".home.taste = Taste{SWEET};")
    step("after another default", home.taste.name)

    await shop.query(".home.guest = Home{num: 7, songs: [Song{tune: 'g'}]};")
    await seen.until(lambda: home.guest and home.guest.songs[0])
    step("nested", [type(home.guest).__name__, home.guest.num, home.guest.songs[0].tune])
    guest = home.guest.id()
    await shop.query(".home.guest = nil;")
    step("no guest", [home.guest, guest])

    await shop.query("mod_type('Song', 'add', 'year', 'int', 1970); mod_type('Song', 'ren', 'tune', 'title');")
    await shop.query("mod_type('Song', 'del', 'likes'); .any = [Song{title: 'e', year: 3}];")
    step("fields", shop._types)
    step("a changed type", [song.year, hasattr(song, "likes")])

    await shop.query(".home.emit('rang', 'twice', {x: 1}, [2]);")
    await home.emit("rang", "once", 5)
    await home.emit("unheard")
    await shop.query("new_procedure('late', || 'late');")
    step("a new procedure", await shop.late())
    await shop.query("rename_procedure('late', 'later');")
    step("a renamed procedure", [hasattr(shop, "late"), hasattr(shop, "later")])
    await shop.query("del_procedure('later');")
    step("no procedure", hasattr(shop, "later"))

    await shop.query(".home = Home{num: 9};")
    await seen.until(lambda: shop.home.id() != home.id() and shop.home)
    step("another home", shop.home.num)
    await shop.home.unwatch()
    await shop.query(".home.num = 10;")
    step("unwatched", shop.home.num)
    await shop.home.watch()
    await seen.until(lambda: shop.home.num == 10)
    step("watched again", shop.home.num)
    step("things", sorted(thing.id() for thing in shop._things.values() if thing))
    await closed(client)


if __name__ == "__main__":
    main(model)
