"""rig 2.4.1, unmodified, drives simulated hardware: its BMP controller, its boot, its machine controller.

What is compared is what the simulator is known to have, or the events it tells. Prints one line for each step.
"""
import old_names  # noqa: F401  before rig

import os
import select
import socket
import sys
import warnings

import rig
from rig.machine_control import BMPController, MachineController
from rig.machine_control.machine_controller import SpiNNakerBootError
from rig.machine_control.packets import SDPPacket
from rig.machine_control.scp_connection import FatalReturnCodeError, SCPError, TimeoutError as NoAnswer
from rig.machine_control.consts import AppState
from rig.links import Links

import simulator
from simulator import SCP_PORT, equal, near, pattern, refused

warnings.simplefilter("ignore")
APLX = os.path.join(os.path.dirname(rig.__file__), "binaries/test.aplx")
ECHO_CORE = 9
SDRAM = 0x6000_0000
#: What is free on a fresh chip.
SDRAM_FREE_BYTES = 123_469_792

hardware = simulator.started("--echo-core", str(ECHO_CORE))
lab = hardware.__enter__()
results = simulator.Results("rig 2.4.1")
step = results.step
bmp = BMPController(lab.bmp)
chips = MachineController(lab.board(0))


@step
def the_bmp_tells_its_version():
    for board in range(3):
        info = bmp.get_software_version(board=board)
        equal((info.board_id, info.frame_id, info.version, info.buffer_size), (board, 0, (2, 1, 2), 256))
        assert info.version_string.startswith("BC&MP/Spin5-BMP"), info


@step
def a_board_that_is_not_there_is_refused():
    refused(FatalReturnCodeError, lambda: bmp.get_software_version(board=7))


@step
def a_board_that_is_off_is_silent():
    silent = MachineController(lab.board(0), n_tries=1, timeout=0.2)
    refused(NoAnswer, silent.get_software_version)


@step
def boards_are_switched_on():
    mark = lab.mark()
    bmp.set_power(True, board=[0, 2], post_power_on_delay=0)
    equal([(event["event"], event.get("on"), event.get("boards")) for event in lab.since(mark) if event["event"] == "power"], [("power", True, [0, 2])])
    bmp.set_power(False, board=2)
    lab.until(lambda events: any((event["event"], event.get("on"), event.get("boards")) == ("power", False, [2]) for event in events))


@step
def registers_of_fpgas_are_read_and_written():
    for fpga in range(3):
        equal(bmp.read_fpga_reg(fpga, 0x40004, board=0) & 3, fpga)
        equal(bmp.read_fpga_reg(fpga, 0x5C, board=0), 0)
    mark = lab.mark()
    bmp.write_fpga_reg(1, 0x1005C, 1, board=0)
    equal(bmp.read_fpga_reg(1, 0x1005C, board=0), 1)
    equal(bmp.read_fpga_reg(1, 0x2005C, board=0), 0)
    bmp.write_fpga_reg(1, 0x1005C, 0, board=0)
    written = [event for event in lab.since(mark) if event["event"] == "fpga_write"]
    equal([(event["board"], event["fpga"], event["register"], event["words"]) for event in written],
          [(0, 1, 0x1005C, [1]), (0, 1, 0x1005C, [0])])
    # What belongs to a board without power reads as all ones.
    equal(bmp.read_fpga_reg(0, 0x40004, board=2), 0xFFFFFFFF)


@step
def sensors_are_read():
    for board, on in ((0, True), (1, False)):
        adc = bmp.read_adc(board=board)
        for volts, rail in ((1.2, adc.voltage_1_2a), (1.2, adc.voltage_1_2b), (1.2, adc.voltage_1_2c), (1.8, adc.voltage_1_8)):
            near(rail, volts if on else 0, 0.01)
        near(adc.voltage_3_3, 3.3, 0.01)
        near(adc.voltage_supply, 12, 0.02)
        # 5300/256 degrees, 16/256 more for each board number, 1500/256 more with power.
        near(adc.temp_top, (5300 + 16 * board + 1500 * on) / 256, 1e-6)
        near(adc.temp_btm, (5500 + 16 * board + 1500 * on) / 256, 1e-6)
        equal((adc.temp_ext_0, adc.temp_ext_1, adc.fan_0, adc.fan_1), (22.0, 23.0, 2400.0, 2430.0) if board == 0 else (None,) * 4)


@step
def leds_are_switched():
    mark = lab.mark()
    bmp.set_led(7, True, board=0)
    bmp.set_led([6, 7], None, board=0)
    bmp.set_led(6, False, board=0)
    seen = [(event["board"], event["leds"]) for event in lab.since(mark) if event["event"] == "led"]
    equal(seen, [(0, 0x80), (0, 0x40), (0, 0)])


@step
def the_bmp_is_not_booted():
    refused(SpiNNakerBootError, lambda: MachineController(lab.bmp).boot())


@step
def a_board_is_booted():
    mark = lab.mark()
    equal(chips.boot(boot_delay=0.01, post_boot_delay=0.5), True)
    told = lab.since(mark)
    opcodes = [event["opcode"] for event in told if event["event"] == "boot_message"]
    # 27,168 bytes are 27 blocks of 1 KiB.
    equal(opcodes, [1] + [3] * 27 + [5])
    equal([event["board"] for event in told if event["event"] == "booted"], [[0, 0, 0]])
    equal(chips.boot(), False)


@step
def scamp_tells_its_version():
    info = chips.get_software_version()
    equal((info.position, info.virt_cpu, info.software_version, info.buffer_size), ((0, 0), 0, (4, 0, 0), 256))
    equal(info.version_string, "SC&MP/SpiNNaker")
    equal(chips.get_software_version(7, 7).position, (7, 7))


@step
def memory_is_what_was_written():
    for at, size in ((0, 1), (1, 2), (2, 255), (0, 256), (3, 256), (2, 257), (1, 511), (0, 512), (5, 1027), (256, 4096)):
        data = pattern(size, at + size)
        for x, y in ((0, 0), (4, 7)):
            chips.write(SDRAM + at, data, x, y)
            equal(chips.read(SDRAM + at, size, x, y), data)
    # Neighbours of what was written keep what they have.
    chips.write(SDRAM + 64, b"\xAA" * 16, 1, 1)
    chips.write(SDRAM + 69, b"xyz", 1, 1)
    equal(chips.read(SDRAM + 64, 16, 1, 1), b"\xAA" * 5 + b"xyz" + b"\xAA" * 8)


@step
def memory_is_filled():
    chips.write(SDRAM + 0x1000, b"\x11" * 40, 0, 1)
    chips.fill(SDRAM + 0x1004, 0x01020304, 32, 0, 1, 0)
    equal(chips.read(SDRAM + 0x1000, 40, 0, 1), b"\x11" * 4 + b"\4\3\2\1" * 8 + b"\x11" * 4)
    chips.fill(SDRAM + 0x1001, 0x55, 2, 0, 1, 0)
    equal(chips.read(SDRAM + 0x1000, 5, 0, 1), b"\x11\x55\x55\x11\4")


@step
def memory_behind_links_is_read_and_written():
    chips.write(SDRAM, b"next door", 1, 0)
    equal(chips.read_across_link(SDRAM, 8, 0, 0, Links.east), b"next doo")
    chips.write_across_link(SDRAM + 16, b"hallo!!!", 0, 0, Links.north)
    equal(chips.read(SDRAM + 16, 8, 0, 1), b"hallo!!!")


@step
def an_address_without_memory_is_refused():
    refused(SCPError, lambda: chips.read(SDRAM, 4, 200, 200))


@step
def system_variables_are_read():
    equal((chips.read_struct_field("sv", "p2p_addr", 3, 2), chips.read_struct_field("sv", "p2p_dims", 0, 0)), (0x0302, 0x0808))
    equal(chips.get_ip_address(0, 0), lab.board(0))
    equal(chips.get_ip_address(1, 0), None)


@step
def a_lone_board_has_48_chips():
    info = chips.get_system_info()
    equal((info.width, info.height, len(info), len(list(info.dead_chips()))), (8, 8, 48, 16))
    equal(list(info.ethernet_connected_chips()), [((0, 0), lab.board(0))])
    for chip in info.values():
        equal((chip.num_cores, chip.largest_free_sdram_block), (18, SDRAM_FREE_BYTES))
        equal(chip.local_ethernet_chip, (0, 0))
    # On the edge of a lone board links lead nowhere.
    equal(info[(0, 0)].working_links, {Links.east, Links.north_east, Links.north})
    equal(info[(3, 3)].working_links, set(Links))


@step
def tags_are_set_told_and_cleared():
    chips.iptag_set(3, "127.9.8.7", 5151, 0, 0)
    tag = chips.iptag_get(3, 0, 0)
    equal((tag.addr, tag.port, tag.flags & 0x8000), ("127.9.8.7", 5151, 0x8000))
    chips.iptag_clear(3, 0, 0)
    equal(chips.iptag_get(3, 0, 0).flags & 0x8000, 0)
    refused(SCPError, lambda: chips.iptag_set(16, "127.9.8.7", 5151, 0, 0))


@step
def memory_is_lent_and_returned():
    first = chips.sdram_alloc(1000, tag=5, x=2, y=2, app_id=40)
    second = chips.sdram_alloc(1000, x=2, y=2, app_id=40)
    assert second >= first + 1000, (first, second)
    with chips(x=2, y=2, app_id=40):
        region = chips.sdram_alloc_as_filelike(300)
        region.write(pattern(300))
        region.seek(0)
        equal(region.read(), pattern(300))
    left = chips.get_chip_info(2, 2).largest_free_sdram_block
    assert left < SDRAM_FREE_BYTES, left
    chips.send_signal("stop", 40)
    equal(chips.get_chip_info(2, 2).largest_free_sdram_block, SDRAM_FREE_BYTES)


def states(targets):
    return [chips.get_processor_status(core, *chip).cpu_state for chip, cores in targets.items() for core in cores]


@step
def an_application_is_loaded_started_and_stopped():
    targets = {(0, 0): {1, 2, 17}, (5, 3): {4}}
    # rig counts with a signal from point to point, which today's SC&MP refuses: it must look at each core instead.
    refused(FatalReturnCodeError, lambda: chips.count_cores_in_state("wait", 30))
    chips.load_application(APLX, targets, app_id=30, wait=True, use_count=False)
    equal(states(targets), [AppState.wait] * 4)
    with open(APLX, "rb") as file:
        image = file.read()
    at = chips.read_struct_field("sv", "sdram_sys", 5, 3)
    equal(chips.read(at, len(image), 5, 3), image)
    equal(chips.get_processor_status(4, 5, 3).app_id, 30)
    equal(states({(5, 3): {5}}), [AppState.idle])
    chips.send_signal("start", 30)
    equal(states(targets), [AppState.run] * 4)
    chips.send_signal("stop", 30)
    equal(states(targets), [AppState.idle] * 4)
    equal(chips.get_processor_status(4, 5, 3).app_id, 0)


@step
def messages_of_sdp_come_back_through_tags():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind(("127.0.0.1", 0))
        chips.iptag_set(1, *here.getsockname(), 0, 0)
        here.settimeout(10)
        for x, y in ((0, 0), (6, 4)):
            out = SDPPacket(reply_expected=True, tag=1, dest_port=2, dest_cpu=ECHO_CORE, src_port=7, src_cpu=31, dest_x=x, dest_y=y,
                            src_x=0, src_y=0, data=b"to the core and back")
            here.sendto(out.bytestring, (lab.board(0), SCP_PORT))
            data, sender = here.recvfrom(512)
            back = SDPPacket.from_bytestring(data)
            equal((sender, back.data, back.src_x, back.src_y, back.src_cpu, back.src_port),
                  ((lab.board(0), SCP_PORT), b"to the core and back", x, y, ECHO_CORE, 2))
        # No answer was wanted, and of another core there is none to be had: only of the echo core comes something back.
        quiet = SDPPacket(reply_expected=False, tag=1, dest_port=2, dest_cpu=ECHO_CORE + 1, src_port=7, src_cpu=31, dest_x=0, dest_y=0,
                          src_x=0, src_y=0, data=b"nobody")
        here.sendto(quiet.bytestring, (lab.board(0), SCP_PORT))
        lab.mark()
        equal(select.select([here], [], [], 0.05)[0], [])


@step
def routes_are_loaded_and_told():
    from rig.routing_table import RoutingTableEntry, Routes
    entries = [RoutingTableEntry({Routes.east, Routes.core_3}, 0xDEAD0000, 0xFFFF0000), RoutingTableEntry({Routes.north}, 0xBEEF0000, 0xFFFF0000)]
    chips.load_routing_table_entries(entries, 2, 1, 66)
    told = [row for row in chips.get_routing_table_entries(2, 1) if row is not None and row[1] == 66]
    equal([(row[0].route, row[0].key, row[0].mask) for row in told], [(entry.route, entry.key, entry.mask) for entry in entries])


@step
def leds_of_chips_are_switched():
    mark = lab.mark()
    chips.set_led(1, True, x=0, y=0)
    equal([event["command"] for event in lab.since(mark) if event["event"] == "board_asked"], ["LED"])


@step
def three_boards_are_one_machine():
    bmp.set_power(False, board=range(3))
    bmp.set_power(True, board=range(3), post_power_on_delay=0)
    mark = lab.mark()
    whole = MachineController(lab.board(0))
    whole.boot(boot_delay=0.01, post_boot_delay=0.5)
    lab.until(lambda events: len([event for event in events[mark:] if event["event"] == "booted"]) >= 3)
    info = whole.get_system_info()
    equal((info.width, info.height, len(info)), (12, 12, 144))
    # z 1 is at (8, 4), z 2 at (4, 8).
    equal(dict(info.ethernet_connected_chips()), {(0, 0): lab.board(0), (8, 4): lab.board(1), (4, 8): lab.board(2)})
    equal(whole.discover_connections(), 3)
    mark = lab.mark()
    whole.write(SDRAM, b"elsewhere", 9, 5)
    equal(whole.read(SDRAM, 9, 9, 5), b"elsewhere")
    asked = {tuple(event["board"]) for event in lab.since(mark) if event["event"] == "board_asked"}
    equal(asked, {(0, 0, 1)})


@step
def boards_that_lost_their_power_forget():
    bmp.set_power(False, board=range(3))
    refused(NoAnswer, MachineController(lab.board(0), n_tries=1, timeout=0.2).get_software_version)
    bmp.set_power(True, board=[0], post_power_on_delay=0)
    again = MachineController(lab.board(0))
    again.boot(boot_delay=0.01, post_boot_delay=0.5)
    equal(again.read(SDRAM, 4, 4, 7), bytes(4))


hardware.__exit__(None, None, None)
sys.exit(results.end())
