"""What a client of iCEFARM hears, to be waited for; shared by the scripts beside it."""

import threading

from icefarm.client.lib import AbstractEventHandler

PATIENCE_S = 20
# Of all that was heard, when something was not.
EVENTS_SHOWN = 20


class Heard(AbstractEventHandler):
    """Remembers every event, and lets others wait for one."""

    def __init__(self, client):
        super().__init__(client.server)
        self.waiter = client.waiter
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
        # The first may have come before anybody could listen for it here.
        return told[-1] if told else self.waiter.last_available

    def wait_for_amount(self, amount):
        with self.changed:
            came = self.changed.wait_for(lambda: self.amount() == amount, PATIENCE_S)
        assert came, f"{amount} never became available: {self.events[-EVENTS_SHOWN:]}"


def within(seconds, act):
    """Does something that might never return."""
    came = []
    thread = threading.Thread(target=lambda: came.append(act()), daemon=True)
    thread.start()
    thread.join(seconds)
    assert came, "it never returned"
    return came[0]
