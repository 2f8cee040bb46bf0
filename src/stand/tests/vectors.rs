//! Conversations as raw bytes: they are read as they were meant, however they are cut, and written as they came.

use super::super::message::{BurnerRow, Info, QueueRow, Reply, Said, Showing, Status, Tray, Verdict};
use super::super::{Burner, ClientType, ErrorCode, Follows, Hash, Line, Medium, Priority, Text, Uid};
use super::{Heard, heard_reply, heard_said};
use crate::stand::burner::{Failing, Told};

fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/tests/vectors/stand/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).expect(&path)
}

fn hash(text: &str) -> Hash {
    Hash::of_text(text).expect(text)
}

fn h1() -> Hash {
    hash("5e8c1a0b7f4d4b6c9a3e2d1c0b9a8f7e")
}

fn h2() -> Hash {
    hash("0f1e2d3c4b5a69788796a5b4c3d2e1f0")
}

fn h3() -> Hash {
    hash("9b74c9897bac770ffc029102a200c5de")
}

fn uid() -> Uid {
    Uid::of_text("6f1d2c3b4a5968778695a4b3c2d1e0ff").unwrap()
}

fn tray(tray: Tray) -> Said {
    Said::Status(Status::Tray { disc: Medium::Cdr, tray })
}

fn percent(percent: u8, time_s: Option<u64>) -> Said {
    Said::Status(Status::Burning { image: h2(), percent, time_s })
}

fn info(image: Hash, file: &str, description: &str) -> Info {
    Info::Known { image, file: Line::new(file), description: Text::new(description) }
}

fn burner_client() -> Vec<Said> {
    let server = "Ubuntu 8.04 server, 32 bit\n\nFor computers that serve.\nNothing to look at.";
    vec![
        Said::Id { client: ClientType::Burner(Medium::Cdr), uid: uid() },
        Said::Cap { burner: Some(Medium::Cdr), images: vec![h1(), h2()] },
        Said::Info(info(h1(), "ubuntu-8.04.1-desktop-i386.iso", "No descriptions")),
        Said::Info(info(h2(), "ubuntu-8.04.1-server-i386.iso", server)),
        tray(Tray::Avail),
        tray(Tray::Avail),
        percent(0, None),
        percent(25, None),
        percent(50, None),
        percent(75, None),
        percent(100, Some(312)),
        Said::Status(Status::Verified { image: h2(), verdict: Verdict::Pass }),
        tray(Tray::Open),
        tray(Tray::Empty),
        tray(Tray::Avail),
    ]
}

fn burner_server() -> Vec<Reply> {
    let what_is = |image| Reply::WhatIs { image };
    let burn = Reply::Burn { image: h2() };
    vec![Reply::Ident, Reply::Capab, what_is(h1()), what_is(h2()), burn, Reply::Open]
}

fn messages<T>(said: Vec<T>) -> Vec<Heard<T>> {
    said.into_iter().map(|said| Heard::Message(Ok(said))).collect()
}

fn encoded<T>(messages: &[Heard<T>], encode: fn(&T, &mut Vec<u8>)) -> Vec<u8> {
    let mut out = Vec::new();
    for message in messages {
        match message {
            Heard::Message(Ok(message)) => encode(message, &mut out),
            Heard::Raw(raw) => out.extend_from_slice(raw),
            other => panic!("{}", matches!(other, Heard::Broken)),
        }
    }
    out
}

/// Cut in two anywhere, in three with a byte between, and into pieces of every length.
fn every_cut(bytes: &[u8], mut check: impl FnMut(&[&[u8]])) {
    for at in 0..=bytes.len() {
        let (left, right) = bytes.split_at(at);
        check(&[left, right]);
        check(&[left, &right[..right.len().min(1)], &right[right.len().min(1)..]]);
    }
    for length in 1..=40 {
        check(&bytes.chunks(length).collect::<Vec<_>>());
    }
}

#[test]
fn the_old_burner_is_heard_from_ident_to_pass_however_its_bytes_are_cut() {
    let (client, server) = (bytes("burner.client"), bytes("burner.server"));
    let (said, replies) = (messages(burner_client()), messages(burner_server()));
    every_cut(&client, |pieces| assert_eq!(heard_said(pieces), said));
    every_cut(&server, |pieces| assert_eq!(heard_reply(pieces), replies));
    assert_eq!(encoded(&said, Said::encode), client);
    assert_eq!(encoded(&replies, Reply::encode), server);
}

#[test]
fn what_the_old_burner_says_comes_to_a_burnt_disc() {
    let mut burner = Burner::new(Medium::Cdr);
    let mut story = Vec::new();
    for said in burner_client() {
        match said {
            Said::Cap { burner: medium, images } => burner.hear_cap(medium, images),
            Said::Status(status) => story.push(burner.hear_status(status)),
            _ => {}
        }
        // The first time that it could.
        if !burner.offers(|_| None).is_empty() && story.len() == 2 {
            assert_eq!(burner.offers(|_| None), [h2(), h1()]);
            assert_eq!(burner.tell(h2()), Told::Burn);
        }
    }
    let began = story.iter().position(|follows| *follows == Follows::Began(h2()));
    let passed = story.iter().position(|follows| *follows == Follows::Passed(h2()));
    assert_eq!((began, passed, story.len()), (Some(2), Some(7), 11));
    assert_eq!(story.iter().filter(|follows| **follows == Follows::Nothing).count(), 9);
    assert_eq!(burner.blank_disc(), Some(Medium::Cdr));
}

#[test]
fn a_bad_disc_and_a_missing_image_are_told_apart() {
    let mut burner = Burner::new(Medium::Dvd);
    let mut story = Vec::new();
    for heard in heard_said(&[&bytes("burner_fail.client")]) {
        let Heard::Message(Ok(said)) = heard else { panic!("{heard:?}") };
        match said {
            Said::Cap { burner: medium, images } => burner.hear_cap(medium, images),
            Said::Status(status) => {
                story.push(burner.hear_status(status));
                match story.len() {
                    1 => assert_eq!(burner.tell(h1()), Told::Burn),
                    5 => assert_eq!(burner.tell(h3()), Told::Burn),
                    _ => {}
                }
            }
            Said::Error { code, text } => {
                assert_eq!(text, Text::new("Burner does not have this ISO."));
                story.push(burner.hear_error(&code));
            }
            _ => {}
        }
    }
    let told: Vec<_> = story.into_iter().filter(|follows| *follows != Follows::Nothing).collect();
    let noiso = Failing::Refused(ErrorCode::NOISO);
    let failed = [Follows::Began(h1()), Follows::Failed(h1(), Failing::Bad), Follows::Failed(h3(), noiso)];
    assert_eq!(told, failed);
    assert_eq!(burner.offers(|_| None), [h1()]);
}

#[test]
fn a_command_client_is_heard_and_told_however_the_bytes_are_cut() {
    let (client, server) = (bytes("command.client"), bytes("command.server"));
    let said = command_client();
    every_cut(&client, |pieces| assert_eq!(heard_said(pieces), said));
    let replies = command_server();
    every_cut(&server, |pieces| assert_eq!(heard_reply(pieces), replies));
    assert_eq!(encoded(&replies, Reply::encode), server);
}

fn command_client() -> Vec<Heard<Said>> {
    let uid_of_client = Uid::of_text("11111111222222223333333344444444").unwrap();
    let queue = |image, priority| Said::Queue { image, priority: Priority::new(priority).unwrap() };
    let mut said = messages(vec![
        Said::Id { client: ClientType::Command, uid: uid_of_client },
        Said::Cap { burner: None, images: vec![] },
        queue(h1(), 10),
        queue(h2(), -3),
    ]);
    let no = super::Complaint { answer: Reply::QNo, then: super::Then::GoOn };
    said.push(Heard::Message(Err(no)));
    said.extend(messages(vec![
        Said::QReport,
        Said::SReport,
        Said::Name { uid: uid(), name: Line::new("the one by the door") },
        Said::Open { uid: uid() },
        Said::QDel { id: 1 },
        Said::QClear,
        Said::AskCapab,
        Said::AskCapab,
        Said::WhatIs { image: h1() },
        Said::WhatIs { image: h3() },
        Said::Get { image: h3() },
        Said::Push { image: h3(), bytes: 10 },
    ]));
    said.push(Heard::Raw(b"1\r\n\r\n67890".to_vec()));
    said.extend(messages(vec![Said::QReport]));
    said
}

fn command_server() -> Vec<Heard<Reply>> {
    let queued = |id, image, priority| QueueRow { id, image, priority: Priority::new(priority).unwrap() };
    let row = |uid: Hash, name: &str, medium, showing| BurnerRow {
        uid: Uid(uid.0),
        name: Line::new(name),
        medium,
        showing,
    };
    let burns = Showing::Says(Status::Burning { image: h1(), percent: 25, time_s: None });
    let blank = Showing::Says(Status::Tray { disc: Medium::Dvd, tray: Tray::Avail });
    let cap = || Reply::Cap { images: vec![h1(), h2()] };
    let mut replies = messages(vec![
        Reply::Ident,
        Reply::Capab,
        Reply::QOk,
        Reply::QOk,
        Reply::QNo,
        Reply::QList(vec![queued(2, h2(), -3), queued(1, h1(), 10)]),
        Reply::SList(vec![
            row(Hash(uid().0), "", Some(Medium::Cdr), burns),
            row(h1(), "upstairs", Some(Medium::Dvd), blank),
            row(h2(), "old", None, Showing::Away),
            row(h3(), "", Some(Medium::Cdr), Showing::Silent),
        ]),
        Reply::QOk,
        Reply::QOk,
        Reply::QOk,
        Reply::QOk,
        cap(),
        cap(),
        Reply::Info(info(h1(), "ubuntu.iso", "One\n\n\nFour")),
        Reply::Info(Info::NoIdea),
        Reply::error(ErrorCode::NOISO, "no file of it is here"),
        Reply::Data { image: h3(), bytes: 4 },
    ]);
    replies.push(Heard::Raw(b"\r\n\r\n".to_vec()));
    replies.extend(messages(vec![Reply::QList(vec![])]));
    replies
}

#[test]
fn lists_may_begin_with_a_line_end_too() {
    let text = format!("QLIST\r\n7\t{}\t1\r\n\r\nSLIST\r\n{}\tx\tCDR\tDISCONN\r\n\r\n", h1(), uid());
    let row = QueueRow { id: 7, image: h1(), priority: Priority::new(1).unwrap() };
    let burner =
        BurnerRow { uid: uid(), name: Line::new("x"), medium: Some(Medium::Cdr), showing: Showing::Away };
    assert_eq!(
        heard_reply(&[text.as_bytes()]),
        messages(vec![Reply::QList(vec![row]), Reply::SList(vec![burner])])
    );
}
