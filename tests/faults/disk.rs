//! A disk that fails when it is told to: a library that is loaded before the C library (`LD_PRELOAD`) and stands
//! before its calls that write. `tests/it/disk.rs` compiles it with `rustc` alone and says what is to fail.
//!
//! `DISK_FAULTS_DIR` names the directory below which files are looked at; everything else is let through.
//! `DISK_FAULTS` names a file with one line, read anew at each call:
//!
//! ```text
//!   CALLS END FAULT [after N]
//!   CALLS: write (write, pwrite, pwrite64), sync (fsync, fdatasync), truncate (ftruncate, ftruncate64), any
//!   END:   the end of the file's name, or *
//!   FAULT: ENOSPC, EDQUOT, EIO: the call fails so           KILL: the process is killed before the call
//!          SHORT: half is written, and the call says so    TORN: half is written, then the process is killed
//!          (TORN tears no write that fits a sector: it is killed before)
//!   N:     so many calls that fit are let through first, counted since the process began or the line changed
//! ```
//!
//! Each fault that is made is noted as a line in a file beside that one, whose name ends in `.made`. No file, or a
//! line that says nothing, is a disk that works.

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::OnceLock;

/// "The next library that has this name", for `dlsym`.
const RTLD_NEXT: *mut c_void = -1isize as *mut c_void;
/// Input/output error.
const EIO: c_int = 5;
/// No space left on device.
const ENOSPC: c_int = 28;
/// Quota exceeded.
const EDQUOT: c_int = 122;
/// What a disk writes wholly or not at all.
const SECTOR_BYTES: usize = 512;
/// The signal that cannot be caught.
const SIGKILL: c_int = 9;

unsafe extern "C" {
    fn dlsym(handle: *mut c_void, symbol: *const c_char) -> *mut c_void;
    fn __errno_location() -> *mut c_int;
    fn raise(signal: c_int) -> c_int;
}

/// What a call is to suffer.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    Fails(c_int),
    Short,
    Torn,
    Kill,
}

/// The line in force, and how many calls have fit it.
struct Orders {
    line: String,
    seen: u64,
}

static ORDERS: Mutex<Orders> = Mutex::new(Orders { line: String::new(), seen: 0 });

/// Where the line stands, and which files are looked at.
fn places() -> Option<&'static (PathBuf, PathBuf)> {
    static PLACES: OnceLock<Option<(PathBuf, PathBuf)>> = OnceLock::new();
    let found = PLACES.get_or_init(|| {
        let orders = std::env::var_os("DISK_FAULTS")?;
        let below = std::env::var_os("DISK_FAULTS_DIR")?;
        Some((orders.into(), Path::new(&below).canonicalize().ok()?))
    });
    found.as_ref()
}

/// What this call on this file is to suffer now.
fn fault(calls: &str, fd: c_int) -> Option<Fault> {
    let (orders, below) = places()?;
    let file = std::fs::read_link(format!("/proc/self/fd/{fd}")).ok()?;
    if !file.starts_with(below) {
        return None;
    }
    let line = std::fs::read_to_string(orders).unwrap_or_default();
    let mut state = ORDERS.lock().ok()?;
    if state.line != line {
        *state = Orders { line: line.clone(), seen: 0 };
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let (fault, after) = match words.as_slice() {
        [which, end, fault, rest @ ..] if fits(which, end, calls, &file) => (*fault, rest),
        _ => return None,
    };
    state.seen += 1;
    let after = match after {
        ["after", number] => number.parse().ok()?,
        _ => 0,
    };
    if state.seen <= after {
        return None;
    }
    note(orders, calls, &file, fault);
    match fault {
        "EIO" => Some(Fault::Fails(EIO)),
        "ENOSPC" => Some(Fault::Fails(ENOSPC)),
        "EDQUOT" => Some(Fault::Fails(EDQUOT)),
        "SHORT" => Some(Fault::Short),
        "TORN" => Some(Fault::Torn),
        "KILL" => Some(Fault::Kill),
        _ => None,
    }
}

fn fits(which: &str, end: &str, calls: &str, file: &Path) -> bool {
    (which == "any" || which == calls)
        && (end == "*" || file.as_os_str().as_bytes().ends_with(end.as_bytes()))
}

/// Writes down that a fault was made; the file is outside of what is looked at.
fn note(orders: &Path, calls: &str, file: &Path, fault: &str) {
    let mut made = orders.as_os_str().to_owned();
    made.push(OsStr::new(".made"));
    if let Ok(mut made) = OpenOptions::new().append(true).create(true).open(made) {
        let _ = writeln!(made, "{calls} {} {fault}", file.display());
    }
}

fn fail(errno: c_int) {
    // SAFETY: the C library answers a valid place of this thread's own.
    unsafe { *__errno_location() = errno }
}

fn die() {
    // SAFETY: `raise` takes any signal and touches no memory of ours.
    unsafe { raise(SIGKILL) };
}

/// The C library's own function of this name.
fn original(name: &'static CStr, kept: &'static OnceLock<usize>) -> *mut c_void {
    // SAFETY: the name ends in a zero, and looking it up changes nothing.
    let found = kept.get_or_init(|| unsafe { dlsym(RTLD_NEXT, name.as_ptr()) } as usize);
    if *found == 0 {
        std::process::abort();
    }
    *found as *mut c_void
}

/// Writes under faults: how many bytes are to be handed on, and whether the process ends after that.
fn writing(fd: c_int, bytes: usize) -> Result<(usize, bool), c_int> {
    match fault("write", fd) {
        None => Ok((bytes, false)),
        Some(Fault::Fails(errno)) => Err(errno),
        Some(Fault::Short) => Ok((bytes.div_ceil(2), false)),
        Some(Fault::Torn) if bytes > SECTOR_BYTES => Ok((bytes / 2, true)),
        Some(Fault::Torn | Fault::Kill) => {
            die();
            Ok((bytes, false))
        }
    }
}

/// Anything but a write: whether it goes on.
fn doing(calls: &str, fd: c_int) -> bool {
    match fault(calls, fd) {
        Some(Fault::Fails(errno)) => {
            fail(errno);
            false
        }
        Some(Fault::Kill | Fault::Torn) => {
            die();
            true
        }
        Some(Fault::Short) | None => true,
    }
}

/// A stand-in for a function that writes: the same arguments, the same answer.
macro_rules! stands_for_write {
    ($name:ident, $text:literal $(, $at:ident)?) => {
        /// # Safety
        /// As of the C library's function of this name.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int, from: *const c_void, bytes: usize $(, $at: i64)?) -> isize {
            static ORIGINAL: OnceLock<usize> = OnceLock::new();
            type Write = unsafe extern "C" fn(c_int, *const c_void, usize $(, stands_for_write!(@ $at))?) -> isize;
            // SAFETY: what has this name in the C library on 64-bit Linux has this type.
            let write: Write = unsafe { std::mem::transmute(original($text, &ORIGINAL)) };
            let (some, dies) = match writing(fd, bytes) {
                Ok(allowed) => allowed,
                Err(errno) => {
                    fail(errno);
                    return -1;
                }
            };
            // SAFETY: the caller's own arguments, and no more bytes than it said there are.
            let written = unsafe { write(fd, from, some $(, $at)?) };
            if dies {
                die();
            }
            written
        }
    };
    (@ $at:ident) => { i64 };
}

/// A stand-in for a function of a file alone.
macro_rules! stands_for_call {
    ($name:ident, $text:literal, $calls:literal $(, $len:ident)?) => {
        /// # Safety
        /// As of the C library's function of this name.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(fd: c_int $(, $len: i64)?) -> c_int {
            static ORIGINAL: OnceLock<usize> = OnceLock::new();
            type Call = unsafe extern "C" fn(c_int $(, stands_for_call!(@ $len))?) -> c_int;
            // SAFETY: what has this name in the C library on 64-bit Linux has this type.
            let call: Call = unsafe { std::mem::transmute(original($text, &ORIGINAL)) };
            if !doing($calls, fd) {
                return -1;
            }
            // SAFETY: the caller's own arguments.
            unsafe { call(fd $(, $len)?) }
        }
    };
    (@ $len:ident) => { i64 };
}

stands_for_write!(write, c"write");
stands_for_write!(pwrite, c"pwrite", at);
stands_for_write!(pwrite64, c"pwrite64", at);
stands_for_call!(fsync, c"fsync", "sync");
stands_for_call!(fdatasync, c"fdatasync", "sync");
stands_for_call!(ftruncate, c"ftruncate", "truncate", len);
stands_for_call!(ftruncate64, c"ftruncate64", "truncate", len);
