//! One board: its BMP and what that watches over, and what it does when asked.

use super::event::{Events, FrameEvent};
use super::fpga::Registers;
use super::memory::{Memory, Sparse};
use super::power::Switches;
use super::spec::FrameSpec;
use super::tag::Tags;
use crate::spinnaker::bmp::Board;
use crate::spinnaker::bmp::fpga::Fpga;
use crate::spinnaker::exchange::At;
use crate::spinnaker::scp::{CommandCode, DATA_BYTES_MAX, LedAction, LedActions, ResultCode, Unit};
use crate::spinnaker::sdp::Chip;
use crate::spinnaker::version::Version;
use std::net::SocketAddrV4;

/// What is asked of a board.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The command.
    pub command: CommandCode,
    /// Its three arguments.
    pub arguments: [u32; 3],
    /// Arguments and data as they came: replies are written over them.
    pub over: &'a [u8],
    /// The data.
    pub data: &'a [u8],
    /// Who asks.
    pub from: SocketAddrV4,
    /// When.
    pub at: At,
}

/// What is answered: the body of a good reply, or a refusal.
pub(super) type Answer = Result<Vec<u8>, Refusal>;

/// A result that is not OK.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Which.
    pub result: ResultCode,
    /// Its body, which few have.
    pub body: Vec<u8>,
}

impl From<ResultCode> for Refusal {
    fn from(result: ResultCode) -> Refusal {
        Refusal { result, body: Vec::new() }
    }
}

impl Asked<'_> {
    /// The data, of a length that is said apart from it; what is missing is zero.
    pub fn data_of(&self, length: u32) -> Result<Vec<u8>, Refusal> {
        let length = bounded(length)?;
        Ok(self.data.iter().copied().chain(std::iter::repeat(0)).take(length).collect())
    }

    /// A body of a length, of which not all is filled: behind that the request is still there.
    pub fn filled(&self, filled: Vec<u8>, length: usize) -> Vec<u8> {
        let left = self.over.iter().copied().chain(std::iter::repeat(0)).skip(filled.len());
        filled.iter().copied().chain(left).take(length).collect()
    }
}

/// A length that a message can carry.
pub(super) fn bounded(length: u32) -> Result<usize, Refusal> {
    let fits = usize::try_from(length).ok().filter(|length| *length <= DATA_BYTES_MAX);
    fits.ok_or_else(|| ResultCode::ARG.into())
}

/// Bytes of the serial flash, which is there again after its end.
pub(super) const SERIAL_FLASH_BYTES: u32 = 64 << 10;

/// Bytes of the EEPROM.
pub(super) const EEPROM_BYTES: u32 = 256;

/// LEDs of a BMP.
const LEDS: u8 = 8;

/// A board.
#[derive(Debug)]
pub(super) struct BoardState {
    /// Which.
    pub board: Board,
    /// Whether it has the plug, and so runs the backplane.
    pub plug: bool,
    /// Whether its chips have power.
    pub on: bool,
    /// Whether its chips are held in reset.
    pub held: bool,
    /// What it will do about its power.
    pub switches: Switches,
    /// Its FPGAs.
    pub fpgas: [Registers; 3],
    /// Whether a piece of an FPGA's design was sent since the FPGAs were made ready for it.
    pub design_sent: bool,
    /// Its LEDs, a bit each.
    pub leds: u8,
    /// What the processor of its BMP finds at its addresses.
    pub memory: Memory,
    /// From which FPGAs are loaded. Whatever it holds, they are.
    pub serial_flash: Sparse,
    /// That of the backplane.
    pub eeprom: Sparse,
    /// Its tags.
    pub tags: Tags,
}

impl BoardState {
    /// A board that is off.
    pub fn new(board: Board, spec: &FrameSpec) -> BoardState {
        let mut state = BoardState {
            board,
            plug: board == spec.ethernet_board,
            on: false,
            held: false,
            switches: Switches::default(),
            fpgas: Fpga::ALL.map(Registers::new),
            design_sent: false,
            leds: 0,
            memory: Memory::new(),
            serial_flash: Sparse::new(SERIAL_FLASH_BYTES, 0),
            eeprom: Sparse::new(EEPROM_BYTES, 0),
            tags: Tags::new(),
        };
        if !spec.fpgas_outlive_power {
            state.fpgas.iter_mut().for_each(|fpga| fpga.load(false));
        }
        state.eeprom.write(0, &super::info::eeprom(spec));
        state.note_status(spec);
        state
    }

    /// Does what concerns this board alone.
    pub fn obey(&mut self, asked: &Asked<'_>, spec: &FrameSpec, events: &mut Events) -> Answer {
        use CommandCode as Code;
        let [first, second, third] = asked.arguments;
        match asked.command {
            Code::VER => Ok(self.version(spec)),
            Code::READ => self.read(asked),
            Code::WRITE => self.write(asked),
            Code::FILL => {
                self.memory.fill(first, second, third);
                Ok(Vec::new())
            }
            Code::LINK_READ => self.read_registers(asked),
            Code::LINK_WRITE => self.write_registers(asked, events),
            Code::LED => Ok(self.switch_leds(asked, events)),
            Code::IPTAG => self.tags.obey(asked.at, asked.arguments, asked.from),
            Code::BMP_INFO => self.info(spec, first),
            Code::FLASH_COPY => self.copy_flash(first, second, third),
            Code::FLASH_ERASE => self.erase_flash(first, second),
            Code::FLASH_WRITE => self.write_flash(first, second, third != 0),
            Code::BMP_SF => self.serial_flash(asked),
            Code::BMP_EE => self.eeprom(asked),
            Code::XILINX => self.load_fpgas(asked),
            Code::I2C | Code::PWM => Err(ResultCode::ARG.into()),
            _ => Err(ResultCode::CMD.into()),
        }
    }

    fn version(&self, spec: &FrameSpec) -> Vec<u8> {
        let number = self.board.number();
        let version = Version {
            core: number,
            physical_core: number,
            chip: Chip { x: spec.code_block, y: spec.frame },
            buffer_bytes: DATA_BYTES_MAX as u16,
            built_s: spec.build_unix_s,
            name: "BC&MP",
            hardware: "Spin5-BMP",
            release: spec.bmp_version.release(),
        };
        let mut body = Vec::new();
        version.encode(&mut body);
        body
    }

    fn read(&self, asked: &Asked<'_>) -> Answer {
        let [address, length, unit] = asked.arguments;
        let bytes = bounded(length)?;
        let filled = self.memory.read(address, length - length % unit_bytes(unit)?);
        Ok(asked.filled(filled, bytes))
    }

    fn write(&mut self, asked: &Asked<'_>) -> Answer {
        let [address, length, unit] = asked.arguments;
        let data = asked.data_of(length - length % unit_bytes(unit)?)?;
        self.memory.write(address, &data);
        Ok(Vec::new())
    }

    fn read_registers(&self, asked: &Asked<'_>) -> Answer {
        let [address, length, fpga] = asked.arguments;
        let (bytes, fpga) = (bounded(length)?, self.fpgas.get(fpga as usize).ok_or(ResultCode::ARG)?);
        let words = (0..length / 4).map(|word| fpga.read(address.wrapping_add(4 * word)));
        let filled = words.flat_map(u32::to_le_bytes).collect();
        Ok(asked.filled(filled, bytes))
    }

    fn write_registers(&mut self, asked: &Asked<'_>, events: &mut Events) -> Answer {
        let [address, length, fpga] = asked.arguments;
        let data = asked.data_of(length)?;
        let fpga = self.fpgas.get_mut(fpga as usize).ok_or(ResultCode::ARG)?;
        let (chunks, _) = data.as_chunks::<4>();
        let words: Vec<u32> = chunks.iter().map(|word| u32::from_le_bytes(*word)).collect();
        for (number, word) in (0..).zip(&words) {
            fpga.write(address.wrapping_add(4 * number), *word);
        }
        let (board, fpga, register, at) = (self.board, fpga.fpga(), address & !3, asked.at);
        events.push(FrameEvent::FpgaWrite { board, fpga, register, words, at });
        Ok(Vec::new())
    }

    /// Only this board's, whatever boards the request names.
    fn switch_leds(&mut self, asked: &Asked<'_>, events: &mut Events) -> Vec<u8> {
        let [actions, ..] = asked.arguments;
        for led in 0..LEDS {
            match LedActions(actions).of(led) {
                Some(LedAction::Toggle) => self.leds ^= 1 << led,
                Some(LedAction::Off) => self.leds &= !(1 << led),
                Some(LedAction::On) => self.leds |= 1 << led,
                None => {}
            }
        }
        events.push(FrameEvent::Led { board: self.board, leds: self.leds, at: asked.at });
        Vec::new()
    }

    /// A piece of a design, or what comes before and after all pieces.
    fn load_fpgas(&mut self, asked: &Asked<'_>) -> Answer {
        let [operation, second, _] = asked.arguments;
        match (operation, second) {
            (0, length) => self.design_sent |= !asked.data_of(length)?.is_empty(),
            (1, mask) => self.empty_fpgas(mask),
            (2, 0..=2) => self.set_reset_line(second),
            _ => return Err(ResultCode::ARG.into()),
        }
        Ok(Vec::new())
    }

    fn empty_fpgas(&mut self, mask: u32) {
        self.design_sent = false;
        for fpga in self.fpgas.iter_mut().filter(|fpga| mask >> fpga.fpga().number() & 1 == 1) {
            fpga.load(false);
        }
    }

    /// Low is 0, high 1, a pulse 2. FPGAs are reset by low, and those that have got a design work from high on.
    fn set_reset_line(&mut self, line: u32) {
        for fpga in &mut self.fpgas {
            match fpga.is_blank() {
                true if self.design_sent && line != 0 => fpga.load(true),
                false if line != 1 => fpga.reset(),
                _ => {}
            }
        }
    }
}

/// How many bytes an access moves.
fn unit_bytes(unit: u32) -> Result<u32, Refusal> {
    let unit = Unit::of_number(unit).ok_or(ResultCode::ARG)?;
    Ok(1 << unit.number())
}
