//! Snapshots and the history behind them: a start from one is a start from all facts, whatever was interrupted.

use super::*;
use crate::lab::command::{Caller, Command};
use crate::lab::fact::Event;
use crate::lab::job::{JobSpec, Want};
use crate::lab::machine::{MachineSpec, Shape};
use crate::lab::{Lab, Options};

/// When copies are put back.
pub const NOW: Moment = Moment(1_000_000_000_000);

fn put_back(from: &Path, dir: &Path, replace: bool) -> Result<Restored, JournalError> {
    restore(from, dir, replace, Options::default(), NOW)
}

/// A lab that lives, and the journal of what it does.
pub struct Story {
    pub lab: Lab,
    pub journal: EmbeddedJournal,
    pub now: Moment,
    pub told: Vec<Fact>,
}

impl Story {
    pub fn begin(dir: &Path, keeping: Keeping) -> Story {
        let journal = EmbeddedJournal::open(dir).unwrap().keeping(keeping);
        let mut story =
            Story { lab: Lab::new(Options::default()), journal, now: Moment(1_000), told: Vec::new() };
        let serials = (0..9).map(|n| format!("b{n}").into()).collect();
        let spec = MachineSpec {
            name: "pool".into(),
            shape: Shape::Pool { serials },
            tags: ["default".into()].into(),
            kinds: vec!["spinnaker".into()],
            settle_ms: 500,
            order_ms_max: 60_000,
            agents: false,
            boots: true,
        };
        story.happen(Command::Configure(vec![spec.into()]));
        story
    }

    /// One round of the desk.
    pub fn happen(&mut self, command: Command) {
        self.now = self.now.plus_ms(100);
        let mut facts = self.lab.decide(self.now, &Caller::server(), &command).unwrap();
        facts.iter().for_each(|fact| self.lab.apply(fact));
        while let Some(fact) = self.lab.settle(self.now) {
            self.lab.apply(&fact);
            facts.push(fact);
        }
        self.journal.append(&facts).unwrap();
        self.told.extend(facts);
        if self.journal.wants_snapshot() {
            self.journal.begin_snapshot(self.now, self.lab.pieces());
        }
    }

    /// Jobs come, and their keepalives lapse: queued, granted, destroyed, overdue, quarantined.
    pub fn go_on(&mut self, jobs: usize) {
        for number in 0..jobs {
            let spec = JobSpec { keepalive_ms: Some(2_000), ..JobSpec::new("ann", Want::Boards(1)) };
            self.happen(Command::CreateJob(spec));
            if number % 7 == 0 {
                self.now = self.now.plus_ms(70_000);
            }
        }
    }

    /// Does all that can wait.
    pub fn tend(&mut self) {
        while self.journal.tend(self.now, true).unwrap().is_some_and(|at| at <= self.now) {}
    }

    /// What a start finds is what was.
    pub fn check(dir: &Path, lab: &Lab) {
        let mut found = Lab::new(Options::default());
        crate::journal::replay_into(&mut EmbeddedJournal::open(dir).unwrap(), &mut found, &mut |_| {})
            .unwrap();
        assert_eq!(found.pieces(), lab.pieces());
    }
}

pub const OFTEN: Keeping = Keeping { snapshot_facts: 50, history_ms: None };

/// How many facts a start had to hear, and whether there was a snapshot.
fn heard(dir: &Path) -> (bool, usize) {
    let (mut snapshot, mut facts) = (false, 0);
    let mut journal = EmbeddedJournal::open(dir).unwrap();
    let take = &mut |kept| {
        match kept {
            Kept::Snapshot(_) => snapshot = true,
            Kept::Fact(_) => facts += 1,
        }
        Ok(())
    };
    journal.replay(take).unwrap();
    (snapshot, facts)
}

#[test]
fn a_start_from_a_snapshot_is_a_start_from_all_facts() {
    let scratch = Scratch::new();
    let mut story = Story::begin(scratch.path(), OFTEN);
    for _ in 0..8 {
        story.go_on(20);
        story.tend();
    }
    story.go_on(3);
    assert!(story.journal.counts().snapshots >= 3);
    let Story { lab, journal, told, .. } = story;
    drop(journal);
    Story::check(scratch.path(), &lab);
    let (snapshot, facts) = heard(scratch.path());
    assert!(snapshot && facts < 100, "{facts} of {}", told.len());
    let reader = JournalReader::open(scratch.path()).unwrap();
    assert_eq!((reader.first(), reader.last()), (1, told.len() as u64));
    let [older, newer] = *reader.snapshots() else { panic!("two are kept: {:?}", reader.snapshots()) };
    let mut lab = Lab::new(Options::default());
    for (seq, fact) in (1..).zip(&told) {
        lab.apply(fact);
        if seq == older || seq == newer {
            assert_eq!(reader.snapshot(seq).unwrap(), lab.pieces());
        }
    }
}

#[test]
fn a_snapshot_that_was_interrupted_never_was() {
    // So large that it takes many slices.
    let scratch = Scratch::new();
    let mut story = Story::begin(scratch.path(), Keeping { snapshot_facts: 4_000, history_ms: None });
    story.go_on(3_000);
    let mut slices = 0;
    while story.journal.counts().snapshots == 0 {
        let image = Image::of(scratch.path());
        let there = Scratch::new();
        image.write(there.path());
        assert!(!heard(there.path()).0, "after {slices} slices");
        story.journal.tend(story.now, false).unwrap();
        slices += 1;
    }
    assert!(slices > 3, "{slices}");
    Image::of(scratch.path()).write(Scratch::new().path());
    // What a crash left behind goes with the next snapshot.
    tamper(scratch.path(), "INSERT INTO snapshot_part VALUES (7, 0, x'00')");
    story.go_on(3_000);
    story.tend();
    assert_eq!(story.journal.counts().snapshots, 2);
    let orphans = "SELECT count(*) FROM snapshot_part WHERE seq = 7";
    let left: i64 = story.journal.db.query_row(orphans, [], |row| row.get(0)).unwrap();
    assert_eq!(left, 0);
    drop(story.journal);
    Story::check(scratch.path(), &story.lab);
}

#[test]
fn old_history_goes_and_nothing_that_is_true_goes_with_it() {
    let scratch = Scratch::new();
    let keeping = Keeping { snapshot_facts: 200, history_ms: Some(500_000) };
    let mut story = Story::begin(scratch.path(), keeping);
    for _ in 0..12 {
        story.go_on(60);
        story.tend();
    }
    let Story { lab, journal, now, told, .. } = story;
    let (first, expired) = (journal.span.first, journal.counts().expired);
    assert_eq!(expired, first - 1);
    assert!(first > 500 && first < *journal.span.snapshots.first().unwrap() + 1, "{:?}", journal.span);
    let age = |seq: u64| now.0 - told[seq as usize - 1].at.0;
    assert!(age(first - 1) >= 500_000, "only what is old goes");
    drop(journal);
    Story::check(scratch.path(), &lab);
    // The history that is left is whole.
    let reader = JournalReader::open(scratch.path()).unwrap();
    let mut seen = first as usize - 1;
    let take = &mut |entry: Entry<'_>| {
        assert_eq!(entry.fact()?, told[seen]);
        seen += 1;
        Ok(std::ops::ControlFlow::Continue(()))
    };
    reader.scan(first, reader.last(), take).unwrap();
    assert_eq!(seen, told.len());
    drop(reader);
    // Its beginning cannot be lost unseen.
    tamper(scratch.path(), &format!("DELETE FROM fact WHERE seq = {first}"));
    let Err(JournalError::Damaged(why)) = replayed(scratch.path()) else { panic!() };
    assert!(why.contains(&format!("fact {first} ")), "{why}");
}

#[test]
fn damage_to_a_snapshot_is_refused_and_named() {
    let scratch = Scratch::new();
    let mut story = Story::begin(scratch.path(), OFTEN);
    for _ in 0..4 {
        story.go_on(20);
        story.tend();
    }
    let newest = *story.journal.span.snapshots.last().unwrap();
    drop(story);
    let image = Image::of(scratch.path());
    let named = format!("the snapshot after fact {newest} ");
    let cases = [
        ("UPDATE snapshot SET at = at + 1", &*named, "checksum"),
        ("UPDATE snapshot SET sum = sum + 1", &named, "checksum"),
        ("UPDATE snapshot SET parts = parts + 1", &named, "checksum"),
        ("UPDATE snapshot_part SET body = substr(body, 1, length(body) - 1)", &named, "checksum"),
        ("DELETE FROM snapshot_part", &named, "checksum"),
        ("UPDATE snapshot_part SET part = part + 1", &named, "part 0 is missing"),
        ("UPDATE fact SET kind = 'x' WHERE seq = 3", "fact 3 ", "in the page at byte "),
        ("UPDATE mark SET seq = 9 WHERE id = 2", "mark", "checksum"),
    ];
    for (sql, which, why) in cases {
        let there = Scratch::new();
        image.write(there.path());
        tamper(there.path(), sql);
        let Err(JournalError::Damaged(sentence)) = replayed(there.path()) else { panic!("{sql}") };
        assert!(sentence.contains(which) && sentence.contains(why), "{sql}: {sentence}");
    }
}

#[test]
fn a_journal_of_the_first_format_is_brought_up_to_date() {
    let facts = facts(60);
    let scratch = closed(&facts);
    let back = "DROP TABLE snapshot; DROP TABLE snapshot_part; DELETE FROM mark WHERE id = 2;
                PRAGMA user_version = 1;";
    tamper(scratch.path(), back);
    assert_eq!(JournalReader::open(scratch.path()).unwrap().last(), 60);
    assert_eq!(replayed(scratch.path()).unwrap(), facts);
    let now = Connection::open(scratch.path().join(FILE)).unwrap();
    let format: i64 = now.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(format, schema::FORMAT);
}

#[test]
fn a_full_disk_delays_a_snapshot_and_loses_nothing() {
    let scratch = Scratch::new();
    let mut story = Story::begin(scratch.path(), Keeping { snapshot_facts: 1_000, history_ms: None });
    story.go_on(600);
    let pages: i64 = story.journal.db.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    let room = |db: &Connection, pages: i64| db.pragma_update(None, "max_page_count", pages).unwrap();
    room(&story.journal.db, pages);
    let mut again = None;
    while again.is_none() {
        again = story.journal.tend(story.now, false).unwrap().filter(|at| *at > story.now);
    }
    assert_eq!(again, Some(story.now.plus_ms(TEND_PAUSE_MS)));
    assert_eq!(story.journal.counts().snapshots, 0);
    room(&story.journal.db, 1_000_000);
    story.now = story.now.plus_ms(TEND_PAUSE_MS);
    story.tend();
    assert_eq!(story.journal.counts().snapshots, 1);
    drop(story.journal);
    Story::check(scratch.path(), &story.lab);
    assert!(heard(scratch.path()).0);
}

#[test]
fn a_copy_made_while_facts_come_is_a_beginning_and_starts_a_server() {
    let (scratch, copies) = (Scratch::new(), Scratch::new());
    let mut story = Story::begin(scratch.path(), OFTEN);
    let mut labs = vec![(story.told.len(), story.lab.clone())];
    for number in 0..6 {
        let to = copies.path().join(format!("copy-{number}"));
        let copy = backup(scratch.path(), &to).unwrap();
        assert_eq!(copy.last(), story.told.len() as u64);
        story.go_on(13);
        story.tend();
        labs.push((story.told.len(), story.lab.clone()));
    }
    for (number, (_, lab)) in labs.iter().take(6).enumerate() {
        let there = Scratch::new();
        let from = copies.path().join(format!("copy-{number}"));
        let dir = there.path().join("data");
        let restored = put_back(&from, &dir, false).unwrap();
        assert_eq!(restored.aside, None);
        let mut skipped = lab.clone();
        let (last_job, last_grant) = (restored.last_job, restored.last_grant);
        assert!(last_job.0 >= NUMBERS_SKIPPED && last_grant.0 >= NUMBERS_SKIPPED);
        skipped.apply(&Fact { at: NOW, event: Event::NumbersSkipped { last_job, last_grant } });
        Story::check(&dir, &skipped);
        let Err(JournalError::Unusable(why)) = put_back(&from, &dir, false) else { panic!() };
        assert!(why.contains("--replace"), "{why}");
        let again = put_back(&from, &dir, true).unwrap();
        assert!(again.aside.expect("the old one is kept").exists());
        let (last_job, last_grant) = (again.last_job, again.last_grant);
        skipped.apply(&Fact { at: NOW, event: Event::NumbersSkipped { last_job, last_grant } });
        Story::check(&dir, &skipped);
    }
    let to = copies.path().join("copy-5");
    let Err(JournalError::Unusable(why)) = backup(scratch.path(), &to) else { panic!() };
    assert!(why.contains("exists already"), "{why}");
    let Err(JournalError::Locked(_)) = put_back(&to, scratch.path(), true) else { panic!() };
    // A copy that was changed or cut short is found out before anything is touched.
    let whole = std::fs::read(&to).unwrap();
    for cut in [whole.len() / 2, whole.len() - PAGE_BYTES, 5_000] {
        std::fs::write(&to, &whole[..cut]).unwrap();
        let there = Scratch::new();
        assert!(put_back(&to, &there.path().join("data"), false).is_err(), "cut at {cut}");
        assert!(!there.path().join("data").exists());
    }
}
