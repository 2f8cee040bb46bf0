"""A complete frontend in Python, standard library only: borrow boards, keep them alive, give them back.

    python3 examples/borrow_a_board.py [HOST:PORT] [BOARDS]
"""
import gzip
import json
import socket
import sys

MARKER = b"<EOF>"


class Frontend:
    """One connection. Several may share a session: pass `session` to all but the first."""

    def __init__(self, address, name, session=""):
        self.name, self.session, self.buffer = name, session, b""
        self.socket = socket.create_connection(address, timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.greeting = self.receive()["data"]

    def receive(self):
        """The next message. Berth never sends the marker inside a frame, so searching for it is enough."""
        while MARKER not in self.buffer:
            piece = self.socket.recv(65536)
            if not piece:
                raise ConnectionError("the server closed the connection")
            self.buffer += piece
        frame, self.buffer = self.buffer.split(MARKER, 1)
        return json.loads(gzip.decompress(frame))

    def ask(self, data):
        """Sends one message and returns the data of its answer."""
        message = {"session": self.session, "name": self.name, "data": data}
        self.socket.sendall(gzip.compress(json.dumps(message).encode()) + MARKER)
        answer = self.receive()
        if answer.get("error"):
            raise RuntimeError("[{code}] {msg}".format(**answer["error"]))
        self.session = answer["session"]
        return answer["data"]

    def handshake(self, user=None, password=None):
        """As a guest, or as a user. From now on every message carries the session."""
        self.session = ""
        assert self.ask({"user": user, "password": password} if user else {}) == "Authenticated"

    def call(self, fname, **args):
        """Calls one function."""
        entry = self.ask([{"fname": fname, **args}])[0]
        if entry.get("error"):
            raise RuntimeError("{}: [{code}] {msg}".format(fname, **entry["error"]))
        return entry["data"]


def main():
    host, port = (sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:7007").rsplit(":", 1)
    boards = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    first = Frontend((host, int(port)), "borrow-a-board")
    first.handshake()
    second = Frontend((host, int(port)), "borrow-a-board", first.session)
    job = first.call("create_job", boards=boards, keepalive=30)
    try:
        while (state := second.call("wait_job", job_id=job, timeout=10))["state_name"] != "ready":
            print(second.call("explain_job", job_id=job)["sentence"])
            assert state["state_name"] != "destroyed", state["reason"]
        info = first.call("get_job_machine_info", job_id=job)
        print(f"job {job} holds {info['boards']} of {info['machine_name']} at {[host for _, host in info['connections']]}")
    finally:
        second.call("destroy_job", job_id=job, reason="the example is over")
    print(f"job {job} was given back: {first.call('get_job', job_id=job)['reason']}")


if __name__ == "__main__":
    main()
