#!/usr/bin/env python3
"""Compares what the players made of each stream: report.py STREAMS COMMON REFERENCE OURS OURS-COMMON prints Markdown.

Utilisation is what was lent, in boards times time, as a share of what all live boards could give from the beginning to the
moment when the last request was granted; useful utilisation counts no more boards of a request than it asked for.
"""

import json
import os
import platform
import sys

REFERENCE = "spalloc_server"
OURS = ["packer", "lab", "leases"]


def machine():
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        models = [line.split(":", 1)[1].strip() for line in file if line.startswith("model name")]
    name = models[0] if models else platform.machine()
    return f"{os.cpu_count()} x {name}, Linux, Python {platform.python_version()}"


def read_streams(folder):
    streams = {}
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            head, *requests = map(json.loads, file)
        streams[head["stream"]] = (head, {request["id"]: request for request in requests})
    return streams


def asked(request):
    return request.get("boards") or 3 * request["triads"][0] * request["triads"][1]


def live_boards(head):
    return 3 * head["width"] * head["height"] - len(head["dead_boards"])


def measure(head, requests, jobs):
    granted = [job for job in jobs if "start_ms" in job]
    span = max(job["start_ms"] for job in granted) or 1
    waits = sorted(job["start_ms"] - job["arrive_ms"] for job in granted)

    def used(boards):
        work = sum(boards(job) * (min(job["end_ms"], span) - job["start_ms"]) for job in granted)
        return work / (live_boards(head) * span)

    return {
        "lent": used(lambda job: job["boards"]),
        "useful": used(lambda job: min(job["boards"], asked(requests[job["id"]]))),
        "span": span,
        "wait": sum(waits) / len(waits) / 1000,
        "p95": waits[int(0.95 * (len(waits) - 1))] / 1000,
        "impossible": sum(1 for job in jobs if job.get("impossible")),
    }


def verify(head, requests, jobs, who):
    """Nobody may be forgotten, nor more be lent than there is."""
    where = f"{head['stream']}, {who}"
    assert {job["id"] for job in jobs} == set(requests), f"{where}: requests are missing"
    assert all(("start_ms" in job) != job.get("impossible", False) for job in jobs), where
    changes = sorted(
        change
        for job in jobs
        if "start_ms" in job
        for change in [(job["start_ms"], 1, job["boards"]), (job["end_ms"], 0, -job["boards"])]
    )
    lent = 0
    for _, _, boards in changes:
        lent += boards
        assert lent <= live_boards(head), f"{where}: {lent} boards are lent"


def read_results(path, streams):
    measured = {name: {} for name in streams}
    took = {}
    with open(path, encoding="utf-8") as file:
        for row in map(json.loads, file):
            head, requests = streams[row["stream"]]
            verify(head, requests, row["jobs"], row["player"])
            measured[row["stream"]][row["player"]] = measure(head, requests, row["jobs"])
            took[row["player"]] = took.get(row["player"], 0.0) + row["took_s"]
    return measured, took


def ratio(a, b):
    return a / b if b > 0 else float("inf") if a > 0 else 1.0


def geometric(values):
    product = 1.0
    for value in values:
        product *= value ** (1 / len(values))
    return product


def row(cells):
    print("| " + " | ".join(cells) + " |")


def saturated_table(names, ref, ours, common):
    print("## Always a queue\n")
    row(["stream", "lent by spalloc_server", "packer", "lab", "useful: packer", "lab", "impossible: it / we",
         "same requests, lent: packer", "lab", "time: packer", "lab"])
    row(["---"] * 11)
    for name in names:
        it, us, same = ref[name][REFERENCE], ours[name], common[name]
        cells = [name.removeprefix("saturated-"), f"{it['lent']:.3f}"]
        cells += [f"{us[player][key] / it[key]:.2f}" for key in ("lent", "useful") for player in ("packer", "lab")]
        cells.append(f"{it['impossible']} / {us['packer']['impossible']}")
        cells += [f"{same[player][key] / it[key]:.2f}" for key in ("lent", "span") for player in ("packer", "lab")]
        row(cells)


def lab_table(names, ref, ours, common):
    print("\n## Requests that arrive over time\n")
    row(["stream", "spalloc_server: lent", "wait, mean / p95, s", "lab: lent", "impossible: it / we",
         "same requests, wait: packer", "lab", "with leases"])
    row(["---"] * 8)
    for name in names:
        it, us, same = ref[name][REFERENCE], ours[name], common[name]
        cells = [name.removeprefix("lab-"), f"{it['lent']:.3f}", f"{it['wait']:.0f} / {it['p95']:.0f}"]
        cells.append(f"{us['lab']['lent'] / it['lent']:.2f}")
        cells.append(f"{it['impossible']} / {us['lab']['impossible']}")
        for player in OURS:
            mean, p95 = (ratio(same[player][key], it[key]) for key in ("wait", "p95"))
            cells.append(f"{mean:.2f} / {p95:.2f}")
        row(cells)


def refused(ref, own):
    """Who refuses more has an easier stream left: of the others nobody needs as much room."""
    it, us = ref[REFERENCE]["impossible"], own["impossible"]
    return "" if it == us else f" (spalloc_server refuses {it} requests, this {us})"


def sums(names, ref, ours, what, keys):
    for key, better in keys:
        for player in OURS:
            ratios = {name: ratio(ours[name][player][key], ref[name][REFERENCE][key]) for name in names}
            worse = [f"{name} {value:.3f}{refused(ref[name], ours[name][player])}" for name, value in ratios.items() if (value - 1) * better < -0.0005]
            mean = geometric([value for value in ratios.values() if 0 < value < float("inf")])
            listed = ": " + ", ".join(worse) if worse else ""
            print(f"- {what}, {key}, {player}: {mean:.3f} on average, worse on {len(worse)} of {len(names)}{listed}")


def main():
    streams, common_streams = read_streams(sys.argv[1]), read_streams(sys.argv[2])
    ref, ref_took = read_results(sys.argv[3], streams)
    ours, ours_took = read_results(sys.argv[4], streams)
    common, _ = read_results(sys.argv[5], common_streams)
    count = sum(len(requests) for _, requests in streams.values())
    took = ", ".join(f"{player} {seconds:.0f} s" for player, seconds in {**ref_took, **ours_took}.items())
    print(f"{machine()}. {len(streams)} streams, {count} requests, played in: {took}.\n")
    saturated = [name for name in streams if name.startswith("saturated")]
    arriving = [name for name in streams if name.startswith("lab")]
    saturated_table(saturated, ref, ours, common)
    lab_table(arriving, ref, ours, common)
    print("\n## Ratios to spalloc_server (geometric means)\n")
    print("Only the lines of *same requests* compare like with like: there all play what none of them calls impossible. Of *all requests* each plays what it\n"
          "accepts itself, and large rectangles that one of them refuses leave room for small ones.\n")
    sums(saturated, ref, common, "always a queue, same requests", [("lent", 1), ("useful", 1), ("span", -1)])
    sums(arriving, ref, common, "arriving, same requests", [("wait", -1), ("p95", -1)])
    sums(saturated, ref, ours, "always a queue, all requests", [("lent", 1), ("useful", 1)])


if __name__ == "__main__":
    main()
