//! One burner as the server sees it: what it holds, what it does, what it was told to burn; and so, what it could burn now, and what
//! follows from what it says.
//!
//! ```text
//!            tray: AVAIL          told            0, 25, ...           100 TIME          PASS, FAIL
//!   silent ------------> idle ----------> told ------------> burning -----------> burning ---------> idle, offers none until AVAIL
//! ```
//!
//! Statuses of a tray cross with BURN on the way, so they say nothing about it until burning has begun; from then on they say that it
//! has ended. Time is not known here: a burner that never begins is its order's affair.

use super::message::{BurnerRow, Showing, Status, Tray, Verdict};
use super::word::{ErrorCode, Hash, Line, Medium, Uid};
use std::collections::BTreeSet;

/// See above. It lasts as long as its connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burner {
    medium: Medium,
    images: BTreeSet<Hash>,
    /// What it said last of itself.
    status: Option<Status>,
    /// Its tray holds a blank disc, as far as it is known.
    blank: bool,
    /// What it was told to burn and has not ended.
    task: Option<Task>,
    /// What it was told is nobody's affair any more, and may not have reached it yet.
    crossing: bool,
}

/// What a burner was told to burn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Task {
    image: Hash,
    /// How far that is.
    stage: Stage,
}

/// How far a burner is with what it was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It was told.
    Told,
    /// It began over an earlier connection, and has not said yet that it goes on.
    Awaited,
    /// It said that it burns.
    Began,
}

/// What follows from what a burner said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Follows {
    /// Nothing about what it was told; what it offers may have changed.
    Nothing,
    /// It burns what it was told to.
    Began(Hash),
    /// What it was told to burn is burnt.
    Passed(Hash),
    /// What it was told to burn it does not burn, or not well, and will not without being told again.
    Failed(Hash, Failing),
}

/// Why an image was not burnt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failing {
    /// The disc is bad.
    Bad,
    /// It does something else now: its tray, or another image.
    Dropped,
    /// It said so.
    Refused(ErrorCode),
}

/// What is to be done to have an image burnt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Send `BURN`.
    Burn,
    /// Nothing: it was told already.
    Already,
    /// Nothing: it is burning.
    Burning,
}

impl Burner {
    /// A burner that has said what it is and nothing else.
    pub fn new(medium: Medium) -> Burner {
        Burner { medium, images: BTreeSet::new(), status: None, blank: false, task: None, crossing: false }
    }

    /// What it burns at most.
    pub fn medium(&self) -> Medium {
        self.medium
    }

    /// The images it holds.
    pub fn images(&self) -> &BTreeSet<Hash> {
        &self.images
    }

    /// Its last status.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// What it says that it burns, told or not.
    pub fn burning(&self) -> Option<Hash> {
        match self.status {
            Some(Status::Burning { image, .. }) => Some(image),
            _ => None,
        }
    }

    /// What it was told to burn and has not ended.
    pub fn task(&self) -> Option<Hash> {
        self.task.map(|task| task.image)
    }

    /// It said what it holds. A medium said there is what it burns from now on.
    pub fn hear_cap(&mut self, medium: Option<Medium>, images: impl IntoIterator<Item = Hash>) {
        self.medium = medium.unwrap_or(self.medium);
        self.images = images.into_iter().collect();
    }

    /// It is to burn this. Says whether it must be told so.
    pub fn tell(&mut self, image: Hash) -> Told {
        let burning = self.burning() == Some(image);
        let already = self.task() == Some(image);
        let stage = match self.task {
            _ if burning => Stage::Began,
            Some(task) if already => task.stage,
            _ => Stage::Told,
        };
        self.task = Some(Task { image, stage });
        match (burning, already) {
            (true, _) => Told::Burning,
            (false, true) => Told::Already,
            (false, false) => Told::Burn,
        }
    }

    /// It was burning this when it was last connected: what it says next tells whether that goes on.
    pub fn resume(&mut self, image: Hash) {
        self.task = Some(Task { image, stage: Stage::Awaited });
    }

    /// What it was told is nobody's affair any more; it may burn it to the end.
    pub fn forget(&mut self) {
        // It may have been told and begin yet: only its next status says what it can.
        self.blank &= self.task.is_none();
        self.crossing |= self.task.take().is_some_and(|task| task.stage == Stage::Told);
    }

    /// It was lost: what it does now is not known before it says so.
    pub fn forget_status(&mut self) {
        (self.status, self.blank) = (None, false);
    }

    /// It said what it is doing.
    pub fn hear_status(&mut self, status: Status) -> Follows {
        self.status = Some(status);
        self.blank = match status {
            // The first may have crossed with what it was told: it may begin yet.
            Status::Tray { disc, tray } => tray == Tray::Avail && self.medium.writes(disc) && !self.crossing,
            _ => false,
        };
        self.crossing = false;
        let Some(task) = self.task else { return Follows::Nothing };
        match status {
            Status::Verified { image, verdict } if image == task.image => self.end(verdict),
            Status::Burning { image, .. } if image == task.image => self.begin(task),
            // It crossed with BURN.
            Status::Tray { .. } if task.stage == Stage::Told => Follows::Nothing,
            // An old verdict may do so too.
            Status::Verified { .. } if task.stage == Stage::Told => Follows::Nothing,
            _ => self.fail(Failing::Dropped),
        }
    }

    /// It said that something is wrong. Whatever it was told, it is told no more; what it does not hold, it does not offer.
    pub fn hear_error(&mut self, code: &ErrorCode) -> Follows {
        self.crossing = false;
        let Some(task) = self.task else { return Follows::Nothing };
        if self.burning().is_some() {
            self.status = None;
        }
        if *code == ErrorCode::NOISO {
            self.images.remove(&task.image);
        } else {
            // Otherwise it would be told again at once. Its next status says whether it can.
            self.blank = false;
        }
        self.fail(Failing::Refused(code.clone()))
    }

    fn begin(&mut self, task: Task) -> Follows {
        if task.stage == Stage::Began {
            return Follows::Nothing;
        }
        self.task = Some(Task { stage: Stage::Began, ..task });
        Follows::Began(task.image)
    }

    fn end(&mut self, verdict: Verdict) -> Follows {
        match (verdict, self.task) {
            (Verdict::Pass, Some(task)) => {
                self.task = None;
                Follows::Passed(task.image)
            }
            _ => self.fail(Failing::Bad),
        }
    }

    fn fail(&mut self, why: Failing) -> Follows {
        self.task.take().map_or(Follows::Nothing, |task| Follows::Failed(task.image, why))
    }

    /// The images it could burn now, in their order, given how many bytes those have whose size is known.
    pub fn offers(&self, bytes: impl Fn(&Hash) -> Option<u64>) -> Vec<Hash> {
        let Some(disc) = self.blank_disc() else { return Vec::new() };
        let fits = |image: &&Hash| bytes(image).is_none_or(|bytes| bytes <= disc.bytes_max());
        self.images.iter().filter(fits).copied().collect()
    }

    /// The blank disc in its tray, if nothing is to be burnt on it yet.
    pub fn blank_disc(&self) -> Option<Medium> {
        match self.status {
            Some(Status::Tray { disc, .. }) if self.blank && self.task.is_none() => Some(disc),
            _ => None,
        }
    }

    /// Its record for displays.
    pub fn row(&self, uid: Uid, name: Line) -> BurnerRow {
        let showing = self.status.map_or(Showing::Silent, Showing::Says);
        BurnerRow { uid, name, medium: Some(self.medium), showing }
    }
}
