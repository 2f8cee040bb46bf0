//! The room as a whole: the shipped file, a ledger of bad files, the order of the sources, and damaged text.

mod ledger;

use super::complaint::Complaints;
use super::key::KEYS;
use super::machine::MACHINE_PATHS;
use super::raw::{Body, Lines, Table, parse};
use super::*;
use crate::allocator::{BoardIndex, Link, Triad};
use crate::controller::{BmpSettings, ControllerSettings};
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
            Body::Table(_) if entry.key == "environment" => drop(into.insert(path)),
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
    assert_eq!(config.web.listen.as_deref(), Some("127.0.0.1:8080"));
    let stand = &config.stand;
    assert_eq!((stand.listen.as_deref(), &*stand.machine), (Some("127.0.0.1:1337"), "burners"));
    assert_eq!((stand.role, stand.open, stand.simulated_burners), (Role::Operator, false, 2));
    assert_eq!((stand.report_ms, stand.stall_ms, stand.images_max), (1_000, 30_000, 1_000));
    let web = &config.web;
    assert_eq!((web.origins.len(), web.body_bytes_max, web.changes_max), (0, 1 << 20, 16_384));
    assert_eq!((web.stall_ms, web.ping_ms), (30_000, 20_000));
    let spalloc = &config.spalloc;
    assert_eq!(spalloc.listen.as_deref(), Some("127.0.0.1:22244"));
    let allowed = |text: &str| spalloc.allow.iter().any(|network| network.has(text.parse().unwrap()));
    let asked = ["127.0.0.1", "127.255.0.1", "::1", "::ffff:127.0.0.1", "10.0.0.1", "::2"];
    assert_eq!(asked.map(allowed), [true, true, true, true, false, false]);
    assert_eq!((spalloc.role, spalloc.known_owners), (Role::User, false));
    assert_eq!((spalloc.rate_per_s, spalloc.line_bytes_max), (0, 1 << 20));
    let [m, devices, burners] = &config.machines[..] else { panic!("three machines") };
    let triads = m.spec.triads().unwrap();
    assert_eq!((triads.width, triads.height), (4, 2));
    assert_eq!(triads.dead_boards, [Triad::new(3, 1, 2)]);
    assert_eq!(triads.dead_links, [(Triad::new(0, 0, 0), Link::West)]);
    assert_eq!(&*triads.host(BoardIndex(0)), "10.11.0.1");
    assert_eq!(&*triads.host(BoardIndex(23)), "10.11.0.185");
    assert_eq!(devices.spec.board_count(), 8);
    assert_eq!(devices.spec.board_text(BoardIndex(7)), "devices/devices-7");
    assert_eq!(devices.spec.kinds, ["pulsecount".into(), Arc::<str>::from("variance")]);
    assert_eq!((burners.spec.board_count(), &burners.spec.kinds[..]), (0, &["burn".into()][..]));
    assert_eq!(loaded("").stand.simulated_burners, 0, "a lab of one's own has its own burners");
}

/// A machine of two frames, one of which has a BMP.
const BMPS: &str = "[[machine]]\nname = \"m\"\nshape = \"triads\"\nwidth = 2\nheight = 1\ncontroller = \"bmp\"\n\
                    boards_per_frame = 3\nbmps = [{ cabinet = 0, frame = 0, host = \"bmp-0\" }]\n";

#[test]
fn every_live_board_needs_a_bmp_and_each_frame_is_told_once() {
    let complaint =
        "8:1: machine.bmps: cabinet 0 frame 1 has no BMP, and the live board [1, 0, 0] stands in it";
    assert_eq!(lines(&load(BMPS).unwrap_err()), [complaint]);
    loaded(&format!("{BMPS}dead_boards = [[1, 0, 0], [1, 0, 1], [1, 0, 2]]\n"));
    let tall =
        BMPS.replace("boards_per_frame = 3", "boards_per_frame = 30").replace("width = 2", "width = 9");
    let complaint =
        "8:1: machine.bmps: the board [8, 0, 0] is number 24 of its frame; a BMP counts from 0 to 23";
    assert_eq!(lines(&load(&tall).unwrap_err()), [complaint]);
    let table = "[[machine]]\nname = \"m\"\nshape = \"triads\"\nwidth = 1\nheight = 1\ncontroller = \"bmp\"\n\
                 bmps = [{ cabinet = 0, frame = 0, host = \"bmp-0\" }]\n\
                 boards = [{ logical = [0, 0, 0], physical = [0, 0, 0] }]\ndead_boards = [[0, 0, 2]]\n";
    let complaint = "8:1: machine.boards: the live board [0, 0, 1] has no place, so no BMP can switch it";
    assert_eq!(lines(&load(table).unwrap_err()), [complaint]);
}

#[test]
fn settings_of_bmps_are_read_and_shown_and_warned_of() {
    let whole = BMPS.replace("boards_per_frame = 3", "boards_per_frame = 6");
    let settings = |text: &str| match loaded(text).machines[0].controller.clone() {
        ControllerSettings::Bmp(settings) => settings,
        other => panic!("{other:?}"),
    };
    assert_eq!(settings(&whole), BmpSettings::default());
    let shipped = uncommented();
    let section = shipped.split("[machine.bmp]\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let section = section.replace("boot_image = ", "# ");
    assert_eq!(settings(&format!("{whole}[machine.bmp]\n{section}\n")), BmpSettings::default());
    let slow = format!("{whole}order_s_max = 20\n[machine.bmp]\npower_tries = 5\nfpga_s_max = 0.5\n");
    let read = settings(&slow);
    assert_eq!((read.power_tries, read.fpga_ms_max, read.order_ms_max), (5, 500, 16_000));
    let warned = lines(&loaded(&slow).warnings);
    assert!(warned.iter().any(|warned| warned.contains("four fifths of order_s_max")), "{warned:?}");
    assert_same(&loaded(&slow), &loaded(&show(&loaded(&slow))));
}

#[test]
fn boot_images_are_read_and_held_against_what_a_rom_takes() {
    let whole = BMPS.replace("boards_per_frame = 3", "boards_per_frame = 6");
    let text = format!("{whole}[machine.bmp]\nboot_image = \"scamp.boot\"\n");
    let read = |bytes: Result<usize, &str>| {
        let bytes = bytes.map(|bytes| vec![1; bytes]).map_err(str::to_owned);
        let mut config = loaded(&text);
        config.read_images(&|path, _| {
            assert_eq!(path.to_str(), Some("scamp.boot"));
            bytes.clone()
        })
    };
    assert!(loaded(&text).machines[0].spec.boots && !loaded(&whole).machines[0].spec.boots);
    assert_eq!([read(Ok(512)), read(Ok(32 << 10))], [Ok(()), Ok(())]);
    let bad = [
        (Ok(511), "is no boot image: it has 511 bytes, and one has 512 at least"),
        (Ok((32 << 10) + 1), "is no boot image: a boot ROM takes 32768 bytes at most"),
        (Err("no such file"), "no such file"),
    ];
    for (bytes, why) in bad {
        let complaint = format!("10:1: machine.bmp.boot_image: scamp.boot: {why}");
        assert_eq!(lines(&read(bytes).unwrap_err()), [complaint]);
    }
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
        "{command}[machine.command]\nprogram = [\"x\"]\ntime_limit_s = 60\nparallel_max = 8\n"
    ));
    assert_eq!(bare.machines[0].controller, full.machines[0].controller);
    assert_eq!(bare.machines[0].spec.kinds, ["board".into()]);
    assert!(
        uncommented().contains("\ntime_limit_s = 60\n") && uncommented().contains("\nparallel_max = 8\n")
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
    let doors = [&config.native.listen, &config.spalloc.listen, &config.stand.listen, &config.web.listen];
    let addresses = doors.map(|door| door.as_deref().unwrap_or_default());
    assert_eq!(addresses, ["127.0.0.1:7007", "127.0.0.1:22244", "127.0.0.1:1337", "127.0.0.1:8080"]);
    let triads = config.machines[0].spec.triads().unwrap();
    assert_eq!(triads.bmps, BTreeMap::from([((0, 0), "127.0.1.1".into())]));
    assert_eq!(triads.place(BoardIndex(0)), Some(Physical { cabinet: 0, frame: 0, board: 0 }));
    assert_eq!((&*triads.host(BoardIndex(0)), triads.place(BoardIndex(1))), ("10.11.0.1", None));
    let what = "no burner can come: there is no pool 'burners' (stand.machine) with controller = \"agent\" and the kind \"burn\"";
    assert_eq!(lines(&config.warnings), [format!("11:10: stand.listen: {what}")]);
}

#[test]
fn a_file_of_ones_own_opens_no_door_and_has_no_machine_by_itself() {
    let config = loaded("");
    assert_eq!((config.native.listen.as_deref(), config.machines.len()), (None, 0));
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.warnings.len(), 2, "{:?}", config.warnings);
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
        "10:1: machine.controller: is missing: what makes the boards obey; this build has \"simulated\", \"command\", \"bmp\", \"agent\"",
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
    let said = ["22:1: machine: machines of triads have at most 10000000 boards, all together"];
    assert_eq!(lines(&load(&four).unwrap_err()), said);
    let most = POOL.replace("\"p\"", "\"q\"").replace("= 2", "= 1000000");
    let said = ["9:9: machine: pools have at most 1000000 boards, all together"];
    assert_eq!(lines(&load(&format!("{POOL}{most}")).unwrap_err()), said);
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
                "9:10: machine.command.time_limit_s: is longer than order_s_max, after which the boards are given up anyway",
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
    let config = Config::load(
        None,
        &pairs(&[
            ("BERTH_NATIVE_LISTEN", ""),
            ("BERTH_SPALLOC_LISTEN", ""),
            ("BERTH_STAND_LISTEN", ""),
            ("BERTH_WEB_LISTEN", ""),
        ]),
        &[],
    )
    .unwrap();
    assert_eq!(config.stand.listen, None);
    assert_eq!((config.native.listen, config.spalloc.listen, config.web.listen), (None, None, None));
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
         {command}[machine.command]\nprogram = [\"a \\\"b\\\" \\\\c\", \"\", \"new\\nline\"]\ntime_limit_s = 1.25\ndirectory = \"/a b\"\n\
         environment = {{ A = \"\", B_1 = \"\\\"\" }}\n"
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

#[test]
fn a_door_that_is_built_in_holds_its_address_too() {
    let complaints = Config::load(None, &pairs(&[("BERTH_WEB_LISTEN", "127.0.0.1:7007")]), &[]).unwrap_err();
    assert_eq!(
        lines(&complaints),
        ["BERTH_WEB_LISTEN: web.listen: native.listen listens at 127.0.0.1:7007 already"]
    );
    let any = "[native]\nlisten = \"h:0\"\n[web]\nlisten = \"h:0\"\n";
    assert_eq!(loaded(any).web.listen.as_deref(), Some("h:0"));
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

/// Values of all types, good for some key.
const VALUES: &[&str] = &[
    "\"m\"",
    "\"\"",
    "\"h:1\"",
    "\"triads\"",
    "\"pool\"",
    "\"command\"",
    "0",
    "1",
    "-1",
    "4",
    "1000",
    "0.5",
    "nan",
    "true",
    "07:32:00",
    "[]",
    "[7]",
    "[[0, 0, 0]]",
    "[[3, 1, 2, 5]]",
    "[\"a\", \"b\"]",
    "{}",
    "{ seed = 1 }",
    "[{ cabinet = 0, frame = 1, host = \"h\" }]",
    "[{ logical = [1, 1, 1], physical = [0, 0, 1], host = \"h\" }]",
];

/// The shipped file, examples and all, with other values behind some of its keys: TOML still, and of some meaning.
fn revalued_text() -> impl Strategy<Value = String> {
    let change = (any::<prop::sample::Index>(), prop::sample::select(VALUES));
    (any::<bool>(), prop::collection::vec(change, 0..4)).prop_map(|(examples, changes)| {
        let text = if examples { uncommented() } else { BUILT_IN.to_owned() };
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        let keys: Vec<usize> = (0..lines.len())
            .filter(|at| !lines[*at].starts_with('#') && lines[*at].contains(" = "))
            .collect();
        for (at, value) in changes {
            let line = &mut lines[keys[at.index(keys.len())]];
            let key = line.split(" = ").next().unwrap_or_default().to_owned();
            *line = format!("{key} = {value}");
        }
        lines.join("\n")
    })
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in prop_oneof![odd_text(), damaged_text(), revalued_text()], variable in ".{0,12}") {
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

#[test]
fn networks_are_a_list_in_the_file_and_a_text_elsewhere() {
    let allow =
        |config: Config| -> Vec<String> { config.spalloc.allow.iter().map(Network::to_string).collect() };
    let file = "[spalloc]\nallow = [\"10.0.0.0/8\", \"::1\"]\n";
    assert_eq!(allow(loaded(file)), ["10.0.0.0/8", "::1/128"]);
    let environment = pairs(&[("BERTH_SPALLOC_ALLOW", "192.168.1.0/24, 10.1.2.3")]);
    let config = Config::load(Some(file), &environment, &[]).unwrap();
    assert_eq!(allow(config), ["192.168.1.0/24", "10.1.2.3/32"]);
    assert_eq!(allow(loaded("[spalloc]\nallow = []\n")), [""; 0]);
    for (written, complaint) in [
        ("[\"10.0.0.1/8\"]", "bits behind the prefix are set"),
        ("[8]", "needs networks in quotes, not a whole number"),
        ("true", "needs a list of networks, not true or false"),
    ] {
        let complaints = load(&format!("[spalloc]\nallow = {written}\n")).unwrap_err();
        assert!(lines(&complaints)[0].contains(complaint), "{complaints:?}");
    }
}

#[test]
fn a_pool_whose_boards_come_with_agents_may_begin_empty() {
    let text = "[[machine]]\nname = \"usb\"\nshape = \"pool\"\ncontroller = \"agent\"\n[machine.agent]\ntimeout_s = 90\ntoken_file = \"t\"\n";
    let mut config = Config::load(Some(text), &[], &[]).unwrap();
    let spec = &config.machines[0].spec;
    assert_eq!((spec.board_count(), spec.agents), (0, true));
    let unread = config.read_files(&|_, _| Err("no such file".to_owned())).unwrap_err();
    assert_eq!(unread[0].to_string(), "7:1: machine.agent.token_file: t: no such file");
    let short = config.read_files(&|_, _| Ok(b"short\n".to_vec())).unwrap_err();
    assert_eq!(
        short[0].to_string(),
        "7:1: machine.agent.token_file: t: a token has 16 to 256 bytes that can be printed"
    );
    config.read_files(&|_, _| Ok(b"0123456789abcdef\n".to_vec())).unwrap();
    let ControllerSettings::Agent(settings) = &config.machines[0].controller else {
        panic!("another controller")
    };
    assert!(
        settings.token.as_ref().is_some_and(|token| token.is("0123456789abcdef"))
            && settings.timeout_ms == 90_000
    );
    let shown = show(&config);
    assert!(
        shown.contains("timeout_s = 90  # line 6") && shown.contains("token_file = \"t\"  # line 7"),
        "{shown}"
    );
    assert!(!shown.contains("0123456789abcdef"), "{shown}");
    let again = Config::load(Some(&shown), &[], &[]).unwrap();
    assert_eq!(again.machines[0].spec, config.machines[0].spec);
}
