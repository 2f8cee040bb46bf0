#!/usr/bin/env python3
"""Plays streams of requests through spalloc_server's own queue and packer, on a simulated clock.

    reference.py FOLDER OUTPUT COMMON

Its JobQueue serves one machine strictly in order, so on the saturated streams this is its Allocator alone. Power takes no
time, and freed boards are looked at the moment they have cooled down, not at the server's next round: both in its favour.
Writes a line of JSON for each stream: what became of each request; and to the folder COMMON the same streams without the
requests that it refused for ever, so that others can be given just what it took.
"""

import heapq
import json
import os
import sys
import time
from datetime import datetime, timedelta

from spalloc_server import allocator
from spalloc_server.job_queue import JobQueue

START = datetime(2000, 1, 1)


class Clock:
    """What the allocator takes for the datetime class."""

    now_ms = 0

    @classmethod
    def now(cls):
        return START + timedelta(milliseconds=cls.now_ms)


allocator.datetime = Clock


class Player:
    """One machine, its queue, and what happens when."""

    def __init__(self, head, requests):
        self.head = head
        self.requests = {request["id"]: request for request in requests}
        self.to_come = sorted(requests, key=lambda request: (request["arrive_ms"], request["id"]), reverse=True)
        self.waiting = 0
        self.events = []
        self.outcomes = {}
        self.ending = False
        settle_s = head["settle_ms"] / 1000
        self.queue = JobQueue(self.on_allocate, self.on_free, self.on_cancel, seconds_before_free=settle_s)
        dead = {tuple(board) for board in head["dead_boards"]}
        self.queue.add_machine("m", head["width"], head["height"], {"default"}, dead, set())

    def on_allocate(self, job_id, _machine, boards, _periphery, _torus):
        run_ms = self.requests[job_id]["run_ms"]
        self.waiting -= 1
        self.outcomes[job_id].update(start_ms=Clock.now_ms, end_ms=Clock.now_ms + run_ms, boards=len(boards))
        heapq.heappush(self.events, (Clock.now_ms + run_ms, 0, job_id))

    def on_free(self, _job_id, _reason):
        pass

    def on_cancel(self, job_id, _reason):
        self.waiting -= 1
        self.outcomes[job_id]["impossible"] = True

    def create(self, request):
        kwargs = {key: request[key] for key in ("min_ratio", "max_dead_boards") if key in request}
        args = request.get("triads") or [request["boards"]]
        self.outcomes[request["id"]] = {"id": request["id"], "arrive_ms": Clock.now_ms}
        self.waiting += 1
        self.queue.create_job(*args, job_id=request["id"], tags={"default"}, **kwargs)

    def feed(self):
        """Lets requests arrive that are due."""
        backlog = self.head["backlog"]
        while self.to_come:
            due = self.waiting < backlog if backlog else self.to_come[-1]["arrive_ms"] <= Clock.now_ms
            if not due:
                break
            self.create(self.to_come.pop())

    def end(self, job_id):
        self.queue.destroy_job(job_id)
        self.queue.free(job_id)
        heapq.heappush(self.events, (Clock.now_ms + self.head["settle_ms"], 1, 0))

    def play(self):
        Clock.now_ms = 0
        self.feed()
        while self.events or self.to_come:
            moments = [self.events[0][0]] if self.events else []
            if self.to_come and not self.head["backlog"]:
                moments.append(self.to_come[-1]["arrive_ms"])
            Clock.now_ms = max(Clock.now_ms, min(moments))
            while self.events and self.events[0][0] <= Clock.now_ms:
                _, kind, job_id = heapq.heappop(self.events)
                if kind == 0:
                    self.end(job_id)
                else:
                    self.queue.check_free()
            self.feed()
        return list(self.outcomes.values())


def main():
    folder, output, common = sys.argv[1:]
    os.makedirs(common, exist_ok=True)
    with open(output, "w", encoding="utf-8") as out:
        for name in sorted(os.listdir(folder)):
            with open(os.path.join(folder, name), encoding="utf-8") as file:
                head, *requests = map(json.loads, file)
            begun = time.perf_counter()
            outcomes = Player(head, requests).play()
            took_s = time.perf_counter() - begun
            row = {"stream": head["stream"], "player": "spalloc_server", "took_s": took_s, "jobs": outcomes}
            out.write(json.dumps(row) + "\n")
            refused = {outcome["id"] for outcome in outcomes if outcome.get("impossible")}
            with open(os.path.join(common, name), "w", encoding="utf-8") as file:
                kept = [request for request in requests if request["id"] not in refused]
                file.writelines(json.dumps(line) + "\n" for line in [head, *kept])
            print(f"{head['stream']}: {took_s:.1f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
