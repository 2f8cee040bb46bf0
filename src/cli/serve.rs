//! What runs a server rather than asks one: `berth serve`, `demo`, `config`, and users kept beside a configuration.

use super::context::Context;
use super::exit::{Exit, Failure};
use super::users::UserAction;
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `berth serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// The configuration.
    #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where the server keeps what it has to remember.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Where the native door listens.
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
}

/// `berth config`.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: ConfigAction,
}

/// What can be done with a configuration.
#[derive(Subcommand, Debug)]
pub enum ConfigAction {
    /// Tell everything that is wrong with it.
    Check {
        /// The configuration.
        #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
    /// Print it with all that it leaves to the defaults.
    Show {
        /// The configuration.
        #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Serves until it is told to stop.
pub fn serve(_context: &Context, _args: &ServeArgs) -> Result<(), Failure> {
    Err(not_built("serve"))
}

/// Serves on the defaults, plays a frontend, and goes on serving.
pub fn demo(_context: &Context) -> Result<(), Failure> {
    Err(not_built("demo"))
}

/// Checks or prints a configuration.
pub fn config(_context: &Context, _args: &ConfigArgs) -> Result<(), Failure> {
    Err(not_built("config"))
}

/// Changes users without a server.
pub fn users_offline(_context: &Context, _action: &UserAction) -> Result<(), Failure> {
    Err(not_built("user --config"))
}

fn not_built(command: &str) -> Failure {
    Failure::new(Exit::NotAvailable, format!("'{command}' is not part of this build"))
}
