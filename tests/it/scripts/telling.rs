//! Facts, effects and views of the lab as short sentences.

use berth::allocator::BoardIndex;
use berth::clock::Moment;
use berth::lab::Lab;
use berth::lab::board::Tally;
use berth::lab::effect::{Action, Order};
use berth::lab::fact::{BoardRef, Event, Fact};
use berth::lab::machine::MachineSpec;
use berth::lab::refusal::Refusal;
use berth::lab::view::{BoardView, JobView, View};
use std::sync::Arc;

/// When every script begins.
pub const START: Moment = Moment(1_800_000_000_000);

/// A moment as seconds since the start.
pub fn time(at: Moment) -> String {
    let ms = at.ms_since(START);
    if ms.is_multiple_of(1000) {
        format!("{}s", ms / 1000)
    } else {
        format!("{}.{:03}s", ms / 1000, ms % 1000)
    }
}

/// A refusal with its code.
pub fn refusal(refusal: &Refusal) -> String {
    let fault = refusal.fault();
    format!("refused {} {}: {}", fault.code.number(), fault.code.row().name, fault.msg)
}

/// A machine by its name, in a lab or as it was said to be.
pub fn spec_of(lab: &Lab, name: &str) -> Option<Arc<MachineSpec>> {
    lab.machine_specs().find(|spec| *spec.name == *name).cloned()
}

/// Boards of one machine.
pub fn boards(lab: &Lab, machine: &str, boards: &[BoardIndex]) -> String {
    let Some(spec) = spec_of(lab, machine) else { return format!("{machine}: {} boards", boards.len()) };
    let names: Vec<_> = boards.iter().map(|board| spec.board_text(*board)).collect();
    match &names[..] {
        [first, .., last] if names.len() > 6 => format!("{first} to {last} ({} boards)", names.len()),
        _ => names.join(" "),
    }
}

fn board(lab: &Lab, at: &BoardRef) -> String {
    boards(lab, &at.machine, &[at.board])
}

/// What happened; asked before the fact is applied, so that what goes can still be named.
pub fn fact(lab: &Lab, fact: &Fact) -> String {
    match &fact.event {
        Event::MachineAdded { spec, position } => {
            format!("machine {} added at {position} with {} boards", spec.name, spec.board_count())
        }
        Event::MachineChanged { spec, position } => format!("machine {} changed, at {position}", spec.name),
        Event::MachineRemoved { machine } => format!("machine {machine} removed"),
        Event::JobQueued { job, spec } => format!("job {job} queued: {} for {}", spec.want, spec.owner),
        Event::JobGranted { job, grant, machine, boards: lent, region } => {
            let place =
                region.map_or(String::new(), |r| format!(" ({}x{} at {},{})", r.width, r.height, r.x, r.y));
            format!("job {job} granted {}{place}, grant {}", boards(lab, machine, lent), grant.0)
        }
        Event::JobReady { job, power, .. } => format!("job {job} ready, {}", on_off(*power)),
        Event::JobPowering { job, power, .. } => format!("job {job} powering {}", on_off(*power)),
        Event::JobRequeued { job, reason, priority: None, .. } => format!("job {job} waits again: {reason}"),
        Event::JobRequeued { job, reason, priority: Some(priority), .. } => {
            format!("job {job} waits again at priority {priority}: {reason}")
        }
        Event::LeaseExtended { job, until } => format!("lease of job {job} lasts until {}", time(*until)),
        Event::LeaseEnding { job, ends_at } => format!("lease of job {job} ends soon, at {}", time(*ends_at)),
        Event::JobDestroyed { job, reason, .. } => format!("job {job} destroyed: {reason}"),
        _ => board_fact(lab, fact),
    }
}

/// An image whose digits are all the same as that digit.
fn image(label: &str) -> &str {
    let first = label.chars().next().unwrap_or_default();
    if label.len() == 32 && label.chars().all(|digit| digit == first) { &label[..1] } else { label }
}

fn on_off(power: bool) -> &'static str {
    if power { "on" } else { "off" }
}

fn board_fact(lab: &Lab, fact: &Fact) -> String {
    match &fact.event {
        Event::OrderAnswered { order, obeyed, failed } => {
            let count = |count: usize, what: &str| {
                if count > 0 { format!(", {count} {what}") } else { String::new() }
            };
            format!(
                "order {order} answered{}{}",
                count(obeyed.len(), "obeyed"),
                count(failed.len(), "failed")
            )
        }
        Event::OrderOverdue { order } => format!("order {order} overdue"),
        Event::BoardsCleaned { machine, boards: clean, free_at, .. } => {
            let free =
                if *free_at <= fact.at { "free".to_owned() } else { format!("free at {}", time(*free_at)) };
            format!("{} clean, {free}", boards(lab, machine, clean))
        }
        Event::BoardsFreed { machine, boards: free } => format!("{} free", boards(lab, machine, free)),
        Event::BoardQuarantined { board: at, reason, retest_at } => {
            let retest = retest_at.map_or("no retest".to_owned(), |at| format!("retest at {}", time(at)));
            format!("{} quarantined: {reason}; {retest}", board(lab, at))
        }
        Event::BoardsAnnounced { machine, serials } => format!("{machine} has {} now", serials.join(" ")),
        Event::BoardOffline { board: at, reason } => format!("{} offline: {reason}", board(lab, at)),
        Event::BoardOffers { board: at, offers } => {
            let offers: Vec<_> = offers.iter().map(|label| image(label)).collect();
            format!("{} offers [{}]", board(lab, at), offers.join(" "))
        }
        Event::BoardNamed { board: at, name } => format!("{} is called '{name}'", board(lab, at)),
        Event::BoardTested { board: at, .. } => format!("{} being tested", board(lab, at)),
        Event::BoardReported { board: at, by, reason } => {
            format!("{} reported by {by}: {reason}", board(lab, at))
        }
        Event::BoardMarked { board: at, mark, by, reason } => {
            format!("{} marked {mark:?} by {by}: {reason}", board(lab, at))
        }
        Event::BoardSet { board: at, mark, by, reason } => {
            format!("{} is {mark:?} by {by}: {reason}", board(lab, at))
        }
        _ => user_fact(fact),
    }
}

fn user_fact(fact: &Fact) -> String {
    match &fact.event {
        Event::UserCreated { user, role, .. } => format!("user {user} created as {role}"),
        Event::PasswordSet { user, .. } => format!("password of {user} set"),
        Event::RoleSet { user, role } => format!("role of {user} set to {role}"),
        Event::UserDeleted { user } => format!("user {user} deleted"),
        Event::SessionOpened { session, user, role, .. } => {
            format!("session {} of {user} opened as {role}", session.0)
        }
        Event::SessionEnded { session, why } => format!("session {} ended: {why:?}", session.0),
        Event::ServiceSet { accept, by, reason } => {
            let reason = if reason.is_empty() { String::new() } else { format!(": {reason}") };
            format!("service {} by {by}{reason}", if *accept { "accepts" } else { "drains" })
        }
        other => format!("{other:?}"),
    }
}

/// An order as hardware gets it.
pub fn order(lab: &Lab, order: &Order) -> String {
    let action = match &order.action {
        Action::Prepare { kind, args } if args.is_empty() => format!("prepare {kind}"),
        Action::Prepare { kind, args } => format!("prepare {kind} {args}"),
        Action::PowerOff => "power off".to_owned(),
        Action::Clean => "clean".to_owned(),
        Action::Test => "test".to_owned(),
    };
    format!("order {}: {action} {}", order.id, boards(lab, &order.machine, &order.boards))
}

/// An answer to a question.
pub fn view(view: &View) -> Vec<String> {
    match view {
        View::Jobs(jobs) => jobs.iter().map(job).collect(),
        View::Job(one) => vec![job(one)],
        View::Boards(boards) => boards.iter().map(board_line).collect(),
        View::Explain(explain) => {
            let starts = explain.starts_by.map(|at| format!("starts by {}", time(at)));
            std::iter::once(explain.sentence.clone()).chain(starts).collect()
        }
        View::JobHistory(log) => log.iter().map(|(at, event)| format!("{} {event:?}", time(*at))).collect(),
        View::Users(users) => users
            .iter()
            .map(|user| format!("{} {} with {} sessions", user.name, user.role, user.sessions))
            .collect(),
        View::Available(count) => vec![format!("{count} available")],
        View::Devices(serials) => vec![format!("available: {}", serials.join(" "))],
        View::Status(status) => {
            let jobs = status.jobs.iter().map(|(state, count)| format!("{count} {}", state.word()));
            let boards = status.boards.iter().filter(|(_, count)| **count > 0);
            let boards = boards.map(|(state, count)| format!("{count} {}", state.word()));
            vec![
                format!("jobs: {}, {} ended", jobs.collect::<Vec<_>>().join(", "), status.jobs_ended),
                format!("boards: {}", boards.collect::<Vec<_>>().join(", ")),
                format!("{} orders open, {} sessions", status.orders_open, status.sessions),
            ]
        }
        other => vec![format!("{other:?}")],
    }
}

fn job(job: &JobView) -> String {
    let mut text = format!("job {} {} of {}", job.id, job.state.word(), job.spec.owner);
    let ahead = job.ahead.map(|ahead| format!("{ahead} ahead"));
    let lapses = job.lapses_at.map(|at| format!("lapses at {}", time(at)));
    let lease = job.lease_ends_at.map(|at| format!("lease ends at {}", time(at)));
    let reason = job.reason.as_ref().map(|reason| reason.to_string());
    for more in [ahead, lapses, lease, reason].into_iter().flatten() {
        text.push_str(", ");
        text.push_str(&more);
    }
    text
}

fn board_line(board: &BoardView) -> String {
    let mut text =
        format!("{} {} {} since {}", board.machine, board.name, board.state.word(), time(board.since));
    let holder = board.holder.as_ref().map(|(job, owner)| format!("job {job} of {owner}"));
    let reason = board.reason.as_ref().map(|reason| reason.to_string());
    let retest = board.retest_at.map(|at| format!("retest at {}", time(at)));
    let marked = board.marked.map(|mark| format!("marked {mark:?}"));
    let reports = Some(board.reports).filter(|count| *count > 0).map(|count| format!("{count} reports"));
    let offers = Some(&board.offers).filter(|offers| !offers.is_empty());
    let offers = offers.map(|offers| offers.iter().map(|label| image(label)).collect::<Vec<_>>().join(" "));
    let offers = offers.map(|offers| format!("offers [{offers}]"));
    let called = Some(&board.called).filter(|name| !name.is_empty()).map(|name| format!("called '{name}'"));
    let Tally { done, failed } = board.tally;
    let tally = (done + failed > 0).then(|| format!("{done} done, {failed} failed"));
    for more in [holder, reason, retest, marked, reports, offers, called, tally].into_iter().flatten() {
        text.push_str(", ");
        text.push_str(&more);
    }
    text
}
