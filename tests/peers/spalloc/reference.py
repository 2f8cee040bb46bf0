"""Starts `spalloc_server` 7.0.0, unchanged but for what it could not be used without here: CONFIG [POWER_MS].

Three things are put in from outside, none of them in the code that answers calls:
- boards that obey at once (or after POWER_MS), instead of a BMP on the network, whose power command alone takes five seconds;
- the version 1.0.0, since every release of the client refuses the "1!7.0.0" that the package gives itself;
- the port is any that is free, and is printed: `spalloc: 127.0.0.1:PORT`.
"""
import itertools
import logging
import queue
import sys
import threading
import time

import spalloc_server.controller
import spalloc_server.server

POWER_S = float(sys.argv[2]) / 1000 if len(sys.argv) > 2 else 0.0


class Boards:
    """Stands for the BMP of one frame. One thread obeys for all frames: a bundle is done POWER_S after it was handed over."""

    orders = queue.PriorityQueue()
    numbers = itertools.count()
    thread = None

    def __init__(self, hostname, on_thread_start=None):
        self.hostname = hostname
        self.lock = threading.RLock()
        if Boards.thread is None:
            Boards.thread = threading.Thread(target=Boards.obey, daemon=True)
            Boards.thread.start()
        if on_thread_start is not None:
            threading.Thread(target=on_thread_start, daemon=True).start()

    @staticmethod
    def obey():
        """Reports every bundle as done when its time has come."""
        while True:
            due, _, request = Boards.orders.get()
            delay = due - time.monotonic()
            if delay > 0:
                time.sleep(delay)
            request.on_done(True, None)

    def __enter__(self):
        self.lock.acquire()

    def __exit__(self, *_):
        self.lock.release()
        return False

    def add_requests(self, atomic_requests):
        """Takes the bundle of one frame. With no delay it is done by the thread as soon as that can run."""
        Boards.orders.put((time.monotonic() + POWER_S, next(Boards.numbers), atomic_requests))

    def stop(self):
        """Nothing is kept open."""

    def join(self):
        """Nothing is waited for."""


spalloc_server.controller.AsyncBMPController = Boards
spalloc_server.server.__version__ = "1.0.0"
logging.disable(logging.CRITICAL)

server = spalloc_server.server.SpallocServer(sys.argv[1], cold_start=True, port=0)
print("spalloc: 127.0.0.1:%d" % server._server_socket.getsockname()[1], flush=True)
server.join()
