"""The Python client of Livethings: query, change and watch live things from asyncio.

async with connect("ws://127.0.0.1:9270", user="admin", password="pass") as db:
    await db.query("//stuff", ".greeting = 'hello'")
    async for event in db.watch("//stuff"):
        print(event)
"""

from livethings.database import Database, Events, Requests, connect
from livethings.errors import (
    AssertionFailed,
    AuthError,
    BadDataError,
    CancelledError,
    ChangedError,
    Closed,
    ConnectFailed,
    ConnectionLost,
    CustomError,
    EventsLost,
    ForbiddenError,
    InternalError,
    LivethingsError,
    LookupFailed,
    MaxQuotaError,
    MemoryLimitError,
    NodeError,
    NoReply,
    NumArgumentsError,
    OperationError,
    OverflowFailed,
    ProtocolError,
    RequestCancelled,
    RequestTimeout,
    ResultTooLarge,
    ServerError,
    SyntaxFailed,
    TypeFailed,
    ValueFailed,
    WriteError,
    ZeroDivisionFailed,
)
from livethings.events import Change, Delete, Emitted, Init, Joined, Left, NodeStatus, Notice, Stop, Unrouted, Update
from livethings.link import Backoff
from livethings.live import Live
from livethings.presence import Presence
from livethings.rooms import Room
from livethings.states import apply, tree
from livethings.watches import DeepWatch, Watch

__all__ = [
    "AssertionFailed",
    "AuthError",
    "Backoff",
    "BadDataError",
    "CancelledError",
    "Change",
    "ChangedError",
    "Closed",
    "ConnectFailed",
    "ConnectionLost",
    "CustomError",
    "Database",
    "DeepWatch",
    "Delete",
    "Emitted",
    "Events",
    "EventsLost",
    "ForbiddenError",
    "Init",
    "InternalError",
    "Joined",
    "Left",
    "Live",
    "LivethingsError",
    "LookupFailed",
    "MaxQuotaError",
    "MemoryLimitError",
    "NoReply",
    "NodeError",
    "NodeStatus",
    "Notice",
    "NumArgumentsError",
    "OperationError",
    "OverflowFailed",
    "Presence",
    "ProtocolError",
    "RequestCancelled",
    "RequestTimeout",
    "Requests",
    "ResultTooLarge",
    "Room",
    "ServerError",
    "Stop",
    "SyntaxFailed",
    "TypeFailed",
    "Unrouted",
    "Update",
    "ValueFailed",
    "Watch",
    "WriteError",
    "ZeroDivisionFailed",
    "apply",
    "connect",
    "tree",
]
