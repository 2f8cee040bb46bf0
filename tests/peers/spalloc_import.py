#!/usr/bin/env python3
"""The same configurations read by spalloc_server itself and by `berth config import-spalloc`.

    spalloc_import.py BERTH

Each configuration is loaded by spalloc_server 7.0.0 as it loads it when it starts; what its machines then are must be what a
server of ours says of its machines when it serves the import: size, tags, dead boards and links, where every board stands and
answers. BMPs, cool-down and limits nobody can ask a server for; they are read from `berth config show`.
"""

import json
import os
import subprocess
import sys
import tempfile
import tomllib

# Importing its server opens a log where it stands.
HERE = os.getcwd()
os.chdir(tempfile.gettempdir())
from spalloc_server.links import Links  # noqa: E402
from spalloc_server.server import SpallocServer  # noqa: E402

SPINNER = "cabinet,frame,board,x,y\n"

CONFIGURATIONS = {
    "nothing": "configuration = Configuration(ip='127.0.0.1')\n",
    "single boards": """
machines = [Machine.single_board("desk-%d" % n, set(["default", "desk"]), "bmp-%d" % n, "board-%d" % n)
            for n in range(1, 4)]
configuration = Configuration(machines=machines, ip="127.0.0.1", max_retired_jobs=5, seconds_before_free=0)
""",
    "by hand": """
m = Machine(name="three", width=1, height=1,
            board_locations={(0, 0, 0): (0, 0, 0), (0, 0, 1): (0, 0, 2), (0, 0, 2): (0, 0, 5)},
            bmp_ips={(0, 0): "192.168.240.0"},
            spinnaker_ips={(0, 0, 0): "192.168.240.1", (0, 0, 1): "192.168.240.17", (0, 0, 2): "192.168.240.41"})
n = Machine("faulty", frozenset(["faulty"]), dead_boards=set([(1, 0, 0), (1, 0, 2)]),
            dead_links=set([(0, 0, 0, Links.west), (0, 0, 1, Links.north_east), (0, 0, 2, 5)]),
            board_locations=dict(((x, 0, z), (x, 3, z)) for x in range(2) for z in range(3) if (x, z) != (1, 2)),
            bmp_ips={(0, 3): "fb0", (1, 3): "fb1"},
            spinnaker_ips={(x, 0, z): "f{}-{:02d}".format(x, z) for x in range(2) for z in range(3)
                           if (x, z) not in [(1, 0), (1, 2)]})
configuration = Configuration([m, n], ip="127.0.0.1", port=22300, timeout_check_interval=1.0, seconds_before_free=2.5)
""",
    "in order": """
BOARDS = [(x, y, z) for x in range(4) for y in range(5) for z in range(3)]
PLACES = {(x, y, z): ((15 * x + 3 * y + z) // 48, (15 * x + 3 * y + z) // 24 % 2, (15 * x + 3 * y + z) % 24)
          for x, y, z in BOARDS}
configuration = Configuration(machines=[
    Machine.with_standard_ips("rack", board_locations=PLACES, base_ip="10.11.0.0", dead_boards=[(3, 4, 2)],
                              cabinet_stride="0.0.16.0", bmp_offset="0.0.0.2", spinnaker_offset="0.0.0.3")],
    ip="127.0.0.1")
""",
    "from spinner": """
million = Machine.with_standard_ips(
    "million", tags=["big", "default"],
    board_locations=board_locations_from_spinner("chips.csv"),
    dead_links=[(0, 0, 0, Links.east)],
    base_ip="10.2.0.0")
configuration = Configuration(machines=[million], ip="127.0.0.1", max_retired_jobs=10)
""",
}

# What spalloc_server takes and we cannot, or do not read: what must be named.
UNREAD = {
    "loop": ("machines = []\nfor n in range(2):\n    machines.append(n)\nconfiguration = Configuration()\n", ":2:1: 'for'"),
    "name": ("configuration = Configuration([Machine.single_board('my board', bmp_ip='b', spinnaker_ip='h')])\n", "my board"),
    "function": ("import os\nconfiguration = Configuration(ip=os.environ.get('IP', ''))\n", ":1:8: 'os'"),
}


def chips():
    """A table of places with the boards of 3x2 triads scattered over four frames."""
    rows = []
    for number, (x, y, z) in enumerate((x, y, z) for x in range(3) for y in range(2) for z in range(3)):
        dx, dy = [(0, 0), (8, 4), (4, 8)][z]
        rows.append(f"0,{number % 4},{number * 7 % 24},{12 * x + dx},{12 * y + dy}\n")
    return SPINNER + "".join(rows)


def its_own(text):
    """What spalloc_server makes of a text, by the functions it uses when it starts."""
    server = SpallocServer.__new__(SpallocServer)
    configuration = server._validate_config(server._parse_config(text))
    assert configuration is not None
    return configuration


def berth(*args, status=0, **more):
    done = subprocess.run([BERTH, *args], capture_output=True, text=True, check=False, **more)
    assert done.returncode == status, (args, done)
    return done


def served(config, data):
    """What a server says of its machines."""
    env = {**os.environ, "BERTH_SPALLOC_LISTEN": "", "BERTH_STAND_LISTEN": "", "BERTH_WEB_LISTEN": ""}
    args = [BERTH, "serve", "--config", config, "--data-dir", data, "--listen", "127.0.0.1:0"]
    server = subprocess.Popen(args, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=env)
    try:
        line = next(line for line in server.stdout if line.startswith("native:"))
        ask = lambda *call: json.loads(berth("--server", line.split()[-1], "--json", *call).stdout)
        machines = ask("call", "list_machines")
        return [ask("call", "get_machine", f"machine={machine['name']}") for machine in machines]
    finally:
        server.terminate()
        assert server.wait(timeout=30) == 0
        server.stdout.close()


def compare(theirs, ours, shown):
    name = theirs.name
    assert ours["name"] == name and ours["shape"] == "triads", ours
    assert (ours["width"], ours["height"]) == (theirs.width, theirs.height), name
    assert set(ours["tags"]) == set(theirs.tags), name
    assert {tuple(board) for board in ours["dead_boards"]} == set(theirs.dead_boards), name
    links = {(x, y, z, Links(link)) for x, y, z, link in map(tuple, ours["dead_links"])}
    assert links == {(x, y, z, Links(link)) for x, y, z, link in theirs.dead_links}, name
    places, hosts = {}, {}
    for board in ours["board_list"]:
        if board["physical"] is not None:
            places[tuple(board["board"])] = tuple(board["physical"])
        if board["host"]:
            hosts[tuple(board["board"])] = board["host"]
    assert places == theirs.board_locations, (name, places)
    assert hosts == theirs.spinnaker_ips, (name, hosts)
    assert {(bmp["cabinet"], bmp["frame"]): bmp["host"] for bmp in shown["bmps"]} == theirs.bmp_ips, name
    return len(places)


def check(name, text, folder):
    source = os.path.join(folder, "lab.py")
    config = os.path.join(folder, "lab.toml")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    theirs = its_own(text)
    # Ours looks beside the file, wherever it is started.
    told = berth("config", "import-spalloc", source, "--output", config, cwd="/")
    assert not told.stdout and not told.stderr, told
    shown = tomllib.loads(berth("config", "show", "--config", config).stdout)
    assert shown["limits"]["retired_jobs"] == theirs.max_retired_jobs, name
    assert shown["spalloc"]["listen"] == f"{theirs.ip or '0.0.0.0'}:{theirs.port}", name
    machines = shown.get("machine", [])
    assert all(machine["settle_s"] == theirs.seconds_before_free for machine in machines), name
    ours = served(config, os.path.join(folder, "data"))
    assert [machine["name"] for machine in ours] == [machine.name for machine in theirs.machines], name
    boards = sum(map(compare, theirs.machines, ours, machines))
    print(f"{name}: {len(ours)} machines, {boards} boards stand and answer where they did")


def check_unread(name, text, expected, folder):
    source = os.path.join(folder, "lab.py")
    with open(source, "w", encoding="utf-8") as file:
        file.write(text)
    told = berth("config", "import-spalloc", source, status=3)
    assert expected in told.stderr and not told.stdout, (name, told)
    partial = berth("config", "import-spalloc", source, "--partial", status=3)
    assert "[spalloc]" in partial.stdout, (name, partial)
    print(f"{name}: named, and nothing written unless asked for")


def main():
    for name, text in CONFIGURATIONS.items():
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            with open("chips.csv", "w", encoding="utf-8") as file:
                file.write(chips())
            check(name, text, folder)
    for name, (text, expected) in UNREAD.items():
        with tempfile.TemporaryDirectory() as folder:
            check_unread(name, text, expected, folder)


if __name__ == "__main__":
    BERTH = os.path.join(HERE, sys.argv[1])
    main()
