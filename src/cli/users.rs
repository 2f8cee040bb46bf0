//! `berth user`: who may come in. Over the wire as an administrator, or offline beside a configuration.

use super::answers::UserRow;
use super::context::{Context, password};
use super::exit::Failure;
use super::host;
use super::table::{Table, time_text};
use crate::client::{Client, Dial, Request};
use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;
use zeroize::Zeroizing;

/// `berth user`.
#[derive(Args, Debug)]
pub struct UserArgs {
    /// What to do.
    #[command(subcommand)]
    pub action: UserAction,
}

/// Where users are kept, when it is not a server that is asked.
#[derive(Args, Clone, Debug, Default)]
pub struct Offline {
    /// The configuration of the server, which may be stopped.
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The server's data directory.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
}

impl Offline {
    /// Whether no server is asked.
    pub fn is_meant(&self) -> bool {
        self.config.is_some() || self.data_dir.is_some()
    }
}

/// The options all of these share.
#[derive(Args, Clone, Debug)]
pub struct Way {
    /// Where your own password is, because --password-file is the other user's here [env: BERTH_PASSWORD_FILE].
    #[arg(long, value_name = "FILE")]
    own_password_file: Option<PathBuf>,
    /// Without a server.
    #[command(flatten)]
    pub offline: Offline,
}

/// What can be done with users.
#[derive(Subcommand, Debug)]
pub enum UserAction {
    /// Let a user in from now on; --password-file has the new user's password, or it is asked for.
    Add {
        /// The user.
        name: String,
        /// What the user may do.
        #[arg(long, value_enum, default_value_t = RoleWord::User)]
        role: RoleWord,
        #[command(flatten)]
        way: Way,
    },
    /// Give a user, or yourself, another password; --password-file has it, or it is asked for.
    Passwd {
        /// The user; without it yourself.
        name: Option<String>,
        #[command(flatten)]
        way: Way,
    },
    /// Print the users.
    List {
        #[command(flatten)]
        way: Way,
    },
    /// Let a user in no more. The sessions end.
    Rm {
        /// The user.
        name: String,
        #[command(flatten)]
        way: Way,
    },
    /// Change what a user may do.
    Role {
        /// The user.
        name: String,
        /// What the user may do.
        role: RoleWord,
        #[command(flatten)]
        way: Way,
    },
}

/// The roles, each of which may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RoleWord {
    /// Look.
    Guest,
    /// Have jobs.
    User,
    /// Act for others, and take boards out of use.
    Operator,
    /// Everything.
    Admin,
}

impl RoleWord {
    /// The word on the wire.
    pub fn word(self) -> &'static str {
        match self {
            RoleWord::Guest => "guest",
            RoleWord::User => "user",
            RoleWord::Operator => "operator",
            RoleWord::Admin => "admin",
        }
    }
}

impl UserAction {
    /// How it is to be done.
    pub fn way(&self) -> &Way {
        match self {
            UserAction::Add { way, .. }
            | UserAction::Passwd { way, .. }
            | UserAction::List { way }
            | UserAction::Rm { way, .. }
            | UserAction::Role { way, .. } => way,
        }
    }

    /// Whether there is another password to be told.
    fn has_password(&self) -> bool {
        matches!(self, UserAction::Add { .. } | UserAction::Passwd { .. })
    }
}

/// Does it.
pub fn users(context: &Context, args: &UserArgs) -> Result<(), Failure> {
    let way = args.action.way();
    if way.offline.is_meant() {
        return host::users(context, &args.action);
    }
    ask(context, &dial(context, &args.action)?, &args.action)
}

/// How to reach the server. Where --password-file is the other user's, one's own is elsewhere.
pub fn dial(context: &Context, action: &UserAction) -> Result<Dial, Failure> {
    let own = match (&action.way().own_password_file, action.has_password()) {
        (Some(own), _) => Some(own.as_path()),
        (None, true) => None,
        (None, false) => context.shared.password_file.as_deref(),
    };
    context.dial_with(own)
}

/// Asks a server to do it.
pub fn ask(context: &Context, dial: &Dial, action: &UserAction) -> Result<(), Failure> {
    let mut client = dial.open()?;
    match action {
        UserAction::List { .. } => {
            let answer = client.ask(Request::new("list_users"))?;
            context.print_answer(&answer, |users: Vec<UserRow>| context.table_text(&users_table(users)))
        }
        UserAction::Add { name, role, .. } => {
            let password = new_password(context, name)?;
            let request = Request::new("create_user").with("user", name.as_str()).with("role", role.word());
            done(
                context,
                &mut client,
                request.with("password", password.as_str()),
                &format!("{name} may come in"),
            )
        }
        UserAction::Passwd { name, .. } => {
            let of = name.as_deref().unwrap_or("you");
            let password = new_password(context, of)?;
            let request = Request::new("set_password").with_some("user", name.clone());
            done(context, &mut client, request.with("password", password.as_str()), "the password is set")
        }
        UserAction::Rm { name, .. } => {
            let request = Request::new("delete_user").with("user", name.as_str());
            done(context, &mut client, request, &format!("{name} is gone"))
        }
        UserAction::Role { name, role, .. } => {
            let request = Request::new("set_role").with("user", name.as_str()).with("role", role.word());
            done(context, &mut client, request, &format!("{name} is {} from now on", role.word()))
        }
    }
}

fn done(context: &Context, client: &mut Client, request: Request, sentence: &str) -> Result<(), Failure> {
    let answer = client.ask(request)?;
    if context.shared.json {
        return context.print_json(&answer);
    }
    context.note(sentence);
    Ok(())
}

/// The other password, which a person has to type twice.
pub fn new_password(context: &Context, of: &str) -> Result<Zeroizing<String>, Failure> {
    let file = context.shared.password_file.as_deref();
    let first = password(file, &format!("New password of {of}: "))?;
    if file.is_none() && *password(None, "Once more: ")? != *first {
        return Err(Failure::usage("the two passwords differ"));
    }
    Ok(first)
}

/// Users as a table.
pub fn users_table(users: Vec<UserRow>) -> Table {
    let mut table = Table::new(&["USER", "ROLE", "CREATED", "SESSIONS"]);
    for user in users {
        let created = user.created_at.map(time_text).unwrap_or_default();
        table.push([user.user, user.role, created, user.sessions.to_string()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::context::read;
    use serde_json::json;

    #[test]
    fn users_are_a_table() {
        let users =
            read(&json!([{"user": "ada", "role": "admin", "created_at": 0.0, "sessions": 2}])).unwrap();
        let text = "USER  ROLE   CREATED               SESSIONS\nada   admin  1970-01-01T00:00:00Z  2\n";
        assert_eq!(users_table(users).render(false), text);
    }

    #[test]
    fn roles_are_the_servers() {
        let words: Vec<_> = RoleWord::value_variants().iter().map(|role| role.word()).collect();
        assert_eq!(words, crate::user::Role::ALL.map(crate::user::Role::name));
        for role in RoleWord::value_variants() {
            assert_eq!(role.word(), role.to_possible_value().unwrap().get_name());
        }
    }
}
