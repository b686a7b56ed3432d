"""The language and the things: synchronous and deterministic (ARCHITECTURE.md).

The kinds of value, the functions and the jobs register themselves, and know one another; loading the facade first loads
them in an order in which that works, whichever module is asked for.
"""

from engine import engine as engine
