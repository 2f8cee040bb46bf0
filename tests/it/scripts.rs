//! Transcripts: what is said to a room and what it answers, as text that is reviewed like any other.
//!
//! `tests/scripts/ROOM/*.txt` hold them, one sentence each as file name. `BERTH_WRITE_SCRIPTS=1 cargo test` writes
//! down what the rooms answer now. `transcript` is the format, the others are one stage for each room.

mod bench;
mod telling;
mod transcript;
mod words;

pub use bench::questions;

#[test]
fn the_lab_follows_its_scripts() {
    transcript::run_folder("lab", || {
        let mut bench = bench::Bench::new();
        move |line| bench.play(line)
    });
}
