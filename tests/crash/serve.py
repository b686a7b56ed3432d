"""The server's command line with checkpoints so frequent that they happen under the load of a test."""

from server import app
from server.cli import main

app.CHECKPOINT_CHANGES = 50
app.CHECKPOINT_ROUND = 0.02

if __name__ == "__main__":
    raise SystemExit(main())
