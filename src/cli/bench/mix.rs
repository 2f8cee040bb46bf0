//! What is asked of the server, as data: steps make work, and work in shares makes a mix. One more mix is one more row.
//!
//! Whatever a mix makes it takes away again: a job that was created is destroyed, a session that was opened is ended.

/// One message of a work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// A list of calls of a function.
    Call {
        /// The function.
        fname: &'static str,
    },
    /// A list of calls of `create_job`, with the arguments the command line gives.
    Create,
    /// A list of calls of a function, one for each result of the step before.
    CallOn {
        /// The function.
        fname: &'static str,
        /// The argument that is the earlier result.
        arg: &'static str,
    },
    /// A handshake as whoever the command line says.
    Handshake,
    /// The end of the session that the handshake before opened.
    Logout,
}

impl Step {
    /// What it is called in reports.
    pub fn name(self) -> &'static str {
        match self {
            Step::Call { fname } | Step::CallOn { fname, .. } => fname,
            Step::Create => "create_job",
            Step::Handshake => "handshake",
            Step::Logout => "logout",
        }
    }

    /// Whether it goes in a message of its own, never several in one.
    pub fn is_alone(self) -> bool {
        matches!(self, Step::Handshake | Step::Logout)
    }
}

/// Messages that belong together: each waits for the answer to the one before it.
#[derive(Debug)]
pub struct Work {
    /// The steps.
    pub steps: &'static [Step],
}

/// A work, and its share of a mix.
#[derive(Debug)]
pub struct Part {
    /// So many of all that are begun, by the sum of all weights.
    pub weight: u16,
    /// What is done.
    pub work: &'static Work,
}

/// A name for what is asked.
#[derive(Debug)]
pub struct Mix {
    /// The name.
    pub name: &'static str,
    /// A sentence on it.
    pub about: &'static str,
    /// What is done, in which shares.
    pub parts: &'static [Part],
}

const VERSION: Work = Work { steps: &[Step::Call { fname: "get_version" }] };
const STATUS: Work = Work { steps: &[Step::Call { fname: "get_status" }] };
const JOBS: Work = Work { steps: &[Step::Call { fname: "list_jobs" }] };
const MACHINES: Work = Work { steps: &[Step::Call { fname: "list_machines" }] };
const PAIR: Work = Work { steps: &[Step::Create, Step::CallOn { fname: "destroy_job", arg: "job_id" }] };
const LOGIN: Work = Work { steps: &[Step::Handshake, Step::Logout] };

/// All mixes.
pub static MIXES: &[Mix] = &[
    Mix {
        name: "version",
        about: "get_version, whose answer never changes",
        parts: &[Part { weight: 1, work: &VERSION }],
    },
    Mix { name: "jobs", about: "list_jobs", parts: &[Part { weight: 1, work: &JOBS }] },
    Mix {
        name: "pairs",
        about: "create_job, then destroy_job of that job; each answer is durable",
        parts: &[Part { weight: 1, work: &PAIR }],
    },
    Mix {
        name: "login",
        about: "a handshake, then logout of that session; each answer is durable",
        parts: &[Part { weight: 1, work: &LOGIN }],
    },
    Mix {
        name: "mixed",
        about: "of 100: 60 get_version, 15 get_status, 10 list_jobs, 5 list_machines, 9 pairs, 1 login",
        parts: &[
            Part { weight: 60, work: &VERSION },
            Part { weight: 15, work: &STATUS },
            Part { weight: 10, work: &JOBS },
            Part { weight: 5, work: &MACHINES },
            Part { weight: 9, work: &PAIR },
            Part { weight: 1, work: &LOGIN },
        ],
    },
];

impl Mix {
    /// The mix of this name.
    pub fn named(name: &str) -> Option<&'static Mix> {
        MIXES.iter().find(|mix| mix.name == name)
    }

    /// In which order its parts are begun, by their places: one round, with each part spread evenly over it.
    pub fn round(&self) -> Vec<usize> {
        let total: i32 = self.parts.iter().map(|part| i32::from(part.weight)).sum();
        let mut owed = vec![0; self.parts.len()];
        (0..total)
            .map(|_| {
                owed.iter_mut().zip(self.parts).for_each(|(owed, part)| *owed += i32::from(part.weight));
                let next = (0..owed.len()).max_by_key(|at| owed[*at]).unwrap_or_default();
                owed[next] -= total;
                next
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_every_part_as_often_as_it_weighs() {
        for mix in MIXES {
            let round = mix.round();
            for (at, part) in mix.parts.iter().enumerate() {
                let count = round.iter().filter(|found| **found == at).count();
                assert_eq!(count, usize::from(part.weight), "{} {at}", mix.name);
            }
        }
    }

    #[test]
    fn a_round_spreads_its_parts() {
        let round = Mix::named("mixed").unwrap().round();
        let pairs: Vec<_> = (0..round.len()).filter(|at| round[*at] == 4).collect();
        assert!(pairs.windows(2).all(|pair| (6..=16).contains(&(pair[1] - pair[0]))), "{pairs:?}");
    }

    #[test]
    fn what_is_made_is_taken_away() {
        for part in MIXES.iter().flat_map(|mix| mix.parts) {
            match part.work.steps {
                [Step::Call { .. }] | [Step::Handshake, Step::Logout] => {}
                [Step::Create, Step::CallOn { fname: "destroy_job", .. }] => {}
                steps => panic!("{steps:?}"),
            }
        }
    }

    #[test]
    fn every_function_of_a_mix_exists() {
        for step in MIXES.iter().flat_map(|mix| mix.parts).flat_map(|part| part.work.steps) {
            if !step.is_alone() {
                assert!(crate::service::find(step.name()).is_some(), "{}", step.name());
            }
        }
    }
}
