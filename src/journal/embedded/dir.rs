//! The data directory: made, checked, and held by one server at a time.

use crate::journal::JournalError;
use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file that is locked while a server has the directory; it holds the number of that server's process.
const LOCK_FILE: &str = "journal.lock";

/// The file that is written to see whether there is room, and removed again.
const PROBE_FILE: &str = "journal.probe";

/// How much is written to see whether there is room.
const PROBE_BYTES: usize = 64 * 1024;

/// How often the lock is tried.
const LOCK_TRIES: u32 = 10;

/// How long is waited before it is tried again.
const LOCK_PAUSE: Duration = Duration::from_millis(5);

/// A data directory that nobody else has, as long as this lives.
pub struct DataDir {
    path: PathBuf,
    /// The lock goes with the open file, also when the process is killed.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if there is none, for its owner alone, and takes it.
    pub fn claim(path: &Path) -> Result<DataDir, JournalError> {
        let unusable = |doing: &str, error: io::Error| unusable(path, doing, &error);
        make(path).map_err(|e| unusable("made", e))?;
        let meta = path.metadata().map_err(|e| unusable("looked at", e))?;
        check_owner(path, &meta, rustix::process::geteuid().as_raw())?;
        let lock = open_file(&path.join(LOCK_FILE)).map_err(|e| unusable("written", e))?;
        let lock = hold(path, lock)?;
        Ok(DataDir { path: path.canonicalize().map_err(|e| unusable("found", e))?, _lock: lock })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether somebody has the directory just now.
    pub fn is_held(path: &Path) -> bool {
        let lock = File::open(path.join(LOCK_FILE));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// A file in it, made for the owner alone if there is none, and its length.
    pub fn file(&self, name: &str) -> Result<(PathBuf, u64), JournalError> {
        let path = self.path.join(name);
        let made = open_file(&path).and_then(|file| {
            // A new file is there after a crash only when its directory was written too.
            File::open(&self.path)?.sync_all()?;
            file.metadata()
        });
        made.map(|meta| (path.clone(), meta.len())).map_err(|error| unusable(&path, "opened", &error))
    }

    /// Whether writing a little fails for want of room.
    pub fn lacks_room(&self) -> bool {
        let path = self.path.join(PROBE_FILE);
        let probed = open_file(&path).and_then(|mut file| {
            file.write_all(&[0x5a; PROBE_BYTES])?;
            file.sync_all()
        });
        // A probe that stays behind is written over by the next one.
        let _ = std::fs::remove_file(&path);
        use io::ErrorKind::{QuotaExceeded, StorageFull};
        probed.is_err_and(|error| matches!(error.kind(), StorageFull | QuotaExceeded))
    }
}

/// Makes a directory that is there after a crash too, which one is only when the directories above it were written.
fn make(path: &Path) -> io::Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    for above in path.canonicalize()?.ancestors().skip(1) {
        // One that must not be read was there before us.
        let _ = File::open(above).and_then(|above| above.sync_all());
    }
    Ok(())
}

/// Opens a file to read and write, made for the owner alone if there is none.
fn open_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Takes the lock, or says who has it; once taken, the file says who we are. Somebody who only looks whether it is taken
/// has it for an instant, so it is tried more than once.
fn hold(path: &Path, mut lock: File) -> Result<File, JournalError> {
    let mut tried = lock.try_lock();
    for _ in 1..LOCK_TRIES {
        if !matches!(tried, Err(TryLockError::WouldBlock)) {
            break;
        }
        std::thread::sleep(LOCK_PAUSE);
        tried = lock.try_lock();
    }
    match tried {
        Ok(()) => {
            // Only whom it concerns reads it: a number that could not be written makes the sentence poorer.
            let _ = lock.set_len(0).and_then(|()| writeln!(lock, "{}", std::process::id()));
            Ok(lock)
        }
        Err(TryLockError::WouldBlock) => Err(JournalError::Locked(format!(
            "the data directory {} is in use by another berth{}; stop that one first or give this one a directory of its own",
            path.display(),
            holder(lock)
        ))),
        Err(TryLockError::Error(error)) => Err(unusable(path, "locked", &error)),
    }
}

/// Which process has the lock, as far as its file tells.
fn holder(mut lock: File) -> String {
    let mut text = String::new();
    let read = lock.rewind().and_then(|()| lock.take(32).read_to_string(&mut text));
    match (read, text.trim().parse::<u32>()) {
        (Ok(_), Ok(process)) => format!(" (process {process})"),
        _ => String::new(),
    }
}

/// Files of ours in a directory of somebody else would be lost to both.
fn check_owner(path: &Path, meta: &Metadata, us: u32) -> Result<(), JournalError> {
    if meta.uid() == us {
        return Ok(());
    }
    Err(JournalError::Unusable(format!(
        "the data directory {} belongs to user {} and berth runs as user {us}; start it as the owner or change the owner",
        path.display(),
        meta.uid()
    )))
}

/// The sentence for what the system refused.
fn unusable(path: &Path, doing: &str, error: &io::Error) -> JournalError {
    let why = match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "; berth needs a directory in which it may write"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => "; something else has that name",
        _ => "",
    };
    JournalError::Unusable(format!("{} cannot be {doing}: {error}{why}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::Scratch;
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_new_directory_is_for_its_owner_alone() {
        let scratch = Scratch::new();
        let path = scratch.path().join("a/b");
        let dir = DataDir::claim(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
        let (file, len) = dir.file("x").unwrap();
        assert_eq!((file.metadata().unwrap().permissions().mode() & 0o777, len), (0o600, 0));
        assert!(!dir.lacks_room());
        assert!(!path.join(PROBE_FILE).exists());
    }

    #[test]
    fn the_second_who_claims_it_is_told_who_has_it() {
        let scratch = Scratch::new();
        let first = DataDir::claim(scratch.path()).unwrap();
        let Err(JournalError::Locked(why)) = DataDir::claim(scratch.path()) else { panic!("claimed twice") };
        assert!(why.contains(&format!("(process {})", std::process::id())), "{why}");
        drop(first);
        DataDir::claim(scratch.path()).unwrap();
    }

    #[test]
    fn what_is_no_directory_of_ours_is_refused_with_a_sentence() {
        let scratch = Scratch::new();
        let file = scratch.path().join("file");
        std::fs::write(&file, "").unwrap();
        for path in [file.clone(), file.join("below"), "/proc/no/such/place".into()] {
            let Err(JournalError::Unusable(why)) = DataDir::claim(&path) else { panic!("{path:?}") };
            assert!(why.starts_with(&format!("{} cannot be ", path.display())), "{why}");
        }
        let meta = scratch.path().metadata().unwrap();
        assert_eq!(check_owner(scratch.path(), &meta, meta.uid()), Ok(()));
        let Err(JournalError::Unusable(why)) = check_owner(scratch.path(), &meta, meta.uid() + 1) else {
            panic!()
        };
        assert!(why.contains(&format!("belongs to user {}", meta.uid())), "{why}");
    }

    #[test]
    fn a_directory_that_must_not_be_written_is_refused() {
        let scratch = Scratch::new();
        std::fs::set_permissions(scratch.path(), PermissionsExt::from_mode(0o500)).unwrap();
        match DataDir::claim(scratch.path()) {
            // Rights do not bind the superuser.
            Ok(_) => assert_eq!(rustix::process::geteuid().as_raw(), 0),
            Err(JournalError::Unusable(why)) => assert!(why.contains("may write"), "{why}"),
            Err(other) => panic!("{other}"),
        }
    }
}
