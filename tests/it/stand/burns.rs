//! What becomes of burns: good ones, bad ones, and those whose burner, holder or server goes away.

use super::{
    A, B, C, ONE, Place, TWO, board, burner, burner_of, commander, house, job, lab_with, queue, queued,
    state, until,
};
use crate::house::House;
use crate::socket::Socket;
use crate::stand_line::Line;
use serde_json::json;

/// Has a burner begin with the only image that waits.
fn begun(house: &House, burner: &mut Line, image: &str) {
    burner.say("STATUS\tDVD\tAVAIL");
    burner.expect(&format!("BURN\t{image}"));
    burner.say(&format!("STATUS\t{image}\t0"));
    until("it burns", || board(house, ONE)["state"] == "lent" && queued(house).is_empty());
}

/// How many burns of the first burner were good, and how many were not.
fn tally(house: &House) -> (u64, u64) {
    let board = board(house, ONE);
    (board["done"].as_u64().expect("a number"), board["failed"].as_u64().expect("a number"))
}

#[test]
fn the_lower_number_burns_first_and_then_the_older() {
    let house = house();
    for (image, priority) in [(A, 5), (B, -2), (C, 5), (A, 0)] {
        queue(&house, image, priority);
    }
    let rows = [format!("2\t{B}\t-2"), format!("4\t{A}\t0"), format!("1\t{A}\t5"), format!("3\t{C}\t5")];
    assert_eq!(queued(&house), rows);
    let mut burner = burner(&house, ONE, &[A, B, C]);
    for image in [B, A, A, C] {
        burner.say("STATUS\tDVD\tAVAIL");
        burner.expect(&format!("BURN\t{image}"));
        burner.say(&format!("STATUS\t{image}\t0"));
        burner.say(&format!("STATUS\t{image}\tPASS"));
    }
    until("all are burnt", || (1..=4).all(|number| state(&house, number) == "destroyed"));
    assert_eq!(tally(&house), (4, 0));
}

#[test]
fn a_burner_that_vanishes_puts_its_image_back_and_goes_on_when_it_returns() {
    let house = house();
    queue(&house, A, 9);
    let mut first = burner(&house, ONE, &[A]);
    begun(&house, &mut first, A);
    until("it is lent", || state(&house, 1) == "ready");
    drop(first);
    until("the image waits again", || queued(&house) == [format!("1\t{A}\t5")]);
    let mut line = Line::client(house.stand.expect("a stand door"), "BURNDVD", super::ME);
    until("it is shown as away", || line.ask("SREPORT") == format!("SLIST\t{ONE}\t\tDVD\tDISCONN"));
    let mut again = burner(&house, ONE, &[A]);
    assert_eq!(again.ask("SREPORT"), format!("SLIST\t{ONE}\t\tDVD"));
    again.say("STATUS\tDVD\tAVAIL");
    again.expect(&format!("BURN\t{A}"));
    again.say(&format!("STATUS\t{A}\t0"));
    again.say(&format!("STATUS\t{A}\tPASS"));
    until("it is burnt", || state(&house, 1) == "destroyed");
    assert_eq!(tally(&house), (1, 1));
}

#[test]
fn a_bad_disc_is_burnt_again_before_others() {
    let house = house();
    queue(&house, A, 9);
    let mut burner = burner(&house, ONE, &[A, B]);
    begun(&house, &mut burner, A);
    queue(&house, B, 6);
    burner.say(&format!("STATUS\t{A}\tFAIL"));
    until("it waits again", || queued(&house) == [format!("1\t{A}\t5"), format!("2\t{B}\t6")]);
    burner.say("STATUS\tDVD\tAVAIL");
    burner.expect(&format!("BURN\t{A}"));
}

#[test]
fn an_image_that_a_burner_lacks_is_not_given_to_it_again() {
    let house = house();
    queue(&house, A, 0);
    queue(&house, B, 9);
    let mut first = burner(&house, ONE, &[A, B]);
    first.say("STATUS\tDVD\tAVAIL");
    first.expect(&format!("BURN\t{A}"));
    first.say("ERROR\tNOISO\tno such image here");
    // The disc is still blank, and the other image is there.
    first.say("STATUS\tDVD\tAVAIL");
    first.expect(&format!("BURN\t{B}"));
    assert_eq!(queued(&house), [format!("1\t{A}\t5")]);
    let mut second = burner(&house, TWO, &[A]);
    second.say("STATUS\tDVD\tAVAIL");
    second.expect(&format!("BURN\t{A}"));
}

#[test]
fn burners_are_given_what_they_hold_and_what_fits() {
    let house = house();
    queue(&house, C, 0);
    queue(&house, B, 1);
    queue(&house, A, 2);
    let (mut first, mut second) = (burner(&house, ONE, &[A]), burner_of(&house, "CDR", TWO, &[B]));
    first.say("STATUS\tDVD\tAVAIL");
    first.expect(&format!("BURN\t{A}"));
    // A burner of CDs can do nothing with a DVD.
    second.say("STATUS\tDVD\tAVAIL");
    second.say("STATUS\tCDR\tAVAIL");
    second.expect(&format!("BURN\t{B}"));
    assert_eq!(queued(&house), [format!("1\t{C}\t0")], "nobody has it");
    let mut socket = Socket::guest(house.address);
    let why = socket.call(json!({"fname": "explain_job", "job_id": 1})).expect("an explanation");
    assert!(why.to_string().contains(C), "{why}");
}

#[test]
fn the_same_jobs_are_seen_and_ended_at_the_native_door() {
    let house = Place::with(&lab_with("report_ms = 1000", "open = true"));
    let mut socket = Socket::guest(house.address);
    let mut burner = burner(&house, ONE, &[A]);
    let call = json!({"fname": "create_job", "machine": "burners", "kind": "burn", "kind_args": {"image": A},
                      "boards": 1, "keepalive": null});
    assert_eq!(socket.call(call), Ok(json!(1)));
    queue(&house, B, 0);
    until("it is shown", || queued(&house).contains(&format!("2\t{B}\t0")));
    let jobs = socket.call(json!({"fname": "list_jobs"})).expect("jobs");
    let seen: Vec<_> = jobs["jobs"]
        .as_array()
        .or(jobs.as_array())
        .expect("a list")
        .iter()
        .map(|job| job["job_id"].clone())
        .collect();
    assert_eq!(seen, [json!(1), json!(2)]);
    burner.say("STATUS\tDVD\tAVAIL");
    burner.expect(&format!("BURN\t{A}"));
    burner.say(&format!("STATUS\t{A}\t25"));
    until("it burns", || state(&house, 1) == "ready");
    assert_eq!(socket.call(json!({"fname": "destroy_job", "job_id": 1})), Ok(json!(null)));
    burner.expect("OPEN");
    until("the burner is free", || board(&house, ONE)["state"] == "free");
    // It burns on to the end, which is nobody's affair any more.
    burner.say(&format!("STATUS\t{A}\tPASS"));
    assert_eq!(burner.ask("SREPORT"), format!("SLIST\t{ONE}\t\tDVD\t{A}\tPASS"));
    assert_eq!(tally(&house), (0, 0));
}

#[test]
fn trays_are_opened_after_a_burn_where_that_is_wanted() {
    let house = Place::with(&lab_with("report_ms = 1000", "open = true"));
    queue(&house, A, 0);
    let mut burner = burner(&house, ONE, &[A]);
    begun(&house, &mut burner, A);
    burner.say(&format!("STATUS\t{A}\tPASS"));
    burner.expect("OPEN");
    burner.say("STATUS\tDVD\tOPEN");
    assert_eq!(burner.ask("SREPORT"), format!("SLIST\t{ONE}\t\tDVD\tDVD\tOPEN"));
}

#[test]
fn the_queue_is_cleared_and_burners_are_named_and_found() {
    let house = house();
    let mut burner = burner(&house, ONE, &[A]);
    let mut command = commander(&house);
    for _ in 0..3 {
        queue(&house, A, 0);
    }
    burner.say("STATUS\tDVD\tAVAIL");
    burner.expect(&format!("BURN\t{A}"));
    assert_eq!(command.command("QDEL\t3"), "QOK");
    assert_eq!(command.command("QDEL\t3"), "QNO");
    assert_eq!(queued(&house), [format!("2\t{A}\t0")]);
    assert_eq!(command.command("QCLEAR"), "QOK");
    assert_eq!((queued(&house).len(), state(&house, 1)), (0, "power".into()), "what burns goes on");
    assert_eq!(command.command(&format!("NAME\t{ONE}\tby the door")), "QOK");
    assert_eq!(command.command(&format!("OPEN\t{ONE}")), "QOK");
    burner.expect("OPEN");
    assert_eq!(burner.ask("SREPORT"), format!("SLIST\t{ONE}\tby the door\tDVD\tDVD\tAVAIL"));
    drop(burner);
    let away = format!("SLIST\t{ONE}\tby the door\tDVD\tDISCONN");
    let mut line = Line::client(house.stand.expect("a stand door"), "BURNDVD", super::ME);
    until("it is shown as away", || line.ask("SREPORT") == away);
}

#[test]
fn a_burner_that_introduces_itself_again_takes_the_place_of_itself() {
    let house = house();
    queue(&house, A, 0);
    let mut first = burner(&house, ONE, &[A]);
    begun(&house, &mut first, A);
    until("it is lent", || state(&house, 1) == "ready");
    // Its old connection is not known to be dead.
    let mut second = burner(&house, ONE, &[A]);
    first.expect_end();
    second.say(&format!("STATUS\t{A}\t50"));
    assert_eq!(second.ask("SREPORT"), format!("SLIST\t{ONE}\t\tDVD\t{A}\t50"));
    assert_eq!((state(&house, 1), queued(&house).len()), ("ready".into(), 0));
    second.say(&format!("STATUS\t{A}\tPASS"));
    until("it is burnt", || state(&house, 1) == "destroyed");
    assert_eq!(tally(&house), (1, 0));
}

#[test]
fn a_burn_goes_on_over_a_restart_of_the_server() {
    let house = house();
    queue(&house, A, 0);
    let mut first = burner(&house, ONE, &[A]);
    begun(&house, &mut first, A);
    until("it is lent", || state(&house, 1) == "ready");
    let house = house.reopen();
    assert_eq!(state(&house, 1), "ready");
    let mut again = burner(&house, ONE, &[A]);
    again.say(&format!("STATUS\t{A}\t75"));
    again.say(&format!("STATUS\t{A}\tPASS"));
    until("it is burnt", || state(&house, 1) == "destroyed");
    assert_eq!(job(&house, 1)["reason"], format!("done: burnt by {ONE}"));
    assert_eq!(tally(&house), (1, 0));
}

#[test]
fn a_burner_that_forgot_its_burn_over_a_restart_is_told_anew() {
    let house = house();
    queue(&house, A, 0);
    let mut first = burner(&house, ONE, &[A]);
    begun(&house, &mut first, A);
    until("it is lent", || state(&house, 1) == "ready");
    let house = house.reopen();
    let mut again = burner(&house, ONE, &[A]);
    again.say("STATUS\tDVD\tEMPTY");
    until("the image waits again", || queued(&house) == [format!("1\t{A}\t5")]);
    again.say("STATUS\tDVD\tAVAIL");
    again.expect(&format!("BURN\t{A}"));
}

#[test]
fn a_silent_burner_is_lost_and_its_image_goes_to_another() {
    let house = house();
    queue(&house, A, 0);
    let mut first = burner(&house, ONE, &[A]);
    begun(&house, &mut first, A);
    until("it is lent", || state(&house, 1) == "ready");
    house.clock.advance(599_999);
    assert_eq!(state(&house, 1), "ready");
    house.clock.advance(1);
    until("the image waits again", || queued(&house) == [format!("1\t{A}\t5")]);
    until("its board is offline", || board(&house, ONE)["state"] == "offline");
    let mut line = Line::client(house.stand.expect("a stand door"), "BURNDVD", super::ME);
    assert_eq!(line.ask("SREPORT"), format!("SLIST\t{ONE}\t\tDVD\tDISCONN"));
    // It lives after all.
    first.say(&format!("STATUS\t{A}\tPASS"));
    first.say("STATUS\tDVD\tAVAIL");
    first.expect(&format!("BURN\t{A}"));
}

#[test]
fn simulated_burners_of_the_servers_own_burn_what_is_queued() {
    let house = Place::with(&lab_with("report_ms = 1000", "simulated_burners = 2"));
    let mut line = Line::client(house.stand.expect("a stand door"), "BURNDVD", super::ME);
    let mut known = String::new();
    until("they are there", || {
        known = line.ask("ASKCAP");
        known.split('\t').count() == 4 && line.ask("SREPORT").matches("AVAIL").count() == 2
    });
    let image = known.split('\t').nth(1).expect("an image").to_owned();
    for _ in 0..4 {
        queue(&house, &image, 0);
    }
    let ticking = crate::house::Ticking::start(&house.clock, 50);
    until("all are burnt", || (1..=4).all(|number| state(&house, number) == "destroyed"));
    drop(ticking);
    assert!(job(&house, 4)["reason"].as_str().expect("a reason").starts_with("done: burnt by"));
}
