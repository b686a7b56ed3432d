"""What the programs have in common: they say what they see, as lines of JSON."""

import asyncio
import json
import logging
import sys


def tell(**facts):
    """Say something."""
    print(json.dumps(facts, default=shown), flush=True)


def shown(value):
    """What JSON has no form for."""
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=str)
    if isinstance(value, bytes):
        return {"bytes": value.decode()}
    return repr(value)


def step(name, value=None):
    """Say what there is at a step of the program."""
    tell(step=name, **{"is": value})


class _Teller(logging.Handler):
    def emit(self, record):
        tell(log=record.getMessage())


def main(program):
    """Run a coroutine function with the program's arguments, ports as ints."""
    logging.basicConfig(level=logging.WARNING, handlers=[_Teller()])
    arguments = [int(word) if word.isdigit() else word for word in sys.argv[1:]]
    asyncio.run(asyncio.wait_for(program(*arguments), 15))
