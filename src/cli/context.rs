//! What every command needs: the options all commands share, a way to the server, and a way to print.

use super::exit::Failure;
use super::table::{Table, colours_welcome, plain};
use crate::client::{Client, Credentials, Dial, Request};
use clap::Args;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use zeroize::Zeroizing;

/// How long a connection, and each answer, may take.
pub const ANSWER_MAX: Duration = Duration::from_secs(15);
/// Where the server listens unless somebody says otherwise.
pub const SERVER: &str = "127.0.0.1:7007";
/// The port of the native door unless one is named.
const PORT: u16 = 7007;
/// A file with a password in it has at most so many bytes in its first line.
const PASSWORD_LINE_BYTES_MAX: u64 = 4096;

/// The options all commands share.
#[derive(Args, Clone, Debug)]
#[command(next_help_heading = "Options of every command")]
pub struct Shared {
    /// Where the server listens.
    #[arg(
        long,
        global = true,
        env = "BERTH_SERVER",
        value_name = "HOST:PORT",
        default_value = SERVER
    )]
    pub server: String,
    /// Who you are. Without it you are a guest.
    #[arg(long, global = true, env = "BERTH_USER", value_name = "NAME")]
    pub user: Option<String>,
    /// A file whose first line is your password, or - for standard input [env: BERTH_PASSWORD_FILE]. Without it
    /// you are asked.
    #[arg(long, global = true, value_name = "FILE")]
    pub password_file: Option<PathBuf>,
    /// Print JSON: what the functions answered. Refusals are JSON on standard error.
    #[arg(long, global = true)]
    pub json: bool,
    /// Print nothing but results and errors.
    #[arg(long, short, global = true)]
    pub quiet: bool,
}

/// See above.
pub struct Context {
    /// The options.
    pub shared: Shared,
    /// Whether tables are coloured.
    pub colours: bool,
}

impl Context {
    /// With these options.
    pub fn new(shared: Shared) -> Context {
        Context { colours: colours_welcome(), shared }
    }

    /// Host and port of the server.
    pub fn address(&self) -> String {
        with_port(&self.shared.server)
    }

    /// How to reach the server, as whom. Asks for the password if it has to.
    pub fn dial(&self) -> Result<Dial, Failure> {
        self.dial_with(self.shared.password_file.as_deref())
    }

    /// The same, where the option for the password's file means something else: then only the environment names one.
    pub fn dial_with(&self, password_file: Option<&Path>) -> Result<Dial, Failure> {
        let Some(user) = self.shared.user.as_deref().filter(|user| !user.is_empty()) else {
            return Ok(self.dial_as_guest());
        };
        let from_env = std::env::var_os("BERTH_PASSWORD_FILE").filter(|path| !path.is_empty());
        let file = password_file.map(Path::to_owned).or(from_env.map(PathBuf::from));
        let password = password(file.as_deref(), &format!("Password of {user}: "))?;
        let credentials = Credentials::User { user: user.to_owned(), password };
        Ok(Dial { credentials, ..self.dial_as_guest() })
    }

    /// How to reach the server as nobody in particular.
    pub fn dial_as_guest(&self) -> Dial {
        let name = concat!("berth/", env!("CARGO_PKG_VERSION")).to_owned();
        Dial { address: self.address(), name, credentials: Credentials::Guest, timeout: ANSWER_MAX }
    }

    /// Connects and opens a session.
    pub fn open(&self) -> Result<Client, Failure> {
        Ok(self.dial()?.open()?)
    }

    /// Makes a single call.
    pub fn ask(&self, request: Request) -> Result<Value, Failure> {
        Ok(self.open()?.ask(request)?)
    }

    /// Makes a single call and prints its answer: as JSON, or as `text` makes it readable.
    pub fn show<T: DeserializeOwned>(
        &self,
        request: Request,
        text: impl FnOnce(T) -> String,
    ) -> Result<(), Failure> {
        let answer = self.ask(request)?;
        self.print_answer(&answer, text)
    }

    /// Makes a single call whose answer says nothing; tells people what was done.
    pub fn order(&self, request: Request, done: impl FnOnce() -> String) -> Result<(), Failure> {
        let answer = self.ask(request)?;
        if self.shared.json {
            return self.print_json(&answer);
        }
        self.note(&done());
        Ok(())
    }

    /// Prints an answer: as JSON, or as `text` makes it readable.
    pub fn print_answer<T: DeserializeOwned>(
        &self,
        answer: &Value,
        text: impl FnOnce(T) -> String,
    ) -> Result<(), Failure> {
        if self.shared.json {
            return self.print_json(answer);
        }
        self.print(&text(read(answer)?))
    }

    /// Prints JSON, indented.
    pub fn print_json(&self, value: &Value) -> Result<(), Failure> {
        let mut text = serde_json::to_string_pretty(value).map_err(Failure::unexpected)?;
        text.push('\n');
        self.print(&text)
    }

    /// Prints JSON on one line.
    pub fn print_json_line(&self, value: &Value) -> Result<(), Failure> {
        self.print(&format!("{value}\n"))
    }

    /// A table as it is printed.
    pub fn table_text(&self, table: &Table) -> String {
        table.render(self.colours)
    }

    /// Prints.
    pub fn print(&self, text: &str) -> Result<(), Failure> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        Ok(out.flush()?)
    }

    /// Tells people, or with `--json` programs, what went wrong.
    pub fn tell(&self, failure: &Failure) {
        match failure {
            Failure::PipeClosed => {}
            _ if self.shared.json => eprint(&failure.to_json().to_string()),
            _ => self.error(&failure.to_string()),
        }
    }

    /// Tells people what went wrong.
    pub fn error(&self, sentence: &str) {
        eprint(&format!("berth: {}", plain(sentence)));
    }

    /// Tells people something that is no result.
    pub fn note(&self, sentence: &str) {
        if !self.shared.quiet {
            eprint(&plain(sentence));
        }
    }
}

/// Nobody is harmed if it cannot be told.
fn eprint(line: &str) {
    let _ = writeln!(io::stderr().lock(), "{line}");
}

/// An answer in its own type.
pub fn read<T: DeserializeOwned>(answer: &Value) -> Result<T, Failure> {
    T::deserialize(answer).map_err(Failure::unexpected)
}

/// A password: the first line of a file, or what a person types.
pub fn password(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<String>, Failure> {
    let typed = match file {
        Some(path) if path == Path::new("-") => first_line(io::stdin().lock()),
        Some(path) => File::open(path).and_then(|file| first_line(BufReader::new(file))),
        None => rpassword::prompt_password(prompt),
    };
    let whence = file.map_or_else(|| "asked for".to_owned(), |path| format!("read from {}", path.display()));
    typed.map(Zeroizing::new).map_err(|error| {
        let hint =
            if file.is_none() { "; name a file with --password-file or BERTH_PASSWORD_FILE" } else { "" };
        Failure::usage(format!("the password cannot be {whence}: {error}{hint}"))
    })
}

fn first_line(from: impl BufRead) -> io::Result<String> {
    let mut line = String::new();
    from.take(PASSWORD_LINE_BYTES_MAX).read_line(&mut line)?;
    let end = line.trim_end_matches(['\r', '\n']).len();
    line.truncate(end);
    Ok(line)
}

/// The server's address with the usual port if none is named; `[::1]` and `::1` are hosts too.
pub fn with_port(server: &str) -> String {
    let host_ends = server.rfind(']').map_or(0, |at| at + 1);
    let colons = server[host_ends..].matches(':').count();
    match colons {
        1 => server.to_owned(),
        0 => format!("{server}:{PORT}"),
        _ => format!("[{server}]:{PORT}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_port() {
        for (server, address) in [
            ("lab", "lab:7007"),
            ("lab:1", "lab:1"),
            ("10.0.0.1:0", "10.0.0.1:0"),
            ("[::1]", "[::1]:7007"),
            ("[::1]:9", "[::1]:9"),
            ("::1", "[::1]:7007"),
        ] {
            assert_eq!(with_port(server), address);
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        assert_eq!(first_line(&b"secret \r\nmore\n"[..]).unwrap(), "secret ");
        assert_eq!(first_line(&b"secret"[..]).unwrap(), "secret");
        assert_eq!(first_line(&b""[..]).unwrap(), "");
        assert!(first_line(&b"\xff\n"[..]).is_err());
        let failure = password(Some(Path::new("/nonexistent/file")), "").unwrap_err();
        assert_eq!(failure.status(), 2);
    }
}
