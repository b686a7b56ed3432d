"""Things as objects: classes with annotated fields mirror a collection's things and stay up to date.

class Song(Thing):
    title: str
    likes: int

    def on_change(self, names):
        print(self.title, "has", self.likes, "likes")

class Music(Thing):
    songs: list[Song]

async with db.mirror("//stuff", Music) as music:
    await music.songs[0].set(likes=3)
"""

from livethings.model.mirror import Mirror
from livethings.model.shapes import Closure, New, Ref, Regex
from livethings.model.thing import Thing, ThingMap, on

__all__ = ["Closure", "Mirror", "New", "Ref", "Regex", "Thing", "ThingMap", "on"]
