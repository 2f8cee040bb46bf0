"""SpiNNMan 7.0.0 or 7.4.1, unmodified, drives simulated hardware through its connections, its processes and its transceiver.

What is compared is what the simulator is known to have, or the events it tells. What the library cannot do by itself is looked for as well,
and said in the step: were it to go well one day, the step would say so. Prints one line for each step.
"""
import importlib.metadata
import logging
import os
import struct
import sys
import time

import spinnman
from spinn_machine import CoreSubset, CoreSubsets
from spinn_machine.tags import IPTag, ReverseIPTag
from spinn_utilities.config_holder import set_config
from spinnman.config_setup import unittest_setup
from spinnman.connections import ConnectionListener
from spinnman.connections.udp_packet_connections import (
    BMPConnection, BootConnection, EIEIOConnection, IPAddressesConnection, SCAMPConnection, SDPConnection, UDPConnection)
from spinnman.data.spinnman_data_writer import SpiNNManDataWriter
from spinnman.exceptions import SpinnmanException, SpinnmanTimeoutException
from spinnman.messages.eieio import EIEIOType
from spinnman.messages.eieio.data_messages import EIEIODataHeader, EIEIODataMessage, KeyPayloadDataElement
from spinnman.messages.scp.enums import PowerCommand, Signal
from spinnman.messages.scp.impl import BMPGetVersion, FillRequest, GetChipInfo, GetVersion, ReadFPGARegister, SetPower, WriteFPGARegister
from spinnman.messages.sdp import SDPFlag, SDPHeader, SDPMessage
from spinnman.messages.spinnaker_boot import SpinnakerBootMessage
from spinnman.model import BMPConnectionData
from spinnman.model.enums import CPUState
from spinnman.processes import FixedConnectionSelector, SendSingleCommandProcess
from spinnman.transceiver import create_transceiver_from_hostname

import simulator
from simulator import SCP_PORT, equal, near, pattern, refused

RELEASE = importlib.metadata.version("SpiNNMan").partition("!")[2]
OLD = RELEASE == "7.0.0"
ECHO_CORE = 9
SDRAM = 0x6000_0000

unittest_setup()
if not OLD:
    set_config("Machine", "version", "5")
logging.disable(logging.CRITICAL)

hardware = simulator.started("--echo-core", str(ECHO_CORE), "--scamp", "3.4.1" if OLD else "4.0.0", hello=True)
lab = hardware.__enter__()
results = simulator.Results(f"SpiNNMan {RELEASE}")
step = results.step
place = (0, 0) if OLD else ()
bmp = BMPConnection(BMPConnectionData(*place, lab.bmp, [0, 1, 2], SCP_PORT))
SCAMP = SCAMPConnection(255, 255, remote_host=lab.board(0))


def asked(connection, request, **options):
    """One request, with the timers and tries of the library."""
    return SendSingleCommandProcess(FixedConnectionSelector(connection), **options).execute(request)


def done(connection, request, **options):
    """The same for power and for writing registers: since 7.2.1 their replies cannot be told from a failure, though all went well."""
    if OLD:
        asked(connection, request, **options)
    else:
        assert "abstract class" in repr(refused(Exception, lambda: asked(connection, request, **options)))


def power(command, boards):
    """Switches boards, and looks at what the hardware did."""
    mark, on = lab.mark(), command is PowerCommand.POWER_ON
    done(bmp, SetPower(command, boards), timeout=10, n_retries=0)
    switched = lambda events: [board for event in events[mark:] if event["event"] == "power" and event["on"] is on for board in event["boards"]]
    # Without board 0 the answer comes before the boards are up.
    equal(sorted(lab.until(lambda events: len(switched(events)) >= len(boards) and switched(events))), boards)


@step
def the_bmp_tells_its_version():
    for board in range(3):
        version = asked(bmp, BMPGetVersion(board)).version_info
        equal((version.name, version.hardware, tuple(version.version_number)), ("BC&MP", "Spin5-BMP", (2, 1, 2)))
        # Of a BMP the first bytes say other things: board, frame.
        equal((version.p, version.y), (board, 0))


@step
def a_board_that_is_off_is_silent():
    refusal = refused(SpinnmanException, lambda: asked(SCAMP, GetVersion(255, 255, 0), n_retries=1, timeout=0.2))
    assert "timeout" in repr(refusal).lower() or "Timeout" in repr(getattr(refusal, "exception", "")), refusal


@step
def boards_are_switched_on_and_off():
    power(PowerCommand.POWER_ON, [0, 1, 2])
    power(PowerCommand.POWER_OFF, [0, 2])
    power(PowerCommand.POWER_ON, [0])


@step
def registers_of_fpgas_are_read_and_written():
    for fpga in range(3):
        equal(asked(bmp, ReadFPGARegister(fpga, 0x40004, 0)).fpga_register & 3, fpga)
    mark = lab.mark()
    done(bmp, WriteFPGARegister(2, 0x2005C, 1, 0))
    equal(asked(bmp, ReadFPGARegister(2, 0x2005C, 0)).fpga_register, 1)
    equal(asked(bmp, ReadFPGARegister(2, 0x1005C, 0)).fpga_register, 0)
    done(bmp, WriteFPGARegister(2, 0x2005C, 0, 0))
    written = [event for event in lab.since(mark) if event["event"] == "fpga_write"]
    equal([(event["board"], event["fpga"], event["register"], event["words"]) for event in written],
          [(0, 2, 0x2005C, [1]), (0, 2, 0x2005C, [0])])
    equal(asked(bmp, ReadFPGARegister(1, 0x40004, 2)).fpga_register, 0xFFFFFFFF)


if OLD:
    @step
    def leds_are_switched():
        from spinnman.messages.scp.enums import LEDAction
        from spinnman.messages.scp.impl import BMPSetLed
        mark = lab.mark()
        asked(bmp, BMPSetLed(7, LEDAction.ON, 0))
        asked(bmp, BMPSetLed([6, 7], LEDAction.TOGGLE, 0))
        asked(bmp, BMPSetLed(6, LEDAction.OFF, 0))
        seen = [(event["board"], event["leds"]) for event in lab.since(mark) if event["event"] == "led"]
        equal(seen, [(0, 0x80), (0, 0x40), (0, 0)])

    @step
    def sensors_are_read_once_the_request_can_be_packed():
        from spinnman.messages.scp.impl import ReadADC
        refused((SpinnmanException, struct.error), lambda: asked(bmp, ReadADC(0)))
        request = ReadADC(0)
        # Its argument is a member of an enumeration, which nothing packs: as a number it is what was meant.
        request._argument_1 = request._argument_1.value
        adc = asked(bmp, request).adc_info
        for volts, rail in ((1.2, adc.voltage_1_2a), (1.2, adc.voltage_1_2b), (1.2, adc.voltage_1_2c), (1.8, adc.voltage_1_8),
                            (3.3, adc.voltage_3_3), (12, adc.voltage_supply)):
            near(rail, volts, 0.02)
        near(adc.temp_top, (5300 + 1500) / 256, 1e-6)
        near(adc.temp_btm, (5500 + 1500) / 256, 1e-6)
        equal((adc.temp_ext_0, adc.temp_ext_1, adc.fan_0, adc.fan_1), (22.0, 23.0, 2400.0, 2430.0))


@step
def unbooted_boards_are_heard():
    with IPAddressesConnection(local_host=lab.ear) as ear:
        # Boards 0 and 1 have power; each speaks every 4.096 s.
        heard = {ear.receive_ip_address(timeout=10) for _ in range(2)}
        equal(heard, {lab.board(0), lab.board(1)})


@step
def hellos_are_messages_of_the_boot_protocol_that_the_library_cannot_read():
    with UDPConnection(local_host=lab.ear, local_port=simulator.BOOT_PORT) as ear:
        hello, sender = ear.receive_with_address(timeout=10)
    equal(bytes(hello).hex(), "0001" "00000041" "02010000" "00000000" "43505453")
    assert tuple(sender) in ((lab.board(0), 54321), (lab.board(1), 54321)), sender
    # It unpacks in the order and with the gaps of the host.
    refused((SpinnmanException, struct.error, ValueError, IndexError), lambda: SpinnakerBootMessage.from_bytestring(hello, 0))


power(PowerCommand.POWER_OFF, [1])
connected = {"bmp_connection_data": [BMPConnectionData(0, 0, lab.bmp, [0], SCP_PORT)], "version": 5} if OLD else {
    "bmp_connection_data": BMPConnectionData(lab.bmp, [0], SCP_PORT), "ensure_board_is_ready": False}
chips = create_transceiver_from_hostname(lab.board(0), **connected)


@step
def a_board_is_booted():
    mark = lab.mark()
    chips.ensure_board_is_ready()
    told = lab.since(mark)
    opcodes = [event["opcode"] for event in told if event["event"] == "boot_message"]
    image = os.path.getsize(os.path.join(os.path.dirname(spinnman.__file__), "messages/spinnaker_boot/boot_data/scamp.boot"))
    equal(opcodes, [1] + [3] * -(-image // 1024) + [5])
    equal([event["board"] for event in told if event["event"] == "booted"], [[0, 0, 0]])


@step
def scamp_tells_its_version():
    version = asked(SCAMP, GetVersion(255, 255, 0)).version_info
    equal((version.name, version.hardware, tuple(version.version_number), version.x, version.y, version.p),
          ("SC&MP", "SpiNNaker", (3, 4, 1) if OLD else (4, 0, 0), 0, 0, 0))


@step
def memory_is_what_was_written():
    for at, size in ((0, 1), (1, 2), (2, 255), (0, 256), (3, 256), (2, 257), (1, 511), (0, 512), (5, 1027), (256, 4096)):
        data = pattern(size, at + size)
        for x, y in ((0, 0), (4, 7)):
            chips.write_memory(x, y, SDRAM + at, data)
            equal(bytes(chips.read_memory(x, y, SDRAM + at, size)), data)
    chips.write_memory(1, 1, SDRAM + 64, b"\xAA" * 16)
    chips.write_memory(1, 1, SDRAM + 69, b"xyz")
    equal(bytes(chips.read_memory(1, 1, SDRAM + 64, 16)), b"\xAA" * 5 + b"xyz" + b"\xAA" * 8)
    chips.write_memory(1, 1, SDRAM + 80, 0x01020304)
    equal(chips.read_word(1, 1, SDRAM + 80), 0x01020304)


@step
def memory_is_filled():
    chips.write_memory(0, 1, SDRAM + 0x1000, b"\x11" * 40)
    asked(SCAMP, FillRequest(0, 1, SDRAM + 0x1004, 0x01020304, 32))
    equal(bytes(chips.read_memory(0, 1, SDRAM + 0x1000, 40)), b"\x11" * 4 + b"\4\3\2\1" * 8 + b"\x11" * 4)


@step
def a_lone_board_has_48_chips():
    machine = chips.get_machine_details()
    equal((machine.width, machine.height, machine.n_chips), (8, 8, 48))
    equal([(chip.x, chip.y, chip.ip_address) for chip in machine.ethernet_connected_chips], [(0, 0, lab.board(0))])
    equal({chip.n_processors for chip in machine.chips}, {18})
    corner, inside = machine.get_chip_at(0, 0), machine.get_chip_at(3, 3)
    equal(sorted(link.source_link_id for link in corner.router.links), [0, 1, 2])
    equal(sorted(link.source_link_id for link in inside.router.links), [0, 1, 2, 3, 4, 5])
    assert not machine.is_chip_at(7, 0)


@step
def chips_tell_what_they_have():
    info = asked(SCAMP, GetChipInfo(7, 7)).chip_info
    equal((info.x, info.y, info.n_cores, info.is_ethernet_available, info.nearest_ethernet_x, info.nearest_ethernet_y), (7, 7, 18, False, 0, 0))
    equal(sorted(info.working_links), [3, 4, 5])
    equal(info.largest_free_sdram_block, 123_469_792)
    info = asked(SCAMP, GetChipInfo(0, 0)).chip_info
    equal((info.is_ethernet_available, info.ethernet_ip_address), (True, lab.board(0)))


@step
def tags_are_set_told_and_cleared():
    chips.set_ip_tag(IPTag(lab.board(0), 0, 0, 3, "127.9.8.7", 5151, strip_sdp=True))
    chips.set_reverse_ip_tag(ReverseIPTag(lab.board(0), 4, 40_404, 2, 3, 5, sdp_port=2))
    # Among them is the tag through which the answer itself comes.
    tags = {tag.tag: tag for tag in chips.get_tags() if tag.tag < 8}
    equal(sorted(tags), [3, 4])
    equal((tags[3].ip_address, tags[3].port, tags[3].strip_sdp), ("127.9.8.7", 5151, True))
    reverse = tags[4]
    equal((reverse.port, reverse.destination_x, reverse.destination_y, reverse.destination_p, reverse.sdp_port), (40_404, 2, 3, 5, 2))
    for tag in (3, 4):
        chips.clear_ip_tag(tag)
    equal([tag.tag for tag in chips.get_tags() if tag.tag < 8], [])


@step
def memory_is_lent_and_returned():
    first = chips.malloc_sdram(2, 2, 1000, 40, 5)
    second = chips.malloc_sdram(2, 2, 1000, 40)
    assert second >= first + 1000, (first, second)
    refused(SpinnmanException, lambda: chips.malloc_sdram(2, 2, 1 << 30, 40))
    chips.stop_application(40)
    equal(asked(SCAMP, GetChipInfo(2, 2)).chip_info.largest_free_sdram_block, 123_469_792)


@step
def an_application_is_loaded_counted_and_stopped():
    cores = CoreSubsets([CoreSubset(0, 0, [1, 2, 17]), CoreSubset(5, 3, [4])])
    image = pattern(3000)
    SpiNNManDataWriter.mock().set_machine(chips.get_machine_details())
    every = lambda: [chips.get_cpu_infos(cores).get_cpu_info(*core) for core in ((0, 0, 1), (0, 0, 2), (0, 0, 17), (5, 3, 4))]
    if OLD:
        # It counts with a signal from point to point, which today's SC&MP refuses: it must look at each core instead.
        refused(SpinnmanException, lambda: chips.get_core_state_count(30, CPUState.READY))
        count = lambda state: sum(info.state == state for info in every())
    else:
        count = lambda state: chips.get_core_state_count(30, state)
    chips.execute_flood(cores, bytearray(image), 30, n_bytes=len(image), wait=True)
    # Its "ready" is the state of those that wait for a start.
    equal((count(CPUState.READY), count(CPUState.RUNNING)), (4, 0))
    equal(bytes(chips.read_memory(5, 3, 0x6780_0000, len(image))), image)
    chips.send_signal(30, Signal.START)
    equal((count(CPUState.READY), count(CPUState.RUNNING)), (0, 4))
    equal([info.application_id for info in every()], [30] * 4)
    chips.stop_application(30)
    equal((count(CPUState.READY), count(CPUState.RUNNING)), (0, 0))


@step
def messages_of_sdp_come_back():
    with SDPConnection(0, 0, remote_host=lab.board(0), remote_port=SCP_PORT) as connection:
        for x, y in ((0, 0), (6, 4)):
            header = SDPHeader(flags=SDPFlag.REPLY_EXPECTED, tag=0, destination_port=2, destination_cpu=ECHO_CORE, destination_chip_x=x, destination_chip_y=y)
            connection.send_sdp_message(SDPMessage(header, b"to the core and back"))
            back = connection.receive_sdp_message(timeout=10)
            equal((back.data[back.offset:], back.sdp_header.flags), (b"to the core and back", SDPFlag.REPLY_NOT_EXPECTED))
            equal((back.sdp_header.source_chip_x, back.sdp_header.source_chip_y, back.sdp_header.source_cpu, back.sdp_header.source_port), (x, y, ECHO_CORE, 2))
        header = SDPHeader(flags=SDPFlag.REPLY_NOT_EXPECTED, tag=0, destination_port=2, destination_cpu=ECHO_CORE + 1, destination_chip_x=0, destination_chip_y=0)
        connection.send_sdp_message(SDPMessage(header, b"nobody"))
        lab.mark()
        refused(SpinnmanTimeoutException, lambda: connection.receive_sdp_message(timeout=0.05))


def event(base):
    message = EIEIODataMessage(EIEIODataHeader(EIEIOType.KEY_PAYLOAD_32_BIT)) if OLD else EIEIODataMessage.create(EIEIOType.KEY_PAYLOAD_32_BIT)
    for number in range(3):
        message.add_element(KeyPayloadDataElement(base + number, number * 0x01010101))
    return message


def elements(message):
    found = []
    while message.is_next_element:
        element = message.next_element
        found.append((element.key, element.payload))
    return found


@step
def events_come_back_through_tags():
    port = 20_000 + os.getpid() % 10_000
    with EIEIOConnection(local_host="127.0.0.1", remote_host=lab.board(0), remote_port=port) as connection:
        chips.set_reverse_ip_tag(ReverseIPTag(lab.board(0), 2, port, 4, 4, ECHO_CORE, sdp_port=1))
        # What comes back comes from the port of SC&MP, which a connected socket does not hear.
        with EIEIOConnection(local_host="127.0.0.1") as hears:
            chips.set_ip_tag(IPTag(lab.board(0), 0, 0, 1, "127.0.0.1", hears.local_port, strip_sdp=True))
            connection.send_eieio_message(event(0x1000))
            expected = [(0x1000, 0), (0x1001, 0x01010101), (0x1002, 0x02020202)]
            equal(elements(hears.receive_eieio_message(timeout=10)), expected)
            hears.send_eieio_message_to(event(0x2000), lab.board(0), port)
            equal(elements(hears.receive_eieio_message(timeout=10))[0], (0x2000, 0))
            # The same through the thread that listens.
            heard = []
            listener = ConnectionListener(hears)
            listener.add_callback(lambda message: heard.append(elements(message)))
            listener.start()
            connection.send_eieio_message(event(0x3000))
            end = time.monotonic() + 10
            while not heard and time.monotonic() < end:
                time.sleep(0.01)
            listener.close()
            equal(heard, [[(0x3000, 0), (0x3001, 0x01010101), (0x3002, 0x02020202)]])
    for tag in (1, 2):
        chips.clear_ip_tag(tag)


@step
def a_boot_connection_boots():
    from spinnman.messages.spinnaker_boot import SpinnakerBootMessages
    power(PowerCommand.POWER_ON, [2])
    mark = lab.mark()
    with BootConnection(remote_host=lab.board(2)) as connection:
        for message in (SpinnakerBootMessages(board_version=5) if OLD else SpinnakerBootMessages()).messages:
            connection.send_boot_message(message)
    lab.until(lambda events: any((event["event"], event["board"]) == ("booted", [0, 0, 2]) for event in events[mark:] if "board" in event))
    with SCAMPConnection(255, 255, remote_host=lab.board(2)) as there:
        equal(asked(there, GetVersion(255, 255, 0)).version_info.name, "SC&MP")


@step
def boards_are_off_at_the_end():
    power(PowerCommand.POWER_OFF, [0, 1, 2])
    refused(SpinnmanException, lambda: asked(SCAMP, GetVersion(255, 255, 0), n_retries=0, timeout=0.2))


hardware.__exit__(None, None, None)
code = results.end()
sys.stdout.flush()
os._exit(code)  # the library prints a summary of its log at the end, as if it had one
