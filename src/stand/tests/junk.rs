//! What is no message, or not one that this client may send: each is refused in its own way.

use super::super::frame::Splitter;
use super::super::message::{IMAGES_MAX, Reply, Said, Then};
use super::super::{Broken, ClientType, Medium, Piece};
use super::COMMAND;

const HASH: &str = "5e8c1a0b7f4d4b6c9a3e2d1c0b9a8f7e";

/// The word that a client is answered, and what follows.
fn refused(message: &str, who: Option<ClientType>) -> (String, Then) {
    let message = message.replace('#', HASH);
    let complaint = Said::hear(message.as_bytes(), who).expect_err(&message);
    let word = match complaint.answer {
        Reply::Error { code, .. } => code.word().to_owned(),
        Reply::QNo => "QNO".to_owned(),
        other => panic!("{other:?}"),
    };
    (word, complaint.then)
}

#[test]
fn each_wrong_message_is_answered_by_its_word() {
    for (message, word) in [
        ("", "BADMSG"),
        ("NONSENSE", "BADMSG"),
        ("queue\t#\t1", "BADMSG"),
        ("\r\nQREPORT", "BADMSG"),
        ("QREPORT\t", "BADMSG"),
        ("QREPORT\n", "BADMSG"),
        ("QREPORT\r\nQREPORT", "BADMSG"),
        ("CAP\tBURNBD\t#", "BADHASH"),
        ("CAP\t#\t", "BADHASH"),
        ("WHATIS", "BADMSG"),
        ("WHATIS\t#\t#", "BADMSG"),
        ("WHATIS\tabc", "BADHASH"),
        ("WHATIS\t#a", "BADHASH"),
        ("GET\t../../etc/passwd", "BADHASH"),
        ("GET\t5E8C1A0B7F4D4B6C9A3E2D1C0B9A8F7E", "BADHASH"),
        ("INFO\t#\tfile", "BADMSG"),
        ("INFO\t#\tfile\tone\ttwo", "BADMSG"),
        ("INFO\t#\tfi\u{0}le\ttext", "BADMSG"),
        ("INFO\t#\tfile\r\nname\ttext", "BADMSG"),
        ("INFO\t#\tfile\tone\ntwo", "BADMSG"),
        ("INFO\t#\tfile\tone\rtwo", "BADMSG"),
        ("INFO\tENOIDEA\t#", "BADHASH"),
        ("QUEUE\t#\tsoon", "QNO"),
        ("QUEUE\t#\t1000001", "QNO"),
        ("QUEUE\t#\t-1000001", "QNO"),
        ("QUEUE\t#\t", "QNO"),
        ("QUEUE\t#\t 1", "QNO"),
        ("QUEUE\tabc\t1", "QNO"),
        ("QUEUE\t#", "BADMSG"),
        ("QUEUE\tabc", "BADMSG"),
        ("QUEUE\t#\t1\t2", "BADMSG"),
        ("QDEL\t-1", "QNO"),
        ("QDEL\tx", "QNO"),
        ("QDEL", "BADMSG"),
        ("QCLEAR\t#", "BADMSG"),
        ("OPEN\t#0", "QNO"),
        ("NAME\t#\ta\rb", "QNO"),
        ("ID\tV1\tCOMMAND\t#", "NOTALLOWED"),
        ("STATUS\tCDR\tAVAIL", "NOTALLOWED"),
    ] {
        assert_eq!(refused(message, COMMAND), (word.to_owned(), Then::GoOn), "{message:?}");
    }
}

#[test]
fn statuses_are_read_to_the_letter() {
    let burner = Some(ClientType::Burner(Medium::Dvd));
    for message in [
        "STATUS",
        "STATUS\tCDR",
        "STATUS\tBD\tAVAIL",
        "STATUS\tCDR\tFULL",
        "STATUS\tCDR\tAVAIL\t1",
        "STATUS\t#",
        "STATUS\t#\t101",
        "STATUS\t#\t-1",
        "STATUS\t#\t+1",
        "STATUS\t#\t1%",
        "STATUS\t#\t50\tTIME\t3",
        "STATUS\t#\t100\tTIME",
        "STATUS\t#\t100\tTIME\tlong",
        "STATUS\t#\t100\tSECONDS\t3",
        "STATUS\t#\tpass",
        "STATUS\t#\tPASS\t3",
    ] {
        assert_eq!(refused(message, burner), ("BADMSG".to_owned(), Then::GoOn), "{message:?}");
    }
    for message in ["STATUS\t#\t0", "STATUS\t#\t33", "STATUS\t#\t100", "STATUS\t#\t100\tTIME\t0"] {
        let message = message.replace('#', HASH);
        assert!(Said::hear(message.as_bytes(), burner).is_ok(), "{message}");
    }
}

#[test]
fn nothing_goes_before_the_introduction_and_a_display_gives_no_commands() {
    for message in ["QREPORT", "NONSENSE", "", "CAP\t#", "PING"] {
        assert_eq!(refused(message, None).0, "NOID", "{message:?}");
    }
    for message in ["ID", "ID\tV2\tDISPLAY\t#", "ID\tV1\tTOASTER\t#", "ID\tV1\tDISPLAY\tme"] {
        assert_eq!(refused(message, None).0, "BADMSG", "{message:?}");
    }
    for who in [ClientType::Display, ClientType::Burner(Medium::Cdr)] {
        for message in ["QUEUE\t#\t1", "QUEUE", "QCLEAR", "QDEL\t1", "NAME\t#\tx", "OPEN\t#"] {
            assert_eq!(refused(message, Some(who)).0, "NOTALLOWED", "{message:?}");
        }
        assert_eq!(Said::hear(b"QREPORT", Some(who)), Ok(Said::QReport));
    }
    assert_eq!(Said::hear(b"\xff", None).unwrap_err().answer, Said::hear(b"X", None).unwrap_err().answer);
}

#[test]
fn raw_bytes_behind_a_refused_message_are_passed_over_if_their_number_is_known() {
    assert_eq!(refused("PUSH\t#\t10", None), ("NOID".into(), Then::Skip(10)));
    assert_eq!(refused("PUSH\tabc\t10", COMMAND), ("BADHASH".into(), Then::Skip(10)));
    assert_eq!(refused("PUSH\t#\t10\tx", COMMAND), ("BADMSG".into(), Then::Skip(10)));
    for message in ["PUSH", "PUSH\t#", "PUSH\t#\t-1", "PUSH\t#\t1e3", "PUSH\t#\t99999999999999999999"] {
        assert_eq!(refused(message, COMMAND), ("BADMSG".into(), Then::HangUp), "{message:?}");
    }
    let complaint = Said::hear(b"PUSH\t\xff\t7", COMMAND).unwrap_err();
    assert_eq!(complaint.then, Then::Skip(7));
    assert_eq!(Reply::hear(b"DATA\tabc\t7").unwrap_err().then, Then::Skip(7));
}

#[test]
fn what_a_client_may_hold_is_bounded() {
    let cap = |count: usize| format!("CAP{}", format!("\t{HASH}").repeat(count));
    assert!(Said::hear(cap(IMAGES_MAX).as_bytes(), COMMAND).is_ok());
    assert_eq!(refused(&cap(IMAGES_MAX + 1), COMMAND).0, "TOOBIG");
    assert_eq!(refused(&format!("INFO\t#\t{}\ttext", "x".repeat(256)), COMMAND).0, "TOOBIG");
    assert_eq!(refused(&format!("INFO\t#\tfile\t{}", "x".repeat(16 * 1024 + 1)), COMMAND).0, "TOOBIG");
}

#[test]
fn a_client_without_images_says_so_in_two_ways() {
    for message in ["CAP\tBURNCDR", "CAP\tBURNCDR\t"] {
        let none = Said::Cap { burner: Some(Medium::Cdr), images: vec![] };
        assert_eq!(Said::hear(message.as_bytes(), COMMAND), Ok(none));
    }
}

#[test]
fn a_message_is_as_long_as_allowed_and_no_longer() {
    for (length, good) in [(0, true), (7, true), (8, true), (9, false), (10, false), (50, false)] {
        let bytes = [vec![b'x'; length], b"\r\n\r\n".to_vec()].concat();
        for size in 1..=bytes.len() {
            let mut splitter = Splitter::new(8);
            let mut last = None;
            for mut piece in bytes.chunks(size) {
                last = splitter
                    .pull(&mut piece)
                    .map(|piece| piece.map(|piece| piece == Piece::Message(&bytes[..length])));
                if last == Some(Err(Broken)) {
                    break;
                }
            }
            assert_eq!(last, Some(if good { Ok(true) } else { Err(Broken) }), "{length} by {size}");
        }
    }
}

#[test]
fn bytes_without_an_end_break_the_connection_before_they_are_many() {
    let mut splitter = Splitter::new(100);
    let mut taken = 0;
    let broken = b"\n\r\r\r\nQREPORT\n\n".repeat(100).chunks(7).any(|mut piece| {
        let heard = splitter.pull(&mut piece).is_some_and(|heard| heard == Err(Broken));
        taken = taken.max(splitter.waiting());
        heard
    });
    assert!(broken && taken <= 103, "{taken}");
}
