//! What simulated hardware did, as JSON.

use crate::allocator::Triad;
use crate::simulator::plant::{Deed, Event};
use crate::spinnaker::bmp::{Boards, Reset};
use crate::spinnaker::scp::CommandCode;
use serde_json::{Value, json};

/// An event as one object; `protocol-spec/simulate.md` has them all.
pub fn event_json(event: &Event) -> Value {
    let (name, more) = deed(&event.deed);
    let mut object = json!({
        "time": event.at.0 as f64 / 1000.0,
        "machine": &*event.machine,
        "address": event.address.to_string(),
        "event": name,
    });
    if let (Value::Object(object), Value::Object(more)) = (&mut object, more) {
        object.extend(more);
    }
    object
}

/// The name of a deed and what belongs to it.
fn deed(deed: &Deed) -> (&'static str, Value) {
    match deed {
        Deed::BmpAsked { board, command } => {
            ("bmp_asked", json!({"board": board.number(), "command": command_text(*command)}))
        }
        Deed::Power { on, boards } => ("power", json!({"on": on, "boards": numbers(*boards)})),
        Deed::Reset { how, fpgas, boards } => {
            ("reset", json!({"how": reset_text(*how), "fpgas": fpgas, "boards": numbers(*boards)}))
        }
        Deed::FpgaWrite { board, fpga, register, words } => (
            "fpga_write",
            json!({"board": board.number(), "fpga": fpga.number(), "register": register, "words": words}),
        ),
        Deed::Led { board, leds } => ("led", json!({"board": board.number(), "leds": leds})),
        Deed::BoardAsked { board, command } => {
            ("board_asked", json!({"board": triad(*board), "command": command_text(*command)}))
        }
        Deed::BootMessage { board, opcode } => {
            ("boot_message", json!({"board": triad(*board), "opcode": opcode}))
        }
        Deed::Booted { board } => ("booted", json!({"board": triad(*board)})),
    }
}

fn command_text(command: CommandCode) -> String {
    command.name().map_or_else(|| command.0.to_string(), str::to_owned)
}

fn reset_text(how: Reset) -> &'static str {
    match how {
        Reset::Release => "release",
        Reset::Hold => "hold",
        Reset::Pulse => "pulse",
    }
}

fn numbers(boards: Boards) -> Vec<u8> {
    boards.iter().map(|board| board.number()).collect()
}

fn triad(board: Triad) -> [u32; 3] {
    [board.x, board.y, board.z]
}
