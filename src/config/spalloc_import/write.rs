//! What was read, as a config.toml with a sentence beside what needs one.

use super::machine::{Machine, Place, Setup};
use crate::allocator::{BoardIndex, Torus, Triad};
use crate::config::key::Value;
use crate::config::places::RULE_DEFAULT;
use crate::controller::settings::FRAME_BOARDS_MAX;
use crate::lab::machine::{Physical, PlaceRule, Places, TriadsSpec};
use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

/// Where spalloc_server listens when nothing else is said.
const PORT_DEFAULT: u16 = 22244;
/// Characters of a list that is written on one line.
const LINE_CHARS_MAX: usize = 90;

/// The whole file. `name` is what the file it came from is called.
pub fn write(setup: &Setup, name: &str) -> String {
    let name: String = name.chars().filter(|c| !c.is_control()).collect();
    let mut text = format!(
        "# Made by 'berth config import-spalloc' from {name}.\n\
         # Every key that is not here has its default; the config.toml that comes with Berth has them all.\n\n\
         # The native door: the 'berth' command itself. On this host alone.\n\
         [native]\nlisten = \"127.0.0.1:7007\"\n\n"
    );
    text += &doors(setup);
    text += &format!(
        "[limits]\n# max_retired_jobs: ended jobs that are remembered.\nretired_jobs = {}\n",
        setup.retired_jobs
    );
    let mut names = BTreeSet::new();
    for (number, machine) in (1..).zip(&setup.machines) {
        let mut own =
            if machine.name.is_empty() { format!("machine-{number}") } else { machine.name.clone() };
        while !names.insert(own.clone()) {
            own += &format!("-{number}");
        }
        text += &write_machine(machine, &own, setup.settle_ms);
    }
    text
}

fn doors(setup: &Setup) -> String {
    let (host, why) = match setup.ip.as_str() {
        "" => (
            "0.0.0.0".to_owned(),
            "# ip = \"\": on all addresses of this host. This protocol knows no users.\n",
        ),
        ip if ip.contains(':') => (format!("[{ip}]"), ""),
        ip => (ip.to_owned(), ""),
    };
    let port = setup.port.filter(|port| *port != 0).unwrap_or(PORT_DEFAULT);
    let note = match setup.port {
        Some(port) if port != PORT_DEFAULT => {
            "# spalloc_server 5 and later pay no heed to the port in this file: it is that of their --port, or 22244.\n"
        }
        _ => "",
    };
    let listen = quoted(&format!("{host}:{port}"));
    let allow = match host.starts_with("127.") || host == "[::1]" {
        true => "",
        false => {
            "# spalloc_server let everybody in who could reach it. Better name your lab's networks.\n\
             allow = [\"0.0.0.0/0\", \"::/0\"]\n"
        }
    };
    format!("# The door for spalloc's clients.\n[spalloc]\n{why}{note}listen = {listen}\n{allow}\n")
}

fn write_machine(machine: &Machine, name: &str, settle_ms: u64) -> String {
    let board = |board: &Triad| format!("[{}, {}, {}]", board.x, board.y, board.z);
    let link = |(at, link): &(Triad, crate::allocator::Link)| {
        format!("[{}, {}, {}, {}]", at.x, at.y, at.z, link.number())
    };
    let bmp = |([cabinet, frame], host): (&[u32; 2], &String)| {
        format!("{{ cabinet = {cabinet}, frame = {frame}, host = {} }}", quoted(host))
    };
    let mut text = format!("\n[[machine]]\nname = {}\nshape = \"triads\"\n", quoted(name));
    text += &format!("width = {}\nheight = {}\n", machine.width, machine.height);
    text += &format!("tags = {}\n", list(machine.tags.iter().map(|tag| quoted(tag))));
    text += &format!("dead_boards = {}\n", list(machine.dead_boards.iter().map(board)));
    text += "# As [x, y, z, link]: 0 east, 1 north-east, 2 north, 3 west, 4 south-west, 5 south.\n";
    text += &format!("dead_links = {}\n", list(machine.dead_links.iter().map(link)));
    text += "# seconds_before_free: how long freed boards cool down.\n";
    text += &format!("settle_s = {}\n", Value::Millis(settle_ms));
    text += &places(machine);
    text += "# The BMP of each frame.\n";
    text += &format!("bmps = {}\n", list(machine.bmps.iter().map(bmp)));
    if !is_whole(machine) {
        text += "# Not every live board has a place in a frame with a BMP, as \"bmp\" needs: until then boards obey in the books alone.\n\
                 controller = \"simulated\"\n";
        return text;
    }
    text += "# Boards are switched through the BMPs above, with the times and tries that [machine.bmp] has by default: see the\n\
             # config.toml that comes with Berth. For a lab in the books alone write \"simulated\".\n\
             controller = \"bmp\"\n";
    text
}

/// Whether there is a BMP to switch each board that is alive.
fn is_whole(machine: &Machine) -> bool {
    let torus = Torus { width: machine.width, height: machine.height };
    let alive = (0..torus.board_count()).map(|number| torus.triad(BoardIndex(number)));
    let reached = |board: &Triad| match machine.places.get(board) {
        Some([cabinet, frame, number]) => {
            machine.bmps.contains_key(&[*cabinet, *frame]) && *number < FRAME_BOARDS_MAX
        }
        None => false,
    };
    alive.filter(|board| !machine.dead_boards.contains(board)).all(|board| reached(&board))
}

/// Where boards stand and answer: by a rule where they follow one, else by a table.
fn places(machine: &Machine) -> String {
    if let Some(rule) = rule_of(machine) {
        let [cabinet, frame, board] = rule.strides.map(Ipv4Addr::from);
        return format!(
            "# Where boards stand and answer: numbered with x slowest and z fastest they fill frame after frame.\n\
             boards_per_frame = {}\nframes_per_cabinet = {}\nhost_base = \"{}\"\ncabinet_stride = \"{cabinet}\"\n\
             frame_stride = \"{frame}\"\nboard_stride = \"{board}\"\n",
            rule.boards_per_frame,
            rule.frames_per_cabinet,
            Ipv4Addr::from(rule.base),
        );
    }
    let row = |(board, [cabinet, frame, number]): (&Triad, &Place)| {
        let host =
            machine.hosts.get(board).map_or_else(String::new, |host| format!(", host = {}", quoted(host)));
        let Triad { x, y, z } = board;
        format!("{{ logical = [{x}, {y}, {z}], physical = [{cabinet}, {frame}, {number}]{host} }}")
    };
    let rows = list(machine.places.iter().map(row));
    format!("# Where boards stand, as cabinet, frame and board, and where they answer.\nboards = {rows}\n")
}

/// The rule that says of every board what the tables say, if there is one.
fn rule_of(machine: &Machine) -> Option<PlaceRule> {
    let torus = Torus { width: machine.width, height: machine.height };
    let count = torus.board_count();
    // A rule gives every board a place, so none may be without.
    if machine.places.len() != count as usize || machine.hosts.len() != count as usize {
        return None;
    }
    let place = |number: u32| machine.places.get(&torus.triad(BoardIndex(number))).copied();
    let host = |number: u32| -> Option<u32> {
        machine.hosts.get(&torus.triad(BoardIndex(number)))?.parse::<Ipv4Addr>().ok().map(u32::from)
    };
    let default = RULE_DEFAULT;
    let in_frame = (1..count).find(|number| place(*number).is_none_or(|[c, f, _]| [c, f] != [0, 0]));
    let boards_per_frame = in_frame.unwrap_or(count.max(default.boards_per_frame));
    let frames = count.div_ceil(boards_per_frame);
    let in_cabinet = (1..frames).find(|frame| place(frame * boards_per_frame).is_none_or(|[c, _, _]| c != 0));
    let frames_per_cabinet = in_cabinet.unwrap_or(frames.max(default.frames_per_cabinet));
    let base = host(0)?;
    // What a step adds shows where it is made first; where it never is, it adds nothing.
    let stride = |first: u32, default: u32| match first < count {
        true => host(first)?.checked_sub(base),
        false => Some(default),
    };
    let [cabinet, frame, board] = default.strides;
    let strides = [
        stride(boards_per_frame.checked_mul(frames_per_cabinet)?, cabinet)?,
        stride(boards_per_frame, frame)?,
        stride(if boards_per_frame > 1 { 1 } else { count }, board)?,
    ];
    let rule = PlaceRule { boards_per_frame, frames_per_cabinet, base, strides };
    (boards_per_frame <= 65_535 && frames_per_cabinet <= 65_535 && says_the_same(&rule, machine, torus))
        .then_some(rule)
}

fn says_the_same(rule: &PlaceRule, machine: &Machine, torus: Torus) -> bool {
    let spec = TriadsSpec {
        width: torus.width,
        height: torus.height,
        dead_boards: Vec::new(),
        dead_links: Vec::new(),
        places: Places::Rule(rule.clone()),
        bmps: BTreeMap::new(),
    };
    (0..torus.board_count()).map(BoardIndex).all(|number| {
        let board = torus.triad(number);
        let place = spec.place(number).map(|Physical { cabinet, frame, board }| [cabinet, frame, board]);
        place == machine.places.get(&board).copied()
            && machine.hosts.get(&board).is_some_and(|host| **host == *spec.host(number))
    })
}

/// A text as TOML writes it.
fn quoted(text: &str) -> String {
    Value::Text(text.to_owned()).to_string()
}

/// A list on one line when it is short, and otherwise with a line for each item.
fn list(items: impl Iterator<Item = String>) -> String {
    let items: Vec<String> = items.collect();
    if items.iter().map(String::len).sum::<usize>() <= LINE_CHARS_MAX {
        return format!("[{}]", items.join(", "));
    }
    format!("[\n    {},\n]", items.join(",\n    "))
}
