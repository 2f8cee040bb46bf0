"""Starts Berth and those it is compared with, each on the servers' core, each alone: `with` one of the functions below.

A server that cannot be started raises `tools.Missing`.
"""
import contextlib
import os
import pathlib
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import tools

sys.path.insert(0, str(tools.ROOT / "tests/peers/spalloc"))
import lab as labs  # noqa: E402

CORES = sorted(os.sched_getaffinity(0))
TICKS = os.sysconf("SC_CLK_TCK")
PLACES = 100
DEVICES = 200
PATIENCE_S = 30
PASSWORD = "a flood of words"


class Server:
    """A running server: where it listens, by the names of its doors, and its processes."""

    def __init__(self, processes, **doors):
        self.processes, self.doors = processes, doors

    def cpu_s(self):
        """Processor time of its processes so far, and of those that they started and that have ended."""
        return sum(cpu_s(process.pid) for process in self.processes)

    def memory_mib(self, which="VmRSS"):
        """What its processes have in memory; or VmHWM, the most they ever had."""
        return sum(memory_mib(process.pid, which) for process in self.processes)


def cpu_s(pid):
    """Exact for the process itself; for its children that have ended by the clock's ticks; for living ones the same again."""
    with open(f"/proc/{pid}/stat") as stat:
        ended = stat.read().rpartition(")")[2].split()[13:15]
    # The processor clock of another process, as clock_getcpuclockid makes it.
    return time.clock_gettime(~pid << 3 | 2) + sum(map(int, ended)) / TICKS + sum(cpu_of_living(child) for child in children(pid))


def cpu_of_living(pid):
    try:
        return cpu_s(pid)
    except OSError:
        return 0.0


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as listed:
        return [int(word) for word in listed.read().split()]


def memory_mib(pid, which):
    with open(f"/proc/{pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(which)) / 1024


def on_servers_core():
    os.sched_setaffinity(0, {CORES[0]})


def on_loads_core():
    os.sched_setaffinity(0, {CORES[-1]})


@contextlib.contextmanager
def work_folder():
    work = pathlib.Path(tempfile.mkdtemp(prefix="side-by-side-"))
    try:
        yield work
    finally:
        shutil.rmtree(work, ignore_errors=True)


@contextlib.contextmanager
def process(command, work, until=None, core=on_servers_core, user=None, **environment):
    """A program; `until` is the beginning of the line with which it tells that it is ready, and that line is kept in `told`."""

    def prepare():
        core()
        if user:
            os.setgid(user.pw_gid)
            os.setuid(user.pw_uid)

    log = work / f"{pathlib.Path(str(command[0])).name}.log"
    with open(log, "ab") as errors:
        started = subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE if until else errors, stderr=errors, cwd=work, text=True,
                                   preexec_fn=prepare, env={**os.environ, **environment})
    try:
        if until:
            started.told = []
            for line in started.stdout:
                started.told.append(line.strip())
                if line.startswith(until):
                    break
            else:
                raise tools.Missing(f"{command[0]} did not start: {last_line(log)}")
            threading.Thread(target=started.stdout.read, daemon=True).start()
        yield started
    finally:
        started.terminate()
        try:
            started.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            started.kill()
            started.wait()


def last_line(log):
    lines = log.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it said nothing"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def await_port(port, started, log):
    """Waits until something listens there."""
    over = time.monotonic() + PATIENCE_S
    while time.monotonic() < over and started.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise tools.Missing(f"nothing listens: {last_line(log)}")


BERTH_DOORS = """
[web]
listen = "127.0.0.1:0"
[[machine]]
name = "devices"
shape = "pool"
count = %d
kinds = ["pulsecount", "variance"]
controller = "simulated"
tags = ["devices"]
"""


@contextlib.contextmanager
def berth():
    """Berth with all doors, its journal on the disk of the temporary folder. One user, `ada`."""
    with work_folder() as work:
        config = work / "config.toml"
        # The table of the pool comes last, after those of the lab's machines.
        config.write_text(labs.berth(labs.BENCH, work / "data") + BERTH_DOORS % DEVICES)
        password = work / "password"
        password.write_text(PASSWORD + "\n")
        tools.run(tools.BERTH, "user", "add", "ada", "--config", config, "--password-file", password)
        with process([tools.BERTH, "serve", "--config", config], work, until="web:") as started:
            doors = dict(line.split(": listening on ") for line in started.told if ": listening on " in line)
            doors = {name: address.removeprefix("http://").strip("/").split()[0] for name, address in doors.items()}
            yield Server([started], password=str(password), **doors)


@contextlib.contextmanager
def printing(*command):
    """A server that prints where it listens."""
    with work_folder() as work, process(command, work, until="listening on ") as started:
        yield Server([started], native=started.told[-1].split()[-1])


def limit(what):
    return printing(tools.limits_program(), "serve", what)


def stand_in(*options):
    return printing(tools.environment("gevent", "gevent", version=(3, 9)), tools.HERE / "stand_in.py", *options)


@contextlib.contextmanager
def spalloc_server():
    """spalloc_server 7.0.0 with the lab that Berth has, boards that obey at once and no cool-down."""
    python = tools.environment("spalloc-server", "spalloc_server==1!7.0.0")
    with work_folder() as work:
        config = work / "lab.py"
        config.write_text(labs.reference(labs.BENCH, 5.0))
        with process([python, tools.ROOT / "tests/peers/spalloc/reference.py", config], work, until="spalloc: ") as started:
            started.terminate = started.kill  # it only ends so
            yield Server([started], spalloc=started.told[-1].split()[-1])


@contextlib.contextmanager
def labgrid(*options):
    """labgrid's coordinator; the host of the boards runs where the load does."""
    python = tools.environment("labgrid", "labgrid==26.0.1")
    with work_folder() as work:
        address = f"127.0.0.1:{free_port()}"
        with process([python, tools.HERE / "coordinator.py", address, *options], work) as started:
            await_port(int(address.rpartition(":")[2]), started, work / "python.log")
            with process([python, tools.HERE / "labgrid_load.py", "exporter", address, PLACES], work, until="ready", core=on_loads_core):
                yield Server([started], labgrid=address)


@contextlib.contextmanager
def icefarm():
    """iCEFARM's control server under uvicorn with PostgreSQL as it comes, both on the servers' core; the worker is where the load is."""
    python = tools.environment("icefarm", "icefarm==0.1.16", version=(3, 12))
    programs, extra = tools.postgres()
    with work_folder() as work:
        user = owner(work)
        data, port = work / "data", free_port()
        database = f"host={work} dbname=postgres user=bench"
        start_in = {"cwd": work, "env": {**os.environ, **extra, "TMPDIR": str(work)}}
        if user:
            start_in |= {"user": user.pw_uid, "group": user.pw_gid}
        tools.run(programs / "initdb", "--no-locale", "--encoding=UTF8", "--auth=trust", "--username=bench", "-D", data, **start_in)
        # Only the place it listens at is set: a reply of this server is as durable as its database's defaults make it.
        serve = [programs / "postgres", "-D", data, "-k", work, "-c", "listen_addresses="]
        with process(serve, work, user=user, **extra) as base:
            await_file(work / ".s.PGSQL.5432", base, work / "postgres.log")
            tools.run(python, "-c", "import psycopg, sys; psycopg.connect(sys.argv[1], autocommit=True).execute(sys.stdin.read())", database,
                      input=(tools.HERE / "schema.sql").read_text())
            with process([python, tools.HERE / "icefarm_worker.py", database, DEVICES], work, until="ready", core=on_loads_core):
                control = [python, "-m", "uvicorn", "--factory", "icefarm.control.app:run_uvicorn", "--port", port, "--no-access-log", "--log-level", "warning"]
                with process(control, work, ICEFARM_DATABASE=database) as started:
                    await_port(port, started, work / "python.log")
                    yield Server([started, base], web=f"127.0.0.1:{port}")


def owner(work):
    """PostgreSQL refuses to run as root: then somebody else who has nothing."""
    if os.getuid() != 0:
        return None
    user = pwd.getpwnam("nobody")
    os.chown(work, user.pw_uid, user.pw_gid)
    return user


def await_file(path, started, log):
    over = time.monotonic() + PATIENCE_S
    while time.monotonic() < over and started.poll() is None:
        if path.exists():
            return
        time.sleep(0.02)
    raise tools.Missing(f"no database: {last_line(log)}")
