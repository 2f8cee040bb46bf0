"""One window of load on one server: what each kind of load says, in one form; and many windows together."""
import json
import statistics
import subprocess
from dataclasses import dataclass

import peers
import tools

WARM_S = 0.2


@dataclass
class Window:
    """What a load told, and the processor time of the server for one operation."""

    per_s: float
    p50_us: float
    p99_us: float
    cpu_us: float
    refused: int = 0


class Went(Exception):
    """A load that did not go well; what it said."""


def window(server, load, seconds):
    """A short load to warm up, then one that counts."""
    went(load(server, WARM_S))
    spent = server.cpu_s()
    told = went(load(server, seconds))
    spent = server.cpu_s() - spent
    return Window(told["per_second"], told["p50_us"], told["p99_us"], spent / told["done"] * 1e6, told["refused"])


def went(told):
    """What a load told, if nothing went wrong."""
    if told["errors"] or not told["done"]:
        raise Went(f"{told['errors']} errors, {told['done']} done; the first: {told['first_error']}")
    return told


def spoken(command):
    """What a load printed as JSON, run on the loads' core."""
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True, timeout=180, preexec_fn=peers.on_loads_core)
    try:
        return json.loads(done.stdout)
    except ValueError:
        raise Went(f"{done.stderr.strip() or done.stdout.strip() or done.returncode}") from None


def bench(*options):
    """`berth bench` at a native door. It has no warm-up of its own here, so that processor times are for all that it counts."""

    def load(server, seconds):
        told = spoken([tools.BERTH, "bench", "--server", server.doors["native"], "--json", "--warmup", 0, "--seconds", seconds, *options])
        first = next((mishap["msg"] for mishap in told["errors"]), None)
        return {"done": told["done"], "per_second": told["operations_per_second"], "p50_us": told["latency_us"]["p50"],
                "p99_us": told["latency_us"]["p99"], "refused": 0, "errors": told["failed"] + told["unfinished"], "first_error": first}

    return load


def limits(what, door, *options):
    """The compiled load for everything that is no native door with Berth's own forms."""

    def load(server, seconds):
        return spoken([tools.limits_program(), "load", what, server.doors[door], "--seconds", seconds, *options])

    return load


def paused(load):
    """A load with a pause between answer and next request, as `--pause` makes it. Of one client the rate is told as without the pauses."""

    def without(server, seconds):
        told = load(server, seconds)
        alone = 1e6 / told["mean_us"] if told["mean_us"] else 0
        # With many clients it is the server that is waited for, unless pauses are what is left of the time.
        return {**told, "per_second": max(alone, told["per_second"])}

    return without


def labgrid(clients):
    """Python, in labgrid's own environment."""

    def load(server, seconds):
        python = tools.TOOLS / "labgrid/bin/python"
        return spoken([python, tools.HERE / "labgrid_load.py", "load", server.doors["labgrid"], peers.PLACES, clients, seconds])

    return load


def median(windows):
    """The median of each figure."""
    return Window(*(statistics.median(getattr(one, name) for one in windows) for name in ("per_s", "p50_us", "p99_us", "cpu_us", "refused")))
