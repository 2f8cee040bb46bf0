//! How fast memory of a chip is read through a pipeline: `cargo bench --bench spinnaker -- --host A --port P --bytes N`.
//!
//! It asks SC&MP of a board, or whatever answers READ in its place, and prints one line of JSON for each round. With `--write` it
//! writes a pattern first, measures that, too, and looks whether what it reads is what it wrote.

use berth::clock::Clock;
use berth::connections::Pipeline;
use berth::connections::pipeline::Counts;
use berth::spinnaker::exchange::Limits;
use berth::spinnaker::sdp::{Chip, Core, Endpoint};
use clap::Parser;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Instant;

/// What to read, and how.
#[derive(Parser)]
struct Options {
    /// The board's address.
    #[arg(long)]
    host: Ipv4Addr,
    /// Its port.
    #[arg(long, default_value_t = berth::spinnaker::SCP_UDP_PORT)]
    port: u16,
    /// Bytes of memory in each round.
    #[arg(long, default_value_t = 1 << 20)]
    bytes: u32,
    /// Requests in flight at most; a board takes eight.
    #[arg(long, default_value_t = 8)]
    window: usize,
    /// Where the memory starts; SDRAM does at 0x60000000.
    #[arg(long, default_value_t = 0x6000_0000)]
    address: u32,
    /// How often it is read.
    #[arg(long, default_value_t = 1)]
    rounds: u32,
    /// Write it first, and compare.
    #[arg(long)]
    write: bool,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    async_std::task::block_on(measure(&Options::parse()))
}

async fn measure(options: &Options) -> Result<(), Box<dyn Error>> {
    let window = options.window.max(1);
    let limits = Limits { in_flight_max: window, core_in_flight_max: window, ..Limits::SCAMP };
    let remote = SocketAddrV4::new(options.host, options.port);
    let board = Pipeline::connect(remote, limits, Clock::system()).await?;
    let monitor = Endpoint::system(Chip::NEAREST, Core::MONITOR);
    let pattern: Vec<u8> =
        (0..options.bytes).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    for _ in 0..options.rounds {
        if options.write {
            let start = (Instant::now(), board.counts());
            board.write(monitor, options.address, &pattern).await?;
            report("write", options, start, board.counts());
        }
        let start = (Instant::now(), board.counts());
        let memory = board.read(monitor, options.address, options.bytes).await?;
        report("read", options, start, board.counts());
        if options.write && memory != pattern {
            return Err("what was read is not what was written".into());
        }
    }
    Ok(())
}

/// Prints what a round took. A megabyte has 1 000 000 bytes.
fn report(what: &str, options: &Options, (start, before): (Instant, Counts), after: Counts) {
    let seconds = start.elapsed().as_secs_f64();
    let requests = u64::from(options.bytes.div_ceil(256));
    let line = serde_json::json!({
        "what": what,
        "bytes": options.bytes,
        "window": options.window,
        "seconds": seconds,
        "megabytes_per_s": f64::from(options.bytes) / 1e6 / seconds,
        "requests_per_s": requests as f64 / seconds,
        "sent_again": (after.sent - before.sent).saturating_sub(requests),
    });
    println!("{line}");
}
