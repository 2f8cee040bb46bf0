//! What shells and readers of manuals need: completions, manual pages, help.

use super::Line;
use super::context::Context;
use super::exit::Failure;
use clap::{Args, CommandFactory};
use clap_complete::Shell;
use std::path::PathBuf;

/// `berth completions`.
#[derive(Args, Debug)]
pub struct CompletionsArgs {
    /// The shell.
    shell: Shell,
}

/// Prints the completions for a shell.
pub fn completions(context: &Context, args: &CompletionsArgs) -> Result<(), Failure> {
    let mut out = Vec::new();
    clap_complete::generate(args.shell, &mut Line::command(), "berth", &mut out);
    context.print(&String::from_utf8_lossy(&out))
}

/// `berth man`.
#[derive(Args, Debug)]
pub struct ManArgs {
    /// Write the pages of all commands there; without it berth(1) is printed.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// Prints or writes manual pages.
pub fn man(context: &Context, args: &ManArgs) -> Result<(), Failure> {
    if let Some(dir) = &args.dir {
        return Ok(clap_mangen::generate_to(Line::command(), dir)?);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Line::command()).render(&mut page)?;
    context.print(&String::from_utf8_lossy(&page))
}

/// The help of a command.
pub fn help_text(command: &str) -> String {
    let mut line = Line::command();
    line.build();
    match line.find_subcommand_mut(command) {
        Some(command) => command.render_long_help().to_string(),
        None => line.render_long_help().to_string(),
    }
}
