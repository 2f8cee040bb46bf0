"""Berth and its peers under the same load, in one run: [OUT.md] [--only a,b,c,d] [--quick] [--rounds N].

Servers run one at a time, each on the same one core; the load has the other. Each round starts each server anew, gives it a short
warm-up and then one window of every work, and rounds alternate in their order, so that what else the machine does meets all. Reported is
the median over the rounds. Beside the rate stands the processor time that the server spent on one call: where the load is the limit, or a
wait, that is what tells.
"""
import argparse
import os
import pathlib
import platform
import resource
import subprocess
import sys
import time

import flood
import measure
import parts
import peers
import tools


class Table:
    """The windows of a part, by peer and title; and why peers are missing."""

    def __init__(self, part):
        self.part, self.windows, self.missing = part, {}, {}

    def round(self, seconds, backwards):
        for peer in reversed(self.part.peers) if backwards else self.part.peers:
            if peer.name in self.missing:
                continue
            try:
                with peer.start() as server:
                    for title, load in peer.works.items():
                        self.one(peer, title, server, load, seconds)
            except (tools.Missing, OSError) as error:
                self.missing[peer.name] = str(error)
                say(f"{peer.name}: missing: {error}")

    def one(self, peer, title, server, load, seconds):
        """A window, unless this work did not go well before. One that does not is told, and is not tried again."""
        if f"{peer.name}, {title}" in self.missing:
            return
        try:
            seen = measure.window(server, load, seconds)
        except (measure.Went, subprocess.TimeoutExpired) as error:
            self.missing[f"{peer.name}, {title}"] = str(error)
            say(f"{peer.name}, {title}: {error}")
            return
        self.windows.setdefault((peer.name, title), []).append(seen)
        say(f"{self.part.key}: {title:46} {peer.name:26} {seen.per_s:12,.0f} /s  p50 {seen.p50_us:10,.0f}  p99 {seen.p99_us:10,.0f}  cpu {seen.cpu_us:9,.1f} us")

    def lines(self):
        """Works in the order of the first peer, which is Berth; its ratios to each other."""
        yield f"| work | server | {self.part.unit}s/s | p50, us | p99, us | server's processor, us a {self.part.unit} | Berth's rate / its | Berth's processor / its |"
        yield "|---|---|---|---|---|---|---|---|"
        for title in self.part.peers[0].works:
            mine = self.windows.get((self.part.peers[0].name, title))
            for peer in self.part.peers:
                seen = self.windows.get((peer.name, title))
                if seen:
                    yield row(title, peer.name, measure.median(seen), None if peer is self.part.peers[0] or not mine else measure.median(mine))
        for name, reason in self.missing.items():
            yield f"\n**Missing: {name}**: {reason}"
            if name.startswith("iCEFARM"):
                yield "\nIts figures of another run:\n\n" + published()
        refused = sum(seen.refused for windows in self.windows.values() for seen in windows)
        if refused:
            yield f"\n{refused} requests were refused for want of a free device; they count in no row."


def row(title, name, seen, mine):
    ratios = "| | |" if mine is None else f"| {mine.per_s / seen.per_s:,.2f} | {mine.cpu_us / max(seen.cpu_us, 0.001):.3f} |"
    return f"| {title} | {name} | {seen.per_s:,.0f} | {seen.p50_us:,.0f} | {seen.p99_us:,.0f} | {seen.cpu_us:,.1f} {ratios}"


def published():
    """The table of the README with iCEFARM's figures of another run."""
    text = (tools.HERE / "README.md").read_text()
    return text.partition("<!-- iCEFARM -->\n")[2].partition("<!-- end -->")[0]


def say(line):
    print(line, file=sys.stderr, flush=True)


def head():
    with open("/proc/cpuinfo") as cpuinfo:
        cpu = next((line.split(":", 1)[1].strip() for line in cpuinfo if line.startswith("model name")), "unknown")
    return [
        f"# Berth and its peers side by side, {time.strftime('%Y-%m-%d')}",
        "",
        "Made by `benches/side_by_side/run`; what is measured, and how, stands at the top of `benches/side_by_side/main.py`.",
        "",
        f"{len(peers.CORES)} x {cpu}, Linux {platform.release()}, Python {platform.python_version()}; load average at the start {os.getloadavg()[0]:.1f}.",
        "One server at a time on one core, the load on " + ("another." if len(peers.CORES) > 1 else "THE SAME: there is only one.")
        + " Rates above 1 and processor times below 1 are in Berth's favour.",
        "",
    ]


def flooded(rounds, seconds):
    try:
        return flood.rounds(rounds, seconds, say)
    except (tools.Missing, measure.Went, OSError, subprocess.TimeoutExpired) as error:
        return [f"**Missing**: {error}"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", nargs="?", type=pathlib.Path, help="where the report goes; else it is printed")
    parser.add_argument("--only", default="a,b,c,d", help="parts, by their letters")
    parser.add_argument("--quick", action="store_true", help="one round of short windows: to see that it works")
    parser.add_argument("--rounds", type=int)
    options = parser.parse_args()
    wanted = options.only.split(",")
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    rounds, seconds = (1, 0.5) if options.quick else (options.rounds or 5, 2.0)
    lines, tables = head(), [Table(part) for part in parts.PARTS if part.key in wanted]
    for number in range(rounds):
        for table in tables:
            table.round(seconds, backwards=number % 2 == 1)
    for table in tables:
        lines += [f"## {table.part.key}. {table.part.title}", "", *table.lines(), "", *table.part.notes, ""]
    if flood.KEY in wanted:
        lines += ["## d. A flood of log-ins", "", *flooded(rounds, seconds * 2), ""]
    lines += [f"{rounds} rounds of {seconds:g} s a window; load average at the end {os.getloadavg()[0]:.1f}."]
    text = "\n".join(lines) + "\n"
    options.out.write_text(text) if options.out else print(text)


if __name__ == "__main__":
    main()
