"""The same calls to Berth and to `spalloc_server` 7.0.0 on the same lab; every answer is compared field by field, ids and times aside.

    side_by_side.py [SECTION...]

What may differ stands in `differences.toml`: each row names cases (with * for any text) and bears the words with which a row of the table
"Where we differ from the reference" in protocol-spec/spalloc.md begins. A difference without a row fails, and so does a row without a
difference, and so do two tables that are not the same.
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
    """The rows of `differences.toml`, and the titles of those that this script cannot show."""
    table = tomllib.loads((HERE / "differences.toml").read_text())
    return table["difference"], table["not_shown_here"]


def specified():
    """The first cells of the table in the specification."""
    text = (servers.ROOT / "protocol-spec/spalloc.md").read_text().partition("## Where we differ from the reference")[2].partition("\n## ")[0]
    return {line.split("|")[1].strip() for line in text.splitlines() if line.startswith("|")} - {"reference 7.0.0", "---"}


def main():
    words = sys.argv[1:]
    sections = [section for section in calls.SECTIONS if not words or section.__name__ in words]
    ours, theirs = recorded("berth", sections), recorded("reference", sections)
    found = differing(ours, theirs)
    rows, not_shown = intended()
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
        titles = {row["title"] for row in rows}
        complaints = [f"NO LONGER DIFFERS {title}" for title in titles - used]
        complaints += [f"NOT IN THE SPECIFICATION {title}" for title in (titles | set(not_shown)) - specified()]
        complaints += [f"ONLY IN THE SPECIFICATION {title}" for title in specified() - titles - set(not_shown)]
        failed += len(complaints)
        print("\n".join(complaints))
    print(f"{len(ours)} answers compared, {len(found)} differ, {failed} complaints")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
