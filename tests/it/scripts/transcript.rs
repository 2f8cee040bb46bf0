//! The format of transcripts: blocks of lines to say, `---`, the lines that came back, an empty line.
//!
//! Lines that begin with `#` are for the reader. Nothing that comes back may be an empty line.

use std::fmt::Write;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Set to anything, it makes the runner write what came back into the scripts.
const WRITE: &str = "BERTH_WRITE_SCRIPTS";

/// Plays every script of a room, each on a stage of its own, and fails with all differences.
pub fn run_folder<Stage: FnMut(&str) -> Vec<String>>(room: &str, stage: impl Fn() -> Stage) {
    let mut complaints = String::new();
    for path in scripts_of(room) {
        let said = fs::read_to_string(&path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        // A panic has told where it was; the other scripts shall be heard too.
        let played = catch_unwind(AssertUnwindSafe(|| play(&path, &said, &mut stage())));
        let Ok(came) = played else {
            let _ = writeln!(complaints, "{}: panicked", path.display());
            continue;
        };
        if std::env::var_os(WRITE).is_some() {
            fs::write(&path, came).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        } else if said != came {
            let _ = writeln!(complaints, "{}:\n{}", path.display(), difference(&said, &came));
        }
    }
    assert!(complaints.is_empty(), "\n{complaints}{WRITE}=1 accepts what came back");
}

/// The scripts of a room, in order of their names.
fn scripts_of(room: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts").join(room);
    let entries = fs::read_dir(&folder).unwrap_or_else(|why| panic!("{}: {why}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("the folder can be read").path()).collect();
    paths.retain(|path| path.extension().is_some_and(|end| end == "txt"));
    paths.sort();
    assert!(!paths.is_empty(), "{} has no scripts", folder.display());
    paths
}

/// The script with what comes back now in the place of what came back then.
fn play(path: &Path, script: &str, stage: &mut impl FnMut(&str) -> Vec<String>) -> String {
    let mut text = String::new();
    for block in script.split("\n\n").map(|block| block.trim_matches('\n')).filter(|block| !block.is_empty())
    {
        if !text.is_empty() {
            text.push('\n');
        }
        let lines: Vec<_> = block.lines().take_while(|line| *line != "---").collect();
        lines.iter().for_each(|line| text.extend([line, "\n"]));
        let to_say: Vec<_> = lines.iter().filter(|line| !line.starts_with('#')).collect();
        if to_say.is_empty() {
            continue;
        }
        text.push_str("---\n");
        let came: Vec<_> = to_say.iter().flat_map(|line| at(path, line, || stage(line))).collect();
        if came.is_empty() {
            text.push_str("nothing\n");
        }
        came.iter().for_each(|line| text.extend([line.as_str(), "\n"]));
    }
    text
}

/// Does something for a line of a script; a panic is told with its place.
fn at<T>(path: &Path, line: &str, act: impl FnOnce() -> T) -> T {
    struct Told<'a>(&'a Path, &'a str);
    impl Drop for Told<'_> {
        fn drop(&mut self) {
            if std::thread::panicking() {
                eprintln!("in {} at '{}'", self.0.display(), self.1);
            }
        }
    }
    let _told = Told(path, line);
    act()
}

/// The lines that differ, with a little of what stands around them.
fn difference(then: &str, now: &str) -> String {
    let (then, now): (Vec<_>, Vec<_>) = (then.lines().collect(), now.lines().collect());
    let same_head = then.iter().zip(&now).take_while(|(a, b)| a == b).count();
    let rest = then.len().min(now.len()) - same_head;
    let same_tail = then.iter().rev().zip(now.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let mut text = format!("  line {}\n", same_head + 1);
    let head = then[same_head.saturating_sub(3)..same_head].iter().map(|line| (' ', line));
    let before = then[same_head..then.len() - same_tail].iter().map(|line| ('-', line));
    let after = now[same_head..now.len() - same_tail].iter().map(|line| ('+', line));
    for (sign, line) in head.chain(before).chain(after) {
        let _ = writeln!(text, "  {sign} {line}");
    }
    text
}
