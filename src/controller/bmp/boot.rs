//! A boot over UDP: the image to the board at the job's corner, then patience, then a look at all chips.
//!
//! What is deliberately not here: what becomes of boards whose chips are missing (`floor`).

use super::booting::{self, Booted};
use super::wire;
use crate::allocator::Geometry;
use crate::clock::Clock;
use crate::connections::Pipeline;
use crate::controller::BmpSettings;
use crate::spinnaker::boot::messages;
use crate::spinnaker::exchange::{Limits, Wish};
use crate::spinnaker::scamp::Command;
use crate::spinnaker::sdp::{Chip, Core, Endpoint};
use crate::spinnaker::system_variables::SystemVariables;
use async_io::Async;
use futures_util::future::{self, Either};
use std::net::{Ipv4Addr, UdpSocket};
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};

/// How long the ROM, which acknowledges nothing, is left alone after each message.
const MESSAGE_PAUSE_MS: u64 = 20;

/// How long chips are left alone after the last message.
const IMAGE_PAUSE_MS: u64 = 2_000;

/// How long chips that wake up are left alone before they are asked again.
const AWAKE_PAUSE_MS: u64 = 100;

/// How long chips that find each other are left alone before they are counted again.
const COUNT_PAUSE_MS: u64 = 500;

/// How often chips are counted while some are missing.
const COUNTS_MAX: u32 = 4;

/// The version of the hardware, and how its LED is wired: boards of 48 chips.
const HARDWARE: (u8, u32) = (5, 1);

/// Boots a job through the host of the board at its corner.
pub(super) async fn boot(
    settings: &BmpSettings,
    host: &str,
    job: &Geometry,
    clock: &Clock,
) -> Result<Booted, Arc<str>> {
    let phase = Mutex::new("the image was not sent");
    let late = clock.sleep_until(clock.now().plus_ms(settings.boot_ms_max));
    let all = boot_and_count(settings, host, job, clock, &phase);
    let late = match future::select(pin!(all), pin!(late)).await {
        Either::Left((Ok(booted), _)) => return Ok(booted),
        Either::Left((Err(why), _)) => why,
        Either::Right(_) => {
            let phase = *phase.lock().unwrap_or_else(PoisonError::into_inner);
            format!("within {} s {phase}", settings.boot_ms_max / 1_000).into()
        }
    };
    Err(format!("the boot through {host} failed: {late}").into())
}

async fn boot_and_count(
    settings: &BmpSettings,
    host: &str,
    job: &Geometry,
    clock: &Clock,
    phase: &Mutex<&'static str>,
) -> Result<Booted, Arc<str>> {
    let tell = |now| *phase.lock().unwrap_or_else(PoisonError::into_inner) = now;
    send_image(settings, host, clock).await?;
    tell("no chip answered");
    let board = wire::open(host, settings.board_port, Limits::SCAMP, clock).await?;
    let release = loop {
        let asked = board.ask(&Wish::scamp(monitor(), &Command::Version)).await;
        match wire::body(asked) {
            Ok(body) => match booting::awake(&body) {
                Ok(Some(release)) => break release,
                Ok(None) => tell("the chips did not find out where they are"),
                Err(what) => return Err(format!("what answers {what}").into()),
            },
            // Chips that wake up say nothing, or nothing sensible.
            Err(trouble) if trouble.may_pass() => {}
            Err(trouble) => return Err(format!("the version was refused: {trouble:?}").into()),
        }
        pause(clock, AWAKE_PAUSE_MS).await;
    };
    tell("the chips could not be counted");
    let mut chips = count(&board, job).await?;
    for _ in 1..COUNTS_MAX {
        if booting::boards_without_chips(job, &chips, settings.chips_per_board_min).is_empty() {
            break;
        }
        pause(clock, COUNT_PAUSE_MS).await;
        chips = count(&board, job).await?;
    }
    Ok(Booted { release, chips })
}

/// Sends the image with variables of its time and place.
async fn send_image(settings: &BmpSettings, host: &str, clock: &Clock) -> Result<(), Arc<str>> {
    let image = settings.boot_image.as_ref().ok_or("no boot image is configured")?;
    let (version, led) = HARDWARE;
    let variables = SystemVariables::for_boot(version, clock.now().unix_s() as u32, led);
    let messages = messages(&image.bytes, &variables).map_err(|error| error.to_string())?;
    let address = wire::look_up(host, settings.boot_port, clock).await?;
    let refused = |error: std::io::Error| error.to_string();
    let socket = Async::<UdpSocket>::bind((Ipv4Addr::UNSPECIFIED, 0)).map_err(refused)?;
    let mut datagram = Vec::new();
    for message in messages {
        datagram.clear();
        message.encode(&mut datagram);
        // Not connected: a port that is closed must not keep the rest from being sent.
        socket.send_to(&datagram, address).await.map_err(refused)?;
        pause(clock, MESSAGE_PAUSE_MS).await;
    }
    pause(clock, IMAGE_PAUSE_MS).await;
    Ok(())
}

/// All chips that the chip at the corner reaches.
async fn count(board: &Pipeline, job: &Geometry) -> Result<Vec<(u32, u32)>, Arc<str>> {
    let columns = (0..job.width_chips).map(|x| async move {
        let (address, bytes) = booting::column(x, job.height_chips);
        let read = board.read(monitor(), address, bytes).await;
        read.map(|bytes| booting::chips_of_column(x, job.height_chips, &bytes))
    });
    let columns = future::try_join_all(columns).await;
    let columns = columns.map_err(|error| format!("the table of chips cannot be read: {error}"))?;
    Ok(columns.concat())
}

/// The monitor of the chip that has the plug.
fn monitor() -> Endpoint {
    Endpoint::system(Chip::NEAREST, Core::MONITOR)
}

async fn pause(clock: &Clock, ms: u64) {
    clock.sleep_until(clock.now().plus_ms(ms)).await;
}
