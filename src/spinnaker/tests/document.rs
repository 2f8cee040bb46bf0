//! `protocol-spec/spinnaker.md` says what the code says.

use super::super::bmp::fpga::{BankRegister, Link};
use super::super::scp::{CommandCode, ResultCode};
use super::super::system_variables::TABLE;
use super::super::{
    BOOT_UDP_PORT, CONSOLE_UDP_PORT, SCP_UDP_PORT, bmp, boot, eieio, exchange, scamp, scp, sdp,
};
use std::path::Path;

fn document() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol-spec/spinnaker.md");
    std::fs::read_to_string(path).unwrap()
}

/// Holds the document to rows that start so.
fn assert_rows(rows: impl IntoIterator<Item = String>) {
    let document = document();
    let missing: Vec<_> =
        rows.into_iter().filter(|row| !document.lines().any(|line| line.starts_with(row))).collect();
    assert!(missing.is_empty(), "protocol-spec/spinnaker.md lacks:\n{}", missing.join("\n"));
}

#[test]
fn every_command_and_result_has_its_row() {
    assert_rows(CommandCode::ALL.iter().map(|code| format!("| {} | {} |", code.0, code.name().unwrap())));
    assert_rows(ResultCode::ALL.iter().map(|code| format!("| {:#04X} | {} |", code.0, code.name().unwrap())));
}

#[test]
fn every_system_variable_has_its_row() {
    assert_rows(TABLE.iter().map(|variable| {
        format!("| {} | {} | {} | {} |", variable.offset, variable.bytes, variable.name, variable.default)
    }));
}

#[test]
fn every_core_state_and_eieio_kind_has_its_row() {
    let states = scamp::CoreState::NAMES.iter().enumerate();
    assert_rows(states.map(|(number, name)| format!("| {number} | {name} |")));
    assert_rows(eieio::Kind::ALL.iter().map(|kind| {
        let payload = if kind.has_payload() { kind.word_bytes() } else { 0 };
        format!("| {} | {} | {payload} |", *kind as u8, kind.word_bytes())
    }));
}

#[test]
fn every_link_is_where_the_document_says() {
    assert_rows(Link::ALL.into_iter().enumerate().map(|(number, link)| {
        let (fpga, address) = link.register(BankRegister::STOP);
        format!("| {number} | {link:?} | {} | {address:#07x} |", fpga.number())
    }));
}

#[test]
fn limits_are_those_of_the_document() {
    let (scamp, bmp) = (exchange::Limits::SCAMP, exchange::Limits::BMP);
    assert_rows([
        format!("| SCP, BMP and SC&MP | {SCP_UDP_PORT} |"),
        format!("| boot and hello | {BOOT_UDP_PORT} |"),
        format!("| consoles | {CONSOLE_UDP_PORT} |"),
        format!("| bytes of a datagram | {} |", sdp::DATAGRAM_BYTES_MAX),
        format!("| bytes of data | {} |", scp::DATA_BYTES_MAX),
        format!("| bytes of an EIEIO message | {} |", eieio::MESSAGE_BYTES_MAX),
        format!("| bytes of a boot image | {} |", boot::IMAGE_BYTES_MAX),
        format!("| boards of a frame | {} |", bmp::Board::COUNT),
        format!("| requests in flight | {} | {} |", scamp.in_flight_max, bmp.in_flight_max),
        format!("| times a request is sent | {} | {} |", scamp.tries_max, bmp.tries_max),
        format!("| wait for an answer, ms | {} | {} |", scamp.answer_ms_max, bmp.answer_ms_max),
        format!("| all tries together, ms | {} | {} |", scamp.total_ms_max, bmp.total_ms_max),
        format!("| pause when busy, ms | {} | {} |", scamp.pause_ms, bmp.pause_ms),
        format!("| power, ms | - | {} |", exchange::POWER_MS_MAX),
        format!(
            "| a number rests without an answer, ms | {} |",
            exchange::ANSWER_MS_LATE_MAX + exchange::DOUBLE_MS_LATE_MAX
        ),
        format!("| a number rests after one, ms | {} |", exchange::DOUBLE_MS_LATE_MAX),
    ]);
}
