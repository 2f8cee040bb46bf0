//! `berth journal compact` and `berth journal repair`.

use super::{Where, verify};
use crate::cli::context::Context;
use crate::cli::exit::Failure;
use crate::clock::Clock;
use crate::journal::{self, Outcome, Remedy};
use clap::Args;
use serde_json::{Value, json};
use std::str::FromStr;

/// A day.
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

/// How many days can be asked for.
const DAYS_MAX: u64 = 36_500;

/// `berth journal compact`.
#[derive(Args, Debug)]
pub struct CompactArgs {
    #[command(flatten)]
    place: Where,
    /// How much history stays: a number of days, 'all', or 'none' (only the last fact and what is true now). Without it
    /// journal.history_days decides.
    #[arg(long, value_name = "DAYS")]
    keep_days: Option<KeepDays>,
}

/// How much history stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum KeepDays {
    /// Everything.
    All,
    /// So many days; 0 only when 'none' was said.
    Days(u64),
}

impl FromStr for KeepDays {
    type Err = String;

    fn from_str(text: &str) -> Result<KeepDays, String> {
        match (text, text.parse()) {
            ("all", _) => Ok(KeepDays::All),
            ("none", _) => Ok(KeepDays::Days(0)),
            // In the configuration it keeps everything; nobody shall lose a history to a misunderstanding.
            (_, Ok(0)) => Err("0 could mean two things; say 'all' or 'none'".to_owned()),
            (_, Ok(days)) if days <= DAYS_MAX => Ok(KeepDays::Days(days)),
            _ => Err(format!("a number of days from 1 to {DAYS_MAX}, 'all', or 'none'")),
        }
    }
}

/// Makes the journal small.
pub fn compact(context: &Context, args: &CompactArgs) -> Result<(), Failure> {
    let config = args.place.config()?;
    let keep = args.keep_days.unwrap_or(match config.journal.history_days {
        0 => KeepDays::All,
        days => KeepDays::Days(days),
    });
    let history_ms = match keep {
        KeepDays::All => None,
        KeepDays::Days(days) => Some(days * DAY_MS),
    };
    let now = Clock::system().now();
    let done = journal::compact(&config.data_dir, config.lab_options(), now, history_ms)?;
    if context.shared.json {
        return context.print_json(&json!({
            "first": done.first, "last": done.last, "deleted": done.expired,
            "bytes_before": done.bytes_before, "bytes_after": done.bytes_after,
        }));
    }
    context.print(&format!(
        "snapshot   after fact {}\ndeleted    {} facts; the first that is kept is {}\nbytes      {} before, {} now\n",
        done.last, done.expired, done.first, done.bytes_before, done.bytes_after
    ))
}

/// `berth journal repair`.
#[derive(Args, Debug)]
pub struct RepairArgs {
    #[command(flatten)]
    place: Where,
    /// Lose this fact, the first that 'verify' names as damaged, and everything after it.
    #[arg(long, value_name = "SEQ", group = "remedy")]
    drop_from: Option<u64>,
    /// Lose the history before this fact, the first behind the damage; a snapshot keeps what is true.
    #[arg(long, value_name = "SEQ", group = "remedy")]
    drop_before: Option<u64>,
    /// Drop the snapshot after this fact, which says something else than the facts do.
    #[arg(long, value_name = "SEQ", group = "remedy")]
    drop_snapshot: Option<u64>,
}

impl RepairArgs {
    fn remedy(&self) -> Remedy {
        let from = self.drop_from.map(Remedy::DropFrom);
        let before = self.drop_before.map(Remedy::DropBefore);
        from.or(before).or(self.drop_snapshot.map(Remedy::DropSnapshot)).unwrap_or(Remedy::Lossless)
    }
}

/// Repairs the journal, or says what could be done.
pub fn repair(context: &Context, args: &RepairArgs) -> Result<(), Failure> {
    let config = args.place.config()?;
    let now = Clock::system().now();
    match journal::repair(&config.data_dir, &config.lab_options(), args.remedy(), now)? {
        Outcome::Sound(report) => {
            verify::print(context, &report)?;
            context.note("nothing is wrong, nothing was changed");
            Ok(())
        }
        Outcome::Repaired(done) => {
            let aside = done.aside.map(|path| path.display().to_string());
            if context.shared.json {
                let journal = verify::to_json(&done.report);
                return context
                    .print_json(&json!({"dropped": done.dropped, "aside": aside, "journal": journal}));
            }
            let dropped: String = done.dropped.iter().map(|what| format!("repaired   {what}\n")).collect();
            let aside = aside.map(|path| format!("before     {path}\n")).unwrap_or_default();
            context.print(&format!("{dropped}{aside}"))?;
            verify::print(context, &done.report)
        }
        Outcome::Choices(report, choices) => {
            if context.shared.json {
                let (journal, choices) = (verify::to_json(&report), Value::from(choices));
                context.print_json(&json!({"choices": choices, "journal": journal}))?;
            } else {
                verify::print(context, &report)?;
                let choices: String = choices.iter().map(|choice| format!("choice     {choice}\n")).collect();
                context.print(&choices)?;
            }
            let failure = verify::damaged(&report);
            Err(Failure::new(
                crate::cli::exit::Exit::Refused,
                format!("{failure}; nothing was changed, choose what may be lost"),
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_history_is_only_lost_by_its_word() {
        assert_eq!("none".parse(), Ok(KeepDays::Days(0)));
        assert_eq!("all".parse(), Ok(KeepDays::All));
        assert_eq!("30".parse(), Ok(KeepDays::Days(30)));
        for text in ["0", "00", "-1", "", "1d", "36501", "99999999999999999999"] {
            assert!(text.parse::<KeepDays>().is_err(), "{text}");
        }
    }
}
