"""A driver for tests that kill it: `python a_driver.py HOW DEED...`. Prints its guard's pid when all have begun."""

from __future__ import annotations

import os
import sys
import time

from runstone.engine.guard.client import Guard


def main(how: str, *deeds: str) -> None:
    preload = ["tests.engine.guard.deeds"]
    if how == "importing":
        # the guard has begun when this module says so, and has then more to import than the driver has time for
        preload = ["tests.engine.guard.slow"]
    guard = Guard(preload)
    if how == "importing":
        time.sleep(60)
    children = [guard.spawn(f"tests.engine.guard.deeds:{deed}", deed) for deed in deeds]
    for child in children:
        child.channel.recv(1)
    # a forked copy of the driver has all its descriptors, and lives on
    if how == "copied" and os.fork() == 0:
        time.sleep(20)
        os._exit(0)
    print(guard.pid, flush=True)
    if how == "spawning":
        while True:
            guard.spawn("tests.engine.guard.deeds:ignore_terminate", "one more").channel.detach()
            guard.poll()
            time.sleep(0.002)
    if how == "leaving":
        return
    time.sleep(60)


if __name__ == "__main__":
    main(*sys.argv[1:])
