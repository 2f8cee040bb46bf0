"""Reads the same memory of the same simulated board through Berth's pipeline and through rig 2.4.1, in one run, turn by turn: BENCH PROFILE [OUT].

BENCH is the program of `benches/spinnaker`. For each size and window the median of the rounds is told, and Berth's rate over rig's: above 1 is
better. Both read what Berth wrote; rig's bytes are compared with what they must be. The simulator has a process of its own.
"""
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time
import warnings

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tests/peers/spinnaker"))
import old_names  # noqa: E402,F401  before rig
import simulator  # noqa: E402

from rig.machine_control import BMPController, MachineController  # noqa: E402

warnings.simplefilter("ignore")
SDRAM = 0x6000_0000
BYTES = 1 << 20
ROUNDS = 5
WINDOWS = (1, 8)
DELAYS_MS = (0, 1)


def pattern():
    """What the bench writes: see its source."""
    return bytes((at * 2_654_435_761 & 0xFFFFFFFF) >> 24 for at in range(BYTES))


def ours(bench, host, window, write=False):
    words = [bench, "--host", host, "--bytes", str(BYTES), "--window", str(window)] + ["--write"] * write
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    return json.loads(lines[-1])["megabytes_per_s"]


def rigs(board, window, expected):
    connection = board._get_connection(0, 0)
    start = time.perf_counter()
    data = connection.read(256, window, 0, 0, 0, SDRAM, BYTES)
    seconds = time.perf_counter() - start
    assert bytes(data) == expected, "rig read something else"
    return BYTES / 1e6 / seconds


def measure(bench):
    expected, rows = pattern(), []
    with simulator.started() as lab:
        BMPController(lab.bmp).set_power(True, board=0, post_power_on_delay=0)
        board = MachineController(lab.board(0))
        board.boot(boot_delay=0.01, post_boot_delay=0.5)
        ours(bench, lab.board(0), 8, write=True)
        for delay in DELAYS_MS:
            if delay:
                lab.fault(f"delay {delay} at {lab.board(0)}")
            for window in WINDOWS:
                turns = [(ours(bench, lab.board(0), window), rigs(board, window, expected)) for _ in range(ROUNDS)]
                berth, rig = (statistics.median(turn[side] for turn in turns) for side in (0, 1))
                rows.append({"delay_ms_each_way": delay, "window": window, "berth_megabytes_per_s": round(berth, 2),
                             "rig_megabytes_per_s": round(rig, 2), "ratio": round(berth / rig, 2)})
                print(json.dumps(rows[-1]), flush=True)
    return rows


def table(rows, profile):
    text = [
        f"# Memory of a simulated board, read by Berth's pipeline and by rig 2.4.1, {time.strftime('%Y-%m-%d')}", "",
        "Made by `benches/spinnaker/run`; what is measured, and how, stands at the top of `benches/spinnaker/compare.py`.", "",
        f"{os.cpu_count()} processors, {platform.system()} {platform.release()}, Python {platform.python_version()}; Berth and its simulator built with the profile",
        f"`{profile}`; load average at the end {os.getloadavg()[0]:.1f}. {BYTES:,} bytes, the median of {ROUNDS} rounds. A megabyte has 1,000,000 bytes.", "",
        "| delay each way | in flight | Berth | rig | ratio |", "|---|---|---|---|---|"]
    text += [f"| {row['delay_ms_each_way']} ms | {row['window']} | {row['berth_megabytes_per_s']} MB/s | {row['rig_megabytes_per_s']} MB/s | {row['ratio']} |" for row in rows]
    return "\n".join(text) + "\n"


def main():
    bench, profile, *out = sys.argv[1:]
    text = table(measure(bench), profile)
    print(text)
    if out:
        pathlib.Path(out[0]).write_text(text)


if __name__ == "__main__":
    main()
