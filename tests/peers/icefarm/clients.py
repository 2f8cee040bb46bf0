"""What the published device client of iCEFARM does, against a server with four boards and leases of 8 s."""

import logging
import sys
import threading

import icefarm.client.lib as lib
from heard import PATIENCE_S, connected, within
from icefarm.client.lib import BaseClient

BaseAPI = lib.BaseAPI
BOARDS = {"A0", "A1", "A2", "A3"}
KIND = ("pulsecount", {"flush_interval_seconds": 1, "flush_at_bitstreams_remaining": 1})


def client(url, name):
    return connected(BaseClient, url, name)


def main(url):
    ada, heard = client(url, "ada")
    bob, bob_heard = client(url, "bob")
    heard.wait_for_amount(5)
    assert ada.available() == 5
    assert set(ada.availableDevices()) == BOARDS | {"BROKEN"}

    # A board that fails says so, and its reservation ends.
    assert BaseAPI.reserveSpecific(ada, ["BROKEN"], "odd", {}) == ["BROKEN"]
    heard.wait_for("BROKEN", "failure")
    heard.wait_for("BROKEN", "reservation end")
    bob_heard.wait_for_amount(4)
    assert set(ada.availableDevices()) == BOARDS

    # Reserving returns when the boards are ready; a second time the socket is open already.
    first = within(PATIENCE_S, lambda: ada.reserve(2, *KIND))
    assert len(first) == 2 and set(first) <= BOARDS, first
    last = sorted(BOARDS - set(first))[0]
    assert within(PATIENCE_S, lambda: ada.reserveSpecific([last], *KIND)) == [last]
    assert set(ada.getSerials()) == {*first, last}
    bob_heard.wait_for_amount(1)
    assert ada.reserveSpecific([last], *KIND) is False, "it is taken"
    assert ada.reserveSpecific(["nobody"], *KIND) is False

    # All that are extended are named, and nothing to extend is no error.
    assert ada.extend([first[0]]) == [first[0]]
    assert set(ada.extend(ada.getSerials())) == {*first, last}
    assert set(ada.extendAll()) == {*first, last}
    assert bob.extendAll() == [] and bob.extend(first) == [] and bob.endAll() == []

    # Reboots work, and are over when the board is ready again.
    assert not within(PATIENCE_S, lambda: ada.reboot(first, timeout=10))
    assert BaseAPI.reboot(bob, ["nobody"]) is False

    # Who waits for boards gets them when there are enough, also when he heard of more before.
    waiting = threading.Thread(target=lambda: bob.reserve(3, *KIND, wait_for_available=True), daemon=True)
    assert bob.waiter.last_available == 1, bob.waiter.last_available
    waiting.start()
    assert ada.end([first[0]]) == [first[0]]
    heard.wait_for(first[0], "reservation end")
    assert ada.end([first[0]]) == [], "it ended before"
    assert ada.end([first[1]]) == [first[1]]
    waiting.join(PATIENCE_S)
    assert not waiting.is_alive() and len(bob.getSerials()) == 3, bob.getSerials()

    # A lease that is not extended is warned of, and ends; both know.
    heard.wait_for(last, "reservation ending soon")
    heard.wait_for(last, "reservation end")
    assert ada.getSerials() == []
    for serial in list(bob.getSerials()):
        bob_heard.wait_for(serial, "reservation end")
    bob_heard.wait_for_amount(4)

    # Two processes of one name both hear, and one that leaves takes nothing from the other.
    other, other_heard = client(url, "ada")
    within(PATIENCE_S, lambda: ada.reserve(1, *KIND))
    other.server.control_socket.disconnect()
    held = ada.getSerials()
    ended = heard.count(held[0], "reservation end")
    assert other.endAll() == held
    heard.wait_for(held[0], "reservation end", ended + 1)

    # What happens while a client has no socket is heard when it has one.
    away = BaseAPI(url, "carl", logging.getLogger("carl"))
    serials = away.reserve(1, *KIND)
    assert away.end(serials) == serials
    again, again_heard = client(url, "carl")
    again_heard.wait_for(serials[0], "reservation end")

    # Everything is given back at the end.
    within(PATIENCE_S, lambda: bob.reserve(2, *KIND))
    bob.stop()
    for one in (ada, again):
        one.stop()
    again_heard.wait_for_amount(4)
    for one in (ada, bob, again):
        one.server.control_socket.disconnect()


main(sys.argv[1])
print("  ok")
