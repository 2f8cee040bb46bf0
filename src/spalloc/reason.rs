//! Why a job ended, in the words that clients of the reference know.

use crate::lab::job::{JobState, Reason};
use crate::lab::view::JobView;

/// What stands before the reason of a job that ended without boards.
const CANCELLED: &str = "Cancelled: ";

/// The reason of a job that is over. None while it lives, and when whoever ended it gave none.
pub fn of(job: &JobView) -> Option<String> {
    let reason = job.reason.as_ref().filter(|_| job.state == JobState::Destroyed)?;
    let cancelled = job.loan.is_none();
    let text = match reason {
        Reason::Asked { text: None, .. } if !cancelled => return None,
        Reason::Asked { text, .. } => text.as_deref().unwrap_or("").to_owned(),
        Reason::Lapsed => "Job timed out.".to_owned(),
        Reason::LeaseOver => "Lease over.".to_owned(),
        Reason::Impossible(_) => "No suitable machines available.".to_owned(),
        Reason::MachineRemoved(_) => "Machine removed.".to_owned(),
        Reason::Done(words) => words.to_string(),
        Reason::BoardsFailed(why) => return Some(format!("Machine configuration failed. Error: {why}")),
    };
    Some(if cancelled { format!("{CANCELLED}{text}") } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Moment;
    use crate::lab::fact::{Grant, JobId};
    use crate::lab::job::{JobSpec, Loan, Want};
    use std::sync::Arc;

    #[test]
    fn a_reason_is_told_as_clients_know_it() {
        let asked = |text: Option<&str>| Reason::Asked { by: "/spalloc".into(), text: text.map(Into::into) };
        let configuration = "Machine configuration failed. Error: dead";
        for (reason, with_boards, without) in [
            (asked(Some("enough")), Some("enough"), "Cancelled: enough"),
            (asked(Some("")), Some(""), "Cancelled: "),
            (asked(None), None, "Cancelled: "),
            (Reason::Lapsed, Some("Job timed out."), "Cancelled: Job timed out."),
            (Reason::MachineRemoved("m".into()), Some("Machine removed."), "Cancelled: Machine removed."),
            (Reason::BoardsFailed("dead".into()), Some(configuration), configuration),
            (Reason::LeaseOver, Some("Lease over."), "Cancelled: Lease over."),
            (
                Reason::Impossible("x".into()),
                Some("No suitable machines available."),
                "Cancelled: No suitable machines available.",
            ),
        ] {
            let job = |loan| JobView {
                id: JobId(1),
                spec: Arc::new(JobSpec::new("x", Want::Boards(1))),
                state: JobState::Destroyed,
                created: Moment(0),
                lapses_at: None,
                lease_ends_at: None,
                loan,
                boards: Vec::new(),
                ahead: None,
                attempts: 0,
                reason: Some(reason.clone()),
                ended: None,
            };
            let loan = Loan {
                extended: None,
                warned: None,
                grant: Grant(1),
                machine: "m".into(),
                boards: Arc::new([]),
                region: None,
                since: Moment(0),
                next_step: 1,
                power: true,
                was_ready: true,
                kind: "spinnaker".into(),
            };
            assert_eq!(of(&job(Some(loan))).as_deref(), with_boards, "{reason:?}");
            assert_eq!(of(&job(None)).as_deref(), Some(without), "{reason:?}");
        }
    }
}
