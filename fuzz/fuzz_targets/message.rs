//! Any text: a message or a refusal, and everything in a message can be asked for.
#![no_main]

use berth::wire::{Data, call, envelope, handshake};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|body: &[u8]| {
    let Ok(message) = envelope::decode(body, 64) else { return };
    match message.kind() {
        Data::Calls(list) => drop(call::parse(list, 100)),
        Data::Command(_) => {}
        Data::Other(data) => drop((handshake::prove(data, true), handshake::prove(data, false))),
    }
});
