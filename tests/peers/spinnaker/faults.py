"""The unmodified rig 2.4.1 on hardware that goes wrong on demand: what clients must live through, and what they must be told.

Prints one line for each step.
"""
import old_names  # noqa: F401  before rig

import sys
import time
import warnings

from rig.machine_control import BMPController, MachineController
from rig.machine_control.scp_connection import SCPError, TimeoutError as NoAnswer

import simulator
from simulator import equal, pattern, refused

warnings.simplefilter("ignore")
SDRAM = 0x6000_0000
SIZE = 20_000

hardware = simulator.started("--seed", "7")
lab = hardware.__enter__()
results = simulator.Results("faults")
step = results.step
bmp = BMPController(lab.bmp)
bmp.set_power(True, board=[0], post_power_on_delay=0)
chips = MachineController(lab.board(0), n_tries=12, timeout=0.15)
chips.boot(boot_delay=0.01, post_boot_delay=0.5)
chips.scp_data_length  # asks for it once


def asked(events):
    return sum(event["event"] == "board_asked" for event in events)


def memory_is_right(seed):
    """Writes and reads; answers how many commands the board was sent."""
    mark, data = lab.mark(), pattern(SIZE, seed)
    chips.write(SDRAM, data, 3, 3)
    equal(chips.read(SDRAM, SIZE, 3, 3), data)
    return asked(lab.since(mark))


needed = 2 * -(-SIZE // 256)


@step
def without_faults_nothing_is_sent_twice():
    equal(memory_is_right(1), needed)


@step
def memory_is_right_though_datagrams_are_lost():
    lab.fault(f"loss 0.05 at {lab.board(0)}")
    count = memory_is_right(2)
    # What was lost on the way back was done twice.
    assert count > needed, count
    lab.fault("clear")


@step
def memory_is_right_though_datagrams_come_twice():
    lab.fault(f"double 0.3 at {lab.board(0)}")
    count = memory_is_right(3)
    assert count > needed * 1.1, count
    lab.fault("clear")


@step
def memory_is_right_though_datagrams_overtake_each_other():
    lab.fault(f"reorder 0.1 at {lab.board(0)}")
    lab.fault(f"double 0.05 at {lab.board(0)}")
    lab.fault(f"loss 0.02 at {lab.board(0)}")
    memory_is_right(4)
    lab.fault("clear")


@step
def datagrams_take_their_time():
    lab.fault(f"delay 100 at {lab.board(0)}")
    start = time.monotonic()
    MachineController(lab.board(0), n_tries=1, timeout=1).get_software_version()
    # There and back.
    assert 0.2 <= time.monotonic() - start < 0.9, time.monotonic() - start
    lab.fault("clear")


@step
def a_busy_bmp_is_asked_again():
    lab.fault("busy 2 frame m 0 0")
    mark = lab.mark()
    equal(bmp.get_software_version(board=0).version, (2, 1, 2))
    equal([event["command"] for event in lab.since(mark) if event["event"] == "bmp_asked"], ["VER"])
    lab.fault("busy 100 frame m 0 0")
    refused(SCPError, lambda: BMPController(lab.bmp, n_tries=2, timeout=0.1).get_software_version(board=0))
    lab.fault("clear")


@step
def silence_is_silence_and_no_refusal():
    silent = lambda host: refused(NoAnswer, MachineController(host, n_tries=2, timeout=0.1).get_software_version)
    # Off.
    silent(lab.board(1))
    # On, and not booted: its neighbour was booted before.
    bmp.set_power(True, board=1, post_power_on_delay=0)
    lab.until(lambda events: [event for event in events if event["event"] == "power" and event["on"] and 1 in event["boards"]])
    silent(lab.board(1))
    lab.fault(f"silence at {lab.board(0)}")
    silent(lab.board(0))
    lab.fault("clear")
    lab.fault("offline m 0 0")
    silent(lab.board(0))
    refused(NoAnswer, lambda: BMPController(lab.bmp, n_tries=2, timeout=0.1).get_software_version(board=0))
    lab.fault("online m 0 0")
    equal(chips.get_software_version().position, (0, 0))


@step
def a_bad_fpga_says_another_number_until_it_is_switched_again():
    lab.fault("bad-fpga m 0 0 2 1 for 1")
    numbers = lambda: [bmp.read_fpga_reg(fpga, 0x40004, board=2) & 3 for fpga in range(3)]
    switched = lambda: lab.until(lambda events: [event for event in events if event["event"] == "power" and event["on"] and 2 in event["boards"]])
    bmp.set_power(True, board=2, post_power_on_delay=0)
    switched()
    first = numbers()
    assert first[0] == 0 and first[1] != 1 and first[2] == 2, first
    bmp.set_power(False, board=2)
    mark = lab.mark()
    bmp.set_power(True, board=2, post_power_on_delay=0)
    lab.until(lambda events: [event for event in events[mark:] if event["event"] == "power" and event["on"]])
    equal(numbers(), [0, 1, 2])


@step
def a_frame_without_current_forgets():
    chips.write(SDRAM, b"something", 0, 0)
    lab.fault("kill m 0 0")
    refused(NoAnswer, lambda: BMPController(lab.bmp, n_tries=2, timeout=0.1).get_software_version(board=0))
    lab.fault("restart m 0 0")
    equal(bmp.get_software_version(board=0).version, (2, 1, 2))
    refused(NoAnswer, MachineController(lab.board(0), n_tries=2, timeout=0.1).get_software_version)
    bmp.set_power(True, board=0, post_power_on_delay=0)
    equal(chips.boot(boot_delay=0.01, post_boot_delay=0.5), True)
    equal(chips.read(SDRAM, 9, 0, 0), bytes(9))


@step
def a_dead_board_is_no_longer_reached():
    lab.fault("dead m 0 0 1")
    refused(SCPError, lambda: BMPController(lab.bmp, n_tries=2, timeout=0.1).get_software_version(board=1))
    lab.fault("alive m 0 0 1")
    equal(bmp.get_software_version(board=1).board_id, 1)


hardware.__exit__(None, None, None)
sys.exit(results.end())
