"""One lab, written down once, for both servers: as Berth's TOML and as the configuration that `spalloc_server` executes.

`TEST` is the lab of the tests, `BENCH` that of the measurements, `VAST` that of the greatest requests. Boards are numbered with x
slowest and z fastest and fill frame after frame, dead ones included.
"""
from dataclasses import dataclass, field


@dataclass
class Machine:
    """A torus of triads; `dead_boards` are [x, y, z], `dead_links` [x, y, z, link]."""

    name: str
    width: int
    height: int
    tags: list = field(default_factory=lambda: ["default"])
    dead_boards: list = field(default_factory=list)
    dead_links: list = field(default_factory=list)
    boards_per_frame: int = 12
    frames_per_cabinet: int = 5
    # The second number of its boards' addresses, where that is not told by its place in the lab.
    network: int = 0

    def places(self):
        """Yields each board with its cabinet, frame and board number."""
        for number, board in enumerate(self.boards()):
            frame, place = divmod(number, self.boards_per_frame)
            cabinet, frame = divmod(frame, self.frames_per_cabinet)
            yield board, (cabinet, frame, place)

    def boards(self):
        """All boards, dead ones too, in the order of their numbers."""
        return [(x, y, z) for x in range(self.width) for y in range(self.height) for z in range(3)]


TEST = [
    Machine("m", 4, 2, dead_boards=[[3, 1, 2]], dead_links=[[0, 0, 0, 3]]),
    Machine("one", 1, 1, tags=["default", "small"]),
    Machine("solo", 1, 1, tags=["solo"], dead_boards=[[0, 0, 1], [0, 0, 2]]),
    # Two triads side by side without a dead board fit in one place alone: (1, 0) and (2, 0).
    Machine("nook", 3, 2, tags=["nook"], dead_boards=[[0, 0, 1], [0, 1, 1], [2, 1, 1]]),
    Machine("wide", 8, 5, tags=["wide", "big"], boards_per_frame=24, frames_per_cabinet=2,
            dead_boards=[[2, 2, 0], [5, 1, 1]], dead_links=[[6, 3, 0, 0], [6, 2, 2, 3], [1, 1, 1, 2]]),
]
BENCH = [Machine("big", 20, 12), Machine("m", 4, 2), Machine("one", 1, 1), Machine("five", 5, 5)]
VAST = [Machine("vast", 100, 100, boards_per_frame=24), Machine("large", 40, 40, boards_per_frame=24, network=100)]
LABS = {"test": TEST, "bench": BENCH, "vast": VAST}


def network(lab, index):
    """The second number of the addresses of a machine's boards."""
    return lab[index].network or 11 + index


def address(lab, index, place):
    """The host of a board of the machine with this index: Berth's rule, with the strides below."""
    cabinet, frame, board = place
    value = (10 << 24) + (network(lab, index) << 16) + 1 + cabinet * 5 * 256 + frame * 256 + board * 8
    return ".".join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def berth(lab, data_dir, power_ms=0, extra=""):
    """Berth's configuration of a lab: the doors on free ports, boards that take `power_ms` to switch."""
    text = [f'data_dir = "{data_dir}"', "[native]", 'listen = "127.0.0.1:0"', "[spalloc]", 'listen = "127.0.0.1:0"', extra]
    for index, machine in enumerate(lab):
        text += [
            "[[machine]]",
            f'name = "{machine.name}"',
            'shape = "triads"',
            f"width = {machine.width}",
            f"height = {machine.height}",
            f"dead_boards = {machine.dead_boards}",
            f"dead_links = {machine.dead_links}",
            "tags = [" + ", ".join(f'"{tag}"' for tag in machine.tags) + "]",
            "settle_s = 0",
            f"boards_per_frame = {machine.boards_per_frame}",
            f"frames_per_cabinet = {machine.frames_per_cabinet}",
            f'host_base = "10.{network(lab, index)}.0.1"',
            'cabinet_stride = "0.0.5.0"',
            'frame_stride = "0.0.1.0"',
            'board_stride = "0.0.0.8"',
            'controller = "simulated"',
            "[machine.simulated]",
            f"prepare_ms = {power_ms}",
            f"power_ms = {power_ms}",
            f"clean_ms = {power_ms}",
        ]
    return "\n".join(text) + "\n"


def reference(lab, sweep_s=0.1):
    """The same lab for `spalloc_server`: boards come back at once, time-outs are looked for every `sweep_s`."""
    text = ["from spalloc_server.links import Links", "machines = []"]
    for index, machine in enumerate(lab):
        places = dict(machine.places())
        frames = sorted({place[:2] for place in places.values()})
        text += [
            "machines.append(Machine(",
            f"    name={machine.name!r}, width={machine.width}, height={machine.height}, tags=set({machine.tags}),",
            f"    dead_boards=set(map(tuple, {machine.dead_boards})),",
            f"    dead_links={{(x, y, z, Links(link)) for x, y, z, link in {machine.dead_links}}},",
            f"    board_locations={places},",
            "    bmp_ips={" + ", ".join(f"({c}, {f}): 'bmp-{index}-{c}-{f}'" for c, f in frames) + "},",
            f"    spinnaker_ips={ {board: address(lab, index, place) for board, place in places.items()} }))",
        ]
    text.append(f"configuration = Configuration(machines=machines, ip='127.0.0.1', timeout_check_interval={sweep_s}, seconds_before_free=0)")
    return "\n".join(text) + "\n"
