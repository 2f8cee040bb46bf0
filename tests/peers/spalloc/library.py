"""The unmodified library of the `spalloc` package, 7.4.1 or 2.0.1, against a server on the lab of `lab.py`: PORT [KIND].

`Job`'s whole life and every method of `ProtocolClient`. Prints one line for each step and "N passed, N failed". Two calls wound the
reference for good (see protocol-spec/spalloc.md) and are left out where KIND is `reference`.
"""
import os
import select
import socket
import sys
import threading
import time

try:
    import spalloc_client as spalloc
    from spalloc_client.job import JobDestroyedError, StateChangeTimeoutError
    from spalloc_client.protocol_client import ProtocolError, ProtocolTimeoutError, SpallocServerException
    NEW = True
except ImportError:
    import spalloc
    from spalloc.job import JobDestroyedError, StateChangeTimeoutError
    from spalloc.protocol_client import ProtocolError, ProtocolTimeoutError, SpallocServerException
    NEW = False

HOST, PORT = "127.0.0.1", int(sys.argv[1])
REFERENCE = sys.argv[2:] == ["reference"]
results = []
State = spalloc.JobState


def step(function):
    try:
        function()
        results.append(True)
        print("ok   ", function.__name__.replace("_", " "))
    except Exception as error:  # every failure is a result, whatever it is
        results.append(False)
        print("FAIL ", function.__name__.replace("_", " "), "-", repr(error))


def job(*what, port=PORT, **options):
    options = {"owner": "ada", "reconnect_delay": 0.1, "timeout": 10.0, "config_filenames": [], **options}
    return spalloc.Job(*what, hostname=HOST, port=port, **options)


def client():
    return spalloc.ProtocolClient(HOST, PORT, timeout=10.0)


def created(on, *what, **options):
    # The reference refuses the nulls that 7.4 sends for these two when they are left out.
    options = {"owner": "ada", "keepalive": 60.0, **({"min_ratio": 0.333, "require_torus": False} if REFERENCE else {}), **options}
    return on.create_job(10.0, *what, **options) if NEW else on.create_job(*what, timeout=10.0, **options)


def called(on, name, *args, **kwargs):
    return on.call(name, 10.0, *args, **kwargs) if NEW else on.call(name, *args, timeout=10.0, **kwargs)


def refused(error, function):
    try:
        function()
    except error as refusal:
        return str(refusal)
    raise AssertionError("was not refused")


def equal(left, right):
    assert left == right, (left, right)


def until(what, seconds=10):
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, "did not come to pass"
        time.sleep(0.01)


def client_destroys(number):
    with client() as other:
        other.destroy_job(number, "make room")


class Wire:
    """Stands between client and server, so that connections can be cut."""

    def __init__(self):
        self.listener = socket.create_server((HOST, 0))
        self.port = self.listener.getsockname()[1]
        self.pairs = []
        self.count = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            near, _ = self.listener.accept()
            self.count += 1
            far = socket.create_connection((HOST, PORT))
            pair = (near, far)
            self.pairs.append(pair)
            threading.Thread(target=self.carry, args=(pair,), daemon=True).start()

    def carry(self, pair):
        near, far = pair
        try:
            while True:
                for ready in select.select([near, far], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        raise OSError("closed")
                    if pair in self.pairs:
                        (far if ready is near else near).sendall(data)
        except (OSError, ValueError):
            for end in (near, far):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def silence(self):
        """Nothing goes through any more on the connections there are; new ones are carried."""
        self.pairs = []

    def cut(self):
        """The connections there are end."""
        for pair in self.pairs:
            for end in pair:
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass


@step
def a_board_is_lent_and_returned():
    one = job()
    try:
        one.wait_until_ready(timeout=10)
        equal((one.state, one.power, one.reason), (State.ready, True, None))
        equal((one.width, one.height, one.machine_name, len(one.boards)), (8, 8, "m", 1))
        equal(one.connections, {(0, 0): one.hostname})
        assert one.hostname.startswith("10.11."), one.hostname
    finally:
        one.destroy("was enough")
    with client() as other:
        state = other.get_job_state(one.id)
        equal((state["state"], state["reason"]), (State.destroyed, "was enough"))


@step
def jobs_come_by_count_by_triads_and_by_board():
    for what, options, size in (((1,), {}, 1), ((4,), {}, 6), ((2, 1), {}, 6), ((1, 1), {"machine": "one"}, 3), ((3, 1, 1), {"machine": "m"}, 1),
                                ((), {"tags": ["solo"]}, 1), ((4, 2), {"max_dead_boards": 1, "machine": "m", "require_torus": True}, 23)):
        with job(*what, **options) as lent:
            equal(len(lent.boards), size)
            equal(len(lent.connections), size)
            assert (0, 0) in lent.connections
            if what == (3, 1, 1):
                equal(list(lent.boards[0]), [3, 1, 1])
            if what == (4, 2):
                equal((lent.width, lent.height), (48, 24))


@step
def a_context_waits_and_destroys():
    with job(1, 1, machine="m") as lent:
        equal(lent.state, State.ready)
        equal((lent.width, lent.height), (16, 16))
        number = lent.id
    with client() as other:
        equal(other.get_job_state(number)["state"], State.destroyed)


@step
def power_goes_off_on_and_is_reset():
    with job(1, 1) as lent:
        for act, power in ((lambda: lent.set_power(False), False), (lambda: lent.set_power(True), True), (lent.reset, True)):
            act()
            lent.wait_until_ready(timeout=10)
            equal((lent.state, lent.power), (State.ready, power))


@step
def a_job_tells_where_its_chips_are():
    with job(1, 1, machine="m") as lent:
        first = lent.where_is_machine(chip_x=0, chip_y=0)
        with client() as other:
            x, y, z = sorted(lent.boards)[0]
            equal(list(first), other.get_board_position("m", x, y, z))
        assert tuple(lent.where_is_machine(chip_x=8, chip_y=4)) != tuple(first)
        refused(ValueError, lambda: lent.where_is_machine(chip_x=15, chip_y=0))


@step
def jobs_that_cannot_be_are_destroyed():
    text = refused(JobDestroyedError, lambda: job(100, 100).wait_until_ready(timeout=10))
    equal(text, "Cancelled: No suitable machines available.")
    refused(JobDestroyedError, lambda: job(3, 1, 2, machine="m").wait_until_ready(timeout=10))
    refused(JobDestroyedError, lambda: job(1, machine="nosuch").wait_until_ready(timeout=10))


@step
def waiting_has_a_time_limit_and_a_next_in_turn():
    with job(4, 2, machine="m", max_dead_boards=None) as whole:
        waits = job(machine="m")
        try:
            equal(waits.state, State.queued)
            refused(StateChangeTimeoutError, lambda: waits.wait_until_ready(timeout=0.3))
            equal(waits.wait_for_state_change(State.queued, timeout=0.1), State.queued)
            equal((waits.connections, waits.width, waits.height, waits.machine_name, waits.boards), (None,) * 5)
            threading.Timer(0.2, lambda: client_destroys(whole.id)).start()
            waits.wait_until_ready(timeout=10)
            equal((whole.state, whole.reason), (State.destroyed, "make room"))
        finally:
            waits.destroy()


@step
def the_keepalive_process_keeps_a_job():
    lent = job(keepalive=0.6)
    try:
        lent.wait_until_ready(timeout=10)
        end = time.monotonic() + 1.8
        while time.monotonic() < end:
            with client() as other:
                assert [one for one in other.list_jobs() if one["job_id"] == lent.id], "lapsed though kept alive"
            time.sleep(0.1)
    finally:
        lent.close()
    with client() as other:
        until(lambda: all(one["job_id"] != lent.id for one in other.list_jobs()))
        equal(other.get_job_state(lent.id)["reason"], "Job timed out.")


@step
def a_job_without_keepalive_never_lapses():
    lent = job(keepalive=None)
    try:
        lent.wait_until_ready(timeout=10)
        with client() as other:
            equal(other.get_job_state(lent.id)["keepalive"], None)
    finally:
        lent.destroy()


@step
def a_job_is_resumed():
    lent = job(keepalive=30.0)
    lent.wait_until_ready(timeout=10)
    lent.close()
    again = job(resume_job_id=lent.id)
    try:
        again.wait_until_ready(timeout=10)
        equal((again.id, again._keepalive), (lent.id, 30.0))
    finally:
        again.destroy()
    refused(JobDestroyedError, lambda: job(resume_job_id=lent.id))
    refused(JobDestroyedError, lambda: job(resume_job_id=10**6))


@step
def a_connection_that_fell_silent_is_made_anew():
    wire = Wire()
    with job(4, 2, machine="m", max_dead_boards=None) as whole:
        waits = job(machine="m", port=wire.port, keepalive=3.0, timeout=0.4)
        try:
            equal(waits.state, State.queued)
            before = wire.count

            def silence_then_free():
                wire.silence()  # the client waits for a line meanwhile: nowhere else does it survive this
                until(lambda: wire.count >= before + 2)
                client_destroys(whole.id)

            freed = threading.Timer(0.5, silence_then_free)
            freed.start()
            waits.wait_until_ready(timeout=10)
            freed.join()
            equal(waits.state, State.ready)
        finally:
            waits.destroy()


@step
def a_cut_connection_is_an_error_until_connected_again():
    wire = Wire()
    with spalloc.ProtocolClient(HOST, wire.port, timeout=10.0) as on:
        number = created(on)
        # Nothing more is told of it before the cut: what the client has read by then it keeps.
        until(lambda: on.get_job_state(number)["state"] == State.ready)
        on.notify_job()
        wire.cut()
        refused(ProtocolError, on.version)
        on.connect(10.0)
        assert on.get_job_state(number)["state"] in (State.power, State.ready)
        on.destroy_job(number)
        refused(ProtocolTimeoutError, lambda: on.wait_for_notification(0.2))


@step
def every_call_of_the_protocol_client():
    with client() as on:
        assert [int(part) for part in on.version().split(".")]
        machines = {machine["name"]: machine for machine in on.list_machines()}
        equal(sorted(machines), ["m", "nook", "one", "solo", "wide"])
        equal((machines["m"]["width"], machines["m"]["height"], machines["m"]["dead_boards"], machines["m"]["dead_links"]), (4, 2, [[3, 1, 2]], [[0, 0, 0, 3]]))
        number = created(on, 1, 1, machine="m")
        until(lambda: on.get_job_state(number)["state"] == State.ready)
        equal(on.job_keepalive(number), None)
        state = on.get_job_state(number)
        equal(sorted(state), ["keepalive", "keepalivehost", "power", "reason", "start_time", "state"])
        equal((state["keepalive"], state["keepalivehost"]), (60.0, HOST))
        assert abs(state["start_time"] - time.time()) < 60
        info = on.get_job_machine_info(number)
        equal(sorted(info), ["boards", "connections", "height", "machine_name", "width"])
        listed = [one for one in on.list_jobs() if one["job_id"] == number][0]
        equal((listed["owner"], listed["args"], listed["kwargs"]["machine"]), ("ada", [1, 1], "m"))
        equal(sorted(listed["boards"]), sorted(info["boards"]))
        x, y, z = info["boards"][0]
        place = on.get_board_position("m", x, y, z)
        equal(on.get_board_at_position("m", *place), [x, y, z])
        equal(on.where_is(job_id=number, chip_x=0, chip_y=0)["job_id"], number)
        if not NEW:
            equal(on.where_is(machine="m", x=x, y=y, z=z)["physical"], place)
            equal(on.where_is(machine="m", cabinet=place[0], frame=place[1], board=place[2])["logical"], [x, y, z])
            equal(on.where_is(machine="m", chip_x=0, chip_y=0)["logical"], [0, 0, 0])
        equal(on.power_off_job_boards(number), None)
        until(lambda: on.get_job_state(number)["state"] == State.ready)
        equal(on.get_job_state(number)["power"], False)
        equal(on.power_on_job_boards(number), None)
        equal(on.destroy_job(number, "done"), None)
        equal((on.get_job_state(number)["state"], on.get_job_state(number)["reason"]), (State.destroyed, "done"))
        equal(on.get_job_state(10**6)["state"], State.unknown)


@step
def notifications_come_only_when_asked_for():
    with client() as on, client() as other:
        equal(on.wait_for_notification(-1), None)
        equal((on.notify_job(), on.notify_machine("m")), (None, None))
        number = created(other, machine="m")
        heard = {}
        while len(heard) < 2:
            heard.update(on.wait_for_notification(10))
        assert number in heard["jobs_changed"], heard
        equal(heard["machines_changed"], ["m"])
        equal((on.no_notify_job(), on.no_notify_machine("m")), (None, None))
        until(lambda: other.get_job_state(number)["state"] == State.ready)
        on.list_jobs()
        while on.wait_for_notification(-1) is not None:
            pass
        other.destroy_job(number)
        on.version()
        refused(ProtocolTimeoutError, lambda: on.wait_for_notification(0.2))


@step
def bad_calls_are_exceptions_and_bad_commands_the_end():
    with client() as on:
        refused(SpallocServerException, lambda: called(on, "version", 1))
        refused(SpallocServerException, lambda: called(on, "where_is", machine="m"))
        refused(SpallocServerException, lambda: called(on, "create_job"))
        if not REFERENCE:
            text = refused(SpallocServerException, lambda: called(on, "create_job", owner="ada", machine="m", tags=["default"], keepalive=None))
            equal(text, "Only one of machine and tags may be specified for a job.")
        on.version()
        refused(ProtocolError, lambda: called(on, "nosuch"))


@step
def one_client_serves_many_threads():
    with client() as on:
        numbers, errors = [], []

        def works():
            try:
                for _ in range(10):
                    number = created(on, machine="m")
                    assert on.get_job_state(number)["state"] in (State.queued, State.power, State.ready)
                    on.destroy_job(number)
                    numbers.append(number)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=works) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        equal(errors, [])
        equal(len(set(numbers)), 80)


@step
def nothing_is_left():
    with client() as on:
        until(lambda: on.list_jobs() == [])


print(f"{sum(results)} passed, {results.count(False)} failed")
os._exit(0 if all(results) else 1)
