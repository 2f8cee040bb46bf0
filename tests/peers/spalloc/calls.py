"""The calls of the side-by-side test, by section. Each section runs on a fresh server, with boards that take `POWER_MS` to switch."""
import json

import lab
from probe import all_heard

POWER_MS = {"transitions": 300, "notifications": 300}
BY_ID = ("job_keepalive", "get_job_state", "get_job_machine_info", "power_on_job_boards", "power_off_job_boards", "destroy_job",
         "notify_job", "no_notify_job")
VERSION = b'{"command": "version", "args": [], "kwargs": {}}\n'


def frames(probe):
    """What is a line, what closes the connection."""
    good = {
        "blank lines": b"\n\n" + VERSION,
        "no args, no kwargs": b'{"command":"version"}\n',
        "only args": b'{"command":"version","args":[]}\n',
        "only kwargs": b'{"command":"version","kwargs":{}}\n',
        "carriage return": VERSION.replace(b"\n", b"\r\n"),
        "leading blanks": b"  \t " + VERSION,
        "trailing blanks": VERSION.replace(b"\n", b"   \n"),
        "unknown keys beside": b'{"command":"version","id":7,"x":[1,{"y":null}]}\n',
        "a repeated key": b'{"command":"list_jobs","command":"version"}\n',
        "an escaped name": b'{"command":"\\u0076ersion"}\n',
        "a keyword called client": b'{"command":"version","kwargs":{"client":1}}\n',
        "a keyword called _client": b'{"command":"version","kwargs":{"_client":1}}\n',
        "five at once": VERSION * 5,
        "two hundred at once": VERSION * 200,
        "a long line": b'{"command":"version","kwargs":{},"x":"' + b"a" * 100_000 + b'"}\n',
        "a name in other letters": '{"command":"version","x":"äöü\u2028€"}\n'.encode(),
        "a surrogate": b'{"command":"version","x":"\\ud83d\\ude00"}\n',
        "an exception, then a good call": b'{"command":"version","args":[1]}\n' + VERSION,
    }
    bad = {
        "not JSON": b"hello\n", "a list": b"[]\n", "a number": b"5\n", "null": b"null\n", "a string": b'"command"\n', "true": b"true\n",
        "an empty object": b"{}\n", "an unknown command": b'{"command":"nosuch"}\n', "an inner name": b'{"command":"_run"}\n',
        "a dunder": b'{"command":"__init__"}\n', "a command in capitals": b'{"command":"VERSION"}\n', "command is a number": b'{"command":5}\n',
        "command is null": b'{"command":null}\n', "command is a list": b'{"command":["version"]}\n', "command is empty": b'{"command":""}\n',
        "no command": b'{"args":[],"kwargs":{}}\n', "args is an object": b'{"command":"version","args":{}}\n',
        "args is null": b'{"command":"version","args":null}\n', "args is a string": b'{"command":"version","args":"a"}\n',
        "kwargs is a list": b'{"command":"version","kwargs":[]}\n', "kwargs is null": b'{"command":"version","kwargs":null}\n',
        "kwargs is a number": b'{"command":"version","kwargs":1}\n', "a lone carriage return": b"\r\n", "blanks only": b"   \n",
        "NUL": b"\0\n", "a byte-order mark": b"\xef\xbb\xbf" + VERSION, "bad UTF-8": b'{"command":"version","x":"\xff"}\n',
        "two objects on a line": VERSION[:-1] + VERSION, "a trailing comma": b'{"command":"version",}\n',
        "single quotes": b"{'command':'version'}\n", "cut off": VERSION[:-2] + b"\n", "a comment": b"// hi\n",
        "an HTTP request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    }
    for name, data in good.items():
        probe.lines(f"good line: {name}", data)
    for name, data in bad.items():
        probe.lines(f"bad line: {name}", data)
        probe.lines(f"bad line: {name}, after a good one", VERSION + data)
    probe.lines("a line in many pieces", VERSION * 3, chunks=20)
    half = probe.connection()
    half.send(VERSION * 3)
    half.socket.shutdown(1)
    probe.keep("half closed: three calls, then the end", [half.answer() for _ in range(4)])
    cut = probe.connection()
    cut.send(VERSION + VERSION[:20])
    cut.socket.shutdown(1)
    probe.keep("half closed within a line", [cut.answer() for _ in range(2)])
    probe.call("version", note="the others are unaffected")


def arguments(probe):
    """Every command with too few, too many, misnamed and odd arguments."""
    probe.create("a", 1, 1, machine="one")
    odd = [[], ["@a", 2], ["@a", 2, 3], ["1"], [None], [1.0], [True], [[1]], [{}], [1.5], [-1], [0], [10**30], [""], [1e300]]
    for name in BY_ID:
        if name == "destroy_job":
            continue
        for args in odd:
            probe.call(name, *args)
        probe.call(name, job_id="@a")
        probe.call(name, job="@a")
        probe.call(name, "@a", job_id="@a")
        probe.call(name, "@a", extra=1)
        probe.settle("a")
    for args in ([], [None], ["x", "y", "z"], [[]], [{}], [77, 5], [77, [1]], [77, {"a": 1}]):
        probe.call("destroy_job", *args)
    probe.call("destroy_job", 77, why="no")
    probe.call("destroy_job", job_id=77, reason="no")
    for name in ("notify_machine", "no_notify_machine"):
        for args in ([], [None], ["m"], ["nosuch"], [5], [""], [[1]], [{}], ["m", "one"]):
            probe.call(name, *args)
        probe.call(name, machine_name="m")
        probe.call(name, machine="m")
    for name in ("version", "list_jobs", "list_machines"):
        probe.call(name)
        probe.call(name, 1)
        probe.call(name, None)
        probe.call(name, x=1)
    for args in ([], ["m"], ["m", 0, 0], ["m", 0, 0, 0, 0], [None, 0, 0, 0], ["m", "0", 0, 0], ["m", None, 0, 0], ["m", [1], 0, 0],
                 ["m", 0.0, 0, 0], ["m", True, 0, 0], ["m", 0.5, 0, 0], [["m"], 0, 0, 0], [{}, 0, 0, 0], [5, 0, 0, 0]):
        probe.call("get_board_position", *args)
        probe.call("get_board_at_position", *args)
    for name in ("get_board_position", "get_board_at_position"):
        probe.call(name, machine_name="m", x=0, y=0, z=1)
        probe.call(name, "m", x=0, y=0, z=1)
        probe.call(name, machine="m", x=0, y=0, z=1)
        probe.call(name, machine_name="m", cabinet=0, frame=0, board=1)
    probe.raw("destroy_job", "@a")
    a = probe.jobs["a"]
    probe.create("b")
    probe.call("get_job_state", float(probe.jobs["b"]), note="b as a float")
    probe.call("get_job_state", str(probe.jobs["b"]), note="b as text")
    probe.call("get_job_state", a + 1000, note="an id far away")


def unknown(probe):
    """Ids and names that are not there."""
    for name in BY_ID:
        probe.call(name, 4242)
    probe.call("where_is", job_id=4242, chip_x=0, chip_y=0)
    probe.call("where_is", machine="nosuch", chip_x=0, chip_y=0)
    probe.call("where_is", machine="nosuch", x=0, y=0, z=0)
    probe.call("where_is", machine="nosuch", cabinet=0, frame=0, board=0)
    probe.call("get_board_position", "nosuch", 0, 0, 0)
    probe.call("get_board_at_position", "nosuch", 0, 0, 0)
    probe.create("a")
    probe.raw("destroy_job", "@a", "enough")
    for name in BY_ID:
        probe.call(name, "@a")
    probe.call("get_job_state", "@a", note="after them all")
    probe.call("where_is", job_id="@a", chip_x=0, chip_y=0)
    probe.call("list_jobs")


def looked_at(probe, label):
    """Everything that can be read of one job."""
    probe.call("get_job_state", f"@{label}")
    probe.call("get_job_machine_info", f"@{label}")
    probe.call("list_jobs", note=label)
    probe.call("where_is", job_id=f"@{label}", chip_x=0, chip_y=0)


def creation(probe):
    """Every form of request with every option, on an idle lab."""
    forms = [[], [1], [2], [3], [4], [5], [6], [7], [9], [12], [13], [18], [23], [24], [25], [1, 1], [1, 2], [2, 1], [2, 2], [3, 1], [3, 2], [4, 1],
             [4, 2], [2, 4], [5, 1], [0, 0, 0], [1, 1, 1], [3, 1, 2], [3, 1, 1], [4, 0, 0], [0], [-1], [0, 1], [1, 0], [-1, 2], [2.5], [25.5], [1.0],
             [None], [1, None], [None, None], [2, None, None], [None, 1], ["2"], [[2]], [{}], [True], [False], ["a", "b"], [1, "1"], [0.5], [1e6], [10**9, 10**9]]
    for form in forms:
        attempt(probe, form, {})
    for form in ([], [1], [0, 0, 0], [5], [9], [4, 2], [2, 2], [1, 1], [23], [24]):
        for options in ({"machine": "m"}, {"machine": "one"}, {"machine": "solo"}, {"machine": "nosuch"}, {"tags": []}, {"tags": ["default"]},
                        {"tags": ["solo"]}, {"tags": ["small", "default"]}, {"tags": ["nosuch"]}, {"machine": "m", "require_torus": True},
                        {"machine": "m", "max_dead_boards": 0}, {"machine": "m", "max_dead_links": 0}, {"machine": "m", "max_dead_boards": 1, "max_dead_links": 1}):
            attempt(probe, form, options)
    for form in ([], [0, 0, 0], [5], [4, 2]):
        for options in ({"machine": None}, {"tags": None}, {"max_dead_boards": None}, {"max_dead_links": None}, {"machine": None, "tags": ["wide"]},
                        {"require_torus": False}, {"min_ratio": 0.0}, {"min_ratio": 1.0}, {"min_ratio": 0.333}, {"tags": ["wide", "big", "wide"]},
                        {"tags": "wide"}, {"tags": {"wide": 1}}, {"machine": 5}, {"machine": ""}, {"owner": ""}, {"owner": "Zoë \U0001f600"}, {"owner": 5},
                        {"max_dead_boards": 0.5}, {"max_dead_boards": -1}, {"max_dead_links": -1}, {"max_dead_boards": True}):
            attempt(probe, form, options)
    for number in range(2, 121, 7):
        attempt(probe, [number], {"machine": "wide"})
        attempt(probe, [number], {"machine": "wide", "min_ratio": 0.5, "max_dead_boards": 0})


def attempt(probe, form, options):
    """One request on an idle lab: what it became, then it is ended."""
    options = {"owner": "ada", "keepalive": None, **options}
    case = probe_text(form, options)
    for _ in range(50):  # boards of the job before may still be on their way back
        answer = probe.raw("create_job", *form, **options)
        if not isinstance(answer, int):
            probe.keep(case, probe.masked(answer))
            return
        probe.label("new", answer)
        if (state := probe.settle("new")) != 1:
            break
        probe.raw("destroy_job", "@new")
    listed = [job for job in probe.raw("list_jobs") if job["job_id"] == answer]
    outcome = {"state": probe.raw("get_job_state", "@new"), "listed": [{**job, "boards": relative(job["boards"])} for job in listed]}
    if state == 3:
        info = probe.raw("get_job_machine_info", "@new")
        outcome["info"] = {**info, "boards": relative(info["boards"]), "connections": relative_hosts(info)}
    if state == 1:
        outcome = "waits on an idle lab"
    probe.keep(case, probe.masked(outcome))
    probe.raw("destroy_job", "@new")
    idle(probe)


def relative(boards):
    """Boards as seen from the lower left of their job. Where on an idle machine a job comes to lie is each server's own choice."""
    if boards is None:
        return None
    left, low = min(x for x, _, _ in boards), min(y for _, y, _ in boards)
    return [[0, 0, 0]] if len(boards) == 1 else [[x - left, y - low, z] for x, y, z in boards]


def relative_hosts(info):
    """The connections of a job, with its boards as seen from its lower left instead of their hosts."""
    index = next(index for index, machine in enumerate(lab.TEST) if machine.name == info["machine_name"])
    boards = {lab.address(lab.TEST, index, place): board for board, place in lab.TEST[index].places()}
    ordered = sorted(info["connections"])
    return [[chip, board] for (chip, _), board in zip(ordered, relative([boards[host] for _, host in ordered]))]


def idle(probe):
    """Waits until all boards are back, so that the next request finds the lab as the last one did."""
    for machine, size in {"wide": [8, 5], "m": [4, 2], "one": [1, 1], "solo": []}.items():
        number = probe.raw("create_job", *size, owner="idle", machine=machine, keepalive=None)
        probe.label("idle", number)
        probe.settle("idle", 3)
        probe.raw("destroy_job", number)


def probe_text(form, options):
    words = [json.dumps(item) for item in form]
    words += [f"{key}={json.dumps(item)}" for key, item in options.items() if (key, item) not in (("owner", "ada"), ("keepalive", None))]
    return f"create_job({', '.join(words)})"


def refusals(probe):
    """Requests that are exceptions. Last of all on its server: the reference keeps half of some of them."""
    probe.call("create_job")
    probe.call("create_job", owner=None)
    probe.call("create_job", 1, keepalive=60.0)
    for keepalive in ("abc", "", [], {}, "nan?"):
        probe.call("create_job", owner="ada", keepalive=keepalive)
    for tags in (5, True, 1.5, [[1]], [{}]):
        probe.call("create_job", owner="ada", keepalive=None, tags=tags)
    probe.call("create_job", owner="ada", keepalive=None, machine="m", tags=["default"])
    probe.call("create_job", owner="ada", keepalive=None, machine="m", tags=[])
    probe.call("create_job", owner="ada", keepalive=None, colour="red")
    probe.call("create_job", owner="ada", keepalive=None, require_torus=True)
    probe.call("create_job", 1, owner="ada", keepalive=None, require_torus=True)
    probe.call("create_job", 0, 0, 0, owner="ada", keepalive=None, machine="m", require_torus=True)
    probe.call("create_job", 4, owner="ada", keepalive=None, min_ratio=-1.0)
    probe.call("create_job", 4, owner="ada", keepalive=None, min_ratio="x")
    probe.call("create_job", 4, owner="ada", keepalive=None, max_dead_boards="x")
    probe.call("create_job", 4, owner="ada", keepalive=None, max_dead_links="x")
    probe.call("create_job", 1, 2, 3, 4, 5, 6, 7, 8, 9, owner="ada", keepalive=None)
    probe.call("create_job", 4, owner="ada", keepalive=None, min_ratio=None)
    probe.call("create_job", owner="ada", keepalive=None, require_torus=None)


def positions(probe):
    """Where boards stand, and what stands where."""
    for machine, width, height in (("m", 4, 2), ("one", 1, 1), ("solo", 1, 1)):
        for x in range(-1, width + 1):
            for y in range(-1, height + 1):
                for z in range(-1, 4):
                    probe.call("get_board_position", machine, x, y, z)
    for frame in range(-1, 4):
        for board in range(-1, 14):
            probe.call("get_board_at_position", "m", 0, frame, board)
    for place in ((1, 0, 0), (0, 5, 0), (1, 1, 1)):
        probe.call("get_board_at_position", "m", *place)
        probe.call("get_board_at_position", "wide", *place)
    for x, y, z in ((7, 4, 2), (2, 2, 0), (5, 1, 1), (0, 0, 0)):
        probe.call("get_board_position", "wide", x, y, z)


def where_is(probe):
    """Its four forms over grids, with jobs on the boards, and all the sets of keywords that are none of them."""
    probe.create("pair", 2, 1, machine="nook", max_dead_boards=0)
    probe.create("full", 4, 2, machine="m")
    probe.create("lone", 1, 1, 2, machine="wide")
    probe.create("named", 3, 1, 1, machine="wide")
    probe.create("whole", 1, 1, machine="one")
    for label in ("pair", "full", "lone", "named", "whole"):
        probe.call("get_job_machine_info", f"@{label}")
    for machine, width, height in (("m", 4, 2), ("one", 1, 1), ("solo", 1, 1), ("nook", 3, 2)):
        for x in range(-1, width + 2):
            for y in range(-1, height + 1):
                for z in (-1, 0, 1, 2, 3):
                    probe.call("where_is", machine=machine, x=x, y=y, z=z)
        for chip_x in range(-12, width * 12 + 12, 5):
            for chip_y in range(-8, height * 12 + 8, 3):
                probe.call("where_is", machine=machine, chip_x=chip_x, chip_y=chip_y)
    for frame in range(-1, 3):
        for board in range(-1, 13):
            probe.call("where_is", machine="m", cabinet=0, frame=frame, board=board)
    for label, (width, height) in {"pair": (28, 16), "full": (48, 24), "lone": (8, 8), "named": (8, 8), "whole": (12, 12)}.items():
        for chip_x in range(-3, width + 4, 2):
            for chip_y in range(-3, height + 4, 3):
                probe.call("where_is", job_id=f"@{label}", chip_x=chip_x, chip_y=chip_y)
    kinds = [{}, {"machine": "m"}, {"machine": "m", "x": 0}, {"machine": "m", "x": 0, "y": 0}, {"job_id": "@pair"}, {"job_id": "@pair", "chip_x": 0},
             {"machine": "m", "x": 0, "y": 0, "z": 0, "chip_x": 0}, {"job_id": "@pair", "machine": "m", "chip_x": 0, "chip_y": 0},
             {"machine": "m", "cabinet": 0, "frame": 0}, {"x": 0, "y": 0, "z": 0}, {"chip_x": 0, "chip_y": 0}, {"job_id": "@pair", "x": 0, "y": 0, "z": 0},
             {"machine": "m", "cabinet": 0, "frame": 0, "board": 0, "x": 0}, {"machine": None, "x": 0, "y": 0, "z": 0}, {"machine": "m", "x": None, "y": 0, "z": 0},
             {"machine": "m", "x": "0", "y": 0, "z": 0}, {"machine": "m", "chip_x": "0", "chip_y": 0}, {"job_id": "1", "chip_x": 0, "chip_y": 0},
             {"job_id": None, "chip_x": 0, "chip_y": 0}, {"job_id": "@pair", "chip_x": None, "chip_y": 0}, {"machine": ["m"], "x": 0, "y": 0, "z": 0},
             {"job_id": [1], "chip_x": 0, "chip_y": 0}, {"machine": "m", "cabinet": None, "frame": 0, "board": 0}, {"machine": "m", "cabinet": "0", "frame": 0, "board": 0},
             {"machine": "m", "cabinet": [0], "frame": 0, "board": 0}, {"machine": "m", "x": 0, "y": 0, "z": 0, "client": 1}]
    for kwargs in kinds:
        probe.call("where_is", **kwargs)
    probe.call("where_is", "m", 0, 0, 0)
    probe.raw("power_off_job_boards", "@pair")
    probe.settle("pair")
    probe.call("where_is", job_id="@pair", chip_x=0, chip_y=0, note="powered off")
    probe.raw("destroy_job", "@pair")
    probe.call("where_is", job_id="@pair", chip_x=0, chip_y=0, note="destroyed")


def queue(probe):
    """Jobs that wait: order, states, power and destruction while queued, the reasons of the end."""
    probe.create("whole", 4, 2, machine="m")
    for label, form in {"first": [4, 2], "second": [2, 2], "third": [], "fourth": [1, 1]}.items():
        probe.create(label, *form, machine="m")
    for label in ("whole", "first", "second", "third"):
        looked_at(probe, label)
    for name in ("power_on_job_boards", "power_off_job_boards", "job_keepalive"):
        probe.call(name, "@first")
    probe.call("get_job_state", "@first")
    probe.call("destroy_job", "@fourth", "not needed")
    probe.call("get_job_state", "@fourth")
    probe.call("destroy_job", "@whole")
    probe.call("get_job_state", "@whole")
    probe.settle("first", 3)
    probe.keep("the next in turn", [probe.settle(label) for label in ("first", "second", "third")])
    probe.call("list_jobs", note="the first has it")
    probe.call("destroy_job", "@first", "done")
    probe.call("get_job_state", "@first", note="ended")
    probe.settle("second", 3)
    probe.settle("third", 3)
    probe.keep("all that fit", [probe.settle(label) for label in ("second", "third")])
    for label in ("second", "third"):
        probe.call("get_job_state", f"@{label}")
    for label in ("second", "third"):
        probe.raw("destroy_job", f"@{label}")
    for number, reason in enumerate(({}, {"reason": None}, {"reason": ""}, {"reason": "why"}, {"reason": "Zo\u00eb"}, {"reason": "two\nlines"})):
        probe.create("block", 4, 2, machine="m")
        probe.settle("block", 3)
        probe.create(f"waits{number}", machine="m")
        probe.call("destroy_job", f"@waits{number}", **reason)
        probe.call("get_job_state", f"@waits{number}")
        probe.call("destroy_job", "@block", **reason)
        probe.call("get_job_state", "@block")
        probe.call("destroy_job", "@block", reason="again")
        probe.call("get_job_state", "@block", note="after another end")
        probe.call("get_job_machine_info", "@block")
    probe.call("list_jobs", note="nothing is left")


def listing(probe):
    """What list_jobs repeats of the request, and list_machines of the lab."""
    probe.call("list_machines")
    requests = [([], {}), ([1], {}), ([1, None], {}), ([2.0], {"min_ratio": 0.5}), ([1, 1], {"tags": ["default", "default"]}), ([0, 0, 0], {"machine": "one"}),
                ([], {"machine": None, "tags": None, "max_dead_boards": None, "max_dead_links": None}), ([1], {"keepalive": 12}), ([1], {"keepalive": "12.5"}),
                ([1], {"keepalive": True}), ([1], {"keepalive": 3600.25}), ([1], {"owner": 7}), ([1], {"owner": True}), ([1], {"owner": 1.5}),
                ([1], {"owner": [1, "a", None]}), ([1], {"owner": {"b": 1}}), ([1], {"max_dead_boards": 3, "max_dead_links": 4}), ([2, 1], {"require_torus": False}),
                ([], {"tags": []}), ([1], {"tags": ["default"]}), ([1], {"client": 5})]
    for number, (form, options) in enumerate(requests):
        probe.create(f"j{number}", *form, **options)
        jobs = [{**job, "boards": relative(job["boards"])} for job in probe.raw("list_jobs")]
        probe.keep(f"list_jobs() after {json.dumps([form, options])}", probe.masked(jobs))
        probe.call("get_job_state", f"@j{number}")
        if number % 4 == 3:
            for label in range(number - 3, number + 1):
                probe.raw("destroy_job", f"@j{label}")
            idle(probe)


def transitions(probe):
    """States and power while boards take their time."""
    number = probe.raw("create_job", 1, 1, owner="ada", keepalive=None, machine="one")
    probe.label("a", number)
    probe.call("get_job_state", "@a", note="powering on")
    probe.call("get_job_machine_info", "@a", note="powering on")
    probe.call("list_jobs", note="powering on")
    probe.settle("a", 3)
    probe.call("get_job_state", "@a", note="ready")
    probe.call("list_jobs", note="ready")
    for number, name in enumerate(("power_off_job_boards", "power_off_job_boards", "power_on_job_boards", "power_on_job_boards")):
        probe.call(name, "@a", note=str(number))
        probe.call("get_job_state", "@a", note=f"{number}, going")
        probe.settle("a", 3)
        probe.call("get_job_state", "@a", note=f"{number}, done")
    probe.raw("power_off_job_boards", "@a")
    probe.raw("power_on_job_boards", "@a")
    probe.call("get_job_state", "@a", note="off and on at once, going")
    probe.settle("a", 3)
    probe.call("get_job_state", "@a", note="off and on at once, done")
    probe.raw("power_on_job_boards", "@a")
    probe.raw("power_off_job_boards", "@a")
    probe.call("get_job_state", "@a", note="on and off at once, going")
    probe.settle("a", 3)
    probe.call("get_job_state", "@a", note="on and off at once, done")
    probe.raw("power_on_job_boards", "@a")
    probe.call("destroy_job", "@a", "while it is switched")
    probe.call("get_job_state", "@a", note="destroyed while switched")
    probe.call("get_job_machine_info", "@a", note="destroyed while switched")
    probe.call("list_jobs", note="destroyed while switched")
    number = probe.raw("create_job", 1, 1, owner="ada", keepalive=None, machine="one")
    probe.label("b", number)
    probe.call("get_job_state", "@b", note="waits for boards that switch off")
    probe.settle("b", 3)
    probe.call("get_job_state", "@b", note="has them")


def keepalives(probe):
    """Who is kept alive by what, and how those end who are not."""
    for index, keepalive in enumerate((0, -1, -0.5, 1e-9, 0.05)):
        probe.label(f"brief{index}", probe.raw("create_job", owner="ada", keepalive=keepalive, machine="m"))
        probe.lapse(f"brief{index}")
        probe.call("get_job_state", f"@brief{index}", note=f"keepalive {keepalive}")
    probe.create("whole", 8, 5, machine="wide")
    probe.label("waits", probe.raw("create_job", 8, 5, owner="ada", keepalive=0.3, machine="wide"))
    probe.call("get_job_state", "@waits", note="queued")
    probe.lapse("waits")
    probe.call("get_job_state", "@waits", note="queued, lapsed")
    probe.label("soon", probe.raw("create_job", owner="ada", keepalive=0.5, machine="solo"))
    wanted = probe.jobs["soon"]
    soon = None
    while soon is None or soon["state"] == 2:
        soon = next(job for job in probe.raw("list_jobs") if job["job_id"] == wanted)
    probe.keep("nobody has refreshed the last", probe.masked(soon))
    probe.call("job_keepalive", "@soon")
    probe.lapse("soon")
    probe.call("get_job_state", "@soon", note="lapsed")
    for keepalive in (60, 60.5, None, "12", True, 1e9, 86_400):
        probe.label("long", probe.raw("create_job", owner="ada", keepalive=keepalive, machine="m"))
        probe.settle("long")
        probe.call("get_job_state", "@long", note=f"keepalive {keepalive!r}")
        probe.raw("destroy_job", "@long")
    probe.label("usual", probe.raw("create_job", owner="ada", machine="m"))
    probe.settle("usual")
    probe.call("get_job_state", "@usual", note="keepalive not given")


def registers(probe):
    """Which changes reach whom: the two registers of a connection, with their odd removals."""
    watcher, actor = probe.connection(), probe.connection()

    def told(note):
        """Makes a job, powers it, ends it; keeps what the watcher heard of it and of its machine."""
        label = "j" + str(len(probe.labels))
        probe.create(label, machine="one", on=actor)
        probe.raw("destroy_job", f"@{label}", on=actor)
        lines = watcher.heard()
        probe.keep(note, {"jobs": any(probe.jobs[label] in line.get("jobs_changed", []) for line in lines),
                          "machines": sorted({name for line in lines for name in line.get("machines_changed", [])}),
                          "other": sorted({key for line in lines for key in line} - {"jobs_changed", "machines_changed"}),
                          "both in one": any(len(line) != 1 for line in lines)})

    told("nothing was asked")
    steps = [("notify_job", []), ("no_notify_job", [999]), ("notify_job", [999]), ("no_notify_job", [999]), ("no_notify_job", []), ("notify_job", [999]),
             ("no_notify_job", [999]), ("notify_job", [None]), ("no_notify_job", [None]), ("notify_machine", []), ("no_notify_machine", ["one"]),
             ("notify_machine", ["one"]), ("no_notify_machine", []), ("notify_machine", ["m"]), ("notify_machine", ["one"]), ("no_notify_machine", ["m"]),
             ("no_notify_machine", ["one"]), ("notify_machine", ["nosuch"]), ("notify_machine", [None]), ("notify_job", []), ("no_notify_machine", [None])]
    for number, (name, args) in enumerate(steps):
        probe.call(name, *args, on=watcher, note=f"step {number}")
        told(f"after step {number}: {name}({args})")
    probe.call("no_notify_job", on=watcher, note="end")
    probe.call("notify_job", 10**6, on=watcher, note="an id that is not there yet")
    told("an id that is not there yet")


def notifications(probe):
    """The lines themselves, while boards take their time: which, in which order, and never before the answer."""
    jobs, machines, both, one = (probe.connection() for _ in range(4))
    probe.raw("notify_job", on=jobs)
    probe.raw("notify_machine", on=machines)
    probe.raw("notify_job", on=both)
    probe.raw("notify_machine", "m", on=both)
    watchers = {"jobs": jobs, "machines": machines, "both": both, "one": one}

    def told(note):
        for name, lines in zip(watchers, all_heard(watchers.values())):
            probe.keep(f"{note}: {name}", [probe.masked(line) for line in lines])

    number = probe.raw("create_job", 1, 1, owner="ada", keepalive=None, machine="m")
    probe.label("a", number)
    probe.raw("notify_job", number, on=one)
    told("created")
    probe.settle("a", 3)
    told("ready")
    for name in ("power_off_job_boards", "power_on_job_boards"):
        probe.raw(name, "@a")
        told(f"{name} asked")
        probe.settle("a", 3)
        told(f"{name} done")
    for name in ("job_keepalive", "get_job_state", "get_job_machine_info"):
        probe.raw(name, "@a")
    for name in ("list_jobs", "list_machines", "version"):
        probe.raw(name)
    told("only looked at")
    probe.label("dead", probe.raw("create_job", 99, 99, owner="ada", keepalive=None))
    told("refused at once")
    probe.raw("destroy_job", "@dead", "again")
    told("destroyed again")
    probe.label("b", probe.raw("create_job", 4, 2, owner="ada", keepalive=None, machine="m"))
    told("queued")
    probe.raw("power_on_job_boards", "@b")
    told("power asked while queued")
    probe.raw("destroy_job", "@a", "done")
    told("destroyed")
    probe.settle("b", 3)
    told("the queued one is ready")
    probe.raw("destroy_job", "@b")
    told("and destroyed")
    self_watcher = probe.connection()
    probe.raw("notify_job", on=self_watcher)
    number = probe.raw("create_job", owner="ada", keepalive=None, machine="solo", on=self_watcher)
    probe.keep("no line before the answer to one's own call", len(self_watcher.notices))
    probe.label("self", number)
    probe.keep("one's own", [probe.masked(line) for line in self_watcher.heard()][:1])
    probe.label("lapses", probe.raw("create_job", owner="ada", keepalive=0.9, machine="one"))
    jobs.heard()
    probe.lapse("lapses")
    probe.keep("lapsed", sorted(map(json.dumps, (probe.masked(line) for line in jobs.heard()))))
    one.close()
    jobs.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
    jobs.close()
    probe.call("version", note="after watchers left, one of them rudely")


def pipelines(probe):
    """Many calls in one write: answers in order, one connection's jobs seen by another."""
    on = probe.connection()
    first = probe.raw("create_job", owner="ada", keepalive=None, machine="solo")
    probe.label("a", first)
    probe.settle("a")
    calls = [("version", {}), ("get_job_state", {"job_id": first}), ("version", {"x": 1}), ("list_jobs", {}), ("where_is", {"job_id": first, "chip_x": 0, "chip_y": 0}),
             ("get_board_position", {"machine_name": "m", "x": 1, "y": 1, "z": 1}), ("where_is", {}), ("destroy_job", {"job_id": first, "reason": "over"}),
             ("get_job_state", {"job_id": first}), ("list_jobs", {}), ("get_job_machine_info", {"job_id": first}), ("no_notify_job", {})]
    on.send(b"".join(json.dumps({"command": name, "args": [], "kwargs": kwargs}).encode() + b"\n" for name, kwargs in calls))
    for name, kwargs in calls:
        probe.keep(f"pipelined {name}({kwargs if 'job_id' not in kwargs else '@a'})", probe.masked(on.answer()))
    on.send(json.dumps({"command": "create_job", "kwargs": {"owner": "ada", "machine": "m"}}).encode() + b"\n" + b'{"command":"list_jobs"}\n')
    number = on.answer()["return"]
    probe.label("b", number)
    listed = on.answer()["return"]
    probe.keep("a job is in the list that is asked for in the same write", [job["job_id"] == number for job in listed])
    on.close()
    probe.settle("b")
    probe.call("get_job_state", "@b", note="outlives its connection")
    rude = probe.connection()
    rude.send(b'{"command":"list_machines"}\n' * 500)
    rude.socket.setsockopt(1, 13, b"\1\0\0\0\0\0\0\0")
    probe.keep("five hundred answers", sum(1 for _ in range(500) if isinstance(rude.answer(), dict)))
    rude.close()
    probe.call("version", note="after a reset")


def odd(probe):
    """What only a test would send."""
    for owner in ("\ud800", "a\udfffb", "\0", "x" * 500):
        probe.create("a", machine="one", owner=owner)
        probe.keep(f"owner {owner!a}", [job["owner"] for job in probe.raw("list_jobs")])
        probe.raw("destroy_job", "@a")
    for reason in (5, 1.5, True, [1, "a", None], {"b": None}):
        probe.create("a", machine="one")
        probe.call("destroy_job", "@a", reason)
        probe.call("get_job_state", "@a", note=f"reason {reason!r}")
    for args in ([1, 1, None, 3], [1, 1, None, 3, 4], [1, 1, None, 3, 4, 0.5], [1, 1, None, 3, 4, 0.5, False]):
        number = probe.raw("create_job", *args, owner="ada", keepalive=None, tags=["small"])
        probe.keep(f"create_job({args})", "a number" if isinstance(number, int) else "raises")
        if isinstance(number, int):
            probe.raw("destroy_job", number)
    for keepalive in ("nan", "inf", "Infinity", "-inf", " 5 ", "1_0", "1e3", "0x10"):
        number = probe.raw("create_job", owner="ada", keepalive=keepalive, machine="m")
        probe.keep(f"keepalive {keepalive!r}", str(probe.raw("get_job_state", number)["keepalive"]) if isinstance(number, int) else "raises")
        if isinstance(number, int):
            probe.raw("destroy_job", number)
    for far in (10**6, 2**31, 2**40, 2**53, 2**63, 2**64, 10**30, -2**31, -2**63, -10**30):
        probe.call("where_is", machine="m", x=far, y=0, z=0)
        probe.call("where_is", machine="m", chip_x=far, chip_y=0)
        probe.call("get_board_position", "m", far, 0, 0)
        probe.call("get_board_at_position", "m", far, 0, 0)


SECTIONS = [odd, frames, arguments, unknown, creation, refusals, positions, where_is, queue, listing, transitions, keepalives, registers, notifications, pipelines]
