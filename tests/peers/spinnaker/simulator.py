"""Starts `berth simulate spinnaker` for a test, on loopback addresses of its own, tells it what goes wrong and hears what its hardware does.

Machine `m` is what is tested. Machine `bell` stands beside it and is asked for its version to mark a moment among the events.
"""
import contextlib
import json
import os
import pathlib
import queue
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[3]
BERTH = os.environ.get("BERTH", str(ROOT / "target/debug/berth"))
PATIENCE_S = 30
SCP_PORT, BOOT_PORT = 17893, 54321


def address(net, number):
    """An address of the test with this number of a network; the last byte says which."""
    return f"127.{101 + net // 256 % 99}.{net % 256}.{number}"


def machine(name, net, first, width, height, extra=""):
    """One machine of triads in one frame, as `config.toml` has it; its BMP is just before its first board."""
    return f"""
[[machine]]
name = "{name}"
shape = "triads"
width = {width}
height = {height}
tags = ["{name}", "default"]
settle_s = 0
host_base = "{address(net, first)}"
bmps = [{{ cabinet = 0, frame = 0, host = "{address(net, first - 1)}" }}]
{extra}"""


class Simulator:
    """Simulated hardware; `events` is all that it did so far."""

    def __init__(self, process, net):
        self.process, self.net = process, net
        self.bmp, self.bell, self.ear = address(net, 8), address(net, 200), address(net, 250)
        self.events, self.news, self.answers = [], threading.Condition(), queue.Queue()
        self.rung = 0
        self.listening = json.loads(process.stdout.readline() or "{}").get("listening")
        if self.listening:
            threading.Thread(target=self.hear, daemon=True).start()

    def board(self, number):
        """The address of a board of machine `m` by its number in the frame."""
        return address(self.net, 9 + 8 * number)

    def hear(self):
        for line in self.process.stdout:
            heard = json.loads(line)
            if "line" in heard:
                self.answers.put(heard)
                continue
            with self.news:
                self.events.append(heard)
                self.news.notify_all()

    def fault(self, line):
        """Makes something go wrong, or well again."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()
        answer = self.answers.get(timeout=PATIENCE_S)
        assert answer["ok"], answer

    def until(self, what):
        """Waits until this is true of the events of machine `m`; answers what is true."""
        with self.news:
            if not self.news.wait_for(lambda: what(self.told()), PATIENCE_S):
                raise AssertionError(f"never told; the last events are {self.told()[-12:]}")
            return what(self.told())

    def told(self):
        return [event for event in self.events if event["machine"] == "m"]

    def mark(self):
        """All that machine `m` did before this moment is in the events: answers how many that are."""
        self.rung += 1
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bell:
            bell.connect((self.bell, SCP_PORT))
            bell.settimeout(PATIENCE_S)
            bell.send(bytes.fromhex("0000 87ff 00ff 0000 0000 0000 0000") + bytes(12))
            bell.recv(512)
        rings = lambda: sum(event["machine"] == "bell" for event in self.events)
        with self.news:
            assert self.news.wait_for(lambda: rings() >= self.rung, PATIENCE_S), "the bell was not heard"
            return len(self.told())

    def since(self, mark):
        """What machine `m` did between a mark and now, in order."""
        now = self.mark()
        return self.told()[mark:now]


@contextlib.contextmanager
def started(*flags, width=1, height=1, hello=False, extra="", controller='controller = "simulated"'):
    """Simulated hardware with machine `m` of this size; it is stopped at the end. With `hello` unbooted boards say so to `ear`."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="spinnaker-"))
    for net in range(os.getpid() % 25_000, os.getpid() % 25_000 + 50):
        config = work / "lab.toml"
        config.write_text(f'data_dir = "{work / "data"}"\n' + extra + machine("m", net, 9, width, height, controller)
                          + machine("bell", net, 201, 1, 1, 'controller = "simulated"'))
        command = [BERTH, "simulate", "spinnaker", "--config", str(config), "--json", "--trace", "--until-eof", *flags]
        command += ["--hello", address(net, 250)] if hello else []
        with open(work / "errors", "w") as errors:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors, text=True)
        simulator = Simulator(process, net)
        if simulator.listening:
            break
    else:
        sys.exit(f"the simulator does not start: {(work / 'errors').read_text()}")
    simulator.config, simulator.work = config, work
    try:
        yield simulator
    finally:
        process.stdin.close()
        assert process.wait(PATIENCE_S) == 0, (work / "errors").read_text()


class Results:
    """Steps that were tried: each prints one line."""

    def __init__(self, title):
        self.title, self.passed, self.failed, self.start = title, 0, 0, time.monotonic()

    def step(self, function):
        """Tries a step at once."""
        name = function.__name__.replace("_", " ")
        try:
            function()
            self.passed += 1
            print("ok   ", name, flush=True)
        except Exception as error:  # every failure is a result, whatever it is
            self.failed += 1
            place = error.__traceback__
            while place.tb_next and place.tb_next.tb_frame.f_code.co_filename == function.__code__.co_filename:
                place = place.tb_next
            print("FAIL ", name, "- line", place.tb_lineno, "-", repr(error), flush=True)

    def end(self):
        print(f"{self.title}: {self.passed} passed, {self.failed} failed, {time.monotonic() - self.start:.0f} s")
        return 1 if self.failed or not self.passed else 0


def equal(left, right):
    assert left == right, (left, right)


def near(left, right, by):
    assert abs(left - right) <= by, (left, right)


def refused(error, function):
    """What is raised must be of this type."""
    try:
        function()
    except error as refusal:
        return refusal
    raise AssertionError("was not refused")


def pattern(size, seed=1):
    """Bytes that repeat neither by 256 nor by words."""
    return b"".join(struct.pack("<I", (at * 2_654_435_761 + seed * 40_503) >> 3 & 0xFFFFFFFF) for at in range(size // 4 + 1))[:size]
