"""A command client of the standard library alone: queues images until burnt, and asks the native door and the display about it.

    queue.py STAND BERTH NATIVE DISPLAY-OUTPUT
"""
import json
import pathlib
import socket
import subprocess
import sys
import time
import uuid

STAND, BERTH, NATIVE, DISPLAY = sys.argv[1:]


def messages(connection):
    buffer = b""
    while piece := connection.recv(65536):
        *whole, buffer = (buffer + piece).split(b"\r\n\r\n")
        yield from (message.decode() for message in whole)
    raise SystemExit("the server hung up")


def berth(*args):
    done = subprocess.run([BERTH, "--server", NATIVE, "--json", *args], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


host, port = STAND.rsplit(":", 1)
with socket.create_connection((host, int(port)), timeout=60) as connection:
    heard = messages(connection)

    def say(message):
        connection.sendall(message.encode() + b"\r\n\r\n")

    def ask(message, *words):
        """Says something and waits for what begins with one of these words; lists may come in between."""
        say(message)
        return next(answer for answer in heard if answer.split("\t")[0] in words)

    assert next(heard) == "IDENT\tV1"
    ask(f"ID\tV1\tCOMMAND\t{uuid.uuid4().hex}", "CAPAB")
    say("CAP")
    # The burner is there, or comes in its own time; then the server says so.
    say("SREPORT")
    while not next(answer for answer in heard if answer.startswith("SLIST")).endswith("\tAVAIL"):
        pass
    images = ask("ASKCAPAB", "CAP").split("\t")[1:]
    assert len(images) == 2, images
    info = ask(f"WHATIS\t{images[0]}", "INFO").split("\t")
    assert info[1] == images[0] and info[2].endswith(".iso"), info
    assert ask(f"QUEUE\t{images[0]}\t5", "QOK", "QNO") == "QOK"
    assert ask(f"QUEUE\t{images[1]}\t1", "QOK", "QNO") == "QOK"
    unheld = "0" * 32
    assert ask(f"QUEUE\t{unheld}\t9", "QOK", "QNO") == "QOK"
    jobs = berth("call", "list_jobs")
    assert {job["kind"] for job in jobs} == {"burn"}, jobs
    # Both that can be burnt are, and the third waits for somebody who holds it.
    while next(answer for answer in heard if answer.startswith("QLIST")) != f"QLIST\t3\t{unheld}\t9":
        pass
    reasons = []
    while len(reasons) < 2:
        ended = berth("call", "list_jobs", "state=destroyed")
        reasons = [job["reason"] for job in ended]
        connection.settimeout(60)
        if len(reasons) < 2:
            next(heard)
    assert all(reason.startswith("done: burnt by ") for reason in reasons), reasons
    assert ask("QDEL\t3", "QOK", "QNO") == "QOK"

deadline = time.monotonic() + 30
while "queue: empty" not in (shown := pathlib.Path(DISPLAY).read_text()).split(images[0], 1)[-1]:
    assert time.monotonic() < deadline, shown
    time.sleep(0.05)
assert images[0] in shown or images[1] in shown, shown
print("burnt", *images)
