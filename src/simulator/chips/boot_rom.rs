//! The boot ROM of a board: it says hello, takes an image block by block, and starts it when all is there.

use crate::spinnaker::boot::{BLOCK_BYTES, IMAGE_BYTES_MAX, Message, Opcode, VARIABLES};
use crate::spinnaker::ip_address::Hello;
use crate::spinnaker::system_variables::BOOT_BYTES;
use std::net::SocketAddrV4;

/// Milliseconds between two hellos, and before the first.
pub const HELLO_MS: u64 = 4_096;

/// The version that the ROM says it is: 2.1.
const ROM_VERSION: u32 = 0x0201_0000;

/// The most blocks of an image.
const BLOCKS_MAX: u32 = (IMAGE_BYTES_MAX / BLOCK_BYTES) as u32;

/// An image on its way.
#[derive(Debug)]
struct Fill {
    blocks: u32,
    had: u32,
    image: Vec<u8>,
}

/// The ROM of a board that has power and was not booted.
#[derive(Debug)]
pub struct BootRom {
    /// To whom hellos go: everybody, until somebody speaks to the ROM.
    pub hello_to: SocketAddrV4,
    fill: Option<Fill>,
}

impl BootRom {
    /// A ROM that nobody has spoken to.
    pub fn new(hello_to: SocketAddrV4) -> BootRom {
        BootRom { hello_to, fill: None }
    }

    /// What it says from time to time.
    pub fn hello(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        Hello { rom_version: ROM_VERSION }.encode(&mut bytes);
        bytes
    }

    /// Hears a datagram. The image, once it is to be started.
    pub fn hear(&mut self, from: SocketAddrV4, datagram: &[u8]) -> Option<Vec<u8>> {
        let message = Message::decode(datagram).ok()?;
        self.hello_to = from;
        // Only the low halves of opcode and the first two operands are looked at.
        let [first, _, third] = message.operands;
        match Opcode(message.opcode.0 & 0xFFFF) {
            Opcode::START if self.fill.is_none() && first & 0xFF == 0 => self.start(third),
            Opcode::BLOCK => self.block(first & 0xFFFF, &message.data),
            Opcode::CONTROL if first & 0xFFFF == 1 => return self.control(),
            _ => {}
        }
        None
    }

    fn start(&mut self, blocks_less_one: u32) {
        if blocks_less_one < BLOCKS_MAX {
            self.fill = Some(Fill { blocks: blocks_less_one + 1, had: 0, image: Vec::new() });
        }
    }

    /// A block lies at its number times the length it claims; one that came before is passed over.
    fn block(&mut self, operand: u32, data: &[u8]) {
        let (number, claimed) = (operand & 0xFF, 4 * ((operand >> 8) + 1));
        let Some(fill) =
            self.fill.as_mut().filter(|fill| number < fill.blocks && fill.had >> number & 1 == 0)
        else {
            return;
        };
        fill.had |= 1 << number;
        let start = (number * claimed) as usize;
        let end = (start + data.len()).min(IMAGE_BYTES_MAX);
        if fill.image.len() < end {
            fill.image.resize(end, 0);
        }
        fill.image.iter_mut().skip(start).zip(data).for_each(|(byte, new)| *byte = *new);
    }

    fn control(&mut self) -> Option<Vec<u8>> {
        let all = |fill: &Fill| fill.had.count_ones() == fill.blocks;
        self.fill.take_if(|fill| all(fill)).map(|fill| fill.image)
    }
}

/// The system variables in an image; zeros where it ends too early.
pub fn variables(image: &[u8]) -> [u8; BOOT_BYTES] {
    let bytes = image.get(VARIABLES.start..).unwrap_or(&[]);
    std::array::from_fn(|at| bytes.get(at).copied().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::borrow::Cow;
    use std::net::Ipv4Addr;

    const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 4000);

    fn hear(rom: &mut BootRom, opcode: u32, operands: [u32; 3], data: &[u8]) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        Message { opcode: Opcode(opcode), operands, data: Cow::Borrowed(data) }.encode(&mut bytes);
        rom.hear(HOST, &bytes)
    }

    #[test]
    fn an_image_starts_when_all_blocks_are_there() {
        let mut rom = BootRom::new(SocketAddrV4::new(Ipv4Addr::BROADCAST, 54321));
        assert_eq!(hear(&mut rom, 5, [1, 0, 0], &[]), None, "nothing is under way");
        hear(&mut rom, 1, [1, 0, 1], &[]);
        assert!(rom.fill.is_none(), "the low byte of a start is zero");
        hear(&mut rom, 0x7_0001, [0xFFFF_0000, 9, 1], &[]);
        hear(&mut rom, 1, [0, 0, 0], &[]);
        hear(&mut rom, 3, [255 << 8 | 1, 0, 0], &[7; 8]);
        assert_eq!(hear(&mut rom, 5, [1, 0, 0], &[]), None, "a block is missing");
        hear(&mut rom, 3, [255 << 8, 0, 0], &[1; 1024]);
        hear(&mut rom, 3, [255 << 8, 0, 0], &[2; 1024]);
        hear(&mut rom, 3, [255 << 8 | 2, 0, 0], &[3; 1024]);
        let image = hear(&mut rom, 5, [1, 0, 0], &[]).unwrap();
        assert_eq!((image.len(), image[0], image[1023], image[1024]), (1032, 1, 1, 7));
        assert_eq!(rom.hello_to, HOST);
        assert_eq!(variables(&image), [1; BOOT_BYTES]);
        assert_eq!(variables(&[0; 400]), [0; BOOT_BYTES]);
    }
}
