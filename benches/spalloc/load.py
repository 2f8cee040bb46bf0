"""Berth's spalloc door and `spalloc_server` 7.0.0 under the same load, in one run: [--quick] [--out FILE].

Both servers run at the same time, each on the same one core, the load on the other core; windows alternate between them, so that what
else the machine does meets both. Beside the rate stands the processor time that the server spent on one call: where the load itself
(this program) is the limit, that is what tells. Both have boards that obey at once and no cool-down. Berth keeps its journal on the
disk of the temporary folder and answers a creation only when it is there; the reference keeps nothing.
"""
import argparse
import json
import os
import pathlib
import platform
import resource
import select
import socket
import statistics
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/peers/spalloc"))
import servers  # noqa: E402

KINDS = ("berth", "reference")
CORES = sorted(os.sched_getaffinity(0))
TICKS = os.sysconf("SC_CLK_TCK")
VERSION = b'{"command": "version", "args": [], "kwargs": {}}\n'
CREATE = b'{"command": "create_job", "args": [], "kwargs": {"owner": "load", "keepalive": null}}\n'
LIST = b'{"command": "list_jobs", "args": [], "kwargs": {}}\n'


NOTES = [
    "- One client that creates and destroys waits for Berth's journal twice a pair: each answer comes when its fact is on disk, which the",
    "  reference does not promise. Fifty clients share these waits. The same goes for small requests of `create_job`.",
    "- The reference answers many calls of one write 40 ms late: it sends each answer by itself and leaves Nagle's algorithm on.",
    "- The reference computes a grant, and the text of `list_jobs`, while everybody waits; see the processor columns.",
]


class Caller:
    """One connection. Answers are counted by their line ends and looked into only where an id is wanted."""

    def __init__(self, port):
        self.port = port
        self.socket = socket.create_connection(("127.0.0.1", port), 300)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def ask(self, data, lines=1):
        """Sends, and reads so many lines; gives back the last piece that came."""
        self.socket.sendall(data)
        while True:
            piece = self.socket.recv(1 << 20)
            if not piece:
                sys.exit("the server closed the connection")
            lines -= piece.count(b"\n")
            if lines <= 0:
                return piece

    def line(self):
        while b"\n" not in self.rest:
            piece = self.socket.recv(1 << 20)
            if not piece:
                sys.exit("the server closed the connection")
            self.rest += piece
        line, _, self.rest = self.rest.partition(b"\n")
        return line

    def call(self, name, *args, **kwargs):
        self.socket.sendall(json.dumps({"command": name, "args": args, "kwargs": kwargs}).encode() + b"\n")
        answer = json.loads(self.line())
        if "return" not in answer:
            sys.exit(f"{name}{args}{kwargs}: {answer}")
        return answer["return"]

    def close(self):
        self.socket.close()


def destroying(line):
    """The call that destroys the job whose creation was answered so."""
    number = line[line.index(b":") + 1:line.index(b"}")].strip()
    return b'{"command": "destroy_job", "args": [' + number + b'], "kwargs": {}}\n'


def serial(asked, lines=1):
    """One client, one call (or one batch) after the other."""

    def work(port, seconds):
        caller, count, start = Caller(port), 0, time.perf_counter()
        while time.perf_counter() < start + seconds:
            caller.ask(asked, lines)
            count += lines
        took = time.perf_counter() - start
        caller.close()
        return count, took

    return work


def connecting(port, seconds):
    """Connect, ask, close."""
    count, start = 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        caller = Caller(port)
        caller.ask(VERSION)
        caller.close()
        count += 1
    return count, time.perf_counter() - start


def pairs(port, seconds):
    """One client that creates and destroys."""
    caller, count, start = Caller(port), 0, time.perf_counter()
    while time.perf_counter() < start + seconds:
        caller.ask(destroying(caller.ask(CREATE)))
        count += 1
    took = time.perf_counter() - start
    caller.close()
    return count, took


def together(clients, with_pairs):
    """Many clients, each with one call in flight: `version`, or a creation and then its destruction."""

    def work(port, seconds):
        callers = {}
        poll = select.epoll()
        for _ in range(clients):
            caller = Caller(port)
            caller.ask(VERSION)  # the reference accepts slowly, which is not what is measured here
            callers[caller.socket.fileno()] = caller
            poll.register(caller.socket.fileno(), select.EPOLLIN)
            caller.created = False
        count, left, start = 0, clients, time.perf_counter()
        for caller in callers.values():
            caller.socket.sendall(CREATE if with_pairs else VERSION)
        while left:
            over = time.perf_counter() > start + seconds
            for number, _ in poll.poll(60):
                caller = callers[number]
                line = caller.socket.recv(4096)
                if with_pairs and not caller.created:
                    caller.created = True
                    caller.socket.sendall(destroying(line))
                    continue
                caller.created = False
                count += 1
                if over:
                    left -= 1
                    poll.unregister(number)
                else:
                    caller.socket.sendall(CREATE if with_pairs else VERSION)
        took = time.perf_counter() - start
        poll.close()
        for caller in callers.values():
            caller.close()
        return count, took

    return work


def cpu_s(pid):
    """Processor time the server has spent so far, all its threads."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory_mib(pid):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS")) / 1024


class Bench:
    """Runs the measures and keeps the rows of the report."""

    def __init__(self, running, windows, window_s):
        self.running, self.windows, self.window_s = running, windows, window_s
        self.rows = []

    def rate(self, title, work):
        """Windows in turn on both; the median rate, and the processor time of one call over all windows."""
        rates, costs = {kind: [] for kind in KINDS}, {kind: [0.0, 0] for kind in KINDS}
        for _ in range(self.windows):
            for kind in KINDS:
                server = self.running[kind]
                spent = cpu_s(server.pid)
                count, took = work(server.port, self.window_s)
                rates[kind].append(count / took)
                costs[kind][0] += cpu_s(server.pid) - spent
                costs[kind][1] += count
        ours, theirs = (statistics.median(rates[kind]) for kind in KINDS)
        mine, other = (seconds / max(count, 1) * 1e6 for seconds, count in (costs[kind] for kind in KINDS))
        self.row(title, f"{ours:,.0f} /s", f"{theirs:,.0f} /s", ours / theirs, f"{mine:.1f}", f"{other:.1f}", other / max(mine, 0.01))

    def latency(self, title, spans):
        """Milliseconds on both; the ratio says how many times quicker Berth is."""
        ours, theirs = (statistics.median(spans[kind]) * 1000 for kind in KINDS)
        self.row(title, f"{ours:.2f} ms", f"{theirs:.2f} ms", theirs / ours)

    def row(self, title, ours, theirs, ratio, mine="", other="", cost=None):
        self.rows.append((title, ours, theirs, f"{ratio:.2f}", mine, other, f"{cost:.1f}" if cost else ""))
        print("%-44s %14s %14s  x %-8s %8s %8s us  x %s" % self.rows[-1], flush=True)


def everyday(bench):
    bench.rate("version, 1 client", serial(VERSION))
    bench.rate("version, 1 client, 100 in one write", serial(VERSION * 100, 100))
    bench.rate("version, 50 clients", together(50, False))
    bench.rate("connect, version, close", connecting)
    bench.rate("create and destroy, 1 client", pairs)
    bench.rate("create and destroy, 50 clients", together(50, True))
    held = {kind: [] for kind in KINDS}
    for target in (100, 1000):
        for kind in KINDS:
            caller = Caller(bench.running[kind].port)
            while len(held[kind]) < target:
                held[kind].append(caller.call("create_job", owner="load", keepalive=None))
            caller.close()
        bench.rate(f"list_jobs, {target} jobs", serial(LIST))
    bench.rate("version beside 1000 jobs", serial(VERSION))
    for kind in KINDS:
        caller = Caller(bench.running[kind].port)
        for number in reversed(held[kind]):
            caller.call("destroy_job", number)
        caller.close()


def watching(bench, watchers, rounds):
    """From a creation to the last watcher's line."""
    spans = {kind: [] for kind in KINDS}
    for kind in KINDS:
        port = bench.running[kind].port
        actor = Caller(port)
        ears = []
        for _ in range(watchers):
            ears.append(Caller(port))
            ears[-1].ask(b'{"command": "notify_job"}\n')
        for _ in range(rounds):
            start = time.perf_counter()
            number = actor.call("create_job", owner="load", keepalive=None)
            for ear in ears:
                while number not in json.loads(ear.line()).get("jobs_changed", ()):
                    pass
            spans[kind].append(time.perf_counter() - start)
            actor.call("destroy_job", number)
        for ear in ears:
            ear.close()
        actor.close()
    bench.latency(f"create_job until {watchers} watchers have heard", spans)


def allocating(bench, machine, size, forms, rounds):
    """How long `create_job` takes to answer when it grants, by the size of the request."""
    for title, form in forms:
        spans = {kind: [] for kind in KINDS}
        readies = {kind: [] for kind in KINDS}
        for kind in KINDS:
            caller = Caller(bench.running[kind].port)
            for _ in range(rounds):
                granted(caller, machine, form, spans[kind], readies[kind])
            caller.close()
        bench.latency(f"create_job, {title}, on {size}", spans)
        bench.latency(f"the same until the boards are ready", readies)


def granted(caller, machine, form, spans, readies):
    """One request that is granted at once; it is asked again when boards of the one before were not back."""
    while True:
        start = time.perf_counter()
        number = caller.call("create_job", *form, owner="load", machine=machine, keepalive=None)
        answered = time.perf_counter()
        state = first = caller.call("get_job_state", number)["state"]
        while state in (1, 2):
            state = caller.call("get_job_state", number)["state"]
        ready = time.perf_counter()
        caller.call("destroy_job", number)
        if state == 4:
            sys.exit(f"{form} on {machine} is refused")
        if first != 1:
            spans.append(answered - start)
            readies.append(ready - start)
            return
        time.sleep(0.05)


def report(bench, memories):
    """The rows as a table with what they were measured on."""
    with open("/proc/cpuinfo") as cpuinfo:
        cpu = next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), "unknown")
    lines = [
        f"# Berth's spalloc door and spalloc_server 7.0.0, {time.strftime('%Y-%m-%d')}",
        "",
        "Made by `benches/spalloc/run`; what is measured, and how, stands at the top of `benches/spalloc/load.py`.",
        "",
        f"{len(CORES)} x {cpu}, Linux {platform.release()}, Python {platform.python_version()}; load average at the end {os.getloadavg()[0]:.1f}.",
        "Both servers share one core, the load has another. Ratios above 1 are in Berth's favour.",
        "",
        "| work | Berth | reference | ratio | Berth's processor, us a call | reference's | ratio |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += ["| " + " | ".join(row) + " |" for row in bench.rows]
    lines += ["", *memories, "", *NOTES, ""]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="short windows: to see that it works")
    parser.add_argument("--out")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    os.sched_setaffinity(0, {CORES[-1]})
    pinned = ("taskset", "-c", str(CORES[0]))
    windows, window_s = (1, 0.5) if options.quick else (5, 1.0)
    memories = []
    with servers.started("berth", "bench", wrapper=pinned) as ours, servers.started("reference", "bench", wrapper=pinned, sweep_s=5.0) as theirs:
        bench = Bench(dict(zip(KINDS, (ours, theirs))), windows, window_s)
        everyday(bench)
        for watchers in (1, 50, 300):
            watching(bench, watchers, 10 if watchers > 100 else 40)
        forms = [("1 board", [1]), ("1x1", [1, 1]), ("2x2", [2, 2]), ("5x5", [5, 5]), ("10x10", [10, 10]), ("20x12", [20, 12]), ("360 boards by count", [360])]
        allocating(bench, "big", "20x12", forms, 3 if options.quick else 15)
        memories.append(f"Memory at the end: Berth {memory_mib(ours.pid):.0f} MiB, reference {memory_mib(theirs.pid):.0f} MiB.")
    with servers.started("berth", "vast", wrapper=pinned) as ours, servers.started("reference", "vast", wrapper=pinned, sweep_s=5.0) as theirs:
        bench.running = dict(zip(KINDS, (ours, theirs)))
        forms = [("1 board", [1]), ("1x1", [1, 1]), ("5x5", [5, 5]), ("10x10", [10, 10]), ("20x12", [20, 12]), ("50x50", [50, 50]), ("100x100", [100, 100]),
                 ("15000 boards by count", [15000])]
        allocating(bench, "vast", "100x100", forms, 1 if options.quick else 3)
        memories.append(f"With machines of 100x100 and 40x40 triads: Berth {memory_mib(ours.pid):.0f} MiB, reference {memory_mib(theirs.pid):.0f} MiB.")
    text = report(bench, memories)
    if options.out:
        pathlib.Path(options.out).write_text(text)
    print("\n" + "\n".join(memories))


if __name__ == "__main__":
    main()
