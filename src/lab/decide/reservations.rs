//! Boards of pools that are lent at once or not at all: reserved, extended, ended, found anew.
//!
//! Who reserves passes nobody: he gets what the pass over the queue would leave to somebody who came last and stays as
//! long as he likes, so never what is kept for a job that waits. Each board goes to a job of its own, queued and lent
//! in one breath, which from then on is a job like any other.

use super::burns::check_burn;
use super::jobs::asked_by;
use super::{Decision, board_ref, leases, require};
use crate::allocator::BoardIndex;
use crate::clock::Moment;
use crate::lab::Lab;
use crate::lab::board::BoardState;
use crate::lab::command::{Caller, Pick, Reservation};
use crate::lab::fact::{Event, Grant, JobId, MachineName, OrderId};
use crate::lab::job::{Job, JobSpec, RESERVED_AT_ONCE_MAX, Reason, SERIALS_NAMED_MAX, Want};
use crate::lab::machine::Machine;
use crate::lab::refusal::Refusal;
use crate::lab::view::BoardAddress;
use crate::user::Role;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A board that was picked: the machine, by its number in the lab, and its place there.
type Picked = (usize, BoardIndex);

impl Lab {
    pub(super) fn reserve(&self, now: Moment, caller: &Caller, wish: &Reservation) -> Decision {
        let count = match &wish.pick {
            Pick::Any(count) => *count as usize,
            Pick::Serials(serials) => serials.len(),
        };
        if count > RESERVED_AT_ONCE_MAX {
            let why = format!("at most {RESERVED_AT_ONCE_MAX} boards can be reserved in one request");
            return Err(Refusal::BadArgument(why));
        }
        let spec = asked_by(caller, &self.reserved_spec(wish));
        self.check_request(caller, &spec, count)?;
        let pools = self.pools_for(wish.machine.as_ref(), Some(&wish.kind))?;
        check_burn(&spec)?;
        let picked = match &wish.pick {
            Pick::Any(_) => self.pick_any(now, &pools, count)?,
            Pick::Serials(serials) => self.pick_serials(now, &wish.machine, &pools, serials)?,
        };
        let jobs = (1..).zip(picked).map(|(nth, picked)| self.reserved(&spec, &wish.pick, nth, picked));
        Ok(jobs.flatten().collect())
    }

    /// The request for one board, but for which.
    fn reserved_spec(&self, wish: &Reservation) -> JobSpec {
        JobSpec {
            machine: wish.machine.clone(),
            tags: BTreeSet::new(),
            keepalive_ms: None,
            lease_ms: Some(self.options.reservation_ms),
            kind: Some(wish.kind.clone()),
            kind_args: wish.kind_args.clone(),
            reserved: true,
            ..JobSpec::new(&wish.owner, Want::Boards(1))
        }
    }

    /// The nth job of a reservation, and its grant.
    fn reserved(&self, spec: &JobSpec, pick: &Pick, nth: u64, (number, board): Picked) -> [Event; 2] {
        let machine = &self.machines[number];
        let want = match pick {
            Pick::Any(_) => Want::Boards(1),
            Pick::Serials(_) => Want::Serials(vec![machine.spec.board_name(board).to_string().into()]),
        };
        let job = JobId(self.last_job.0 + nth);
        let granted = Event::JobGranted {
            job,
            grant: Grant(self.last_grant.0 + nth),
            machine: machine.spec.name.clone(),
            boards: [board].into(),
            region: None,
        };
        [Event::JobQueued { job, spec: Arc::new(JobSpec { want, ..spec.clone() }) }, granted]
    }

    /// The pools whose boards can be prepared as a kind, by their number: this one, or all there are.
    pub(in crate::lab) fn pools_for(
        &self,
        machine: Option<&MachineName>,
        kind: Option<&Arc<str>>,
    ) -> Result<Vec<usize>, Refusal> {
        let pools = match machine {
            Some(name) => {
                let unknown = || Refusal::MachineUnknown(name.clone());
                vec![self.machine_number(name).ok_or_else(unknown)?]
            }
            None => (0..self.machines.len()).collect(),
        };
        let is_pool = |number: &usize| self.machines[*number].spec.triads().is_none();
        let pools: Vec<_> = pools.into_iter().filter(is_pool).collect();
        if let (Some(name), true) = (machine, pools.is_empty()) {
            let why = "its boards have places, and only boards of pools can be reserved";
            return Err(Refusal::Impossible(format!("{name}: {why}")));
        }
        let Some(kind) = kind else { return Ok(pools) };
        let kinds = |number: &usize| self.machines[*number].spec.kinds.iter();
        let offering: Vec<_> = pools.iter().copied().filter(|n| kinds(n).any(|own| own == kind)).collect();
        if offering.is_empty() {
            let offered: BTreeSet<_> = pools.iter().flat_map(kinds).cloned().collect();
            return Err(Refusal::KindUnknown { kind: kind.clone(), offered: offered.into_iter().collect() });
        }
        Ok(offering)
    }

    fn pick_any(&self, now: Moment, pools: &[usize], count: usize) -> Result<Vec<Picked>, Refusal> {
        let mut picked = Vec::new();
        for number in pools {
            if picked.len() < count {
                let boards = self.reservable(now, *number).into_iter().take(count - picked.len());
                picked.extend(boards.map(|board| (*number, board)));
            }
        }
        match picked.len() < count {
            true => Err(Refusal::TooFewAvailable { asked: count, available: picked.len() }),
            false => Ok(picked),
        }
    }

    fn pick_serials(
        &self,
        now: Moment,
        machine: &Option<MachineName>,
        pools: &[usize],
        serials: &[Arc<str>],
    ) -> Result<Vec<Picked>, Refusal> {
        let mut seen = BTreeSet::new();
        if let Some(twice) = serials.iter().find(|serial| !seen.insert(*serial)) {
            return Err(Refusal::BadArgument(format!("'{twice}' is listed twice")));
        }
        let mut left: Vec<Option<BTreeSet<_>>> = vec![None; self.machines.len()];
        let mut is_left = |(number, board): &Picked| {
            let boards = || self.reservable(now, *number).into_iter().collect();
            left.get_mut(*number).is_some_and(|left| left.get_or_insert_with(boards).contains(board))
        };
        let pick = |serial: &Arc<str>| {
            let (machine, serial) = (machine.clone(), serial.clone());
            let address = BoardAddress::Serial { machine, serial: serial.clone() };
            let (known, board) = self.find_board(&address)?;
            let found =
                pools.iter().filter_map(|n| Some((*n, self.machines[*n].board_with_serial(&serial)?)));
            let found: Vec<_> = found.collect();
            if found.is_empty() {
                let name = &known.spec.name;
                let why = format!("'{serial}' is a board of '{name}', which does not offer this kind");
                return Err(Refusal::NotAvailable(why));
            }
            let free = found.iter().copied().find(&mut is_left);
            free.ok_or_else(|| self.why_not(found.first().map_or((known, board), |at| self.at(*at))))
        };
        serials.iter().map(pick).collect()
    }

    fn at(&self, (number, board): Picked) -> (&Machine, BoardIndex) {
        (&self.machines[number], board)
    }

    /// Why a board that was named is not available.
    fn why_not(&self, (machine, board): (&Machine, BoardIndex)) -> Refusal {
        let name = machine.spec.board_text(board);
        Refusal::NotAvailable(match (self.holder(machine, board), machine.state(board)) {
            (Some(job), _) => format!("{name} is lent to {} (job {})", job.spec.owner, job.id),
            (None, BoardState::Free) => format!("{name} is kept for a job that waits"),
            (None, state) => format!("{name} is {}", state.word()),
        })
    }

    /// The boards of a pool that can be reserved now, longest idle first.
    pub(in crate::lab) fn reservable(&self, now: Moment, number: usize) -> Vec<BoardIndex> {
        let place = crate::lab::queue::Place::last_before(self.next_job());
        let mut boards = self.with_surroundings(now, |lab| self.queue.left_for(place, number, lab));
        let name = &self.machines[number].spec.name;
        boards.retain(|board| !self.condemned.contains(&(name.clone(), *board)));
        boards
    }

    pub(super) fn extend_reserved(
        &self,
        now: Moment,
        caller: &Caller,
        owner: &Arc<str>,
        serials: Option<&[Arc<str>]>,
    ) -> Decision {
        let own = self.own_reservations(caller, owner, serials)?;
        Ok(own.into_iter().map(|job| leases::extended(job, now, self.options.reservation_ms)).collect())
    }

    pub(super) fn end_reserved(
        &self,
        caller: &Caller,
        owner: &Arc<str>,
        serials: Option<&[Arc<str>]>,
    ) -> Decision {
        let by: Arc<str> = caller.user.as_str().into();
        let reason = || Reason::Asked { by: by.clone(), text: None };
        let own = self.own_reservations(caller, owner, serials)?;
        Ok(own.into_iter().map(|job| self.destroyed(job, reason())).collect())
    }

    /// The reservations of an owner on which a caller may act: those of these serials, in that order, or all.
    fn own_reservations(
        &self,
        caller: &Caller,
        owner: &Arc<str>,
        serials: Option<&[Arc<str>]>,
    ) -> Result<Vec<&Job>, Refusal> {
        if **owner != *caller.user.as_str() && !caller.user.is_door() {
            require(
                caller,
                Role::Operator,
                "only an operator may act on what is reserved for somebody else",
            )?;
        }
        let own = self.reserved_of_owner.get(owner).into_iter().flatten();
        let own = own.filter_map(|id| self.jobs.get(id));
        let own: Vec<_> = own.filter(|job| caller.may_act_on(&job.spec)).collect();
        let Some(serials) = serials else { return Ok(own) };
        if serials.len() > SERIALS_NAMED_MAX {
            let why = format!("at most {SERIALS_NAMED_MAX} boards can be named in one request");
            return Err(Refusal::BadArgument(why));
        }
        let mut by_serial: Vec<_> = own.iter().map(|job| (self.serial_of(job), *job)).collect();
        by_serial.sort_by(|one, other| one.0.cmp(&other.0));
        let mut named = BTreeSet::new();
        let each_once = serials.iter().filter(|serial| named.insert((*serial).clone()));
        let found = each_once.flat_map(|serial| {
            let first = by_serial.partition_point(|(known, _)| known.as_ref() < Some(serial));
            by_serial[first..].iter().take_while(move |(known, _)| known.as_ref() == Some(serial))
        });
        Ok(found.map(|(_, job)| *job).collect())
    }

    /// The serial of the board that is reserved.
    pub(in crate::lab) fn serial_of(&self, job: &Job) -> Option<Arc<str>> {
        let loan = job.loan.as_ref()?;
        let name = self.machine(&loan.machine)?.spec.board_name(*loan.boards.first()?);
        Some(name.to_string().into())
    }

    pub(super) fn renew_boards(&self, now: Moment, caller: &Caller, serials: &[Arc<str>]) -> Decision {
        require(caller, Role::Operator, "only an operator may have boards found anew")?;
        if serials.len() > SERIALS_NAMED_MAX {
            let why = format!("at most {SERIALS_NAMED_MAX} boards can be named in one request");
            return Err(Refusal::BadArgument(why));
        }
        let (mut events, mut named, mut tests) = (Vec::new(), BTreeSet::new(), 0);
        for serial in serials.iter().filter(|serial| named.insert((*serial).clone())) {
            let address = BoardAddress::Serial { machine: None, serial: serial.clone() };
            let (machine, board) = self.find_board(&address)?;
            let testing = machine.board(board).trouble.is_some_and(|trouble| trouble.testing.is_some());
            let at = board_ref(machine, board);
            match machine.state(board) {
                BoardState::Free => {
                    let reason = format!("to be found anew, as {} wants it", caller.user).into();
                    events.push(Event::BoardQuarantined { board: at, reason, retest_at: Some(now) });
                }
                BoardState::Quarantined if !testing => {
                    tests += 1;
                    let order = OrderId { grant: Grant(self.last_grant.0 + tests), step: 0 };
                    events.push(Event::BoardTested { board: at, order });
                }
                _ => {}
            }
        }
        Ok(events)
    }
}
