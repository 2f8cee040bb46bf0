//! How the server does, as OpenMetrics text: what was counted as it happened (`tally`), and what can be looked up now. All
//! labels come from lists that are bounded: states, doors, the machines of the configuration, and names of workers, of which
//! only so many are told.

use super::super::house::House;
use super::super::listener::DoorKind;
use crate::clock::Moment;
use crate::controller::agent::AgentCounts;
use crate::journal::Counts;
use crate::lab::ask::Reply;
use crate::lab::board::BoardState;
use crate::lab::view::{MachineView, Query, StatusView, View};
use crate::service::about::CORE_VERSION;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

/// Workers that are named; of more only the numbers are told.
const WORKERS_NAMED_MAX: usize = 1_000;

/// Labels and their values.
type Labels = Vec<(&'static str, String)>;

/// A number of seconds.
type Seconds = Gauge<f64, std::sync::atomic::AtomicU64>;

/// Everything, as text.
pub fn write(house: &House) -> String {
    let mut registry = Registry::with_prefix("berth");
    see_lab(house, &mut registry);
    see_workers(house, &mut registry);
    see_doors(house, &mut registry);
    see_journal(house.counter.counts(), &mut registry);
    let mut text = String::new();
    let written = encode_registry(&mut text, house.counter.tally.registry())
        .and_then(|()| encode_registry(&mut text, &registry))
        .and_then(|()| encode_eof(&mut text));
    if let Err(error) = written {
        // Writing to a text does not fail; if it did, a text without its end is not taken for a whole one.
        tracing::error!(%error, "metrics could not be written");
    }
    text
}

fn see_lab(house: &House, registry: &mut Registry) {
    let look = |query: &Query| super::super::quick::see(house, query);
    if let Ok(Reply::Seen(View::Status(status))) = look(&Query::Status) {
        see_status(&status, registry);
    }
    if let Ok(Reply::Seen(View::Machines(machines))) = look(&Query::Machines) {
        see_boards(&machines, registry);
    }
    let sessions = house.counter.sessions.count();
    register(registry, "sessions", "Sessions that live", gauge(sessions));
}

fn see_status(status: &StatusView, registry: &mut Registry) {
    let jobs = Family::<Labels, Gauge>::default();
    for (state, count) in &status.jobs {
        jobs.get_or_create(&vec![("state", state.word().to_owned())]).set(*count as i64);
    }
    registry.register("jobs", "Live jobs by state", jobs);
    let queued = status.jobs.get(&crate::lab::job::JobState::Queued).copied().unwrap_or(0);
    register(registry, "queue_length", "Jobs that wait for boards", gauge(queued));
    register(registry, "jobs_ended_known", "Ended jobs that are remembered", gauge(status.jobs_ended));
    register(registry, "users", "Users", gauge(status.users));
    register(registry, "orders_open", "Orders that hardware has not answered", gauge(status.orders_open));
    register(registry, "accepts_jobs", "Whether new jobs are taken", gauge(status.accept.into()));
}

fn see_boards(machines: &[MachineView], registry: &mut Registry) {
    let boards = Family::<Labels, Gauge>::default();
    for machine in machines {
        for state in BoardState::ALL {
            let labels = vec![("machine", machine.spec.name.to_string()), ("state", state.word().to_owned())];
            let count = machine.boards.get(&state).copied().unwrap_or(0);
            boards.get_or_create(&labels).set(count.into());
        }
    }
    registry.register("boards", "Boards by machine and state", boards);
}

fn see_workers(house: &House, registry: &mut Registry) {
    let (workers, drain) = (Family::<Labels, Gauge>::default(), Family::<Labels, Gauge>::default());
    let silence = Family::<Labels, Seconds>::default();
    let (now, mut unnamed) = (house.clock.now(), WORKERS_NAMED_MAX);
    for (machine, hub) in house.all_agents() {
        let of_machine = ("machine", machine.to_string());
        let AgentCounts { connected, away, draining } = hub.count();
        for (state, count) in [("connected", connected), ("away", away)] {
            workers.get_or_create(&vec![of_machine.clone(), ("state", state.to_owned())]).set(count as i64);
        }
        drain.get_or_create(&vec![of_machine.clone()]).set(draining as i64);
        for worker in hub.view().into_iter().take(unnamed) {
            unnamed -= 1;
            let labels = vec![of_machine.clone(), ("worker", worker.name.to_string())];
            silence.get_or_create(&labels).set(now.ms_since(Moment(worker.seen_ms)) as f64 / 1000.0);
        }
    }
    registry.register("workers", "Workers by machine and state", workers);
    registry.register("workers_draining", "Workers that want no new work", drain);
    registry.register_with_unit("worker_silence", "Since a worker was heard last", Unit::Seconds, silence);
}

fn see_doors(house: &House, registry: &mut Registry) {
    let connections = Family::<Labels, Gauge>::default();
    for door in DoorKind::ALL {
        let count = house.connections_of(door);
        connections.get_or_create(&vec![("door", door.word().to_owned())]).set(count as i64);
    }
    registry.register("connections", "Connections by door", connections);
    let uptime = Seconds::default();
    uptime.set(house.clock.now().ms_since(house.opened) as f64 / 1000.0);
    registry.register_with_unit("uptime", "Since the doors were opened", Unit::Seconds, uptime);
    let build = Family::<Labels, Gauge>::default();
    let version = CORE_VERSION.map(|part| part.to_string()).join(".");
    build.get_or_create(&vec![("version", version)]).set(1);
    registry.register("build", "The version of the program", build);
}

fn see_journal(counts: Counts, registry: &mut Registry) {
    let total = |count: u64| {
        let counter = Counter::<u64>::default();
        counter.inc_by(count);
        counter
    };
    registry.register("journal_appends", "Durable writes of facts", total(counts.appends));
    registry.register("journal_facts", "Facts written", total(counts.facts));
    registry.register("journal_syncs", "Times the disk was told to make sure", total(counts.syncs));
    registry.register("journal_snapshots", "Snapshots completed", total(counts.snapshots));
    registry.register("journal_expired", "Facts deleted for their age", total(counts.expired));
    let spent = Counter::<f64, std::sync::atomic::AtomicU64>::default();
    spent.inc_by(counts.append_us as f64 / 1e6);
    registry.register_with_unit("journal_append", "Spent on writing facts", Unit::Seconds, spent);
}

fn gauge(count: usize) -> Gauge {
    let gauge = Gauge::default();
    gauge.set(count as i64);
    gauge
}

fn register(registry: &mut Registry, name: &str, help: &str, gauge: Gauge) {
    registry.register(name, help, gauge);
}
