"""The unmodified py-client 1.0.0 against a running Berth: HOST PORT SPAN_S, users admin/s3cret and alice/wonder.

Log-in as guest and user, a session shared by several sockets, a job's whole life, wrong passwords, an expired session, and,
last, `serverquit`. Prints one line for each step and "N passed, N failed".
"""
import sys
import threading
import time

from happypandax_client.client import Client
from happypandax_client import exceptions

HOST, PORT, SPAN_S = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
results = []


def step(function):
    try:
        function()
        results.append(True)
        print("ok   ", function.__name__.replace("_", " "))
    except Exception as error:  # every failure is a result, whatever it is
        results.append(False)
        print("FAIL ", function.__name__.replace("_", " "), "-", repr(error))


def connected(name="py", session="", **login):
    client = Client(name, HOST, PORT, session_id=session)
    client.connect()
    if not session:
        assert client.handshake(**login), "not authenticated"
    return client


def call(client, fname, **args):
    answer = client.send([dict(fname=fname, **args)])
    assert not answer.get("error"), answer
    entry = answer["data"][0]
    assert entry["fname"] == fname, entry
    return entry


def data(client, fname, **args):
    entry = call(client, fname, **args)
    assert not entry.get("error"), entry
    return entry["data"]


def greets_and_lets_guests_in():
    client = connected()
    assert client.guest_allowed is True and client.version["core"], client.version
    assert len(client.session) == 32
    assert data(client, "get_version") == client.version


def lends_boards_to_a_user():
    client = connected(user="alice", password="wonder")
    job = data(client, "create_job", width=2, height=1)
    assert data(client, "wait_job", job_id=job, timeout=10)["state_name"] == "ready"
    info = data(client, "get_job_machine_info", job_id=job)
    assert len(info["boards"]) == 6 and info["width"] == 28, info
    assert data(client, "job_keepalive", job_id=job) is None
    data(client, "power_off_job_boards", job_id=job)
    data(client, "wait_job", job_id=job)
    assert data(client, "get_job_state", job_id=job)["power"] is False
    data(client, "power_on_job_boards", job_id=job)
    data(client, "destroy_job", job_id=job, reason="done")
    assert data(client, "get_job_state", job_id=job)["state"] == 4
    assert call(client, "job_keepalive", job_id=job)["error"]["code"] == 1002


def shares_a_session_over_sockets():
    first = connected(user="alice", password="wonder")
    second = connected(session=first.session)
    job = data(first, "create_job", boards=1)
    assert data(second, "whoami")["session"] == first.session
    data(second, "destroy_job", job_id=job)
    first._sock.close()
    third = connected(session=second.session)
    assert data(third, "whoami")["user"] == "alice"


def keeps_order_and_spoils_only_the_failing_call():
    client = connected()
    answer = client.send([{"fname": "nope"}, {"fname": "get_version"}, {"fname": "get_job", "job_id": 999999}])
    assert [entry["fname"] for entry in answer["data"]] == ["nope", "get_version", "get_job"]
    codes = [entry.get("error", {}).get("code") for entry in answer["data"]]
    assert codes == [403, None, 1001], codes


def refuses_a_wrong_password():
    client = Client("py", HOST, PORT)
    client.connect()
    try:
        client.handshake(user="alice", password="wrong")
    except exceptions.AuthWrongCredentialsError:
        assert client.handshake(user="alice", password="wonder")
        return
    raise AssertionError("let in")


def asks_for_a_handshake():
    client = Client("py", HOST, PORT)
    client.connect()
    assert client.request_handshake(user="alice", password="wonder")


def protects_jobs_of_others():
    admin, alice = connected(user="admin", password="s3cret"), connected(user="alice", password="wonder")
    job = data(admin, "create_job", boards=1)
    assert call(alice, "destroy_job", job_id=job)["error"]["code"] == 413
    assert call(alice, "set_service", accept=False)["error"]["code"] == 413
    data(admin, "destroy_job", job_id=job)


def tells_that_a_session_expired():
    client = connected()
    deadline = time.monotonic() + 20 * SPAN_S
    time.sleep(SPAN_S * 1.2)  # the span is the server's; there is nothing to wait for but time
    answer = client.send([{"fname": "get_version"}])
    assert answer["error"]["code"] == 408, answer
    assert client.request_handshake(), "no new session"
    assert time.monotonic() < deadline


def quits_and_tells_everybody():
    plain, guest, admin = Client("py", HOST, PORT), connected(), connected(user="admin", password="s3cret")
    plain.connect()
    refused = guest.send("serverquit")
    assert refused["error"]["code"] == 413, refused
    heard = {}

    def listen(name, client):
        heard[name] = client._recv()["data"]

    others = [threading.Thread(target=listen, args=pair) for pair in [("plain", plain), ("guest", guest)]]
    for other in others:
        other.start()
    assert admin.send("serverquit")["data"] == "serverquit"
    for other in others:
        other.join(10)
    assert heard == {"plain": "serverquit", "guest": "serverquit"}, heard


for function in [
    greets_and_lets_guests_in,
    lends_boards_to_a_user,
    shares_a_session_over_sockets,
    keeps_order_and_spoils_only_the_failing_call,
    refuses_a_wrong_password,
    asks_for_a_handshake,
    protects_jobs_of_others,
    tells_that_a_session_expired,
    quits_and_tells_everybody,
]:
    step(function)
print(f"{sum(results)} passed, {len(results) - sum(results)} failed")
sys.exit(0 if all(results) else 1)
