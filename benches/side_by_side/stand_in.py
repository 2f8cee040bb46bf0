"""Stands for the reference HPX server, whose package is on no registry: [--nodelay]. Prints `listening on ADDRESS`.

Of the same structure: Python with gevent, a green thread for each connection, 4096 bytes a read, the whole buffer searched from its start
after each, gzip and JSON of the standard library, level 5, frame and marker in two writes with Nagle's algorithm on. It does less than the
reference: no session table with time-outs, no plug-ins, no log, and calls go by a plain dictionary. With --nodelay the fault is mended that
makes each answer wait for a delayed acknowledgement.
"""
import gzip
import json
import socket
import sys
import uuid

from gevent.server import StreamServer

MARKER = b"<EOF>"
READ_BYTES = 4096
VERSION = {"core": [0, 1, 0], "db": [1, 0, 0], "torrent": [0, 0, 0]}
FUNCTIONS = {"get_version": lambda: VERSION}
SESSIONS = set()


def send(connection, session, data, **more):
    text = json.dumps({"session": session, "name": "stand-in", "data": data, **more})
    connection.sendall(gzip.compress(text.encode(), 5))
    connection.sendall(MARKER)


def answer(connection, message):
    for key in ("name", "data", "session"):
        if key not in message:
            raise ValueError(key)
    # As later versions of the reference do: `berth bench` wants its number back in what it says by itself.
    more = {"__id__": message["__id__"]} if "__id__" in message else {}
    if message["session"] not in SESSIONS:
        session = uuid.uuid4().hex
        SESSIONS.add(session)
        return send(connection, session, "Authenticated", **more)
    if not isinstance(message["data"], list):
        return send(connection, message["session"], "", **more)
    entries = []
    for call in message["data"]:
        arguments = {name: value for name, value in call.items() if name != "fname"}
        function = FUNCTIONS.get(call["fname"])
        if function is None:
            entries.append({"fname": call["fname"], "data": None, "error": {"code": 403, "msg": "unknown"}})
        else:
            entries.append({"fname": call["fname"], "data": function(**arguments)})
    send(connection, message["session"], entries, **more)


def serve(connection, _address):
    if "--nodelay" in sys.argv:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    try:
        send(connection, "", {"version": VERSION, "guest_allowed": True})
        buffer = b""
        while True:
            piece = connection.recv(READ_BYTES)
            if not piece:
                return
            buffer += piece
            end = buffer.find(MARKER)
            while end >= 0:
                frame, buffer = buffer[:end], buffer[end + len(MARKER):]
                answer(connection, json.loads(gzip.decompress(frame)))
                end = buffer.find(MARKER)
    except OSError:
        pass
    finally:
        connection.close()


server = StreamServer(("127.0.0.1", 0), serve)
server.start()
print("listening on 127.0.0.1:%d" % server.server_port, flush=True)
server.serve_forever()
