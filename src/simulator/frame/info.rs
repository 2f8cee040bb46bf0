//! What a BMP knows of itself, its board and its frame.

use super::board::{Answer, BoardState, EEPROM_BYTES};
use super::memory::RAM;
use super::spec::{FrameSpec, HARDWARE};
use super::store::FLASH_BUFFER;
use crate::spinnaker::bmp::{Boards, CanStatus, Identity, InfoKind};
use crate::spinnaker::scp::ResultCode;

/// Where the status is in the memory of a BMP.
const STATUS: u32 = RAM + 0x1000;

/// Bytes of a block of flash from which firmware is started.
const CODE_BLOCK_BYTES: u32 = 64 << 10;

/// On the bus: the one with the plug, whoever is asked.
const CAN_SELF: u8 = 1;

/// On the bus: one of whom that one has heard.
const CAN_HEARD_OF: u8 = 5;

/// The EEPROM as it was when the BMPs started.
pub(super) fn eeprom(spec: &FrameSpec) -> Vec<u8> {
    let mut bytes = vec![0x96, 1, 0, spec.frame];
    bytes.resize(EEPROM_BYTES as usize, 0);
    bytes
}

/// Who is on the bus.
fn can_status(spec: &FrameSpec) -> CanStatus {
    let state = |board| {
        let (plugged, heard) = (board == spec.ethernet_board, spec.boards.has(board));
        if plugged { CAN_SELF } else { u8::from(heard) * CAN_HEARD_OF }
    };
    let mut states = [0; CanStatus::BYTES];
    for (place, board) in states.iter_mut().zip(Boards(u32::MAX).iter()) {
        *place = state(board);
    }
    CanStatus(states)
}

impl BoardState {
    pub(super) fn info(&self, spec: &FrameSpec, kind: u32) -> Answer {
        let mut body = Vec::new();
        match InfoKind(kind) {
            InfoKind::IDENTITY => self.identity(spec).encode(&mut body),
            InfoKind::EEPROM => body = eeprom(spec),
            InfoKind::CAN_STATUS => body.extend(can_status(spec).0),
            InfoKind::STATUS => spec.status(self.board, self.on).encode(&mut body),
            InfoKind::IP => spec.network(self.board).encode(&mut body),
            InfoKind::RESTARTS => spec.restarts.encode(&mut body),
            _ => return Err(ResultCode::ARG.into()),
        }
        Ok(body)
    }

    fn identity(&self, spec: &FrameSpec) -> Identity {
        let [first, second, third, fourth] = spec.serial;
        let first = first.wrapping_add(self.board.number().into());
        Identity {
            hardware: HARDWARE,
            serial: [first, second, third, fourth],
            flash_buffer: FLASH_BUFFER,
            status: STATUS,
            boot_vector: CODE_BLOCK_BYTES * u32::from(spec.code_block),
        }
    }

    /// Readings are also found in the memory of the BMP.
    pub(super) fn note_status(&mut self, spec: &FrameSpec) {
        let mut readings = Vec::new();
        spec.status(self.board, self.on).encode(&mut readings);
        self.memory.write(STATUS, &readings);
    }
}
