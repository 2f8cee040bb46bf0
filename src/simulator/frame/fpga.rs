//! The registers of one FPGA: what they are after power on, and which keep what is written to them.

use crate::spinnaker::bmp::fpga::{
    BankRegister, FLAGS, Fpga, LED, Link, PKEY, PMSK, SCRAMBLER, SLEN, VERSION,
};
use std::collections::BTreeMap;

/// The version that a loaded FPGA says.
const DESIGN: u32 = 0x0100_0000;

/// Bits 4 and 5 of the flags, set in every loaded FPGA: peripheral link, chip scope.
const FLAGS_FEATURES: u32 = 0x30;

/// Analogue settings and what they are at first.
const ANALOGUE: [(u32, u32); 3] = [(0x4_001C, 0x0A), (0x4_0020, 0x66), (0x4_0024, 0x12)];

/// Banks of link registers.
const BANKS: u32 = 3;

/// What every register of an FPGA reads as that is not loaded: nobody drives the lines.
const BLANK: u32 = u32::MAX;

/// One FPGA.
#[derive(Debug)]
pub(super) struct Registers {
    fpga: Fpga,
    blank: bool,
    written: BTreeMap<u32, u32>,
}

impl Registers {
    /// Loaded, and as after power on.
    pub fn new(fpga: Fpga) -> Registers {
        Registers { fpga, blank: false, written: BTreeMap::new() }
    }

    /// Which it is.
    pub fn fpga(&self) -> Fpga {
        self.fpga
    }

    /// Whether it is not loaded.
    pub fn is_blank(&self) -> bool {
        self.blank
    }

    /// Loads it, which goes well or not; all is as it was made then.
    pub fn load(&mut self, well: bool) {
        self.blank = !well;
        self.written.clear();
    }

    /// All is as it was made.
    pub fn reset(&mut self) {
        self.written.clear();
    }

    /// The word at an address, of which the low two bits do not count.
    pub fn read(&self, address: u32) -> u32 {
        let address = address & !3;
        if self.blank {
            return BLANK;
        }
        self.written.get(&address).copied().unwrap_or_else(|| self.at_first(address))
    }

    /// Writes the word at an address, as far as the register can be written.
    pub fn write(&mut self, address: u32, word: u32) {
        let address = address & !3;
        let mask = writable(address);
        if mask != 0 && !self.blank {
            self.written.insert(address, word & mask);
        }
    }

    /// Whether it sends no data over a link, if it has it.
    pub fn stops(&self, link: Link) -> bool {
        let (fpga, address) = link.register(BankRegister::STOP);
        fpga == self.fpga && !self.blank && self.read(address) != 0
    }

    fn at_first(&self, address: u32) -> u32 {
        let analogue = ANALOGUE.iter().find(|(register, _)| *register == address);
        match address {
            VERSION => DESIGN,
            FLAGS => FLAGS_FEATURES | self.fpga.number(),
            PKEY => u32::MAX,
            SCRAMBLER | LED => 0xF,
            _ => analogue.map_or(0, |(_, setting)| *setting),
        }
    }
}

/// The bits of a register that keep what is written.
fn writable(address: u32) -> u32 {
    let (bank, offset) = (address >> 16, BankRegister(address & 0xFFFF));
    match (address, offset) {
        (PKEY | PMSK | SLEN, _) => u32::MAX,
        (SCRAMBLER, _) => 0xF,
        (LED, _) => 0xFF,
        _ if ANALOGUE.iter().any(|(register, _)| *register == address) => u32::MAX,
        (_, BankRegister::IDLE_OUT) if bank < BANKS => 0xFFFF,
        (_, BankRegister::STOP) if bank < BANKS => 1,
        _ => 0,
    }
}
