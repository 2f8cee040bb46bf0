//! The rules of lending, written out once more: which boards a job may get, and when it is its turn.

use super::model::{Job, Machine, Model};
use berth::allocator::link::Link;
use berth::allocator::torus::{Torus, Triad};
use berth::allocator::{Allocator, BoardIndex, Pool, Region, Request, Size, Triads};
use berth::clock::Moment;
use berth::lab::Options;
use berth::lab::fact::{Fact, JobId, MachineName};
use berth::lab::job::{JobSpec, JobState, Want};
use berth::lab::machine::{MachineSpec, Shape, TriadsSpec};
use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Asserts that a grant is one the job asked for, on boards that are free, and that it is the job's turn. Answers
/// whether somebody was overtaken who waits for the same machine.
pub fn check_grant(
    model: &Model,
    fact: &Fact,
    job: JobId,
    machine: &MachineName,
    boards: &[BoardIndex],
    region: Option<Region>,
    options: &Options,
) -> bool {
    let known = &model.jobs[&job];
    let machine =
        model.machines.iter().find(|known| known.spec.name == *machine).expect("the machine is there");
    check_boards(machine, &known.spec, boards, region);
    check_turn(model, machine, job, known, boards, fact.at, options)
}

/// The boards are such as the request asks for.
fn check_boards(machine: &Machine, spec: &JobSpec, boards: &[BoardIndex], region: Option<Region>) {
    assert!(admits(&machine.spec, spec), "{spec:?} does not want {}", machine.spec.name);
    if let Some(needs) = needs(machine, spec) {
        let offered = |board: &BoardIndex| offers(machine, *board, &needs);
        assert!(boards.iter().all(offered), "{boards:?} do not offer {needs}: {:?}", machine.offers);
    }
    assert!(boards.is_sorted() && boards.windows(2).all(|pair| pair[0] != pair[1]) && !boards.is_empty());
    match &machine.spec.shape {
        Shape::Pool { serials } => {
            let wanted = match &spec.want {
                Want::Boards(count) => *count as usize,
                Want::Serials(named) => {
                    let named: BTreeSet<_> = named.iter().collect();
                    assert!(boards.iter().all(|board| named.contains(&serials[board.0 as usize])));
                    named.len()
                }
                other => panic!("a pool cannot meet {other:?}"),
            };
            assert!(boards.len() == wanted && !spec.require_torus);
        }
        Shape::Triads(torus) => check_triads(machine, torus, spec, boards, region),
    }
}

/// What boards of a machine must offer for a request.
fn needs(machine: &Machine, spec: &JobSpec) -> Option<Arc<str>> {
    spec.needs().filter(|_| machine.spec.agents)
}

fn offers(machine: &Machine, board: BoardIndex, label: &Arc<str>) -> bool {
    machine.offers.get(&board).is_some_and(|offers| offers.contains(label))
}

fn admits(machine: &MachineSpec, spec: &JobSpec) -> bool {
    let named = match &spec.machine {
        Some(name) => *name == machine.name,
        None => spec.tags.iter().all(|tag| machine.tags.contains(tag)),
    };
    let kind = match (&spec.kind, &spec.machine) {
        (Some(kind), _) => Some(&**kind),
        (None, None) => Some("spinnaker"),
        (None, Some(_)) => None,
    };
    named && kind.is_none_or(|kind| machine.kinds.iter().any(|offered| **offered == *kind))
}

fn check_triads(
    machine: &Machine,
    torus: &TriadsSpec,
    spec: &JobSpec,
    boards: &[BoardIndex],
    region: Option<Region>,
) {
    let size = torus.torus();
    let Some(region) = region else {
        assert!(boards.len() == 1 && !spec.require_torus);
        match spec.want {
            Want::Boards(1) => {}
            Want::Exact { x, y, z } => assert_eq!(size.triad(boards[0]), Triad::new(x, y, z)),
            ref other => panic!("one board does not meet {other:?}"),
        }
        return;
    };
    assert!(region.x + region.width <= size.width && region.y + region.height <= size.height);
    let wanted = wanted_boards(&spec.want, region, spec.min_ratio);
    let set: BTreeSet<_> = boards.iter().map(|board| size.triad(*board)).collect();
    assert_eq!(set, reached(machine, torus, region), "not just the boards that can be reached in {region:?}");
    let missing = wanted.saturating_sub(boards.len() as u32);
    assert!(spec.max_dead_boards.is_none_or(|max| missing <= max), "{missing} boards are missing");
    let (dead, wraps) = inner_links(torus, size, &set, spec.require_torus);
    assert!(spec.max_dead_links.is_none_or(|max| dead <= max), "{dead} links are dead");
    assert!(!spec.require_torus || (wraps && (region.width, region.height) == (size.width, size.height)));
}

/// How many boards a rectangle should have for a request, if it is one for it.
fn wanted_boards(want: &Want, region: Region, min_ratio: f64) -> u32 {
    let Region { width, height, .. } = region;
    match *want {
        Want::Boards(count) if count > 1 => {
            let min_ratio = if min_ratio > 1.0 { 1.0 / min_ratio } else { min_ratio };
            assert!(width * height * 3 >= count, "{region:?} is too small for {count}");
            assert!(f64::from(width.min(height)) / f64::from(width.max(height)) >= min_ratio);
            count
        }
        Want::Triads { width: w, height: h } => {
            assert_eq!((width, height), (w, h));
            w * h * 3
        }
        ref other => panic!("no rectangle meets {other:?}"),
    }
}

/// The boards in service that are reached from the lower left corner of a rectangle.
fn reached(machine: &Machine, torus: &TriadsSpec, region: Region) -> BTreeSet<Triad> {
    let size = torus.torus();
    let mut reached = BTreeSet::new();
    let mut next = vec![Triad::new(region.x, region.y, 0)];
    while let Some(board) = next.pop() {
        let index = size.index(board);
        let works = !machine.dead.contains(&index) && !machine.out.contains_key(&index);
        if works && reached.insert(board) {
            let live = Link::ALL.into_iter().filter(|link| !torus.dead_links.contains(&(board, *link)));
            next.extend(live.map(|link| size.neighbour(board, link).0).filter(|other| region.covers(*other)));
        }
    }
    reached
}

/// How many links between boards are dead, each direction counted, and whether any wraps around.
fn inner_links(torus: &TriadsSpec, size: Torus, boards: &BTreeSet<Triad>, wrapping: bool) -> (u32, bool) {
    let (mut dead, mut wraps) = (0, false);
    for (board, link) in boards.iter().flat_map(|board| Link::ALL.map(|link| (*board, link))) {
        let (other, crossed) = size.neighbour(board, link);
        if boards.contains(&other) {
            wraps |= crossed.any();
            let counts = wrapping || !crossed.any();
            dead += u32::from(counts && torus.dead_links.contains(&(board, link)));
        }
    }
    (dead, wraps)
}

/// Nobody has waited too long to be overtaken, nobody equal came earlier, and the first who could use the machine
/// does not start later because of the grant. Answers whether anybody was overtaken.
fn check_turn(
    model: &Model,
    machine: &Machine,
    job: JobId,
    known: &Job,
    boards: &[BoardIndex],
    now: Moment,
    options: &Options,
) -> bool {
    let mut overtakes = false;
    let ahead = line(model).into_iter().take_while(|other| *other != job);
    let mut first = None;
    for other in ahead {
        let waiting = &model.jobs[&other];
        assert!(
            !alike(&waiting.spec, &known.spec),
            "job {job} was granted before {other}, which wants the same"
        );
        let Some(request) = fitting_now(machine, &waiting.spec) else { continue };
        let patient = now.ms_since(waiting.created) < options.patience_ms;
        let overtaken = !patient && may_not_pass(model, machine, &request, boards, options);
        assert!(!overtaken, "job {job} overtook {other}, which has waited since {}", waiting.created);
        overtakes = true;
        let starts_by = || starts_by(model, machine, &request, options).filter(|at| *at != u64::MAX);
        first = first.or_else(|| Some((other, starts_by()?)));
    }
    let Some((other, before)) = first.filter(|(_, before)| *before < u64::MAX - 1) else { return overtakes };
    let mut after = model.clone();
    let lent = after.machine(&machine.spec.name);
    lent.lent.extend(boards.iter().map(|board| (*board, job)));
    let holder = after.jobs.get_mut(&job).expect("it waits");
    (holder.state, holder.granted) = (JobState::Power, now);
    let request = fitting_now(machine, &model.jobs[&other].spec).expect("it fits");
    let lent = after.machine(&machine.spec.name).clone();
    let later = starts_by(&after, &lent, &request, options).unwrap_or(u64::MAX);
    assert!(
        later <= before,
        "job {other} would start by {before}, and by {later} after {job} got {boards:?}"
    );
    overtakes
}

/// Whether a grant takes something from an impatient request: of one that names its boards, just these; of one that
/// waits for boards out of service, none.
fn may_not_pass(
    model: &Model,
    machine: &Machine,
    request: &Request,
    boards: &[BoardIndex],
    options: &Options,
) -> bool {
    let takes_some = match &request.size {
        Size::Named(named) | Size::AnyOf(named) => named.iter().any(|board| boards.contains(board)),
        _ => true,
    };
    takes_some && starts_by(model, machine, request, options).is_some_and(|at| at != u64::MAX)
}

/// Whether a board will be set aside as soon as it is free.
fn is_unwanted(machine: &Machine, board: BoardIndex, options: &Options) -> bool {
    let reports = machine.reports.get(&board).map_or(0, |reports| reports.len());
    let reported = options.reports_to_quarantine > 0 && reports >= options.reports_to_quarantine;
    reported || machine.marks.contains_key(&board)
}

/// The jobs that wait, first to last.
pub fn line(model: &Model) -> Vec<JobId> {
    let waiting = model.jobs.iter().filter(|(_, job)| job.state == JobState::Queued);
    let mut line: Vec<_> = waiting.map(|(id, job)| (Reverse(job.spec.priority), *id)).collect();
    line.sort_unstable();
    line.into_iter().map(|(_, id)| id).collect()
}

/// Whether two requests are the same but for who asks.
fn alike(one: &JobSpec, other: &JobSpec) -> bool {
    let asked = |spec: &JobSpec| JobSpec {
        owner: "".into(),
        note: "".into(),
        kind_args: "".into(),
        keepalive_ms: None,
        reserved: false,
        ..spec.clone()
    };
    asked(one) == asked(other) && one.needs() == other.needs()
}

/// A request as the machine can meet it once boards are back that are in service: where it needs an offer, only those that
/// make it. Nobody waits for anybody who wants what nobody offers.
fn fitting_now(machine: &Machine, spec: &JobSpec) -> Option<Request> {
    let request = fitting(machine, spec)?;
    let Some(needs) = needs(machine, spec) else { return Some(request) };
    let in_service = |board: &BoardIndex| !machine.out.contains_key(board) && !machine.dead.contains(board);
    let named = |board: &BoardIndex| match &request.size {
        Size::Named(named) => named.contains(board),
        _ => true,
    };
    let all = (0..machine.spec.board_count()).map(BoardIndex);
    let some: Vec<_> =
        all.filter(|board| offers(machine, *board, &needs) && in_service(board) && named(board)).collect();
    (!some.is_empty()).then(|| Request { size: Size::AnyOf(some.clone()), ..request })
}

/// A request as the machine is asked, if it could ever meet it.
pub fn fitting(machine: &Machine, spec: &JobSpec) -> Option<Request> {
    if !admits(&machine.spec, spec) {
        return None;
    }
    let size = match (&spec.want, &machine.spec.shape) {
        (Want::Boards(1), _) => Size::Board,
        (Want::Boards(count), _) => Size::Count(*count),
        (Want::Triads { width, height }, _) => Size::Triads { width: *width, height: *height },
        (Want::Exact { x, y, z }, Shape::Triads(torus)) => {
            Size::Named(vec![torus.torus().index_within(Triad::new(*x, *y, *z))?])
        }
        (Want::Serials(named), Shape::Pool { serials }) => {
            let place =
                |serial| serials.iter().position(|known| known == serial).map(|at| BoardIndex(at as u32));
            Size::Named(named.iter().map(place).collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let request = Request {
        size,
        min_ratio: spec.min_ratio,
        max_dead_boards: spec.max_dead_boards,
        max_dead_links: spec.max_dead_links,
        require_torus: spec.require_torus,
    };
    // Boards that say what they offer come by themselves: there may be none yet.
    let may_come = needs(machine, spec).is_some() && request.size == Size::Board;
    (may_come || allocator(machine).possible(&request).is_ok()).then_some(request)
}

/// An allocator in the state of a machine.
pub fn allocator(machine: &Machine) -> Allocator {
    let mut allocator = match &machine.spec.shape {
        Shape::Triads(torus) => Allocator::Triads(
            Triads::new(torus.width, torus.height, &[], &torus.dead_links).expect("it can be"),
        ),
        Shape::Pool { serials } => Allocator::Pool(Pool::new(serials.len() as u32)),
    };
    machine.dead.iter().for_each(|board| allocator.set_dead(*board, true));
    machine.out.keys().for_each(|board| allocator.set_out_of_service(*board, true));
    let held: Vec<_> = machine.lent.keys().chain(machine.returning.keys()).copied().collect();
    held.into_iter().for_each(|board| allocator.take(&[board]));
    allocator
}

/// When a request can be met at the latest; the greatest number when it waits for boards that are out of use, the
/// one before when it waits for somebody who may stay as long as he likes.
fn starts_by(model: &Model, machine: &Machine, request: &Request, options: &Options) -> Option<u64> {
    let until = |board| until(model, machine, board, options);
    let hold = allocator(machine).hold(request, &until)?;
    let held = machine.lent.keys().chain(machine.returning.keys());
    let in_the_way = held.copied().filter(|board| hold.contains(*board));
    hold.boards().chain(in_the_way).map(until).max()
}

fn until(model: &Model, machine: &Machine, board: BoardIndex, options: &Options) -> u64 {
    if machine.is_free(board) {
        return 0;
    }
    if is_unwanted(machine, board, options) || machine.out.contains_key(&board) {
        return u64::MAX;
    }
    if let Some((since, _)) = machine.returning.get(&board) {
        return since.plus_ms(machine.return_ms_max()).0;
    }
    let holder = machine.lent.get(&board).map(|job| &model.jobs[job]);
    let ends = holder.and_then(Job::lease_ends_at);
    ends.map_or(u64::MAX - 1, |ends| ends.plus_ms(machine.return_ms_max()).0)
}

/// At rest nobody who is first in the line of a machine could have boards there now, and nobody waits in vain.
pub fn check_rest(model: &Model) {
    let line = line(model);
    for job in &line {
        let spec = &model.jobs[job].spec;
        let fits = model.machines.iter().any(|machine| fitting(machine, spec).is_some());
        assert!(fits, "job {job} waits for what no machine has");
    }
    for machine in &model.machines {
        let first = line.iter().find_map(|job| Some((job, fitting_now(machine, &model.jobs[job].spec)?)));
        let Some((job, request)) = first else { continue };
        let found = allocator(machine).find(&request, &[]);
        assert!(found.is_none(), "job {job} is the first on {} and could have {found:?}", machine.spec.name);
    }
}
