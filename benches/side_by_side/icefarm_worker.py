"""Stands for a worker of iCEFARM with many devices, so that its control server is what is measured: DATABASE DEVICES.

It answers every request of the control server at once, and puts ended devices back 20 ms later, all in one statement. Runs in
iCEFARM's virtual environment; prints `ready`.
"""
import http.server
import json
import sys
import threading
import time

import psycopg

PUT_BACK_S = 0.02


class Hook(http.server.BaseHTTPRequestHandler):
    """Heartbeats and reservations: all is well."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Nothing is logged."""


def main():
    database, devices = sys.argv[1], int(sys.argv[2])
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = "http://127.0.0.1:%d" % server.server_port
    with psycopg.connect(database, autocommit=True) as ear, psycopg.connect(database, autocommit=True) as hand:
        ear.execute("LISTEN reservation_updates")
        hand.execute("INSERT INTO worker (id, wurl, farm_version, reservables) VALUES ('bench', %s, '0', '{pulsecount,variance}')", (url,))
        for number in range(devices):
            hand.execute("INSERT INTO device VALUES (%s, 'bench', 'available')", (f"D{number:04}",))
        print("ready", flush=True)
        ended = []
        while True:
            ended += [json.loads(notice.payload)["device_id"] for notice in ear.notifies(timeout=PUT_BACK_S)]
            if ended:
                time.sleep(PUT_BACK_S)
                hand.execute("SELECT put_back(%s::varchar[])", (ended,))
                ended = []


if __name__ == "__main__":
    main()
