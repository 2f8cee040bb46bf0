"""Starts Berth or `spalloc_server` on the same lab, on a port of its own: for the tests here and for `benches/spalloc`.

As a program: `servers.py KIND[:LAB[:POWER_MS]] COMMAND...` runs COMMAND with `{port}` and `{pid}` replaced, KIND `berth` or `reference`, and ends
with its exit code. Environment: BERTH is the binary, TOOLS the folder with the virtual environments.
"""
import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import lab as labs

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[2]
BERTH = os.environ.get("BERTH", str(ROOT / "target/debug/berth"))
TOOLS = pathlib.Path(os.environ.get("TOOLS", str(ROOT / "target/test-tools")))


class Server:
    """A running server: its `kind`, its `port`, its process id."""

    def __init__(self, kind, process, port, log):
        self.kind, self.process, self.port, self.pid, self.log = kind, process, port, process.pid, log


@contextlib.contextmanager
def started(kind, lab="test", power_ms=0, extra="", wrapper=(), sweep_s=0.1):
    """A server of this kind with its own data; it is stopped, and its data are deleted, at the end."""
    work = pathlib.Path(tempfile.mkdtemp(prefix="spalloc-"))
    command = list(wrapper) + (berth_command(work, labs.LABS[lab], power_ms, extra) if kind == "berth"
                               else reference_command(work, labs.LABS[lab], power_ms, sweep_s))
    log = work / "log"
    try:
        with open(log, "wb") as errors:
            process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, cwd=work, text=True)
        try:
            yield Server(kind, process, port_of(process, log), log)
        finally:
            stop(kind, process)
    finally:
        shutil.rmtree(work)


def berth_command(work, lab, power_ms, extra):
    config = work / "lab.toml"
    config.write_text(labs.berth(lab, work / "data", power_ms, extra))
    return [BERTH, "serve", "--config", str(config)]


def reference_command(work, lab, power_ms, sweep_s):
    config = work / "lab.py"
    config.write_text(labs.reference(lab, sweep_s))
    return [str(TOOLS / "spalloc-server/bin/python"), str(HERE / "reference.py"), str(config), str(power_ms)]


def port_of(process, log):
    """Reads what the server prints until it names the port of its spalloc door."""
    for line in process.stdout:
        if line.startswith("spalloc:"):
            return int(line.rsplit(":", 1)[1].split()[0])
    sys.exit(f"no spalloc door was opened:\n{log.read_text()}")


def stop(kind, process):
    """Berth ends well when it is told to; the reference only ends when its process is ended."""
    if process.poll() is not None:
        sys.exit(f"{kind} ended by itself with {process.returncode}")
    process.terminate() if kind == "berth" else process.kill()
    code = process.wait(30)
    if kind == "berth" and code != 0:
        sys.exit(f"berth ended with {code}")


def main():
    kind, *options = sys.argv[1].split(":")
    lab = options[0] if options else "test"
    power_ms = int(options[1]) if len(options) > 1 else 0
    with started(kind, lab, power_ms) as server:
        code = subprocess.call([word.replace("{port}", str(server.port)).replace("{pid}", str(server.pid)) for word in sys.argv[2:]])
    sys.exit(code)


if __name__ == "__main__":
    main()
