"""What a client of iCEFARM hears, to be waited for; shared by the scripts beside it."""

import logging
import threading

from icefarm.client.lib import AbstractEventHandler

PATIENCE_S = 20
# Of all that was heard, when something was not.
EVENTS_SHOWN = 20


class Heard(AbstractEventHandler):
    """Remembers every event, and lets others wait for one."""

    def __init__(self, server):
        super().__init__(server)
        self.events = []
        self.changed = threading.Condition()

    def handleEvent(self, event):
        with self.changed:
            self.events.append((event.serial, event.event, event.contents))
            self.changed.notify_all()

    def count(self, serial, event):
        return sum(1 for one in self.events if one[:2] == (serial, event))

    def wait_for(self, serial, event, times=1):
        with self.changed:
            came = self.changed.wait_for(lambda: self.count(serial, event) >= times, PATIENCE_S)
        assert came, f"no {event} of {serial}: {self.events[-EVENTS_SHOWN:]}"

    def amount(self):
        told = [contents["amount"] for _, event, contents in self.events if event == "devices_available"]
        return told[-1] if told else None

    def wait_for_amount(self, amount):
        with self.changed:
            came = self.changed.wait_for(lambda: self.amount() == amount, PATIENCE_S)
        assert came, f"{amount} never became available: {self.events[-EVENTS_SHOWN:]}"


def connected(made, url, name):
    """A client of this class, and what it hears from its first moment on: a handler added later may miss the first events."""

    class Hearing(made):
        heard = None

        def addEventHandler(self, handler):
            super().addEventHandler(handler)
            if self.heard is None:
                self.heard = Heard(self.server)
                super().addEventHandler(self.heard)

    client = Hearing(url, name, logging.getLogger(name))
    assert client.server.control_socket, "no socket to the control server"
    return client, client.heard


def within(seconds, act):
    """Does something that might never return."""
    came = []
    thread = threading.Thread(target=lambda: came.append(act()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert came, "it never returned"
    return came[0]
