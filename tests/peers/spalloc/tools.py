"""The five command-line tools of the unmodified `spalloc` package, by transcripts: PORT BIN_FOLDER [--write] TRANSCRIPT...

A transcript is commands, each with what it must print. `--write` writes what it did print in its place.

    > TOOL ...          runs a tool; `2>` marks what it says on standard error, `= N` its exit code when that is not 0
    job NAME ...        makes a job by hand, as create_job's arguments in JSON, and waits until its boards obeyed; names have four letters
    end NAME [REASON]   destroys it
    watch TOOL ...      starts a tool that watches, on a terminal
    until TEXT          waits until its screen has this text, and prints the screen
    stop                interrupts it

`{NAME}` stands for a job's id. Ids, times of day and names of temporary files are masked where they are printed.
"""
import os
import pty
import re
import select
import shlex
import signal
import subprocess
import sys
import tempfile
import time

from probe import Probe

WAIT_S = 15
# Enough to give every job a number of four digits, which no other number on the screen has.
FIRST_ID = 1000
# Said, or not, by how long boards take.
PASSING = re.compile("Waiting for power on")


class Desk:
    """Runs the lines of one transcript."""

    def __init__(self, port, folder):
        self.probe = Probe(port)
        self.port, self.folder = port, folder
        self.watched = None
        self.home = tempfile.mkdtemp()
        self.environment = {"PATH": f"{folder}:/usr/bin:/bin", "HOME": self.home, "TERM": "xterm", "COLUMNS": "100", "LANG": "C.UTF-8", "TZ": "UTC"}
        while self.probe.raw("create_job", owner="nobody", tags=["nosuch"], keepalive=None) < FIRST_ID:
            pass

    def run(self, line):
        verb, _, rest = line.partition(" ")
        return {">": self.tool, "job": self.job, "end": self.end, "watch": self.watch, "until": self.until, "stop": self.stop}[verb](rest)

    def words(self, text):
        for name, number in self.probe.jobs.items():
            text = text.replace("{" + name + "}", str(number))
        tool, *rest = shlex.split(text)
        return [f"{self.folder}/{tool}", "--hostname", "127.0.0.1", "--port", str(self.port), *rest]

    def tool(self, text):
        done = subprocess.run(self.words(text), stdin=subprocess.DEVNULL, capture_output=True, text=True, env=self.environment, cwd=self.home, timeout=60)
        lines = done.stdout.splitlines() + ["2> " + line for line in errors(done.stderr)]
        return lines + ([f"= {done.returncode}"] if done.returncode else [])

    def job(self, text):
        name, *words = shlex.split(text)
        assert len(name) == 4, name
        options = dict(word.split("=", 1) for word in words if "=" in word)
        self.probe.create(name, *(int(word) for word in words if "=" not in word), **options)
        return []

    def end(self, text):
        name, _, reason = text.partition(" ")
        self.probe.raw("destroy_job", f"@{name}", reason or None)
        return []

    def watch(self, text):
        main, side = pty.openpty()
        process = subprocess.Popen(self.words(text), stdin=side, stdout=side, stderr=side, env=self.environment, cwd=self.home, start_new_session=True)
        os.close(side)
        self.watched = (process, main, "")
        return []

    def until(self, text):
        process, main, seen = self.watched
        end = time.monotonic() + WAIT_S
        while text not in self.masked(screen(seen)):
            if time.monotonic() > end:
                return ["never seen: " + text, *self.masked(screen(seen)).splitlines()]
            seen += more(main, 0.1)
        # What belongs to the same screen is there when nothing more comes.
        while came := more(main, 0.15):
            seen += came
        self.watched = (process, main, seen)
        return screen(seen).splitlines()

    def stop(self, _):
        process, main, _ = self.watched
        if more(main, 0) or process.poll() is None:
            process.send_signal(signal.SIGINT)
        code = process.wait(WAIT_S)
        os.close(main)
        return [f"= {code}"]

    def masked(self, text):
        for name, number in self.probe.jobs.items():
            text = re.sub(rf"\b{number}\b", name, text)
        text = re.sub(r"\d\d/\d\d/\d{4} \d\d:\d\d:\d\d", "DD/MM/YYYY hh:mm:ss", text)
        text = re.sub(r"/tmp/spinnaker_ips_\w+\.csv", "/tmp/IPS.csv", text)
        text = re.sub(r"\bJob \d{4}\b", "Job NEXT", text)
        for one, other in (("small, default", "default, small"), ("big, wide", "wide, big")):
            text = text.replace(one, other)  # sets have no order
        # The package was renamed, and one table got its brackets later.
        return text.replace("spalloc_client.", "spalloc.").replace("(127.0.0.1)", "127.0.0.1")


def more(terminal, seconds):
    """What comes on a terminal in this time; nothing when its program has ended."""
    if not select.select([terminal], [], [], seconds)[0]:
        return ""
    try:
        return os.read(terminal, 65536).decode()
    except OSError:
        return ""


def screen(seen):
    """The last screen of what a terminal was sent, without its colours."""
    last = re.split(r"\x1b\[2J|\x1b\[H\x1b\[2?J", seen)[-1]
    plain = re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[78])", "", last.replace("\r", "")).strip("\n")
    return "\n".join(line for line in plain.split("\n") if not PASSING.search(line))


def errors(text):
    """Of a traceback only the last line, which says what went wrong."""
    lines = text.replace("\r", "\n").splitlines()
    if any(line.startswith("Traceback") for line in lines):
        return [lines[-1]]
    return [line for line in lines if line and not PASSING.search(line)]


def played(path, port, folder):
    """A transcript as it was played: its commands with what they printed now."""
    desk, out = Desk(port, folder), []
    for line in path_lines(path):
        if re.match(r"(>|job|end|watch|until|stop)( |$)", line):
            out.append(line)
            out += [desk.masked(text).rstrip() for text in desk.run(line)]
            out.append("")
        elif line.startswith("#"):
            out.append(line)
    for job in desk.probe.raw("list_jobs"):
        desk.probe.raw("destroy_job", job["job_id"])
    return "\n".join(out).rstrip() + "\n"


def path_lines(path):
    with open(path) as file:
        return file.read().splitlines()


def main():
    port, folder, *rest = sys.argv[1:]
    write = "--write" in rest
    failed = 0
    for path in (word for word in rest if word != "--write"):
        now = played(path, int(port), os.path.abspath(folder))
        before = "\n".join(path_lines(path)) + "\n"
        if write:
            with open(path, "w") as file:
                file.write(now)
        elif now != before:
            failed += 1
            with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
                file.write(now)
                file.flush()
                subprocess.run(["diff", "-u", "--label", path, "--label", "now", path, file.name])
        print(("written" if write else "ok" if now == before else "FAIL"), os.path.basename(path), flush=True)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
