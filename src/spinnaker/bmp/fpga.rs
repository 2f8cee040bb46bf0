//! The registers of a board's FPGAs, which carry the links to other boards.
//!
//! Each of the three FPGAs serves two links to neighbouring boards and one to the periphery, a bank of registers each, and has
//! registers of its own at 0x40000. Addresses count bytes; all registers are words. After power on all is as it was made:
//! links are open.

/// Which of the three FPGAs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fpga {
    /// 0: east and south.
    EastSouth = 0,
    /// 1: south-west and west.
    SouthWestWest = 1,
    /// 2: north and north-east.
    NorthNorthEast = 2,
}

impl Fpga {
    /// All three, in order.
    pub const ALL: [Fpga; 3] = [Fpga::EastSouth, Fpga::SouthWestWest, Fpga::NorthNorthEast];

    /// Its number.
    pub fn number(self) -> u32 {
        self as u32
    }
}

/// A link from a board to its neighbour, in the order of chip links.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Link {
    /// 0.
    East,
    /// 1.
    NorthEast,
    /// 2.
    North,
    /// 3.
    West,
    /// 4.
    SouthWest,
    /// 5.
    South,
}

impl Link {
    /// All six, counter-clockwise from the east.
    pub const ALL: [Link; 6] =
        [Link::East, Link::NorthEast, Link::North, Link::West, Link::SouthWest, Link::South];

    /// Which FPGA has it, and at which address its bank starts.
    pub fn bank(self) -> (Fpga, u32) {
        match self {
            Link::East => (Fpga::EastSouth, 0),
            Link::South => (Fpga::EastSouth, BANK_BYTES),
            Link::SouthWest => (Fpga::SouthWestWest, 0),
            Link::West => (Fpga::SouthWestWest, BANK_BYTES),
            Link::North => (Fpga::NorthNorthEast, 0),
            Link::NorthEast => (Fpga::NorthNorthEast, BANK_BYTES),
        }
    }

    /// The FPGA and the address of one of its registers.
    pub fn register(self, register: BankRegister) -> (Fpga, u32) {
        let (fpga, bank) = self.bank();
        (fpga, bank + register.0)
    }
}

/// From one bank to the next; the third is the periphery's.
pub const BANK_BYTES: u32 = 0x1_0000;

/// A register of a link, by its offset in the bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BankRegister(pub u32);

impl BankRegister {
    /// The version of the link's protocol.
    pub const VERSION: BankRegister = BankRegister(0x00);
    /// Frames with a wrong checksum.
    pub const CRC_ERRORS: BankRegister = BankRegister(0x04);
    /// Frames that were no frames.
    pub const FRAME_ERRORS: BankRegister = BankRegister(0x08);
    /// Times the other end was busy.
    pub const BUSY: BankRegister = BankRegister(0x0C);
    /// What is sent while idle, 16 bits; can be written.
    pub const IDLE_OUT: BankRegister = BankRegister(0x4C);
    /// What is received while idle.
    pub const IDLE_IN: BankRegister = BankRegister(0x50);
    /// Bit 0: the ends have met; bit 1: their versions differ.
    pub const HANDSHAKE: BankRegister = BankRegister(0x54);
    /// How often the ends met again.
    pub const RECONNECTIONS: BankRegister = BankRegister(0x58);
    /// 1: send no data; can be written. A link is cut cleanly only if both ends stop.
    pub const STOP: BankRegister = BankRegister(0x5C);
}

/// The version of the FPGA's design.
pub const VERSION: u32 = 0x4_0000;

/// Flags: bits 0 and 1 are the FPGA's own number, which tells whether it was loaded rightly.
pub const FLAGS: u32 = 0x4_0004;

/// The bits of the flags that are the FPGA's number.
pub const FLAGS_ID: u32 = 3;

/// The key of packets from the periphery.
pub const PKEY: u32 = 0x4_0008;

/// The mask of packets from the periphery.
pub const PMSK: u32 = 0x4_000C;

/// The scrambler, a bit for each link.
pub const SCRAMBLER: u32 = 0x4_0010;

/// Two bits for each chip link; 0 switches it off. Not the way to part two jobs, for which there is `BankRegister::STOP`.
pub const SLEN: u32 = 0x4_0014;

/// Who drives the LEDs.
pub const LED: u32 = 0x4_0018;
