//! What burners say of themselves: the tray, how far a disc is, and whether it is good.

use super::super::word::{Hash, Medium};
use super::Write;
use super::field::{Fields, Wrong, number};

/// The greatest percentage.
pub const PERCENT_MAX: u8 = 100;

/// A status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Nothing is burnt. Of an empty or open tray the medium is what the burner takes.
    Tray {
        /// What disc it is.
        disc: Medium,
        /// Where it is.
        tray: Tray,
    },
    /// An image is burnt.
    Burning {
        /// Which.
        image: Hash,
        /// How much of it is written.
        percent: u8,
        /// How long writing took, if all is written.
        time_s: Option<u64>,
    },
    /// What was burnt has been read again.
    Verified {
        /// Which image.
        image: Hash,
        /// How it is.
        verdict: Verdict,
    },
}

/// What is in the tray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tray {
    /// A blank disc.
    Avail,
    /// No disc.
    Empty,
    /// It is open.
    Open,
}

/// How a disc came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The md5 is right.
    Pass,
    /// It is not.
    Fail,
}

impl Tray {
    const WORDS: [(&str, Tray); 3] = [("AVAIL", Tray::Avail), ("EMPTY", Tray::Empty), ("OPEN", Tray::Open)];

    /// How it is called.
    pub fn word(self) -> &'static str {
        match self {
            Tray::Avail => "AVAIL",
            Tray::Empty => "EMPTY",
            Tray::Open => "OPEN",
        }
    }
}

impl Verdict {
    /// How it is called.
    pub fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
        }
    }
}

impl Status {
    /// Of which image it tells.
    pub fn image(&self) -> Option<Hash> {
        match *self {
            Status::Tray { .. } => None,
            Status::Burning { image, .. } | Status::Verified { image, .. } => Some(image),
        }
    }

    /// Takes the fields of a status.
    pub(super) fn read(fields: &mut Fields) -> Result<Status, Wrong> {
        let first = fields.take()?;
        let status = match (Medium::of_word(first), Hash::of_text(first)) {
            (Some(disc), _) => Status::Tray { disc, tray: read_tray(fields.take()?)? },
            (None, Some(image)) => read_image_status(image, fields)?,
            (None, None) => return Err(Wrong::message("STATUS is followed by CDR, DVD or a hash")),
        };
        fields.finish().map(|()| status)
    }

    /// Writes the fields, each with the TAB before it.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match *self {
            Status::Tray { disc, tray } => out.field(disc.word()).field(tray.word()),
            Status::Burning { image, percent, time_s: None } => out.field(image).field(percent),
            Status::Burning { image, percent, time_s: Some(time_s) } => {
                out.field(image).field(percent).field("TIME").field(time_s)
            }
            Status::Verified { image, verdict } => out.field(image).field(verdict.word()),
        };
    }
}

fn read_tray(word: &str) -> Result<Tray, Wrong> {
    let found = Tray::WORDS.iter().find(|(known, _)| *known == word).map(|(_, tray)| *tray);
    found.ok_or_else(|| Wrong::message("a tray is AVAIL, EMPTY or OPEN"))
}

fn read_image_status(image: Hash, fields: &mut Fields) -> Result<Status, Wrong> {
    let verdict = match fields.take()? {
        "PASS" => Verdict::Pass,
        "FAIL" => Verdict::Fail,
        percent => return read_percent(image, percent, fields),
    };
    Ok(Status::Verified { image, verdict })
}

fn read_percent(image: Hash, percent: &str, fields: &mut Fields) -> Result<Status, Wrong> {
    let percent = number(percent).and_then(|percent| u8::try_from(percent).ok());
    let percent = percent.filter(|percent| *percent <= PERCENT_MAX);
    let percent = percent.ok_or_else(|| Wrong::message("a hash is followed by PASS, FAIL or 0 to 100"))?;
    let time_s = match fields.rest() {
        ["TIME", _] if percent == PERCENT_MAX => {
            fields.take()?;
            Some(fields.number()?)
        }
        _ => None,
    };
    Ok(Status::Burning { image, percent, time_s })
}
