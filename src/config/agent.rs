//! `[machine.agent]`: agents that bring boards to a pool and make them obey.

use super::complaint::{Complaint, Place};
use super::form::Form;
use super::key::{Kind, seconds};
use super::machine::MachineConfig;
use super::raw::{Body, Table};
use crate::controller::ControllerSettings;
use crate::controller::agent::{AgentSettings, TOKEN_BYTES, Token};
use std::path::{Path, PathBuf};

/// So long an agent may be silent at most, in seconds.
const TIMEOUT_S_MAX: u64 = 86_400;

/// Whether a machine's boards come with agents, so that it may begin without any.
pub fn brings_boards(table: &Table) -> bool {
    table
        .entry("controller")
        .is_some_and(|entry| matches!(&entry.node.body, Body::Text(word) if word == "agent"))
}

/// Reads the settings. A token in a file is read when the configuration is.
pub fn read(form: &mut Form) -> AgentSettings {
    let timeout_ms = form.number("timeout_s", seconds(1, TIMEOUT_S_MAX));
    let file = form.text("token_file", Kind::Path).map(PathBuf::from);
    let token = token(form);
    if let Some(entry) = form.table.entry("token_file").filter(|_| token.is_some()) {
        form.complain(entry.at, "token_file", "either token or token_file, not both");
    }
    AgentSettings {
        timeout_ms: timeout_ms.unwrap_or(AgentSettings::default().timeout_ms),
        token,
        token_file: file,
    }
}

/// A token that is written here. What is wrong with it is told without repeating it.
fn token(form: &mut Form) -> Option<Token> {
    let node = &form.table.entry("token")?.node;
    let token = match &node.body {
        Body::Text(text) => Token::new(text),
        _ => None,
    };
    if token.is_none() {
        form.complain(node.at, "token", length());
    }
    token
}

/// Reads the tokens that are kept in files, through what opens files for it; all that is wrong with them comes at once.
pub fn read_tokens(
    machines: &mut [MachineConfig],
    read: &dyn Fn(&Path, usize) -> Result<Vec<u8>, String>,
) -> Result<(), Vec<Complaint>> {
    let mut complaints = Vec::new();
    for machine in machines {
        let ControllerSettings::Agent(settings) = &mut machine.controller else { continue };
        let Some(file) = &settings.token_file else { continue };
        // A line's end may follow.
        match read(file, TOKEN_BYTES.end() + 2).and_then(|bytes| token_of(&bytes)) {
            Ok(token) => settings.token = Some(token),
            Err(what) => {
                let line = machine.written.get("agent.token_file").copied().unwrap_or(0);
                let (at, key) = (Place::Line { line, column: 1 }, "machine.agent.token_file".to_owned());
                complaints.push(Complaint { at, key, what: format!("{}: {what}", file.display()) });
            }
        }
    }
    if complaints.is_empty() { Ok(()) } else { Err(complaints) }
}

fn token_of(bytes: &[u8]) -> Result<Token, String> {
    let text = std::str::from_utf8(bytes).ok().map(str::trim_end);
    text.and_then(Token::new).ok_or_else(length)
}

fn length() -> String {
    format!("a token has {} to {} bytes that can be printed", TOKEN_BYTES.start(), TOKEN_BYTES.end())
}
