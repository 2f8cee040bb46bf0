//! How one journal takes the place of another: made beside it under another name, proved, and then renamed. Whatever is
//! interrupted, the old one or the new one is there, or the next start says that something was interrupted.

use super::FILE;
use super::dir::DataDir;
use crate::journal::JournalError;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// What stands behind the name of a file that is not whole yet.
pub const PARTIAL: &str = ".partial";

/// The name of a journal that is to take the place of another.
pub const PARTIAL_FILE: &str = "journal.sqlite3.partial";

/// What stands in the name of a journal that was put aside: by a restore, by a repair.
pub const ASIDE: [&str; 2] = ["replaced", "damaged"];

/// What belongs to a journal: itself, its log, the index of the log. The file goes first: a log without its file is
/// refused, a file without its log would seem whole and be old.
const TAILS: [&str; 3] = ["", "-wal", "-shm"];

/// The same name with more behind it.
pub fn suffixed(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// The sentence for what the system refused.
pub fn unusable(path: &Path) -> impl Fn(io::Error) -> JournalError {
    move |error| JournalError::Unusable(format!("{}: {error}", path.display()))
}

/// An empty file for its owner alone.
pub fn make_private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path).map(drop)
}

/// Removes a journal that is of no use to anybody, if it is there; also what SQLite leaves where a copy was cut short.
pub fn clear(path: &Path) -> io::Result<()> {
    TAILS.iter().chain(&["-journal"]).try_for_each(|tail| match fs::remove_file(suffixed(path, tail)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    })
}

/// Sees to it that a closed journal is on disk, and gives it its name. Those who only looked at it may have left an
/// empty log behind.
pub fn keep(partial: &Path, to: &Path) -> io::Result<()> {
    if suffixed(partial, "-wal").metadata().is_ok_and(|meta| meta.len() > 0) {
        return Err(io::Error::other("its log is not empty"));
    }
    TAILS[1..].iter().for_each(|tail| drop(fs::remove_file(suffixed(partial, tail))));
    File::open(partial)?.sync_all()?;
    fs::rename(partial, to)?;
    let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(dir)?.sync_all()
}

/// Puts the new journal of a directory in the place of the old one, which stays beside it under the word; answers
/// where.
pub fn swap(data_dir: &Path, word: &str) -> Result<Option<PathBuf>, JournalError> {
    let path = data_dir.join(FILE);
    let aside = put_aside(data_dir, word).map_err(unusable(&path))?;
    keep(&data_dir.join(PARTIAL_FILE), &path).map_err(unusable(&path))?;
    Ok(aside)
}

/// Refuses a directory without a journal, where nothing is to be begun.
pub fn refuse_none(data_dir: &Path) -> Result<(), JournalError> {
    match data_dir.join(FILE).metadata() {
        Ok(_) => Ok(()),
        Err(error) => {
            let why = format!("there is no journal in {}: {error}", data_dir.display());
            Err(JournalError::Unusable(why))
        }
    }
}

/// Refuses a directory in which a swap was interrupted after the old journal had left: an empty one must not follow it.
pub fn refuse_half_done(dir: &DataDir) -> Result<(), JournalError> {
    let path = dir.path().join(FILE);
    if path.exists() {
        return Ok(());
    }
    match left_over(dir.path()).map_err(unusable(dir.path()))? {
        None => Ok(()),
        Some(left) => Err(JournalError::Unusable(format!(
            "{} is missing and {} is there: a restore or a repair was interrupted; restore again, or put back what was put aside (to begin anew, move it out of the directory)",
            path.display(),
            left.display()
        ))),
    }
}

/// A journal that was being made or was put aside, the newest name of those that are there.
fn left_over(data_dir: &Path) -> io::Result<Option<PathBuf>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(data_dir)? {
        let path = entry?.path();
        let rest = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix(FILE));
        let number =
            |rest: &str| ASIDE.iter().find_map(|word| rest.strip_prefix(&format!(".{word}-"))?.parse().ok());
        let number: Option<u32> = rest.and_then(|rest| if rest == PARTIAL { Some(0) } else { number(rest) });
        left.extend(number.map(|number| (number, path)));
    }
    Ok(left.into_iter().max().map(|(_, path)| path))
}

/// Renames the files of a journal; answers what the first is called now, if there were any.
fn put_aside(data_dir: &Path, word: &str) -> io::Result<Option<PathBuf>> {
    let named = data_dir.join(FILE);
    let aside = |number: u32| suffixed(&named, &format!(".{word}-{number}"));
    let taken = |number: &u32| TAILS.iter().any(|tail| suffixed(&aside(*number), tail).exists());
    let aside = aside((1..u32::MAX).find(|number| !taken(number)).unwrap_or(u32::MAX));
    let mut moved = false;
    for tail in TAILS {
        match fs::rename(suffixed(&named, tail), suffixed(&aside, tail)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            renamed => moved |= renamed.is_ok(),
        }
    }
    File::open(data_dir)?.sync_all()?;
    Ok(moved.then_some(aside))
}
