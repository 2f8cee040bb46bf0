//! The stand door, as burners, displays and command clients meet it.

mod burns;
mod displays;
mod images;
mod late;
mod limits;
mod wire;

use crate::cli::Dir;
use crate::house::House;
use crate::socket::Socket;
use crate::stand_line::Line;
use serde_json::{Value, json};
use std::ops::Deref;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A lab of burners and nothing else.
pub const LAB: &str = r#"
name = "stand"
[native]
listen = "127.0.0.1:0"
guests = "user"
[stand]
listen = "127.0.0.1:0"
report_ms = 1000
rate_per_s = 0
[[machine]]
name = "burners"
shape = "pool"
kinds = ["burn"]
controller = "agent"
[machine.agent]
timeout_s = 600
"#;

/// Three images.
pub const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
pub const B: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
pub const C: &str = "cccccccccccccccccccccccccccccccc";

/// Two burners, and whoever commands and looks on.
pub const ONE: &str = "11111111111111111111111111111111";
pub const TWO: &str = "22222222222222222222222222222222";
pub const ME: &str = "99999999999999999999999999999999";

/// How long something that comes by itself may take: far longer than it does.
const PATIENCE: Duration = Duration::from_secs(30);

/// A house with a data directory of its own, for what is known of images.
pub struct Place {
    house: Option<House>,
    _dir: Dir,
}

impl Place {
    /// A house with this configuration.
    pub fn with(config: &str) -> Place {
        static PLACES: AtomicUsize = AtomicUsize::new(0);
        let dir = Dir::new(&format!("stand-{}", PLACES.fetch_add(1, Ordering::Relaxed)));
        let config = format!("data_dir = \"{}\"\n{config}", dir.path("data"));
        Place { house: Some(House::with(&config)), _dir: dir }
    }

    /// Closes the house and opens it again on what it kept.
    pub fn reopen(mut self) -> Place {
        self.house = self.house.take().map(House::reopen);
        self
    }
}

impl Deref for Place {
    type Target = House;

    fn deref(&self) -> &House {
        self.house.as_ref().expect("a house")
    }
}

pub fn house() -> Place {
    Place::with(LAB)
}

/// The lab with this in the place of that.
pub fn lab_with(that: &str, this: &str) -> String {
    assert!(LAB.contains(that), "{that}");
    LAB.replace(that, this)
}

/// A burner that holds these images, all of them known by now.
pub fn burner(house: &House, uid: &str, images: &[&str]) -> Line {
    burner_of(house, "DVD", uid, images)
}

pub fn burner_of(house: &House, medium: &str, uid: &str, images: &[&str]) -> Line {
    let mut line = Line::client(house.stand.expect("a stand door"), &format!("BURN{medium}"), uid);
    let listed: String = images.iter().map(|image| format!("\t{image}")).collect();
    line.say(&format!("CAP\tBURN{medium}{listed}"));
    // Whatever is asked about them, this is said after it.
    line.say("ASKCAPAB");
    while !line.hear().expect("an answer").starts_with("CAP") {}
    line
}

pub fn commander(house: &House) -> Line {
    Line::client(house.stand.expect("a stand door"), "COMMAND", ME)
}

/// Queues an image.
pub fn queue(house: &House, image: &str, priority: i32) {
    assert_eq!(commander(house).command(&format!("QUEUE\t{image}\t{priority}")), "QOK");
}

/// What waits, as rows of an ID, an image and a priority.
pub fn queued(house: &House) -> Vec<String> {
    // A burner is told of no changes, so the next message is the answer.
    let mut line = Line::client(house.stand.expect("a stand door"), "BURNDVD", ME);
    let list = line.ask("QREPORT");
    let rows = list.strip_prefix("QLIST").expect("a queue").trim_start_matches('\t');
    rows.split("\r\n").filter(|row| !row.is_empty()).map(str::to_owned).collect()
}

/// Waits until something is so.
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < PATIENCE, "it never came about: {what}");
        std::thread::yield_now();
    }
}

/// A job, as the native door shows it.
pub fn job(house: &House, job: u64) -> Value {
    Socket::guest(house.address).call(json!({"fname": "get_job", "job_id": job})).expect("a job")
}

pub fn state(house: &House, number: u64) -> String {
    job(house, number)["state_name"].as_str().expect("a state").to_owned()
}

/// A board, as the native door shows it.
pub fn board(house: &House, uid: &str) -> Value {
    let call = json!({"fname": "get_board", "machine": "burners", "serial": uid});
    Socket::guest(house.address).call(call).expect("a board")
}

#[test]
fn an_image_is_burnt() {
    let house = house();
    queue(&house, A, 0);
    let mut burner = burner(&house, ONE, &[A, B]);
    burner.say("STATUS\tDVD\tAVAIL");
    burner.expect(&format!("BURN\t{A}"));
    assert_eq!(state(&house, 1), "power");
    for percent in [0, 25, 50, 75] {
        burner.say(&format!("STATUS\t{A}\t{percent}"));
    }
    until("the burner burns", || state(&house, 1) == "ready");
    burner.say(&format!("STATUS\t{A}\t100\tTIME\t42"));
    burner.say(&format!("STATUS\t{A}\tPASS"));
    until("the image is burnt", || state(&house, 1) == "destroyed");
    assert_eq!(job(&house, 1)["reason"], format!("done: burnt by {ONE}"));
    until("the burner is free", || board(&house, ONE)["state"] == "free");
    assert_eq!(queued(&house), [""; 0]);
}
