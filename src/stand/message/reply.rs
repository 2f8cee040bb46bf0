//! What the server says.

use super::super::word::{ErrorCode, Hash, Line, Medium, Priority, Text, Uid};
use super::field::{Fields, Wrong};
use super::{Complaint, FILE_NAME_BYTES_MAX, Info, Status, Then, VERSION, Write};
use super::{read_error, write_cap, write_error};

/// A message of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// Who are you? The first that is said.
    Ident,
    /// What do you hold?
    Capab,
    /// Which images the server knows.
    Cap {
        /// Them.
        images: Vec<Hash>,
    },
    /// What is this image?
    WhatIs {
        /// Which.
        image: Hash,
    },
    /// What is known of an image.
    Info(Info),
    /// Burn it.
    Burn {
        /// Which image.
        image: Hash,
    },
    /// Open your tray.
    Open,
    /// It is done.
    QOk,
    /// It is not done.
    QNo,
    /// What waits, in the order in which it will be burnt.
    QList(Vec<QueueRow>),
    /// What the burners are doing.
    SList(Vec<BurnerRow>),
    /// An image: so many raw bytes follow.
    Data {
        /// Which.
        image: Hash,
        /// How many bytes it has.
        bytes: u64,
    },
    /// It cannot be done.
    Error {
        /// A word for why.
        code: ErrorCode,
        /// And in words.
        text: Text,
    },
}

/// Something that waits to be burnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRow {
    /// Its number.
    pub id: u64,
    /// The image.
    pub image: Hash,
    /// How urgent it is.
    pub priority: Priority,
}

/// A burner, as displays show it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BurnerRow {
    /// Its own name for itself.
    pub uid: Uid,
    /// What people call it, or nothing.
    pub name: Line,
    /// What it burns, if that is known.
    pub medium: Option<Medium>,
    /// What it is doing.
    pub showing: Showing,
}

/// What a burner is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Showing {
    /// It is not connected.
    Away,
    /// It has said nothing yet.
    Silent,
    /// Its last status.
    Says(Status),
}

impl Reply {
    /// What the server said. `Complaint::answer` is what a client may answer as an `ERROR` of its own.
    pub fn hear(message: &[u8]) -> Result<Reply, Complaint> {
        let read = Fields::of_message(message).and_then(|mut fields| read_reply(&mut fields, message));
        read.map_err(|wrong| Complaint {
            answer: Reply::Error { code: wrong.code, text: Text::new(&wrong.text) },
            then: Then::after(message, "DATA"),
        })
    }

    /// An error with its words.
    pub fn error(code: ErrorCode, text: &str) -> Reply {
        Reply::Error { code, text: Text::new(text) }
    }

    /// Appends it as it is sent.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Reply::Ident => out.word("IDENT").field(VERSION).end(),
            Reply::Capab => out.word("CAPAB").end(),
            Reply::Cap { images } => write_cap(out, None, images),
            Reply::WhatIs { image } => out.word("WHATIS").field(image).end(),
            Reply::Info(info) => info.write(out),
            Reply::Burn { image } => out.word("BURN").field(image).end(),
            Reply::Open => out.word("OPEN").end(),
            Reply::QOk => out.word("QOK").end(),
            Reply::QNo => out.word("QNO").end(),
            Reply::QList(rows) => write_records(out, "QLIST", rows, QueueRow::write),
            Reply::SList(rows) => write_records(out, "SLIST", rows, BurnerRow::write),
            Reply::Data { image, bytes } => out.word("DATA").field(image).field(bytes).end(),
            Reply::Error { code, text } => write_error(out, code, text),
        }
    }
}

/// A word, and records between CRLFs; the first stands behind the word's TAB.
fn write_records<Row>(out: &mut Vec<u8>, word: &str, rows: &[Row], write: fn(&Row, &mut Vec<u8>)) {
    out.word(word);
    for (number, row) in rows.iter().enumerate() {
        out.extend_from_slice(if number == 0 { b"\t" } else { b"\r\n" });
        write(row, out);
    }
    out.end();
}

impl QueueRow {
    fn write(&self, out: &mut Vec<u8>) {
        out.word(&self.id.to_string()).field(self.image).field(self.priority);
    }

    fn read(record: &str) -> Result<QueueRow, Wrong> {
        // The first field of a record stands where a message has its word.
        let mut fields = Fields::of_text(record);
        let id = super::field::number(fields.word()).ok_or_else(|| Wrong::message("an ID is a number"))?;
        let image = fields.hash()?;
        let priority = Priority::of_text(fields.take()?);
        let priority = priority.ok_or_else(|| Wrong::message("a priority is a number"))?;
        fields.finish().map(|()| QueueRow { id, image, priority })
    }
}

impl BurnerRow {
    fn write(&self, out: &mut Vec<u8>) {
        out.word(&self.uid.to_string()).field(&self.name).field(self.medium.map_or("", Medium::word));
        match &self.showing {
            Showing::Away => {
                out.field("DISCONN");
            }
            Showing::Silent => {}
            Showing::Says(status) => status.write(out),
        }
    }

    fn read(record: &str) -> Result<BurnerRow, Wrong> {
        let mut fields = Fields::of_text(record);
        let uid = Uid::of_text(fields.word()).ok_or_else(|| Wrong::message("a UID is 32 hex digits"))?;
        let name = fields.line(FILE_NAME_BYTES_MAX)?;
        let medium = match fields.take()? {
            "" => None,
            word => Some(Medium::of_word(word).ok_or_else(|| Wrong::message("a medium is CDR or DVD"))?),
        };
        let showing = match fields.rest() {
            [] => Showing::Silent,
            ["DISCONN"] => Showing::Away,
            _ => Showing::Says(Status::read(&mut fields)?),
        };
        Ok(BurnerRow { uid, name, medium, showing })
    }
}

/// The records behind a word; a CRLF may stand for the TAB before the first.
fn read_records<Row>(message: &[u8], read: fn(&str) -> Result<Row, Wrong>) -> Result<Vec<Row>, Wrong> {
    let text = std::str::from_utf8(message).map_err(|_| Wrong::message("a message is UTF-8"))?;
    let records = text.get("QLIST".len()..).unwrap_or_default();
    let records = records.strip_prefix('\t').or_else(|| records.strip_prefix("\r\n")).unwrap_or(records);
    match records {
        "" => Ok(Vec::new()),
        _ => records.split("\r\n").map(read).collect(),
    }
}

fn read_reply(fields: &mut Fields, message: &[u8]) -> Result<Reply, Wrong> {
    let reply = match fields.word() {
        "IDENT" if fields.take()? == VERSION => Reply::Ident,
        "CAPAB" => Reply::Capab,
        "CAP" => Reply::Cap { images: fields.hashes()? },
        "WHATIS" => Reply::WhatIs { image: fields.hash()? },
        "INFO" if fields.rest() == ["ENOIDEA"] => return Ok(Reply::Info(Info::NoIdea)),
        "INFO" => Reply::Info(Info::read(fields)?),
        "BURN" => Reply::Burn { image: fields.hash()? },
        "OPEN" => Reply::Open,
        "QOK" => Reply::QOk,
        "QNO" => Reply::QNo,
        "DATA" => Reply::Data { image: fields.hash()?, bytes: fields.number()? },
        "ERROR" => {
            let (code, text) = read_error(fields)?;
            Reply::Error { code, text }
        }
        // Without a TAB the first record follows a CRLF and is part of the word.
        word if is_list(word, "QLIST") => return read_records(message, QueueRow::read).map(Reply::QList),
        word if is_list(word, "SLIST") => return read_records(message, BurnerRow::read).map(Reply::SList),
        _ => return Err(Wrong::message("this word is not known")),
    };
    fields.finish().map(|()| reply)
}

fn is_list(word: &str, list: &str) -> bool {
    word.strip_prefix(list).is_some_and(|rest| rest.is_empty() || rest.starts_with("\r\n"))
}
