"""Many idle sockets on one server while another client works: HOST PORT SERVER_PID [SOCKETS].

Every socket is greeted and stays open; the server's memory for each must stay under 16 KiB, and the working client must be
served as before. Prints the figures and "N passed, N failed".
"""
import gzip
import json
import resource
import socket
import sys
import time

MARKER = b"<EOF>"
HOST, PORT, PID = sys.argv[1], int(sys.argv[2]), sys.argv[3]
SOCKETS = int(sys.argv[4]) if len(sys.argv) > 4 else 10_000
BYTES_EACH_MAX = 16 * 1024


def resident_bytes():
    with open(f"/proc/{PID}/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmRSS:"))


def greeted():
    opened = socket.create_connection((HOST, PORT), timeout=30)
    opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return opened, receive(opened)


def receive(opened):
    data = b""
    while not data.endswith(MARKER):
        piece = opened.recv(65536)
        assert piece, "hung up"
        data += piece
    return json.loads(gzip.decompress(data[: -len(MARKER)]))


def ask(opened, session, data):
    message = json.dumps({"session": session, "name": "idle", "data": data}).encode()
    opened.sendall(gzip.compress(message) + MARKER)
    return receive(opened)


def latencies_us(worker, session, calls=2_000):
    times = []
    for _ in range(calls):
        begun = time.perf_counter()
        assert ask(worker, session, [{"fname": "get_version"}])["data"][0]["data"]
        times.append((time.perf_counter() - begun) * 1e6)
    times.sort()
    return f"p50 {times[calls // 2]:.0f} us, p99 {times[calls * 99 // 100]:.0f} us"


soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
if hard != resource.RLIM_INFINITY:
    SOCKETS = min(SOCKETS, hard - 1_000)  # as many as the system lets one process have
resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, SOCKETS + 500), hard))
worker, _ = greeted()
session = ask(worker, "", {})["session"]
alone = latencies_us(worker, session)
before = resident_bytes()
idle = [greeted()[0] for _ in range(SOCKETS)]
each = (resident_bytes() - before) / SOCKETS
beside = latencies_us(worker, session)
job = ask(worker, session, [{"fname": "create_job"}])["data"][0]["data"]
ended = ask(worker, session, [{"fname": "destroy_job", "job_id": job}])["data"][0]
checks = {
    f"{SOCKETS} sockets are greeted": len(idle) == SOCKETS,
    f"each takes {each:.0f} bytes of memory": each < BYTES_EACH_MAX,
    "a job is lent and given back beside them": "error" not in ended,
}
print(f"calls of one client, alone: {alone}; beside {SOCKETS} idle sockets: {beside}")
for check, right in checks.items():
    print("ok   " if right else "FAIL ", check)
print(f"{sum(checks.values())} passed, {len(checks) - sum(checks.values())} failed")
sys.exit(0 if all(checks.values()) else 1)
