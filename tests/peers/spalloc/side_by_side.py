"""The same calls to Berth and to `spalloc_server` 7.0.0 on the same lab; every answer is compared field by field, ids and times aside.

    side_by_side.py [--record KIND FILE] [SECTION...]

What may differ stands in `differences.toml`: each row names cases (with * for any text) and why. A difference without a row fails, and so
does a row without a difference, and a row whose title is not in the section "Intended differences" of protocol-spec/spalloc.md.
"""
import fnmatch
import json
import pathlib
import sys
import tomllib

import calls
import servers
from probe import Probe

HERE = pathlib.Path(__file__).resolve().parent


def recorded(kind, sections):
    """Runs the sections on servers of this kind."""
    record = {}
    for section in sections:
        name = section.__name__
        with servers.started(kind, power_ms=calls.POWER_MS.get(name, 0)) as server:
            probe = Probe(server.port)
            try:
                section(probe)
            except Exception as error:
                probe.keep("the section was left early", f"{kind}: {error!r}")
                print(f"{kind}: {name} was left early: {error!r}", file=sys.stderr)
            record.update({f"{name}: {case}": value for case, value in probe.record.items()})
    return record


def differing(ours, theirs):
    """The cases that differ, each with the paths of the fields that do."""
    found = {}
    for case in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(case, "<not there>"), theirs.get(case, "<not there>")
        if mine != other:
            found[case] = list(paths(mine, other))
    return found


def paths(mine, other, path=""):
    if isinstance(mine, dict) and isinstance(other, dict):
        for key in sorted(mine.keys() | other.keys()):
            yield from paths(mine.get(key, "<not there>"), other.get(key, "<not there>"), f"{path}.{key}")
    elif isinstance(mine, list) and isinstance(other, list) and len(mine) == len(other):
        for index, (left, right) in enumerate(zip(mine, other)):
            yield from paths(left, right, f"{path}[{index}]")
    elif mine != other:
        yield f"{path or 'answer'}: berth {json.dumps(mine)[:300]}  reference {json.dumps(other)[:300]}"


def intended():
    return tomllib.loads((HERE / "differences.toml").read_text())["difference"]


def main():
    words = sys.argv[1:]
    sections = [section for section in calls.SECTIONS if not words or section.__name__ in words]
    ours, theirs = recorded("berth", sections), recorded("reference", sections)
    found = differing(ours, theirs)
    rows = intended()
    used, failed = set(), 0
    for case, fields in found.items():
        row = next((row for row in rows if any(fnmatch.fnmatchcase(case, pattern.replace("[", "[[]")) for pattern in row["cases"])), None)
        if row is not None:
            used.add(row["title"])
            continue
        failed += 1
        print(f"DIFFERS {case}")
        for field in fields[:6]:
            print(f"        {field}")
    if not words:
        spec = servers.ROOT / "protocol-spec/spalloc.md"
        section = spec.read_text().partition("Intended differences")[2] if spec.exists() else ""
        for row in rows:
            if row["title"] not in used:
                failed += 1
                print(f"NO LONGER DIFFERS {row['title']}")
            if row["title"] not in section:
                failed += 1
                print(f"NOT IN THE SPECIFICATION {row['title']}")
    print(f"{len(ours)} answers compared, {len(found)} differ, {len(found) - min(failed, len(found))} as intended, {failed} complaints")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
