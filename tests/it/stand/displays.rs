//! What displays are told of themselves: both lists when one of them changes, at most so often.

use super::{A, B, ME, ONE, Place, burner, commander, house, queue};
use crate::stand_line::Line;

#[test]
fn a_display_is_told_of_changes_at_most_once_a_second() {
    let house = house();
    let mut display = Line::client(house.stand.expect("a stand door"), "DISPLAY", ME);
    queue(&house, A, 3);
    display.expect(&format!("QLIST\t1\t{A}\t3"));
    display.expect("SLIST");
    queue(&house, B, 1);
    queue(&house, B, 2);
    // Until the second is over it must ask.
    assert_eq!(display.ask("QREPORT"), format!("QLIST\t2\t{B}\t1\r\n3\t{B}\t2\r\n1\t{A}\t3"));
    super::until("the rest is told once the second is over", || {
        house.clock.advance(1_000);
        display.say("ASKCAP");
        display.hear().expect("a message").starts_with("QLIST")
    });
    display.expect("SLIST");
    display.answer();
    let mut burner = burner(&house, ONE, &[]);
    burner.say("STATUS\tDVD\tEMPTY");
    let row = format!("SLIST\t{ONE}\t\tDVD\tDVD\tEMPTY");
    let ticking = crate::house::Ticking::start(&house.clock, 100);
    while display.hear().expect("a message") != row {}
    drop(ticking);
}

#[test]
fn what_a_display_was_answered_in_between_is_told_again_when_it_is_true_no_more() {
    let house = house();
    let mut display = Line::client(house.stand.expect("a stand door"), "DISPLAY", ME);
    let mut command = commander(&house);
    assert_eq!(command.command(&format!("QUEUE\t{A}\t3")), "QOK");
    display.expect(&format!("QLIST\t1\t{A}\t3"));
    display.expect("SLIST");
    assert_eq!(command.command(&format!("QUEUE\t{B}\t4")), "QOK");
    assert_eq!(display.ask("QREPORT"), format!("QLIST\t1\t{A}\t3\r\n2\t{B}\t4"));
    assert_eq!(command.command("QDEL\t2"), "QOK");
    // What is true now was told before; but the display has another answer.
    let ticking = crate::house::Ticking::start(&house.clock, 100);
    display.expect(&format!("QLIST\t1\t{A}\t3"));
    display.expect("SLIST");
    drop(ticking);
}

#[test]
fn a_thousand_displays_see_the_last_state_of_a_changing_queue() {
    let house = house();
    let address = house.stand.expect("a stand door");
    let mut displays: Vec<_> = (0..1_000).map(|_| Line::client(address, "DISPLAY", ME)).collect();
    let mut command = commander(&house);
    for round in 0..50 {
        assert_eq!(command.command(&format!("QUEUE\t{A}\t{round}")), "QOK");
        house.clock.advance(100);
    }
    assert_eq!(command.command("QCLEAR"), "QOK");
    assert_eq!(command.command(&format!("QUEUE\t{B}\t7")), "QOK");
    let ticking = crate::house::Ticking::start(&house.clock, 100);
    let last = format!("QLIST\t51\t{B}\t7");
    for display in &mut displays {
        let mut told = 0;
        while display.hear().expect("a list") != last {
            told += 1;
        }
        display.expect("SLIST");
        // Fifty changes in five seconds of one: they were told together.
        assert!(told <= 2 * 50, "{told}");
    }
    drop(ticking);
}

#[test]
fn whoever_reads_nothing_is_told_only_what_is_true_when_it_reads() {
    let house = Place::with(&super::lab_with("report_ms = 1000", "report_ms = 0"));
    let mut lazy = Line::client(house.stand.expect("a stand door"), "DISPLAY", ME);
    let mut command = commander(&house);
    for number in 0..200 {
        assert_eq!(command.command(&format!("QUEUE\t{A}\t{number}")), "QOK");
    }
    assert_eq!(command.command("QCLEAR"), "QOK");
    lazy.say("QREPORT");
    let mut lists = 0;
    while lazy.hear().expect("a list") != "QLIST" {
        lists += 1;
    }
    assert!(lists <= 2 * 201, "{lists}");
}
