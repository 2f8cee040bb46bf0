//! `berth journal`, `berth backup`, `berth restore`: what an operator does with what the server remembers, on the server's
//! own host.
//!
//! Read this file (where the journal is), then `verify`, `export`, `mend` (compact and repair) and `copy` (backup and
//! restore). What is done to the file is in the room `journal`; how it looks is in protocol-spec/journal.md.

mod copy;
mod export;
mod mend;
mod verify;

pub use copy::{BackupArgs, RestoreArgs, backup, restore};

use super::context::Context;
use super::exit::{Exit, Failure};
use super::host;
use crate::config::Config;
use crate::journal::JournalError;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `berth journal`.
#[derive(Args, Debug)]
pub struct JournalArgs {
    /// What to do.
    #[command(subcommand)]
    action: JournalAction,
}

/// What can be done with a journal.
#[derive(Subcommand, Debug)]
enum JournalAction {
    /// Check all of it; a server may run. Ends with 3 when anything is wrong.
    Verify(verify::VerifyArgs),
    /// Print facts, one JSON object a line; a server may run.
    Export(export::ExportArgs),
    /// Make it small: a snapshot now, old history deleted, the file written anew. The server must be stopped.
    Compact(mend::CompactArgs),
    /// Make a damaged one fit to start with. The server must be stopped. Without options only what loses nothing is done.
    Repair(mend::RepairArgs),
}

/// Where the journal is.
#[derive(Args, Debug)]
struct Where {
    /// The configuration of the server; without it the built-in one.
    #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's data directory.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl Where {
    /// The configuration that says where.
    fn config(&self) -> Result<Config, Failure> {
        host::origin(self.config.as_ref(), self.data_dir.as_ref(), None).load().map_err(host::wrong)
    }
}

/// Does it.
pub fn journal(context: &Context, args: &JournalArgs) -> Result<(), Failure> {
    match &args.action {
        JournalAction::Verify(args) => verify::verify(context, args),
        JournalAction::Export(args) => export::export(context, args),
        JournalAction::Compact(args) => mend::compact(context, args),
        JournalAction::Repair(args) => mend::repair(context, args),
    }
}

/// How a command ends that a journal refused.
impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Failure {
        let exit = match error {
            JournalError::Locked(_) | JournalError::Full(_) => Exit::NotAvailable,
            _ => Exit::Refused,
        };
        Failure::new(exit, error.to_string())
    }
}
