//! Images that are brought and fetched.

use super::{A, LAB, ME, ONE, burner, until};
use crate::cli::Dir;
use crate::house::House;
use crate::stand_line::{END, Line};
use std::path::Path;

/// "hello, world" and what md5 makes of it.
const HELLO: &[u8] = b"hello, world";
const HELLO_MD5: &str = "e4d7f1b4ed2e42d15898f4b27b019da4";
/// The md5 of nothing.
const NOTHING_MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";
/// The md5 of 600,000 bytes that count from 0 to 250 again and again.
const LONG_MD5: &str = "386e1f539b63d1f381677b9820b7124f";

fn config(dir: &Dir) -> String {
    let data = dir.path("data");
    format!(
        "data_dir = \"{data}\"\n{}",
        LAB.replace(
            "report_ms = 1000",
            "images_bytes_max = 1_000_000\nimage_bytes_max = 700_000\nimages_max = 3"
        )
    )
}

fn long() -> Vec<u8> {
    (0..600_000u32).map(|number| (number % 251) as u8).collect()
}

fn kept(dir: &Dir) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(Path::new(&dir.path("data")).join("images")) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn push(line: &mut Line, hash: &str, bytes: &[u8]) -> String {
    line.say(&format!("PUSH\t{hash}\t{}", bytes.len()));
    line.say_bytes(bytes);
    line.answer()
}

#[test]
fn an_image_is_brought_and_fetched_whole() {
    let dir = Dir::new("stand-images");
    let house = House::with(&config(&dir));
    let mut line = Line::client(house.stand.expect("a stand door"), "DISPLAY", ME);
    assert_eq!(push(&mut line, HELLO_MD5, HELLO), "QOK");
    line.expect(&format!("WHATIS\t{HELLO_MD5}"));
    line.say(&format!("INFO\t{HELLO_MD5}\t../../etc/passwd\tGreets."));
    assert_eq!(push(&mut line, LONG_MD5, &long()), "QOK");
    line.expect(&format!("WHATIS\t{LONG_MD5}"));
    // In one breath, and others' questions behind it.
    let mut other = Line::client(house.stand.expect("a stand door"), "COMMAND", ME);
    other.say(&format!("GET\t{LONG_MD5}{END}GET\t{HELLO_MD5}{END}WHATIS\t{HELLO_MD5}{END}ASKCAP"));
    other.expect(&format!("DATA\t{LONG_MD5}\t600000"));
    assert!(other.hear_raw(600_000) == long());
    other.expect(&format!("DATA\t{HELLO_MD5}\t12"));
    assert_eq!(other.hear_raw(12), HELLO);
    other.expect(&format!("INFO\t{HELLO_MD5}\t../../etc/passwd\tGreets."));
    other.expect(&format!("CAP\t{LONG_MD5}\t{HELLO_MD5}"));
    assert!(other.ask(&format!("GET\t{A}")).starts_with("ERROR\tNOISO\t"));
    until("what it is called is written down", || kept(&dir).len() == 3);
    assert_eq!(kept(&dir), [LONG_MD5.to_owned(), HELLO_MD5.to_owned(), format!("{HELLO_MD5}.info")]);
    drop((line, other));
    // The next server has it all.
    let house = house.reopen();
    let mut line = Line::client(house.stand.expect("a stand door"), "DISPLAY", ME);
    assert_eq!(
        line.ask(&format!("WHATIS\t{HELLO_MD5}")),
        format!("INFO\t{HELLO_MD5}\t../../etc/passwd\tGreets.")
    );
    assert_eq!(line.ask(&format!("GET\t{HELLO_MD5}")), format!("DATA\t{HELLO_MD5}\t12"));
    assert_eq!(line.hear_raw(12), HELLO);
}

#[test]
fn what_is_not_kept_leaves_nothing_and_the_next_message_is_understood() {
    let dir = Dir::new("stand-bad-images");
    let house = House::with(&config(&dir));
    let mut line = Line::client(house.stand.expect("a stand door"), "DISPLAY", ME);
    assert!(push(&mut line, A, HELLO).starts_with("ERROR\tBADHASH\t"));
    assert!(push(&mut line, A, &long()).starts_with("ERROR\tBADHASH\t"));
    let large = vec![b'\n'; 700_001];
    assert!(push(&mut line, A, &large).starts_with("ERROR\tTOOBIG\t"));
    line.say(&format!("PUSH\t{}\t12", &A[1..]));
    line.say_bytes(HELLO);
    assert!(line.answer().starts_with("ERROR\tBADHASH\t"));
    assert_eq!((line.ask("QREPORT"), kept(&dir)), ("QLIST".into(), vec![]));
    // Twice the same is no more room than once, and what is full takes nothing.
    assert_eq!(push(&mut line, LONG_MD5, &long()), "QOK");
    line.expect(&format!("WHATIS\t{LONG_MD5}"));
    assert!(push(&mut line, A, &long()).starts_with("ERROR\tTOOBIG\t"));
    assert_eq!(push(&mut line, NOTHING_MD5, b""), "QOK");
    line.expect(&format!("WHATIS\t{NOTHING_MD5}"));
    assert_eq!(line.ask(&format!("GET\t{NOTHING_MD5}")), format!("DATA\t{NOTHING_MD5}\t0"));
    assert_eq!(line.ask("QREPORT"), "QLIST");
}

#[test]
fn an_image_that_stops_coming_leaves_nothing() {
    let dir = Dir::new("stand-part-images");
    let house = House::with(&config(&dir));
    let address = house.stand.expect("a stand door");
    let mut gone = Line::client(address, "DISPLAY", ME);
    gone.say(&format!("PUSH\t{LONG_MD5}\t600000"));
    gone.say_bytes(&long()[..400_000]);
    until("part of it is there", || kept(&dir).iter().any(|name| name.ends_with(".part")));
    drop(gone);
    until("nothing is left of it", || kept(&dir).is_empty());
    let mut silent = Line::client(address, "DISPLAY", ME);
    silent.say(&format!("PUSH\t{LONG_MD5}\t600000"));
    silent.say_bytes(&long()[..400_000]);
    until("part of it is there", || kept(&dir).iter().any(|name| name.ends_with(".part")));
    until("it is hung up on", || {
        house.clock.advance(10_000);
        kept(&dir).is_empty()
    });
    silent.expect_end();
    let mut line = Line::client(address, "DISPLAY", ME);
    assert_eq!(push(&mut line, LONG_MD5, &long()), "QOK", "its room was given back");
}

#[test]
fn a_burner_that_has_joined_fetches_what_it_is_to_burn() {
    let dir = Dir::new("stand-fetched-images");
    let house = House::with(&config(&dir));
    let mut line = Line::client(house.stand.expect("a stand door"), "COMMAND", ME);
    assert_eq!(push(&mut line, HELLO_MD5, HELLO), "QOK");
    assert_eq!(line.answer(), format!("WHATIS\t{HELLO_MD5}"));
    assert_eq!(line.command(&format!("QUEUE\t{HELLO_MD5}\t0")), "QOK");
    let mut burner = burner(&house, ONE, &[]);
    assert_eq!(burner.ask(&format!("GET\t{HELLO_MD5}")), format!("DATA\t{HELLO_MD5}\t12"));
    assert_eq!(burner.hear_raw(12), HELLO);
    burner.say(&format!("CAP\tBURNDVD\t{HELLO_MD5}"));
    burner.say("STATUS\tDVD\tAVAIL");
    while burner.hear().expect("a message") != format!("BURN\t{HELLO_MD5}") {}
}
