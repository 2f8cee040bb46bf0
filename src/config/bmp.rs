//! `[machine.bmp]`: how the boards of a machine are switched through the BMPs of their frames.
//!
//! Deliberately not here: where boards stand and which hosts the BMPs have (`places`), and reading the boot image's file.

use super::form::Form;
use super::key::{Kind, count, seconds};
use crate::allocator::BoardIndex;
use crate::controller::settings::{CHIPS_PER_BOARD, FRAME_BOARDS_MAX, order_ms_max};
use crate::controller::{BmpSettings, BootImage, ControllerSettings};
use crate::lab::machine::{Shape, TriadsSpec};
use std::collections::{BTreeMap, BTreeSet};

/// The longest of the times that can be set, in seconds.
const S_MAX: u64 = 600;
/// How often a board is switched at most.
const POWER_TRIES_MAX: u64 = 20;
/// How many milliseconds boards are left alone at most.
const SETTLE_MS_MAX: u64 = 60_000;

/// Reads the settings.
pub fn read(form: &mut Form) -> BmpSettings {
    let default = BmpSettings::default();
    let mut port = |key: &str, default: u16| {
        form.number(key, count(1, u16::MAX.into())).map_or(default, |port| port as u16)
    };
    let (port, board_port, boot_port) = (
        port("port", default.port),
        port("board_port", default.board_port),
        port("boot_port", default.boot_port),
    );
    let mut ms =
        |key: &str, default: u64| form.number(key, seconds(0, S_MAX)).map_or(default, |ms| ms.max(1));
    let (power_on_ms_max, power_off_ms_max) =
        (ms("power_on_s_max", default.power_on_ms_max), ms("power_off_s_max", default.power_off_ms_max));
    let (fpga_ms_max, boot_ms_max) =
        (ms("fpga_s_max", default.fpga_ms_max), ms("boot_s_max", default.boot_ms_max));
    BmpSettings {
        port,
        board_port,
        boot_port,
        power_on_ms_max,
        power_off_ms_max,
        on_settle_ms: form.number("on_settle_ms", count(0, SETTLE_MS_MAX)).unwrap_or(default.on_settle_ms),
        fpga_ms_max,
        power_tries: form
            .number("power_tries", count(1, POWER_TRIES_MAX))
            .map_or(default.power_tries, |tries| tries as u32),
        order_ms_max: default.order_ms_max,
        boot_image: form.text("boot_image", Kind::Path).map(|path| BootImage::of_file(path.into())),
        boot_ms_max,
        chips_per_board_min: form
            .number("chips_per_board_min", count(1, CHIPS_PER_BOARD.into()))
            .map_or(default.chips_per_board_min, |chips| chips as u32),
    }
}

/// Holds the settings against the machine: what every live board needs, and whether there is time for it all.
pub fn check(form: &mut Form, settings: &mut ControllerSettings, shape: &Shape, machine_ms_max: u64) {
    let ControllerSettings::Bmp(settings) = settings else { return };
    settings.order_ms_max = order_ms_max(machine_ms_max);
    let at = form.table.entry("controller").map_or(form.at, |entry| entry.node.at);
    match shape {
        Shape::Pool { .. } => {
            form.complain(at, "controller", "\"bmp\" is for machines of triads; a pool has no BMPs");
        }
        Shape::Triads(triads) => check_boards(form, at, triads),
    }
    let once_ms = settings.power_off_ms_max + settings.power_on_ms_max + settings.on_settle_ms;
    let boot_ms = if settings.boot_image.is_some() { settings.boot_ms_max } else { 0 };
    if once_ms + boot_ms > settings.order_ms_max {
        let at = form.table.entry("bmp").map_or(form.at, |entry| entry.at);
        let what = "switching off and on, settling and booting may take longer together than four fifths of order_s_max, \
                    after which boards are given up";
        form.complaints.warn(at, "machine.bmp", what);
    }
}

/// Every live board stands in a frame that has a BMP. One complaint for each frame that has none.
fn check_boards(form: &mut Form, at: usize, triads: &TriadsSpec) {
    let torus = triads.torus();
    let (mut frameless, mut without_bmp, mut beyond) = (None, BTreeMap::new(), None);
    let dead: BTreeSet<_> = triads.dead_boards.iter().map(|board| torus.index(*board)).collect();
    for board in (0..torus.board_count()).map(BoardIndex).filter(|board| !dead.contains(board)) {
        let Some(place) = triads.place(board) else {
            frameless.get_or_insert(torus.triad(board));
            continue;
        };
        let frame = (place.cabinet, place.frame);
        if !triads.bmps.contains_key(&frame) {
            without_bmp.entry(frame).or_insert(torus.triad(board));
        } else if place.board >= FRAME_BOARDS_MAX {
            beyond.get_or_insert((torus.triad(board), place.board));
        }
    }
    if let Some(board) = frameless {
        let at = form.table.entry("boards").map_or(at, |entry| entry.at);
        let text = format!("[{}, {}, {}]", board.x, board.y, board.z);
        form.complain(at, "boards", format!("the live board {text} has no place, so no BMP can switch it"));
    }
    let at = form.table.entry("bmps").map_or(at, |entry| entry.at);
    for ((cabinet, frame), board) in without_bmp {
        let text = format!("[{}, {}, {}]", board.x, board.y, board.z);
        let what =
            format!("cabinet {cabinet} frame {frame} has no BMP, and the live board {text} stands in it");
        form.complain(at, "bmps", what);
    }
    if let Some((board, number)) = beyond {
        let text = format!("[{}, {}, {}]", board.x, board.y, board.z);
        let what = format!("the board {text} is number {number} of its frame; a BMP counts from 0 to 23");
        form.complain(at, "bmps", what);
    }
}
