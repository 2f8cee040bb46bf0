"""A load for labgrid's coordinator, in labgrid's virtual environment.

`exporter ADDRESS PLACES` stands for the host of the boards: it offers one resource for each place, says yes to everything at once, makes the
places, and prints `ready`. `load ADDRESS PLACES CLIENTS SECONDS` acquires and releases places, each client its own share of them, and
prints one line of JSON. Clients open the stream that a session needs and subscribe to nothing.
"""
import asyncio
import json
import sys
import time

import grpc
from labgrid.remote.generated import labgrid_coordinator_pb2 as messages
from labgrid.remote.generated import labgrid_coordinator_pb2_grpc as services
from labgrid.util import labgrid_version

# Each client has a connection of its own.
OPTIONS = [("grpc.use_local_subchannel_pool", 1)]


async def drain(queue):
    """What is put in the queue, as a stream."""
    while True:
        yield await queue.get()


class Session:
    """A connection with the stream by which the coordinator knows who calls."""

    def __init__(self, address, name):
        self.channel = grpc.aio.insecure_channel(address, options=OPTIONS)
        self.stub = services.CoordinatorStub(self.channel)
        self.name = name
        self.synced = asyncio.Event()
        self.out = asyncio.Queue()

    async def open(self):
        hello = messages.ClientInMessage()
        hello.startup.version = labgrid_version()
        hello.startup.name = self.name
        self.out.put_nowait(hello)
        sync = messages.ClientInMessage()
        sync.sync.id = 1
        self.out.put_nowait(sync)
        self.task = asyncio.create_task(self.listen())
        await asyncio.wait_for(self.synced.wait(), 20)
        return self

    async def listen(self):
        async for message in self.stub.ClientStream(drain(self.out)):
            if message.HasField("sync"):
                self.synced.set()

    async def close(self):
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)
        await self.channel.close()


def place(number):
    return f"place{number:04}"


def resource(group, holder=None):
    message = messages.ExporterInMessage()
    message.resource.path.group_name = group
    message.resource.path.resource_name = "board"
    message.resource.cls = "NetworkService"
    message.resource.params["address"].string_value = "127.0.0.1"
    message.resource.params["username"].string_value = "root"
    message.resource.avail = True
    if holder:
        message.resource.acquired = holder
    return message


async def export(address, count):
    """Offers resources and makes places until it is ended."""
    out = asyncio.Queue()
    hello = messages.ExporterInMessage()
    hello.startup.version = labgrid_version()
    hello.startup.name = "exporter"
    out.put_nowait(hello)
    for number in range(count):
        out.put_nowait(resource(place(number)))
    async with grpc.aio.insecure_channel(address, options=OPTIONS) as channel:
        stub = services.CoordinatorStub(channel)
        async for message in stub.ExporterStream(drain(out)):
            kind = message.WhichOneof("kind")
            if kind == "hello":
                asyncio.create_task(make_places(address, count))
            elif kind == "set_acquired_request":
                asked = message.set_acquired_request
                out.put_nowait(resource(asked.group_name, asked.place_name))
                done = messages.ExporterInMessage()
                done.response.success = True
                out.put_nowait(done)


async def make_places(address, count):
    session = await Session(address, "setup/setup").open()
    for number in range(count):
        name = place(number)
        await session.stub.AddPlace(messages.AddPlaceRequest(name=name))
        await session.stub.AddPlaceMatch(messages.AddPlaceMatchRequest(placename=name, pattern=f"exporter/{name}/*"))
    await session.close()
    print("ready", flush=True)


async def pairs(session, places, until, spans):
    turn = 0
    while time.perf_counter() < until:
        name = places[turn % len(places)]
        turn += 1
        begun = time.perf_counter()
        await session.stub.AcquirePlace(messages.AcquirePlaceRequest(placename=name))
        await session.stub.ReleasePlace(messages.ReleasePlaceRequest(placename=name))
        spans.append(time.perf_counter() - begun)


async def load(address, count, clients, seconds):
    sessions = [await Session(address, f"host{number}/user{number}").open() for number in range(clients)]
    share = count // clients
    spans, begun = [], time.perf_counter()
    await asyncio.gather(*(pairs(session, [place(number * share + turn) for turn in range(share)], begun + seconds, spans)
                           for number, session in enumerate(sessions)))
    took = time.perf_counter() - begun
    for session in sessions:
        await session.close()
    spans.sort()

    def at(portion):
        return spans[min(int(len(spans) * portion), len(spans) - 1)] * 1e6

    print(json.dumps({"done": len(spans), "seconds": took, "per_second": len(spans) / took, "p50_us": at(0.5), "p99_us": at(0.99),
                      "refused": 0, "errors": 0, "first_error": None}))


if sys.argv[1] == "exporter":
    asyncio.run(export(sys.argv[2], int(sys.argv[3])))
else:
    asyncio.run(load(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
