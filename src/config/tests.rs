//! The room as a whole: the shipped file, a ledger of bad files, the order of the sources, and damaged text.

use super::complaint::Complaints;
use super::key::KEYS;
use super::machine::MACHINE_PATHS;
use super::raw::{Body, Lines, Table, parse};
use super::*;
use crate::allocator::{BoardIndex, Link, Triad};
use crate::lab::machine::{Physical, Shape};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The example of the contract with those who write scripts, word for word.
const EXAMPLE: &str = r#"
name = "berth"
data_dir = "berth-data"
[native]
listen = "127.0.0.1:7007"
guests = "user"            # the role of guests, or "refused"
session_span_s = 3600      # 0 = never
[spalloc]
listen = "127.0.0.1:22244"
[stand]
listen = "127.0.0.1:1337"
[web]
listen = "127.0.0.1:8080"
[limits]
retired_jobs = 10000
[[machine]]
name = "m"
shape = "triads"
width = 4
height = 2
tags = ["default"]
dead_boards = [[3, 1, 2]]
dead_links = [[0, 0, 0, 3]]
controller = "simulated"   # or "bmp", "agent", "command"; its settings in [machine.simulated] etc.
settle_s = 0               # cool-down of freed boards; spalloc's own is 30
bmps = [{ cabinet = 0, frame = 0, host = "127.0.1.1" }]                            # optional, as are these two
boards = [{ logical = [0, 0, 0], physical = [0, 0, 0], host = "10.11.0.1" }]     # where a board stands and answers
[[machine]]
name = "devices"
shape = "pool"
count = 8                  # or serials = ["...", ...]
kinds = ["pulsecount", "variance"]
controller = "simulated"
"#;

/// The least that is a machine of triads, on four lines.
const TRIADS: &str = "[[machine]]\nname = \"m\"\nshape = \"triads\"\ncontroller = \"simulated\"\n";
/// The least that is a pool, on five lines.
const POOL: &str = "[[machine]]\nname = \"p\"\nshape = \"pool\"\ncount = 2\ncontroller = \"simulated\"\n";

fn load(text: &str) -> Result<Config, Vec<Complaint>> {
    Config::load(Some(text), &[], &[])
}

fn loaded(text: &str) -> Config {
    load(text).unwrap_or_else(|complaints| panic!("{text}\n{complaints:?}"))
}

fn lines(complaints: &[Complaint]) -> Vec<String> {
    complaints.iter().map(Complaint::to_string).collect()
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| (name.to_string(), text.to_string())).collect()
}

fn flag(flag: &str, key: &str, text: &str) -> Flag {
    Flag { flag: flag.into(), key: key.into(), text: text.into() }
}

/// Everything two configurations have to say, but for where it was written.
fn assert_same(a: &Config, b: &Config) {
    assert_eq!(changes(a, b), []);
    let machines = |config: &Config| -> Vec<_> {
        config.machines.iter().map(|machine| (machine.spec.clone(), machine.controller.clone())).collect()
    };
    assert_eq!(machines(a), machines(b));
    assert_eq!(
        (&a.native, &a.limits, &a.queue, &a.quarantine, &a.log),
        (&b.native, &b.limits, &b.queue, &b.quarantine, &b.log)
    );
}

/// The shipped file with every example in it made part of it: what stands behind a lone #.
fn uncommented() -> String {
    let example = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    BUILT_IN.lines().map(example).collect()
}

fn paths(section: &str, table: &Table, into: &mut BTreeSet<String>) {
    for entry in &table.entries {
        let path = format!("{section}{}", entry.key);
        match &entry.node.body {
            Body::Table(table) => {
                if section.starts_with("machine.") {
                    into.insert(path.clone());
                }
                paths(&format!("{path}."), table, into);
            }
            Body::List(list) if path == "machine" => {
                for node in list {
                    let Body::Table(table) = &node.body else { panic!("a machine is a table") };
                    paths("machine.", table, into);
                }
            }
            _ => {
                into.insert(path);
            }
        }
    }
}

#[test]
fn the_shipped_file_has_every_key_of_the_schema_and_no_other() {
    let mut written = BTreeSet::new();
    paths("", &parse(&uncommented()).unwrap(), &mut written);
    let schema: BTreeSet<String> =
        KEYS.iter().map(|key| key.path).chain(MACHINE_PATHS.iter().copied()).map(String::from).collect();
    assert_eq!(written, schema);
}

#[test]
fn every_key_of_the_shipped_file_has_a_sentence_above() {
    let lines: Vec<&str> = BUILT_IN.lines().collect();
    let is_key = |line: &str| line.trim_start_matches('#').starts_with(|c: char| c.is_ascii_lowercase());
    let mut explained = BTreeSet::new();
    let mut sentence = false;
    for line in lines {
        let prose = line.starts_with("# ");
        if prose || line.is_empty() {
            sentence = prose;
        } else if is_key(line) {
            let name = line.trim_start_matches('#').split(' ').next().unwrap_or_default();
            let before = explained.contains(name);
            assert!(sentence || before || name == "listen", "nothing is said about {line}");
            explained.insert(name);
        } else {
            // A header keeps what was said above it from being taken for its keys.
            sentence = false;
        }
    }
    assert!(explained.len() > 60, "{}", explained.len());
}

#[test]
fn the_shipped_file_is_a_lab_to_play_with() {
    let config = Config::load(None, &[], &[]).unwrap();
    assert_eq!(lines(&config.warnings), [""; 0]);
    assert_eq!((config.name.as_str(), config.data_dir.to_str()), ("berth", Some("berth-data")));
    assert_eq!(config.native.listen.as_deref(), Some("127.0.0.1:7007"));
    assert_eq!((config.native.guests, config.native.session_span_ms), (Some(Role::User), 3_600_000));
    assert_eq!((&config.spalloc_listen, &config.stand_listen, &config.web_listen), (&None, &None, &None));
    let [m, devices] = &config.machines[..] else { panic!("two machines") };
    let triads = m.spec.triads().unwrap();
    assert_eq!((triads.width, triads.height), (4, 2));
    assert_eq!(triads.dead_boards, [Triad::new(3, 1, 2)]);
    assert_eq!(triads.dead_links, [(Triad::new(0, 0, 0), Link::West)]);
    assert_eq!(&*triads.host(BoardIndex(0)), "10.11.0.1");
    assert_eq!(&*triads.host(BoardIndex(23)), "10.11.0.185");
    assert_eq!(devices.spec.board_count(), 8);
    assert_eq!(devices.spec.board_text(BoardIndex(7)), "devices/devices-7");
    assert_eq!(devices.spec.kinds, ["pulsecount".into(), Arc::<str>::from("variance")]);
}

#[test]
fn defaults_of_machines_are_those_of_the_shipped_file() {
    let shipped = Config::load(None, &[], &[]).unwrap();
    let bare = loaded(&format!(
        "{TRIADS}width = 4\nheight = 2\ndead_boards = [[3, 1, 2]]\ndead_links = [[0, 0, 0, 3]]\n"
    ));
    assert_eq!(bare.machines[0].spec, shipped.machines[0].spec);
    assert_eq!(bare.machines[0].controller, shipped.machines[0].controller);
    let command = POOL.replace("simulated", "command");
    let bare = loaded(&format!("{command}[machine.command]\nprogram = [\"x\"]\n"));
    let full = loaded(&format!(
        "{command}[machine.command]\nprogram = [\"x\"]\ntime_limit_s = 60\nparallel_max = 16\n"
    ));
    assert_eq!(bare.machines[0].controller, full.machines[0].controller);
    assert_eq!(bare.machines[0].spec.kinds, ["board".into()]);
    assert!(
        uncommented().contains("\ntime_limit_s = 60\n") && uncommented().contains("\nparallel_max = 16\n")
    );
}

#[test]
fn defaults_of_the_lab_are_the_labs_own() {
    let own = crate::lab::Options::default();
    let ours = loaded("").lab_options();
    // The lab alone may be given to fewer guests than a server, all of whose guests are one user.
    assert_eq!(ours, lab::Options { sessions_per_user_max: 100_000, ..own });
}

#[test]
fn the_example_for_scripts_is_read_as_it_is_written() {
    let config = loaded(EXAMPLE);
    let doors = [&config.native.listen, &config.spalloc_listen, &config.stand_listen, &config.web_listen];
    let addresses = doors.map(|door| door.as_deref().unwrap_or_default());
    assert_eq!(addresses, ["127.0.0.1:7007", "127.0.0.1:22244", "127.0.0.1:1337", "127.0.0.1:8080"]);
    let triads = config.machines[0].spec.triads().unwrap();
    assert_eq!(triads.bmps, BTreeMap::from([((0, 0), "127.0.1.1".into())]));
    assert_eq!(triads.place(BoardIndex(0)), Some(Physical { cabinet: 0, frame: 0, board: 0 }));
    assert_eq!((&*triads.host(BoardIndex(0)), triads.place(BoardIndex(1))), ("10.11.0.1", None));
    let what = "this build does not have this door yet; it stays closed";
    let expected = [(9, 10, "spalloc"), (11, 10, "stand"), (13, 10, "web")]
        .map(|(line, column, door)| format!("{line}:{column}: {door}.listen: {what}"));
    assert_eq!(lines(&config.warnings), expected);
}

#[test]
fn a_file_of_ones_own_opens_no_door_and_has_no_machine_by_itself() {
    let config = loaded("");
    assert_eq!((config.native.listen.as_deref(), config.machines.len()), (None, 0));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
}

/// Each bad text with all that is said of it.
fn ledger() -> Vec<(String, Vec<&'static str>)> {
    let top: &[(&str, &[&str])] = &[
        ("nam = \"x\"", &["1:1: nam: unknown key; the nearest is 'name'"]),
        ("\n\n[nativ]\nlisten = \"\"", &["3:2: nativ: unknown key; the nearest is 'native'"]),
        ("[native]\nlistn = \"\"\n", &["2:1: native.listn: unknown key; the nearest is 'listen'"]),
        ("jobs_max = 1", &["1:1: jobs_max: unknown key here; there is a key 'limits.jobs_max'"]),
        ("width = 1", &["1:1: width: unknown key here; there is a key 'machine.width'"]),
        ("limits = 7", &["1:10: limits: this is a section: write [limits] and its keys below"]),
        ("name = 7", &["1:8: name: needs a name in quotes, not a whole number"]),
        ("name = \"\"", &["1:8: name: \"\": a name has 1 to 64 characters that can be printed"]),
        ("name = 2020-01-01", &["1:8: name: needs a name in quotes, not a date"]),
        (
            "[native]\nlisten = \"7007\"",
            &["2:10: native.listen: \"7007\": host:port is needed, as 127.0.0.1:7007 or [::1]:7007"],
        ),
        ("[native]\nlisten = 7007", &["2:10: native.listen: needs host:port in quotes, not a whole number"]),
        (
            "[native]\nguests = \"root\"",
            &[
                "2:10: native.guests: \"root\" is not one of \"refused\", \"guest\", \"user\", \"operator\", \"admin\"",
            ],
        ),
        (
            "[native]\nsession_span_s = -1",
            &["2:18: native.session_span_s: -1 is out of range: 0 to 315360000 seconds"],
        ),
        ("[limits]\njobs_max = 0", &["2:12: limits.jobs_max: 0 is out of range: 1 to 10000000"]),
        (
            "[limits]\njobs_max = 1.5",
            &["2:12: limits.jobs_max: needs a whole number, not a number with a fraction"],
        ),
        ("[limits]\nstop_s = \"10\"", &["2:10: limits.stop_s: needs a number of seconds, not a text"]),
        (
            "[log]\nlevel = \"loud\"",
            &["2:9: log.level: \"loud\" is not one of \"error\", \"warn\", \"info\", \"debug\", \"trace\""],
        ),
        (
            "[native]\nlisten = \"h:1\"\n[web]\nlisten = \"h:1\"",
            &["4:10: web.listen: native.listen listens at h:1 already"],
        ),
        ("name = \"a\"\nname = \"b\"", &["2:1: this is not TOML: duplicate key"]),
        ("name = \"a", &["1:10: this is not TOML: invalid basic string, expected `\"`"]),
        ("x = 1\n\n\u{1}", &["3:2: this is not TOML: key with no value, expected `=`"]),
        (
            "[machine]\nname = \"m\"",
            &["1:2: machine: each machine is written below [[machine]], with two brackets"],
        ),
        ("machine = [7]", &["1:12: machine: needs a table, not a whole number"]),
        (
            "[[machine]]",
            &[
                "1:1: machine.name: every machine needs a name",
                "1:1: machine.shape: is missing: \"triads\" or \"pool\"",
            ],
        ),
    ];
    // Lines 5 and 6 of these.
    let triads: &[(&str, &[&str])] = &[
        (
            "width = 0\nheight = 1001",
            &[
                "5:9: machine.width: 0 is out of range: 1 to 1000",
                "6:10: machine.height: 1001 is out of range: 1 to 1000",
            ],
        ),
        ("width = 4", &["1:1: machine.height: is missing: how many triads from south to north"]),
        (
            "width = 4\nheigth = 2",
            &[
                "1:1: machine.height: is missing: how many triads from south to north",
                "6:1: machine.heigth: unknown key; the nearest is 'height'",
            ],
        ),
        (
            "width = 1\nheight = 1\ncount = 3",
            &["7:1: machine.count: has no meaning for the shape \"triads\""],
        ),
        (
            "width = 1\nheight = 1\nseed = 3",
            &["7:1: machine.seed: unknown key here; there is a key 'machine.simulated.seed'"],
        ),
    ];
    // Line 7 of these.
    let small: &[(&str, &[&str])] = &[
        (
            "dead_boards = [[1, 1, 2], [2, 0, 0], [0, 0, 3], [0, 0], 7, [-1, 0, 0], [1, 1, 2]]",
            &[
                "7:27: machine.dead_boards: [2, 0, 0] is not on a machine of 2 x 2 triads of 3 boards",
                "7:38: machine.dead_boards: [0, 0, 3] is not on a machine of 2 x 2 triads of 3 boards",
                "7:49: machine.dead_boards: needs [x, y, z]",
                "7:57: machine.dead_boards: needs [x, y, z], not a whole number",
                "7:60: machine.dead_boards: needs [x, y, z]",
                "7:72: machine.dead_boards: named twice",
            ],
        ),
        ("dead_boards = 7", &["7:15: machine.dead_boards: needs a list, not a whole number"]),
        (
            "dead_links = [[0, 0, 0, 6], [0, 2, 0, 0], [0, 0, 0, 5], [0, 0, 0, 5]]",
            &[
                "7:15: machine.dead_links: there is no link 6: 0 east, 1 north_east, 2 north, 3 west, 4 south_west, 5 south",
                "7:29: machine.dead_links: [0, 2, 0] is not on a machine of 2 x 2 triads of 3 boards",
                "7:57: machine.dead_links: named twice",
            ],
        ),
        (
            "tags = [\"a b\", \"c\", \"c\", 7]",
            &[
                "7:9: machine.tags: \"a b\": a name has 1 to 64 letters, digits, '.', '_' and '-'",
                "7:21: machine.tags: named twice",
                "7:26: machine.tags: needs a name in quotes, not a whole number",
            ],
        ),
        (
            "kinds = []",
            &["7:9: machine.kinds: at least one is needed: boards are always prepared as something"],
        ),
        ("settle_s = 86401", &["7:12: machine.settle_s: 86401 is out of range: 0 to 86400 seconds"]),
        ("order_s_max = 0.5", &["7:15: machine.order_s_max: 0.5 is out of range: 1 to 3600 seconds"]),
        (
            "host_base = \"255.255.255.250\"",
            &["7:13: machine.host_base: the addresses of the boards go beyond 255.255.255.255"],
        ),
        (
            "host_base = \"10.11.0\"",
            &["7:13: machine.host_base: \"10.11.0\": four numbers are needed, as 10.11.0.1"],
        ),
        ("boards_per_frame = 0", &["7:20: machine.boards_per_frame: 0 is out of range: 1 to 65535"]),
        (
            "bmps = [{ cabinet = 0, frame = 0, host = \"a\" }, { cabinet = 0, frame = 0, host = \"b\" }, { cabinet = 0, host = 7 }]",
            &[
                "7:49: machine.bmps: cabinet 0 frame 0 has a BMP already",
                "7:89: machine.bmps.frame: is missing; needs { cabinet = 0, frame = 0, host = \"...\" }",
                "7:111: machine.bmps.host: needs a host in quotes, not a whole number",
            ],
        ),
        (
            "boards = [\n{ logical = [0, 0, 0], physical = [0, 0, 0], host = \"a\" },\n{ logical = [0, 0, 0], physical = [0, 0, 1], host = \"b\" },\n{ logical = [0, 0, 1], physical = [0, 0, 0], host = \"c\" },\n{ logical = [2, 0, 0], physical = [0, 0, 65536], hots = \"c\" }]",
            &[
                "9:1: machine.boards: this board has a place on line 8 already",
                "10:1: machine.boards: the board of line 8 stands in [0, 0, 0] already",
                "11:1: machine.boards.host: is missing; needs { logical = [x, y, z], physical = [cabinet, frame, board], host = \"...\" }",
                "11:13: machine.boards.logical: [2, 0, 0] is not on a machine of 2 x 2 triads of 3 boards",
                "11:35: machine.boards.physical: no number may be beyond 65535",
                "11:50: machine.boards.hots: unknown key; needs { logical = [x, y, z], physical = [cabinet, frame, board], host = \"...\" }",
            ],
        ),
        (
            "[machine.simulated]\nfail_share = 1.5\npower_ms = -1\nseeed = 1\nbroken_boards = [[5, 5, 5]]",
            &[
                "8:14: machine.simulated.fail_share: 1.5 is not from 0 to 1",
                "9:12: machine.simulated.power_ms: -1 is out of range: 0 to 3600000",
                "10:1: machine.simulated.seeed: unknown key; the nearest is 'seed'",
                "11:18: machine.simulated.broken_boards: [5, 5, 5] is not on a machine of 2 x 2 triads of 3 boards",
            ],
        ),
        (
            "simulated = 7",
            &["7:13: machine.simulated: needs a table below [machine.simulated], not a whole number"],
        ),
        (
            "[machine.command]\nprogram = []\nparallel_max = 0",
            &[
                "8:11: machine.command.program: the first word names the program",
                "9:16: machine.command.parallel_max: 0 is out of range: 1 to 1000",
            ],
        ),
    ];
    let pools: &[(&str, &[&str])] = &[
        (
            "shape = \"pool\"\ncontroller = \"simulated\"",
            &["1:1: machine.count: is missing: a pool needs either count or serials"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"simulated\"\ncount = 1\nserials = [\"a\"]",
            &["5:1: machine.count: either count or serials, not both"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"simulated\"\ncount = 1000001",
            &["5:9: machine.count: 1000001 is out of range: 1 to 1000000"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"simulated\"\nserials = []",
            &["5:11: machine.serials: a pool needs at least one board"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"simulated\"\nserials = [\"a\", \"b\", \"a\"]",
            &["5:22: machine.serials: named twice"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"simulated\"\ncount = 1\nwidth = 4",
            &["6:1: machine.width: has no meaning for the shape \"pool\""],
        ),
        (
            "shape = \"pool\"\ncount = 1",
            &[
                "1:1: machine.controller: is missing: what makes the boards obey; this build has \"simulated\" and \"command\"",
            ],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"bmp\"",
            &[
                "5:14: machine.controller: \"bmp\" is not in this build yet; it has \"simulated\" and \"command\"",
            ],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"agent\"",
            &[
                "5:14: machine.controller: \"agent\" is not in this build yet; it has \"simulated\" and \"command\"",
            ],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"magic\"",
            &[
                "5:14: machine.controller: \"magic\" is not one of \"simulated\", \"command\", \"bmp\", \"agent\"",
            ],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"command\"",
            &["5:14: machine.command.program: is missing: write it below [machine.command]"],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"command\"\n[machine.command]\nprogram = [7]",
            &["7:12: machine.command.program: needs a text in quotes, not a whole number"],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"simulated\"\n[machine.simulated]\nstuck_boards = [\"m-0\", \"m-1\", [0, 0, 0], \"m-0\"]",
            &[
                "7:24: machine.simulated.stuck_boards: the pool has no board \"m-1\"",
                "7:31: machine.simulated.stuck_boards: needs the serial of a board in quotes, not a list",
                "7:42: machine.simulated.stuck_boards: named twice",
            ],
        ),
        (
            "count = 0\ncontroller = \"simulated\"",
            &[
                "1:1: machine.shape: is missing: \"triads\" or \"pool\"",
                "3:9: machine.count: 0 is out of range: 1 to 1000000",
            ],
        ),
        (
            "shape = \"pol\"\ncount = 1\ncontroller = \"simulated\"",
            &["3:9: machine.shape: \"pol\" is not one of \"triads\", \"pool\""],
        ),
    ];
    let mut rows: Vec<(String, Vec<&'static str>)> = Vec::new();
    let mut add = |before: &str, some: &[(&str, &[&'static str])]| {
        rows.extend(some.iter().map(|(text, said)| (format!("{before}{text}"), said.to_vec())));
    };
    add("", top);
    add(TRIADS, triads);
    add(&format!("{TRIADS}width = 2\nheight = 2\n"), small);
    add("[[machine]]\nname = \"m\"\n", pools);
    rows
}

#[test]
fn everything_bad_is_said_with_its_place() {
    for (text, said) in ledger() {
        let complaints = load(&text).err().unwrap_or_default();
        assert_eq!(lines(&complaints), said, "{text}");
    }
}

#[test]
fn complaints_of_all_parts_come_at_once_in_the_order_of_the_text() {
    let text = "nam = \"x\"\n[limits]\njobs_max = 0\n[[machine]]\nname = \"m/1\"\nshape = \"pool\"\ncount = \"8\"\n\
        controller = \"simulated\"\nsettle_s = true\n[[machine]]\nname = \"ok\"\nshape = \"triads\"\nwidth = 0\n";
    let environment = pairs(&[("BERTH_LOG_LEVEL", "loud"), ("BERTH_LIMITS_JOBS", "1"), ("HOME", "/")]);
    let flags = [flag("--data-dir", "data_dir", ""), flag("--set", "limits.job_max", "3")];
    let said = [
        "1:1: nam: unknown key; the nearest is 'name'",
        "3:12: limits.jobs_max: 0 is out of range: 1 to 10000000",
        "5:8: machine.name: \"m/1\": a name has 1 to 64 letters, digits, '.', '_' and '-'",
        "7:9: machine.count: needs a whole number, not a text",
        "9:12: machine.settle_s: needs a number of seconds, not true or false",
        "10:1: machine.controller: is missing: what makes the boards obey; this build has \"simulated\" and \"command\"",
        "10:1: machine.height: is missing: how many triads from south to north",
        "13:9: machine.width: 0 is out of range: 1 to 1000",
        "BERTH_LIMITS_JOBS: unknown variable; the nearest is BERTH_LIMITS_JOBS_MAX",
        "BERTH_LOG_LEVEL: log.level: \"loud\" is not one of \"error\", \"warn\", \"info\", \"debug\", \"trace\"",
        "--data-dir: data_dir: \"\": a path has 1 to 4096 bytes, none of them 0",
        "--set: limits.job_max: unknown key; the nearest is 'limits.jobs_max'",
    ];
    let complaints = Config::load(Some(text), &environment, &flags).unwrap_err();
    assert_eq!(lines(&complaints), said);
    let printed = report(&Err(complaints), "lab.toml");
    assert!(printed.starts_with("lab.toml:1:1: nam: unknown key"), "{printed}");
    assert!(printed.contains("\nBERTH_LOG_LEVEL: log.level"), "{printed}");
    assert!(printed.ends_with("\n12 complaints\n"), "{printed}");
}

#[test]
fn names_are_unique_over_machines_and_serials_over_the_lab() {
    let text = format!("{POOL}{POOL}");
    let said = [
        "7:8: machine.name: the machine of line 2 is called \"p\" too",
        "9:9: machine.serials: the board \"p-0\" is in the pool of line 4 already",
        "9:9: machine.serials: the board \"p-1\" is in the pool of line 4 already",
    ];
    assert_eq!(lines(&load(&text).unwrap_err()), said);
    let other = POOL.replace("\"p\"", "\"q\"");
    assert_eq!(loaded(&format!("{POOL}{other}")).machines.len(), 2);
}

#[test]
fn large_machines_are_taken_and_larger_labs_refused() {
    let machine = |name: &str| {
        let large = "width = 1000\nheight = 1000\nboards_per_frame = 24\n";
        format!("{}{large}", TRIADS.replace("\"m\"", &format!("\"{name}\"")))
    };
    let config = loaded(&machine("a"));
    assert_eq!(config.machines[0].spec.board_count(), 3_000_000);
    assert_eq!(
        lines(&config.warnings),
        ["1:1: native.listen: is not set, so the door is closed and nobody can call"]
    );
    let four = ["a", "b", "c", "d"].map(machine).concat();
    assert_eq!(
        lines(&load(&four).unwrap_err()),
        ["22:1: machine: a lab has at most 10000000 boards, all together"]
    );
    let pools = (0..12).map(|n| POOL.replace("\"p\"", &format!("\"p{n}\"")).replace("= 2", "= 1000000"));
    assert_eq!(load(&pools.collect::<String>()).unwrap_err().len(), 2);
    let many = "[[machine]]\n".repeat(MACHINES_MAX + 1);
    assert_eq!(lines(&load(&many).unwrap_err()), ["1:3: machine: 1001 are too many; at most 1000"]);
}

#[test]
fn what_is_odd_is_a_warning_and_no_complaint() {
    let open = "[native]\nlisten = \"127.0.0.1:0\"\n";
    let rows: Vec<(String, Vec<&str>)> = vec![
        (open.into(), vec!["1:1: machine: no machine is described, so there is nothing to lend"]),
        (
            format!("{open}{POOL}[machine.command]\nprogram = [\"x\"]\n"),
            vec!["8:10: machine.command: is not used: the controller is \"simulated\""],
        ),
        (
            format!("{open}{POOL}order_s_max = 5\n[machine.command]\nprogram = [\"x\"]\n")
                .replace("simulated", "command"),
            vec![
                "3:1: machine.command.time_limit_s: is longer than order_s_max, after which the boards are given up anyway",
            ],
        ),
        (
            format!("{open}{TRIADS}width = 4\nheight = 2\nboard_stride = \"0.0.0.0\"\n"),
            vec!["3:1: machine.host_base: with these strides boards share addresses"],
        ),
        (
            format!("{open}{TRIADS}width = 40\nheight = 2\nboards_per_frame = 48\n"),
            vec!["3:1: machine.host_base: with these strides boards share addresses"],
        ),
        (
            format!("{open}{TRIADS}width = 4\nheight = 2\nboards_per_frame = 48\nboards = []\n"),
            vec!["9:1: machine.boards_per_frame: is not used: 'boards' says where the boards stand"],
        ),
        (format!("{open}{TRIADS}width = 4\nheight = 2\nboards_per_frame = 12\n"), vec![]),
    ];
    for (text, said) in rows {
        let outcome = load(&text);
        assert_eq!(lines(&outcome.as_ref().unwrap().warnings), said, "{text}");
        let printed = report(&outcome, "lab.toml");
        assert_eq!((printed.matches("warning: ").count(), printed.ends_with("ok\n")), (said.len(), true));
    }
    let environment =
        pairs(&[("BERTH_DATADIR", "x"), ("BERTH_SESSION", "y"), ("BERTH_MACHINE_M_WIDTH", "4")]);
    let complaints = Config::load(None, &environment, &[]).unwrap_err();
    assert_eq!(lines(&complaints), ["BERTH_MACHINE_M_WIDTH: machines are described in the file alone"]);
    let config = Config::load(None, &environment[..2], &[]).unwrap();
    assert_eq!(
        lines(&config.warnings),
        ["BERTH_DATADIR: not a variable of the configuration; was BERTH_DATA_DIR meant?"]
    );
}

#[test]
fn flags_win_over_the_environment_and_that_over_the_file() {
    let text = "name = \"file\"\ndata_dir = \"file\"\n[native]\nlisten = \"h:1\"\n[queue]\npatience_s = 1\n";
    let environment = pairs(&[
        ("BERTH_DATA_DIR", "environment"),
        ("BERTH_NATIVE_LISTEN", "h:2"),
        ("BERTH_QUEUE_PATIENCE_S", "2.5"),
        ("BERTH_LIMITS_JOBS_MAX", "7"),
    ]);
    let flags = [flag("--listen", "native.listen", "h:3"), flag("--set", "limits.jobs_max", "8")];
    let config = Config::load(Some(text), &environment, &flags).unwrap();
    assert_eq!((config.name.as_str(), config.data_dir.to_str()), ("file", Some("environment")));
    assert_eq!((config.native.listen.as_deref(), config.queue.patience_ms), (Some("h:3"), 2_500));
    assert_eq!((config.limits.jobs_max, config.limits.users_max), (8, 10_000));
    let sources = ["name", "data_dir", "native.listen", "limits.users_max", "machine.name"]
        .map(|path| config.source(path).map(Source::to_string));
    let expected = [Some("line 1"), Some("BERTH_DATA_DIR"), Some("--listen"), Some("built in"), None];
    assert_eq!(sources, expected.map(|source| source.map(String::from)));
}

#[test]
fn an_empty_address_closes_a_door() {
    let config = Config::load(None, &pairs(&[("BERTH_NATIVE_LISTEN", "")]), &[]).unwrap();
    assert_eq!(config.native.listen, None);
    assert_eq!(config.warnings.len(), 1);
    let refused = loaded("[native]\nlisten = \"h:1\"\nguests = \"refused\"\n");
    assert_eq!(refused.native.guests, None);
}

#[test]
fn what_is_shown_brings_about_the_same() {
    let serials = POOL.replace("count = 2", "serials = [\"x\", \"a.b\"]").replace("\"p\"", "\"s\"");
    let command = POOL.replace("simulated", "command").replace("\"p\"", "\"c\"");
    let all = format!(
        "{EXAMPLE}{serials}tags = []\n[machine.simulated]\nseed = 7\nfail_share = 0.1\nstuck_boards = [\"a.b\"]\n\
         {command}[machine.command]\nprogram = [\"a \\\"b\\\" \\\\c\", \"\", \"new\\nline\"]\ntime_limit_s = 1.25\n"
    );
    for (text, environment) in
        [(all.as_str(), vec![]), (BUILT_IN, pairs(&[("BERTH_NAME", "a \"b\" # c")])), ("", vec![])]
    {
        let config = Config::load(Some(text), &environment, &[]).unwrap();
        let shown = show(&config);
        assert_same(&config, &loaded(&shown));
    }
    let shown = show(&Config::load(Some(EXAMPLE), &pairs(&[("BERTH_LOG_LEVEL", "warn")]), &[]).unwrap());
    for line in [
        "name = \"berth\"  # line 2",
        "level = \"warn\"  # BERTH_LOG_LEVEL",
        "jobs_max = 100000  # built in",
        "retired_jobs = 10000  # line 15",
        "width = 4  # line 19",
        "order_s_max = 60  # built in",
    ] {
        assert!(shown.lines().any(|shown| shown == line), "{line}\n{shown}");
    }
    assert!(!show(&Config::load(None, &[], &[]).unwrap()).contains("# line"));
}

#[test]
fn changes_are_told_in_sentences() {
    let old = loaded(EXAMPLE);
    let rows: Vec<(&str, &str, Vec<&str>)> = vec![
        ("", "", vec![]),
        ("# the role", "# a role", vec![]),
        ("retired_jobs = 10000", "retired_jobs = 5", vec!["limits.retired_jobs: 10000 becomes 5"]),
        (
            "127.0.0.1:7007",
            "127.0.0.1:7008",
            vec!["native.listen: \"127.0.0.1:7007\" becomes \"127.0.0.1:7008\" (at the next start)"],
        ),
        (
            "berth-data",
            "elsewhere",
            vec!["data_dir: \"berth-data\" becomes \"elsewhere\" (at the next start)"],
        ),
        (
            "count = 8",
            "count = 9",
            vec!["machine 'devices' gets other boards or places; jobs on its boards end"],
        ),
        (
            "\"10.11.0.1\"",
            "\"10.11.0.9\"",
            vec!["machine 'm' gets other boards or places; jobs on its boards end"],
        ),
        (
            "\"devices\"",
            "\"things\"",
            vec![
                "machine 'devices' is removed; jobs on its boards end",
                "machine 'things' is added, with 8 boards",
            ],
        ),
        ("[[3, 1, 2]]", "[]", vec!["machine 'm' changes its dead boards; loans go on"]),
        ("[[0, 0, 0, 3]]", "[]", vec!["machine 'm' changes its dead links; loans go on"]),
        (
            "tags = [\"default\"]",
            "tags = [\"big\"]\norder_s_max = 9\n",
            vec!["machine 'm' changes its tags, order_s_max; loans go on"],
        ),
        ("\"pulsecount\", ", "", vec!["machine 'devices' changes its kinds; loans go on"]),
    ];
    for (from, to, said) in rows {
        let changed = changes(&old, &loaded(&EXAMPLE.replace(from, to)));
        assert_eq!(changed.iter().map(Change::to_string).collect::<Vec<_>>(), said, "{from} -> {to}");
    }
    let settings = loaded(&format!("{EXAMPLE}[machine.simulated]\nseed = 1\n"));
    assert_eq!(changes(&old, &settings)[0].sentence, "machine 'devices' changes its controller; loans go on");
    let two = |first: &str, second: &str| {
        loaded(&format!("{}{}", POOL.replace("\"p\"", first), POOL.replace("\"p\"", second)))
    };
    let turned = changes(&two("\"a\"", "\"b\""), &two("\"b\"", "\"a\""));
    assert_eq!(turned[0].sentence, "machines are tried in another order");
}

#[test]
fn huge_text_is_refused_and_endless_lists_of_complaints_are_cut() {
    let huge = "#".repeat(TEXT_BYTES_MAX + 1);
    assert_eq!(load(&huge).unwrap_err().len(), 1);
    let many: String = (0..5_000).map(|n| format!("k{n} = 1\n")).collect();
    let complaints = load(&many).unwrap_err();
    assert_eq!(complaints.last().map(|last| last.what.as_str()), Some("4900 more complaints are not listed"));
    let long = format!("{} = 1", "k".repeat(100_000));
    assert_eq!(load(&long).unwrap_err().len(), 1);
}

#[test]
fn complaints_stand_where_the_text_is_wrong_though_lines_are_odd() {
    for text in ["\r\n\r\nnam = 1", "\u{feff}\n\nnam = 1", "name = \"ä€\"\n\nnam = 1"] {
        assert_eq!(load(text).unwrap_err()[0].at, Place::Line { line: 3, column: 1 }, "{text:?}");
    }
    let lines = Lines::of("");
    assert_eq!(Complaints::new(&lines).finish(), Ok(vec![]));
}

#[test]
fn pools_and_triads_are_what_the_lab_takes() {
    let config = loaded(&format!("{TRIADS}width = 3\nheight = 3\n{POOL}"));
    let now = crate::clock::Moment(0);
    for machine in &config.machines {
        let made = crate::lab::machine::Machine::new(machine.spec.clone(), now);
        assert_eq!(made.check(), Ok(()));
    }
    let Shape::Pool { serials } = &config.machines[1].spec.shape else { panic!("a pool") };
    assert_eq!(serials, &["p-0".into(), Arc::<str>::from("p-1")]);
}

/// Pieces out of which odd texts are made.
const PIECES: &[&str] = &[
    "[[machine]]",
    "[machine]",
    "[machine.simulated]",
    "[native]",
    "[",
    "]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\"",
    "'''",
    "\n",
    "#",
    "name",
    "width",
    "count = 3",
    "serials",
    "dead_boards = [[1]]",
    "boards",
    "nan",
    "-1",
    "1e999",
    "9223372036854775807",
    "true",
    "1979-05-27",
    "\"\\u0000\"",
    "\\",
    "é",
    "\u{0}",
    "bmps = [{}]",
    "listen",
];

fn odd_text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![prop::sample::select(PIECES).prop_map(str::to_owned), ".{0,8}"];
    prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
}

/// The example with some of its characters replaced by pieces.
fn damaged_text() -> impl Strategy<Value = String> {
    let damage = (any::<prop::sample::Index>(), 0..12_usize, prop::sample::select(PIECES));
    prop::collection::vec(damage, 1..6).prop_map(|damages| {
        let mut chars: Vec<char> = EXAMPLE.chars().collect();
        for (at, length, piece) in damages {
            let start = at.index(chars.len());
            let end = (start + length).min(chars.len());
            chars.splice(start..end, piece.chars());
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![odd_text(), damaged_text()], variable in ".{0,12}") {
        let environment = pairs(&[("BERTH_NATIVE_LISTEN", variable.as_str()), ("BERTH_QUEUE_PATIENCE_S", &variable)]);
        let outcome = load(&text);
        let _ = report(&Config::load(Some(&text), &environment, &[]), "x");
        match outcome {
            Ok(config) => assert_same(&config, &loaded(&show(&config))),
            Err(complaints) => {
                prop_assert!(!complaints.is_empty());
                for complaint in complaints {
                    let Place::Line { line, .. } = complaint.at else { panic!("{complaint}") };
                    prop_assert!((1..=text.split('\n').count()).contains(&line), "{}", complaint);
                }
            }
        }
    }
}
