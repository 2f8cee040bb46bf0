//! The lab of the built-in configuration, moved to addresses that every host has.
//!
//! The boards of its first machine answer at 127.N.0.1 and on, and each BMP at the address just before its first board, as in a
//! real frame: 127.N.0.0 for the first. N is 11 unless that is taken. Everything else stays as it is.

use crate::config::BUILT_IN;
use toml_edit::{Array, DocumentMut, InlineTable, Table, value};

/// The second numbers that are tried, one after the other.
pub const NETS: std::ops::RangeInclusive<u8> = 11..=99;
/// How far the frames of a cabinet are apart, and the cabinets, as the rule of places has it.
const FRAME_STRIDE: u32 = 1 << 8;
/// Boards of a frame.
const FRAME_BOARDS: u32 = 24;
/// Frames of a cabinet.
const CABINET_FRAMES: u32 = 5;

/// What makes the boards of the moved machine obey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obeys {
    /// What the built-in configuration says.
    AsBuiltIn,
    /// The BMPs.
    Bmp,
}

/// The configuration as text.
pub fn lab(net: u8, obeys: Obeys) -> Result<String, String> {
    let mut document: DocumentMut = BUILT_IN.parse().map_err(|error| format!("{error}"))?;
    let machines = document.get_mut("machine").and_then(|item| item.as_array_of_tables_mut());
    let triads = machines.and_then(|tables| tables.iter_mut().find(|table| table.contains_key("width")));
    let machine = triads.ok_or_else(|| "the built-in configuration has no machine of triads".to_owned())?;
    let side =
        |key: &str| machine.get(key).and_then(|item| item.as_integer()).and_then(|n| u32::try_from(n).ok());
    let boards = side("width").unwrap_or(1) * side("height").unwrap_or(1) * 3;
    machine.insert("host_base", value(format!("127.{net}.0.1")));
    machine.insert("bmps", value(bmps(net, boards.div_ceil(FRAME_BOARDS))));
    if obeys == Obeys::Bmp {
        machine.remove("simulated");
        machine.insert("controller", value("bmp"));
        machine.insert("bmp", hasty().into());
    }
    Ok(document.to_string())
}

fn bmps(net: u8, frames: u32) -> Array {
    let bmp = |number: u32| {
        let (cabinet, frame) = (number / CABINET_FRAMES, number % CABINET_FRAMES);
        let host = u32::from_be_bytes([127, net, 0, 0]) + number * FRAME_STRIDE;
        let mut table = InlineTable::new();
        table.insert("cabinet", i64::from(cabinet).into());
        table.insert("frame", i64::from(frame).into());
        table.insert("host", std::net::Ipv4Addr::from(host).to_string().into());
        table
    };
    (0..frames).map(bmp).collect()
}

/// Simulated boards are up when their BMP says so.
fn hasty() -> Table {
    let mut table = Table::new();
    table.insert("on_settle_ms", value(0));
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn the_moved_lab_differs_in_its_addresses_only() {
        let built_in = Config::load(None, &[], &[]).unwrap();
        let moved = Config::load(Some(&lab(42, Obeys::AsBuiltIn).unwrap()), &[], &[]).unwrap();
        assert_eq!(built_in.native, moved.native);
        assert_eq!(built_in.spalloc, moved.spalloc);
        let (before, after) = (&built_in.machines[0].spec, &moved.machines[0].spec);
        assert_eq!(before.tags, after.tags);
        let (before, after) = (before.triads().unwrap(), after.triads().unwrap());
        assert_eq!((before.width, before.height), (after.width, after.height));
        assert_eq!(&*after.host(crate::allocator::BoardIndex(0)), "127.42.0.1");
        assert_eq!(&*after.host(crate::allocator::BoardIndex(23)), "127.42.0.185");
        assert_eq!(after.bmps.len(), 1);
        assert_eq!(&*after.bmps[&(0, 0)], "127.42.0.0");
        assert_eq!(built_in.machines.len(), moved.machines.len());
    }
}
