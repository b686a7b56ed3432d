"""A model with all that the framework knows: nested and typed things, lists, sets, an enum, an emitted event."""

from telling import tell
from thingsdb.model import Collection, Enum, Thing
from thingsdb.util import event


class Taste(Enum):
    SOUR = "lemon"
    SWEET = "date"


class Cup(Thing):
    size = "int"


class Song(Thing):
    tune = "str"
    taste = "Taste", Taste
    likes = "[str]"


class Home(Thing):
    num = "int"
    songs = "[Song]", lambda: Song
    cups = "{Cup}", lambda: Cup
    taste = "Taste", Taste
    guest = "Home?", lambda: Home

    @event("rang")
    def on_rang(self, *arguments):
        tell(rang=list(arguments), on=self.id())


class Shop(Collection):
    home = "Home", Home
    open = "bool"
    songs = "[Song]", Song


SCRIPTS = (
    """
    .home = Home{num: 1};
    .open = true;
    .songs = [Song{tune: 'a'}];
    """,
    "new_procedure('set_num', |n| .home.num = n);",
)
"""What the collection begins with."""
