//! Of which machines the lab consists.

use super::{Decision, require};
use crate::lab::Lab;
use crate::lab::command::Caller;
use crate::lab::fact::Event;
use crate::lab::job::Reason;
use crate::lab::machine::{Machine, MachineSpec};
use crate::lab::refusal::Refusal;
use crate::user::Role;
use std::collections::BTreeSet;
use std::sync::Arc;

impl Lab {
    /// What must happen for the machines to be these, in this order.
    pub(super) fn configure(&self, caller: &Caller, specs: &[Arc<MachineSpec>]) -> Decision {
        require(caller, Role::Admin, "only the server itself configures the lab")?;
        let specs: Vec<_> = specs.iter().map(|spec| self.as_announced(spec)).collect();
        let specs = specs.as_slice();
        let names: BTreeSet<_> = specs.iter().map(|spec| &spec.name).collect();
        let fault = specs.iter().find_map(|spec| spec.fault());
        let fault =
            fault.or_else(|| (names.len() < specs.len()).then(|| "two machines have one name".to_owned()));
        fault.map_or(Ok(()), |why| Err(Refusal::BadArgument(why)))?;

        let mut events = Vec::new();
        let stays = |machine: &&Machine| {
            specs.iter().any(|spec| spec.name == machine.spec.name && spec.same_boards(&machine.spec))
        };
        let (staying, going): (Vec<_>, Vec<_>) = self.machines.iter().partition(stays);
        going.into_iter().for_each(|machine| self.remove_machine(machine, &mut events));
        // The order of the machines while the events are applied.
        let mut order: Vec<_> = staying.iter().map(|machine| machine.spec.clone()).collect();
        for (position, spec) in specs.iter().enumerate() {
            match order.iter().position(|known| known.name == spec.name) {
                None => events.push(Event::MachineAdded { spec: spec.clone(), position }),
                Some(at) => {
                    let known = order.remove(at);
                    if known != *spec || at != position {
                        events.push(Event::MachineChanged { spec: spec.clone(), position });
                    }
                }
            }
            order.insert(position, spec.clone());
        }
        Ok(events)
    }

    /// A machine as configured, with the boards that its agents added since.
    fn as_announced(&self, spec: &Arc<MachineSpec>) -> Arc<MachineSpec> {
        self.machine(&spec.name).map_or_else(|| spec.clone(), |known| spec.with_announced(&known.spec))
    }

    /// A machine goes: its jobs end first, with that reason.
    fn remove_machine(&self, machine: &Machine, events: &mut Vec<Event>) {
        let name = &machine.spec.name;
        let live = self.live.iter().filter_map(|id| self.jobs.get(id));
        let on_it = live.filter(|job| job.live_loan().is_some_and(|loan| loan.machine == *name));
        events.extend(on_it.map(|job| self.destroyed(job, Reason::MachineRemoved(name.clone()))));
        events.push(Event::MachineRemoved { machine: name.clone() });
    }
}
