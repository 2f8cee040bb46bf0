//! `berth extend`: more time for jobs that have a lease.

use super::context::Context;
use super::each::for_each_job;
use super::exit::Failure;
use super::span::parse_seconds;
use super::table::time_text;
use crate::client::Request;
use clap::Args;

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
    let request = |job| Request::new("extend_job").with("job_id", job).with_some("lease", args.lease);
    for_each_job(context, &args.jobs, request, |job, until| {
        format!("the lease of job {job} ends {}", time_text(until.as_f64().unwrap_or_default()))
    })
}
