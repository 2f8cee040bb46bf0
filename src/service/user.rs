//! The service `user`: users and their sessions.

use super::arguments::NAME_BYTES_MAX;
use super::plan::{Asker, PasswordFor, Plan, SessionName};
use super::shape::{self, seen};
use super::{Arg, ArgType, Arguments, Function, Outcome};
use crate::error::{Code, Fault};
use crate::lab::ask::Ask;
use crate::lab::command::Command;
use crate::lab::view::{Query, View};
use crate::session::SessionId;
use crate::user::password::Password;
use crate::user::{Role, UserName};

/// The words for the roles.
const ROLES: &[&str] = &["guest", "user", "operator", "admin"];

/// How many digits of a session's id lists show.
const PREFIX_DIGITS: usize = 8;

/// A text that may be the name of a user.
const NAME: ArgType = ArgType::Name(NAME_BYTES_MAX);

/// The user a call is about.
const USER: Arg = Arg::needed("user", NAME, "The user.");

/// A new password.
const PASSWORD: Arg = Arg::needed("password", ArgType::Secret, "The password, 1 to 1024 bytes.");

/// The functions of this service.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "list_users",
        service: "user",
        doc: "All users, and how many sessions each has.",
        args: &[],
        result: "[{user:str, role:str, created_at:num, sessions:int}]",
        role: Role::Operator,
        errors: &[],
        example: "{}",
        plan: |_, _| Ok(Plan::Ask(Ask::Query(Query::Users))),
        answer: seen!(View::Users(users) => shape::Each(|| users.iter().map(shape::people::User))),
        null_for: &[],
    },
    Function {
        name: "create_user",
        service: "user",
        doc: "Makes a user.",
        args: &[
            USER,
            Arg::with("role", ArgType::Word(ROLES), r#""user""#, "What the user may do."),
            PASSWORD,
        ],
        result: "null",
        role: Role::Admin,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::UNKNOWN_NAME,
            Code::USER_EXISTS,
            Code::BAD_USER_NAME,
            Code::BAD_PASSWORD,
            Code::NOT_KEPT,
            Code::LOGIN_BUSY,
            Code::TEXT_TOO_LONG,
            Code::TOO_MANY_USERS,
        ],
        example: r#"{"user": "ada", "role": "user", "password": "correct horse"}"#,
        plan: plan_create_user,
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "set_password",
        service: "user",
        doc: "Gives a user a new password. All sessions of the user end, the caller's own too if it is \
             one of them.",
        args: &[
            Arg::with(
                "user",
                NAME,
                "null",
                "The user; null means the caller. Another one needs an administrator.",
            ),
            PASSWORD,
        ],
        result: "null",
        role: Role::User,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::USER_UNKNOWN,
            Code::BAD_PASSWORD,
            Code::NOT_KEPT,
            Code::LOGIN_BUSY,
            Code::TEXT_TOO_LONG,
        ],
        example: r#"{"password": "correct horse"}"#,
        plan: plan_set_password,
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "set_role",
        service: "user",
        doc: "Gives a user another role, in all sessions at once.",
        args: &[USER, Arg::needed("role", ArgType::Word(ROLES), "What the user may do from now on.")],
        result: "null",
        role: Role::Admin,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::UNKNOWN_NAME,
            Code::USER_UNKNOWN,
            Code::LAST_ADMIN,
            Code::NOT_KEPT,
            Code::TEXT_TOO_LONG,
        ],
        example: r#"{"user": "ada", "role": "operator"}"#,
        plan: |args, _| {
            let (user, role) = (account(args)?, args.need("role", role)?);
            Ok(Plan::Ask(Ask::Command(Command::SetRole { user, role })))
        },
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "delete_user",
        service: "user",
        doc: "Deletes a user and ends all sessions of the user. Jobs go on, and operators may end them.",
        args: &[USER],
        result: "null",
        role: Role::Admin,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::USER_UNKNOWN,
            Code::LAST_ADMIN,
            Code::NOT_KEPT,
            Code::TEXT_TOO_LONG,
        ],
        example: r#"{"user": "ada"}"#,
        plan: |args, _| Ok(Plan::Ask(Ask::Command(Command::DeleteUser { user: account(args)? }))),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "list_sessions",
        service: "user",
        doc: "The caller's sessions; administrators see those of everybody, or of one user. Of other \
             people's sessions only the beginning of the id is shown.",
        args: &[Arg::with("user", NAME, "null", "Only this user's.")],
        result: "[{session:str, user:str, role:str, client:str, opened_at:num, last_used_at:num, \
             expires_at:num|null}]",
        role: Role::User,
        errors: &[Code::BAD_ARGUMENT, Code::USER_UNKNOWN, Code::TEXT_TOO_LONG],
        example: "{}",
        plan: plan_list_sessions,
        answer: |outcome, asker, out| match outcome {
            Outcome::Sessions(sessions) => shape::write(
                out,
                &shape::Each(|| sessions.iter().map(|session| shape::people::Session { session, asker })),
            ),
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "end_session",
        service: "user",
        doc: "Ends a session of the caller; administrators end any.",
        args: &[Arg::needed(
            "session",
            ArgType::Name(SessionId::DIGITS),
            "The id of the session: 32 digits. Administrators may give the first 8, as lists show them.",
        )],
        result: "null",
        role: Role::User,
        errors: &[Code::BAD_ARGUMENT, Code::SESSION_UNKNOWN, Code::NOT_KEPT, Code::TEXT_TOO_LONG],
        example: r#"{"session": "00c0ffee123456789abcdef01234567f"}"#,
        plan: plan_end_session,
        answer: shape::null,
        null_for: &[],
    },
];

fn plan_create_user(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let user = UserName::parse(&args.need("user", Arguments::text)?)?;
    let role = role(args, "role")?.unwrap_or(Role::User);
    Ok(Plan::Hash { password: password(args)?, then: PasswordFor::Create { user, role } })
}

/// Whoever may not set a password is refused here, before the expensive part.
fn plan_set_password(args: &Arguments<'_>, asker: &Asker<'_>) -> Result<Plan, Fault> {
    let user = match args.is_given("user") {
        true => account(args)?,
        false => asker.caller.user.clone(),
    };
    if user != asker.caller.user && asker.caller.role < Role::Admin {
        return Err(forbidden("only an administrator may set another user's password"));
    }
    if user.is_guest() {
        return Err(forbidden("guests have no password"));
    }
    Ok(Plan::Hash { password: password(args)?, then: PasswordFor::Set { user } })
}

fn plan_list_sessions(args: &Arguments<'_>, asker: &Asker<'_>) -> Result<Plan, Fault> {
    let caller = &asker.caller;
    let named = if args.is_given("user") { Some(anybody(args)?) } else { None };
    match named {
        Some(user) if user != caller.user && caller.role < Role::Admin => {
            Err(forbidden("only an administrator may list another user's sessions"))
        }
        None if caller.role < Role::Admin => Ok(Plan::Sessions { user: Some(caller.user.clone()) }),
        user => Ok(Plan::Sessions { user }),
    }
}

fn plan_end_session(args: &Arguments<'_>, asker: &Asker<'_>) -> Result<Plan, Fault> {
    let text = args.need("session", Arguments::text)?;
    let short = text.strip_suffix("..").unwrap_or(&text);
    let session = match (text.parse(), prefix(short)) {
        (Ok(id), _) => SessionName::Id(id),
        (Err(_), Some(_)) if asker.caller.role < Role::Admin => {
            return Err(forbidden(
                "only an administrator may name a session by its first 8 digits; give all 32",
            ));
        }
        (Err(_), Some(prefix)) => SessionName::Prefix(prefix),
        (Err(_), None) => return Err(args.bad("session")),
    };
    Ok(Plan::EndSession { session })
}

/// The number that the first digits of a session's id are.
fn prefix(text: &str) -> Option<u32> {
    let is_prefix = text.len() == PREFIX_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_prefix { u32::from_str_radix(text, 16).ok() } else { None }
}

/// The account a call is about. A name that no account can have belongs to nobody.
fn account(args: &Arguments<'_>) -> Result<UserName, Fault> {
    let name = args.need("user", Arguments::text)?;
    UserName::parse(&name).map_err(|_| nobody(&name))
}

/// The user a call is about, be it the guests.
fn anybody(args: &Arguments<'_>) -> Result<UserName, Fault> {
    let name = args.need("user", Arguments::text)?;
    UserName::parse_or_guest(&name).map_err(|_| nobody(&name))
}

fn nobody(name: &str) -> Fault {
    Fault::new(Code::USER_UNKNOWN, format!("no user is called {name:?}"))
}

fn forbidden(sentence: &str) -> Fault {
    Fault::new(Code::NOT_PERMITTED, sentence)
}

fn role(args: &Arguments<'_>, name: &str) -> Result<Option<Role>, Fault> {
    args.word(name)?.map(|word| word.parse().map_err(Fault::from)).transpose()
}

fn password(args: &Arguments<'_>) -> Result<Password, Fault> {
    Ok(Password::new(args.need("password", Arguments::text)?.into_owned())?)
}
