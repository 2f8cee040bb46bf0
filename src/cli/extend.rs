//! `berth extend`: more time for jobs that have a lease.

use super::context::Context;
use super::exit::Failure;
use super::span::parse_seconds;
use super::table::time_text;
use crate::client::Request;
use clap::Args;
use serde_json::Value;

/// `berth extend`.
#[derive(Args, Debug)]
pub struct ExtendArgs {
    /// The jobs.
    #[arg(required = true, value_name = "JOB")]
    jobs: Vec<u64>,
    /// How long from now; as long as was agreed when this is not said.
    #[arg(long, value_name = "SPAN", value_parser = parse_seconds)]
    lease: Option<f64>,
}

/// Extends leases. All are tried, whatever becomes of one.
pub fn extend(context: &Context, args: &ExtendArgs) -> Result<(), Failure> {
    let request = |job: &u64| Request::new("extend_job").with("job_id", *job).with_some("lease", args.lease);
    let requests: Vec<_> = args.jobs.iter().map(request).collect();
    let answers = context.open()?.call_many(&requests)?;
    if context.shared.json {
        let plain: Vec<_> = answers.iter().map(|answer| answer.clone().unwrap_or_default()).collect();
        context.print_json(&Value::Array(plain))?;
    }
    let mut failed = None;
    for (job, answer) in args.jobs.iter().zip(answers) {
        match answer {
            Ok(_) if context.shared.json => {}
            Ok(until) => {
                let until = time_text(until.as_f64().unwrap_or_default());
                context.note(&format!("the lease of job {job} ends {until}"));
            }
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
