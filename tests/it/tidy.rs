//! The house keeps its order: which room may use which, what pure rooms never touch, how long files are, and
//! documents that say what the code says.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The arrows, as ARCHITECTURE.md draws them: a room, and the rooms it may use.
const ARROWS: &[(&str, &[&str])] = &[
    ("clock", &[]),
    ("error", &[]),
    ("allocator", &[]),
    ("user", &["clock", "error"]),
    ("lab", &["allocator", "clock", "error", "user"]),
    ("session", &["clock", "error", "user"]),
    ("notice", &["error"]),
    ("wire", &["error"]),
    ("service", &["clock", "error", "lab", "session", "user", "wire"]),
    ("spalloc", &["allocator", "lab", "user"]),
    ("stand", &["clock"]),
    ("burner", &["clock", "stand"]),
    ("spinnaker", &[]),
    ("connections", &["clock", "spinnaker"]),
    ("simulator", &["allocator", "clock", "spinnaker"]),
    ("controller", &["allocator", "clock", "connections", "error", "lab", "spinnaker"]),
    ("journal", &["allocator", "clock", "error", "lab", "user"]),
    ("config", &["allocator", "clock", "controller", "error", "lab", "user"]),
    ("http", &["error"]),
    (
        "server",
        &[
            "allocator",
            "burner",
            "clock",
            "config",
            "controller",
            "error",
            "http",
            "journal",
            "lab",
            "notice",
            "service",
            "session",
            "spalloc",
            "stand",
            "user",
            "wire",
        ],
    ),
    ("client", &["error", "service", "wire"]),
    ("worker", &["client", "clock", "error", "http"]),
    (
        "cli",
        &[
            "allocator",
            "burner",
            "client",
            "clock",
            "config",
            "error",
            "http",
            "journal",
            "lab",
            "server",
            "service",
            "simulator",
            "spinnaker",
            "stand",
            "user",
            "wire",
            "worker",
        ],
    ),
];

/// Places where nothing of the world may be touched, with the exceptions that each needs and why.
const PURE: &[&str] = &[
    "error.rs",
    "allocator",
    "lab",
    "notice.rs",
    "wire",
    "service",
    "spalloc",
    "stand",
    "user",
    "session",
    "journal/record",
    "spinnaker",
    "simulator/mod.rs",
    "simulator/frame",
    "simulator/chips",
    "controller/agent/mod.rs",
    "controller/agent/roster.rs",
    "simulator/faults.rs",
    "simulator/network.rs",
    "simulator/plant",
    "controller/fence.rs",
    "controller/simulated",
    "controller/mod.rs",
    "controller/bmp/booting.rs",
    "controller/bmp/floor.rs",
    "controller/bmp/frame.rs",
    "controller/bmp/layout.rs",
    "controller/bmp/question.rs",
    "controller/bmp/sensors.rs",
    "controller/bmp/work.rs",
    "controller/settings.rs",
    "config/spalloc_import",
    "server/rounds.rs",
    "worker/kind",
    "worker/bench.rs",
    "worker/board.rs",
    "worker/command.rs",
    "worker/mailbox.rs",
    "worker/request.rs",
    "worker/task.rs",
];

/// What touches the world.
const WORLD: &[&str] = &[
    "std::fs",
    "std::process",
    "std::thread",
    "std::time",
    "TcpStream",
    "TcpListener",
    "UdpSocket",
    "SystemTime",
    "Instant::now",
    "async_std",
    "async_io",
    "async fn",
    ".await",
    "new_v4",
    "getrandom",
    "rand::",
];

/// Rooms in which the runtime may be named.
const RUNTIME: &[&str] = &["server", "burner", "controller", "connections", "simulator", "cli", "clock.rs"];

/// Files past this length say here why they are one.
const LINES_MAX: usize = 800;

/// Long files and their reasons.
const LONG: &[(&str, &str)] = &[];

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// All source files, by their path below src, without their tests.
fn sources() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    collect(&root().join("src"), &root().join("src"), &mut found);
    found
}

fn collect(base: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.strip_prefix(base).expect("below").to_string_lossy().into_owned();
        if path.is_dir() {
            collect(base, &path, found);
        } else if name.ends_with(".rs") && !name.contains("tests") {
            found.insert(name, std::fs::read_to_string(&path).expect("text"));
        }
    }
}

/// The code of a file: no comments, and nothing from its unit tests on.
fn code(text: &str) -> String {
    let text = text.split("#[cfg(test)]\nmod ").next().unwrap_or(text);
    text.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn room(name: &str) -> &str {
    name.split(['/', '.']).next().unwrap_or(name)
}

/// The rooms a text names after `crate::`, also in a braced list.
fn used_rooms(code: &str) -> BTreeSet<String> {
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        let listed = match rest.strip_prefix('{') {
            Some(list) => list.split('}').next().unwrap_or("").split(',').map(str::trim).collect::<Vec<_>>(),
            None => vec![rest],
        };
        for item in listed {
            used.insert(
                item.chars().take_while(|char| char.is_ascii_alphanumeric() || *char == '_').collect(),
            );
        }
    }
    used
}

#[test]
fn a_room_uses_only_what_its_arrows_allow() {
    let arrows: BTreeMap<&str, &[&str]> = ARROWS.iter().copied().collect();
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if ["lib.rs", "main.rs"].contains(&name.as_str()) {
            continue;
        }
        let allowed = arrows.get(room(&name)).unwrap_or_else(|| panic!("{name} is in a room without arrows"));
        for used in used_rooms(&code(&text)) {
            if arrows.contains_key(used.as_str()) && used != room(&name) && !allowed.contains(&used.as_str())
            {
                wrong.push(format!("{name} uses {used}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn arrows_never_turn_back() {
    let mut before = BTreeSet::new();
    for (room, uses) in ARROWS {
        assert!(uses.iter().all(|used| before.contains(used)), "{room} uses a room that stands after it");
        before.insert(*room);
    }
}

#[test]
fn pure_rooms_do_not_touch_the_world() {
    let mut wrong = Vec::new();
    for (name, text) in sources() {
        if !PURE.iter().any(|pure| name.starts_with(pure)) {
            continue;
        }
        let code = code(&text);
        wrong.extend(
            WORLD.iter().filter(|word| code.contains(**word)).map(|word| format!("{name} has {word}")),
        );
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_runtime_is_named_in_the_shell_only() {
    let named = sources().into_iter().filter(|(_, text)| {
        let code = code(text);
        code.contains("async_std") || code.contains("async_io")
    });
    let outside: Vec<_> = named
        .map(|(name, _)| name)
        .filter(|name| !RUNTIME.contains(&room(name)) && name != "clock.rs")
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn the_runtime_of_the_web_door_is_named_in_its_room_only() {
    let foreign = ["tokio", "hyper", "axum", "socketioxide"];
    let named = sources().into_iter().filter(|(name, _)| room(name) != "http");
    let outside: Vec<_> = named
        .filter(|(_, text)| foreign.iter().any(|word| code(text).contains(&format!("{word}::"))))
        .map(|(name, _)| name)
        .collect();
    assert!(outside.is_empty(), "{outside:?}");
}

#[test]
fn unsafe_code_proves_itself() {
    for (name, text) in sources() {
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let line = line.split("//").next().unwrap_or(line);
            if line.contains("unsafe ") {
                assert!(number > 0 && lines[number - 1].contains("SAFETY"), "{name}:{}", number + 1);
            }
        }
    }
}

#[test]
fn long_files_have_a_reason() {
    for (name, text) in sources() {
        let lines = text.lines().count();
        let excused = LONG.iter().any(|(long, _)| *long == name);
        assert!(lines <= LINES_MAX || excused, "{name} has {lines} lines");
    }
}

#[test]
fn every_file_opens_by_saying_what_lives_in_it() {
    for (name, text) in sources() {
        assert!(text.starts_with("//!"), "{name}");
    }
}

#[test]
fn the_architecture_draws_the_same_arrows() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    for (room, uses) in ARROWS {
        let uses = if uses.is_empty() { "-".to_owned() } else { uses.join(", ") };
        assert!(text.contains(&format!("| {room} | {uses} |")), "ARCHITECTURE.md lacks: | {room} | {uses} |");
    }
}

#[test]
fn the_architecture_gives_a_reason_for_every_dependency() {
    let text = std::fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).expect("Cargo.toml");
    let mut inside = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            inside = line == "[dependencies]" || line == "[dev-dependencies]";
        } else if let (true, Some((name, _))) = (inside, line.split_once('=')) {
            assert!(
                text.contains(&format!("| {} |", name.trim())),
                "ARCHITECTURE.md says nothing of {}",
                name.trim()
            );
        }
    }
}
