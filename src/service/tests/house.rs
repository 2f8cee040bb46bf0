//! A small lab in which calls are planned, carried out at once and answered, as the server does it with more patience.

use crate::allocator::{Link, Triad};
use crate::clock::Moment;
use crate::error::{Code, Fault};
use crate::lab::ask::{Ask, Reply};
use crate::lab::command::{Caller, Command, Consult};
use crate::lab::fact::{BoardRef, Fact, JobId, OrderId, SessionEnd, SessionKey};
use crate::lab::machine::{MachineSpec, PlaceRule, Places, Shape, TriadsSpec};
use crate::lab::view::{BoardAddress, Query, View};
use crate::lab::{Lab, Options, Reach};
use crate::service::plan::{
    AgentUse, BoardBook, BoardRecord, ChannelUse, ChannelView, Heard, JournalCounts, PowerResult,
    SensorReadings, WorkerCounts, WorkerView, Workforce,
};
use crate::service::{Asker, Door, Outcome, Plan, Planned, dispatch, plan, write_answer};
use crate::session::{Session, SessionId};
use crate::user::{Phc, Role, UserName};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A lab with five jobs, and who may call.
#[derive(Clone)]
pub struct House {
    /// The lab.
    pub lab: Lab,
    /// The present.
    pub now: Moment,
    sessions: Vec<Arc<Session>>,
    /// Orders that hardware has not answered.
    orders: Vec<crate::lab::effect::Order>,
}

/// Who calls, with which role and session.
const PEOPLE: [(&str, Role, u128); 5] = [
    ("guest", Role::Guest, 0x00c0ffee_u128 << 96 | 1),
    ("ada", Role::User, 0x0ada_u128 << 96 | 2),
    ("bob", Role::User, 0x0b0b_u128 << 96 | 3),
    ("op", Role::Operator, 0x0909_u128 << 96 | 4),
    ("admin", Role::Admin, 0xad31_u128 << 96 | 5),
];

impl House {
    /// Machine `m` (4x2 triads) and pool `devices`. Job 1 of ada is ready on board [0, 0, 0] of `m`, job 2 of
    /// hers waits for all of it, job 3 of hers is over, job 4 of bob is being powered on devices-1, job 5 of his
    /// waits again because devices-0 failed.
    pub fn new() -> House {
        let lab = Lab::new(Options::default());
        let mut house = House { lab, now: Moment(1_000_000), sessions: Vec::new(), orders: Vec::new() };
        house.must(Command::Configure(vec![Arc::new(torus()), Arc::new(pool())]));
        for (name, role, bits) in PEOPLE {
            house.enter(name, role, bits);
        }
        house.begin_jobs();
        house
    }

    /// The same, and from now on with other limits.
    pub fn with(options: Options) -> House {
        let mut house = House::new();
        house.lab.set_options(options);
        house
    }

    fn enter(&mut self, name: &str, role: Role, bits: u128) {
        let user = UserName::parse_or_guest(name).unwrap();
        if !user.is_guest() {
            self.must(Command::CreateUser { user: user.clone(), role, phc: Phc::dummy() });
        }
        let span_ms = if role == Role::Admin { 0 } else { 3_600_000 };
        let (session, client) = (SessionKey(bits), Arc::from("test"));
        self.must(Command::OpenSession { session, user: user.clone(), role, client, span_ms });
        let session = Session::new(SessionId::from_bits(bits), user, role, "test".into(), self.now, span_ms);
        self.sessions.push(Arc::new(session));
    }

    fn begin_jobs(&mut self) {
        self.call("create_job", "ada", r#"{"x": 0, "y": 0, "z": 0}"#).unwrap();
        self.obey();
        self.call("create_job", "ada", r#"{"width": 4, "height": 2, "lease": 600, "note": "all \u00eb"}"#)
            .unwrap();
        self.call("create_job", "ada", r#"{"machine": "devices", "kind": "variance"}"#).unwrap();
        self.obey();
        self.call("destroy_job", "ada", r#"{"job_id": 3, "reason": "done"}"#).unwrap();
        self.obey();
        self.call(
            "create_job",
            "bob",
            r#"{"serials": ["devices-1"], "kind": "pulsecount", "kind_args": {"n": 1}}"#,
        )
        .unwrap();
        let kept = std::mem::take(&mut self.orders);
        self.call(
            "create_job",
            "bob",
            r#"{"serials": ["devices-0"], "keepalive": null, "machine": "devices"}"#,
        )
        .unwrap();
        self.fail("it smokes");
        self.orders.extend(kept);
    }

    /// Carries out what the server itself wishes.
    pub fn must(&mut self, command: Command) -> Vec<Fact> {
        self.carry(&Caller::server(), &command).unwrap()
    }

    fn carry(&mut self, caller: &Caller, command: &Command) -> Result<Vec<Fact>, Fault> {
        let facts = self.lab.decide(self.now, caller, command).map_err(|refusal| refusal.fault())?;
        facts.iter().for_each(|fact| self.take_in(fact));
        while let Some(fact) = self.lab.settle(self.now) {
            self.take_in(&fact);
        }
        self.lab.check().unwrap();
        Ok(facts)
    }

    fn take_in(&mut self, fact: &Fact) {
        self.lab.apply(fact);
        for effect in self.lab.react(fact) {
            if let crate::lab::effect::Effect::Order(order) = effect {
                self.orders.push(order);
            }
        }
    }

    /// Hardware does all it was told, and cools down.
    pub fn obey(&mut self) {
        while let Some(order) = self.orders.pop() {
            self.answer(order.id, order.boards.to_vec(), Vec::new());
        }
    }

    /// Hardware fails in what it was told last.
    fn fail(&mut self, why: &str) {
        if let Some(order) = self.orders.pop() {
            let failed = order.boards.iter().map(|board| (*board, why.into())).collect();
            self.answer(order.id, Vec::new(), failed);
        }
    }

    fn answer(
        &mut self,
        order: OrderId,
        obeyed: Vec<crate::allocator::BoardIndex>,
        failed: Vec<(crate::allocator::BoardIndex, Arc<str>)>,
    ) {
        self.must(Command::AnswerOrder { order, obeyed, failed });
    }

    /// Who calls under a name.
    pub fn asker(&self, who: &str) -> Asker<'static> {
        let (name, role, bits) = PEOPLE.into_iter().find(|(name, ..)| *name == who).unwrap();
        Asker {
            caller: Caller { user: UserName::parse_or_guest(name).unwrap(), role },
            session: SessionId::from_bits(bits),
            client: "test",
            opened: Moment(1_000_000),
            now: self.now,
            expires: (role != Role::Admin).then_some(Moment(4_600_000)),
            door: Door {
                name: "berth",
                uptime_ms: 12_345,
                listen: listen(),
                connections: 3,
                journal: JournalCounts { appends: 5, facts: 9, syncs: 6, snapshots: 1, expired: 2 },
                book: &Switched,
                workers: &Two,
            },
        }
    }

    /// What a call comes to.
    pub fn plan(&self, fname: &str, who: &str, args: &str) -> Result<Planned, Fault> {
        let args: BTreeMap<String, &RawValue> = serde_json::from_str(args).unwrap();
        let args: Vec<_> =
            args.iter().map(|(name, value)| (Cow::Borrowed(name.as_str()), (*value).into())).collect();
        plan(fname, &args, &self.asker(who))
    }

    /// A call from its name to its answer.
    pub fn call(&mut self, fname: &str, who: &str, args: &str) -> Result<String, Fault> {
        let Planned { function, plan, mentions } = self.plan(fname, who, args)?;
        let asker = self.asker(who);
        if let Some(job) = mentions.filter(|job| dispatch::is_sign_of_life(&self.lab, &asker.caller, *job)) {
            self.lab.note(&[(job, self.now)]);
        }
        let came = self.carry_out(plan, &asker);
        let mut out = b"before".to_vec();
        let written = write_answer(function, came, &asker, &mut out);
        let text = String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned();
        assert_eq!(written.is_err(), text.is_empty(), "{fname} writes all or nothing");
        written.map(|()| text)
    }

    fn carry_out(&mut self, plan: Plan, asker: &Asker<'_>) -> Result<Outcome, Fault> {
        let caller = &asker.caller;
        Ok(match plan {
            Plan::Ready(bytes) => Outcome::Ready(bytes),
            Plan::Ask(Ask::Query(query)) => self.look(&query)?,
            Plan::Ask(Ask::Command(command)) => Outcome::Reply(Reply::Done(self.carry(caller, &command)?)),
            Plan::Ask(Ask::Devices(command)) => {
                let facts = self.lab.decide(self.now, caller, &command).map_err(|refusal| refusal.fault())?;
                let devices = self.lab.devices_in(&facts);
                self.carry(caller, &command)?;
                Outcome::Reply(Reply::Seen(View::Changed(devices)))
            }
            Plan::AskThenSee(command, query) => {
                self.carry(caller, &command)?;
                self.look(&query)?
            }
            Plan::Mention(job) => {
                dispatch::mention(&self.lab, caller, job).map_err(|refusal| refusal.fault())?;
                Outcome::Nothing
            }
            Plan::Wait { job, .. } => self.look(&Query::Job(job))?,
            Plan::Past(job) => self.look(&Query::JobHistory(job))?,
            Plan::Watch(_) => Outcome::Nothing,
            Plan::OpenChannel { job, board, port } => {
                let reach = self.lab.reach(caller, job, &board).map_err(|refusal| refusal.fault())?;
                Outcome::Channels(vec![channel(1, reach, port)])
            }
            Plan::UseChannel(ChannelUse::List) => Outcome::Channels(vec![self.open_channel()]),
            Plan::UseChannel(ChannelUse::Send { channel: 1, datagrams }) => Outcome::Sent(datagrams.len()),
            Plan::UseChannel(ChannelUse::Close { channel: 1 }) => Outcome::Nothing,
            Plan::UseChannel(_) => return Err(Fault::new(Code::CHANNEL_UNKNOWN, "no such channel")),
            Plan::Agent(AgentUse::Register(who)) if *who.machine != *"devices" => {
                return Err(Fault::new(Code::MACHINE_UNKNOWN, "no such machine"));
            }
            Plan::Agent(AgentUse::Register(_)) => Outcome::Stay { stay: 1, timeout_ms: 60_000 },
            Plan::Agent(AgentUse::Speak { stay: 1, .. }) => Outcome::Nothing,
            Plan::Agent(_) => return Err(Fault::new(Code::STAY_UNKNOWN, "no such stay")),
            Plan::Workers { machine: Some(machine) } if *machine != *"devices" => {
                return Err(Fault::new(Code::MACHINE_UNKNOWN, "no such machine"));
            }
            Plan::Workers { .. } => Outcome::Workers(workers()),
            Plan::Consult { address, what } => {
                self.lab.consult(caller, &address).map_err(|refusal| refusal.fault())?;
                Outcome::Heard(heard(what))
            }
            Plan::ConsultAll { serials, .. } => {
                for serial in &serials {
                    let address = BoardAddress::Serial { machine: None, serial: serial.clone() };
                    self.lab.consult(caller, &address).map_err(|refusal| refusal.fault())?;
                }
                Outcome::Obeyed(serials)
            }
            Plan::Hash { then, .. } => {
                Outcome::Reply(Reply::Done(self.carry(caller, &then.command(Phc::dummy()))?))
            }
            Plan::Sessions { user } => {
                let is_wanted =
                    |session: &&Arc<Session>| user.as_ref().is_none_or(|user| session.user == *user);
                Outcome::Sessions(self.sessions.iter().filter(is_wanted).cloned().collect())
            }
            Plan::EndSession { session } => {
                let found = self.sessions.iter().find(|known| session.names(known.id)).map(|known| known.id);
                let id = found
                    .ok_or_else(|| Fault::new(Code::SESSION_UNKNOWN, "no living session has this id"))?;
                let command =
                    Command::EndSession { session: SessionKey(id.to_bits()), why: SessionEnd::Ended };
                Outcome::Reply(Reply::Done(self.carry(caller, &command)?))
            }
            Plan::ReloadConfig => Outcome::Changed(vec!["machine 'm' has the tag 'big'".to_owned()]),
            Plan::LogLevel(None) => Outcome::LogLevel("info".into()),
            Plan::LogLevel(Some(level)) => Outcome::LogLevel(level.into()),
        })
    }

    /// Channel 1 of everybody.
    fn open_channel(&self) -> ChannelView {
        let board = BoardAddress::Triad { machine: "m".into(), x: 0, y: 0, z: 0 };
        channel(1, self.lab.reach(&Caller::server(), JobId(1), &board).unwrap(), 17_893)
    }

    fn look(&self, query: &Query) -> Result<Outcome, Fault> {
        self.lab.see(query).map(|view| Outcome::Reply(Reply::Seen(view))).map_err(|refusal| refusal.fault())
    }
}

fn channel(id: u64, reach: Reach, port: u16) -> ChannelView {
    ChannelView {
        channel: id,
        reach,
        remote: ([10, 11, 0, 1], port).into(),
        local: ([10, 11, 0, 254], 40_000).into(),
        opened: Moment(1_000_000),
        sent: 3,
        received: 2,
        dropped: 1,
        waiting: 0,
    }
}

fn workers() -> Vec<WorkerView> {
    let worker = |name: &str, url: Option<&str>, connected: bool| WorkerView {
        machine: "devices".into(),
        name: name.into(),
        version: "1.0".into(),
        url: url.map(Arc::from),
        boards: vec![("devices-0".into(), "iCE40".into())],
        draining: !connected,
        connected,
        seen: Moment(1_000_500),
    };
    vec![worker("host-1", Some("http://10.0.0.1:8081"), true), worker("host-2", None, false)]
}

/// Counts the workers of above.
#[derive(Debug)]
struct Two;

impl Workforce for Two {
    fn count(&self) -> WorkerCounts {
        WorkerCounts { connected: 1, away: 1, draining: 1 }
    }

    fn url_of(&self, serial: &str) -> Option<Arc<str>> {
        (serial == "devices-3").then(|| "http://worker:8081".into())
    }
}

/// Knows of boards with x 0 that they were switched, and what their sensors said.
#[derive(Debug)]
struct Switched;

impl BoardBook for Switched {
    fn record(&self, board: &BoardRef) -> BoardRecord {
        // Two triads of three boards have x 0.
        if board.board.0 >= 6 {
            return BoardRecord::default();
        }
        let Heard::Sensors(values) = heard(Consult::ReadSensors) else { unreachable!() };
        let power = PowerResult { action: "prepare", at: Moment(999_000), failed: Some("it smokes".into()) };
        let sensors = SensorReadings { at: Moment(999_500), values };
        BoardRecord { power: Some(power), sensors: Some(sensors) }
    }
}

fn heard(what: Consult) -> Heard {
    match what {
        Consult::ReadSensors => Heard::Sensors(BTreeMap::from([
            ("fan".into(), (f64::NAN, "rpm".into())),
            ("top".into(), (41.5, "\u{b0}C".into())),
        ])),
        Consult::Send { args, .. } => Heard::Said(args),
        Consult::PowerCycle | Consult::Identify { .. } => Heard::Done,
    }
}

fn torus() -> MachineSpec {
    let rule =
        PlaceRule { boards_per_frame: 12, frames_per_cabinet: 10, base: 0x0a0b_0001, strides: [0, 256, 8] };
    let shape = Shape::Triads(TriadsSpec {
        width: 4,
        height: 2,
        dead_boards: vec![Triad { x: 3, y: 1, z: 2 }],
        dead_links: vec![(Triad { x: 0, y: 0, z: 0 }, Link::West)],
        places: Places::Rule(rule),
        bmps: BTreeMap::new(),
    });
    machine("m", shape, &["spinnaker"])
}

fn pool() -> MachineSpec {
    let serials = (0..4).map(|number| format!("devices-{number}").into()).collect();
    machine("devices", Shape::Pool { serials }, &["pulsecount", "variance"])
}

fn machine(name: &str, shape: Shape, kinds: &[&str]) -> MachineSpec {
    let kinds = kinds.iter().map(|kind| Arc::from(*kind)).collect();
    let tags = ["default".into(), "lab".into()].into();
    MachineSpec {
        name: name.into(),
        shape,
        tags,
        kinds,
        settle_ms: 0,
        order_ms_max: 10_000,
        agents: false,
        boots: true,
    }
}

/// Where the doors of the house are.
fn listen() -> &'static std::collections::BTreeMap<&'static str, String> {
    static LISTEN: std::sync::OnceLock<std::collections::BTreeMap<&'static str, String>> =
        std::sync::OnceLock::new();
    LISTEN.get_or_init(|| [("native", "127.0.0.1:7007".to_owned())].into())
}
