"""A lab as its users see it: `berth serve` with controller "bmp" on simulated hardware, jobs of the unmodified spalloc client 7.4.1, boards driven by
the unmodified rig 2.4.1. The trace of the hardware shows what it was ordered to do.

`end_to_end.py --through HOST NOT_HOST` is the program that runs in a tunnel.
"""
import old_names  # noqa: F401  before rig

import contextlib
import json
import os
import subprocess
import sys
import time
import warnings

import rig
from rig.machine_control import MachineController
from rig.machine_control.scp_connection import TimeoutError as NoAnswer
import spalloc_client

import simulator
from simulator import BERTH, equal, pattern, refused

warnings.simplefilter("ignore")
IMAGE = os.path.join(os.path.dirname(rig.__file__), "boot/scamp.boot")
SDRAM = 0x6000_0000
EAST, NORTH_EAST, NORTH, WEST, SOUTH_WEST, SOUTH = range(6)
#: Which FPGA has the STOP register of a link, and where: the first link of an FPGA at 0x5C, the second at 0x1005C.
STOP = {EAST: (0, 0x5C), SOUTH: (0, 0x1005C), SOUTH_WEST: (1, 0x5C), WEST: (1, 0x1005C), NORTH: (2, 0x5C), NORTH_EAST: (2, 0x1005C)}
#: The links that lead out of a triad, by z.
OUT_OF_TRIAD = {0: {EAST, WEST, SOUTH_WEST, SOUTH}, 1: {EAST, NORTH_EAST, NORTH, SOUTH}, 2: {NORTH_EAST, NORTH, WEST, SOUTH_WEST}}
BMP = """controller = "bmp"
[machine.bmp]
on_settle_ms = 100
fpga_s_max = 0.5
power_tries = 2
boot_image = "%s"
""" % IMAGE


if sys.argv[1:2] == ["--through"]:
    here, board = sys.argv[2:]
    assert here != board, here
    chips = MachineController(here)
    equal(chips.get_software_version().position, (0, 0))
    data = pattern(10_000, 7)
    chips.write(SDRAM + 1, data, 9, 5)
    equal(chips.read(SDRAM + 1, len(data), 9, 5), data)
    print("through", here)
    sys.exit()


@contextlib.contextmanager
def served(lab):
    """Berth on this hardware; gives the addresses of its native and its spalloc door."""
    config = lab.work / "serve.toml"
    config.write_text(f'data_dir = "{lab.work / "data"}"\n[native]\nlisten = "127.0.0.1:0"\n[spalloc]\nlisten = "127.0.0.1:0"\n'
                      f"[quarantine]\nretest_after_s = 0\n" + simulator.machine("m", lab.net, 9, 2, 2, BMP))
    with open(lab.work / "log", "w") as log:
        process = subprocess.Popen([BERTH, "serve", "--config", str(config)], stdout=subprocess.PIPE, stderr=log, text=True)
    doors = {}
    for line in process.stdout:
        if line.split(":")[0] in ("native", "spalloc"):
            doors[line.split(":")[0]] = "127.0.0.1:" + line.rsplit(":", 1)[1].split()[0]
        if len(doors) == 2:
            break
    try:
        yield doors
    finally:
        process.terminate()
        code = process.wait(simulator.PATIENCE_S)
        if code or results.failed:
            print((lab.work / "log").read_text()[-3000:])
        assert code == 0, code


hardware = simulator.started("--echo-core", "9", width=2, height=2)
lab = hardware.__enter__()
results = simulator.Results("end to end")
step = results.step
server = served(lab)
doors = server.__enter__()


def job(*what, **options):
    host, port = doors["spalloc"].rsplit(":", 1)
    return spalloc_client.Job(*what, hostname=host, port=int(port), owner="ada", reconnect_delay=0.1, timeout=10.0, config_filenames=[], machine="m", **options)


def berth(*words):
    """The command line, as its JSON."""
    done = subprocess.run([BERTH, "--server", doors["native"], "--json", *words], capture_output=True, text=True, timeout=90, stdin=subprocess.DEVNULL)
    assert done.returncode == 0, (words, done.returncode, done.stderr)
    return json.loads(done.stdout)


def orders(events):
    """What happened, short: what was asked of BMPs and what they did, without the time."""
    short = {"bmp_asked": lambda event: (event["command"], event["board"]), "power": lambda event: ("on" if event["on"] else "off", *event["boards"]),
             "fpga_write": lambda event: ("write", event["board"], event["fpga"], event["register"], *event["words"])}
    return [short.get(event["event"], lambda event: (event["event"],))(event) for event in events]


def returned(boards):
    """Waits until these boards are free again, seen to be dark."""
    def free():
        listed = berth("boards", "--machine", "m", "--state", "free")
        return {tuple(board["board"]) for board in listed} >= set(map(tuple, boards))
    end = time.monotonic() + simulator.PATIENCE_S
    while not free():
        assert time.monotonic() < end, "the boards do not come back"


def stops(numbers_links):
    return sorted(("write", board, *STOP[link], 1) for board, links in numbers_links.items() for link in links)


def switched_on(told, boards_links, before):
    """These must be all orders of boards that are switched on at once: what is `before`, on, then each board by itself in its order."""
    boards = tuple(boards_links)
    head = before + [("BMP_POWER", 0), ("on", *boards)]
    equal(told[:len(head)], head)
    for board, links in boards_links.items():
        own = [order for order in told[len(head):] if order[1] == board]
        # Seen lit; the three FPGAs say who they are; the links that lead out are stopped.
        equal(own[:4], [("BMP_INFO", board)] + [("LINK_READ", board)] * 3)
        equal(own[4::2], [("LINK_WRITE", board)] * len(links))
        equal(sorted(own[5::2]), stops({board: links}))
    equal(len(told), len(head) + sum(4 + 2 * len(links) for links in boards_links.values()))


def is_dark(board):
    refused(NoAnswer, MachineController(lab.board(board), n_tries=1, timeout=0.2).get_software_version)


@step
def three_boards_are_switched_together_and_parted_from_all_others():
    mark = lab.mark()
    with job(1, 1) as lent:
        equal(sorted(lent.boards), [[0, 0, 0], [0, 0, 1], [0, 0, 2]])
        equal(lent.connections, {(0, 0): lab.board(0), (8, 4): lab.board(1), (4, 8): lab.board(2)})
        before = [("VER", 0), ("BMP_POWER", 0), ("off", 0, 1, 2), ("BMP_INFO", 0), ("BMP_INFO", 1), ("BMP_INFO", 2)]
        switched_on(orders(lab.since(mark)), OUT_OF_TRIAD, before)
        chips = MachineController(lent.hostname)
        chips.boot(boot_delay=0.01, post_boot_delay=0.5)
        info = chips.get_system_info()
        equal((len(info), info.width, info.height), (144, 16, 16))
        equal(dict(info.ethernet_connected_chips()), lent.connections)
        chips.discover_connections()
        chips.write(SDRAM, b"second board", 10, 6)
        equal(chips.read(SDRAM, 12, 10, 6), b"second board")
        mark = lab.mark()
    returned([(0, 0, 0), (0, 0, 1), (0, 0, 2)])
    equal(orders(lab.since(mark)), [("BMP_POWER", 0), ("off", 0, 1, 2), ("BMP_INFO", 0), ("BMP_INFO", 1), ("BMP_INFO", 2)])
    is_dark(0)


@step
def one_board_that_is_known_to_be_off_is_only_switched_on():
    mark = lab.mark()
    with job(0, 0, 0) as lent:
        equal((lent.hostname, lent.boards), (lab.board(0), [[0, 0, 0]]))
        switched_on(orders(lab.since(mark)), {0: set(STOP)}, [])
        chips = MachineController(lent.hostname)
        equal(chips.boot(boot_delay=0.01, post_boot_delay=0.5), True)
        data = pattern(5_000, 3)
        chips.write(SDRAM + 3, data, 5, 6)
        equal(chips.read(SDRAM + 3, len(data), 5, 6), data)
        info = chips.get_system_info()
        equal((len(info), info.width, info.height), (48, 8, 8))
        mark = lab.mark()
    returned([(0, 0, 0)])
    equal(orders(lab.since(mark)), [("BMP_POWER", 0), ("off", 0), ("BMP_INFO", 0)])
    is_dark(0)


@step
def power_goes_off_and_on_at_the_wish_of_the_user():
    with job(0, 1, 0) as lent:
        mark = lab.mark()
        lent.set_power(False)
        lent.wait_until_ready(timeout=20)
        equal([order for order in orders(lab.since(mark)) if order[0] in ("on", "off")], [("off", 3)])
        mark = lab.mark()
        lent.set_power(True)
        lent.wait_until_ready(timeout=20)
        told = orders(lab.since(mark))
        equal([order for order in told if order[0] == "on"], [("on", 3)])
        equal(sorted(order for order in told if order[0] == "write"), stops({3: set(STOP)}))
    returned([(0, 1, 0)])


@step
def a_board_with_a_bad_fpga_is_set_aside_and_the_job_gets_another():
    lab.fault("bad-fpga m 0 0 0 2")
    mark = lab.mark()
    with job() as lent:
        assert [0, 0, 0] not in lent.boards, lent.boards
        equal(len(lent.boards), 1)
        # It was switched on as often as it may be, and no link of it was stopped.
        told = orders(lab.since(mark))
        equal(len([order for order in told if order == ("on", 0)]), 2)
        equal([order for order in told if order[:2] == ("write", 0)], [])
        quarantined = berth("boards", "--machine", "m", "--state", "quarantined")
        equal([board["board"] for board in quarantined], [[0, 0, 0]])
        assert "FPGA 2" in quarantined[0]["reason"], quarantined
        equal(MachineController(lent.hostname).boot(boot_delay=0.01, post_boot_delay=0.5), True)
    lab.fault("clear")


@step
def a_job_is_booted_before_it_is_ready_and_reached_through_a_tunnel():
    mark = lab.mark()
    number = berth("create", "1x1", "--machine", "m", "--boot", "--wait", "--keepalive", "5m")["job_id"]
    told = lab.since(mark)
    booted = [tuple(event["board"]) for event in told if event["event"] == "booted"]
    sent = {tuple(event["board"]) for event in told if event["event"] == "boot_message"}
    equal((len(booted), len(sent)), (3, 1))
    root = sent.pop()
    place = next(event["address"] for event in told if event["event"] == "boot_message")
    chips = MachineController(place, n_tries=1)
    equal((chips.get_software_version().version_string, chips.boot()), ("SC&MP/SpiNNaker", False))
    info = chips.get_system_info()
    equal((len(info), sorted(info.ethernet_connected_chips())[0]), (144, ((0, 0), place)))
    data = pattern(100, 9)
    chips.write(SDRAM, data, 0, 0)
    done = subprocess.run([BERTH, "--server", doors["native"], "tunnel", str(number), "--", sys.executable, __file__, "--through", "{hostname}", place],
                          capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
    assert done.returncode == 0 and "through 127." in done.stdout, done
    # What was written through the tunnel is on the board itself.
    equal(chips.read(SDRAM + 1, 10_000, 9, 5), pattern(10_000, 7))
    berth("release", str(number))
    returned(booted)
    refused(NoAnswer, MachineController(place, n_tries=1, timeout=0.2).get_software_version)


server.__exit__(None, None, None)
hardware.__exit__(None, None, None)
sys.exit(results.end())
