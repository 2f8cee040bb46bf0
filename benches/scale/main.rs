//! What `benches/scale/run` needs that must cost little itself: `cargo bench --bench scale -- hold|watch|facts ...`.
//!
//! - `hold ADDRESS SOCKETS`: opens sockets at the native door, makes one call on each, says `ready` and keeps them until its
//!   input ends.
//! - `watch ADDRESS WATCHERS ROUNDS`: watchers of all jobs at the spalloc door, and one who creates and destroys a job again and
//!   again; how long it takes from the wish to each watcher.
//! - `facts DIRECTORY FACTS`: a journal of a lab's life; how long a start takes that hears all of it, and one that hears a snapshot.
//!
//! Each prints one line of JSON.

mod life;
mod sockets;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["hold", address, count] => sockets::hold(address.parse()?, count.parse()?),
        ["watch", address, count, rounds] => {
            sockets::watch(address.parse()?, count.parse()?, rounds.parse()?)
        }
        ["facts", dir, count] => life::facts(dir.as_ref(), count.parse()?),
        // `cargo test --benches` runs it without any.
        [] => Ok(()),
        _ => Err("hold ADDRESS SOCKETS | watch ADDRESS WATCHERS ROUNDS | facts DIRECTORY FACTS".into()),
    }
}
