//! People with all sorts of wishes, and configurations that change under them.

use super::chance::Chance;
use super::model::{Job, Session};
use berth::allocator::BoardIndex;
use berth::allocator::link::Link;
use berth::allocator::torus::Triad;
use berth::lab::command::{Caller, Command, Pick, Reservation};
use berth::lab::fact::{Grant, JobId, MachineName, Mark, SessionEnd, SessionKey};
use berth::lab::job::{JobSpec, Want};
use berth::lab::machine::{MachineSpec, PlaceRule, Places, Shape, TriadsSpec};
use berth::lab::view::BoardAddress;
use berth::user::{Phc, Role, UserName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The people, with their roles: the first are the most powerful.
const NAMES: [(&str, Role); 6] = [
    ("root", Role::Admin),
    ("op", Role::Operator),
    ("ada", Role::User),
    ("bob", Role::User),
    ("carl", Role::User),
    ("guest", Role::Guest),
];

/// Somebody.
pub fn somebody(chance: &mut Chance) -> Caller {
    let (name, role) = chance.one_of(&NAMES);
    Caller { user: user(name), role }
}

fn user(name: &str) -> UserName {
    UserName::parse_or_guest(name).expect("the names are well formed")
}

/// A wish of somebody. `jobs` are numbers of jobs somebody knows of.
pub fn wish(who: &Caller, jobs: &[JobId], machines: &[Arc<MachineSpec>], chance: &mut Chance) -> Command {
    let job = chance.pick(jobs).copied().unwrap_or(JobId(1));
    match chance.below(100) {
        0..=46 => Command::CreateJob(request(who, machines, chance)),
        47..=49 => Command::CreateJobAnyway(request(who, machines, chance)),
        50..=69 => Command::DestroyJob { job, reason: chance.percent(20).then(|| "done".into()) },
        70..=72 => Command::ExtendJob { job, lease_ms: chance.one_of(&[None, Some(30_000), Some(400_000)]) },
        73..=76 => Command::PowerJob { job, power: chance.percent(50) },
        77..=82 => Command::ReportBoard { board: board(machines, chance), reason: "hot".into() },
        83..=88 => {
            let mark = chance.one_of(&[Mark::Free, Mark::Free, Mark::Maintenance, Mark::Dead]);
            Command::MarkBoard { board: board(machines, chance), mark, reason: "checked".into() }
        }
        89..=91 => {
            let name = chance.one_of(&["", "left", "right"]).into();
            Command::NameBoard { board: board(machines, chance), name }
        }
        _ => Command::RetestBoard { board: board(machines, chance) },
    }
}

/// The images there are.
fn image(chance: &mut Chance) -> Arc<str> {
    chance.one_of(&["1", "2", "3"]).repeat(32).into()
}

/// What a board of a burner could write now, or what came of what it was to write.
fn burner(machine: MachineName, jobs: &BTreeMap<JobId, Job>, chance: &mut Chance) -> Command {
    let holders: Vec<_> = jobs.iter().filter(|(_, job)| job.holds()).collect();
    let needy: Vec<_> = holders.iter().copied().filter(|(_, job)| job.spec.needs().is_some()).collect();
    let some = if chance.percent(80) { &needy } else { &holders };
    let known = chance.pick(some).map(|(id, job)| (**id, job.grant));
    let (job, grant) = known.unwrap_or((JobId(chance.below(20)), Grant(chance.below(20))));
    match chance.below(10) {
        0..=6 => {
            let offers = (0..chance.below(4)).map(|_| image(chance)).collect();
            Command::OfferOnBoard { machine, board: BoardIndex(chance.below(8) as u32), offers }
        }
        7..=8 => Command::PutBackJob { job, grant, reason: "FAIL".into() },
        _ => Command::FinishJob { job, grant, words: "PASS".into() },
    }
}

/// News of an agent, if any machine has some: it brings boards, or goes with some.
pub fn agent(
    machines: &[Arc<MachineSpec>],
    jobs: &BTreeMap<JobId, Job>,
    chance: &mut Chance,
) -> Option<Command> {
    let with_agents: Vec<_> = machines.iter().filter(|machine| machine.agents).collect();
    let machine = chance.pick(&with_agents)?.name.clone();
    if chance.percent(60) {
        return Some(burner(machine, jobs, chance));
    }
    let few = chance.within(1, 4);
    Some(match chance.percent(60) {
        true => {
            let serials = (0..few * 3).map(|_| chance.below(9).to_string().into()).collect();
            Command::AnnounceBoards { machine, serials }
        }
        false => {
            let boards = (0..few).map(|_| BoardIndex(chance.below(8) as u32)).collect();
            match chance.below(10) {
                0..5 => Command::LoseBoards { machine, boards, reason: "no heartbeat".into() },
                5..7 => Command::DrainBoards { machine, boards, draining: true },
                7 => Command::DrainBoards { machine, boards, draining: false },
                _ => Command::BreakBoards { machine, boards, reason: "no serial port".into() },
            }
        }
    })
}

/// A wish about reservations.
pub fn reservation_wish(who: &Caller, machines: &[Arc<MachineSpec>], chance: &mut Chance) -> Command {
    let other = chance.percent(10);
    let owner: Arc<str> = if other { chance.one_of(&NAMES).0.into() } else { who.user.as_str().into() };
    let count = chance.within(0, 3);
    let serials: Vec<Arc<str>> = (0..count).map(|_| chance.below(7).to_string().into()).collect();
    let some = chance.percent(60).then(|| serials.clone());
    match chance.below(10) {
        0..=5 => {
            let pick = match chance.percent(60) {
                true => Pick::Any(chance.below(4) as u32),
                false => Pick::Serials(serials),
            };
            let machine = chance.pick(machines).filter(|_| count == 1).map(|machine| machine.name.clone());
            let kind = chance.one_of(&["spinnaker", "spinnaker", "copy", "burn"]).into();
            Command::Reserve(Reservation { owner, pick, machine, kind, kind_args: "".into() })
        }
        6..=7 => Command::ExtendReserved { owner, serials: some },
        8 => Command::EndReserved { owner, serials: some },
        _ => Command::RenewBoards { serials },
    }
}

/// A wish about users, sessions or the service.
pub fn office(sessions: &BTreeMap<SessionKey, Session>, chance: &mut Chance) -> Command {
    let user = user(chance.one_of(&NAMES).0);
    let role = chance.one_of(&Role::ALL);
    // Mostly a new one; sometimes one that is there already, or was.
    let session = SessionKey(u128::from(chance.below(500)));
    let known: Vec<_> = sessions.keys().copied().collect();
    match chance.below(10) {
        8 => Command::SetService { accept: true, reason: "".into() },
        9 => Command::SetService { accept: chance.percent(70), reason: "lunch".into() },
        0 => Command::CreateUser { user, role, phc: Phc::dummy() },
        1 => Command::SetRole { user, role },
        2 => Command::SetPassword { user, phc: Phc::dummy() },
        3 => Command::DeleteUser { user },
        4 => {
            let session = chance.pick(&known).copied().unwrap_or(session);
            Command::EndSession { session, why: SessionEnd::LoggedOut }
        }
        _ => {
            let span_ms = chance.one_of(&[0, 1000, 30_000, 600_000]);
            Command::OpenSession { session, user, role, client: "sim".into(), span_ms }
        }
    }
}

fn request(who: &Caller, machines: &[Arc<MachineSpec>], chance: &mut Chance) -> JobSpec {
    let machine = chance.pick(machines).cloned();
    let named = chance.percent(40);
    let mut spec = JobSpec::new(who.user.as_str(), want(machine.as_deref(), named, chance));
    spec.machine = machine.filter(|_| named).map(|machine| machine.name.clone());
    spec.tags = chance
        .one_of(&[&["default"][..], &["default"], &["default"], &[], &["red"]])
        .iter()
        .copied()
        .map(Arc::from)
        .collect();
    spec.kind = chance
        .one_of(&[None, None, None, Some("spinnaker"), Some("copy"), Some("burn"), Some("burn")])
        .map(Arc::from);
    if chance.percent(90) {
        spec.kind_args = format!(r#"{{"image":"{}"}}"#, image(chance)).into();
    }
    if spec.kind.as_deref() == Some("burn") && chance.percent(70) {
        spec.want = Want::Boards(1);
    }
    spec.keepalive_ms = chance.one_of(&[None, Some(30_000), Some(200_000)]);
    spec.lease_ms = chance.one_of(&[None, None, Some(10_000), Some(60_000), Some(300_000)]);
    spec.priority = chance.one_of(&[0, 0, 0, 0, -1, 1]);
    spec.min_ratio = chance.one_of(&[0.0, 0.0, 0.5, 1.0]);
    spec.max_dead_boards = chance.one_of(&[None, None, Some(0), Some(1)]);
    spec.max_dead_links = chance.one_of(&[None, None, Some(0), Some(2)]);
    spec.require_torus = chance.percent(3);
    spec
}

/// Boards somebody might want, mostly such as there are.
fn want(machine: Option<&MachineSpec>, named: bool, chance: &mut Chance) -> Want {
    let boards = machine.map_or(1, |machine| u64::from(machine.board_count()));
    match (machine.map(|machine| &machine.shape), chance.below(10)) {
        (_, 0..=3) => Want::Boards(1),
        (_, 4..=6) => Want::Boards(chance.within(1, boards) as u32),
        (Some(Shape::Triads(torus)), 7..=8) => Want::Triads {
            width: chance.within(1, u64::from(torus.width)) as u32,
            height: chance.within(1, u64::from(torus.height)) as u32,
        },
        (Some(Shape::Triads(torus)), _) => {
            let Triad { x, y, z } = triad(torus.width, torus.height, chance);
            Want::Exact { x, y, z }
        }
        (Some(Shape::Pool { serials }), _) if named => {
            let count = chance.within(1, 3.min(boards.max(1)));
            Want::Serials((0..count).filter_map(|_| chance.pick(serials).cloned()).collect())
        }
        _ => Want::Boards(chance.below(4) as u32),
    }
}

fn triad(width: u32, height: u32, chance: &mut Chance) -> Triad {
    let (x, y) = (chance.below(u64::from(width)), chance.below(u64::from(height)));
    Triad::new(x as u32, y as u32, chance.below(3) as u32)
}

fn board(machines: &[Arc<MachineSpec>], chance: &mut Chance) -> BoardAddress {
    let Some(machine) = chance.pick(machines) else {
        return BoardAddress::Serial { machine: None, serial: "0".into() };
    };
    match &machine.shape {
        Shape::Triads(torus) => {
            let Triad { x, y, z } = triad(torus.width, torus.height, chance);
            BoardAddress::Triad { machine: machine.name.clone(), x, y, z }
        }
        Shape::Pool { serials } => {
            let serial = chance.pick(serials).cloned().unwrap_or_else(|| "0".into());
            BoardAddress::Serial { machine: Some(machine.name.clone()), serial }
        }
    }
}

/// The machines a world begins with.
pub fn machines(chance: &mut Chance) -> Vec<Arc<MachineSpec>> {
    let count = chance.within(1, 3) as usize;
    ["a", "b", "c"][..count].iter().map(|name| Arc::new(machine(name, chance))).collect()
}

/// The machines as somebody wants them from now on.
pub fn rearranged(machines: &[Arc<MachineSpec>], chance: &mut Chance) -> Vec<Arc<MachineSpec>> {
    let mut machines = machines.to_vec();
    let at = chance.below(machines.len() as u64) as usize;
    match chance.below(8) {
        0 if machines.len() > 1 => drop(machines.remove(at)),
        1 => {
            let name =
                ["a", "b", "c", "d"].into_iter().find(|name| machines.iter().all(|m| *m.name != **name));
            let position = chance.below(machines.len() as u64 + 1) as usize;
            name.into_iter().for_each(|name| machines.insert(position, Arc::new(machine(name, chance))));
        }
        2 => {
            let to = chance.below(machines.len() as u64) as usize;
            machines.swap(at, to);
        }
        3 => machines[at] = Arc::new(machine(&machines[at].name.clone(), chance)),
        _ => machines[at] = Arc::new(altered(&machines[at], chance)),
    }
    machines
}

/// The same boards, described otherwise.
fn altered(machine: &MachineSpec, chance: &mut Chance) -> MachineSpec {
    let mut spec = machine.clone();
    let other = self::machine(&spec.name, chance);
    (spec.tags, spec.kinds) = (other.tags, other.kinds);
    (spec.settle_ms, spec.order_ms_max) = (other.settle_ms, other.order_ms_max);
    if let Shape::Triads(torus) = &mut spec.shape {
        (torus.dead_boards, torus.dead_links) = faults(torus.width, torus.height, chance);
    }
    spec
}

fn machine(name: &str, chance: &mut Chance) -> MachineSpec {
    let pool = chance.percent(40);
    let shape = match pool {
        false => Shape::Triads(torus(chance)),
        true => Shape::Pool { serials: (0..chance.within(1, 6)).map(|n| n.to_string().into()).collect() },
    };
    let words = |words: &[&str]| words.iter().copied().map(Arc::from).collect::<Vec<Arc<str>>>();
    let tags = chance.one_of(&[&["default"][..], &["default", "red"], &["red"]]);
    MachineSpec {
        name: name.into(),
        shape,
        tags: words(tags).into_iter().collect::<BTreeSet<_>>(),
        kinds: words(chance.one_of(&[&["spinnaker"][..], &["copy", "burn", "spinnaker"], &["burn", "copy"]])),
        settle_ms: chance.one_of(&[0, 0, 5000]),
        order_ms_max: chance.one_of(&[10_000, 30_000]),
        agents: pool && chance.percent(40),
        boots: true,
    }
}

fn torus(chance: &mut Chance) -> TriadsSpec {
    let (width, height) = chance.one_of(&[(1, 1), (2, 1), (2, 2), (3, 2), (4, 2), (3, 3)]);
    let (dead_boards, dead_links) = faults(width, height, chance);
    let rule = PlaceRule { boards_per_frame: 24, frames_per_cabinet: 5, base: 0, strides: [0, 0x100, 8] };
    TriadsSpec { width, height, dead_boards, dead_links, places: Places::Rule(rule), bmps: BTreeMap::new() }
}

fn faults(width: u32, height: u32, chance: &mut Chance) -> (Vec<Triad>, Vec<(Triad, Link)>) {
    let boards = (0..chance.below(3)).map(|_| triad(width, height, chance)).collect();
    let links =
        (0..chance.below(4)).map(|_| (triad(width, height, chance), chance.one_of(&Link::ALL))).collect();
    (boards, links)
}
