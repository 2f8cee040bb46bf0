//! Conversations byte for byte, split and joined, and what is none.

use super::{A, B, C, LAB, ME, ONE, Place, burner, house, queue, state, until};
use crate::stand_line::{END, Line};

/// Says bytes in pieces of so many, and hears all that comes until the server hangs up.
fn replayed(said: &str, piece: usize) -> String {
    let house = Place::with(LAB);
    let mut line = Line::open(house.stand.expect("a stand door"));
    said.as_bytes().chunks(piece).for_each(|bytes| line.say_bytes(bytes));
    line.hang_up();
    let mut heard = String::new();
    while let Some(message) = line.hear() {
        heard += &message;
        heard += "|";
    }
    heard
}

/// Everything a burner can ask and be asked, but to burn.
fn conversation() -> (String, String) {
    let said = [
        "QREPORT".to_owned(),
        format!("ID\tV2\tBURNDVD\t{ONE}"),
        format!("ID\tV1\tBURNBLURAY\t{ONE}"),
        format!("ID\tV1\tBURNDVD\t{}", &ONE[1..]),
        format!("ID\tV1\tBURNDVD\t{ONE}"),
        format!("ID\tV1\tBURNDVD\t{ONE}"),
        format!("CAP\tBURNDVD\t{A}\t{B}"),
        format!("INFO\t{A}\tone.iso\tThe first.\r\n \r\nIt is good."),
        "INFO\tENOIDEA".to_owned(),
        format!("INFO\t{C}\tthree.iso\tnobody asked"),
        format!("CAP\tBURNDVD\t{A}\t{B}\t{C}"),
        format!("WHATIS\t{A}"),
        format!("WHATIS\t{B}"),
        format!("WHATIS\t{C}"),
        "WHATIS\tnothing".to_owned(),
        "STATUS\tDVD\tEMPTY".to_owned(),
        "STATUS\tDVD\tAJAR".to_owned(),
        "SREPORT".to_owned(),
        "QREPORT".to_owned(),
        "ASKCAP".to_owned(),
        format!("QUEUE\t{A}\t1"),
        "FROBNICATE".to_owned(),
        format!("GET\t{A}"),
        "QREPORT\tnow".to_owned(),
    ];
    let heard = [
        "IDENT\tV1".to_owned(),
        "ERROR\tNOID\t".to_owned(),
        "ERROR\tBADMSG\t".to_owned(),
        "ERROR\tBADMSG\t".to_owned(),
        "ERROR\tBADMSG\t".to_owned(),
        "CAPAB".to_owned(),
        "ERROR\tNOTALLOWED\t".to_owned(),
        format!("WHATIS\t{A}"),
        format!("WHATIS\t{B}"),
        // Of the third nobody had asked; only now it is met. The second is not asked for again.
        format!("WHATIS\t{C}"),
        format!("INFO\t{A}\tone.iso\tThe first.\r\n \r\nIt is good."),
        "INFO\tENOIDEA".to_owned(),
        "INFO\tENOIDEA".to_owned(),
        "ERROR\tBADHASH\t".to_owned(),
        "ERROR\tBADMSG\t".to_owned(),
        format!("SLIST\t{ONE}\t\tDVD\tDVD\tEMPTY"),
        "QLIST".to_owned(),
        format!("CAP\t{A}\t{B}\t{C}"),
        "ERROR\tNOTALLOWED\t".to_owned(),
        "ERROR\tBADMSG\t".to_owned(),
        "ERROR\tNOISO\t".to_owned(),
        "ERROR\tBADMSG\t".to_owned(),
    ];
    let said = said.iter().map(|message| format!("{message}{END}")).collect();
    (said, heard.iter().map(|message| format!("{message}|")).collect())
}

/// What was heard, without the words for people behind the codes of errors.
fn without_words(heard: &str) -> String {
    let bare = |message: &str| match message.strip_prefix("ERROR\t") {
        Some(rest) => format!("ERROR\t{}\t|", rest.split('\t').next().unwrap_or_default()),
        None => format!("{message}|"),
    };
    heard.split_terminator('|').map(bare).collect()
}

#[test]
fn a_conversation_is_the_same_however_it_is_split_and_joined() {
    let (said, heard) = conversation();
    for piece in [said.len(), 1, 3, 7, 40] {
        assert_eq!(without_words(&replayed(&said, piece)), heard, "in pieces of {piece}");
    }
}

#[test]
fn the_old_burner_burns_a_disc() {
    // What stand-burn.py says and hears, byte for byte.
    let house = house();
    queue(&house, A, 0);
    let mut line = Line::open(house.stand.expect("a stand door"));
    let turns = [
        ("", "IDENT\tV1\r\n\r\n".to_owned()),
        (&*format!("ID\tV1\tBURNDVD\t{ONE}\r\n\r\n"), "CAPAB\r\n\r\n".to_owned()),
        (&*format!("CAP\tBURNDVD\t{A}\r\n\r\n"), format!("WHATIS\t{A}\r\n\r\n")),
        ("STATUS\tDVD\tAVAIL\r\n\r\nSTATUS\tDVD\tAVAIL\r\n\r\n", format!("BURN\t{A}\r\n\r\n")),
    ];
    for (said, heard) in turns {
        line.say_bytes(said.as_bytes());
        assert_eq!(String::from_utf8(line.hear_raw(heard.len())).expect("text"), heard);
    }
    let rest = format!(
        "STATUS\t{A}\t0\r\n\r\nSTATUS\t{A}\t25\r\n\r\nSTATUS\t{A}\t50\r\n\r\nSTATUS\t{A}\t75\r\n\r\n\
         STATUS\t{A}\t100\tTIME\t512\r\n\r\nSTATUS\t{A}\tPASS\r\n\r\n"
    );
    line.say_bytes(rest.as_bytes());
    until("it is burnt", || state(&house, 1) == "destroyed");
    line.hang_up();
    line.expect_end();
}

#[test]
fn junk_is_answered_and_does_no_harm() {
    let house = house();
    let address = house.stand.expect("a stand door");
    let mut seed = 7u64;
    let mut junk = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as u8
    };
    for round in 0..20 {
        let mut line = Line::open(address);
        line.expect("IDENT\tV1");
        if round % 2 == 1 {
            line.say(&format!("ID\tV1\tCOMMAND\t{ME}"));
        }
        let words: [&[u8]; 6] = [b"QUEUE\t", b"\r\n\r\n", b"STATUS\t", b"\xff\0", b"PUSH\tx\ty", b"\t"];
        let mut bytes = Vec::new();
        for _ in 0..2_000 {
            match junk() {
                byte @ 0..200 => bytes.push(byte),
                byte => bytes.extend_from_slice(words[byte as usize % words.len()]),
            }
        }
        // The server may hang up in the middle.
        let _ = line.try_say_bytes(&bytes);
        drop(line);
    }
    let mut line = Line::client(address, "DISPLAY", ME);
    assert_eq!(line.ask("QREPORT"), "QLIST");
}

#[test]
fn a_message_without_an_end_is_hung_up_on() {
    let house = Place::with(&super::lab_with("report_ms = 1000", "message_bytes_max = 1024"));
    let mut line = Line::client(house.stand.expect("a stand door"), "DISPLAY", ME);
    assert_eq!(line.ask(&format!("WHATIS\t{A}")), "INFO\tENOIDEA");
    line.say_bytes(&[b'x'; 2_000]);
    assert!(line.hear().expect("a last word").starts_with("ERROR\tTOOBIG\t"));
    line.expect_end();
}

#[test]
fn who_looks_on_gives_no_commands_and_a_guests_door_takes_none() {
    let house = Place::with(&super::lab_with("report_ms = 1000", "role = \"guest\""));
    let address = house.stand.expect("a stand door");
    let mut display = Line::client(address, "DISPLAY", ME);
    let mut command = Line::client(address, "COMMAND", ME);
    for wish in [format!("QUEUE\t{A}\t1"), "QCLEAR".into(), "QDEL\t1".into(), format!("OPEN\t{ONE}")] {
        for line in [&mut display, &mut command] {
            let answer = line.command(&wish);
            assert!(answer.starts_with("ERROR\tNOTALLOWED\t"), "{wish}: {answer}");
        }
    }
    let said = format!("PUSH\t{A}\t3{END}abcQREPORT");
    assert!(command.command(&said).starts_with("ERROR\tNOTALLOWED\t"));
    command.expect("QLIST");
}

#[test]
fn what_a_queue_takes_and_what_not() {
    let house = house();
    let _burner = burner(&house, ONE, &[A]);
    let mut command = super::commander(&house);
    for (wish, answer) in [
        (format!("QUEUE\t{A}\t1"), "QOK"),
        (format!("QUEUE\t{C}\t-7"), "QOK"),
        (format!("QUEUE\t{A}\tsoon"), "QNO"),
        (format!("QUEUE\t{}\t1", &A[1..]), "QNO"),
        (format!("QUEUE\t{}\t1", A.to_uppercase()), "QNO"),
        ("QDEL\t77".into(), "QNO"),
        (format!("NAME\t{C}\tnobody"), "QNO"),
        (format!("OPEN\t{C}"), "QNO"),
    ] {
        assert_eq!(command.command(&wish), answer, "{wish}");
    }
    assert!(command.command(&format!("QUEUE\t{A}")).starts_with("ERROR\tBADMSG\t"));
    assert_eq!(super::queued(&house), [format!("2\t{C}\t-7"), format!("1\t{A}\t1")]);
}
