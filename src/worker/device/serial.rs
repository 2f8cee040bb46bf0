//! Boards on USB: firmware over the partition that their boot loader shows, bitstreams over their serial port.
//!
//! `Port` is a serial port that never blocks for longer than asked; `OnUsb` is the board. What the firmware says is known by a
//! few words in its lines.

use super::sysfs::{Found, scan};
use super::{Device, Halt};
use crate::worker::board::Image;
use crate::worker::kind::Kind;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::termios::{OptionalActions, tcgetattr, tcsetattr};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// What the default firmware says of itself.
const DEFAULT_LINE: &str = "default firmware";
/// What firmware says that can take a bitstream.
const READY_LINE: &str = "Waiting for bitstream transfer";
/// What it says when a bitstream did not come whole.
const WATCHDOG_LINE: &str = "Watchdog timeout";
/// At this speed boards enter their boot loader.
const BOOT_BAUD: u32 = 1_200;
/// The speed otherwise; over USB any will do.
const BAUD: u32 = 115_200;
/// Bytes that are written at once.
const WRITE_BYTES_MAX: usize = 512;
/// How long the default firmware may take to say its line, and how often it is waited for.
const TEST_LINE_MAX: Duration = Duration::from_secs(2);
/// See above.
const TEST_TRIES: u32 = 5;
/// How long firmware may take to be ready for a bitstream, and then to say a result.
const LINE_MAX: Duration = Duration::from_secs(10);
/// A port settles for so long after firmware was loaded.
const SETTLE: Duration = Duration::from_secs(2);
/// Between two looks at what is plugged in, or whether to give up.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// The longest line that firmware says.
const LINE_BYTES_MAX: usize = 64 * 1024;
/// The file that every UF2 boot loader shows.
const INFO_FILE: &str = "INFO_UF2.TXT";
/// A UF2 file is of blocks of so many bytes, each of which begins like this.
const UF2_BLOCK_BYTES: usize = 512;
/// See above.
const UF2_MAGIC: &[u8] = b"UF2\n";
/// The largest firmware.
const FIRMWARE_BYTES_MAX: u64 = 64 << 20;

/// Where things are, and how partitions are mounted.
#[derive(Clone, Debug)]
pub struct Places {
    /// /sys.
    pub sys: PathBuf,
    /// /dev.
    pub dev: PathBuf,
    /// What is mounted where, as in /proc/self/mounts.
    pub mounts: PathBuf,
    /// Below this partitions are mounted that the system does not mount by itself.
    pub folder: PathBuf,
    /// How, with {device} and {folder}.
    pub mount: Vec<String>,
    /// And how they are unmounted.
    pub unmount: Vec<String>,
    /// Files with firmware: "default", and the names of kinds.
    pub firmware: BTreeMap<String, PathBuf>,
}

/// A board on USB.
pub struct OnUsb {
    serial: String,
    places: Places,
}

impl OnUsb {
    /// The board with this serial.
    pub fn new(serial: &str, places: Places) -> OnUsb {
        OnUsb { serial: serial.to_owned(), places }
    }

    fn found(&self) -> Option<Found> {
        scan(&self.places.sys).into_iter().find(|found| found.serial == self.serial)
    }

    /// Waits until the board shows something.
    fn wait_for(&self, what: impl Fn(Found) -> Option<String>, halt: &Halt) -> Result<PathBuf, String> {
        loop {
            if let Some(name) = self.found().and_then(&what) {
                return Ok(self.places.dev.join(name));
            }
            halt.wait(LOOK_EVERY)?;
        }
    }

    fn image(&self, image: Image) -> Result<Vec<u8>, String> {
        let name = match image {
            Image::Default => "default",
            Image::Kind(name) => name,
        };
        let file = self
            .places
            .firmware
            .get(name)
            .ok_or_else(|| format!("no firmware is configured for '{name}'"))?;
        let failed = |error: std::io::Error| format!("{}: {error}", file.display());
        let mut bytes = Vec::new();
        File::open(file).map_err(failed)?.take(FIRMWARE_BYTES_MAX).read_to_end(&mut bytes).map_err(failed)?;
        let whole = !bytes.is_empty() && bytes.len() % UF2_BLOCK_BYTES == 0;
        let good = whole && bytes.chunks(UF2_BLOCK_BYTES).all(|block| block.starts_with(UF2_MAGIC));
        good.then_some(bytes).ok_or_else(|| format!("{} is no UF2 file", file.display()))
    }

    /// Brings firmware to a boot loader's partition.
    fn load(&self, disk: &Path, image: &[u8], halt: &Halt) -> Result<(), String> {
        if let Some(folder) = self.mounted_at(disk) {
            return copy(&folder, image);
        }
        let folder = self.places.folder.join(&self.serial);
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        run(&self.places.mount, disk, &folder, halt)?;
        let copied = copy(&folder, image);
        // The board is gone once it has its firmware: that this fails says nothing.
        let _ = run(&self.places.unmount, disk, &folder, halt);
        copied
    }

    fn mounted_at(&self, disk: &Path) -> Option<PathBuf> {
        let mounts = std::fs::read_to_string(&self.places.mounts).ok()?;
        let own = |line: &&str| line.split(' ').next().is_some_and(|device| Path::new(device) == disk);
        // Blanks are written as numbers there.
        let folder = mounts.lines().find(own)?.split(' ').nth(1)?.replace("\\040", " ");
        Some(PathBuf::from(folder))
    }

    fn open(&self, halt: &Halt) -> Result<Port, String> {
        let path = self.wait_for(|found| found.port, halt)?;
        Port::open(&path, BAUD).map_err(|error| format!("{}: {error}", path.display()))
    }
}

impl Device for OnUsb {
    fn flash(&mut self, image: Image, halt: &Halt) -> Result<(), String> {
        let bytes = self.image(image)?;
        if let Some(port) = self.found().filter(|found| found.disk.is_none()).and_then(|found| found.port) {
            // It may hang up before it has answered.
            let _ = Port::open(&self.places.dev.join(port), BOOT_BAUD);
        }
        let disk = self.wait_for(|found| found.disk, halt)?;
        self.load(&disk, &bytes, halt)?;
        self.wait_for(|found| found.port.filter(|_| found.disk.is_none()), halt)?;
        match image {
            Image::Default => Ok(()),
            Image::Kind(_) => halt.wait(SETTLE),
        }
    }

    fn test(&mut self, halt: &Halt) -> Result<(), String> {
        for _ in 0..TEST_TRIES {
            let mut port = self.open(halt)?;
            if port.until_line(TEST_LINE_MAX, halt, |line| line.contains(DEFAULT_LINE).then_some(())).is_ok()
            {
                return Ok(());
            }
            halt.check()?;
        }
        Err("the default firmware does not say its line".to_owned())
    }

    fn evaluate(&mut self, kind: &dyn Kind, bitstream: &[u8], halt: &Halt) -> Result<Value, String> {
        let mut port = self.open(halt)?;
        port.until_line(LINE_MAX, halt, |line| line.contains(READY_LINE).then_some(()))?;
        port.write(bitstream, LINE_MAX, halt)?;
        port.until_line(LINE_MAX, halt, |line| match line.contains(WATCHDOG_LINE) {
            true => Some(Err("the bitstream did not come whole".to_owned())),
            false => kind.read(line).map(Ok),
        })?
    }
}

/// Writes firmware into the folder of a boot loader.
fn copy(folder: &Path, image: &[u8]) -> Result<(), String> {
    if !folder.join(INFO_FILE).is_file() {
        return Err(format!("{} is not the partition of a boot loader", folder.display()));
    }
    let written = File::create(folder.join("firmware.uf2")).and_then(|mut file| {
        file.write_all(image)?;
        // The board may start before it has answered this.
        file.sync_all().or(Ok(()))
    });
    written.map_err(|error| format!("{}: {error}", folder.display()))
}

/// Runs a command with its words filled in.
fn run(words: &[String], disk: &Path, folder: &Path, halt: &Halt) -> Result<(), String> {
    let (device, folder) = (disk.to_string_lossy(), folder.to_string_lossy());
    let mut words = words.iter().map(|word| word.replace("{device}", &device).replace("{folder}", &folder));
    let program = words.next().ok_or("no command to mount with is configured")?;
    let failed = |error: std::io::Error| format!("{program}: {error}");
    let mut command = Command::new(&program);
    command.args(words).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(failed)?;
    loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            return if status.success() { Ok(()) } else { Err(format!("{program} ended with {status}")) };
        }
        if let Err(why) = halt.wait(LOOK_EVERY) {
            // It may just have ended.
            let _ = child.kill().and_then(|()| child.wait());
            return Err(why);
        }
    }
}

/// A serial port.
pub struct Port {
    file: File,
    read: Vec<u8>,
}

impl Port {
    /// Opens it for bytes as they are, at this speed.
    pub fn open(path: &Path, baud: u32) -> std::io::Result<Port> {
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let file = rustix::fs::open(path, flags, Mode::empty())?;
        let mut attributes = tcgetattr(&file)?;
        attributes.make_raw();
        attributes.set_speed(baud)?;
        tcsetattr(&file, OptionalActions::Now, &attributes)?;
        Ok(Port { file: File::from(file), read: Vec::new() })
    }

    /// Writes in small pieces.
    pub fn write(&mut self, bytes: &[u8], span: Duration, halt: &Halt) -> Result<(), String> {
        let until = Instant::now() + span;
        for mut piece in bytes.chunks(WRITE_BYTES_MAX) {
            while !piece.is_empty() {
                match self.file.write(piece) {
                    Ok(count) => piece = piece.get(count..).unwrap_or_default(),
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.wait(PollFlags::OUT, until, halt, "the board takes no bytes")?;
                    }
                    Err(error) => return Err(format!("the serial port: {error}")),
                }
            }
        }
        Ok(())
    }

    /// Reads lines until one is good for something.
    pub fn until_line<T>(
        &mut self,
        span: Duration,
        halt: &Halt,
        mut take: impl FnMut(&str) -> Option<T>,
    ) -> Result<T, String> {
        let until = Instant::now() + span;
        loop {
            while let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.read.drain(..=end).collect();
                if let Some(taken) = take(String::from_utf8_lossy(&line).trim_end()) {
                    return Ok(taken);
                }
            }
            if self.read.len() > LINE_BYTES_MAX {
                self.read.clear();
            }
            let mut bytes = [0; 4096];
            match self.file.read(&mut bytes) {
                Ok(0) => return Err("the serial port was closed".to_owned()),
                Ok(count) => self.read.extend_from_slice(bytes.get(..count).unwrap_or_default()),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wait(PollFlags::IN, until, halt, "the board says nothing")?;
                }
                Err(error) => return Err(format!("the serial port: {error}")),
            }
        }
    }

    /// Waits for a moment, but not for ever.
    fn wait(&self, what: PollFlags, until: Instant, halt: &Halt, why: &str) -> Result<(), String> {
        halt.check()?;
        if Instant::now() >= until {
            return Err(why.to_owned());
        }
        let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(LOOK_EVERY.subsec_nanos()) };
        // What is wrong with the port is found when it is used next.
        let _ = poll(&mut [PollFd::new(&self.file, what)], Some(&timeout));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
