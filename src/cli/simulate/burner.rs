//! `berth simulate burner`: burners that come to a stand door, and what is printed of them.

use super::super::context::Context;
use super::super::exit::Failure;
use super::super::span::parse_seconds;
use super::super::table::Table;
use super::{News, Told, print_line};
use crate::burner::{Event, live};
use crate::clock::{Clock, Moment};
use crate::stand::simulate::{Settings, Share, Simulated, image};
use crate::stand::{Hash, Medium, PORT, Uid};
use clap::Args;
use serde_json::{Value, json};
use std::sync::mpsc::SyncSender;

/// Burners at most.
const BURNERS_MAX: u64 = 1_000;
/// Images that are made up, at most.
const IMAGES_MAX: u64 = 1_000;

/// `berth simulate burner`.
#[derive(Args, Debug)]
pub struct BurnerArgs {
    /// Where the stand door listens.
    #[arg(long, value_name = "HOST:PORT", default_value_t = format!("127.0.0.1:{PORT}"))]
    connect: String,
    /// What the burners burn: cdr or dvd.
    #[arg(long, value_name = "MEDIUM", default_value = "dvd", value_parser = parse_medium)]
    medium: Medium,
    /// The images they hold: hashes, or a number, for so many that are made up and always the same.
    #[arg(long, value_name = "N|HASH,...", default_value = "3", value_delimiter = ',', num_args = 1.., value_parser = parse_images)]
    images: Vec<Images>,
    /// How long writing takes; verifying takes a quarter of it.
    #[arg(long, value_name = "SPAN", default_value = "8", value_parser = parse_seconds)]
    burn_s: f64,
    /// This share of discs is bad.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = str::parse::<Share>)]
    fail: Share,
    /// In this share of burns the burner hangs up, and comes back with a new disc.
    #[arg(long, value_name = "SHARE", default_value = "0", value_parser = str::parse::<Share>)]
    drop: Share,
    /// Where chance begins: the names of the burners, and how their discs come out.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// So many burners.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=BURNERS_MAX))]
    count: u64,
    /// Print all that is said, as one JSON object on each line.
    #[arg(long)]
    trace: bool,
    /// End when standard input does.
    #[arg(long)]
    until_eof: bool,
}

/// Images, as they are typed.
#[derive(Clone, Debug, PartialEq)]
enum Images {
    /// So many that are made up.
    MadeUp(u64),
    /// This one.
    Named(Hash),
}

fn parse_medium(text: &str) -> Result<Medium, String> {
    Medium::of_word(&text.to_ascii_uppercase()).ok_or_else(|| "a medium is cdr or dvd".into())
}

fn parse_images(text: &str) -> Result<Images, String> {
    let named = Hash::of_text(text).map(Images::Named);
    let made_up = || text.parse().ok().filter(|count| *count <= IMAGES_MAX).map(Images::MadeUp);
    let wrong =
        || format!("a hash of 32 hex digits, letters small, or a number up to {IMAGES_MAX} is needed");
    named.or_else(made_up).ok_or_else(wrong)
}

impl BurnerArgs {
    /// How the burners behave.
    fn settings(&self) -> Settings {
        let images = self.images.iter().flat_map(|images| match images {
            Images::MadeUp(count) => (0..*count).map(image).collect(),
            Images::Named(hash) => vec![*hash],
        });
        let burn_ms = (self.burn_s * 1000.0) as u64;
        Settings {
            medium: self.medium,
            images: images.collect(),
            burn_ms,
            verify_ms: burn_ms / 4,
            fail: self.fail,
            drop: self.drop,
            ..Settings::default()
        }
    }
}

/// Simulates burners until told to stop.
pub(super) fn simulate(context: &Context, args: &BurnerArgs, told: &Told) -> Result<(), Failure> {
    let (clock, settings) = (Clock::system(), args.settings());
    let new = |number| Simulated::new(settings.clone(), args.seed, number, clock.now());
    let burners: Vec<_> = (0..args.count).map(new).collect();
    print_burners(context, &burners, &settings)?;
    for burner in burners {
        let (trace, quiet) = (args.trace, context.shared.quiet);
        let mut printer = Printer { uid: burner.uid(), trace, lost: quiet };
        let (clock, door, news) = (clock.clone(), args.connect.clone(), told.sender.clone());
        async_std::task::spawn(async move {
            live(&clock, &door, burner, |now, event| printer.print(now, event, &news)).await
        });
    }
    wait(args, told)
}

/// Waits until it is enough.
fn wait(args: &BurnerArgs, told: &Told) -> Result<(), Failure> {
    // We hold a sender ourselves, so there is always more to come.
    while let Ok(news) = told.news.recv() {
        match news {
            News::InputEnded if args.until_eof => return Ok(()),
            News::Enough => return Ok(()),
            News::Output(failure) => return Err(failure),
            News::InputEnded | News::Line(_) => {}
        }
    }
    Ok(())
}

/// Says who they are and what they hold.
fn print_burners(context: &Context, burners: &[Simulated], settings: &Settings) -> Result<(), Failure> {
    let images: Vec<_> = settings.images.iter().map(Hash::to_string).collect();
    if context.shared.json {
        let uids: Vec<_> = burners.iter().map(|burner| burner.uid().to_string()).collect();
        let medium = settings.medium.word();
        return context.print_json_line(&json!({"burners": uids, "medium": medium, "images": images}));
    }
    let mut table = Table::new(&["BURNER", "MEDIUM"]);
    burners.iter().for_each(|burner| table.push([burner.uid().to_string(), settings.medium.word().into()]));
    context.print(&context.table_text(&table))?;
    let mut table = Table::new(&["IMAGE"]);
    images.into_iter().for_each(|image| table.push([image]));
    context.print(&context.table_text(&table))
}

/// What is printed of one burner.
struct Printer {
    uid: Uid,
    trace: bool,
    /// That the server is not there was told, or need not be.
    lost: bool,
}

impl Printer {
    /// Prints what happened, if that is wanted.
    fn print(&mut self, now: Moment, event: Event<'_>, news: &SyncSender<News>) {
        if !self.trace {
            return self.warn(&event);
        }
        if let Err(failure) = print_line(&self.event_json(now, &event)) {
            // If nobody takes it the process is ending.
            news.try_send(News::Output(failure)).ok();
        }
    }

    /// Says once that the server is not there.
    fn warn(&mut self, event: &Event<'_>) {
        if let (Event::Lost(error), false) = (event, self.lost) {
            eprintln!("berth: burner {} finds no server: {error}; it tries again", self.uid);
            self.lost = true;
        }
    }

    fn event_json(&self, now: Moment, event: &Event<'_>) -> Value {
        let mut bytes = Vec::new();
        let name = match event {
            Event::Connected => "connected",
            Event::HungUp => "hung_up",
            Event::Lost(error) => {
                bytes = error.to_string().into_bytes();
                "lost"
            }
            Event::Said(said) => {
                said.encode(&mut bytes);
                "said"
            }
            Event::Heard(reply) => {
                reply.encode(&mut bytes);
                "heard"
            }
        };
        let text = String::from_utf8_lossy(&bytes);
        json!({"time": now.unix_s(), "burner": self.uid.to_string(), "event": name, "text": text.trim_end_matches("\r\n")})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_hashes_or_a_number() {
        assert_eq!(parse_images("3"), Ok(Images::MadeUp(3)));
        let hash = image(0);
        assert_eq!(parse_images(&hash.to_string()), Ok(Images::Named(hash)));
        for wrong in ["", "1001", "-1", "abc", &hash.to_string()[1..], &hash.to_string().to_uppercase()] {
            assert!(parse_images(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn media_may_be_typed_small() {
        assert_eq!(parse_medium("cdr"), Ok(Medium::Cdr));
        assert_eq!(parse_medium("DVD"), Ok(Medium::Dvd));
        assert!(parse_medium("bd").is_err());
    }
}
