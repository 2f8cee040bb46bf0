//! One burner: what it offers, and what follows from what it says, row by row.

use super::super::burner::{Failing, Told};
use super::super::message::{Showing, Status, Tray, Verdict};
use super::super::simulate::image;
use super::super::{Burner, ErrorCode, Follows, Line, Medium, Uid};

const A: u64 = 1;
const B: u64 = 2;

fn tray(disc: Medium, tray: Tray) -> Status {
    Status::Tray { disc, tray }
}

fn avail() -> Status {
    tray(Medium::Dvd, Tray::Avail)
}

fn burning(number: u64) -> Status {
    Status::Burning { image: image(number), percent: 25, time_s: None }
}

fn verified(number: u64, verdict: Verdict) -> Status {
    Status::Verified { image: image(number), verdict }
}

fn dropped(number: u64) -> Follows {
    Follows::Failed(image(number), Failing::Dropped)
}

/// One that holds A and B and has a blank disc.
fn ready() -> Burner {
    let mut burner = Burner::new(Medium::Dvd);
    burner.hear_cap(None, [image(A), image(B)]);
    assert_eq!(burner.hear_status(avail()), Follows::Nothing);
    burner
}

/// One that burns A.
fn at_work() -> Burner {
    let mut burner = ready();
    assert_eq!(burner.tell(image(A)), Told::Burn);
    assert_eq!(burner.hear_status(burning(A)), Follows::Began(image(A)));
    burner
}

#[test]
fn images_are_offered_that_fit_the_disc_in_the_tray() {
    let (cd, dvd) = (Medium::Cdr.bytes_max(), Medium::Dvd.bytes_max());
    for (medium, disc, bytes, offered) in [
        (Medium::Dvd, Medium::Dvd, Some(dvd), true),
        (Medium::Dvd, Medium::Dvd, Some(dvd + 1), false),
        (Medium::Dvd, Medium::Cdr, Some(cd), true),
        (Medium::Dvd, Medium::Cdr, Some(cd + 1), false),
        (Medium::Dvd, Medium::Cdr, None, true),
        (Medium::Cdr, Medium::Cdr, Some(cd), true),
        (Medium::Cdr, Medium::Dvd, Some(1), false),
    ] {
        let mut burner = Burner::new(medium);
        burner.hear_cap(None, [image(A)]);
        assert!(burner.offers(|_| bytes).is_empty());
        burner.hear_status(tray(disc, Tray::Avail));
        assert_eq!(burner.offers(|_| bytes) == [image(A)], offered, "{medium:?} {disc:?} {bytes:?}");
        for other in [tray(disc, Tray::Empty), tray(disc, Tray::Open), burning(A), verified(A, Verdict::Pass)]
        {
            burner.hear_status(other);
            assert!(burner.offers(|_| bytes).is_empty(), "{other:?}");
        }
    }
}

#[test]
fn who_is_told_offers_nothing_and_is_told_once() {
    let mut burner = ready();
    assert_eq!(burner.tell(image(A)), Told::Burn);
    assert!(burner.offers(|_| None).is_empty());
    // It crossed with BURN, and so did the verdict of a disc before.
    assert_eq!(burner.hear_status(avail()), Follows::Nothing);
    assert_eq!(burner.hear_status(verified(B, Verdict::Fail)), Follows::Nothing);
    assert_eq!((burner.tell(image(A)), burner.task()), (Told::Already, Some(image(A))));
    assert_eq!(burner.hear_status(burning(A)), Follows::Began(image(A)));
    assert_eq!(burner.hear_status(burning(A)), Follows::Nothing);
    assert_eq!(burner.tell(image(A)), Told::Burning);
    assert_eq!(burner.hear_status(verified(A, Verdict::Pass)), Follows::Passed(image(A)));
    assert_eq!(burner.hear_status(verified(A, Verdict::Pass)), Follows::Nothing);
}

#[test]
fn a_burn_ends_badly_in_each_of_these_ways() {
    assert_eq!(at_work().hear_status(verified(A, Verdict::Fail)), Follows::Failed(image(A), Failing::Bad));
    for status in [avail(), tray(Medium::Dvd, Tray::Open), burning(B), verified(B, Verdict::Pass)] {
        assert_eq!(at_work().hear_status(status), dropped(A), "{status:?}");
    }
    let mut burner = at_work();
    let hot = ErrorCode::of_word("TOOHOT");
    assert_eq!(burner.hear_error(&hot), Follows::Failed(image(A), Failing::Refused(hot)));
    assert_eq!((burner.burning(), burner.status()), (None, None));
    // Errors that nobody waits for.
    assert_eq!(burner.hear_error(&ErrorCode::NOISO), Follows::Nothing);
}

#[test]
fn who_refuses_is_not_told_again_at_once() {
    let mut burner = ready();
    burner.tell(image(A));
    let noiso = Failing::Refused(ErrorCode::NOISO);
    assert_eq!(burner.hear_error(&ErrorCode::NOISO), Follows::Failed(image(A), noiso));
    assert_eq!(burner.offers(|_| None), [image(B)]);
    burner.tell(image(B));
    burner.hear_error(&ErrorCode::NODISC);
    assert!(burner.offers(|_| None).is_empty());
    burner.hear_status(avail());
    assert_eq!(burner.offers(|_| None), [image(B)]);
}

#[test]
fn a_burn_is_resumed_if_the_burner_says_so() {
    let back = |status| {
        let mut burner = Burner::new(Medium::Dvd);
        burner.resume(image(A));
        (burner.hear_status(status), burner.task())
    };
    assert_eq!(back(burning(A)), (Follows::Began(image(A)), Some(image(A))));
    assert_eq!(back(verified(A, Verdict::Pass)), (Follows::Passed(image(A)), None));
    for status in [avail(), tray(Medium::Dvd, Tray::Empty), burning(B), verified(B, Verdict::Pass)] {
        assert_eq!(back(status), (dropped(A), None), "{status:?}");
    }
}

#[test]
fn what_is_burnt_for_nobody_is_shown_and_can_be_taken_up() {
    let mut burner = ready();
    assert_eq!(burner.hear_status(burning(A)), Follows::Nothing);
    assert_eq!(burner.burning(), Some(image(A)));
    assert_eq!(burner.tell(image(A)), Told::Burning);
    burner.forget();
    assert_eq!(burner.hear_status(verified(A, Verdict::Pass)), Follows::Nothing);
    let row = burner.row(Uid([7; 16]), Line::new("by the door"));
    assert_eq!(row.showing, Showing::Says(verified(A, Verdict::Pass)));
    assert_eq!(row.medium, Some(Medium::Dvd));
    // Told and forgotten before it began: it may begin all the same.
    let mut burner = ready();
    burner.tell(image(A));
    burner.forget();
    assert!(burner.offers(|_| None).is_empty());
    burner.hear_status(avail());
    assert!(burner.offers(|_| None).is_empty(), "this may have crossed with what it was told");
    burner.hear_status(avail());
    assert_eq!(burner.offers(|_| None).len(), 2);
    // Told, refused after it was forgotten: nothing is on the way any more.
    burner.tell(image(A));
    burner.forget();
    burner.hear_error(&ErrorCode::NODISC);
    burner.hear_status(avail());
    assert_eq!(burner.offers(|_| None).len(), 2);
}

#[test]
fn a_burner_that_was_lost_is_silent_until_it_speaks() {
    let mut burner = ready();
    burner.forget_status();
    assert_eq!((burner.status(), burner.offers(|_| None).len()), (None, 0));
    burner.hear_status(avail());
    assert_eq!(burner.offers(|_| None).len(), 2);
}
