#!/usr/bin/env python3
"""Writes the streams of requests that both packers are given: one file of JSON lines for each stream.

    streams.py FOLDER [--requests N] [--only TEXT]

The first line of a file describes the machine, each further line is a request: when it arrives and how long its boards
are used, in milliseconds, and what it asks for. The same seed writes the same bytes; chance is drawn by random() alone,
which is the same in every release of Python.
"""

import argparse
import json
import math
import os
import random

MACHINES = [(8, 8), (20, 12), (20, 20)]
# What is asked for, and by which law its size is drawn.
KINDS = ["rectangles-uniform", "rectangles-heavy", "counts-uniform", "counts-heavy", "mixed"]
DEAD_SHARES = [0.0, 0.01, 0.05]
# Work offered to a lab, as a share of what all its boards could do if they were never idle.
LOADS = [0.5, 0.8]
# Run times are spread evenly over their logarithm between these.
RUN_S_MIN, RUN_S_MAX = 60, 3600
# The exponent of the heavy tail: a few requests ask for most of the boards.
TAIL = 1.1


class Chance:
    """Draws from one seed."""

    def __init__(self, seed):
        self.random = random.Random(seed).random

    def whole(self, low, high):
        return low + int(self.random() * (high - low + 1))

    def log_uniform(self, low, high):
        return math.exp(math.log(low) + self.random() * math.log(high / low))

    def pareto(self, low, high):
        """A bounded Pareto law."""
        share = 1 - (low / high) ** TAIL
        return low / (1 - self.random() * share) ** (1 / TAIL)


def rectangle(chance, width, height, heavy):
    if not heavy:
        return chance.whole(1, width // 2), chance.whole(1, height // 2)
    area = chance.pareto(1, width * height / 2)
    lean = math.sqrt(chance.log_uniform(0.5, 2))
    across, up = round(math.sqrt(area) * lean), round(math.sqrt(area) / lean)
    return min(max(across, 1), width), min(max(up, 1), height)


def count(chance, width, height, heavy):
    boards = 3 * width * height
    return int(chance.pareto(2, boards / 2)) if heavy else chance.whole(2, boards // 4)


def size(chance, width, height, kind):
    if kind == "mixed":
        drawn = chance.random()
        kind = "single" if drawn < 0.5 else "rectangles-heavy" if drawn < 0.75 else "counts-heavy"
    if kind == "single":
        return {"boards": 1}
    # Clients ask for no dead board unless they are told otherwise; half of these were.
    limits = {"max_dead_boards": 0} if chance.random() < 0.5 else {}
    if kind.startswith("rectangles"):
        return {"triads": rectangle(chance, width, height, kind.endswith("heavy")), **limits}
    return {"boards": count(chance, width, height, kind.endswith("heavy")), "min_ratio": 0.333, **limits}


def asked(request):
    return request.get("boards") or 3 * request["triads"][0] * request["triads"][1]


def stream(name, seed, machine, kind, dead_share, load, requests):
    chance = Chance(seed)
    width, height = machine
    boards = [(x, y, z) for x in range(width) for y in range(height) for z in range(3)]
    dead = [board for board in boards if chance.random() < dead_share]
    made = []
    for number in range(requests):
        run_ms = int(1000 * chance.log_uniform(RUN_S_MIN, RUN_S_MAX))
        made.append({"id": number + 1, "arrive_ms": 0, "run_ms": run_ms, **size(chance, width, height, kind)})
    if load:
        work = sum(asked(request) * request["run_ms"] for request in made)
        span = work / (load * (len(boards) - len(dead)))
        moments = sorted(int(chance.random() * span) for _ in made)
        for request, moment in zip(made, moments):
            request["arrive_ms"] = moment
    head = {
        "stream": name,
        "width": width,
        "height": height,
        "dead_boards": dead,
        # A saturated stream always has so many requests waiting, as long as there are any.
        "backlog": 0 if load else 50,
        "settle_ms": 30_000 if load else 0,
    }
    return [head, *made]


def streams(requests):
    seed = 0
    for machine in MACHINES:
        size_name = f"{machine[0]}x{machine[1]}"
        for kind in KINDS:
            for dead in DEAD_SHARES:
                seed += 1
                name = f"saturated-{size_name}-{kind}-{dead * 100:.0f}"
                yield name, stream(name, seed, machine, kind, dead, None, requests)
        for kind in ["rectangles-heavy", "counts-heavy", "mixed"]:
            for load in LOADS:
                seed += 1
                name = f"lab-{size_name}-{kind}-load{load * 100:.0f}"
                yield name, stream(name, seed, machine, kind, 0.01, load, requests)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--requests", type=int, default=3000)
    parser.add_argument("--only", default="")
    args = parser.parse_args()
    os.makedirs(args.folder, exist_ok=True)
    for name, lines in streams(args.requests):
        if args.only in name:
            with open(os.path.join(args.folder, name + ".jsonl"), "w", encoding="utf-8") as file:
                file.writelines(json.dumps(line) + "\n" for line in lines)


if __name__ == "__main__":
    main()
