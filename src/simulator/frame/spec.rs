//! What a frame is like when it is made: where it stands, who is on its bus, what its firmware calls itself.

use crate::spinnaker::bmp::{Board, Boards, IpSettings, IpTable, Restarts, Status};
use crate::spinnaker::version::Release;
use crate::spinnaker::{SCP_UDP_PORT, bmp};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;

/// The version that the firmware of the BMPs says it has. Clients look at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BmpVersion {
    /// In words, as all firmware does since 2.0.0: `2.1.2`.
    Words(String),
    /// In hundredths, as firmware did before: 133 is 1.33. No words follow then.
    Hundredths(u16),
}

impl BmpVersion {
    /// The same, as it is sent.
    pub fn release(&self) -> Release<'_> {
        match self {
            BmpVersion::Words(words) => Release::Words(words),
            BmpVersion::Hundredths(number) => Release::Hundredths(*number),
        }
    }
}

/// What a frame is like when it is made.
#[derive(Clone, Debug)]
pub struct FrameSpec {
    /// The cabinet it stands in. Only hardware addresses show it.
    pub cabinet: u32,
    /// Its number in the cabinet, which replies show.
    pub frame: u8,
    /// Who is on the bus. The board with the plug always is.
    pub boards: Boards,
    /// The board with the Ethernet plug, which also runs the backplane.
    pub ethernet_board: Board,
    /// When its firmware was built, in seconds since 1970.
    pub build_unix_s: u32,
    /// What its firmware calls itself.
    pub bmp_version: BmpVersion,
    /// Which 64 KiB of its flash the firmware was started from.
    pub code_block: u8,
    /// From which the rubbish in the padding of replies is made.
    pub seed: u64,
    /// How long a board needs for its three FPGAs after power on. A command that includes the board asked is answered
    /// only then.
    pub fpga_load_ms: u64,
    /// Whether FPGAs answer, and keep what was written to them, also without power. Real ones do not; those behind the recorded
    /// conversations with the firmware's own code did.
    pub fpgas_outlive_power: bool,
    /// Serial number of board 0, of which board n has the first word n higher.
    pub serial: [u32; 4],
    /// Why and when the BMPs started.
    pub restarts: Restarts,
    /// Readings that never change, by board. Those of other boards follow their power.
    pub sensors: BTreeMap<Board, Status>,
    /// Network settings, by board. Those of other boards follow from frame and board.
    pub networks: BTreeMap<Board, IpTable>,
}

/// The version of the hardware: a board with 48 chips.
pub const HARDWARE: u32 = 5;

/// Addresses of a frame's boards are this far apart; a BMP's is the first of them, that of the chips the second.
const ADDRESSES_PER_BOARD: u8 = 8;

impl FrameSpec {
    /// A frame of cabinet 0 with these boards, board 0 plugged in, firmware 2.1.2, and FPGAs that load at once.
    pub fn new(frame: u8, boards: Boards) -> FrameSpec {
        FrameSpec {
            cabinet: 0,
            frame,
            boards,
            ethernet_board: Board::FIRST,
            build_unix_s: 1_535_628_272,
            bmp_version: BmpVersion::Words("2.1.2".to_owned()),
            code_block: 1,
            seed: 1,
            fpga_load_ms: 0,
            fpgas_outlive_power: false,
            serial: [0x1122_3344, 0x5566_7788, 0x99AA_BBCC, 0xDDEE_FF00],
            restarts: Restarts([1, 0, 0, 0, 0, 0, 0, 0]),
            sensors: BTreeMap::new(),
            networks: BTreeMap::new(),
        }
    }

    /// Both Ethernet ports of a board.
    pub(super) fn network(&self, board: Board) -> IpTable {
        let followed = || IpTable { bmp: self.port_of(board, 0), spinnaker: self.port_of(board, 1) };
        self.networks.get(&board).copied().unwrap_or_else(followed)
    }

    fn port_of(&self, board: Board, port: u8) -> IpSettings {
        let [.., cabinet] = self.cabinet.to_be_bytes();
        IpSettings {
            flags: if port == 0 { 0x8000 } else { 0x8059 },
            mac: [0x02, 0, cabinet, self.frame, board.number(), port],
            address: Ipv4Addr::new(192, 168, self.frame, ADDRESSES_PER_BOARD * board.number() + port),
            gateway: Ipv4Addr::new(192, 168, self.frame, 254),
            mask: Ipv4Addr::new(255, 255, 255, 0),
            udp_port: SCP_UDP_PORT,
            unused: [0; 10],
        }
    }

    /// What the sensors of a board read.
    pub(super) fn status(&self, board: Board, on: bool) -> Status {
        let followed = || Reading { number: board.number().into(), on, plug: board == self.ethernet_board };
        self.sensors.get(&board).copied().unwrap_or_else(|| followed().status())
    }
}

/// What sensors depend on.
struct Reading {
    number: u16,
    on: bool,
    plug: bool,
}

impl Reading {
    /// Good readings, a little different on each board. What is switched off reads nothing; 3.3 V and supply stay.
    fn status(&self) -> Status {
        let switched = |reading: u16| if self.on { reading + self.number } else { 0 };
        let warmth = self.number.cast_signed() * 16 + if self.on { 1_500 } else { 0 };
        let none = Status::NO_TEMPERATURE;
        let mut voltages = [0; 8];
        for (rail, reading) in [
            (bmp::Rail::V12c, switched(1_966)),
            (bmp::Rail::V12b, switched(1_967)),
            (bmp::Rail::V12a, switched(1_968)),
            (bmp::Rail::V18, switched(2_949)),
            (bmp::Rail::V33, 3_604 + self.number),
            (bmp::Rail::Supply, 3_277 + self.number),
        ] {
            voltages[rail as usize] = reading;
        }
        Status {
            voltages,
            internal: [5_300 + warmth, 5_500 + warmth, none, none],
            external: if self.plug { [5_632, 5_888, none, none] } else { [none; 4] },
            fans: if self.plug { [2_400, 2_430, 0, 0] } else { [Status::NO_FAN; 4] },
            warnings: 0,
            shutdown: 0,
        }
    }
}
