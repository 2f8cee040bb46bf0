//! What a request asks of a machine, apart from whose it is and when it came.

use super::job::{JobSpec, Want};
use super::machine::Machine;
use crate::allocator::torus::Triad;
use crate::allocator::{BoardIndex, Request, Size};
use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The kind of boards a request means that names neither a kind nor a machine.
pub const DEFAULT_KIND: &str = "spinnaker";

/// The machines that could ever meet a demand, by their number in the lab, and how each is asked.
pub type Fits = Arc<[(usize, Request)]>;

/// All that decides where a job fits, and how urgent it is. Jobs that are alike in it form a class: of these the
/// first in the line is the oldest and the most likely to fit, so the others need no trial.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Demand {
    want: Want,
    machine: Option<Arc<str>>,
    tags: BTreeSet<Arc<str>>,
    kind: Option<Arc<str>>,
    boot: bool,
    /// What a board must offer to be lent for it.
    needs: Option<Arc<str>>,
    min_ratio_bits: u64,
    max_dead_boards: Option<u32>,
    max_dead_links: Option<u32>,
    require_torus: bool,
    lease_ms: Option<u64>,
    priority: i32,
}

impl Demand {
    /// The demand of a request.
    pub fn of(spec: &JobSpec) -> Demand {
        Demand {
            want: spec.want.clone(),
            machine: spec.machine.clone(),
            // A machine that is named needs no tags.
            tags: if spec.machine.is_none() { spec.tags.clone() } else { BTreeSet::new() },
            kind: spec.kind.clone(),
            boot: spec.wants_boot(),
            needs: spec.needs(),
            min_ratio_bits: spec.min_ratio.to_bits(),
            max_dead_boards: spec.max_dead_boards,
            max_dead_links: spec.max_dead_links,
            require_torus: spec.require_torus,
            lease_ms: spec.lease_ms,
            priority: spec.priority,
        }
    }

    /// How long a loan lasts at most.
    pub fn lease_ms(&self) -> Option<u64> {
        self.lease_ms
    }

    /// Whether a machine may be used, by its name or tags and by its kinds.
    pub fn admits(&self, machine: &Machine) -> bool {
        self.admits_name(machine) && self.admits_kind(machine) && (!self.boot || machine.spec.boots)
    }

    /// Whether a machine may be used, by its name or tags alone.
    pub fn admits_name(&self, machine: &Machine) -> bool {
        match &self.machine {
            Some(name) => *name == machine.spec.name,
            None => self.tags.is_subset(&machine.spec.tags),
        }
    }

    fn admits_kind(&self, machine: &Machine) -> bool {
        match (&self.kind, &self.machine) {
            (Some(kind), _) => machine.spec.kinds.contains(kind),
            (None, Some(_)) => true,
            (None, None) => machine.spec.kinds.iter().any(|kind| **kind == *DEFAULT_KIND),
        }
    }

    /// Why no machine may be used.
    fn admitted_nowhere(&self, machines: &[Machine]) -> String {
        if let Some(name) =
            self.machine.as_ref().filter(|name| !machines.iter().any(|m| m.spec.name == **name))
        {
            return format!("no machine is called '{name}'");
        }
        if !machines.iter().any(|machine| self.admits_name(machine)) {
            return format!("no machine has all the tags [{}]", tags_text(&self.tags));
        }
        if machines.iter().any(|machine| self.admits_name(machine) && self.admits_kind(machine)) {
            return "boot is asked for, and no machine that is asked for has a boot image configured"
                .to_owned();
        }
        let kind = self.kind.as_deref().unwrap_or(DEFAULT_KIND);
        format!("no machine that is asked for prepares boards as '{kind}'; name another kind")
    }

    /// The request as a machine's allocator understands it; an error says why the machine has no such boards.
    pub fn request(&self, machine: &Machine) -> Result<Request, String> {
        Ok(Request {
            size: self.size(machine)?,
            min_ratio: f64::from_bits(self.min_ratio_bits),
            max_dead_boards: self.max_dead_boards,
            max_dead_links: self.max_dead_links,
            require_torus: self.require_torus,
        })
    }

    /// The request as it can be met at present, where what boards offer counts; an error says what nobody offers. Offers come and
    /// go, so this is asked at each try and never kept.
    pub fn request_now(&self, machine: &Machine) -> Result<Request, String> {
        let request = self.request(machine)?;
        let offered = self.narrowed(&request, machine).map(Cow::into_owned);
        offered.ok_or_else(|| self.offered_nowhere(machine))
    }

    /// The same, of a request that is known already; none when no board in service offers what is needed.
    pub fn narrowed<'a>(&self, request: &'a Request, machine: &Machine) -> Option<Cow<'a, Request>> {
        let Some(needs) = self.needs.as_ref().filter(|_| machine.has_offers()) else {
            return Some(Cow::Borrowed(request));
        };
        let named = |board: &BoardIndex| match &request.size {
            Size::Named(names) => names.contains(board),
            _ => true,
        };
        let boards: Vec<_> = machine.offering(needs).filter(named).collect();
        let narrowed = || Cow::Owned(Request { size: Size::AnyOf(boards.clone()), ..request.clone() });
        (!boards.is_empty()).then(narrowed)
    }

    /// Whether a board in service offers what is needed; true where nothing is.
    pub fn is_offered(&self, machine: &Machine) -> bool {
        let needs = self.needs.as_ref().filter(|_| machine.has_offers());
        needs.is_none_or(|needs| machine.offering(needs).next().is_some())
    }

    fn offered_nowhere(&self, machine: &Machine) -> String {
        let (needs, name) = (self.needs.as_deref().unwrap_or_default(), &machine.spec.name);
        let who =
            if matches!(self.want, Want::Serials(_)) { "the board it names" } else { "a board in service" };
        format!("{who} on '{name}' to offer '{needs}', which none does at present")
    }

    /// Whether a machine could ever meet the request; one whose boards come by themselves may do so before the first has come.
    fn possible(&self, request: &Request, machine: &Machine) -> Result<(), String> {
        match self.needs.is_some() && machine.has_offers() && request.size == Size::Board {
            true => Ok(()),
            false => machine.allocator.possible(request).map_err(|why| why.to_string()),
        }
    }

    fn size(&self, machine: &Machine) -> Result<Size, String> {
        Ok(match (&self.want, machine.spec.triads()) {
            (Want::Boards(1), _) => Size::Board,
            (Want::Boards(count), _) => Size::Count(*count),
            (Want::Triads { width, height }, _) => Size::Triads { width: *width, height: *height },
            (Want::Exact { x, y, z }, Some(torus)) => {
                let board = torus.torus().index_within(Triad { x: *x, y: *y, z: *z });
                Size::Named(vec![board.ok_or_else(|| format!("there is no board [{x},{y},{z}]"))?])
            }
            (Want::Exact { .. }, None) => return Err("its boards have serials, not places".to_owned()),
            (Want::Serials(_), Some(_)) => return Err("its boards have places, not serials".to_owned()),
            (Want::Serials(wanted), None) => {
                let named = |serial: &Arc<str>| {
                    machine
                        .board_with_serial(serial)
                        .ok_or_else(|| format!("no board has the serial '{serial}'"))
                };
                Size::Named(wanted.iter().map(named).collect::<Result<_, _>>()?)
            }
        })
    }
}

/// The machines that could ever meet a demand, in the order of the lab.
pub fn fits(demand: &Demand, machines: &[Machine]) -> Fits {
    let admitted = machines.iter().enumerate().filter(|(_, machine)| demand.admits(machine));
    admitted
        .filter_map(|(number, machine)| {
            let request = demand.request(machine).ok()?;
            demand.possible(&request, machine).is_ok().then_some((number, request))
        })
        .collect()
}

/// Why no machine could ever meet a demand; none when one could.
pub fn obstacle(demand: &Demand, machines: &[Machine]) -> Option<String> {
    let admitted: Vec<_> = machines.iter().filter(|machine| demand.admits(machine)).collect();
    let mut obstacles = Vec::new();
    for machine in &admitted {
        match demand.request(machine).and_then(|request| demand.possible(&request, machine)) {
            Ok(()) => return None,
            Err(why) => obstacles.push(format!("{}: {why}", machine.spec.name)),
        }
    }
    if admitted.is_empty() {
        obstacles.push(demand.admitted_nowhere(machines));
    }
    Some(obstacles.join("; "))
}

fn tags_text(tags: &BTreeSet<Arc<str>>) -> String {
    tags.iter().map(|tag| format!("'{tag}'")).collect::<Vec<_>>().join(", ")
}
