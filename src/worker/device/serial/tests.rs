//! Ports against pseudo-terminals with a firmware of the test's own behind them, and boards in trees like /sys.

use super::*;
use crate::worker::kind;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::json;
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc::channel;

/// A board that runs, in trees of its own; gone when dropped.
struct Bench {
    root: PathBuf,
    far: File,
    /// Held open, so that it stays as it was set: nothing comes back as an echo.
    _near: Port,
}

impl Bench {
    fn new(name: &str) -> Bench {
        let root = std::env::temp_dir().join(format!("berth-usb-{}-{name}", std::process::id()));
        let far = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a pseudo-terminal");
        grantpt(&far).and_then(|()| unlockpt(&far)).expect("it is ours");
        let near = ptsname(&far, Vec::new()).expect("a name");
        let device = root.join("sys/bus/usb/devices/1-1");
        std::fs::create_dir_all(device.join("1-1:1.0/tty/ttyACM0")).expect("a folder");
        std::fs::create_dir_all(root.join("dev")).expect("a folder");
        for (file, text) in [("idVendor", "2e8a"), ("product", "pico-ice"), ("serial", "A")] {
            std::fs::write(device.join(file), text).expect("a file");
        }
        let near = Path::new(std::ffi::OsStr::from_bytes(near.as_bytes()));
        std::os::unix::fs::symlink(near, root.join("dev/ttyACM0")).expect("a link");
        let _near = Port::open(near, BAUD).expect("a port");
        Bench { root, far: File::from(far), _near }
    }

    fn board(&self) -> OnUsb {
        let places = Places {
            sys: self.root.join("sys"),
            dev: self.root.join("dev"),
            mounts: self.root.join("mounts"),
            folder: self.root.join("folder"),
            mount: vec!["false".to_owned()],
            unmount: Vec::new(),
            firmware: BTreeMap::from([("default".to_owned(), self.root.join("default.uf2"))]),
        };
        OnUsb::new("A", places)
    }

    fn say(&self, line: &str) {
        (&self.far).write_all(format!("{line}\r\n").as_bytes()).expect("said");
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.root).ok();
    }
}

/// Firmware of so many blocks.
fn firmware(blocks: usize) -> Vec<u8> {
    let mut block = vec![0; UF2_BLOCK_BYTES];
    block[..UF2_MAGIC.len()].copy_from_slice(UF2_MAGIC);
    block.repeat(blocks)
}

#[test]
fn a_bitstream_goes_to_firmware_that_waits_and_its_line_is_the_result() {
    let bench = Bench::new("evaluate");
    let (mut board, mut far) = (bench.board(), bench.far.try_clone().expect("the far end"));
    let bitstream: Vec<u8> = (0..10_000_u32).map(|number| number as u8).collect();
    let (sent, expected) = (bitstream.clone(), json!("4711"));
    let evaluated = std::thread::spawn(move || {
        let kind = kind::make("pulsecount", &Value::Null).expect("a kind");
        board.evaluate(&*kind, &sent, &Halt::default())
    });
    // A port that is being opened forgets what was said before, so it is said again and again, as firmware does.
    let (heard, came) = channel();
    let length = bitstream.len();
    std::thread::spawn(move || {
        let mut bytes = vec![0; length];
        heard.send(far.read_exact(&mut bytes).map(|()| bytes)).ok();
    });
    let received = loop {
        bench.say(READY_LINE);
        if let Ok(received) = came.recv_timeout(Duration::from_millis(20)) {
            break received.expect("bytes");
        }
    };
    assert_eq!(received, bitstream);
    bench.say("pulses: 4711");
    assert_eq!(evaluated.join().expect("no panic"), Ok(expected));
}

#[test]
fn a_watchdog_or_silence_or_an_order_to_give_up_is_an_error() {
    let bench = Bench::new("errors");
    let mut port = Port::open(&bench.root.join("dev/ttyACM0"), BAUD).expect("a port");
    let mut until = |span: u64, halt: &Halt| {
        port.until_line(Duration::from_millis(span), halt, |line| line.strip_prefix("x=").map(str::to_owned))
    };
    bench.say("y=1");
    bench.say("x=2");
    assert_eq!(until(10_000, &Halt::default()), Ok("2".to_owned()));
    assert_eq!(until(0, &Halt::default()), Err("the board says nothing".to_owned()));
    let halt = Halt::default();
    halt.halt();
    assert_eq!(until(10_000, &halt), Err("it was told to give up".to_owned()));
}

#[test]
fn the_default_firmware_shows_itself_by_its_line() {
    let bench = Bench::new("test");
    let mut board = bench.board();
    let (done, came) = channel();
    std::thread::spawn(move || done.send(board.test(&Halt::default())));
    let tested = loop {
        bench.say("pico-ice default firmware 1.0");
        if let Ok(tested) = came.recv_timeout(Duration::from_millis(20)) {
            break tested;
        }
    };
    assert_eq!(tested, Ok(()));
}

#[test]
fn firmware_is_copied_to_the_partition_of_a_boot_loader_and_to_nothing_else() {
    let bench = Bench::new("flash");
    let (board, halt, disk) = (bench.board(), Halt::default(), bench.root.join("dev/sdb1"));
    std::fs::write(bench.root.join("default.uf2"), firmware(3)).expect("a file");
    let image = board.image(Image::Default).expect("an image");
    assert_eq!(board.image(Image::Kind("oven")), Err("no firmware is configured for 'oven'".to_owned()));
    std::fs::write(bench.root.join("default.uf2"), b"UF2\nbut short").expect("a file");
    assert!(board.image(Image::Default).expect_err("refused").ends_with("is no UF2 file"));
    let folder = bench.root.join("media/RP 2350");
    std::fs::create_dir_all(&folder).expect("a folder");
    let shown = folder.display().to_string().replace(' ', "\\040");
    std::fs::write(bench.root.join("mounts"), format!("{} {shown} vfat rw 0 0\n", disk.display()))
        .expect("a file");
    let refused = board.load(&disk, &image, &halt).expect_err("it is no boot loader");
    assert!(refused.ends_with("is not the partition of a boot loader"), "{refused}");
    std::fs::write(folder.join(INFO_FILE), "UF2").expect("a file");
    assert_eq!(board.load(&disk, &image, &halt), Ok(()));
    assert_eq!(std::fs::read(folder.join("firmware.uf2")).expect("a file"), image);
    // One that nobody mounts, and whose command fails.
    let other = bench.root.join("dev/sdc1");
    let failed = board.load(&other, &image, &halt).expect_err("no mount");
    assert!(failed.starts_with("false ended with"), "{failed}");
}
