"""What is compared with what, as data: parts, in each the servers, and for each server the works it is given.

A work is a title and a load; works of the same title are compared, and Berth's is the one that ratios are taken of.
"""
from dataclasses import dataclass, field

import measure
import peers

ONE, MANY, PIPELINED = 1, 50, 16
BENCH, LIMITS, LABGRID = measure.bench, measure.limits, measure.labgrid
SOCKETS = "--connections"
# iCEFARM's server fails a request that comes on a kept connection before it is quite done with the one before.
PAUSE_S = 0.01


@dataclass
class Peer:
    """A server, how it is started, and its loads by the title of the work."""

    name: str
    start: object
    works: dict


@dataclass
class Part:
    """Peers that are given the same works."""

    key: str
    title: str
    unit: str
    peers: list
    notes: list = field(default_factory=list)


def classic(what="frames", *options):
    """One call a message at 1 and 50 sockets."""
    return {
        "1 socket": LIMITS(what, "native", SOCKETS, ONE, *options),
        "50 sockets": LIMITS(what, "native", SOCKETS, MANY, *options),
    }


def deep(what):
    return {"50 sockets, 16 in flight": LIMITS(what, "native", SOCKETS, MANY, "--depth", PIPELINED)}


APART = {"1 socket, frame and marker apart": LIMITS("frames-apart", "native", SOCKETS, ONE)}
OWN = {"50 sockets, `berth bench`": BENCH(SOCKETS, MANY)}
LISTS = {"50 sockets, 10 calls a message": BENCH(SOCKETS, MANY, "--batch", 10)}
DEEP_LISTS = {"50 sockets, 16 in flight, 10 calls a message": BENCH(SOCKETS, MANY, "--batch", 10, "--depth", PIPELINED)}

NATIVE = Part("a", "A trivial call at the native door", "call", [
    Peer("Berth", peers.berth, APART | classic() | OWN | deep("frames") | LISTS | DEEP_LISTS),
    Peer("HPX stand-in", peers.stand_in, APART | classic()),
    Peer("HPX stand-in, TCP_NODELAY", lambda: peers.stand_in("--nodelay"), APART | classic() | OWN | LISTS),
    Peer("tonic (gRPC)", lambda: peers.limit("grpc"), classic("grpc") | deep("grpc")),
    Peer("epoll, same framing", lambda: peers.limit("frames"), classic() | OWN | deep("frames") | LISTS | DEEP_LISTS),
    Peer("epoll, echo of bytes", lambda: peers.limit("echo"), classic("echo") | deep("echo")),
], [
    "- Sockets without a word beside them send frames as clients of old do, compressed at level 5, each in one write; `apart`: frame and marker in two",
    "  writes with Nagle's algorithm on, as py-client does. `berth bench` stores short texts.",
    "- The reference HPX server cannot be had: PyPI has its client only. The stand-in is Python with gevent and does less than the reference for each",
    "  call; the README tells what the reference itself reached. It sends frame and marker in two writes, which without TCP_NODELAY makes a client",
    "  wait for a delayed acknowledgement, as the reference does; the second stand-in is without that fault. It answers no pipelined load.",
    "- tonic: a current-thread server with one unary call that sends 47 bytes back; its load sends HTTP/2 frames made beforehand.",
    "- The epoll servers have one thread and nothing but the framing: inflate, check the sum, count the calls, store, `<EOF>`; or no framing at all.",
])


def clients(load):
    return {"1 client": load(1), "20 clients": load(20)}


PAIRS = Part("b", "A loan and its return, as a pair", "pair", [
    Peer("Berth, native door", peers.berth, clients(lambda count: BENCH("--mix", "pairs", SOCKETS, count))),
    Peer("Berth, spalloc door", peers.berth, clients(lambda count: LIMITS("spalloc-pairs", "spalloc", SOCKETS, count))),
    Peer("Berth, iCEFARM's door", peers.berth, clients(lambda count: LIMITS("http-pairs", "web", SOCKETS, count, "--fresh"))),
    Peer("spalloc_server 7.0.0", peers.spalloc_server, clients(lambda count: LIMITS("spalloc-pairs", "spalloc", SOCKETS, count))),
    Peer("labgrid 26.0.1", peers.labgrid, clients(LABGRID)),
    Peer("labgrid, debug mode off", lambda: peers.labgrid("--no-debug"), clients(LABGRID)),
    Peer("iCEFARM 0.1.16", peers.icefarm, clients(lambda count: LIMITS("http-pairs", "web", SOCKETS, count, "--fresh"))),
], [
    "- Berth answers when its fact is on the disk of the temporary folder; iCEFARM's database does too, with PostgreSQL's defaults. spalloc_server and",
    "  labgrid's coordinator keep nothing before they answer.",
    "- labgrid: acquire and release of one of 100 places with one resource, by clients that subscribe to nothing; its exporter says yes at once. As",
    "  released it runs with asyncio's debug mode on; the second row is with that kept off.",
    "- iCEFARM: `/reserve` of one device and `/end` of it, each on a connection of its own as iCEFARM's client makes them, 200 devices that are back",
    "  20 ms after their end. Its processor time is that of the control server and the database.",
])


def at_web(what, kept=lambda load: load, *pause):
    """Requests at iCEFARM's door. Those that keep their connection may have to pause."""
    works = {}
    for count, word in ((1, "1 client"), (20, "20 clients")):
        works[f"{what}, {word}, kept alive"] = kept(LIMITS(f"http-{what}", "web", SOCKETS, count, *pause))
        works[f"{what}, {word}, new connections"] = LIMITS(f"http-{what}", "web", SOCKETS, count, "--fresh")
    return works


def with_pauses(what):
    return at_web(what, measure.paused, "--pause", PAUSE_S)


WEB = Part("c", "iCEFARM's HTTP door", "request or pair", [
    Peer("Berth", peers.berth, at_web("available") | at_web("pairs")),
    Peer("iCEFARM 0.1.16", peers.icefarm, with_pauses("available") | with_pauses("pairs")),
], [
    "- `available`: GET `/available`; `pairs`: `/reserve` of one device and `/end` of it. New connections: one for each request, as iCEFARM's own client",
    "  makes them.",
    "- On kept connections iCEFARM's clients wait 10 ms between an answer and the next request: it answers 500, or nothing, when the next one comes",
    "  before it is quite done with the last, as a quick client's does. The pauses count in no latency, nor in the rate of one client.",
    "- The package comes without its SQL; `schema.sql` is written for this comparison and spares the database where it can. What weighs is that the",
    "  control server opens a database connection for each request and handles requests one after the other.",
])

PARTS = [NATIVE, PAIRS, WEB]
