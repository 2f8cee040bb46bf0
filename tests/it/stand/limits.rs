//! Limits and times of the stand door.

use super::{A, ME, Place, house, lab_with};
use crate::stand_line::{END, Line};

#[test]
fn whoever_does_not_say_who_it_is_is_hung_up_on() {
    let house = house();
    let address = house.stand.expect("a stand door");
    let mut known = Line::client(address, "DISPLAY", ME);
    let (mut silent, mut slow) = (Line::open(address), Line::open(address));
    silent.expect("IDENT\tV1");
    slow.expect("IDENT\tV1");
    slow.say_bytes(b"ID\tV1\tDISP");
    assert!(slow.hear_is_pending());
    // How far the server is with them is not known, so time passes until it is.
    let ticking = crate::house::Ticking::start(&house.clock, 1_000);
    silent.expect_end();
    slow.expect_end();
    drop(ticking);
    assert_eq!(known.ask("QREPORT"), "QLIST");
}

#[test]
fn a_flood_is_answered_message_by_message() {
    let house = house();
    let mut line = Line::client(house.stand.expect("a stand door"), "BURNDVD", ME);
    let mut other = Line::client(house.stand.expect("a stand door"), "DISPLAY", ME);
    let flood = format!("WHATIS\t{A}{END}QREPORT{END}").repeat(10_000);
    std::thread::scope(|scope| {
        let mut sayer = line.twin();
        scope.spawn(move || sayer.say_bytes(flood.as_bytes()));
        for _ in 0..10_000 {
            line.expect("INFO\tENOIDEA");
            line.expect("QLIST");
        }
    });
    assert_eq!(other.ask("QREPORT"), "QLIST");
}

#[test]
fn a_connection_has_so_many_messages_a_second() {
    let house = Place::with(&lab_with("rate_per_s = 0", "rate_per_s = 5"));
    let mut line = Line::client(house.stand.expect("a stand door"), "BURNDVD", ME);
    line.say_bytes(format!("QREPORT{END}").repeat(10).as_bytes());
    // The introduction was the first.
    for _ in 0..4 {
        line.expect("QLIST");
    }
    assert!(line.hear_is_pending());
    house.clock.advance(200);
    line.expect("QLIST");
    let ticking = crate::house::Ticking::start(&house.clock, 200);
    for _ in 0..5 {
        line.expect("QLIST");
    }
    drop(ticking);
}

#[test]
fn who_may_not_come_in_is_hung_up_on() {
    let house = Place::with(&lab_with("report_ms = 1000", "allow = [\"10.0.0.0/8\"]"));
    Line::open(house.stand.expect("a stand door")).expect_end();
}

#[test]
fn displays_are_told_good_bye_by_the_end_of_the_server() {
    let house = house();
    let mut line = Line::client(house.stand.expect("a stand door"), "DISPLAY", ME);
    drop(house);
    line.expect_end();
}

#[test]
fn whoever_announces_a_file_before_it_says_who_it_is_is_hung_up_on() {
    let house = house();
    let mut line = Line::open(house.stand.expect("a stand door"));
    line.expect("IDENT\tV1");
    line.say(&format!("PUSH\t{A}\t1000000"));
    assert!(line.hear().expect("a last word").starts_with("ERROR\tNOID\t"));
    line.expect_end();
}

#[test]
fn nobody_stays_nobody_by_talking() {
    let house = Place::with(&lab_with("rate_per_s = 0", "rate_per_s = 5"));
    let mut line = Line::open(house.stand.expect("a stand door"));
    line.expect("IDENT\tV1");
    line.say_bytes(format!("QREPORT{END}").repeat(2_000).as_bytes());
    let ticking = crate::house::Ticking::start(&house.clock, 200);
    let answers = std::iter::from_fn(|| line.hear()).count();
    drop(ticking);
    assert!((5..1_000).contains(&answers), "{answers}");
}
