"""What the published clients of iCEFARM, with both drivers, do with boards of workers: a server with a pool that has none of
its own and leases of 8 s, and workers that this script starts, kills and drains. Every result is compared with what that
bitstream must give on that board."""

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from types import SimpleNamespace

from heard import PATIENCE_S, connected, within
from icefarm.client.drivers import PulseCountClient, VarMaxClient
from icefarm.client.lib import BaseClient
from icefarm.client.lib.BatchClient import EvaluationFailed
from icefarm.client.lib.pulsecount import PulseCountEvaluation
from worker import Worker, pulses, waveform

BITSTREAM_BYTES = 104_090
SERIALS = ["U0", "U1", "U2", "U3"]
# What the clients wait for results before they reboot a board: nothing here may depend on that.
CLIENT_TIMEOUT_S = 30
# What the clients send to a board at once: they keep the rest until results come.
SENT_AT_ONCE = 10


def bitstreams(folder, count):
    """Files that differ in their last bytes only."""
    paths = []
    for number in range(count):
        path = os.path.join(folder, f"{number}.bin")
        with open(path, "wb") as file:
            file.write(bytes(BITSTREAM_BYTES - 2) + number.to_bytes(2, "big"))
        paths.append(path)
    return paths


def read(path):
    with open(path, "rb") as file:
        return file.read()


def result_of(result):
    """0.1.15 gives tuples, 0.1.16 results; each of an evaluation or of its file."""
    serial, evaluation, value = (
        result if isinstance(result, tuple) else (result.serial, result.evaluation, result.value)
    )
    return serial, getattr(evaluation, "filepath", evaluation), value


def results_of(generator):
    """All of them, which come before a client would lose its patience; each once."""
    began = time.monotonic()
    results = [result_of(result) for result in within(CLIENT_TIMEOUT_S, lambda: list(generator))]
    assert time.monotonic() - began < CLIENT_TIMEOUT_S
    found = {(serial, path): value for serial, path, value in results}
    assert len(found) == len(results), results
    return found


def expected(serials, paths, value_of):
    values = {(serial, path): value_of(serial, read(path)) for serial in serials for path in paths}
    assert len({str(value) for value in values.values()}) == len(values), "a wrong pairing would show"
    return values


def state_of(lab, serial):
    """A board's state at another door."""
    said = subprocess.run(
        [lab.berth, "--server", lab.native, "--json", "boards", "--machine", "usb"],
        capture_output=True, text=True, check=True,
    ).stdout
    return next(board["state"] for board in json.loads(said) if board["board"] == serial)


def until_state(lab, serial, state):
    until = time.monotonic() + PATIENCE_S
    while (now := state_of(lab, serial)) != state:
        assert time.monotonic() < until, f"{serial} is {now}"


def both_drivers(lab, paths):
    """Batches over several boards, of one kind beside another on one worker."""
    ada, heard = connected(PulseCountClient, lab.url, "ada")
    vera, _ = connected(VarMaxClient, lab.url, "vera")
    held = within(PATIENCE_S, lambda: ada.reserve(3, flush_interval_seconds=0.5))
    assert len(held) == 3 and set(held) < set(SERIALS), held
    assert all(ada.getConnectionInfo(serial) == ada.getConnectionInfo(held[0]) for serial in held), "one worker"
    [rest] = set(SERIALS) - set(held)
    assert within(PATIENCE_S, lambda: vera.reserve(1)) == [rest]

    both = {}
    moving = threading.Thread(target=lambda: both.update(results_of(vera.evaluateBitstreams(paths))))
    moving.start()
    assert results_of(ada.evaluateBitstreams(paths)) == expected(held, paths, pulses)
    moving.join(CLIENT_TIMEOUT_S)
    assert both == expected([rest], paths, lambda serial, data: waveform(serial, data)[0])

    # Each bitstream for the boards that it is meant for, and for no other.
    pairs = [({held[0]}, paths[0]), ({held[1], held[2]}, paths[1]), (set(held), paths[2]), ({held[2]}, paths[3])]
    found = results_of(ada.evaluateEvaluations([PulseCountEvaluation(serials, path) for serials, path in pairs]))
    wanted = {}
    for serials, path in pairs:
        wanted.update(expected(serials, [path], pulses))
    assert found == wanted

    # The kind's arguments arrive: waveforms come with the values.
    assert vera.end([rest]) == [rest] and vera.getSerials() == []
    heard.wait_for_amount(1)
    assert within(PATIENCE_S, lambda: vera.reserve(1, send_waveform=True)) == [rest]
    assert results_of(vera.evaluateBitstreams(paths[:2])) == expected([rest], paths[:2], waveform)
    # Leases of drivers are extended by themselves, and nobody loses a board.
    for serial in held:
        heard.wait_for(serial, "reservation ending soon", 5)
    assert set(ada.getSerials()) == set(held) and heard.count(held[0], "reservation end") == 0
    return ada, heard, held, vera


def strangers(lab, worker, paths, held, info):
    """Whoever does not hold a board is not heard at its worker."""
    mallory, heard = connected(PulseCountClient, lab.url, "mallory")
    mallory.addSerial(held[0], info)
    url = info if isinstance(info, str) else info.url()
    mallory.server.connectWorker(url)
    mallory.requestBatchWorker([held[0]], "evaluate", PulseCountEvaluation({held[0]}, paths[0]).toJson("stolen"))
    worker.wait_for("does not hold the board")
    assert heard.count(held[0], "results") == 0
    mallory.server.exit()
    mallory.server.control_socket.disconnect()


def reboots(ada, heard, held, paths):
    """What waits and what runs outlives a reboot, and nothing is told twice."""
    found = {}
    began = time.monotonic()
    batch = threading.Thread(target=lambda: found.update(results_of(ada.evaluateBitstreams(paths))))
    told = {serial: heard.count(serial, "results") for serial in held}
    ready = {serial: heard.count(serial, "initialized") for serial in held}
    batch.start()
    heard.wait_for(held[0], "results", told[held[0]] + 1)
    assert batch.is_alive(), "there is work left"
    assert not within(PATIENCE_S, lambda: ada.reboot(held, timeout=10)), "all are ready again"
    batch.join(CLIENT_TIMEOUT_S)
    assert found == expected(held, paths, pulses)
    assert time.monotonic() - began < CLIENT_TIMEOUT_S - 5, "the client had to ask again"
    for serial in held:
        assert heard.count(serial, "initialized") == ready[serial] + 1


def ends(ada, heard, held, vera, paths):
    """A board that was given back is another's, with another kind."""
    gone, kept = held[0], held[1:]
    assert ada.end([gone]) == [gone] and set(ada.getSerials()) == set(kept)
    heard.wait_for(gone, "reservation end")
    heard.wait_for_amount(1)
    assert within(PATIENCE_S, lambda: vera.reserveSpecific([gone])) == [gone]
    values = expected([gone], paths[:3], lambda serial, data: waveform(serial, data)[0])
    assert results_of(vera.evaluateBitstreams(paths[:3], serials=[gone])) == values
    assert results_of(ada.evaluateBitstreams(paths[:3])) == expected(kept, paths[:3], pulses)
    assert set(vera.endAll()) >= {gone}
    return kept


def restarts(lab, worker, ada, heard, held, paths):
    """A worker that is killed comes back by itself. What its boards were given is lost, so their reservations end."""
    heard.wait_for_amount(2)
    # A client that still sends when its worker dies never ends its batch: all of it is at the worker by then.
    paths = paths[:SENT_AT_ONCE]
    found = []
    batch = threading.Thread(target=lambda: found.extend(map(result_of, ada.evaluateBitstreams(paths))), daemon=True)
    told = heard.count(held[0], "results")
    over = {serial: heard.count(serial, "reservation end") for serial in held}
    batch.start()
    heard.wait_for(held[0], "results", told + 1)
    for sender in [thread for thread in threading.enumerate() if thread.name == "batch-sender"]:
        sender.join(PATIENCE_S)
        assert not sender.is_alive()
    assert batch.is_alive(), "there is work left"
    worker.kill()
    worker = Worker(lab, "host-1", SERIALS, worker.address, *SLOW)
    worker.wait_for("registered as host-1")
    for serial in held:
        heard.wait_for(serial, "failure")
        heard.wait_for(serial, "reservation end", over[serial] + 1)
    heard.wait_for_amount(4)
    assert ada.getSerials() == []
    if hasattr(ada_module(), "Result"):
        # 0.1.15 says nothing of evaluations that failed until it has lost its patience.
        batch.join(CLIENT_TIMEOUT_S)
        assert not batch.is_alive() and len(found) == len(held) * len(paths)
    values = expected(held, paths, pulses)
    for serial, path, value in found:
        assert value is EvaluationFailed or value == values[serial, path], (serial, path, value)
    assert within(PATIENCE_S, lambda: ada.reserveSpecific(held, flush_interval_seconds=0.5))
    assert results_of(ada.evaluateBitstreams(paths[:4])) == expected(held, paths[:4], pulses)
    return worker


def ada_module():
    return sys.modules[PulseCountEvaluation.__mro__[1].__module__]


def breaks(lab, heard, paths, address):
    """A board that breaks is quarantined, and its holder told."""
    bad = Worker(lab, "host-2", ["BAD"], address, "--breaking", "BAD")
    heard.wait_for_amount(3)
    bert, bert_heard = connected(PulseCountClient, lab.url, "bert")
    assert within(PATIENCE_S, lambda: bert.reserveSpecific(["BAD"])) == ["BAD"]
    bert.requestBatchWorker(["BAD"], "evaluate", PulseCountEvaluation({"BAD"}, paths[0]).toJson("never"))
    bert_heard.wait_for("BAD", "failure")
    bert_heard.wait_for("BAD", "reservation end")
    assert bert.getSerials() == [] and bert_heard.count("BAD", "results") == 0
    until_state(lab, "BAD", "quarantined")
    assert bert.reserveSpecific(["BAD"]) is False
    bert.stop()
    bert.server.control_socket.disconnect()
    bad.drain()
    bad.ended()


def expires(lab, heard, paths):
    """Who does not extend is warned, and loses the board at the end of the lease; a worker takes no more from him."""
    carl, carl_heard = connected(BaseClient, lab.url, "carl")
    [serial] = within(PATIENCE_S, lambda: carl.reserve(1, "pulsecount", {}))
    info = carl.getConnectionInfo(serial)
    carl_heard.wait_for(serial, "reservation ending soon")
    carl_heard.wait_for(serial, "reservation end")
    assert carl.getSerials() == [] and carl_heard.count(serial, "failure") == 0
    carl.server.control_socket.disconnect()
    heard.wait_for_amount(2)
    return serial, info


SLOW = ("--evaluate-s", "0.1")


def main(url, native, berth, token_file, host):
    lab = SimpleNamespace(url=url, native=native, berth=berth, token_file=token_file)
    watcher, heard = connected(BaseClient, lab.url, "watcher")
    heard.wait_for_amount(0)
    worker = Worker(lab, "host-1", SERIALS, f"{host}:0", *SLOW)
    # Boards can be had as soon as their worker has shown that they work.
    heard.wait_for_amount(4)
    assert set(watcher.availableDevices()) == set(SERIALS)
    with tempfile.TemporaryDirectory() as folder:
        paths = bitstreams(folder, 12)
        ada, ada_heard, held, vera = both_drivers(lab, paths)
        strangers(lab, worker, paths, held, ada.getConnectionInfo(held[0]))
        reboots(ada, ada_heard, held, paths)
        kept = ends(ada, ada_heard, held, vera, paths)
        worker = restarts(lab, worker, ada, ada_heard, kept, paths)
        breaks(lab, heard, paths, f"{host}:0")
        expires(lab, heard, paths)
    # A worker that drains lends nothing more, and leaves when the last board is given back.
    worker.drain()
    heard.wait_for_amount(0)
    assert set(ada.getSerials()) == set(kept) and watcher.availableDevices() == []
    for client in (ada, vera):
        client.stop()
    worker.ended()
    for client in (ada, vera, watcher):
        client.server.control_socket.disconnect()


main(*sys.argv[1:])
print("  ok", flush=True)
# Threads of clients that never give up are theirs.
os._exit(0)
