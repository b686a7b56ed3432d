"""As `serve`, but queries alone decide what happens: the clock stands still, and nobody looks for cycles."""

from typing import Any

from engine.engine import Engine
from server import app
from tests.crash import serve

serve.app.Engine = lambda: Engine(clock=lambda: 1_500_000_000.0, seed=1)  # type: ignore[assignment, misc]


async def never(*_: Any) -> None:
    """Stands for the search for cycles."""


app.search_for_garbage = never

if __name__ == "__main__":
    raise SystemExit(serve.main())
