"""Raw lines to a server, and what came back with ids and times masked: the half of the side-by-side test that both servers share."""
import json
import selectors
import socket
import time

QUIET_S = 0.1
WAIT_S = 20
# Only these texts of exceptions are told to users; all others are Python's own and compare by being there.
TEXTS = ("owner must be specified", "Only one of machine and tags")


class Connection:
    """One connection: lines go out as they are, answers and notifications come back apart."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), WAIT_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""
        self.notices = []

    def send(self, data):
        try:
            self.socket.sendall(data)
        except OSError:
            pass  # what was answered before can still be read

    def line(self, timeout=WAIT_S):
        """The next line, or None when the server closed, or "" when nothing came in time."""
        self.socket.settimeout(timeout)
        while b"\n" not in self.buffer:
            try:
                data = self.socket.recv(1 << 16)
            except TimeoutError:
                return ""
            except OSError:
                return None
            if not data:
                return None
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def answer(self):
        """The next answer; notifications on the way are kept."""
        while True:
            line = self.line()
            if line is None:
                return "<closed>"
            if line == "":
                return "<silence>"
            if "return" in line or "exception" in line:
                return line
            self.notices.append(line)

    def heard(self):
        """All notifications, until it has been quiet for a while."""
        return all_heard([self])[0]

    def heard_already(self):
        heard, self.notices = self.notices, []
        return heard

    def close(self):
        self.socket.close()


def all_heard(connections):
    """What each of several connections hears, until all together have been quiet for a while."""
    with selectors.DefaultSelector() as selector:
        for connection in connections:
            while b"\n" in connection.buffer:
                connection.notices.append(connection.line())
            selector.register(connection.socket, selectors.EVENT_READ, connection)
        while ready := selector.select(QUIET_S):
            for key, _ in ready:
                line = key.data.line()
                if line is None:
                    selector.unregister(key.data.socket)
                    continue
                key.data.notices.append(line)
                while b"\n" in key.data.buffer:
                    key.data.notices.append(key.data.line())
    return [connection.heard_already() for connection in connections]


def encoded(name, args, kwargs):
    return json.dumps({"command": name, "args": list(args), "kwargs": kwargs}).encode() + b"\n"


class Probe:
    """Runs a script of calls on one server and keeps, under the text of each call, what it answered."""

    def __init__(self, port):
        self.port = port
        self.record = {}
        self.jobs = {}
        self.labels = {}
        self.main = Connection(port)

    def connection(self):
        return Connection(self.port)

    def keep(self, case, value):
        """Records a value; a repeated case gets a number."""
        number, key = 1, case
        while key in self.record:
            number += 1
            key = f"{case} #{number}"
        self.record[key] = value

    def raw(self, name, *args, on=None, **kwargs):
        """Calls without recording: the bare answer, or the exception as an object."""
        on = on or self.main
        on.send(encoded(name, self.resolved(args), self.resolved(kwargs)))
        answer = on.answer()
        return answer["return"] if isinstance(answer, dict) and "return" in answer else answer

    def call(self, name, *args, on=None, note="", **kwargs):
        """Calls and records. Arguments like "@a" stand for the job labelled a."""
        on = on or self.main
        on.send(encoded(name, self.resolved(args), self.resolved(kwargs)))
        answer = on.answer()
        self.keep(text_of(name, args, kwargs) + (f" ({note})" if note else ""), self.masked(answer))
        return answer

    def create(self, label, *args, on=None, record=False, **kwargs):
        """Creates a job, labels it, and waits until its boards obeyed."""
        kwargs.setdefault("owner", "ada")
        kwargs.setdefault("keepalive", None)
        number = self.raw("create_job", *args, on=on, **kwargs)
        if not isinstance(number, int):
            self.keep(text_of("create_job", args, kwargs), self.masked(number))
            return None
        self.label(label, number)
        self.settle(label)
        if record:
            self.keep(text_of("create_job", args, kwargs), {"return": "<id>"})
        return number

    def label(self, label, number):
        self.jobs[label] = number
        self.labels[number] = label

    def settle(self, label, state=None):
        """Waits until a job is in `state`, or in any but the one in which boards are switched."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            now = self.raw("get_job_state", f"@{label}")["state"]
            if now == state or (state is None and now != 2):
                return now
            time.sleep(0.002)
        raise TimeoutError(f"job {label} stays in state {now}, not {state}")

    def lapse(self, label):
        """Waits, without refreshing the job, until it is no longer listed."""
        end = time.monotonic() + WAIT_S
        while time.monotonic() < end:
            if not any(job["job_id"] == self.jobs[label] for job in self.raw("list_jobs")):
                return
            time.sleep(0.005)
        raise TimeoutError(f"job {label} does not end")

    def resolved(self, value):
        if isinstance(value, dict):
            return {key: self.resolved(item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.resolved(item) for item in value]
        if isinstance(value, str) and value.startswith("@"):
            return self.jobs[value[1:]]
        return value

    def masked(self, value, key=None):
        """The value without what may differ: ids as labels, times as marks, the order of what has none."""
        if isinstance(value, dict):
            if "exception" in value:
                text = value["exception"]
                return {"exception": text if text.startswith(TEXTS) else "<text>"}
            return {name: self.masked(item, name) for name, item in sorted(value.items())}
        if key in ("job_id", "jobs_changed"):
            if isinstance(value, list):
                return sorted(self.masked(item, "job_id") for item in value)
            return "@" + self.labels[value] if value in self.labels else value
        if key == "start_time" and isinstance(value, float):
            return "<time>" if abs(value - time.time()) < 600 else value
        if isinstance(value, list):
            items = [self.masked(item) for item in value]
            return sorted(items, key=repr) if key in ("boards", "connections", "tags", "dead_boards", "dead_links", "machines_changed") else items
        return value

    def lines(self, case, data, chunks=1):
        """Sends bytes on a connection of their own and records every answer up to the close or to a last good call."""
        on = Connection(self.port)
        data += encoded("list_machines", [], {})
        size = -(-len(data) // chunks)
        for start in range(0, len(data), size):
            on.send(data[start:start + size])
        answers = []
        while True:
            answer = on.answer()
            if isinstance(answer, str):
                answers.append(answer)
                break
            if isinstance(answer.get("return"), list) and answer["return"] and "dead_links" in answer["return"][0]:
                break
            answers.append(self.masked(answer))
        on.close()
        self.keep(case, answers)


def text_of(name, args, kwargs):
    words = [json.dumps(item) for item in args] + [f"{key}={json.dumps(item)}" for key, item in kwargs.items()]
    return f"{name}({', '.join(words)})"
