//! Servers that do little, and a load: the ends of the scale on which Berth is measured.
//!
//! `limits serve WHAT` prints `listening on ADDRESS` and serves for ever: `frames` answers `get_version` in the native door's framing
//! with one thread and epoll, `echo` sends back whatever comes, `grpc` is a tonic server with one call.
//! `limits load WHAT ADDRESS` keeps a number of connections busy for a time and prints one line of JSON.
//!
//! Reading order: this file, `measure` (what is counted), `load` (the loop), `talk` (what is said to whom), `frame` (the native framing),
//! `serve`. Deliberately not here: starting servers, processor times, tables; see `../`.

mod frame;
mod load;
mod measure;
mod serve;
mod talk;

use std::error::Error;
use std::time::Duration;

const USAGE: &str = "limits serve frames|echo|grpc
limits load WHAT ADDRESS [--connections N] [--depth N] [--batch N] [--seconds S] [--pause S] [--fresh]
WHAT: frames, frames-apart, echo, grpc, http-available, http-pairs, spalloc-pairs";

fn main() -> Result<(), Box<dyn Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["serve", "frames"] => serve::bare::frames()?,
        ["serve", "echo"] => serve::bare::echo()?,
        ["serve", "grpc"] => serve::grpc::serve()?,
        ["load", what, address, options @ ..] => {
            let plan = plan(what, address, options)?;
            println!("{}", load::run(&plan)?);
        }
        _ => return Err(USAGE.into()),
    }
    Ok(())
}

fn plan(what: &str, address: &str, options: &[&str]) -> Result<load::Plan, Box<dyn Error>> {
    let mut plan = load::Plan {
        what: what.to_owned(),
        address: address.parse()?,
        connections: 1,
        depth: 1,
        batch: 1,
        time: Duration::from_secs(1),
        pause: Duration::ZERO,
        fresh: false,
    };
    let mut options = options.iter();
    while let Some(option) = options.next() {
        if *option == "--fresh" {
            plan.fresh = true;
            continue;
        }
        let value = options.next().ok_or(USAGE)?;
        match *option {
            "--connections" => plan.connections = value.parse()?,
            "--depth" => plan.depth = value.parse()?,
            "--batch" => plan.batch = value.parse()?,
            "--seconds" => plan.time = Duration::from_secs_f64(value.parse()?),
            "--pause" => plan.pause = Duration::from_secs_f64(value.parse()?),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(plan)
}
