"""A thousand watchers, some that never read, and endless lines, while others work: PORT SERVER_PID [WATCHERS].

The others' work must not take noticeably longer, every watcher must hear of every job, and the server must stay small. Prints one line
for each finding; ends with 1 when one is bad.
"""
import json
import resource
import select
import socket
import statistics
import sys
import time

PORT, PID = int(sys.argv[1]), int(sys.argv[2])
WATCHERS = int(sys.argv[3]) if len(sys.argv) > 3 else 1000
PAIRS = 100
# A call of another client may wait for a thousand lines to be written, but not for anybody to read them.
CALL_S_MAX = 1.0
GROWTH_KIB_MAX = 200_000
bad = 0


def tell(good, text):
    global bad
    bad += not good
    print("ok   " if good else "FAIL ", text, flush=True)


def connected(buffer_bytes=None):
    one = socket.socket()
    if buffer_bytes:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer_bytes)
    one.settimeout(30)
    one.connect(("127.0.0.1", PORT))
    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return one


def line_of(name, **kwargs):
    return json.dumps({"command": name, "args": [], "kwargs": kwargs}).encode() + b"\n"


class Worker:
    """A client that does what clients do."""

    def __init__(self):
        self.socket = connected()
        self.file = self.socket.makefile("rb")

    def call(self, name, **kwargs):
        self.socket.sendall(line_of(name, **kwargs))
        return json.loads(self.file.readline())["return"]

    def pairs(self):
        """Creates and destroys jobs; the ids, and how long the slowest and the middle pair took."""
        ids, spans = [], []
        for _ in range(PAIRS):
            start = time.perf_counter()
            number = self.call("create_job", owner="ada", keepalive=None, machine="m")
            self.call("destroy_job", job_id=number)
            spans.append(time.perf_counter() - start)
            ids.append(number)
        return ids, max(spans), statistics.median(spans)


def memory_kib():
    with open(f"/proc/{PID}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def ended(one):
    """Whether the server closed this connection."""
    one.settimeout(30)
    try:
        return one.recv(1) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def hear(watchers, ids):
    """Reads every watcher until it has heard of all these jobs; how many did."""
    left = {watcher: (set(ids), b"") for watcher in watchers}
    poll = select.poll()
    by_number = {watcher.fileno(): watcher for watcher in watchers}
    for number in by_number:
        poll.register(number, select.POLLIN)
    end = time.monotonic() + 30
    while left and time.monotonic() < end:
        for number, _ in poll.poll(500):
            watcher = by_number[number]
            if watcher not in left:
                poll.unregister(number)
                continue
            wanted, rest = left[watcher]
            data = watcher.recv(1 << 16)
            *lines, rest = (rest + data).split(b"\n")
            for line in lines:
                wanted.difference_update(json.loads(line).get("jobs_changed", ()))
            left[watcher] = (wanted, rest)
            if not wanted or not data:
                poll.unregister(number)
                if not wanted:
                    del left[watcher]
    return len(watchers) - len(left)


def main():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, WATCHERS + 200)), hard))
    worker = Worker()
    _, alone_max, alone = worker.pairs()
    tell(True, f"alone: a pair takes {alone * 1000:.2f} ms, the slowest {alone_max * 1000:.1f} ms")

    watchers = [connected() for _ in range(WATCHERS)]
    for watcher in watchers:
        watcher.sendall(line_of("notify_job") + line_of("notify_machine"))
    for watcher in watchers:
        got = b""
        while got.count(b"\n") < 2:
            got += watcher.recv(4096)
    ids, slowest, middle = worker.pairs()
    tell(slowest < CALL_S_MAX, f"beside {WATCHERS} watchers: {middle * 1000:.2f} ms, the slowest {slowest * 1000:.1f} ms")
    heard = hear(watchers, ids)
    tell(heard == WATCHERS, f"{heard} of {WATCHERS} watchers heard of all {PAIRS} jobs")

    before = memory_kib()
    held = [worker.call("create_job", owner="ada", keepalive=None, machine="wide") for _ in range(200)]
    slow = [connected(4096) for _ in range(5)]
    for one in slow:
        one.setblocking(False)
        asked = line_of("notify_job") + line_of("list_jobs") * 2000
        try:
            while asked:
                asked = asked[one.send(asked):]
        except BlockingIOError:
            pass
    ids, slowest, middle = worker.pairs()
    tell(slowest < CALL_S_MAX, f"beside 5 that ask for much and never read: {middle * 1000:.2f} ms, the slowest {slowest * 1000:.1f} ms")
    endless = [connected() for _ in range(3)]
    sent = 0
    for one in endless:
        one.settimeout(1)
        try:
            for _ in range(1000):
                one.sendall(b"x" * 65536)
                sent += 65536
        except OSError:
            pass
    tell(all(ended(one) for one in endless), "whoever sends a line without end is hung up on")
    ids, slowest, middle = worker.pairs()
    tell(slowest < CALL_S_MAX, f"beside 3 lines that never end ({sent >> 20} MiB were taken): {middle * 1000:.2f} ms, the slowest {slowest * 1000:.1f} ms")
    grown = memory_kib() - before
    tell(grown < GROWTH_KIB_MAX, f"the server grew by {grown / 1024:.0f} MiB meanwhile")
    heard = hear(watchers, ids)
    tell(heard == WATCHERS, f"{heard} of {WATCHERS} watchers still hear everything")
    for one in (*slow, *endless, *watchers):
        one.close()
    for number in held:
        worker.call("destroy_job", job_id=number)
    tell(worker.call("list_jobs") == [], "nothing is left")
    sys.exit(1 if bad else 0)


main()
