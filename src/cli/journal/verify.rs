//! `berth journal verify`, and how its findings are printed.

use super::Where;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::journal::{self, Report};
use clap::Args;
use serde_json::{Value, json};
use std::path::PathBuf;

/// `berth journal verify`.
#[derive(Args, Debug)]
pub struct VerifyArgs {
    #[command(flatten)]
    place: Where,
    /// Check this copy instead.
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

/// Checks everything.
pub fn verify(context: &Context, args: &VerifyArgs) -> Result<(), Failure> {
    let config = args.place.config()?;
    let report = match &args.file {
        Some(file) => journal::survey_file(file, &config.lab_options())?,
        None => journal::survey(&config.data_dir, &config.lab_options())?,
    };
    print(context, &report)?;
    match report.problems.is_empty() {
        true => Ok(()),
        false => Err(damaged(&report)),
    }
}

/// How a command ends that found damage.
pub fn damaged(report: &Report) -> Failure {
    let count = report.problems.len() as u64 + report.problems_more;
    let plural = if count == 1 { "" } else { "s" };
    Failure::new(Exit::Refused, format!("{count} problem{plural} in {}", report.path.display()))
}

/// Prints a report.
pub fn print(context: &Context, report: &Report) -> Result<(), Failure> {
    match context.shared.json {
        true => context.print_json(&to_json(report)),
        false => context.print(&to_text(report)),
    }
}

/// A report for programs.
pub fn to_json(report: &Report) -> Value {
    let snapshots = report
        .snapshots
        .iter()
        .map(|found| json!({"seq": found.seq, "at": found.at.0, "bytes": found.bytes, "whole": found.whole}));
    let problems =
        report.problems.iter().map(|problem| json!({"place": problem.place.word(), "why": problem.why}));
    json!({
        "file": report.path.display().to_string(),
        "in_use": report.in_use,
        "facts": {
            "first": report.first,
            "last": report.last,
            "whole": report.kinds.values().sum::<u64>(),
            "first_at": report.first_at.map(|at| at.0),
            "last_at": report.last_at.map(|at| at.0),
            "lost": report.lost.map(|(from, to)| [from, to]),
        },
        "kinds": report.kinds,
        "snapshots": snapshots.collect::<Vec<_>>(),
        "bytes": {"file": report.file_bytes, "log": report.log_bytes},
        "problems": problems.collect::<Vec<_>>(),
        "problems_more": report.problems_more,
        "sound": report.problems.is_empty(),
    })
}

/// A report for people.
fn to_text(report: &Report) -> String {
    let whole: u64 = report.kinds.values().sum();
    let mut text = format!("journal    {}\n", report.path.display());
    text.push_str(&format!("facts      {whole}, numbered {} to {}\n", report.first, report.last));
    if let (Some(first), Some(last)) = (report.first_at, report.last_at) {
        text.push_str(&format!("decided    {first} to {last}\n"));
    }
    for found in &report.snapshots {
        let state = if found.whole { "" } else { ", damaged" };
        text.push_str(&format!(
            "snapshot   after fact {}, {} bytes, {}{state}\n",
            found.seq, found.bytes, found.at
        ));
    }
    let in_use = if report.in_use { "; a server has it, so the log was not looked at" } else { "" };
    text.push_str(&format!(
        "bytes      {} in the file, {} in the log{in_use}\n",
        report.file_bytes, report.log_bytes
    ));
    for problem in &report.problems {
        text.push_str(&format!("wrong      {}\n", crate::cli::table::plain(&problem.why)));
    }
    if report.problems_more > 0 {
        text.push_str(&format!("wrong      and {} more\n", report.problems_more));
    }
    if report.problems.is_empty() {
        text.push_str("sound      everything was read, and all of it tells the same\n");
    }
    text
}
