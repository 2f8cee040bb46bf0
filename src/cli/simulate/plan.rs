//! What a configuration says of hardware, as a plan of a plant.

use crate::allocator::BoardIndex;
use crate::config::Config;
use crate::lab::machine::{MachineSpec, TriadsSpec};
use crate::simulator::plant::{BoardPlan, FramePlan, MachinePlan};
use crate::spinnaker::bmp::Board;
use std::net::Ipv4Addr;

/// The machines of a configuration that can be simulated, and a sentence for each of triads that cannot.
pub fn machines(config: &Config) -> (Vec<MachinePlan>, Vec<String>) {
    let (mut plans, mut sentences) = (Vec::new(), Vec::new());
    for machine in &config.machines {
        let spec = &machine.spec;
        let Some(triads) = spec.triads() else { continue };
        match plan(spec, triads) {
            Ok(plan) => plans.push(plan),
            Err(why) => sentences.push(format!("{} is left out: {why}", spec.name)),
        }
    }
    (plans, sentences)
}

fn plan(spec: &MachineSpec, triads: &TriadsSpec) -> Result<MachinePlan, String> {
    if triads.bmps.is_empty() {
        return Err("it names no BMPs ('bmps')".to_owned());
    }
    let frame_plan = |((cabinet, frame), host): (&(u32, u32), &std::sync::Arc<str>)| {
        let what = || format!("the BMP of cabinet {cabinet} frame {frame}");
        Ok(FramePlan { cabinet: *cabinet, frame: *frame, address: address(host, what)? })
    };
    let frames = triads.bmps.iter().map(frame_plan).collect::<Result<Vec<_>, String>>()?;
    let torus = triads.torus();
    let dead: std::collections::BTreeSet<_> =
        triads.dead_boards.iter().map(|board| torus.index(*board)).collect();
    let indices = (0..torus.board_count()).map(BoardIndex);
    let boards = indices
        .filter(|board| !dead.contains(board))
        .map(|board| board_plan(triads, board))
        .collect::<Result<_, _>>()?;
    Ok(MachinePlan { name: spec.name.clone(), torus, frames, boards, dead_links: triads.dead_links.clone() })
}

fn board_plan(triads: &TriadsSpec, board: BoardIndex) -> Result<BoardPlan, String> {
    let logical = triads.torus().triad(board);
    let name = || format!("board [{}, {}, {}]", logical.x, logical.y, logical.z);
    let place = triads.place(board).ok_or_else(|| format!("{} has no place", name()))?;
    if !triads.bmps.contains_key(&(place.cabinet, place.frame)) {
        return Err(format!(
            "{} stands in cabinet {} frame {}, for which 'bmps' has no BMP",
            name(),
            place.cabinet,
            place.frame
        ));
    }
    let number = u8::try_from(place.board).ok().and_then(Board::new);
    Ok(BoardPlan {
        logical,
        cabinet: place.cabinet,
        frame: place.frame,
        board: number
            .ok_or_else(|| format!("{} is number {} in its frame; the last is 23", name(), place.board))?,
        address: address(&triads.host(board), name)?,
    })
}

/// A simulated thing must have an address; what a name stands for is not asked.
fn address(host: &str, what: impl Fn() -> String) -> Result<Ipv4Addr, String> {
    let read = host.parse();
    read.map_err(|_| match host {
        "" => format!("{} has no address", what()),
        _ => format!("{} is called '{host}', which is no IPv4 address", what()),
    })
}

/// What to say when some addresses are not of this host.
pub fn foreign_sentence(foreign: &[(Ipv4Addr, String)]) -> String {
    const NAMED_MAX: usize = 3;
    let named: Vec<_> =
        foreign.iter().take(NAMED_MAX).map(|(address, what)| format!("{address} ({what})")).collect();
    let more = match foreign.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!(
        "this host does not have the addresses {}{more}. Every host has all of 127.0.0.0/8: give the machine \
         host_base = \"127.11.0.1\" and bmps = [{{ cabinet = 0, frame = 0, host = \"127.11.0.0\" }}], or addresses of this \
         kind in 'boards'",
        named.join(", ")
    )
}
