//! A burner that is not there: given the time and what the server says, it says what to send and when to wake it.
//!
//! It burns as it is set to, by seed: the same seed and the same events at the same times come to the same. It changes discs by
//! itself, burns on when the server hangs up, and loses its disc when it hangs up itself. The way to the server is not its affair: it
//! asks for it, and is told whether there is one.

use super::message::{Complaint, Info, Reply, Said, Status, Tray, Verdict};
use super::word::{ClientType, ErrorCode, Hash, Line, Medium, Text, Uid};
use crate::clock::Moment;
use std::collections::VecDeque;
use std::str::FromStr;

/// In so many parts progress is told.
const STEPS: u8 = 4;
/// So many deeds may wait to be asked for; a server that makes more is not listened to.
const DEEDS_MAX: usize = 4_096;

/// How a burner behaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// What it burns, and what discs it is given.
    pub medium: Medium,
    /// The images it holds.
    pub images: Vec<Hash>,
    /// How long it writes.
    pub burn_ms: u64,
    /// How long it verifies.
    pub verify_ms: u64,
    /// How often it says that it has a blank disc.
    pub avail_ms: u64,
    /// How long its tray is open until there is a blank disc in it.
    pub swap_ms: u64,
    /// How long it is away when it has hung up.
    pub away_ms: u64,
    /// How long it waits when the server is not there.
    pub retry_ms: u64,
    /// This share of discs is bad.
    pub fail: Share,
    /// In this share of burns it hangs up.
    pub drop: Share,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            medium: Medium::Dvd,
            images: (0..3).map(image).collect(),
            burn_ms: 8_000,
            verify_ms: 2_000,
            avail_ms: 10_000,
            swap_ms: 2_000,
            away_ms: 5_000,
            retry_ms: 1_000,
            fail: Share::default(),
            drop: Share::default(),
        }
    }
}

/// A share of all, in millionths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share(u32);

impl Share {
    /// All.
    pub const ALL: Share = Share(1_000_000);

    /// This share, from 0 to 1.
    pub fn new(share: f64) -> Option<Share> {
        (0.0..=1.0).contains(&share).then(|| Share((share * 1_000_000.0).round() as u32))
    }
}

impl FromStr for Share {
    type Err = String;

    fn from_str(text: &str) -> Result<Share, String> {
        text.parse().ok().and_then(Share::new).ok_or_else(|| "a share is a number from 0 to 1".into())
    }
}

/// What the burner does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// It wants to speak with the server: tell it by `connected` or `hung_up` what came of it.
    Connect,
    /// It says something.
    Say(Said),
    /// It hangs up; it needs not be told.
    HangUp,
}

/// Whether it can speak with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It cannot until then.
    Away(Moment),
    /// It has asked for it.
    Asked,
    /// It can; it has said what it holds, or not yet.
    There { known: bool },
}

/// What is in its tray.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disc {
    /// A blank disc; it is said again then.
    Blank { again: Moment },
    /// None, until then.
    Open { until: Moment },
    /// One that is written.
    Burning(Burn),
}

/// How a disc is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Burn {
    image: Hash,
    since: Moment,
    /// What is told next: so many parts of it are written, or, one beyond all, that it is verified.
    step: u8,
    verdict: Verdict,
    /// Instead of telling this step it hangs up.
    drop_step: Option<u8>,
}

/// See above.
#[derive(Clone, Debug)]
pub struct Simulated {
    uid: Uid,
    settings: Settings,
    chance: Chance,
    way: Way,
    disc: Disc,
    deeds: VecDeque<Deed>,
}

impl Simulated {
    /// A burner with a blank disc that wants to speak with the server at once. The number tells those of one seed apart.
    pub fn new(settings: Settings, seed: u64, number: u64, now: Moment) -> Simulated {
        let mut chance = Chance(seed ^ number.wrapping_mul(0xd605_bbb5_8c8a_bc03));
        let uid = Uid(chance.hex());
        let (way, disc) = (Way::Away(now), Disc::Blank { again: now });
        Simulated { uid, settings, chance, way, disc, deeds: VecDeque::new() }
    }

    /// What it calls itself.
    pub fn uid(&self) -> Uid {
        self.uid
    }

    /// How it behaves.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// There is a way to the server.
    pub fn connected(&mut self) {
        self.way = Way::There { known: false };
    }

    /// There is none, or none any more.
    pub fn hung_up(&mut self, now: Moment) {
        self.deeds.clear();
        self.way = Way::Away(now.plus_ms(self.settings.retry_ms));
    }

    /// The server said this.
    pub fn hear(&mut self, now: Moment, reply: &Reply) {
        match reply {
            Reply::Ident => {
                let client = ClientType::Burner(self.settings.medium);
                self.say(Said::Id { client, uid: self.uid });
            }
            Reply::Capab => self.say_all(now),
            Reply::WhatIs { image } => self.say(Said::Info(self.info(*image))),
            Reply::Burn { image } => self.burn(now, *image),
            Reply::Open => self.open(now),
            _ => {}
        }
    }

    /// The server said something that cannot be understood.
    pub fn hear_nonsense(&mut self, complaint: &Complaint) {
        if let Reply::Error { code, text } = &complaint.answer {
            self.say(Said::Error { code: code.clone(), text: text.clone() });
        }
    }

    /// When it is to be polled again, if nothing is heard before.
    pub fn wake_at(&self) -> Option<Moment> {
        let at_work = match (self.disc, self.way) {
            (Disc::Open { until }, _) => Some(until),
            (Disc::Blank { again }, Way::There { known: true }) => Some(again),
            (Disc::Burning(burn), Way::There { known: true }) => Some(self.due(&burn)),
            _ => None,
        };
        let back = match self.way {
            Way::Away(until) => Some(until),
            _ => None,
        };
        at_work.into_iter().chain(back).min()
    }

    /// What it does now; to be asked until it does nothing.
    pub fn poll(&mut self, now: Moment) -> Option<Deed> {
        if self.deeds.is_empty() {
            self.advance(now);
        }
        self.deeds.pop_front()
    }

    fn advance(&mut self, now: Moment) {
        if let Way::Away(until) = self.way
            && until <= now
        {
            self.way = Way::Asked;
            self.deeds.push_back(Deed::Connect);
        }
        match self.disc {
            Disc::Open { until } if until <= now => self.put_blank(now),
            Disc::Blank { again } if again <= now => self.put_blank(now),
            Disc::Burning(burn) if self.is_known() && self.due(&burn) <= now => self.step(now, burn),
            _ => {}
        }
    }

    fn is_known(&self) -> bool {
        self.way == Way::There { known: true }
    }

    /// There is a blank disc, and if anybody listens it is said.
    fn put_blank(&mut self, now: Moment) {
        self.disc = Disc::Blank { again: now.plus_ms(self.settings.avail_ms.max(1)) };
        self.say_status(now);
    }

    /// When the next step of a burn is due.
    fn due(&self, burn: &Burn) -> Moment {
        let Settings { burn_ms, verify_ms, .. } = self.settings;
        match burn.step {
            step if step <= STEPS => {
                burn.since.plus_ms(burn_ms.saturating_mul(step.into()) / u64::from(STEPS))
            }
            _ => burn.since.plus_ms(burn_ms.saturating_add(verify_ms)),
        }
    }

    /// One step of a burn is done.
    fn step(&mut self, now: Moment, burn: Burn) {
        if burn.drop_step == Some(burn.step) {
            return self.drop_out(now);
        }
        if burn.step > STEPS {
            self.say(Said::Status(Status::Verified { image: burn.image, verdict: burn.verdict }));
            return self.open(now);
        }
        self.say(Said::Status(self.progress(&burn, burn.step)));
        self.disc = Disc::Burning(Burn { step: burn.step + 1, ..burn });
    }

    fn progress(&self, burn: &Burn, step: u8) -> Status {
        let time_s = (step == STEPS).then_some(self.settings.burn_ms / 1000);
        Status::Burning { image: burn.image, percent: 100 / STEPS * step, time_s }
    }

    /// It hangs up, and will be back with another disc.
    fn drop_out(&mut self, now: Moment) {
        let until = now.plus_ms(self.settings.away_ms);
        (self.way, self.disc) = (Way::Away(until), Disc::Open { until });
        self.deeds.clear();
        self.deeds.push_back(Deed::HangUp);
    }

    /// Opens the tray, whatever is in it.
    fn open(&mut self, now: Moment) {
        self.disc = Disc::Open { until: now.plus_ms(self.settings.swap_ms) };
        self.say_status(now);
    }

    fn burn(&mut self, now: Moment, image: Hash) {
        if !self.settings.images.contains(&image) {
            return self.refuse(ErrorCode::NOISO, "this burner does not hold that image");
        }
        if !matches!(self.disc, Disc::Blank { .. }) {
            return self.refuse(ErrorCode::NODISC, "there is no blank disc in the tray");
        }
        let fails = self.chance.befalls(self.settings.fail);
        let drops = self.chance.befalls(self.settings.drop);
        let drop_step = 1 + (self.chance.next() % u64::from(STEPS)) as u8;
        let verdict = if fails { Verdict::Fail } else { Verdict::Pass };
        let drop_step = drops.then_some(drop_step);
        self.disc = Disc::Burning(Burn { image, since: now, step: 0, verdict, drop_step });
    }

    fn refuse(&mut self, code: ErrorCode, why: &str) {
        self.say(Said::Error { code, text: Text::new(why) });
    }

    /// What it holds and what it is doing.
    fn say_all(&mut self, now: Moment) {
        let Settings { medium, images, .. } = &self.settings;
        self.say(Said::Cap { burner: Some(*medium), images: images.clone() });
        self.way = Way::There { known: true };
        self.pass_over(now);
        self.say_status(now);
    }

    /// Steps that nobody heard of are not told any more, but that the disc is verified is.
    fn pass_over(&mut self, now: Moment) {
        while let Disc::Burning(burn) = self.disc
            && burn.step < STEPS
            && self.due(&Burn { step: burn.step + 1, ..burn }) <= now
        {
            self.disc = Disc::Burning(Burn { step: burn.step + 1, ..burn });
        }
    }

    fn say_status(&mut self, now: Moment) {
        let tray = |tray| Status::Tray { disc: self.settings.medium, tray };
        let status = match self.disc {
            Disc::Blank { .. } => tray(Tray::Avail),
            Disc::Open { .. } => tray(Tray::Open),
            // Its step is told when it is due, and one that was told already once more.
            Disc::Burning(burn) if self.due(&burn) <= now => return,
            Disc::Burning(burn) => self.progress(&burn, burn.step.saturating_sub(1)),
        };
        if let Disc::Blank { again } = &mut self.disc {
            *again = now.plus_ms(self.settings.avail_ms.max(1));
        }
        if self.is_known() {
            self.say(Said::Status(status));
        }
    }

    fn info(&self, image: Hash) -> Info {
        if !self.settings.images.contains(&image) {
            return Info::NoIdea;
        }
        let name: String = image.to_string().chars().take(8).collect();
        let file = Line::new(&format!("simulated-{name}.iso"));
        let description = Text::new("An image of a simulated burner.\n\nNo disc was ever made of it.");
        Info::Known { image, file, description }
    }

    fn say(&mut self, said: Said) {
        if self.deeds.len() < DEEDS_MAX {
            self.deeds.push_back(Deed::Say(said));
        }
    }
}

/// The simulated image with this number: all burners have the same.
pub fn image(number: u64) -> Hash {
    Hash(Chance(number.wrapping_mul(0xa076_1d64_78bd_642f)).hex())
}

/// Chance by seed: splitmix64.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn befalls(&mut self, share: Share) -> bool {
        self.next() % 1_000_000 < u64::from(share.0)
    }

    fn hex(&mut self) -> [u8; 16] {
        (u128::from(self.next()) << 64 | u128::from(self.next())).to_be_bytes()
    }
}
