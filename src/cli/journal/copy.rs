//! `berth backup` and `berth restore`.

use super::{Where, verify};
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::clock::Clock;
use crate::journal::{self, NUMBERS_SKIPPED};
use clap::{ArgAction, Args};
use serde_json::json;
use std::path::PathBuf;

/// `berth backup`.
#[derive(Args, Debug)]
pub struct BackupArgs {
    /// The copy, which must not be there yet.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: Where,
    /// Whether the copy is also replayed, as a start would, before it is trusted.
    #[arg(long, action = ArgAction::Set, default_value_t = true, value_name = "BOOL")]
    verify: bool,
}

/// Copies the journal; a server may run.
pub fn backup(context: &Context, args: &BackupArgs) -> Result<(), Failure> {
    let config = args.place.config()?;
    let last = journal::backup(&config.data_dir, &args.file)?.last();
    if args.verify {
        let report = journal::survey_file(&args.file, &config.lab_options())?;
        if !report.problems.is_empty() {
            verify::print(context, &report)?;
            return Err(verify::damaged(&report));
        }
    }
    let bytes = args.file.metadata()?.len();
    if context.shared.json {
        let file = args.file.display().to_string();
        return context
            .print_json(&json!({"file": file, "last": last, "bytes": bytes, "verified": args.verify}));
    }
    context.print(&format!("copied {last} facts, {bytes} bytes, to {}\n", args.file.display()))
}

/// `berth restore`.
#[derive(Args, Debug)]
pub struct RestoreArgs {
    /// The copy.
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    place: Where,
    /// Put the journal aside that is there.
    #[arg(long)]
    replace: bool,
}

/// Puts a copy in the place of the journal; the server must be stopped.
pub fn restore(context: &Context, args: &RestoreArgs) -> Result<(), Failure> {
    let config = args.place.config()?;
    let (options, now) = (config.lab_options(), Clock::system().now());
    let done = journal::restore(&args.file, &config.data_dir, args.replace, options, now)?;
    let aside = done.aside.map(|path| path.display().to_string());
    let (last_job, last_grant) = (done.last_job.0, done.last_grant.0);
    if context.shared.json {
        return context.print_json(&json!({
            "last": done.last, "known_until": done.known_until.0, "last_job": last_job,
            "last_grant": last_grant, "aside": aside,
        }));
    }
    let mut text = format!(
        "restored   up to {}: nothing later is known\n\
         skipped    {NUMBERS_SKIPPED} numbers: the next job is {}, the next grant {}\n",
        done.known_until,
        last_job.saturating_add(1),
        last_grant.saturating_add(1)
    );
    if let Some(aside) = aside {
        text.push_str(&format!("before     {aside}\n"));
    }
    context.print(&text)?;
    context
        .note("sessions and passwords are as they were then: what was ended or changed since is valid again");
    Ok(())
}
