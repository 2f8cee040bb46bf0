//! The embedded journal: what it is given comes back, through kills, torn logs, full disks and flipped bytes.

mod operators;
mod snapshots;

use super::*;

/// A directory that is gone when dropped.
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory that nobody else has.
    pub fn new() -> Scratch {
        use std::sync::atomic::{AtomicU64, Ordering};
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("berth-journal-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Scratch(path)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// So many facts of all kinds, the same each time.
fn facts(count: usize) -> Vec<Fact> {
    use proptest::strategy::{Strategy, ValueTree};
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let fact = crate::journal::record::tests::fact();
    (0..count).map(|_| fact.new_tree(&mut runner).unwrap().current()).collect()
}

/// Everything the journal in a directory holds.
fn replayed(dir: &Path) -> Result<Vec<Fact>, JournalError> {
    replay(&mut EmbeddedJournal::open(dir)?)
}

fn replay(journal: &mut EmbeddedJournal) -> Result<Vec<Fact>, JournalError> {
    let mut facts = Vec::new();
    journal.replay(&mut |kept| {
        match kept {
            Kept::Snapshot(_) => {}
            Kept::Fact(fact) => facts.push(fact),
        }
        Ok(())
    })?;
    Ok(facts)
}

/// The journal as another program sees it, while no server has it open.
fn tamper(dir: &Path, sql: &str) {
    Connection::open(dir.join(FILE)).unwrap().execute_batch(sql).unwrap();
}

/// A directory with a journal that was closed.
fn closed(facts: &[Fact]) -> Scratch {
    let scratch = Scratch::new();
    EmbeddedJournal::open(scratch.path()).unwrap().append(facts).unwrap();
    scratch
}

#[test]
fn what_was_kept_is_there_after_every_start() {
    let (scratch, facts) = (Scratch::new(), facts(700));
    let mut kept = 0;
    for (start, batch) in [(0, 1), (1, 3), (2, 40), (3, 200)] {
        let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
        journal.log_pages_max = 10;
        assert_eq!(replay(&mut journal).unwrap(), facts[..kept], "start {start}");
        journal.append(&[]).unwrap();
        for batch in facts[kept..kept + 2 * batch].chunks(batch) {
            journal.append(batch).unwrap();
            kept += batch.len();
        }
        assert_eq!(replay(&mut journal).unwrap(), facts[..kept], "start {start}");
    }
    assert_eq!(replayed(scratch.path()).unwrap(), facts[..kept]);
    assert!(!scratch.path().join("journal.sqlite3-wal").exists(), "a closed journal is one file");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let scratch = Scratch::new();
    let first = EmbeddedJournal::open(scratch.path()).unwrap();
    let Err(JournalError::Locked(why)) = EmbeddedJournal::open(scratch.path()) else {
        panic!("opened twice")
    };
    assert!(why.contains("is in use by another berth"), "{why}");
    drop(first);
    EmbeddedJournal::open(scratch.path()).unwrap();
}

#[test]
fn the_files_are_for_their_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let scratch = Scratch::new();
    let mut journal = EmbeddedJournal::open(&scratch.path().join("data")).unwrap();
    journal.append(&facts(1)).unwrap();
    let entries: Vec<_> = std::fs::read_dir(scratch.path().join("data")).unwrap().collect();
    assert!(entries.len() >= 3, "the file, its log, the lock: {entries:?}");
    for entry in entries {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o077, 0, "{entry:?}");
    }
}

#[test]
fn files_of_others_and_of_newer_versions_are_refused() {
    let refused = |setup: &dyn Fn(&Path)| {
        let scratch = Scratch::new();
        setup(scratch.path());
        let before = std::fs::read(scratch.path().join(FILE)).unwrap();
        let error = EmbeddedJournal::open(scratch.path()).err().expect("it is refused");
        assert_eq!(std::fs::read(scratch.path().join(FILE)).unwrap(), before, "it is left as it was");
        error
    };
    let foreign = refused(&|dir| tamper(dir, "CREATE TABLE poems (line TEXT)"));
    assert!(
        matches!(&foreign, JournalError::Unusable(why) if why.contains("is no journal of berth")),
        "{foreign}"
    );
    let newer = refused(&|dir| {
        drop(EmbeddedJournal::open(dir).unwrap());
        tamper(dir, "PRAGMA user_version = 3");
    });
    assert!(matches!(&newer, JournalError::Unusable(why) if why.contains("has format 3")), "{newer}");
    let zero = refused(&|dir| {
        drop(EmbeddedJournal::open(dir).unwrap());
        tamper(dir, "PRAGMA user_version = 0");
    });
    assert!(matches!(zero, JournalError::Damaged(_)), "{zero}");
    let text = refused(&|dir| std::fs::write(dir.join(FILE), "so much depends upon ".repeat(99)).unwrap());
    assert!(matches!(text, JournalError::Damaged(_)), "{text}");
}

#[test]
fn damage_names_the_fact() {
    let facts = facts(20);
    let cases = [
        (
            "UPDATE fact SET body = replace(body, '\"', '''') WHERE seq = 7",
            "fact 7 ",
            "checksum does not fit",
        ),
        ("UPDATE fact SET at = at + 1 WHERE seq = 8", "fact 8 ", "checksum does not fit"),
        ("UPDATE fact SET version = version + 1 WHERE seq = 8", "fact 8 ", "checksum does not fit"),
        ("UPDATE fact SET kind = kind || 's' WHERE seq = 20", "fact 20 ", "checksum does not fit"),
        ("UPDATE fact SET sum = sum + 1 WHERE seq = 1", "fact 1 ", "checksum does not fit"),
        ("DELETE FROM fact WHERE seq = 9", "fact 9 ", "it is missing, the next one that is there is 10"),
        ("DELETE FROM fact WHERE seq = 1", "fact 1 ", "the next one that is there is 2"),
        ("DELETE FROM fact WHERE seq > 17", "fact 18 ", "is missing, and 20 facts were kept"),
        ("DELETE FROM fact", "fact 1 ", "is missing, and 20 facts were kept"),
        ("UPDATE fact SET seq = -5 WHERE seq = 5", "fact 5 ", "the next one that is there is 6"),
        ("UPDATE fact SET seq = -seq", "the last fact", "has the number -1"),
        (
            "UPDATE fact SET seq = 9223372036854775807 WHERE seq = 20",
            "fact 20 ",
            "there is 9223372036854775807",
        ),
        ("UPDATE mark SET seq = 3", "mark", "checksum"),
    ];
    for (sql, which, why) in cases {
        let scratch = closed(&facts);
        tamper(scratch.path(), sql);
        let Err(JournalError::Damaged(sentence)) = replayed(scratch.path()) else { panic!("{sql}") };
        assert!(sentence.contains(which) && sentence.contains(why), "{sql}: {sentence}");
    }
}

#[test]
fn a_long_journal_is_heard_in_order_and_its_first_damage_is_told() {
    let all = facts(5_000);
    let scratch = closed(&all);
    assert_eq!(replayed(scratch.path()).unwrap(), all);
    // Read on another thread than the checksum, and before it.
    let (version, kind, body) = (1, "board_painted", "{}");
    let sum = row::sum(4_000, 5, version, kind.as_bytes(), body.as_bytes());
    let painted =
        format!("UPDATE fact SET at = 5, version = {version}, kind = '{kind}', body = '{body}', sum = {sum}");
    tamper(scratch.path(), "UPDATE fact SET sum = sum + 1 WHERE seq = 4010");
    let mut heard = 0;
    let mut hear = || {
        heard = 0;
        let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
        let ended = journal.replay(&mut |_| {
            heard += 1;
            Ok(())
        });
        (ended.unwrap_err(), heard)
    };
    let (damaged, before) = hear();
    assert!(matches!(&damaged, JournalError::Damaged(why) if why.contains("fact 4010 ")), "{damaged}");
    assert_eq!(before, 4_009);
    tamper(scratch.path(), &format!("{painted} WHERE seq = 4000"));
    let (unknown, before) = hear();
    assert!(matches!(&unknown, JournalError::Unusable(why) if why.contains("fact 4000 ")), "{unknown}");
    assert_eq!(before, 3_999);
    let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
    let refused = journal.replay(&mut |_| Err("no such job".to_owned())).unwrap_err();
    assert!(matches!(&refused, JournalError::Damaged(why) if why.contains("fact 1 ")), "{refused}");
}

#[test]
fn what_only_a_newer_berth_can_read_is_no_damage() {
    for (kind, version) in [("board_painted", 1), ("order_overdue", 99), ("order_overdue", 70_000)] {
        let scratch = closed(&facts(3));
        let body = r#"{"order":[1,2]}"#;
        let sum = row::sum(4, 5, version, kind.as_bytes(), body.as_bytes());
        let row = format!("INSERT INTO fact VALUES (4, 5, {version}, '{kind}', '{body}', {sum})");
        tamper(scratch.path(), &row);
        let Err(JournalError::Unusable(why)) = replayed(scratch.path()) else { panic!("{kind}") };
        assert!(why.contains("fact 4") && why.contains("only a newer Berth"), "{why}");
    }
}

#[test]
fn after_damage_nothing_is_written() {
    let scratch = closed(&facts(3));
    tamper(scratch.path(), "DELETE FROM fact WHERE seq = 2");
    let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
    assert!(replay(&mut journal).is_err());
    assert!(matches!(journal.append(&facts(1)), Err(JournalError::Broken(_))));
}

#[test]
fn a_full_disk_refuses_keeps_what_it_has_and_recovers() {
    let (scratch, facts) = (Scratch::new(), facts(3000));
    let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
    journal.log_pages_max = 30;
    let pages = schema::number(&journal.db, "page_count").unwrap();
    let room = |journal: &EmbeddedJournal, pages: i64| {
        let set: i64 =
            journal.db.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |row| row.get(0)).unwrap();
        assert_eq!(set, pages);
    };
    room(&journal, pages + 60);
    let mut kept = 0;
    let full = loop {
        match journal.append(&facts[kept..kept + 50]) {
            Ok(()) => kept += 50,
            Err(error) => break error,
        }
    };
    assert!(matches!(full, JournalError::Full(_)), "{full}");
    assert!(kept > 0);
    for _ in 0..3 {
        assert!(matches!(journal.append(&facts[kept..kept + 50]), Err(JournalError::Full(_))));
        assert_eq!(replay(&mut journal).unwrap(), facts[..kept], "nothing of the refused batch");
        assert_eq!(Image::of(scratch.path()).replayed().unwrap(), facts[..kept], "nor after a crash");
    }
    room(&journal, pages + 200);
    journal.append(&facts[kept..kept + 50]).unwrap();
    drop(journal);
    assert_eq!(replayed(scratch.path()).unwrap(), facts[..kept + 50]);
}

#[test]
fn a_log_that_somebody_holds_is_copied_soon_after_and_not_tried_all_the_time() {
    let (scratch, facts, mut now) = (Scratch::new(), facts(3000), Moment(1));
    let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
    journal.append(&facts).unwrap();
    let reader = JournalReader::open_file(&journal.path).unwrap();
    while journal.log_pages < 2 * LOG_PAGES_IDLE {
        journal.append(&facts).unwrap();
    }
    let mut tries = 0;
    for _ in 0..3 {
        while journal.tend(now, true).unwrap().is_some_and(|at| at <= now) {
            tries += 1;
            assert!(tries < 10, "tried all the time");
        }
        assert_eq!(journal.tend(now, true), Ok(Some(now.plus_ms(TEND_PAUSE_MS))), "tried again later");
        now = now.plus_ms(TEND_PAUSE_MS);
    }
    assert_eq!(tries, 3);
    drop(reader);
    while journal.tend(now, true).unwrap().is_some_and(|at| at <= now) {}
    assert_eq!(journal.log_pages, 0);
    // The log begins anew and does not stay as long as it became.
    let log = swap::suffixed(&journal.path, "-wal");
    journal.append(&facts).unwrap();
    let before = log.metadata().unwrap().len();
    journal.append(&facts).unwrap();
    assert_eq!(log.metadata().unwrap().len(), before);
}

/// The same on a real file system that is small: `BERTH_SMALL_DISK` names a directory on one of a few megabytes.
#[test]
#[ignore = "needs BERTH_SMALL_DISK, a directory on a file system of 1 to 16 MB"]
fn a_full_file_system_refuses_keeps_what_it_has_and_recovers() {
    let disk =
        PathBuf::from(std::env::var_os("BERTH_SMALL_DISK").expect("BERTH_SMALL_DISK names a directory"));
    let (dir, ballast, facts) = (disk.join("data"), disk.join("ballast"), facts(64));
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::write(&ballast, vec![1; 1 << 19]).unwrap();
    let mut journal = EmbeddedJournal::open(&dir).unwrap();
    let mut kept = Vec::new();
    let full = loop {
        assert!(kept.len() < 1_000_000, "the file system is not small");
        match journal.append(&facts) {
            Ok(()) => kept.extend_from_slice(&facts),
            Err(error) => break error,
        }
    };
    assert!(matches!(full, JournalError::Full(_)), "{full}");
    // Smaller batches may still fit; what is refused is refused whole, also when a crash follows.
    for batch in facts.chunks(5).cycle().take(200) {
        match journal.append(batch) {
            Ok(()) => kept.extend_from_slice(batch),
            Err(error) => assert!(matches!(error, JournalError::Full(_)), "{error}"),
        }
        if kept.len() % 20 == 0 {
            assert!(Image::of(&dir).replayed().unwrap() == kept);
        }
    }
    assert!(replay(&mut journal).unwrap() == kept);
    std::fs::remove_file(&ballast).unwrap();
    journal.append(&facts).unwrap();
    kept.extend_from_slice(&facts);
    drop(journal);
    assert!(replayed(&dir).unwrap() == kept);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn another_program_that_writes_is_waited_for() {
    let (scratch, facts) = (Scratch::new(), facts(2));
    let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
    journal.db.busy_timeout(std::time::Duration::ZERO).unwrap();
    let other = Connection::open(scratch.path().join(FILE)).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let Err(JournalError::Full(why)) = journal.append(&facts) else { panic!("written in between") };
    assert!(why.contains("by another program"), "{why}");
    other.execute_batch("ROLLBACK").unwrap();
    journal.append(&facts).unwrap();
    assert_eq!(replay(&mut journal).unwrap(), facts);
}

#[test]
fn a_journal_that_broke_stays_broken() {
    let scratch = Scratch::new();
    let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
    tamper(scratch.path(), "ALTER TABLE fact RENAME TO fiction");
    let first = journal.append(&facts(1)).unwrap_err();
    assert!(matches!(first, JournalError::Broken(_)), "{first}");
    tamper(scratch.path(), "ALTER TABLE fiction RENAME TO fact");
    assert_eq!(journal.append(&facts(1)), Err(first));
    drop(journal);
    assert_eq!(replayed(scratch.path()), Ok(vec![]));
}

/// A journal's two files as bytes, to be damaged.
#[derive(Clone)]
struct Image {
    file: Vec<u8>,
    log: Option<Vec<u8>>,
}

impl Image {
    /// The files as they are now.
    fn of(dir: &Path) -> Image {
        let log = std::fs::read(dir.join("journal.sqlite3-wal")).ok();
        Image { file: std::fs::read(dir.join(FILE)).unwrap(), log }
    }

    /// Puts the files into a directory.
    fn write(&self, dir: &Path) {
        std::fs::write(dir.join(FILE), &self.file).unwrap();
        if let Some(log) = &self.log {
            std::fs::write(dir.join("journal.sqlite3-wal"), log).unwrap();
        }
    }

    /// A directory that has these files.
    fn put(&self) -> Scratch {
        let scratch = Scratch::new();
        self.write(scratch.path());
        scratch
    }

    /// What a server finds that starts on them.
    fn replayed(&self) -> Result<Vec<Fact>, JournalError> {
        replayed(self.put().path())
    }
}

/// A log of forty batches that nobody copied, and how many facts each batch has.
fn crashed(facts: &[Fact]) -> (Image, Vec<usize>) {
    let scratch = Scratch::new();
    let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
    let sizes: Vec<_> = (0..40).map(|n| 1 + n * 7 % 11).collect();
    let mut rest = facts;
    for size in &sizes {
        let (batch, after) = rest.split_at(*size);
        journal.append(batch).unwrap();
        rest = after;
    }
    (Image::of(scratch.path()), sizes)
}

/// How many batches these facts are, which must be whole ones from the beginning.
fn whole_batches(found: &[Fact], facts: &[Fact], sizes: &[usize]) -> usize {
    assert!(found == &facts[..found.len()], "never anything else than a beginning");
    let ends = sizes.iter().scan(0, |end, size| {
        *end += size;
        Some(*end)
    });
    let whole = ends.take_while(|end| *end <= found.len());
    let (count, end) = whole.fold((0, 0), |(count, _), end| (count + 1, end));
    assert_eq!(end, found.len(), "never half a batch");
    count
}

#[test]
fn a_torn_log_is_a_beginning_of_whole_batches() {
    let facts = facts(300);
    let (image, sizes) = crashed(&facts);
    let log = image.log.clone().unwrap();
    let frame = wal::FRAME_BYTES + PAGE_BYTES;
    let edges = (0..).map(|n| wal::HEADER_BYTES + n * frame).take_while(|at| *at <= log.len());
    let around = edges.flat_map(|at| [at.saturating_sub(1), at, at + 24]);
    let lengths: std::collections::BTreeSet<_> =
        around.chain((0..log.len()).step_by(7919)).filter(|at| *at <= log.len()).chain([log.len()]).collect();
    let mut most = 0;
    for len in lengths {
        let torn = Image { log: Some(log[..len].to_vec()), ..image.clone() };
        let found = whole_batches(&torn.replayed().unwrap(), &facts, &sizes);
        assert!(found >= most, "a longer log never holds less");
        most = found;
        // The length was written and the last blocks were not.
        let mut blank = torn.log.unwrap();
        blank.resize(len + 2 * frame, 0);
        let blank = Image { log: Some(blank), ..image.clone() };
        // Zeros may be just what was missing of a page.
        assert!(whole_batches(&blank.replayed().unwrap(), &facts, &sizes) >= found);
    }
    assert_eq!(most, sizes.len());
}

#[test]
fn what_an_earlier_kill_left_behind_a_torn_log_is_no_damage() {
    let (scratch, facts) = (Scratch::new(), facts(400));
    let mut journal = EmbeddedJournal::open(scratch.path()).unwrap();
    journal.append(&facts[..20]).unwrap();
    let kept = Image::of(scratch.path()).log.unwrap().len();
    // A batch of many frames, killed before its last one was whole.
    journal.append(&facts[20..]).unwrap();
    let mut left = Image::of(scratch.path()).log.unwrap();
    left.truncate(left.len() - PAGE_BYTES);
    let killed = Image { log: Some(left.clone()), ..Image::of(scratch.path()) };
    // The next server writes a small batch over its beginning, and is killed after any byte of it.
    let next = killed.put();
    let mut journal = EmbeddedJournal::open(next.path()).unwrap();
    assert_eq!(replay(&mut journal).unwrap(), facts[..20]);
    journal.append(&facts[20..21]).unwrap();
    let over = Image::of(next.path()).log.unwrap();
    let end = (kept..over.len()).rev().find(|at| over[*at] != left[*at]).unwrap() + 1;
    assert!(over.len() > end + 2 * (wal::FRAME_BYTES + PAGE_BYTES), "frames stand behind it");
    // Headers are written at once; `wal` says what is not told apart if one is torn between its end and its sums.
    let header = (kept..kept + 5).chain(kept + 17..kept + wal::FRAME_BYTES);
    for at in header.chain((kept + wal::FRAME_BYTES..end).step_by(61)) {
        let log = [&over[..at], &left[at..]].concat();
        let found = (Image { log: Some(log), ..killed.clone() }).replayed();
        assert!(found.as_ref() == Ok(&facts[..20].to_vec()), "killed at byte {at}: {:?}", found.err());
    }
    let over = Image { log: Some(over), ..killed };
    assert_eq!(over.replayed().unwrap(), facts[..21]);
}

#[test]
fn a_flipped_byte_in_the_log_never_loses_more_than_what_a_torn_tail_may() {
    let facts = facts(300);
    let (image, sizes) = crashed(&facts);
    let log = image.log.clone().unwrap();
    let (mut refused, mut torn) = (0, 0);
    for at in (0..wal::HEADER_BYTES).chain((wal::HEADER_BYTES..log.len()).step_by(577)) {
        let mut log = log.clone();
        log[at] ^= 1 << (at % 8);
        match (Image { log: Some(log), ..image.clone() }).replayed() {
            Err(JournalError::Damaged(why)) => {
                assert!(why.contains("byte "), "{why}");
                refused += 1;
            }
            Err(other) => panic!("byte {at}: {other}"),
            Ok(found) => {
                let found = whole_batches(&found, &facts, &sizes);
                assert!(found + 2 >= sizes.len(), "byte {at} lost {} batches", sizes.len() - found);
                torn += usize::from(found < sizes.len());
            }
        }
    }
    assert!(refused > 10 * torn, "{refused} refused, {torn} taken for a torn tail");
}

#[test]
fn a_flipped_byte_in_the_file_is_found_or_harmless() {
    let facts = facts(150);
    let scratch = closed(&facts);
    let image = Image::of(scratch.path());
    assert!(image.log.is_none());
    let mut refused = 0;
    let positions = (0..108).chain((108..image.file.len()).step_by(image.file.len() / 400));
    for at in positions {
        let mut damaged = image.clone();
        damaged.file[at] ^= 1 << (at % 8);
        match damaged.replayed() {
            Err(_) => refused += 1,
            Ok(found) => assert!(found == facts, "byte {at} changed what is remembered"),
        }
    }
    assert!(refused > 100, "{refused}");
}

#[test]
fn a_log_without_its_file_is_refused() {
    let (image, _) = crashed(&facts(300));
    let Err(JournalError::Damaged(why)) = (Image { file: vec![], ..image }).replayed() else { panic!() };
    assert!(why.contains("belong together"), "{why}");
}

/// What makes the test below a writer that is going to be killed: its data directory.
const CHILD: &str = "BERTH_JOURNAL_CHILD";

/// A batch that can be told from all others: its number, and which of how many each fact is.
fn batch(number: u64) -> Vec<Fact> {
    let size = 1 + number * 5 % 13;
    let fact = |part: u64| {
        let (by, reason) = (format!("{part} of {size}").into(), "x".repeat((number % 400) as usize).into());
        Fact { at: Moment(number), event: crate::lab::fact::Event::ServiceSet { accept: true, by, reason } }
    };
    (1..=size).map(fact).collect()
}

/// How many batches there are; they are whole and in order.
fn batches(facts: &[Fact]) -> u64 {
    let (mut rest, mut number) = (facts, 0);
    while !rest.is_empty() {
        number += 1;
        rest = rest.strip_prefix(&batch(number)[..]).expect("every batch is whole");
    }
    number
}

/// Not a test of its own: the process that `kills_lose_nothing_acknowledged` kills.
#[test]
fn a_writer_that_is_killed() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let mut journal = EmbeddedJournal::open(Path::new(&dir)).unwrap();
    journal.log_pages_max = 40;
    let next = batches(&replay(&mut journal).unwrap()) + 1;
    for number in next.. {
        journal.append(&batch(number)).unwrap();
        println!("\nkept {number}");
    }
}

#[test]
fn kills_lose_nothing_acknowledged() {
    use proptest::strategy::{Strategy, ValueTree};
    use std::io::BufRead;
    use std::process::{Command, Stdio};
    let (scratch, mut chance) = (Scratch::new(), proptest::test_runner::TestRunner::deterministic());
    let mut acknowledged = 0;
    for kill in 0..24 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "journal::embedded::tests::a_writer_that_is_killed", "--nocapture"])
            .env(CHILD, scratch.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        let (acks, yields) = (0..60, 0..3000).new_tree(&mut chance).unwrap().current();
        let mut heard = 0;
        let mut hear = |line: String| match line.strip_prefix("kept ") {
            Some(number) => {
                acknowledged = number.parse().unwrap();
                heard += 1;
                heard >= acks
            }
            None => acks == 0,
        };
        // Kills come after so many acknowledgements (none: while it opens), and then at no particular instant.
        assert!(lines.by_ref().any(&mut hear), "the writer ended by itself");
        (0..yields).for_each(|_| std::thread::yield_now());
        child.kill().unwrap();
        child.wait().unwrap();
        lines.for_each(|line| {
            hear(line);
        });
        let found = batches(&replayed(scratch.path()).unwrap());
        assert!(found >= acknowledged, "kill {kill}: {acknowledged} were acknowledged, {found} are there");
        assert!(found <= acknowledged + 1, "kill {kill}: at most one was not told of any more");
    }
    assert!(acknowledged > 100, "{acknowledged}");
}
