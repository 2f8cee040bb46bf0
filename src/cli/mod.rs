//! The command line: what people and scripts type, and how answers are printed.
//!
//! Every command but `serve`, `demo`, `simulate`, `config`, `history`, `journal`, `backup` and `restore` talks to a server over its native door and to nothing else, so it can be
//! run from anywhere. Results go to standard output, everything else to standard error; tables and JSON keep their columns
//! and shapes. How commands end is in `exit`.
//!
//! Reading order: this file (all commands), `exit`, `context` (the shared options, the way to the server, printing),
//! `answers`, `size`, `span`, `when` and `table` (words in and out), then a file for each group of commands: `create`, `wait` and `run`,
//! `jobs`, `history`, `boards`, `machines`, `watch`, `tunnel`, `worker`, `call`, `bench`, `users`, `serve`, `simulate`, `journal`, `shell`. Deliberately not here: what a command means.

mod answers;
mod bench;
mod boards;
mod call;
mod context;
mod create;
mod each;
pub mod exit;
mod extend;
mod history;
mod host;
mod jobs;
mod journal;
mod loopback;
mod machines;
mod notify;
mod run;
pub mod serve;
mod shell;
mod simulate;
mod size;
mod span;
mod table;
mod tunnel;
mod users;
mod wait;
mod watch;
mod when;
mod worker;

use clap::{Parser, Subcommand};
use context::{Context, Shared};
use exit::{EXIT_HELP, Failure};
use std::process::ExitCode;

/// Lends the boards of a lab.
#[derive(Parser, Debug)]
#[command(name = "berth", version, about, after_long_help = EXIT_HELP, max_term_width = 110)]
pub struct Line {
    /// The options of every command.
    #[command(flatten)]
    shared: Shared,
    /// The command.
    #[command(subcommand)]
    command: Command,
}

/// All commands.
#[derive(Subcommand, Debug)]
enum Command {
    /// Serve a lab until told to stop.
    Serve(host::ServeArgs),
    /// Serve a simulated lab, show a conversation with it, and go on serving.
    Demo(host::DemoArgs),
    /// Simulate hardware at addresses of this host.
    Simulate(simulate::SimulateArgs),
    /// Run a program on boards of its own: wait for them, run, give them back.
    Run(run::RunArgs),
    /// Create a job and print its number.
    Create(create::CreateArgs),
    /// Print the jobs.
    List(jobs::ListArgs),
    /// Print all there is to know of a job, or of the server.
    Show(jobs::ShowArgs),
    /// Let jobs keep their boards for longer than was agreed.
    Extend(extend::ExtendArgs),
    /// Give jobs back.
    Release(jobs::ReleaseArgs),
    /// Switch the boards of a job on or off.
    Power(jobs::PowerArgs),
    /// Print why a job waits, and for what.
    Explain(jobs::ExplainArgs),
    /// Print who held what, when, and why it ended, out of the journal.
    History(history::HistoryArgs),
    /// Print the boards, or do something with one.
    Boards(boards::BoardsArgs),
    /// Print the machines, or one with its boards.
    Machines(machines::MachinesArgs),
    /// Print where a board or a chip is, in every way of counting.
    WhereIs(machines::WhereArgs),
    /// Print what changes, as it changes.
    Watch(watch::WatchArgs),
    /// Let programs here reach the boards of a job as if they stood here.
    Tunnel(tunnel::TunnelArgs),
    /// Bring the boards of this host to a server, and let their holders speak with them.
    Worker(Box<worker::WorkerArgs>),
    /// Call any function of the server.
    Call(call::CallArgs),
    /// Load the server and print how it bears it.
    Bench(bench::BenchArgs),
    /// Say who may come in.
    User(users::UserArgs),
    /// Check, print, shrink or repair what the server remembers.
    Journal(journal::JournalArgs),
    /// Copy what the server remembers into a file; the server may run.
    Backup(journal::BackupArgs),
    /// Put such a copy back; the server must be stopped.
    Restore(journal::RestoreArgs),
    /// Check or print a configuration, or make one of spalloc_server's.
    Config(host::ConfigArgs),
    /// Print completions for a shell.
    Completions(shell::CompletionsArgs),
    /// Print the manual page.
    #[command(hide = true)]
    Man(shell::ManArgs),
}

/// Does what the command line says.
pub fn main() -> ExitCode {
    let Line { shared, command } = Line::parse();
    let context = Context::new(shared);
    ExitCode::from(carry_out(&context, &command).unwrap_or_else(|failure| {
        context.tell(&failure);
        failure.status()
    }))
}

/// Answers the status to end with.
fn carry_out(context: &Context, command: &Command) -> Result<u8, Failure> {
    match command {
        Command::Serve(args) => host::serve(args),
        Command::Demo(args) => host::demo(context, args),
        Command::Simulate(args) => simulate::simulate(context, args),
        Command::Run(args) => return run::run(context, args),
        Command::Create(args) => create::create(context, args),
        Command::List(args) => jobs::list(context, args),
        Command::Show(args) => jobs::show(context, args),
        Command::Extend(args) => extend::extend(context, args),
        Command::Release(args) => jobs::release(context, args),
        Command::Power(args) => jobs::power(context, args),
        Command::Explain(args) => jobs::explain(context, args),
        Command::History(args) => history::history(context, args),
        Command::Boards(args) => boards::boards(context, args),
        Command::Machines(args) => machines::machines(context, args),
        Command::WhereIs(args) => machines::where_is(context, args),
        Command::Watch(args) => watch::watch(context, args),
        Command::Tunnel(args) => return tunnel::tunnel(context, args),
        Command::Worker(args) => worker::worker(context, args),
        Command::Call(args) => call::call(context, args),
        Command::Bench(args) => bench::bench(context, args),
        Command::User(args) => users::users(context, args),
        Command::Journal(args) => journal::journal(context, args),
        Command::Backup(args) => journal::backup(context, args),
        Command::Restore(args) => journal::restore(context, args),
        Command::Config(args) => host::config(context, args),
        Command::Completions(args) => shell::completions(context, args),
        Command::Man(args) => shell::man(context, args),
    }?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Line::command().debug_assert();
    }

    #[test]
    fn shared_options_stand_before_or_behind_a_command() {
        for line in [
            "berth --server lab:1 --json list --all",
            "berth list --all --json --server lab:1",
            "berth list --server lab:1 --all --json -q",
        ] {
            let parsed = Line::try_parse_from(line.split(' ')).unwrap();
            assert!(parsed.shared.json && parsed.shared.server == "lab:1", "{line}");
        }
    }

    #[test]
    fn a_program_stands_behind_two_dashes() {
        let parsed = Line::try_parse_from(["berth", "run", "2x1", "--", "echo", "--json", "{job}"]).unwrap();
        assert!(!parsed.shared.json);
        for line in ["berth run 2x1", "berth run 2x1 --", "berth run 2x1 echo", "berth run -- "] {
            assert!(Line::try_parse_from(line.trim_end().split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn every_command_has_help_that_ends_with_no_surprise() {
        for command in Line::command().get_subcommands() {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            assert!(shell::help_text(command.get_name()).contains("--server"));
        }
        assert!(shell::help_text("").contains("Exit status:"));
    }
}
