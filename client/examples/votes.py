"""A page on which people vote for lunch and see the votes as they come: FastAPI in front of Livethings.

With a server running (`livethings serve`):

    pip install livethings-client fastapi uvicorn
    uvicorn votes:app

and open http://127.0.0.1:8000 in two windows. LIVETHINGS_URL, LIVETHINGS_USER and LIVETHINGS_PASSWORD say which server,
and as whom, when that is not this machine's with the first user's first password.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Request, status
from fastapi.responses import HTMLResponse
from fastapi.sse import EventSourceResponse, ServerSentEvent
from livethings import Database, LookupFailed, connect

SCOPE = "//stuff"
VOTES = ".lunch.map(|dish, votes| {dish:, votes:}).sort(|a, b| b.votes - a.votes)"


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """One connection serves all requests, for as long as the application runs; it comes back when it is lost."""
    async with connect(
        os.environ.get("LIVETHINGS_URL", "ws://127.0.0.1:9270"),
        user=os.environ.get("LIVETHINGS_USER", "admin"),
        password=os.environ.get("LIVETHINGS_PASSWORD", "pass"),
    ) as app.state.db:
        await app.state.db.query(SCOPE, "if (!.has('lunch')) .lunch = {pizza: 0, soup: 0, salad: 0}; nil")
        yield


def database(request: Request) -> Database:
    """The application's database."""
    db: Database = request.app.state.db
    return db


Db = Annotated[Database, Depends(database)]

app = FastAPI(title="Lunch", lifespan=lifespan)


@app.get("/votes", response_class=EventSourceResponse)
async def follow(db: Db) -> AsyncIterator[ServerSentEvent]:
    """The votes now, and again whenever there is another one. Ends on the server when the browser goes away."""
    async with db.live(SCOPE, VOTES).every(0.1) as votes:
        async for now in votes:
            yield ServerSentEvent(data=now, id=str(votes.change))


@app.post("/votes/{dish}")
async def vote(dish: str, db: Db) -> dict[str, Any]:
    """One more vote for a dish; how many it has."""
    try:
        votes = await db.query(SCOPE, ".lunch.set(dish, .lunch[dish] + 1)", dish=dish)
    except LookupFailed:
        raise HTTPException(status.HTTP_404_NOT_FOUND, f"there is no {dish} today") from None
    return {"dish": dish, "votes": votes}


@app.get("/", response_class=HTMLResponse)
def page() -> str:
    """The page."""
    return PAGE


PAGE = """<!doctype html>
<meta charset="utf-8">
<title>Lunch</title>
<style>body { font: 1.2rem system-ui; margin: 3rem } button { font: inherit; margin: .2rem; min-width: 8rem }</style>
<h1>Lunch</h1>
<div id="dishes"></div>
<script>
    const dishes = document.getElementById("dishes");
    new EventSource("/votes").onmessage = ({ data }) => {
        dishes.replaceChildren(...JSON.parse(data).map(({ dish, votes }) => {
            const row = document.createElement("p"), button = document.createElement("button");
            button.textContent = dish;
            button.onclick = () => fetch(`/votes/${encodeURIComponent(dish)}`, { method: "POST" });
            row.append(button, ` ${votes}`);
            return row;
        }));
    };
</script>
"""
