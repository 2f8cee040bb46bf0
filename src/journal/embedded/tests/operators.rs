//! What operators ask for: all damage is found, small journals tell the same, and repairs lose what they say and no more.

use super::snapshots::{NOW, OFTEN, Story};
use super::*;
use crate::lab::fact::{Event, Grant, JobId};
use crate::lab::{Lab, Options};

/// A closed journal with two snapshots and some facts after them, and the lab it tells of.
fn told() -> (Scratch, Lab, Vec<Fact>, Span) {
    let scratch = Scratch::new();
    let mut story = Story::begin(scratch.path(), OFTEN);
    for _ in 0..4 {
        story.go_on(20);
        story.tend();
    }
    story.go_on(2);
    let Story { lab, journal, told, .. } = story;
    let span = journal.span.clone();
    assert!(span.snapshots.len() == 2 && span.last > span.snapshots[1], "{span:?}");
    (scratch, lab, told, span)
}

fn look(dir: &Path) -> Report {
    survey(dir, &Options::default()).unwrap()
}

fn mend(dir: &Path, remedy: Remedy) -> Outcome {
    repair(dir, &Options::default(), remedy, NOW).unwrap()
}

/// The lab after so many facts.
fn lab_after(facts: &[Fact]) -> Lab {
    let mut lab = Lab::new(Options::default());
    facts.iter().for_each(|fact| lab.apply(fact));
    lab
}

/// The lab after so many facts, when the rest was dropped, of which these could still be read.
fn lab_cut_after(facts: &[Fact], readable: &[Fact]) -> Lab {
    let mut lab = lab_after(facts);
    let (JobId(job), Grant(grant)) = lab_after(readable).last_numbers();
    let (last_job, last_grant) = (JobId(job + NUMBERS_SKIPPED), Grant(grant + NUMBERS_SKIPPED));
    lab.apply(&Fact { at: NOW, event: Event::NumbersSkipped { last_job, last_grant } });
    lab
}

fn places(report: &Report) -> Vec<Place> {
    report.problems.iter().map(|problem| problem.place).collect()
}

#[test]
fn a_sound_journal_has_nothing_wrong_and_is_left_as_it_was() {
    let (scratch, _, told, span) = told();
    let before = std::fs::read(scratch.path().join(FILE)).unwrap();
    let report = look(scratch.path());
    assert_eq!(places(&report), []);
    assert_eq!((report.first, report.last, report.in_use), (1, span.last, false));
    assert_eq!(report.kinds.values().sum::<u64>(), told.len() as u64);
    assert_eq!((report.first_at, report.last_at), (Some(told[0].at), Some(told[told.len() - 1].at)));
    assert!(report.snapshots.iter().all(|found| found.whole && found.bytes > 100));
    assert!(matches!(mend(scratch.path(), Remedy::Lossless), Outcome::Sound(_)));
    assert_eq!(std::fs::read(scratch.path().join(FILE)).unwrap(), before);
}

#[test]
fn all_damage_is_told_and_not_only_the_first() {
    let (scratch, _, _, span) = told();
    let [older, newer] = *span.snapshots else { panic!() };
    tamper(
        scratch.path(),
        &format!(
            "UPDATE fact SET kind = 'x' WHERE seq IN (3, 9); DELETE FROM fact WHERE seq BETWEEN 20 AND 22;
             UPDATE fact SET body = '{{}}' WHERE seq = {};
             UPDATE snapshot SET at = at + 1 WHERE seq = {older}; UPDATE mark SET sum = sum + 1 WHERE id = 1;
             UPDATE snapshot_part SET body = x'00' WHERE seq = {newer}",
            span.last
        ),
    );
    let report = look(scratch.path());
    let expected = [
        Place::Snapshot(older),
        Place::Snapshot(newer),
        Place::Facts(3, 3),
        Place::Facts(9, 9),
        Place::Facts(20, 22),
        Place::Facts(span.last, span.last),
        Place::Mark,
    ];
    assert_eq!(places(&report), expected);
    assert_eq!(report.lost, Some((3, span.last)));
    for problem in &report.problems[2..6] {
        assert!(problem.why.contains("in the page at byte "), "{problem:?}");
    }
}

#[test]
fn many_problems_are_counted_and_not_all_told() {
    let (scratch, ..) = told();
    tamper(scratch.path(), "UPDATE fact SET kind = 'x' WHERE seq % 2 = 0");
    let report = look(scratch.path());
    assert_eq!(report.problems.len(), 100);
    assert_eq!(report.problems_more, report.last / 2 - 100);
}

#[test]
fn a_snapshot_that_says_something_else_than_the_facts_is_found() {
    let (scratch, lab, _, span) = told();
    // The newer snapshot takes the place of the older one, whole in itself.
    let [older, newer] = *span.snapshots else { panic!() };
    let mut db = Connection::open(scratch.path().join(FILE)).unwrap();
    db.execute("DELETE FROM snapshot WHERE seq = ?1", [older as i64]).unwrap();
    db.execute("DELETE FROM snapshot_part WHERE seq = ?1", [older as i64]).unwrap();
    let pieces = snapshot::read(&db, Path::new("x"), newer).unwrap();
    let mut writing = Writing::new(older, Moment(5), pieces);
    while !writing.has_part() {
        writing.encode().unwrap();
    }
    let tx = db.transaction().unwrap();
    writing.write_part(&tx).unwrap();
    tx.commit().unwrap();
    drop(db);
    let report = look(scratch.path());
    assert!(places(&report).contains(&Place::Disagreement(older)), "{report:?}");
    let Outcome::Choices(_, choices) = mend(scratch.path(), Remedy::Lossless) else { panic!() };
    assert!(choices[0].starts_with(&format!("--drop-snapshot {older}: ")), "{choices:?}");
    let Outcome::Repaired(done) = mend(scratch.path(), Remedy::DropSnapshot(older)) else { panic!() };
    assert_eq!(places(&done.report), []);
    Story::check(scratch.path(), &lab);
}

#[test]
fn what_starts_and_settings_change_is_no_disagreement() {
    let scratch = Scratch::new();
    let mut story = Story::begin(scratch.path(), OFTEN);
    for _ in 0..3 {
        story.go_on(20);
        // As after a start: deadlines and grace are no facts.
        story.lab.resume(story.now);
        story.tend();
    }
    drop(story);
    let few = Options { retired_jobs_max: 3, ..Options::default() };
    assert_eq!(places(&survey(scratch.path(), &few).unwrap()), []);
}

#[test]
fn pages_that_cannot_be_read_are_passed_over() {
    let (scratch, _, told, _) = told();
    let path = scratch.path().join(FILE);
    let db = Connection::open(&path).unwrap();
    let sql = "SELECT pgoffset FROM dbstat WHERE name = 'fact' AND pagetype = 'leaf' ORDER BY path LIMIT 1 OFFSET 2";
    let at = db.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap() as usize;
    db.close().unwrap();
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at..at + PAGE_BYTES].fill(0xee);
    std::fs::write(&path, bytes).unwrap();
    let report = look(scratch.path());
    let (from, to) = report.lost.expect("facts are lost");
    assert!(from > 1 && to < told.len() as u64, "{from} to {to}");
    assert_eq!(report.kinds.values().sum::<u64>(), told.len() as u64 - (to - from + 1));
    assert!(places(&report).contains(&Place::Pages), "{report:?}");
    // The history before goes, or everything after; both start.
    let image = Image::of(scratch.path());
    let there = Scratch::new();
    image.write(there.path());
    let Outcome::Repaired(_) = mend(there.path(), Remedy::DropFrom(from)) else { panic!() };
    Story::check(there.path(), &lab_cut_after(&told[..from as usize - 1], &told));
    let Outcome::Repaired(_) = mend(scratch.path(), Remedy::DropBefore(to + 1)) else { panic!() };
    Story::check(scratch.path(), &lab_after(&told));
}

#[test]
fn a_damaged_snapshot_is_dropped_when_the_rest_tells_everything() {
    let (scratch, lab, _, span) = told();
    let image = Image::of(scratch.path());
    let [older, newer] = *span.snapshots else { panic!() };
    for gone in [vec![newer], vec![older], vec![older, newer]] {
        let there = Scratch::new();
        image.write(there.path());
        for seq in &gone {
            tamper(there.path(), &format!("UPDATE snapshot SET sum = sum + 1 WHERE seq = {seq}"));
        }
        let damaged = std::fs::read(there.path().join(FILE)).unwrap();
        let Outcome::Repaired(done) = mend(there.path(), Remedy::Lossless) else { panic!("{gone:?}") };
        assert_eq!(done.dropped.len(), gone.len(), "{:?}", done.dropped);
        assert_eq!(std::fs::read(done.aside.unwrap()).unwrap(), damaged, "the damaged one is kept");
        assert_eq!(places(&done.report), []);
        Story::check(there.path(), &lab);
        assert!(!there.path().join(swap::PARTIAL_FILE).exists());
    }
}

#[test]
fn damaged_facts_are_only_dropped_by_their_number() {
    let (scratch, lab, facts, span) = told();
    let image = Image::of(scratch.path());
    let damaged = || {
        let there = Scratch::new();
        image.write(there.path());
        tamper(there.path(), "UPDATE fact SET body = '{}' WHERE seq IN (30, 41)");
        there
    };
    let there = damaged();
    let before = std::fs::read(there.path().join(FILE)).unwrap();
    for wrong in [Remedy::Lossless, Remedy::DropFrom(29), Remedy::DropFrom(41), Remedy::DropBefore(41)] {
        let Outcome::Choices(report, choices) = mend(there.path(), wrong) else { panic!("{wrong:?}") };
        assert_eq!(report.lost, Some((30, 41)));
        assert!(choices[0].starts_with("--drop-from 30: fact 30 and everything after it"), "{choices:?}");
        assert!(choices[1].starts_with("--drop-before 42: facts 1 to 41"), "{choices:?}");
    }
    assert_eq!(std::fs::read(there.path().join(FILE)).unwrap(), before, "nothing was changed");
    let Outcome::Repaired(done) = mend(there.path(), Remedy::DropFrom(30)) else { panic!() };
    assert_eq!((done.report.first, done.report.last), (1, 30));
    Story::check(there.path(), &lab_cut_after(&facts[..29], &facts));
    let there = damaged();
    let Outcome::Repaired(done) = mend(there.path(), Remedy::DropBefore(42)) else { panic!() };
    assert_eq!((done.report.first, done.report.last), (42, span.last));
    Story::check(there.path(), &lab);
}

#[test]
fn what_is_damaged_twice_over_is_left_to_a_copy() {
    let (scratch, ..) = told();
    tamper(scratch.path(), "UPDATE fact SET body = '{}' WHERE seq = 1; UPDATE snapshot SET sum = sum + 1");
    let Outcome::Choices(_, choices) = mend(scratch.path(), Remedy::DropFrom(1)) else { panic!() };
    assert_eq!(choices.len(), 1, "{choices:?}");
    assert!(choices[0].contains("berth restore"), "{choices:?}");
}

#[test]
fn a_damaged_log_can_be_dropped_from_its_damage_on() {
    let scratch = Scratch::new();
    let mut story = Story::begin(scratch.path(), Keeping::default());
    story.go_on(20);
    let image = Image::of(scratch.path());
    let there = Scratch::new();
    image.write(there.path());
    drop(story.journal);
    let log = there.path().join("journal.sqlite3-wal");
    let mut bytes = std::fs::read(&log).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&log, &bytes).unwrap();
    let report = look(there.path());
    assert!(report.problems[0].why.contains("journal.sqlite3-wal was changed"), "{report:?}");
    assert_eq!(std::fs::read(&log).unwrap(), bytes, "looking changes nothing");
    let (lost, _) = report.lost.unwrap();
    assert!(lost > 1 && lost <= story.told.len() as u64);
    assert!(matches!(mend(there.path(), Remedy::Lossless), Outcome::Choices(..)));
    let Outcome::Repaired(done) = mend(there.path(), Remedy::DropFrom(lost)) else { panic!() };
    let aside = done.aside.unwrap();
    assert_eq!(std::fs::read(swap::suffixed(&aside, "-wal")).unwrap(), bytes);
    let kept = &story.told[..lost as usize - 1];
    Story::check(there.path(), &lab_cut_after(kept, kept));
}

#[test]
fn a_small_journal_tells_the_same() {
    let (scratch, lab, facts, span) = told();
    let (dir, options) = (scratch.path(), Options::default());
    let done = compact(dir, options.clone(), NOW, None).unwrap();
    assert_eq!((done.first, done.last, done.expired), (1, span.last, 0));
    Story::check(dir, &lab);
    // What is younger stays.
    let half = facts[facts.len() / 2].at;
    let now = facts[facts.len() - 1].at;
    let done = compact(dir, options.clone(), Moment(0), Some(now.0 - half.0)).unwrap();
    assert!(done.first > 1 && facts[done.first as usize - 2].at <= half, "{done:?}");
    assert!(facts[done.first as usize - 1].at > half);
    Story::check(dir, &lab);
    let done = compact(dir, options.clone(), NOW, Some(0)).unwrap();
    assert_eq!((done.first, done.last), (span.last, span.last), "the last fact stays");
    assert!(done.bytes_after < done.bytes_before, "{done:?}");
    Story::check(dir, &lab);
    assert_eq!(places(&look(dir)), []);
    // An empty one has nothing to lose.
    let empty = closed(&[]);
    assert_eq!(compact(empty.path(), options, NOW, Some(0)).unwrap().last, 0);
    assert_eq!(places(&look(empty.path())), []);
}

#[test]
fn making_it_small_may_be_interrupted_after_every_step() {
    let (scratch, lab, ..) = told();
    let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
    let (heard, _) = copy::replayed(&mut journal, Options::default()).unwrap();
    let killed = |dir: &Path| {
        let there = Scratch::new();
        Image::of(dir).write(there.path());
        Story::check(there.path(), &lab);
        assert_eq!(places(&look(there.path())), []);
    };
    journal.snapshot_now(NOW, &heard).unwrap();
    killed(scratch.path());
    let newest = journal.span.last;
    journal.drop_snapshots_before(newest).unwrap();
    killed(scratch.path());
    journal.keeping.history_ms = Some(0);
    while journal.span.first < newest {
        journal.expire(NOW).unwrap();
        killed(scratch.path());
    }
    journal.copy_log_idle().unwrap();
    journal.db.execute_batch("VACUUM").unwrap();
    killed(scratch.path());
}

#[test]
fn a_swap_that_was_interrupted_is_not_taken_for_a_beginning() {
    let (scratch, ..) = told();
    let path = scratch.path().join(FILE);
    std::fs::rename(&path, scratch.path().join(swap::PARTIAL_FILE)).unwrap();
    let Err(JournalError::Unusable(why)) = EmbeddedJournal::open(scratch.path()) else { panic!() };
    assert!(why.contains("was interrupted"), "{why}");
    assert!(!path.exists());
}

#[test]
fn what_is_small_already_stays_so_whatever_the_settings_are() {
    let (scratch, lab, ..) = told();
    let options = |retired_jobs_max| Options { retired_jobs_max, ..Options::default() };
    let ended =
        lab.pieces().iter().filter(|piece| matches!(piece, Piece::Job(job) if !job.is_live())).count();
    assert!(ended > 3);
    let first = compact(scratch.path(), options(ended), NOW, None).unwrap();
    for retired_jobs_max in [3, ended, 0] {
        let again = compact(scratch.path(), options(retired_jobs_max), NOW, Some(0)).unwrap();
        assert_eq!(again.last, first.last);
    }
    assert_eq!(places(&look(scratch.path())), []);
}

#[test]
fn a_journal_that_was_put_aside_is_never_followed_by_an_empty_one() {
    for word in ["replaced", "damaged"] {
        let (scratch, ..) = told();
        let path = scratch.path().join(FILE);
        // A restore was interrupted, and the next one failed and took what it had made away.
        std::fs::rename(&path, swap::suffixed(&path, &format!(".{word}-7"))).unwrap();
        let Err(JournalError::Unusable(why)) = EmbeddedJournal::open(scratch.path()) else { panic!() };
        assert!(why.contains(&format!("{FILE}.{word}-7 is there")), "{why}");
        assert!(!path.exists());
        std::fs::rename(swap::suffixed(&path, &format!(".{word}-7")), &path).unwrap();
        EmbeddedJournal::open(scratch.path()).unwrap();
    }
}

#[test]
fn two_copies_of_one_name_do_not_touch_each_other() {
    let (scratch, _, _, span) = told();
    let to = scratch.path().join("copy");
    let partial = swap::suffixed(&to, swap::PARTIAL);
    std::fs::write(&partial, "half").unwrap();
    std::fs::write(swap::suffixed(&partial, "-journal"), "half").unwrap();
    let other = File::open(&partial).unwrap();
    other.lock().unwrap();
    let Err(JournalError::Unusable(why)) = backup(scratch.path(), &to) else { panic!() };
    assert!(why.ends_with("copy.partial is being written by another backup"), "{why}");
    assert_eq!(std::fs::read(&partial).unwrap(), b"half");
    assert!(!to.exists());
    // The other one was killed.
    drop(other);
    assert_eq!(backup(scratch.path(), &to).unwrap().last(), span.last);
    assert!(!partial.exists() && !swap::suffixed(&partial, "-journal").exists());
}

#[test]
fn a_copy_that_is_put_back_twice_gives_no_number_twice() {
    let (scratch, lab, ..) = told();
    let copy = scratch.path().join("copy");
    drop(backup(scratch.path(), &copy).unwrap());
    let again = || restore(&copy, scratch.path(), true, Options::default(), NOW).unwrap();
    let (job, grant) = lab.last_numbers();
    let first = again();
    assert_eq!((first.last_job.0, first.last_grant.0), (job.0 + NUMBERS_SKIPPED, grant.0 + NUMBERS_SKIPPED));
    let mut numbers = (first.last_job, first.last_grant);
    for damage in ["", "UPDATE fact SET body = 'x' WHERE seq = 2"] {
        tamper(scratch.path(), damage);
        let next = again();
        assert!(next.last_job > numbers.0 && next.last_grant > numbers.1, "{next:?} after {numbers:?}");
        numbers = (next.last_job, next.last_grant);
    }
}
