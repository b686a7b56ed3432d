"""Benchmarks: `python -m bench` prints a table of what the server does, beside what nothing but sockets would."""
