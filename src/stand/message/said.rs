//! What clients say.

use super::super::word::{ClientType, ErrorCode, Hash, Line, Medium, Priority, Text, Uid};
use super::field::{Fields, Wrong};
use super::{Complaint, FILE_NAME_BYTES_MAX, Info, Reply, Status, Then, VERSION, Write};
use super::{ERROR_BYTES_MAX, read_error, write_cap, write_error};

/// A message of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// Who it is.
    Id {
        /// What.
        client: ClientType,
        /// Who.
        uid: Uid,
    },
    /// What it holds.
    Cap {
        /// What it burns, if it burns.
        burner: Option<Medium>,
        /// The images it has.
        images: Vec<Hash>,
    },
    /// What it knows of an image.
    Info(Info),
    /// What it is doing.
    Status(Status),
    /// What went wrong with it.
    Error {
        /// A word for it.
        code: ErrorCode,
        /// And in words.
        text: Text,
    },
    /// Burn one more of these.
    Queue {
        /// Which image.
        image: Hash,
        /// How urgent.
        priority: Priority,
    },
    /// Burn nothing of what waits.
    QClear,
    /// Burn one of what waits not.
    QDel {
        /// Its number in the queue.
        id: u64,
    },
    /// Call a burner so.
    Name {
        /// Which.
        uid: Uid,
        /// How.
        name: Line,
    },
    /// Open the tray of a burner.
    Open {
        /// Which.
        uid: Uid,
    },
    /// What waits to be burnt?
    QReport,
    /// What are the burners doing?
    SReport,
    /// Which images does the server know?
    AskCapab,
    /// What is this image?
    WhatIs {
        /// Which.
        image: Hash,
    },
    /// Send an image.
    Get {
        /// Which.
        image: Hash,
    },
    /// Here is an image: so many raw bytes follow.
    Push {
        /// Which.
        image: Hash,
        /// How many bytes it has.
        bytes: u64,
    },
}

/// Words of command clients, and how many fields follow each. They are answered by `QNO` when one of so many makes no sense.
const COMMANDS: [(&str, usize); 5] = [("QUEUE", 2), ("QCLEAR", 0), ("QDEL", 1), ("NAME", 2), ("OPEN", 1)];

/// All words.
const WORDS: [&str; 17] = [
    "ID", "CAP", "INFO", "STATUS", "ERROR", "QUEUE", "QCLEAR", "QDEL", "NAME", "OPEN", "QREPORT", "SREPORT",
    "ASKCAPAB", "ASKCAP", "WHATIS", "GET", "PUSH",
];

impl Said {
    /// What a client said that has introduced itself as `who`, or has not yet; and whether it may say that.
    pub fn hear(message: &[u8], who: Option<ClientType>) -> Result<Said, Complaint> {
        let read = Fields::of_message(message).map_err(|wrong| match who {
            None => no_id().answer(),
            Some(_) => wrong.answer(),
        });
        let heard = read.and_then(|mut fields| {
            permit(fields.word(), who).and_then(|()| count(&fields)).map_err(Wrong::answer)?;
            read_said(&mut fields).map_err(|wrong| wrong.answer_to(fields.word()))
        });
        heard.map_err(|answer| Complaint { answer, then: Then::after(message, "PUSH") })
    }

    /// Appends it as it is sent.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Said::Id { client, uid } => out.word("ID").field(VERSION).field(client.word()).field(uid).end(),
            Said::Cap { burner, images } => write_cap(out, burner.map(Medium::burner_word), images),
            Said::Info(info) => info.write(out),
            Said::Status(status) => {
                status.write(out.word("STATUS"));
                out.end();
            }
            Said::Error { code, text } => write_error(out, code, text),
            Said::Queue { image, priority } => out.word("QUEUE").field(image).field(priority).end(),
            Said::QClear => out.word("QCLEAR").end(),
            Said::QDel { id } => out.word("QDEL").field(id).end(),
            Said::Name { uid, name } => out.word("NAME").field(uid).field(name).end(),
            Said::Open { uid } => out.word("OPEN").field(uid).end(),
            Said::QReport => out.word("QREPORT").end(),
            Said::SReport => out.word("SREPORT").end(),
            Said::AskCapab => out.word("ASKCAPAB").end(),
            Said::WhatIs { image } => out.word("WHATIS").field(image).end(),
            Said::Get { image } => out.word("GET").field(image).end(),
            Said::Push { image, bytes } => out.word("PUSH").field(image).field(bytes).end(),
        }
    }
}

impl Wrong {
    /// What a client is answered.
    fn answer(self) -> Reply {
        let mut text = self.text;
        text.truncate(text.floor_char_boundary(ERROR_BYTES_MAX));
        Reply::Error { code: self.code, text: Text::new(&text) }
    }

    /// What a client is answered that said this word.
    fn answer_to(self, word: &str) -> Reply {
        match fields_of(word) {
            Some(_) => Reply::QNo,
            None => self.answer(),
        }
    }
}

/// How many fields follow the word of a command.
fn fields_of(word: &str) -> Option<usize> {
    COMMANDS.iter().find(|(known, _)| *known == word).map(|(_, fields)| *fields)
}

/// A command has as many fields as it needs, whatever they are.
fn count(fields: &Fields) -> Result<(), Wrong> {
    match fields_of(fields.word()) {
        Some(needed) if needed != fields.rest().len() => {
            Err(Wrong::message(format!("{} is followed by {needed} fields", fields.word())))
        }
        _ => Ok(()),
    }
}

fn no_id() -> Wrong {
    Wrong { code: ErrorCode::NOID, text: "say ID, V1, what you are and your UID first".into() }
}

/// Whether a client may say this word.
fn permit(word: &str, who: Option<ClientType>) -> Result<(), Wrong> {
    let not_allowed = |text: &str| Err(Wrong { code: ErrorCode::NOTALLOWED, text: text.into() });
    match (who, word) {
        (None, "ID") => Ok(()),
        (None, _) => Err(no_id()),
        (Some(_), "ID") => not_allowed("you have said who you are"),
        (Some(who), word) if fields_of(word).is_some() && who != ClientType::Command => {
            not_allowed("only a command client may say this")
        }
        (Some(who), "STATUS") if who.burner().is_none() => not_allowed("only a burner has a status"),
        (Some(_), word) if WORDS.contains(&word) => Ok(()),
        _ => Err(Wrong::message("this word is not known")),
    }
}

fn read_said(fields: &mut Fields) -> Result<Said, Wrong> {
    let said = match fields.word() {
        "ID" => read_id(fields)?,
        "CAP" => read_cap(fields)?,
        "INFO" => Said::Info(Info::read(fields)?),
        "STATUS" => Said::Status(Status::read(fields)?),
        "ERROR" => {
            let (code, text) = read_error(fields)?;
            Said::Error { code, text }
        }
        "QUEUE" => Said::Queue { image: fields.hash()?, priority: read_priority(fields)? },
        "QCLEAR" => Said::QClear,
        "QDEL" => Said::QDel { id: fields.number()? },
        "NAME" => Said::Name { uid: fields.uid()?, name: fields.line(FILE_NAME_BYTES_MAX)? },
        "OPEN" => Said::Open { uid: fields.uid()? },
        "QREPORT" => Said::QReport,
        "SREPORT" => Said::SReport,
        "ASKCAPAB" | "ASKCAP" => Said::AskCapab,
        "WHATIS" => Said::WhatIs { image: fields.hash()? },
        "GET" => Said::Get { image: fields.hash()? },
        "PUSH" => Said::Push { image: fields.hash()?, bytes: fields.number()? },
        _ => return Err(Wrong::message("this word is not known")),
    };
    // INFO ENOIDEA takes none of its fields.
    if said != Said::Info(Info::NoIdea) {
        fields.finish()?;
    }
    Ok(said)
}

fn read_id(fields: &mut Fields) -> Result<Said, Wrong> {
    if fields.take()? != VERSION {
        return Err(Wrong::message("the version here is V1"));
    }
    let client = ClientType::of_word(fields.take()?);
    let client = client.ok_or_else(|| Wrong::message("a client is BURNCDR, BURNDVD, DISPLAY or COMMAND"))?;
    Ok(Said::Id { client, uid: fields.uid()? })
}

fn read_cap(fields: &mut Fields) -> Result<Said, Wrong> {
    let burner = fields.rest().first().and_then(|word| Medium::of_burner_word(word));
    if burner.is_some() {
        fields.take()?;
    }
    Ok(Said::Cap { burner, images: fields.hashes()? })
}

fn read_priority(fields: &mut Fields) -> Result<Priority, Wrong> {
    Priority::of_text(fields.take()?).ok_or_else(|| Wrong::message("a priority is -1000000 to 1000000"))
}
