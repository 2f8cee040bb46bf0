//! Data directories that cannot be used: each is refused with a sentence and left as it was.

use super::LAB;
use crate::program::Running;
use crate::served::{NOT_AVAILABLE, Place, Served};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// A user that owns nothing: "nobody" on most systems.
const NOBODY: u32 = 65_534;

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The sentence of a server that must not start.
fn refusal(command: &mut Command) -> String {
    let running = Running::spawn(command);
    assert_eq!(running.line_or_end(), None, "it listens");
    let errors = running.errors();
    assert_eq!(running.ended(), NOT_AVAILABLE, "{errors}");
    assert!(errors.starts_with("berth: ") || errors.contains("\nberth: "), "no sentence: {errors}");
    errors
}

/// A place where a server has run and stopped in order.
fn used() -> Place {
    let place = Place::new(LAB);
    Served::start(&mut place.serving()).stop();
    place
}

/// How a server is started as somebody who is bound by rights, and owns the data.
fn serving_with_rights(place: &Place) -> Command {
    let mut command = place.serving();
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
        let entries = std::fs::read_dir(place.data()).expect("a directory");
        for path in entries.map(|entry| entry.expect("an entry").path()).chain([place.data()]) {
            chown(&path, Some(NOBODY), Some(NOBODY)).expect("the superuser gives away");
        }
    }
    command
}

fn set_mode(path: &std::path::Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).expect("a mode");
}

#[test]
fn a_directory_that_must_not_be_written_is_refused() {
    let place = used();
    let mut command = serving_with_rights(&place);
    // With the lock of an earlier server in it, and without.
    set_mode(&place.data(), 0o500);
    let refused = refusal(&mut command);
    assert!(refused.contains("journal.sqlite3") && refused.contains("may write"), "{refused}");
    set_mode(&place.data(), 0o700);
    std::fs::remove_file(place.data().join("journal.lock")).expect("an earlier server's");
    set_mode(&place.data(), 0o500);
    let refused = refusal(&mut command);
    assert!(refused.contains("/data cannot be ") && refused.contains("may write"), "{refused}");
    set_mode(&place.data(), 0o700);
    Served::start(&mut command).stop();
}

#[test]
fn a_journal_that_must_not_be_written_is_refused() {
    let place = used();
    let mut command = serving_with_rights(&place);
    set_mode(&place.journal(), 0o400);
    let refused = refusal(&mut command);
    assert!(
        refused.contains("journal.sqlite3 cannot be opened") && refused.contains("may write"),
        "{refused}"
    );
    set_mode(&place.journal(), 0o600);
    Served::start(&mut command).stop();
}

#[test]
fn a_directory_of_somebody_else_is_refused() {
    if !is_root() {
        // Only the superuser can give a directory away.
        return;
    }
    let place = used();
    chown(place.data(), Some(NOBODY), None).expect("the superuser gives away");
    let refused = refusal(&mut place.serving());
    assert!(refused.contains("belongs to user 65534 and berth runs as user 0"), "{refused}");
    chown(place.data(), Some(0), None).expect("and takes back");
    Served::start(&mut place.serving()).stop();
}

#[test]
fn a_journal_of_a_newer_version_is_refused_and_left_alone() {
    let place = used();
    let mut bytes = std::fs::read(place.journal()).expect("a file");
    // Where SQLite keeps `user_version`.
    bytes[60..64].copy_from_slice(&99u32.to_be_bytes());
    std::fs::write(place.journal(), &bytes).expect("a file");
    let refused = refusal(&mut place.serving());
    assert!(refused.contains("journal.sqlite3 has format 99"), "{refused}");
    assert!(std::fs::read(place.journal()).expect("a file") == bytes);
}

#[test]
fn another_thing_in_place_of_the_journal_is_refused_and_left_alone() {
    let place = used();
    let poem = "so much depends upon ".repeat(999);
    std::fs::write(place.journal(), &poem).expect("a file");
    let refused = refusal(&mut place.serving());
    assert!(refused.contains("journal.sqlite3") && refused.contains("not a database"), "{refused}");
    assert!(std::fs::read(place.journal()).expect("a file") == poem.as_bytes());
    std::fs::remove_file(place.journal()).expect("it is ours");
    std::fs::create_dir(place.journal()).expect("a directory");
    let refused = refusal(&mut place.serving());
    assert!(refused.contains("journal.sqlite3 cannot be opened"), "{refused}");
}

#[test]
fn a_second_server_on_the_same_data_is_told_who_has_it() {
    let place = Place::new(LAB);
    let first = Served::start(&mut place.serving());
    let before = place.journal().metadata().expect("a file").mtime();
    let refused = refusal(&mut place.serving());
    let holder = format!("is in use by another berth (process {})", first.running.process());
    assert!(refused.contains(&holder), "{refused}");
    assert_eq!(place.journal().metadata().expect("a file").mtime(), before);
    // The first one has not noticed; and the lock goes with it, however it ends.
    first.connect().handshake_guest("tester").expect("a session");
    first.kill();
    Served::start(&mut place.serving()).stop();
}
