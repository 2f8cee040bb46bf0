//! What runs a server rather than asks one, on the server's own host: `berth serve`, `demo`, `config`, and users beside a
//! configuration. How a server is run is in `serve`; here is what the command line says about it.

use super::answers::UserRow;
use super::context::{Context, SERVER};
use super::exit::{Exit, Failure};
use super::serve::{self, Offline, Origin};
use super::simulate;
use super::users::{self, RoleWord, UserAction, users_table};
use crate::client::{Credentials, Dial, demo};
use crate::config::{self, Config, Flag};
use crate::lab::command::Command;
use crate::lab::refusal::Refusal;
use crate::lab::view::{Query, View};
use crate::server::{Listeners, LocalAccess};
use crate::user::password::{self, Memory, Password};
use crate::user::{Role, UserName};
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::thread;
use zeroize::Zeroizing;

/// `berth serve`.
#[derive(Args, Debug)]
pub struct ServeArgs {
    /// The configuration; without it the built-in one, a simulated lab on this host alone.
    #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the server keeps what it has to remember.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the native door listens.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

/// `berth demo`.
#[derive(Args, Debug)]
pub struct DemoArgs {
    /// Have the SpiNNaker boards switched through BMPs, over UDP, as real ones are. Boards and BMPs are simulated too: at
    /// 127.11.0.1 and on, the BMP at 127.11.0.0, or from 127.12.0.1 on if these are taken.
    #[arg(long)]
    udp: bool,
    /// Where the server keeps what it has to remember.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where the native door listens.
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
}

/// `berth config`.
#[derive(Args, Debug)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    action: ConfigAction,
}

/// What can be done with a configuration.
#[derive(Subcommand, Debug)]
enum ConfigAction {
    /// Tell everything that is wrong with it.
    Check(ConfigFile),
    /// Print what is in force and where each value comes from.
    Show(ConfigFile),
    /// Write a configuration that says what spalloc_server's says. It is read, never run.
    ImportSpalloc(ImportArgs),
}

/// `berth config import-spalloc`.
#[derive(Args, Debug)]
struct ImportArgs {
    /// The configuration of spalloc_server, a file of Python. Tables of places it names are looked for beside it.
    file: PathBuf,
    /// Where the new configuration goes, a file that is not there yet; without it to standard output.
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write what was understood even when something that matters was not; the status stays 3.
    #[arg(long)]
    partial: bool,
}

/// A configuration.
#[derive(Args, Debug)]
struct ConfigFile {
    /// The configuration; without it the built-in one.
    #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The origin of a configuration: a file, or none, and what flags say.
pub fn origin(file: Option<&PathBuf>, data_dir: Option<&PathBuf>, listen: Option<&String>) -> Origin {
    let flag =
        |flag: &str, key: &str, text: String| Flag { flag: flag.to_owned(), key: key.to_owned(), text };
    let data_dir = data_dir.map(|dir| flag("--data-dir", "data_dir", dir.display().to_string()));
    let listen = listen.map(|listen| flag("--listen", "native.listen", listen.clone()));
    Origin { file: file.cloned(), text: None, flags: data_dir.into_iter().chain(listen).collect() }
}

/// A configuration that is wrong is the fault of the command line.
pub fn wrong(msg: String) -> Failure {
    Failure::usage(msg.trim_end())
}

/// Serves until told to stop.
pub fn serve(args: &ServeArgs) -> Result<(), Failure> {
    let origin = origin(args.config.as_ref(), args.data_dir.as_ref(), args.listen.as_ref());
    run(&origin, |_| {})
}

/// Serves on the defaults, plays a frontend, and goes on serving.
pub fn demo(context: &Context, args: &DemoArgs) -> Result<(), Failure> {
    let mut origin = origin(None, args.data_dir.as_ref(), args.listen.as_ref());
    // Until the server ends.
    let hardware = args.udp.then(|| simulate::demo_lab(context)).transpose()?;
    if let Some((text, simulation)) = &hardware {
        origin.text = Some(text.clone());
        println!("simulated: a BMP answers at {}", simulation.bmp(0, 0));
    }
    run(&origin, |address| {
        // The server is served by the thread that calls this.
        thread::spawn(move || match demo::play(&address.to_string(), io::stdout()) {
            Ok(_) => println!("\n# The server goes on; try 'berth --server {address} list'. Ctrl-C ends it."),
            Err(error) => eprintln!("berth: the demonstration ended early: {error}"),
        });
    })
}

fn run(origin: &Origin, opened: impl FnOnce(SocketAddr)) -> Result<(), Failure> {
    let not_available = |msg| Failure::new(Exit::NotAvailable, msg);
    // First of all, while every open file is one that was handed over.
    let listeners = Listeners::inherited().map_err(not_available)?;
    // A configuration that is wrong is the fault of the command line; a port that is taken is not.
    origin.load().map_err(wrong)?;
    serve::serve(origin, listeners, opened).map_err(not_available)
}

/// Checks or prints a configuration, or makes one.
pub fn config(context: &Context, args: &ConfigArgs) -> Result<(), Failure> {
    match &args.action {
        ConfigAction::Check(file) => {
            let origin = origin(file.config.as_ref(), None, None);
            let config = origin.load().map_err(wrong)?;
            context.print(&config::report(&Ok(config), &origin.name()))
        }
        ConfigAction::Show(file) => {
            let config = origin(file.config.as_ref(), None, None).load().map_err(wrong)?;
            context.print(&config::show(&config))
        }
        ConfigAction::ImportSpalloc(args) => import_spalloc(context, args),
    }
}

/// Reads spalloc_server's configuration, tells what was not understood, and writes ours.
fn import_spalloc(context: &Context, args: &ImportArgs) -> Result<(), Failure> {
    let name = args.file.display().to_string();
    let text = read_bounded(&args.file).map_err(|why| Failure::usage(format!("{name}: {why}")))?;
    // Its server looks where it was started; most often that is beside the file.
    let beside = |path: &str| {
        let beside = args.file.parent().map(|dir| dir.join(path)).filter(|beside| beside.exists());
        read_bounded(&beside.unwrap_or_else(|| path.into())).map_err(|error| error.to_string())
    };
    let import = config::import_spalloc(&text, &name, &beside);
    import.unread.iter().for_each(|unread| context.error(&format!("{name}:{unread}")));
    let left_out = import.unread.iter().filter(|unread| unread.matters).count();
    if import.is_whole() || args.partial {
        // What is written must be what is read: better to hear of it now than when it is served.
        if let Err(complaints) = Config::load(Some(&import.config), &[], &[]) {
            let report = config::report(&Err(complaints), "the new configuration");
            return Err(Failure::new(Exit::Refused, report.trim_end()));
        }
        match &args.output {
            Some(output) => {
                let written =
                    File::create_new(output).and_then(|mut file| file.write_all(import.config.as_bytes()));
                written.map_err(|error| Failure::usage(format!("{}: {error}", output.display())))?;
            }
            None => context.print(&import.config)?,
        }
    }
    match (import.is_whole(), args.partial) {
        (true, _) => Ok(()),
        (false, true) => {
            Err(Failure::new(Exit::Refused, format!("{left_out} not understood; the rest was written")))
        }
        (false, false) => {
            let what = format!("{left_out} not understood; --partial writes the rest all the same");
            Err(Failure::new(Exit::Refused, what))
        }
    }
}

/// A text that is not too long to be a configuration.
fn read_bounded(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    let limit = config::TEXT_BYTES_MAX as u64 + 1;
    File::open(path)?.take(limit).read_to_string(&mut text)?;
    Ok(text)
}

/// Changes users beside a configuration: in the journal if no server runs, else by asking the server.
pub fn users(context: &Context, action: &UserAction) -> Result<(), Failure> {
    let kept = &action.way().offline;
    let config = origin(kept.config.as_ref(), kept.data_dir.as_ref(), None).load().map_err(wrong)?;
    // Looked at first, so that nobody is asked for a password twice.
    let done = match (serve::see_offline(&config, |lab| lab.see(&Query::Users)).map_err(refused)?, action) {
        (None, _) => None,
        (Some(seen), UserAction::List { .. }) => Some(list_users(context, seen)?),
        (_, UserAction::Passwd { name: None, .. }) => {
            return Err(Failure::usage("name the user whose password it is"));
        }
        (Some(_), change) => {
            match serve::act_offline(&config, &command(context, change)?).map_err(refused)? {
                Offline::Done => Some(()),
                Offline::Running => None,
            }
        }
    };
    match done {
        Some(()) => Ok(()),
        None => users::ask(context, &dial(context, action, &config)?, action),
    }
}

fn refused(msg: String) -> Failure {
    Failure::new(Exit::Refused, msg)
}

/// Prints the users as the journal has them.
fn list_users(context: &Context, seen: Result<View, Refusal>) -> Result<(), Failure> {
    let Ok(View::Users(users)) = seen else { return Err(refused("the users cannot be listed".to_owned())) };
    let users: Vec<_> = users
        .iter()
        .map(|view| {
            let (user, created_at) = (view.name.as_str(), view.created.unix_s());
            json!({"user": user, "role": view.role.name(), "created_at": created_at, "sessions": view.sessions})
        })
        .collect();
    let print = |users: Vec<UserRow>| context.table_text(&users_table(users));
    context.print_answer(&Value::Array(users), print)
}

/// The change as the lab takes it.
fn command(context: &Context, action: &UserAction) -> Result<Command, Failure> {
    let user = |name: &str| UserName::parse(name).map_err(|error| refused(error.to_string()));
    let phc = |name: &str| {
        let clear = users::new_password(context, name)?;
        let clear = Password::new(clear.to_string()).map_err(|error| refused(error.to_string()))?;
        Ok::<_, Failure>(password::hash(&clear, uuid::Uuid::new_v4().into_bytes(), &mut Memory::new()))
    };
    Ok(match action {
        UserAction::Add { name, role, .. } => {
            Command::CreateUser { user: user(name)?, role: role_of(*role), phc: phc(name)? }
        }
        UserAction::Passwd { name, .. } => {
            let name = name.as_deref().unwrap_or_default();
            Command::SetPassword { user: user(name)?, phc: phc(name)? }
        }
        UserAction::Rm { name, .. } => Command::DeleteUser { user: user(name)? },
        UserAction::Role { name, role, .. } => Command::SetRole { user: user(name)?, role: role_of(*role) },
        UserAction::List { .. } => return Err(Failure::usage("a list changes nothing")),
    })
}

fn role_of(word: RoleWord) -> Role {
    match word {
        RoleWord::Guest => Role::Guest,
        RoleWord::User => Role::User,
        RoleWord::Operator => Role::Operator,
        RoleWord::Admin => Role::Admin,
    }
}

/// How to reach the server that runs on this configuration: as whoever is named, or by the session it keeps for
/// those who may read its data.
fn dial(context: &Context, action: &UserAction, config: &Config) -> Result<Dial, Failure> {
    // The configuration says where, unless somebody says so expressly; port 0 it cannot know.
    let said = config.native.listen.clone().filter(|_| context.shared.server == SERVER);
    let address = said.unwrap_or_else(|| context.address());
    match (&context.shared.user, LocalAccess::read(&config.data_dir)) {
        (None, Some(local)) => {
            let credentials = Credentials::Session(Zeroizing::new(local.session));
            Ok(Dial { credentials, address: local.address, ..context.dial_as_guest() })
        }
        _ => Ok(Dial { address, ..users::dial(context, action)? }),
    }
}
