//! Burners that are told too late, in vain or twice; and what is offered meanwhile.

use super::{A, B, ME, ONE, Place, TWO, board, burner, house, lab_with, queue, queued, state, until};
use crate::house::House;
use crate::stand_line::{END, Line};
use berth::lab::fact::{Event, Fact};
use md5::{Digest, Md5};
use serde_json::json;

/// The lab with an order that is overdue after two seconds, and boards that are tested again after so many.
fn hasty(retest_after_s: u32) -> Place {
    let lab = lab_with("controller = \"agent\"", "controller = \"agent\"\norder_s_max = 2");
    Place::with(&format!("{lab}\n[quarantine]\nretest_after_s = {retest_after_s}\n"))
}

/// A burner that was told to burn the only image of the queue, and said nothing until it was set aside.
fn overdue(house: &House) -> Line {
    queue(house, A, 9);
    let mut burner = burner(house, ONE, &[A]);
    burner.say("STATUS\tDVD\tAVAIL");
    burner.expect(&format!("BURN\t{A}"));
    house.clock.advance(2_000);
    until("its board is set aside", || board(house, ONE)["state"] == "quarantined");
    assert_eq!(queued(house), [format!("1\t{A}\t5")]);
    burner
}

/// Says twice that there is a disc: the first time may have crossed with what it was told.
fn say_avail_twice(burner: &mut Line) {
    burner.say("STATUS\tDVD\tAVAIL");
    burner.say("STATUS\tDVD\tAVAIL");
}

#[test]
fn a_burner_that_did_not_begin_is_told_again_once_it_was_tested() {
    let house = hasty(2);
    let mut burner = overdue(&house);
    house.clock.advance(2_000);
    until("its board is back", || board(&house, ONE)["state"] == "free");
    say_avail_twice(&mut burner);
    burner.expect(&format!("BURN\t{A}"));
    burner.say(&format!("STATUS\t{A}\t0"));
    burner.say(&format!("STATUS\t{A}\tPASS"));
    until("it is burnt", || state(&house, 1) == "destroyed");
}

#[test]
fn a_burner_that_did_not_begin_offers_again_while_nobody_tests_it() {
    let house = hasty(0);
    let mut burner = overdue(&house);
    say_avail_twice(&mut burner);
    until("its board offers the image", || board(&house, ONE)["offers"] == json!([A]));
    assert_eq!(board(&house, ONE)["state"], "quarantined");
}

#[test]
fn a_burner_that_takes_its_place_over_with_a_good_disc_is_done() {
    let house = house();
    queue(&house, A, 0);
    let mut first = burner(&house, ONE, &[A]);
    first.say("STATUS\tDVD\tAVAIL");
    first.expect(&format!("BURN\t{A}"));
    first.say(&format!("STATUS\t{A}\t75"));
    until("it burns", || state(&house, 1) == "ready");
    let mut second = Line::client(house.stand.expect("a stand door"), "BURNDVD", ONE);
    second.say(&format!("STATUS\t{A}\tPASS"));
    until("it is burnt", || state(&house, 1) == "destroyed");
    first.expect_end();
    assert_eq!(second.ask("QREPORT"), "QLIST", "it was told nothing");
    until("its board is free", || board(&house, ONE)["state"] == "free");
}

#[test]
fn a_burner_that_takes_its_place_over_with_an_empty_tray_is_told_anew() {
    let house = house();
    queue(&house, A, 0);
    let mut first = burner(&house, ONE, &[A]);
    first.say("STATUS\tDVD\tAVAIL");
    first.expect(&format!("BURN\t{A}"));
    first.say(&format!("STATUS\t{A}\t75"));
    until("it burns", || state(&house, 1) == "ready");
    let mut second = Line::client(house.stand.expect("a stand door"), "BURNDVD", ONE);
    second.say("STATUS\tDVD\tEMPTY");
    until("the image waits again", || queued(&house) == [format!("1\t{A}\t5")]);
    second.say(&format!("CAP\t{A}"));
    second.expect(&format!("WHATIS\t{A}"));
    second.say("STATUS\tDVD\tAVAIL");
    second.expect(&format!("BURN\t{A}"));
}

#[test]
fn a_burner_that_fetches_a_file_is_told_to_burn_when_it_has_it() {
    let house = house();
    // More than two sockets hold.
    let file = vec![7; 24_000_000];
    let hash: String = Md5::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut display = Line::client(house.stand.expect("a stand door"), "DISPLAY", ME);
    display.say(&format!("PUSH\t{hash}\t{}", file.len()));
    display.say_bytes(&file);
    assert_eq!(display.answer(), "QOK");
    let mut burner = burner(&house, ONE, &[A]);
    burner.say("STATUS\tDVD\tAVAIL");
    until("its board offers the image", || board(&house, ONE)["offers"] == json!([A]));
    burner.say(&format!("GET\t{hash}"));
    burner.expect(&format!("DATA\t{hash}\t{}", file.len()));
    until("its board offers nothing", || board(&house, ONE)["offers"] == json!([]));
    queue(&house, A, 0);
    assert_eq!(state(&house, 1), "queued");
    assert!(burner.hear_raw(file.len()) == file);
    burner.expect(&format!("BURN\t{A}"));
}

#[test]
fn a_burner_that_brings_a_file_is_told_to_burn_when_it_is_there() {
    let house = house();
    let mut burner = burner(&house, ONE, &[A]);
    burner.say("STATUS\tDVD\tAVAIL");
    until("its board offers the image", || board(&house, ONE)["offers"] == json!([A]));
    burner.say(&format!("PUSH\t{B}\t4"));
    burner.say_bytes(b"ab");
    until("its board offers nothing", || board(&house, ONE)["offers"] == json!([]));
    queue(&house, A, 0);
    assert_eq!(state(&house, 1), "queued");
    burner.say_bytes(b"cd");
    assert!(burner.hear().expect("an answer").starts_with("ERROR\tBADHASH\t"));
    burner.say("STATUS\tDVD\tAVAIL");
    burner.expect(&format!("BURN\t{A}"));
}

#[test]
fn a_burner_that_cannot_make_up_its_mind_writes_no_journal_full() {
    let house = house();
    let images: Vec<_> = (0..200).map(|number| format!("{number:032x}")).collect();
    let mut line = burner(&house, ONE, &images.iter().map(String::as_str).collect::<Vec<_>>());
    line.say_bytes(format!("STATUS\tDVD\tAVAIL{END}STATUS\tDVD\tEMPTY{END}").repeat(500).as_bytes());
    assert_eq!(line.ask("SREPORT"), format!("SLIST\t{ONE}\t\tDVD\tDVD\tEMPTY"));
    // What another burner offers comes behind all that.
    let mut other = self::burner(&house, TWO, &[A]);
    other.say("STATUS\tDVD\tAVAIL");
    until("it is there", || board(&house, TWO)["offers"] == json!([A]));
    let is_offer =
        |fact: &&Fact| matches!(&fact.event, Event::BoardOffers { offers, .. } if offers.len() == 200);
    let kept = house.journal.facts().iter().filter(is_offer).count();
    assert!((1..=10).contains(&kept), "{kept} of 500");
    // Later it counts again.
    house.clock.advance(1_000);
    line.say("STATUS\tDVD\tAVAIL");
    until("it offers all", || board(&house, ONE)["offers"].as_array().is_some_and(|all| all.len() == 200));
}

#[test]
fn a_burner_that_brings_a_file_slowly_is_not_lost() {
    let house = house();
    let mut burner = burner(&house, ONE, &[A]);
    let file = vec![7; 8];
    let hash: String = Md5::digest(&file).iter().map(|byte| format!("{byte:02x}")).collect();
    burner.say(&format!("PUSH\t{hash}\t{}", file.len()));
    let seen = || {
        let call = json!({"fname": "list_workers", "machine": "burners"});
        crate::socket::Socket::guest(house.address).call(call).expect("workers")
    };
    let mut before = seen();
    for byte in file {
        house.clock.advance(5_000);
        burner.say_bytes(&[byte]);
        until("it was seen", || seen() != before);
        before = seen();
    }
    burner.expect("QOK");
}
