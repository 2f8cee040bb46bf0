//! Whatever may be said is heard as it was said; whatever bytes come, nothing breaks but the connection.

use super::super::message::{BurnerRow, Info, QueueRow, Reply, Said, Showing, Status, Tray, Verdict};
use super::super::simulate::{Settings, Simulated};
use super::super::{Burner, ClientType, ErrorCode, Hash, Line, Medium, Priority, Text, Uid};
use super::{Heard, heard, heard_reply};
use crate::clock::Moment;
use proptest::prelude::*;

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 16]>().prop_map(Hash)
}

fn uid() -> impl Strategy<Value = Uid> {
    any::<[u8; 16]>().prop_map(Uid)
}

/// Texts with much of what could break a message.
fn nasty() -> impl Strategy<Value = String> {
    let pieces = prop_oneof![
        Just("\r\n"),
        Just("\n"),
        Just("\r"),
        Just("\t"),
        Just(" "),
        Just("\r\n\r\n"),
        Just("\r\n \r\n"),
        Just("BURN"),
        Just("\u{0}"),
        Just("\u{85}"),
        Just("é"),
        Just("x")
    ];
    prop::collection::vec(pieces, 0..20).prop_map(|pieces| pieces.concat())
}

fn line() -> impl Strategy<Value = Line> {
    nasty().prop_map(|text| Line::new(&text))
}

fn text() -> impl Strategy<Value = Text> {
    nasty().prop_map(|text| Text::new(&text))
}

fn medium() -> impl Strategy<Value = Medium> {
    prop_oneof![Just(Medium::Cdr), Just(Medium::Dvd)]
}

fn priority() -> impl Strategy<Value = Priority> {
    Priority::RANGE.prop_map(|number| Priority::new(number).unwrap())
}

fn status() -> impl Strategy<Value = Status> {
    let tray = prop_oneof![Just(Tray::Avail), Just(Tray::Empty), Just(Tray::Open)];
    let verdict = prop_oneof![Just(Verdict::Pass), Just(Verdict::Fail)];
    prop_oneof![
        (medium(), tray).prop_map(|(disc, tray)| Status::Tray { disc, tray }),
        (hash(), 0..=100u8).prop_map(|(image, percent)| Status::Burning { image, percent, time_s: None }),
        (hash(), any::<u64>()).prop_map(|(image, time_s)| Status::Burning {
            image,
            percent: 100,
            time_s: Some(time_s)
        }),
        (hash(), verdict).prop_map(|(image, verdict)| Status::Verified { image, verdict }),
    ]
}

fn info() -> impl Strategy<Value = Info> {
    let known = (hash(), line(), text());
    prop_oneof![
        Just(Info::NoIdea),
        known.prop_map(|(image, file, description)| Info::Known { image, file, description })
    ]
}

fn code() -> impl Strategy<Value = ErrorCode> {
    prop_oneof![Just(ErrorCode::NOISO), nasty().prop_map(|word| ErrorCode::of_word(&word))]
}

fn said() -> impl Strategy<Value = Said> {
    let hashes = || prop::collection::vec(hash(), 0..5);
    prop_oneof![
        (prop::option::of(medium()), hashes()).prop_map(|(burner, images)| Said::Cap { burner, images }),
        info().prop_map(Said::Info),
        (code(), text()).prop_map(|(code, text)| Said::Error { code, text }),
        (hash(), priority()).prop_map(|(image, priority)| Said::Queue { image, priority }),
        any::<u64>().prop_map(|id| Said::QDel { id }),
        (uid(), line()).prop_map(|(uid, name)| Said::Name { uid, name }),
        uid().prop_map(|uid| Said::Open { uid }),
        hash().prop_map(|image| Said::WhatIs { image }),
        hash().prop_map(|image| Said::Get { image }),
        prop_oneof![Just(Said::QClear), Just(Said::QReport), Just(Said::SReport), Just(Said::AskCapab)],
    ]
}

fn row() -> impl Strategy<Value = BurnerRow> {
    let showing = prop_oneof![Just(Showing::Away), Just(Showing::Silent), status().prop_map(Showing::Says)];
    (uid(), line(), prop::option::of(medium()), showing).prop_map(|(uid, name, medium, showing)| BurnerRow {
        uid,
        name,
        medium,
        showing,
    })
}

fn reply() -> impl Strategy<Value = Reply> {
    let queued =
        (any::<u64>(), hash(), priority()).prop_map(|(id, image, priority)| QueueRow { id, image, priority });
    prop_oneof![
        prop::collection::vec(hash(), 0..5).prop_map(|images| Reply::Cap { images }),
        hash().prop_map(|image| Reply::WhatIs { image }),
        info().prop_map(Reply::Info),
        hash().prop_map(|image| Reply::Burn { image }),
        prop::collection::vec(queued, 0..5).prop_map(Reply::QList),
        prop::collection::vec(row(), 0..5).prop_map(Reply::SList),
        (code(), text()).prop_map(|(code, text)| Reply::Error { code, text }),
        prop_oneof![Just(Reply::Ident), Just(Reply::Open), Just(Reply::QOk), Just(Reply::QNo)],
    ]
}

/// Bytes that come near to being messages.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let near = prop_oneof![
        said().prop_map(|said| encode(&said)),
        reply().prop_map(|reply| encode_reply(&reply)),
        status().prop_map(|status| encode(&Said::Status(status))),
        Just(b"PUSH\t00000000000000000000000000000000\t9\r\n\r\n".to_vec()),
        Just(b"\r\n\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    let cut = (near, any::<prop::sample::Index>()).prop_map(|(mut bytes, at)| {
        bytes.truncate(at.index(bytes.len() * 2 + 1));
        bytes
    });
    prop::collection::vec(cut, 0..12).prop_map(|pieces| pieces.concat())
}

fn encode(said: &Said) -> Vec<u8> {
    let mut out = Vec::new();
    said.encode(&mut out);
    out
}

fn encode_reply(reply: &Reply) -> Vec<u8> {
    let mut out = Vec::new();
    reply.encode(&mut out);
    out
}

/// What these bytes come to for somebody who is known already.
fn heard_from(who: ClientType, pieces: &[&[u8]]) -> Vec<Heard<Said>> {
    heard(pieces, 300, |message| {
        let said = Said::hear(message, Some(who));
        let raw = if let Ok(Said::Push { bytes, .. }) = said { bytes } else { 0 };
        (said, raw)
    })
}

proptest! {
    #[test]
    fn what_clients_say_is_heard_as_it_was_said(all in prop::collection::vec(said(), 0..6)) {
        let bytes = all.iter().map(encode).collect::<Vec<_>>().concat();
        let heard = heard(&[&bytes], 4096, |message| (Said::hear(message, super::COMMAND), 0));
        prop_assert_eq!(heard, all.into_iter().map(|said| Heard::Message(Ok(said))).collect::<Vec<_>>());
    }

    #[test]
    fn statuses_and_introductions_too(status in status(), medium in medium(), uid in uid()) {
        let burner = ClientType::Burner(medium);
        let bytes = encode(&Said::Status(status));
        prop_assert_eq!(heard_from(burner, &[&bytes]), [Heard::Message(Ok(Said::Status(status)))]);
        for client in [burner, ClientType::Display, ClientType::Command] {
            let bytes = encode(&Said::Id { client, uid });
            let heard = super::heard_said(&[&bytes]);
            prop_assert_eq!(heard, [Heard::Message(Ok(Said::Id { client, uid }))]);
        }
    }

    #[test]
    fn what_the_server_says_is_heard_as_it_was_said(all in prop::collection::vec(reply(), 0..6)) {
        let bytes = all.iter().map(encode_reply).collect::<Vec<_>>().concat();
        prop_assert_eq!(heard_reply(&[&bytes]), all.into_iter().map(|one| Heard::Message(Ok(one))).collect::<Vec<_>>());
    }

    /// Cuts change nothing, nothing panics, and no more is kept than allowed (`heard` looks).
    #[test]
    fn any_bytes_come_to_the_same_however_they_are_cut(bytes in bytes(), length in 1usize..50) {
        let pieces: Vec<_> = bytes.chunks(length).collect();
        for who in [ClientType::Command, ClientType::Burner(Medium::Cdr)] {
            prop_assert_eq!(heard_from(who, &pieces), heard_from(who, &[&bytes]));
        }
        prop_assert_eq!(heard_reply(&pieces), heard_reply(&[&bytes]));
    }

    /// A burner that is told to burn and says whatever it likes: what it was told ends at most once, and what it
    /// could burn fits.
    #[test]
    fn a_burner_may_say_what_it_likes(
        medium in medium(),
        images in prop::collection::vec(hash(), 1..4),
        steps in prop::collection::vec((0..8u8, 0..4usize, status(), code()), 0..60),
    ) {
        let mut burner = Burner::new(medium);
        burner.hear_cap(None, images.clone());
        for (what, which, mut status, code) in steps {
            let image = images[which % images.len()];
            if let Status::Burning { image: of, .. } | Status::Verified { image: of, .. } = &mut status {
                *of = image;
            }
            let task = burner.task();
            use super::super::Follows;
            let follows = match what {
                0 if task.is_none() => { burner.tell(image); Follows::Nothing }
                1 => { burner.forget(); Follows::Nothing }
                2 => burner.hear_error(&code),
                _ => burner.hear_status(status),
            };
            match follows {
                Follows::Nothing => {}
                Follows::Began(of) => prop_assert_eq!((task, burner.task()), (Some(of), Some(of))),
                Follows::Passed(of) | Follows::Failed(of, _) => {
                    prop_assert_eq!((task, burner.task()), (Some(of), None));
                }
            }
            let offers = burner.offers(|_| Some(Medium::Cdr.bytes_max() + 1));
            prop_assert!(offers.is_empty() || burner.blank_disc() == Some(Medium::Dvd));
            prop_assert!(burner.blank_disc().is_none_or(|disc| medium.writes(disc) && burner.task().is_none()));
        }
    }

    /// A simulated burner, told whatever a server may say at any time, keeps still when nothing is due.
    #[test]
    fn a_simulated_burner_takes_what_comes(
        seed in any::<u64>(),
        steps in prop::collection::vec((0..6u8, 0..5000u64, reply()), 0..60),
    ) {
        let mut now = Moment(0);
        let mut burner = Simulated::new(Settings::default(), seed, 0, now);
        for (what, ms, reply) in steps {
            now = now.plus_ms(ms);
            match what {
                0 => burner.connected(),
                1 => burner.hung_up(now),
                2 => burner.hear(now, &Reply::Burn { image: Settings::default().images[0] }),
                3 => burner.hear(now, &Reply::Capab),
                _ => burner.hear(now, &reply),
            }
            let deeds = std::iter::from_fn(|| burner.poll(now)).take(1000).count();
            prop_assert!(deeds < 1000);
            prop_assert!(burner.wake_at().is_none_or(|at| at > now));
        }
    }
}
