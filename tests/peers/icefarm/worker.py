"""A `berth worker` with simulated boards, and what such boards must make of a bitstream: worked out here once more."""

import subprocess
import threading

from heard import PATIENCE_S

FNV_OFFSET, FNV_PRIME, MASK = 0xCBF29CE484222325, 0x100000001B3, (1 << 64) - 1
SEED = 7
SAMPLES = 500


def bits_of(serial, bitstream):
    """64 bits that depend on board and bitstream."""
    bits = FNV_OFFSET
    for byte in SEED.to_bytes(8, "little") + serial.encode() + bitstream:
        bits = (bits ^ byte) * FNV_PRIME & MASK
    return bits


def pulses(serial, bitstream):
    """What a board counts as `pulsecount`."""
    return str(bits_of(serial, bitstream) % 100_000)


def waveform(serial, bitstream):
    """What a board samples as `variance`, and how much that moves."""
    bits, samples = bits_of(serial, bitstream) | 1, []
    for _ in range(SAMPLES):
        bits ^= bits << 13 & MASK
        bits ^= bits >> 7
        bits ^= bits << 17 & MASK
        samples.append(bits % 4096)
    steps = sum(abs(one - next) for one, next in zip(samples, samples[1:]))
    return [steps / SAMPLES, samples]


class Worker:
    """The process; what it logs can be waited for."""

    def __init__(self, lab, name, serials, listen, *options):
        words = [lab.berth, "--server", lab.native, "worker", "--machine", "usb", "--name", name]
        words += ["--token-file", lab.token_file, "--listen", listen, "--seed", str(SEED), "--serials", ",".join(serials)]
        self.process = subprocess.Popen([*words, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.lines, self.changed = [], threading.Condition()
        threading.Thread(target=self._read, daemon=True).start()
        line = self.process.stdout.readline()
        assert line.startswith("workbench: listening on http://"), (line, self.lines)
        self.address = line.split("://")[1].strip().rstrip("/")

    def _read(self):
        for line in self.process.stderr:
            with self.changed:
                self.lines.append(line)
                self.changed.notify_all()

    def wait_for(self, text):
        with self.changed:
            came = self.changed.wait_for(lambda: any(text in line for line in self.lines), PATIENCE_S)
        assert came, f"the worker never said '{text}': {self.lines}"

    def kill(self):
        self.process.kill()
        self.process.wait(PATIENCE_S)
        assert not any("panicked" in line for line in self.lines), self.lines

    def drain(self):
        self.process.terminate()

    def ended(self):
        """Waits for its end, which must be a good one."""
        assert self.process.wait(PATIENCE_S) == 0, self.lines
        assert not any("panicked" in line for line in self.lines), self.lines
