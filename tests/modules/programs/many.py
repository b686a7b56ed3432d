"""A module that does as it is told, the wrong things included."""

import os
import signal
import struct
import sys
import threading
import time

import msgpack

conf = None


def read(size):
    data = sys.stdin.buffer.read(size)
    if len(data) < size:
        sys.exit()
    return data


def write(package_id, kind, value=None, data=None):
    body = msgpack.packb(value) if data is None else data
    sys.stdout.buffer.write(struct.pack("<IHBB", len(body), package_id, kind, kind ^ 255) + body)
    sys.stdout.buffer.flush()


while True:
    length, package_id, kind, _ = struct.unpack("<IHBB", read(8))
    value = msgpack.unpackb(read(length)) if length else None
    if kind == 64:
        conf = value
        write(0, 66 if conf == "no" else 65, data=b"")
        continue
    match value.get("do"):
        case "echo":
            write(package_id, 81, value)
        case "conf":
            write(package_id, 81, conf)
        case "pid":
            write(package_id, 81, os.getpid())
        case "fail":
            write(package_id, 82, [value["code"], "as asked for"])
        case "late":
            threading.Timer(value["seconds"], write, (package_id, 81, "late")).start()
        case "nothing":
            write(package_id, 81, data=b"")
        case "half":
            write(package_id, 81, data=b"\x93\x01")
        case "kind":
            write(package_id, 99, "what?")
        case "garbage":
            sys.stdout.buffer.write(b"hello, this is no package at all\n")
            sys.stdout.buffer.flush()
        case "huge":
            sys.stdout.buffer.write(struct.pack("<IHBB", 1 << 31, package_id, 81, 81 ^ 255))
            sys.stdout.buffer.flush()
        case "exit":
            os._exit(3)
        case "deaf":
            signal.pause()
        case "slowly":
            time.sleep(value["seconds"])
            write(package_id, 81, "slowly")
