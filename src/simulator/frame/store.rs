//! What a board keeps without power: the flash of its BMP's processor, the serial flash, the backplane's EEPROM.

use super::board::{Answer, Asked, BoardState, Refusal, SERIAL_FLASH_BYTES, bounded};
use super::memory::{FLASH_BYTES, RAM};
use crate::spinnaker::scp::ResultCode;

/// Where the buffer of 4 KiB is from which flash is written.
pub(super) const FLASH_BUFFER: u32 = RAM;

/// Lengths that can be written to flash at once.
const FLASH_WRITES: [u32; 4] = [256, 512, 1_024, 4_096];

/// Addresses at which they can start are multiples of this.
const FLASH_ALIGNMENT: u32 = 256;

/// Below this address sectors, which are erased as a whole, are small.
const SMALL_SECTORS_END: u32 = 64 << 10;

/// Bytes of a small sector and of a large one.
const SECTOR_BYTES: [u32; 2] = [4 << 10, 32 << 10];

/// The operation that reads.
const READ: u32 = 0;

/// The operation that writes.
const WRITE: u32 = 1;

/// The operation that makes a checksum.
const CRC: u32 = 2;

/// Where the sector starts that has an address.
fn sector_start(address: u32) -> u32 {
    address - address % sector_bytes(address)
}

fn sector_bytes(address: u32) -> u32 {
    let [small, large] = SECTOR_BYTES;
    if address < SMALL_SECTORS_END { small } else { large }
}

/// Whether these bytes are in flash.
fn in_flash(address: u32, length: u32) -> bool {
    address.checked_add(length).is_some_and(|end| end <= FLASH_BYTES)
}

impl BoardState {
    pub(super) fn copy_flash(&mut self, to: u32, from: u32, length: u32) -> Answer {
        if !in_flash(to, length) || !in_flash(from, length) {
            return Err(ResultCode::ARG.into());
        }
        let copied = self.memory.flash.read(from, length);
        self.memory.flash.write(to, &copied);
        Ok(Vec::new())
    }

    /// All sectors that have a byte of these. The answer, good or not, is where the buffer is.
    pub(super) fn erase_flash(&mut self, start: u32, end: u32) -> Answer {
        let body = FLASH_BUFFER.to_le_bytes().to_vec();
        if start >= end || end > FLASH_BYTES {
            return Err(Refusal { result: ResultCode::ARG, body });
        }
        self.renew_flash(start, end - 1);
        Ok(body)
    }

    /// From the sector of one address to that of another.
    fn renew_flash(&mut self, first: u32, last: u32) {
        let (start, end) = (sector_start(first), sector_start(last) + sector_bytes(last));
        self.memory.flash.renew(start, end - start);
    }

    /// From the buffer. Bits that are not erased before can only become 0.
    pub(super) fn write_flash(&mut self, address: u32, length: u32, erase: bool) -> Answer {
        let fits = FLASH_WRITES.contains(&length) && in_flash(address, length);
        if !fits || !address.is_multiple_of(FLASH_ALIGNMENT) {
            let body = address.to_le_bytes().to_vec();
            return Err(Refusal { result: ResultCode::ARG, body });
        }
        if erase {
            self.renew_flash(address, address + length - 1);
        }
        let (buffer, before) =
            (self.memory.read(FLASH_BUFFER, length), self.memory.flash.read(address, length));
        let written: Vec<u8> = buffer.iter().zip(before).map(|(byte, before)| byte & before).collect();
        self.memory.flash.write(address, &written);
        Ok(Vec::new())
    }

    pub(super) fn serial_flash(&mut self, asked: &Asked<'_>) -> Answer {
        let [address, length, operation] = asked.arguments;
        match operation {
            READ => {
                bounded(length)?;
                Ok(self.serial_flash.read_around(address, length))
            }
            WRITE => {
                self.serial_flash.write_around(address, &asked.data_of(length)?);
                Ok(Vec::new())
            }
            CRC if length <= SERIAL_FLASH_BYTES => {
                let crc = crc32fast::hash(&self.serial_flash.read_around(address, length));
                Ok(crc.to_le_bytes().to_vec())
            }
            _ => Err(ResultCode::ARG.into()),
        }
    }

    /// Only the board that runs the backplane has it.
    pub(super) fn eeprom(&mut self, asked: &Asked<'_>) -> Answer {
        let [address, length, operation] = asked.arguments;
        bounded(length)?;
        match operation {
            _ if !self.plug => Err(ResultCode::ARG.into()),
            READ => Ok(self.eeprom.read_around(address, length)),
            WRITE => {
                self.eeprom.write_around(address, &asked.data_of(length)?);
                Ok(Vec::new())
            }
            _ => Err(ResultCode::ARG.into()),
        }
    }
}
