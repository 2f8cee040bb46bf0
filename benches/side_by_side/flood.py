"""Part d: what others notice of a flood of log-ins by password, and what it costs in memory. Berth alone."""
import json
import statistics
import subprocess

import measure
import peers
import tools

KEY = "d"
# Others ask so often, on so many sockets: far from what the server can bear, so that what is seen is how long they wait.
OTHERS = ("--connections", 20, "--rate", 2000)
# Many times what one core can check.
FLOOD = ("--mix", "login", "--connections", 200, "--rate", 1000)


def flood(seconds):
    """A load that runs beside another; its report is had by `communicate`."""

    def start(server):
        command = [tools.BERTH, "bench", "--server", server.doors["native"], "--json", "--warmup", 0, "--seconds", seconds, *FLOOD,
                   "--user", "ada", "--password-file", server.doors["password"]]
        return subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, preexec_fn=peers.on_loads_core)

    return start


def rounds(count, seconds, say):
    """Rows of the table, and lines below it."""
    calm, flooded, logins, memories = [], [], [], []
    others = measure.bench(*OTHERS)
    for _ in range(count):
        with peers.berth() as server:
            calm.append(measure.window(server, others, seconds))
            before = server.memory_mib()
            beside = flood(seconds + 3 * measure.WARM_S + 1)(server)
            try:
                flooded.append(measure.window(server, others, seconds))
            finally:
                told, _ = beside.communicate(timeout=120)
            logins.append(read(told))
            memories.append((before, server.memory_mib(), server.memory_mib("VmHWM")))
            say(f"others' p99 {calm[-1].p99_us:,.0f} us, in the flood {flooded[-1].p99_us:,.0f} us")
    return report(measure.median(calm), measure.median(flooded), logins, memories)


def read(told):
    """How many log-ins a second went through, how many were refused, and with what words."""
    report = json.loads(told)
    refused = sum(mishap["count"] for mishap in report["errors"])
    why = max(report["errors"], key=lambda mishap: mishap["count"], default={"msg": ""})["msg"]
    return report["operations_per_second"], refused / max(report["seconds"], 0.001), why


def report(calm, flooded, logins, memories):
    before, after, most = (statistics.median(column) for column in zip(*memories))
    done, refused = (statistics.median(one[place] for one in logins) for place in (0, 1))
    lines = ["| others: get_version, 2,000 a second on 20 sockets | p50, us | p99, us |", "|---|---|---|",
             f"| without a flood | {calm.p50_us:,.0f} | {calm.p99_us:,.0f} |",
             f"| in the flood | {flooded.p50_us:,.0f} | {flooded.p99_us:,.0f} |",
             f"| ratio | {flooded.p50_us / calm.p50_us:.2f} | {flooded.p99_us / calm.p99_us:.2f} |", "",
             f"- The flood: 1,000 hand-shakes of a user offered a second on 200 sockets; {done:,.0f} a second were let in and out, {refused:,.0f} a second refused."]
    if logins[-1][2]:
        lines.append(f"  What the refused are told: {logins[-1][2]}")
    lines.append(f"- Memory of the server: {before:.0f} MiB before, {after:.0f} MiB after, {most:.0f} MiB at the most.")
    return lines
