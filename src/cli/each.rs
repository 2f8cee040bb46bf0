//! One call for each of several jobs, in one message: all are tried, whatever becomes of one.

use super::context::Context;
use super::exit::Failure;
use crate::client::Request;
use serde_json::Value;

/// Calls a function for each job, prints the answers as JSON or notes what each means, and fails if one failed.
pub fn for_each_job(
    context: &Context,
    jobs: &[u64],
    request: impl Fn(u64) -> Request,
    said: impl Fn(u64, &Value) -> String,
) -> Result<(), Failure> {
    let requests: Vec<_> = jobs.iter().map(|job| request(*job)).collect();
    let answers = context.open()?.call_many(&requests)?;
    if context.shared.json {
        let plain: Vec<_> = answers.iter().map(|answer| answer.clone().unwrap_or_default()).collect();
        context.print_json(&Value::Array(plain))?;
    }
    let mut failed = None;
    for (job, answer) in jobs.iter().zip(answers) {
        match answer {
            Ok(_) if context.shared.json => {}
            Ok(answer) => context.note(&said(*job, &answer)),
            Err(refusal) => {
                // The last one is told when the command ends.
                if let Some(earlier) = failed.replace(Failure::from(refusal)) {
                    context.tell(&earlier);
                }
            }
        }
    }
    failed.map_or(Ok(()), Err)
}
