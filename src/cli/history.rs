//! `berth history`: who held what, when, and why it ended, out of the journal itself, whether or not a server has it.
//!
//! Rows come in the order in which they ended, those that last at the end. They are printed as they are found unless
//! only the last of them are wanted, so a long history needs no more memory than a short one. Columns and keys are
//! described in protocol-spec/journal.md.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::host::{origin, wrong};
use super::span::span_text;
use super::table::{Table, time_text};
use super::when::When;
use crate::clock::{Clock, Moment};
use crate::journal::{JournalError, JournalReader};
use crate::lab::fact::{Event, JobId};
use crate::lab::history::{History, LoanRow, Row};
use crate::lab::job::JobEvent;
use crate::lab::snapshot::Piece;
use crate::lab::view::BoardName;
use crate::service::shape::job::Past;
use clap::Args;
use serde_json::{Value, json};
use std::collections::{BTreeSet, VecDeque};
use std::io::{self, BufWriter, Write};
use std::ops::ControlFlow;
use std::path::PathBuf;

/// A table shows so many rows unless another number is wanted.
const TABLE_ROWS_MAX: usize = 1000;

/// The columns of the CSV; the keys of the JSON are the same.
const COLUMNS: [&str; 20] = [
    "job_id",
    "grant",
    "state",
    "owner",
    "want",
    "kind",
    "priority",
    "note",
    "machine",
    "boards",
    "board_count",
    "queued_at",
    "granted_at",
    "ready_at",
    "ended_at",
    "waited",
    "held",
    "reason",
    "failed",
    "powerings",
];

/// `berth history`.
#[derive(Args, Debug)]
pub struct HistoryArgs {
    /// The configuration of the server, which may be stopped; without it the built-in one.
    #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The server's data directory.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Only what this user had. `--user` on the command line means the same here.
    #[arg(long, value_name = "NAME")]
    owner: Option<String>,
    /// Only loans with this board, named as `berth boards` names it; may be given more than once.
    #[arg(long = "board", value_name = "BOARD")]
    boards: Vec<String>,
    /// Only loans of this machine, and requests for it.
    #[arg(long, short, value_name = "NAME")]
    machine: Option<String>,
    /// Only this job.
    #[arg(long, value_name = "JOB")]
    job: Option<u64>,
    /// Only what lasted until this time or longer: 2026-11-01, 2026-11-01T12:00Z, or a span back such as 7d. UTC.
    #[arg(long, value_name = "TIME")]
    since: Option<When>,
    /// Only what had begun by this time.
    #[arg(long, value_name = "TIME")]
    until: Option<When>,
    /// Only the last so many rows; 0 for all. A table shows the last 1000 unless told otherwise.
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
    /// Print CSV.
    #[arg(long)]
    csv: bool,
    /// Print everything that happened to the job.
    #[arg(long, requires = "job")]
    events: bool,
}

/// Prints loans, or what happened to one job.
pub fn history(context: &Context, args: &HistoryArgs) -> Result<(), Failure> {
    if args.csv && context.shared.json {
        return Err(Failure::usage("--csv and --json exclude each other"));
    }
    let config = origin(args.config.as_ref(), args.data_dir.as_ref(), None).load().map_err(wrong)?;
    let reader = JournalReader::open(&config.data_dir).map_err(refused)?;
    match args.job.filter(|_| args.events) {
        Some(job) => print_events(context, args, &reader, JobId(job)),
        None => print_rows(context, args, &reader),
    }
}

fn refused(error: JournalError) -> Failure {
    Failure::new(Exit::Refused, error.to_string())
}

/// A history that begins where the journal does, and listens to a job.
fn begin(reader: &JournalReader, listen: Option<JobId>) -> Result<History, JournalError> {
    let listening = |history: History, pieces: &[Piece]| match listen {
        Some(job) => history.listening_to(job, pieces),
        None => history,
    };
    let Some(told) = reader.snapshots().first().copied().filter(|_| reader.first() > 1) else {
        return Ok(listening(History::default(), &[]));
    };
    let mut joined = BTreeSet::new();
    reader.scan(reader.first(), told, &mut |entry| {
        if entry.kind() == b"machine_added"
            && let Event::MachineAdded { spec, .. } = entry.fact()?.event
        {
            joined.insert(spec.name.clone());
        }
        Ok(ControlFlow::Continue(()))
    })?;
    let pieces = reader.snapshot(told)?;
    Ok(listening(History::with_snapshot(told, &pieces, &joined), &pieces))
}

/// Takes all facts that tell of jobs, until `row` has enough; then hands over what lasts.
fn walk(
    reader: &JournalReader,
    mut history: History,
    row: &mut dyn FnMut(Row) -> ControlFlow<()>,
) -> Result<History, JournalError> {
    let mut enough = ControlFlow::Continue(());
    reader.scan(reader.first(), reader.last(), &mut |entry| {
        if tells_of_jobs(entry.kind()) {
            history.take(entry.seq, &entry.fact()?, &mut |ended| {
                if enough.is_continue() {
                    enough = row(ended);
                }
            });
        }
        Ok(enough)
    })?;
    if enough.is_continue() {
        history.clone().finish(&mut |lasting| {
            if enough.is_continue() {
                enough = row(lasting);
            }
        });
    }
    Ok(history)
}

fn tells_of_jobs(kind: &[u8]) -> bool {
    kind.starts_with(b"job_")
        || kind.starts_with(b"machine_")
        || matches!(kind, b"board_quarantined" | b"board_tested")
}

/// Which rows are wanted.
struct Wanted<'a> {
    args: &'a HistoryArgs,
    owner: Option<String>,
    since: Moment,
    until: Moment,
}

impl Wanted<'_> {
    fn of<'a>(context: &Context, args: &'a HistoryArgs, now: Moment) -> Wanted<'a> {
        let seen = |when: Option<When>, otherwise| when.map_or(otherwise, |when| when.seen_from(now));
        // BERTH_USER says who one is, not whose history one wants.
        let is_typed = std::env::args().any(|arg| arg == "--user" || arg.starts_with("--user="));
        let user = context.shared.user.clone().filter(|_| is_typed);
        Wanted {
            owner: args.owner.clone().or(user),
            since: seen(args.since, Moment(0)),
            until: seen(args.until, Moment(u64::MAX)),
            args,
        }
    }

    fn has(&self, row: &Row) -> bool {
        let loan = row.loan.as_ref();
        let machine = loan.map(|loan| &loan.machine).or(row.spec.machine.as_ref());
        let began = loan.map_or(row.waits_since, |loan| loan.granted_at);
        self.args.job.is_none_or(|job| row.job.0 == job)
            && self.owner.as_ref().is_none_or(|owner| *row.spec.owner == **owner)
            && self
                .args
                .machine
                .as_ref()
                .is_none_or(|name| machine.is_some_and(|machine| **machine == **name))
            && row.ended_at.is_none_or(|ended_at| ended_at >= self.since)
            && began <= self.until
            && (self.args.boards.is_empty() || loan.is_some_and(|loan| self.has_board(loan)))
    }

    fn has_board(&self, loan: &LoanRow) -> bool {
        let is_named = |board: BoardName| {
            let (short, long) = (board_text(&board, &loan.machine), board.text_in(&loan.machine));
            self.args.boards.iter().any(|named| *named == short || *named == long)
        };
        loan.boards().any(is_named)
    }
}

/// A board as `berth boards` names it.
fn board_text(board: &BoardName, machine: &str) -> String {
    match board {
        BoardName::Triad(_) => format!("{machine}:{board}"),
        BoardName::Serial(serial) => serial.to_string(),
    }
}

/// Prints rows: as they come, or the last of them.
fn print_rows(context: &Context, args: &HistoryArgs, reader: &JournalReader) -> Result<(), Failure> {
    let (now, history) = (Clock::system().now(), begin(reader, None).map_err(refused)?);
    let wanted = Wanted::of(context, args, now);
    let is_table = !args.csv && !context.shared.json;
    let rows_max = args.limit.or(is_table.then_some(TABLE_ROWS_MAX)).filter(|limit| *limit > 0);
    let mut printer = Printer::new(args.csv, now);
    let (mut last, mut dropped, mut failed) = (VecDeque::new(), 0_u64, None);
    if !is_table {
        printer.begin()?;
    }
    walk(reader, history, &mut |row| {
        if !wanted.has(&row) {
            return ControlFlow::Continue(());
        }
        match rows_max {
            None if !is_table => failed = printer.row(&row).err(),
            _ => {
                last.push_back(row);
                if rows_max.is_some_and(|max| last.len() > max) {
                    last.pop_front();
                    dropped += 1;
                }
            }
        }
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    })
    .map_err(refused)?;
    if let Some(error) = failed {
        return Err(error.into());
    }
    if is_table {
        if dropped > 0 && args.limit.is_none() {
            context.note(&format!("{dropped} earlier rows are not shown; --limit 0 shows all"));
        }
        return context.print(&context.table_text(&rows_table(&last, now)));
    }
    last.iter().try_for_each(|row| printer.row(row))?;
    Ok(printer.end()?)
}

fn rows_table(rows: &VecDeque<Row>, now: Moment) -> Table {
    let mut table = Table::new(&[
        "JOB", "OWNER", "MACHINE", "BOARDS", "STATE", "QUEUED", "WAITED", "GRANTED", "HELD", "REASON",
    ]);
    for row in rows {
        let loan = row.loan.as_ref();
        table.push([
            row.job.to_string(),
            row.spec.owner.to_string(),
            loan.map(|loan| loan.machine.to_string()).unwrap_or_default(),
            loan.map(few_boards).unwrap_or_default(),
            row.state.word().to_owned(),
            time_text(row.queued_at.unix_s()),
            span_text(row.waited_ms(now) as f64 / 1000.0),
            loan.map(|loan| time_text(loan.granted_at.unix_s())).unwrap_or_default(),
            row.held_ms(now).map(|ms| span_text(ms as f64 / 1000.0)).unwrap_or_default(),
            row.reason.clone().unwrap_or_default(),
        ]);
    }
    table
}

/// The boards of a loan if they are few, else how many.
fn few_boards(loan: &LoanRow) -> String {
    let names: Vec<_> = loan.boards().take(4).map(|board| board_text(&board, &loan.machine)).collect();
    if names.len() == loan.count { names.join(" ") } else { loan.count.to_string() }
}

/// Writes rows as JSON or as CSV.
struct Printer {
    out: BufWriter<io::StdoutLock<'static>>,
    csv: bool,
    now: Moment,
    rows: u64,
}

impl Printer {
    fn new(csv: bool, now: Moment) -> Printer {
        Printer { out: BufWriter::new(io::stdout().lock()), csv, now, rows: 0 }
    }

    fn begin(&mut self) -> io::Result<()> {
        match self.csv {
            true => self.out.write_all(csv_line(COLUMNS.map(str::to_owned)).as_bytes()),
            false => self.out.write_all(b"["),
        }
    }

    fn row(&mut self, row: &Row) -> io::Result<()> {
        self.rows += 1;
        if self.csv {
            return self.out.write_all(csv_line(row_cells(row, self.now)).as_bytes());
        }
        let comma = if self.rows > 1 { "," } else { "" };
        write!(self.out, "{comma}\n{}", row_value(row, self.now))
    }

    fn end(mut self) -> io::Result<()> {
        if !self.csv {
            self.out.write_all(if self.rows > 0 { b"\n]\n" } else { b"]\n" })?;
        }
        self.out.flush()
    }
}

/// A row as JSON: times are Unix seconds, durations seconds.
fn row_value(row: &Row, now: Moment) -> Value {
    let loan = row.loan.as_ref();
    let seconds = |ms: u64| ms as f64 / 1000.0;
    json!({
        "job_id": row.job.0,
        "grant": loan.map(|loan| loan.grant.0),
        "state": row.state.word(),
        "owner": &*row.spec.owner,
        "want": row.spec.want.to_string(),
        "kind": row.kind().map(|kind| &**kind),
        "priority": row.spec.priority,
        "note": &*row.spec.note,
        "machine": loan.map(|loan| &loan.machine).or(row.spec.machine.as_ref()).map(|name| &**name),
        "boards": loan.map(|loan| loan.boards().map(|board| board_text(&board, &loan.machine)).collect::<Vec<_>>()),
        "board_count": loan.map(|loan| loan.count),
        "queued_at": row.queued_at.unix_s(),
        "granted_at": loan.map(|loan| loan.granted_at.unix_s()),
        "ready_at": loan.and_then(|loan| loan.ready_at).map(Moment::unix_s),
        "ended_at": row.ended_at.map(Moment::unix_s),
        "waited": seconds(row.waited_ms(now)),
        "held": row.held_ms(now).map(seconds),
        "reason": row.reason,
        "failed": loan.map(|loan| loan.failed),
        "powerings": loan.map(|loan| loan.powerings),
    })
}

/// A row as cells: times are ISO 8601 in UTC, boards stand beside each other, what there is not is empty.
fn row_cells(row: &Row, now: Moment) -> [String; COLUMNS.len()] {
    let value = row_value(row, now);
    COLUMNS.map(|column| match (column, &value[column]) {
        (_, Value::Null) => String::new(),
        (name, Value::Number(at)) if name.ends_with("_at") => {
            Moment((at.as_f64().unwrap_or_default() * 1000.0).round() as u64).to_string()
        }
        (_, Value::Array(boards)) => {
            safe(&boards.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        (_, Value::String(text)) => safe(text),
        (_, number) => number.to_string(),
    })
}

/// Text that a spreadsheet takes for text: with an apostrophe before what it would take for a formula.
fn safe(text: &str) -> String {
    match text.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '\'']) {
        true => format!("'{text}"),
        false => text.to_owned(),
    }
}

/// A line as RFC 4180 has it.
fn csv_line<const N: usize>(cells: [String; N]) -> String {
    let quoted = cells.map(|cell| match cell.contains([',', '"', '\r', '\n']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    });
    quoted.join(",") + "\r\n"
}

/// Prints everything that happened to one job.
fn print_events(
    context: &Context,
    args: &HistoryArgs,
    reader: &JournalReader,
    job: JobId,
) -> Result<(), Failure> {
    let history = begin(reader, Some(job)).map_err(refused)?;
    let ends = |row: Row| match row.job == job && row.state == crate::lab::history::RowState::Destroyed {
        true => ControlFlow::Break(()),
        false => ControlFlow::Continue(()),
    };
    let history = walk(reader, history, &mut { ends }).map_err(refused)?;
    let events: Result<Vec<Value>, _> = history.heard().iter().map(event_value).collect();
    let events = events.map_err(Failure::unexpected)?;
    if events.is_empty() {
        return Err(unknown(reader, job));
    }
    if context.shared.json {
        return context.print_json(&Value::Array(events));
    }
    let text = |event: &Value, key: &str| event[key].as_str().unwrap_or_default().to_owned();
    let at = |event: &Value| event["at"].as_f64().unwrap_or_default();
    if args.csv {
        let cells = |event: &Value| {
            let at = Moment((at(event) * 1000.0).round() as u64).to_string();
            csv_line([at, text(event, "event"), safe(&text(event, "detail"))])
        };
        let lines: String = events.iter().map(cells).collect();
        return context.print(&(csv_line(["at", "event", "detail"].map(str::to_owned)) + &lines));
    }
    let mut table = Table::new(&["TIME", "EVENT", "DETAIL"]);
    events
        .iter()
        .for_each(|event| table.push([time_text(at(event)), text(event, "event"), text(event, "detail")]));
    context.print(&context.table_text(&table))
}

/// An event as `job_history` tells it.
fn event_value(event: &(Moment, JobEvent)) -> serde_json::Result<Value> {
    serde_json::to_value(Past(event))
}

/// The journal has nothing of a job.
fn unknown(reader: &JournalReader, job: JobId) -> Failure {
    let mut since = None;
    // Only a better sentence: what cannot be read was complained of before.
    let _ = reader.scan(reader.first(), reader.first(), &mut |entry| {
        since = Some(entry.at);
        Ok(ControlFlow::Break(()))
    });
    let kept = since.filter(|_| reader.first() > 1).map(|since| format!("; history is kept since {since}"));
    Failure::new(Exit::Refused, format!("no job has the number {job}{}", kept.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_are_no_formulas() {
        let line = csv_line(["plain", "a,b", "say \"hi\"", "two\r\nlines", ""].map(str::to_owned));
        assert_eq!(line, "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\r\nlines\",\r\n");
        for (text, cell) in [
            ("=1+1", "'=1+1"),
            ("+4", "'+4"),
            ("-4", "'-4"),
            ("@x", "'@x"),
            ("\tx", "'\tx"),
            ("'x", "''x"),
            ("a=b", "a=b"),
            ("", ""),
        ] {
            assert_eq!(safe(text), cell);
        }
    }
}
