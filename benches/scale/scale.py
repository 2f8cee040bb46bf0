"""Cost curves of one Berth: [--quick] [--only WORD] [--boards-max N] [--facts-max N] OUT.md.

What costs processor time is told in microseconds of the server for one operation, from the scheduler's own accounts of all its
threads (/proc/PID/task/*/schedstat): the load, and what else the machine does, is not in it, though a busy machine makes caches
colder. Memory is resident memory (VmRSS), so sockets' memory in the kernel is not in it. Latencies are what one saw; where the machine
was not idle they are upper bounds. The line under the title tells how idle it was.
"""
import argparse
import contextlib
import json
import os
import pathlib
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import svg

BERTH, SCALE = os.environ["BERTH"], os.environ["SCALE"]
HOST = f"127.{os.getpid() % 250 + 2}.{os.getpid() // 250 % 250 + 2}.1"

LAB = """
data_dir = "{data}"
[native]
listen = "{host}:0"
guests = "operator"
[spalloc]
listen = "{host}:0"
rate_per_s = 0
[web]
listen = ""
"""
MACHINE = """
[[machine]]
name = "{name}"
shape = "triads"
width = {width}
height = {height}
tags = ["{tag}"]
settle_s = 0
boards_per_frame = 24
cabinet_stride = "0.1.0.0"
frame_stride = "0.0.1.0"
board_stride = "0.0.0.8"
controller = "simulated"
[machine.simulated]
prepare_ms = 0
power_ms = 0
clean_ms = 0
"""


def machine(name, width, height, tag="default"):
    return MACHINE.format(name=name, width=width, height=height, tag=tag)


class Server:
    """A running server: its addresses, and how long it took to open its doors."""

    def __init__(self, work, machines):
        self.work = work
        config = work / "lab.toml"
        config.write_text(LAB.format(data=work / "data", host=HOST) + "".join(machines))
        begun = time.perf_counter()
        with open(work / "log", "ab") as log:
            self.process = subprocess.Popen([BERTH, "serve", "--config", str(config)], stdout=subprocess.PIPE, stderr=log, text=True)
        self.pid, self.native, self.spalloc = self.process.pid, None, None
        while not (self.native and self.spalloc):
            line = self.process.stdout.readline()
            if not line:
                sys.exit(f"the server did not start: {(work / 'log').read_text()}")
            if found := re.match(r"(native|spalloc): .* (\S+:\d+)", line):
                setattr(self, found[1], found[2])
        self.start_s, self.start_cpu_s = time.perf_counter() - begun, self.cpu_s()

    def cpu_s(self):
        """Processor time spent so far by all threads that live."""
        spent = 0
        for thread in pathlib.Path(f"/proc/{self.pid}/task").iterdir():
            with contextlib.suppress(FileNotFoundError):
                spent += int((thread / "schedstat").read_text().split()[0])
        return spent / 1e9

    def memory_kib(self):
        with open(f"/proc/{self.pid}/status") as status:
            return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))

    def stop(self):
        self.process.terminate()
        self.process.wait(60)


@contextlib.contextmanager
def served(*machines, work=None):
    """A server with data of its own, or with those in `work`."""
    own = work or pathlib.Path(tempfile.mkdtemp(prefix="berth-scale-"))
    server = Server(own, machines)
    try:
        yield server
    finally:
        server.stop()
        if not work:
            shutil.rmtree(own)


def load(server, mix, operations, connections=20, job=()):
    """So many operations; microseconds of the server's processor for each, and operations a second."""
    command = [BERTH, "bench", "--server", server.native, "--json", "--mix", mix, "-n", str(operations), "-c", str(connections)]
    for argument in job:
        command += ["--job", argument]
    before = server.cpu_s()
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{command}: {done.stderr}{done.stdout}")
    report = json.loads(done.stdout)
    if report["failed"]:
        sys.exit(f"{command}: {report['errors']}")
    return (server.cpu_s() - before) / report["done"] * 1e6, report["operations_per_second"]


def pairs(server, operations, job=("boards=1",)):
    load(server, "pairs", max(operations // 5, min(operations, 50)), job=job)
    return load(server, "pairs", operations, job=job)


@contextlib.contextmanager
def held(server, count):
    """Sockets that were used once and wait."""
    with subprocess.Popen([SCALE, "hold", server.native, str(count)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        if holder.stdout.readline() != "ready\n":
            sys.exit("the sockets were not opened")
        try:
            yield
        finally:
            holder.stdin.close()
            holder.wait(120)


def call(server, function, **arguments):
    """Answers of calls, made in few messages."""
    import socket  # noqa: PLC0415 - here alone

    host, port = server.spalloc.rsplit(":", 1)
    with socket.create_connection((host, int(port)), 120) as connection, connection.makefile("rb") as lines:
        count = arguments.pop("count", 1)
        args = arguments.pop("args", [])
        text = json.dumps({"command": function, "args": args, "kwargs": arguments}).encode() + b"\n"
        answers = []
        while len(answers) < count:
            some = min(500, count - len(answers))
            connection.sendall(text * some)
            answers += [json.loads(lines.readline())["return"] for _ in range(some)]
    return answers


def settle(server):
    """Waits until the server has nothing left to do."""
    while True:
        before = server.cpu_s()
        time.sleep(0.2)
        if server.cpu_s() - before < 0.01:
            return


class Report:
    """Tables and plots as they come."""

    def __init__(self, out, quick, boards_max, facts_max):
        self.out, self.quick, self.parts = out, quick, []
        self.boards_max, self.facts_max = boards_max, facts_max

    def table(self, title, about, columns, rows, y_title=None, lines=()):
        """A table, and a plot of some of its columns over the first."""
        text = [f"## {title}", "", about, "", "| " + " | ".join(columns) + " |", "|" + "---:|" * len(columns)]
        text += ["| " + " | ".join(shown(value) for value in row) + " |" for row in rows]
        if lines:
            name = f"{self.out.stem}-{title.lower().replace(' ', '-')}.svg"
            series = [(columns[at], [(row[0], row[at]) for row in rows if row[at] is not None]) for at in lines]
            self.out.with_name(name).write_text(svg.plot(title, columns[0], y_title, series))
            text += ["", f"![{title}]({name})"]
        self.parts.append("\n".join(text))
        print(self.parts[-1] + "\n", flush=True)
        self.write()

    def write(self):
        with open("/proc/cpuinfo") as cpuinfo:
            cpu = next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), "unknown")
        head = [
            f"# Cost curves, {time.strftime('%Y-%m-%d')}",
            "",
            f"Made by `benches/scale/run{' --quick' if self.quick else ''}`; what the numbers are stands at the top of `benches/scale/scale.py`.",
            "",
            f"{os.cpu_count()} x {cpu}, Linux {platform.release()}, load average {os.getloadavg()[1]:.1f}.",
        ]
        self.out.write_text("\n\n".join(["\n".join(head), *self.parts]) + "\n")


def shown(value):
    if value is None:
        return ""
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def sockets(report, quick):
    calls, rows = 3_000 if quick else 40_000, []
    for count in (1, 10, 100, 1_000) if quick else (1, 10, 100, 1_000, 10_000):
        with served(machine("m", 4, 2)) as server:
            load(server, "version", calls // 4, connections=50)
            settle(server)
            alone, _ = load(server, "version", calls, connections=50)
            before = server.memory_kib()
            with held(server, count):
                settle(server)
                memory = (server.memory_kib() - before) / count
                beside, _ = load(server, "version", calls, connections=50)
            settle(server)
            active, _ = load(server, "version", max(calls, 40 * count), connections=count)
        rows.append((count, memory if count >= 100 else None, alone, beside, active))
    columns = ("sockets", "KiB each, idle", "us a call, 50 others alone", "us a call, 50 others beside", "us a call, all active")
    about = "One `get_version` a message. Idle sockets have made one call each; then 50 others call, and at last as many as there were call at once."
    report.table("Sockets", about, columns, rows, "us of processor", (2, 3, 4))


def waiting(report, quick):
    """Jobs that wait for a machine that is full, for the same machine as the pairs, and among many kinds of requests."""
    operations, rows = 500 if quick else 6_000, []
    for count in (0, 100, 1_000) if quick else (0, 100, 1_000, 10_000):
        row = [count]
        for tag in ("other", "default", "many"):
            with served(machine("m", 20, 20), machine("full", 4, 2, tag="other")) as server:
                asked = {"owner": "bench", "keepalive": None}
                if tag == "other":
                    call(server, "create_job", args=[4, 2], tags=["other"], **asked)
                    call(server, "create_job", args=[2, 2], tags=["other"], count=count, **asked) if count else None
                elif tag == "default":
                    # The first has all boards but a corner; the others wait for what it has.
                    call(server, "create_job", args=[16, 20], **asked)
                    call(server, "create_job", args=[18, 18], count=count, **asked) if count else None
                else:
                    call(server, "create_job", args=[16, 20], **asked)
                    for kind in range(min(count, 25)):
                        call(server, "create_job", args=[5 + kind % 5, 16 + kind // 5 % 5], count=count // min(count, 25), **asked)
                settle(server)
                row += [pairs(server, operations)[0]]
        rows.append(tuple(row))
    columns = ("waiting jobs", "us a pair, they wait for another machine", "us a pair, for the same machine", "us a pair, for the same in 25 sizes")
    about = ("`create_job` and `destroy_job` of one board by 20 clients, while so many jobs wait. On the same machine a board is free beside what "
             "the waiting jobs are kept for.")
    report.table("Waiting jobs", about, columns, rows, "us of processor a pair", (1, 2, 3))


# How many boards are lent, at most, to see what lending them by the quarter costs.
LENT = 80_000_000


def boards(report, quick):
    operations, rows, least = 500 if quick else 6_000, [], None
    sizes = ((4, 2), (20, 20), (100, 100)) if quick else ((4, 2), (20, 20), (100, 100), (400, 250), (1_000, 1_000))
    sizes = [(width, height) for width, height in sizes if 3 * width * height <= report.boards_max]
    for width, height in sizes:
        work = pathlib.Path(tempfile.mkdtemp(prefix="berth-scale-"))
        lab = machine("m", width, height)
        with served(lab, work=work):
            pass
        with served(lab, work=work) as server:
            settle(server)
            start_s, cpu_s, count = server.start_s, server.start_cpu_s, 3 * width * height
            memory = server.memory_kib() * 1024
            least = memory if least is None else least
            cost, _ = pairs(server, operations)
            large, _ = pairs(server, min(operations // 4, max(20, LENT // count)), job=(f"width={width // 2}", f"height={height // 2}"))
        shutil.rmtree(work)
        rows.append((count, cost, large, (memory - least) / count if count > 100_000 else None, start_s, cpu_s))
    columns = ("boards", "us a pair, one board", "us a pair, a quarter of all", "bytes a board", "start, s", "start, s of processor")
    about = "One machine; pairs by 20 clients. The start is the second one, on the journal of the first. A quarter of all boards costs by the board: each is lent."
    report.table("Boards", about, columns, rows, "us of processor a pair", (1, 2))


def watchers(report, quick):
    rounds, rows = 10 if quick else 60, []
    for count in (0, 10, 100) if quick else (0, 10, 100, 300, 1_000):
        with served(machine("m", 20, 20)) as server:
            subprocess.run([SCALE, "watch", server.spalloc, str(count), "5"], check=True, capture_output=True)
            settle(server)
            before = server.cpu_s()
            done = subprocess.run([SCALE, "watch", server.spalloc, str(count), str(rounds)], check=True, capture_output=True, text=True)
            cost = (server.cpu_s() - before) / rounds * 1e6
        spread = json.loads(done.stdout)
        wish, answer = spread["wish_us"], spread["answer_us"]
        told = [value / 1000 if value is not None else None for value in (wish["p50"], wish["p99"], answer["p50"], answer["p99"])]
        rows.append((count, cost, *told, *((spread["notices"], spread["own_us"]) if count else (None, None))))
    columns = ("watchers", "us a pair", "wish to notice p50, ms", "p99, ms", "answer to notice p50, ms", "p99, ms", "notices a pair, each", "reader's own us a notice")
    about = ("Watchers of all jobs at the spalloc door (`notify_job`), one client that creates and destroys a job; opening the watchers' sockets is in the cost of a pair. "
             "One thread reads what all of them are told and looks every 0.1 ms: that, and its own processor time for each notice, is in the latencies. "
             "The kernel's way to the reader's socket, on a loopback part of the write, is in the cost of the server.")
    report.table("Watchers", about, columns, rows, "us of processor a pair", (1,))


def facts(report, quick):
    rows = []
    counts = (10_000, 100_000) if quick else (10_000, 100_000, 1_000_000, 10_000_000)
    for count in (count for count in counts if count <= report.facts_max):
        work = pathlib.Path(tempfile.mkdtemp(prefix="berth-scale-"))
        done = subprocess.run([SCALE, "facts", str(work / "data"), str(count)], check=True, capture_output=True, text=True)
        shutil.rmtree(work)
        told = json.loads(done.stdout)
        row = (told["facts"], told["wall_s"], told["cpu_s"], told["cpu_s"] / told["facts"] * 1e6, told["snapshot_wall_s"], told["snapshot_cpu_s"], told["bytes"] / told["facts"])
        rows.append(row)
    columns = ("facts", "start without snapshot, s", "processor, s", "us a fact", "start with a snapshot, s", "processor, s", "bytes a fact")
    about = ("A lab of 1,200 boards on which 500 jobs at a time come, wait and go. Opening the journal and hearing all of it, three times, the least. With a snapshot after the "
             "last fact a start still checks the newest two million facts before it.")
    report.table("Facts", about, columns, rows, "s", (1, 4))


SECTIONS = {"sockets": sockets, "waiting": waiting, "boards": boards, "watchers": watchers, "facts": facts}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="less of everything: to see that it works")
    parser.add_argument("--only", choices=SECTIONS, action="append")
    parser.add_argument("--boards-max", type=int, default=3_000_000, metavar="N", help="three million take long")
    parser.add_argument("--facts-max", type=int, default=10_000_000, metavar="N", help="ten million take long")
    parser.add_argument("out", type=pathlib.Path)
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    report = Report(options.out, options.quick, options.boards_max, options.facts_max)
    for name in options.only or SECTIONS:
        SECTIONS[name](report, options.quick)


if __name__ == "__main__":
    main()
