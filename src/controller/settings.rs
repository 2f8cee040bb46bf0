//! What a configuration may say of a controller, and of the boards it is given.
//!
//! What is deliberately not here: how a file spells it.

use crate::allocator::BoardIndex;
use crate::lab::machine::MachineSpec;
use crate::spinnaker::{BOOT_UDP_PORT, SCP_UDP_PORT, bmp, boot, system_variables};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What kind of controller a machine has, and what is set for it.
#[derive(Clone, Debug, PartialEq)]
pub enum ControllerSettings {
    /// Boards that are only simulated.
    Simulated(SimulatedSettings),
    /// Boards that a program of the operator's makes obey.
    Command(CommandSettings),
    /// SpiNNaker boards, through the BMPs of their frames.
    Bmp(BmpSettings),
}

impl ControllerSettings {
    /// Whether boards can be booted when a job asks for it. Simulated boards do it in the books; a program sees what the job
    /// asks for; BMPs need an image.
    pub fn boots(&self) -> bool {
        match self {
            ControllerSettings::Simulated(_) | ControllerSettings::Command(_) => true,
            ControllerSettings::Bmp(settings) => settings.boot_image.is_some(),
        }
    }
}

/// How simulated boards behave. By default they obey at once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SimulatedSettings {
    /// Where chance starts; the same seed and the same tasks bring the same outcomes.
    pub seed: u64,
    /// How long preparing a board takes.
    pub prepare_ms: u64,
    /// How long switching a board off takes, or off and on.
    pub power_ms: u64,
    /// How long cleaning a board takes.
    pub clean_ms: u64,
    /// How long testing a board takes.
    pub test_ms: u64,
    /// Up to this much is added by chance to each of them, for each board.
    pub jitter_ms: u64,
    /// The share of tasks in which a board fails, from 0 to 1.
    pub fail_share: f64,
    /// The share of tasks to which a board never answers, from 0 to 1.
    pub silent_share: f64,
    /// Boards that always fail to prepare, and therefore every test.
    pub broken_boards: Vec<BoardIndex>,
    /// Boards that never answer anything.
    pub stuck_boards: Vec<BoardIndex>,
}

/// Which program makes boards obey, and how much it may take. `command` says how it is called.
#[derive(Clone, Debug, PartialEq)]
pub struct CommandSettings {
    /// The program and its arguments; in each of them, words in braces stand for what is asked (`{board}`).
    pub program: Vec<String>,
    /// Where it runs; where the server runs, if not set.
    pub directory: Option<PathBuf>,
    /// Variables it finds in its environment beside the few it always has.
    pub environment: BTreeMap<String, String>,
    /// After so long it is killed, with all it has started.
    pub time_limit_ms: u64,
    /// So many run at once for the whole machine. When all of them hang, its other boards wait for the time limit.
    pub parallel_max: usize,
}

impl Default for CommandSettings {
    fn default() -> CommandSettings {
        CommandSettings {
            program: Vec::new(),
            directory: None,
            environment: BTreeMap::new(),
            time_limit_ms: 60_000,
            parallel_max: 8,
        }
    }
}

/// How SpiNNaker boards are switched. What goes over the wire is in `protocol-spec/controllers.md`.
#[derive(Clone, Debug, PartialEq)]
pub struct BmpSettings {
    /// The UDP port of the BMPs.
    pub port: u16,
    /// The UDP port at which a board's chips answer once they are booted.
    pub board_port: u16,
    /// The UDP port at which a board that is on waits for a boot image.
    pub boot_port: u16,
    /// How long a BMP may take to switch boards on; with its own board among them it answers when its FPGAs are loaded.
    pub power_on_ms_max: u64,
    /// How long a BMP may take to switch boards off; it may be switching others on.
    pub power_off_ms_max: u64,
    /// How long boards are left alone after they were switched on: BMPs answer before the other boards are up.
    pub on_settle_ms: u64,
    /// How long after that FPGAs may take to be themselves, before the board is switched off and on again.
    pub fpga_ms_max: u64,
    /// How often a board is switched in all, before it is given up.
    pub power_tries: u32,
    /// How long an order may take in all: well below the machine's own bound, so that a reason is told and not only a time-out.
    pub order_ms_max: u64,
    /// What boards are booted with, when a job asks for it.
    pub boot_image: Option<BootImage>,
    /// How long a boot may take, from the first block to the last chip.
    pub boot_ms_max: u64,
    /// A booted board with fewer chips has failed.
    pub chips_per_board_min: u32,
}

impl Default for BmpSettings {
    fn default() -> BmpSettings {
        BmpSettings {
            port: SCP_UDP_PORT,
            board_port: SCP_UDP_PORT,
            boot_port: BOOT_UDP_PORT,
            power_on_ms_max: 10_000,
            power_off_ms_max: 10_000,
            on_settle_ms: 2_500,
            fpga_ms_max: 3_000,
            power_tries: 3,
            order_ms_max: order_ms_max(60_000),
            boot_image: None,
            boot_ms_max: 20_000,
            chips_per_board_min: CHIPS_PER_BOARD,
        }
    }
}

/// The chips of a whole board.
pub const CHIPS_PER_BOARD: u32 = 48;

/// The most boards a frame has.
pub const FRAME_BOARDS_MAX: u32 = bmp::Board::COUNT as u32;

/// What a BMP controller allows itself of the time a machine has for an order: four fifths.
pub fn order_ms_max(machine_ms_max: u64) -> u64 {
    (machine_ms_max / 5 * 4).max(1)
}

/// SC&MP, as boards are booted with it.
#[derive(Clone, PartialEq)]
pub struct BootImage {
    /// The file it came from.
    pub path: PathBuf,
    /// What was in it; nothing before the file was read.
    pub bytes: Arc<[u8]>,
}

impl BootImage {
    /// An image whose file is still to be read.
    pub fn of_file(path: PathBuf) -> BootImage {
        BootImage { path, bytes: Arc::from([]) }
    }

    /// So many bytes a boot ROM takes at the most.
    pub const BYTES_MAX: usize = boot::IMAGE_BYTES_MAX;

    /// Takes what is in the file; an error says why no board can be booted with it.
    pub fn take(&mut self, bytes: &[u8]) -> Result<(), String> {
        let (count, min) = (bytes.len(), boot::VARIABLES.end);
        if count > BootImage::BYTES_MAX {
            return Err(format!("is no boot image: a boot ROM takes {} bytes at most", BootImage::BYTES_MAX));
        }
        let variables = system_variables::SystemVariables::default();
        boot::messages(bytes, &variables)
            .map_err(|_| format!("is no boot image: it has {count} bytes, and one has {min} at least"))?;
        self.bytes = bytes.into();
        Ok(())
    }
}

impl fmt::Debug for BootImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "BootImage({}, {} bytes)", self.path.display(), self.bytes.len())
    }
}

/// The boards of a machine as programs and people name them.
#[derive(Clone)]
pub struct Boards {
    /// How many there are.
    pub count: u32,
    /// The machine they are of; none for boards that have names and nothing else.
    pub spec: Option<Arc<MachineSpec>>,
    /// What a board is called: a serial, or where it stands.
    text: Arc<dyn Fn(BoardIndex) -> Arc<str> + Send + Sync>,
}

impl Boards {
    /// Boards whose names are made when they are needed, because a machine may have millions.
    pub fn new(count: u32, text: impl Fn(BoardIndex) -> Arc<str> + Send + Sync + 'static) -> Boards {
        Boards { count, spec: None, text: Arc::new(text) }
    }

    /// The boards of a machine.
    pub fn of(spec: Arc<MachineSpec>) -> Boards {
        let named = spec.clone();
        let text = move |board| named.board_name(board).to_string().into();
        Boards { count: spec.board_count(), spec: Some(spec), text: Arc::new(text) }
    }

    /// Boards with these names.
    pub fn named(names: impl IntoIterator<Item = impl Into<Arc<str>>>) -> Boards {
        let names: Vec<Arc<str>> = names.into_iter().map(Into::into).collect();
        let count = names.len() as u32;
        Boards::new(count, move |board| names.get(board.0 as usize).cloned().unwrap_or_else(|| "".into()))
    }

    /// What a board is called.
    pub fn text(&self, board: BoardIndex) -> Arc<str> {
        (self.text)(board)
    }
}

impl fmt::Debug for Boards {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Boards({})", self.count)
    }
}
