"""Who watches what: subscriptions to things and rooms, and the events that go to those who have them.

The engine runs queries and says what they did (`engine.engine.Outcome`); this package turns that into events, encodes
each once for every form of connection, and names its audience. It knows no sockets: a connection is a `Subscriber`.
"""

from watch.audience import Audience, Channel, Form, Say, Subscriber
from watch.history import RoomHistory
from watch.hub import Hub
from watch.lag import Lag, SlowReaders
from watch.live import Live
from watch.options import check_names
from watch.requests import Requests, Resumption

__all__ = [
    "Audience",
    "Channel",
    "Form",
    "Hub",
    "Lag",
    "Live",
    "Requests",
    "Resumption",
    "RoomHistory",
    "Say",
    "SlowReaders",
    "Subscriber",
    "check_names",
]
