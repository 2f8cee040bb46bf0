//! Answers and notices as clients read them, in the reference's own style of writing.

use super::reason;
use super::value::{push_float, push_int, push_list, push_text};
use crate::allocator::torus::{Chip, Triad};
use crate::lab::demand::DEFAULT_KIND;
use crate::lab::fact::MachineName;
use crate::lab::job::{JobSpec, JobState, Loan, Want};
use crate::lab::machine::{MachineSpec, Physical};
use crate::lab::view::{BoardName, JobMachineView, JobView, MachineView, WhereView};
use crate::user::UserName;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

/// The name of this door, and what it acts under.
pub const DOOR: &str = "spalloc";

/// More bytes than stand around the value of an answer.
pub const RETURN_BYTES: usize = 32;

/// How the request of a job made at this door begins, as it is repeated.
const ECHO_START: &str = "{\"args\": ";

/// Appends an answer whose value is written by `push`.
pub fn push_return(out: &mut String, push: impl FnOnce(&mut String)) {
    out.push_str("{\"return\": ");
    push(out);
    out.push_str("}\n");
}

/// Appends what a call raised.
pub fn push_exception(out: &mut String, text: &str) {
    out.push_str("{\"exception\": ");
    push_text(out, text);
    out.push_str("}\n");
}

/// Appends null, the answer of what has nothing to tell.
pub fn push_null(out: &mut String) {
    out.push_str("null");
}

/// Appends a line that names jobs.
pub fn push_jobs_changed(out: &mut String, jobs: &[u64]) {
    out.push_str("{\"jobs_changed\": ");
    push_list(out, jobs, push_int);
    out.push_str("}\n");
}

/// Appends a line that names machines.
pub fn push_machines_changed(out: &mut String, machines: &[MachineName]) {
    out.push_str("{\"machines_changed\": ");
    push_list(out, machines, |out, machine| push_text(out, machine));
    out.push_str("}\n");
}

/// Writes the entries of an object.
struct Entries<'o> {
    out: &'o mut String,
    first: bool,
}

impl Entries<'_> {
    fn begin(out: &mut String) -> Entries<'_> {
        out.push('{');
        Entries { out, first: true }
    }

    /// The key of another entry; its value follows.
    fn key(&mut self, name: &str) -> &mut String {
        self.out.push_str(if self.first { "\"" } else { ", \"" });
        self.out.push_str(name);
        self.out.push_str("\": ");
        self.first = false;
        self.out
    }

    fn entry<T>(&mut self, name: &str, value: Option<T>, push: impl FnOnce(&mut String, T)) {
        let out = self.key(name);
        match value {
            Some(value) => push(out, value),
            None => push_null(out),
        }
    }

    fn end(self) {
        self.out.push('}');
    }
}

fn push_bool(out: &mut String, truth: bool) {
    out.push_str(if truth { "true" } else { "false" });
}

fn push_seconds(out: &mut String, ms: u64) {
    push_float(out, ms as f64 / 1000.0);
}

/// Appends numbers in brackets.
fn push_numbers<const N: usize>(out: &mut String, numbers: [u32; N]) {
    push_list(out, numbers, push_int);
}

/// Appends the place of a board in its torus.
pub fn push_triad(out: &mut String, at: Triad) {
    push_numbers(out, [at.x, at.y, at.z]);
}

/// Appends where a board stands.
pub fn push_place(out: &mut String, place: Physical) {
    push_numbers(out, [place.cabinet, place.frame, place.board]);
}

fn push_chip(out: &mut String, chip: Chip) {
    push_numbers(out, [chip.x, chip.y]);
}

fn push_board(out: &mut String, board: &BoardName) {
    match board {
        BoardName::Triad(at) => push_triad(out, *at),
        BoardName::Serial(serial) => push_text(out, serial),
    }
}

fn push_host(out: &mut String, host: Option<IpAddr>) {
    match host {
        Some(host) => push_text(out, &host.to_canonical().to_string()),
        None => out.push_str("\"\""),
    }
}

/// Whether the boards of a job are on, or on their way there; none while it has none.
fn power(job: &JobView) -> Option<bool> {
    let on = |loan: &Loan| loan.power;
    job.loan.as_ref().filter(|_| matches!(job.state, JobState::Power | JobState::Ready)).map(on)
}

/// Appends the state of a job, and who last kept it alive; of none when there is no such job.
pub fn push_state(out: &mut String, job: Option<&JobView>, host: Option<IpAddr>) {
    let live = job.filter(|job| job.state != JobState::Destroyed);
    let mut entries = Entries::begin(out);
    push_int(entries.key("state"), job.map_or(JobState::Unknown, |job| job.state) as u8);
    entries.entry("power", live.and_then(power), push_bool);
    entries.entry("keepalive", live.and_then(|job| job.spec.keepalive_ms), push_seconds);
    entries.entry("reason", job.and_then(reason::of), |out, reason| push_text(out, &reason));
    entries.entry("start_time", live.map(|job| job.created.unix_s()), push_float);
    entries.entry("keepalivehost", live.map(|_| host), push_host);
    entries.end();
}

/// Appends the boards of a job and how to reach them; all null while it has none.
pub fn push_machine_info(out: &mut String, held: Option<&JobMachineView>) {
    let mut entries = Entries::begin(out);
    entries.entry("width", held.and_then(|held| held.width), push_int);
    entries.entry("height", held.and_then(|held| held.height), push_int);
    entries.entry("connections", held, |out, held| {
        push_list(out, &held.connections, |out, (chip, host)| {
            out.push('[');
            push_chip(out, *chip);
            out.push_str(", ");
            push_text(out, host);
            out.push(']');
        });
    });
    entries.entry("machine_name", held, |out, held| push_text(out, &held.machine));
    entries.entry("boards", held, |out, held| push_list(out, &held.boards, push_board));
    entries.end();
}

/// Which machines are tori, and as what they prepare their boards: what decides which jobs are listed here.
pub struct Tori<'v>(BTreeMap<&'v str, &'v MachineSpec>);

impl<'v> Tori<'v> {
    /// The tori among all machines.
    pub fn of(machines: &'v [MachineView]) -> Tori<'v> {
        let tori = machines.iter().map(|machine| &*machine.spec).filter(|spec| spec.triads().is_some());
        Tori(tori.map(|spec| (&*spec.name, spec)).collect())
    }

    /// Whether a job has boards of a torus, or may get some.
    pub fn have(&self, job: &JobView) -> bool {
        if let Some(loan) = &job.loan {
            return self.0.contains_key(&*loan.machine);
        }
        let spec = &*job.spec;
        let kind = spec.kind.as_deref().unwrap_or(DEFAULT_KIND);
        match (&spec.want, &spec.machine) {
            (Want::Serials(_), _) => false,
            (_, Some(machine)) => self.0.contains_key(&**machine),
            (_, None) => self.0.values().any(|torus| torus.kinds.iter().any(|known| **known == *kind)),
        }
    }
}

/// A job as a row of the list; none of a job that has no boards of tori and gets none.
pub fn job_row(job: &JobView, tori: &Tori<'_>, host: Option<IpAddr>) -> Option<String> {
    let mut row = String::new();
    tori.have(job).then(|| push_job(&mut row, job, UserName::door(DOOR).as_str(), host))?;
    Some(row)
}

/// Appends rows of jobs, oldest first, as one list.
pub fn push_rows<'r>(out: &mut String, rows: impl IntoIterator<Item = &'r Box<str>>) {
    push_list(out, rows, |out, row| out.push_str(row));
}

fn push_job(out: &mut String, job: &JobView, door: &str, host: Option<IpAddr>) {
    let (spec, loan) = (&*job.spec, job.loan.as_ref());
    let mut entries = Entries::begin(out);
    push_int(entries.key("job_id"), job.id.0);
    push_text(entries.key("owner"), &spec.owner);
    push_float(entries.key("start_time"), job.created.unix_s());
    entries.entry("keepalive", spec.keepalive_ms, push_seconds);
    push_int(entries.key("state"), job.state as u8);
    entries.entry("power", power(job), push_bool);
    match spec.echo.strip_prefix(ECHO_START).and_then(|echo| echo.strip_suffix('}')) {
        // What this door wrote is repeated as it is.
        Some(echo) if *spec.by == *door => entries.key("args").push_str(echo),
        _ => {
            push_size(entries.key("args"), &spec.want);
            push_unusual(entries.key("kwargs"), spec);
        }
    }
    entries.entry("allocated_machine_name", loan, |out, loan| push_text(out, &loan.machine));
    entries.entry("boards", loan, |out, _| push_list(out, &job.boards, push_board));
    push_host(entries.key("keepalivehost"), host);
    entries.end();
}

/// What was asked for, as `create_job` takes it by place.
fn push_size(out: &mut String, want: &Want) {
    match want {
        Want::Boards(count) => push_numbers(out, [*count]),
        Want::Triads { width, height } => push_numbers(out, [*width, *height]),
        Want::Exact { x, y, z } => push_numbers(out, [*x, *y, *z]),
        Want::Serials(_) => push_numbers(out, []),
    }
}

/// The options that are not the default, as `create_job` takes them by name.
fn push_unusual(out: &mut String, spec: &JobSpec) {
    let mut entries = Entries::begin(out);
    let is_usual = spec.tags.len() == 1 && spec.tags.contains("default");
    match &spec.machine {
        Some(machine) => push_text(entries.key("machine"), machine),
        None if is_usual => {}
        None => push_list(entries.key("tags"), &spec.tags, |out, tag| push_text(out, tag)),
    }
    if spec.min_ratio != 0.0 {
        push_float(entries.key("min_ratio"), spec.min_ratio);
    }
    if let Some(most) = spec.max_dead_boards {
        push_int(entries.key("max_dead_boards"), most);
    }
    if let Some(most) = spec.max_dead_links {
        push_int(entries.key("max_dead_links"), most);
    }
    if spec.require_torus {
        entries.key("require_torus").push_str("true");
    }
    entries.end();
}

/// Appends all tori, in the order in which they are tried.
pub fn push_machines(out: &mut String, machines: &[MachineView]) {
    let tori = machines.iter().map(|machine| &*machine.spec);
    let tori = tori.filter_map(|spec| Some((spec, spec.triads()?)));
    push_list(out, tori, |out, (spec, torus)| {
        let mut entries = Entries::begin(out);
        push_text(entries.key("name"), &spec.name);
        push_list(entries.key("tags"), &spec.tags, |out, tag: &Arc<str>| push_text(out, tag));
        push_int(entries.key("width"), torus.width);
        push_int(entries.key("height"), torus.height);
        push_list(entries.key("dead_boards"), &torus.dead_boards, |out, board| push_triad(out, *board));
        push_list(entries.key("dead_links"), &torus.dead_links, |out, (board, link)| {
            push_numbers(out, [board.x, board.y, board.z, link.number()]);
        });
        entries.end();
    });
}

/// Appends where something is; null when it is nowhere.
pub fn push_where(out: &mut String, found: Option<&WhereView>) {
    let Some(at) = found else { return push_null(out) };
    let mut entries = Entries::begin(out);
    push_text(entries.key("machine"), &at.machine);
    push_triad(entries.key("logical"), at.logical);
    push_place(entries.key("physical"), at.physical);
    push_chip(entries.key("chip"), at.chip);
    push_chip(entries.key("board_chip"), at.board_chip);
    entries.entry("job_id", at.job, |out, job| push_int(out, job.0));
    entries.entry("job_chip", at.job_chip, push_chip);
    entries.end();
}
