//! `berth journal export`: facts as lines of JSON.

use super::Where;
use crate::cli::context::Context;
use crate::cli::exit::{Exit, Failure};
use crate::cli::when::When;
use crate::clock::Clock;
use crate::journal::{Entry, JournalReader};
use clap::Args;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow::{self, Break, Continue};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What stands where a secret was.
const HIDDEN: &str = "***";

/// Keys whose values let somebody speak as a user, or guess a password.
const SECRETS: [&str; 2] = ["phc", "session"];

/// `berth journal export`.
#[derive(Args, Debug)]
pub struct ExportArgs {
    #[command(flatten)]
    place: Where,
    /// Begin with this fact.
    #[arg(long, value_name = "SEQ")]
    from: Option<u64>,
    /// End with this fact.
    #[arg(long, value_name = "SEQ")]
    to: Option<u64>,
    /// Only facts decided at this time or later: 2026-11-21, 2026-11-21T14:08:00Z, or a span such as 2d for "that long ago".
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only facts of this kind; may be given more than once.
    #[arg(long, value_name = "KIND")]
    kind: Vec<String>,
    /// Write into this file, which must not be there yet, instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Also write hashes of passwords and ids of sessions; without it they are "***".
    #[arg(long)]
    secrets: bool,
    /// Go on after facts that cannot be read, and tell of each on standard error.
    #[arg(long)]
    skip_damaged: bool,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    seq: u64,
    at: u64,
    kind: &'a str,
    version: u16,
    body: &'a RawValue,
}

/// Writes the facts that are wanted.
pub fn export(context: &Context, args: &ExportArgs) -> Result<(), Failure> {
    let data_dir = args.place.config()?.data_dir;
    let reader = match args.skip_damaged {
        true => JournalReader::open_damaged(&data_dir)?,
        false => JournalReader::open(&data_dir)?,
    };
    let from = args.from.unwrap_or(0).max(reader.first());
    if args.from.is_some_and(|seq| seq > 0 && seq < from) {
        context.note(&format!("facts before {from} were deleted"));
    }
    let to = args.to.unwrap_or(u64::MAX).min(reader.last());
    match &args.output {
        Some(path) => {
            let file = create(path)?;
            let mut out = BufWriter::new(file);
            write_facts(context, args, &reader, from, to, &mut out)?;
            Ok(out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?)
        }
        None => {
            let mut out = BufWriter::new(io::stdout().lock());
            write_facts(context, args, &reader, from, to, &mut out)?;
            Ok(out.flush()?)
        }
    }
}

/// A new file for its owner alone.
fn create(path: &Path) -> Result<File, Failure> {
    let file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path);
    file.map_err(|error| Failure::usage(format!("{} cannot be made: {error}", path.display())))
}

fn write_facts(
    context: &Context,
    args: &ExportArgs,
    reader: &JournalReader,
    from: u64,
    to: u64,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let since = args.since.map(|since| since.seen_from(Clock::system().now()));
    let (mut ended, mut skipped) = (Ok(()), 0u64);
    reader.survey(from, to, &mut |found| {
        let wanted = |entry: &Entry<'_>| {
            since.is_none_or(|since| entry.at >= since)
                && (args.kind.is_empty() || args.kind.iter().any(|kind| kind.as_bytes() == entry.kind()))
        };
        let written = match found {
            Ok(entry) if !wanted(&entry) => Ok(()),
            Ok(entry) => write_fact(&entry, args.secrets, out),
            Err(error) => Err(error.into()),
        };
        match written {
            Err(Failure::Told { exit: Exit::Refused, msg, .. }) if args.skip_damaged => {
                context.error(&msg);
                skipped += 1;
                Continue(())
            }
            written => settle(written, &mut ended),
        }
    })?;
    if skipped > 0 {
        context.note(&format!("what could not be read was left out ({skipped} times)"));
    }
    ended
}

/// Stops at the first failure.
fn settle(written: Result<(), Failure>, ended: &mut Result<(), Failure>) -> ControlFlow<()> {
    match written {
        Ok(()) => Continue(()),
        failed => {
            *ended = failed;
            Break(())
        }
    }
}

fn write_fact(entry: &Entry<'_>, secrets: bool, out: &mut impl Write) -> Result<(), Failure> {
    let seq = entry.seq;
    let damaged = |why: String| Failure::new(Exit::Refused, format!("fact {seq}: {why}"));
    let record = entry.record().map_err(|error| damaged(error.to_string()))?;
    let hidden;
    let body = match secrets {
        true => &*record.body,
        false => {
            hidden = hide(&record.body).map_err(|error| damaged(error.to_string()))?;
            hidden.as_deref().unwrap_or(&record.body)
        }
    };
    let body: &RawValue = serde_json::from_str(body).map_err(|error| damaged(error.to_string()))?;
    let line = Line { seq, at: record.at.0, kind: &record.kind, version: record.version, body };
    serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
    Ok(out.write_all(b"\n")?)
}

/// The body without its secrets; none if it has no secrets.
fn hide(body: &str) -> serde_json::Result<Option<String>> {
    // A key may be spelled with escapes.
    if !SECRETS.iter().any(|key| body.contains(key)) && !body.contains('\\') {
        return Ok(None);
    }
    let mut value: Value = serde_json::from_str(body)?;
    match conceal(&mut value) {
        true => serde_json::to_string(&value).map(Some),
        false => Ok(None),
    }
}

/// Hides secrets wherever they are; says whether there were any.
fn conceal(value: &mut Value) -> bool {
    match value {
        Value::Object(fields) => fields.iter_mut().fold(false, |found, (key, value)| {
            if SECRETS.contains(&key.as_str()) {
                *value = HIDDEN.into();
                return true;
            }
            conceal(value) || found
        }),
        // Each of them, also after the first that had one.
        Value::Array(values) => values.iter_mut().map(conceal).filter(|found| *found).count() > 0,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_hidden_and_nothing_else() {
        let hidden =
            hide(r#"{"user":"ada","phc":"$argon2id$..","list":[{"session":"00ff"},{"session":"11"}]}"#)
                .unwrap();
        assert_eq!(
            hidden.unwrap(),
            r#"{"list":[{"session":"***"},{"session":"***"}],"phc":"***","user":"ada"}"#
        );
        for plain in [r#"{"job":1}"#, r#"{"note":"a session"}"#, r#"{"note":"\"phc\""}"#] {
            assert_eq!(hide(plain).unwrap(), None, "{plain}");
        }
        assert!(hide(r#"{"ph\u0063":"x"}"#).unwrap().unwrap().contains(HIDDEN));
        assert!(hide(r#"{"phc":"#).is_err());
    }
}
