//! One call in, a plan out; what came of the plan in, bytes out.
//!
//! A call is planned in three steps: the function is found by name, the caller's role is held against the
//! least one, and the arguments are bound and translated. The role comes before the arguments, so that
//! whoever may not call a function learns nothing from it. Whatever goes wrong concerns this call alone.

use super::arguments::Arguments;
use super::nearest::hint;
use super::plan::{Asker, Came, Outcome, Plan, Planned};
use super::{Function, all, find};
use crate::error::{Code, Fault};
use crate::lab::Lab;
use crate::lab::ask::Ask;
use crate::lab::command::{Caller, Command};
use crate::lab::fact::JobId;
use crate::lab::job::JobState;
use crate::lab::refusal::Refusal;
use crate::lab::view::{Query, View};
use crate::wire::json::Raw;
use std::borrow::Cow;

/// A complaint repeats so many characters of a function's name.
const QUOTED_CHARS_MAX: usize = 64;

/// What to do for a call of a function by name with these arguments.
pub fn plan(fname: &str, args: &[(Cow<'_, str>, Raw<'_>)], asker: &Asker<'_>) -> Result<Planned, Fault> {
    let function = find(fname).ok_or_else(|| unknown(fname))?;
    if asker.caller.role < function.role {
        return Err(too_low(function, asker));
    }
    let plan = (function.plan)(&Arguments::bind(function, args)?, asker)?;
    let mentions = mentioned(&plan);
    Ok(Planned { function, plan, mentions })
}

/// Appends the result of a call, the value of `data`; nothing is appended when there is none.
pub fn write_answer(
    function: &Function,
    came: Came,
    asker: &Asker<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    let start = out.len();
    let written = match came {
        Ok(Outcome::Ready(bytes)) => {
            out.extend_from_slice(&bytes);
            Ok(())
        }
        Ok(outcome) => (function.answer)(&outcome, asker, out),
        Err(fault) if function.null_for.contains(&fault.code) => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        Err(fault) => Err(fault),
    };
    written.inspect_err(|_| out.truncate(start))
}

/// Whether a caller may give a sign of life for a job.
pub fn mention(lab: &Lab, caller: &Caller, job: JobId) -> Result<(), Refusal> {
    let spec = lab.spec_of(job).ok_or(Refusal::JobUnknown(job))?;
    if lab.state_of(job) == JobState::Destroyed {
        return Err(Refusal::JobOver(job, reason_of(lab, job).into()));
    }
    match caller.may_act_on(spec) {
        true => Ok(()),
        false => Err(Refusal::NotYours { job, owner: spec.owner.clone() }),
    }
}

/// Whether a caller who mentions a job thereby shows that its owner is still there.
pub fn is_sign_of_life(lab: &Lab, caller: &Caller, job: JobId) -> bool {
    lab.spec_of(job).is_some_and(|spec| [&*spec.owner, &*spec.by].contains(&caller.user.as_str()))
}

/// Why a job ended, in the lab's words.
fn reason_of(lab: &Lab, job: JobId) -> String {
    match lab.see(&Query::Job(job)) {
        Ok(View::Job(view)) => view.reason.map(|reason| reason.to_string()).unwrap_or_default(),
        _ => String::new(),
    }
}

/// The job of which a plan is a sign of life.
fn mentioned(plan: &Plan) -> Option<JobId> {
    match plan {
        Plan::Mention(job)
        | Plan::Wait { job, .. }
        | Plan::OpenChannel { job, .. }
        | Plan::Ask(Ask::Query(Query::JobState(job) | Query::JobMachine(job)))
        | Plan::Ask(Ask::Command(Command::PowerJob { job, .. } | Command::ExtendJob { job, .. })) => {
            Some(*job)
        }
        _ => None,
    }
}

fn unknown(fname: &str) -> Fault {
    let short: String = fname.chars().take(QUOTED_CHARS_MAX).collect();
    let hint = hint(fname, all().map(|function| function.name));
    Fault::new(Code::INVALID_MESSAGE, format!("Function not found: '{short}'{hint}"))
}

fn too_low(function: &Function, asker: &Asker<'_>) -> Fault {
    let (needed, role) = (function.role, asker.caller.role);
    Fault::new(
        Code::NOT_PERMITTED,
        format!("{} needs the role {needed} or a higher one; the caller is {role}", function.name),
    )
}
