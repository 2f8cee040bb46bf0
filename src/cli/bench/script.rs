//! What is said, ready to be sent: the texts of a mix, and under each session the frames of its first messages, encoded
//! once. Only what follows an answer is made while running, out of a text with a gap for the earlier result.

use super::mix::{Mix, Step};
use super::tongue::{self, Tongue};
use crate::client::{Credentials, Request};
use crate::wire::{self, Command, Envelope};

/// Room for a short message.
const TEXT_BYTES: usize = 256;

/// What we call ourselves in messages.
pub const NAME: &str = "berth-bench";

/// A place in the list of all steps of a mix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StepAt(usize);

/// All steps of a mix, work after work.
pub struct Script {
    steps: Vec<Line>,
    round: Vec<StepAt>,
    batch: usize,
}

/// A step.
struct Line {
    step: Step,
    text: Text,
    /// Whether another step of the same work follows.
    goes_on: bool,
}

/// What a step says, but for the session.
enum Text {
    /// A call, once or as often as the message has calls.
    Call(Vec<u8>),
    /// A call around an earlier result.
    Around(Vec<u8>, Vec<u8>),
    /// The data of a handshake.
    Handshake(Vec<u8>),
    /// The command.
    Logout,
    /// A line, around an earlier result if it has two parts.
    Line(Vec<u8>, Vec<u8>),
}

impl Script {
    /// The script of a mix: who shakes hands, what jobs are asked for, and how many calls a message has.
    pub fn new(mix: &Mix, tongue: Tongue, credentials: &Credentials, job: &Request, batch: usize) -> Script {
        let (mut steps, mut firsts) = (Vec::new(), Vec::new());
        for part in mix.parts {
            firsts.push(StepAt(steps.len()));
            let last = part.work.steps.len() - 1;
            steps.extend(part.work.steps.iter().enumerate().map(|(at, step)| Line {
                step: *step,
                text: match tongue {
                    Tongue::Native => text(*step, credentials, job),
                    Tongue::Spalloc => {
                        let (head, tail) = tongue::line(*step, job);
                        Text::Line(head, tail)
                    }
                },
                goes_on: at < last,
            }));
        }
        Script { steps, round: mix.round().into_iter().map(|part| firsts[part]).collect(), batch }
    }

    /// The names of all steps.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        self.steps.iter().map(|line| line.step.name())
    }

    /// How many steps there are.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// The step that the work begins with whose turn it is.
    pub fn first(&self, turn: usize) -> StepAt {
        self.round[turn % self.round.len()]
    }

    /// The step.
    pub fn step(&self, at: StepAt) -> Step {
        self.steps[at.0].step
    }

    /// The step that follows in the same work.
    pub fn next(&self, at: StepAt) -> Option<StepAt> {
        self.steps[at.0].goes_on.then_some(StepAt(at.0 + 1))
    }

    /// Whether a work begins with this step.
    pub fn is_first(&self, at: StepAt) -> bool {
        at.0 == 0 || !self.steps[at.0 - 1].goes_on
    }

    /// With how many calls a work is begun.
    pub fn calls(&self, first: StepAt) -> usize {
        if self.step(first).is_alone() { 1 } else { self.batch }
    }

    /// Appends a frame with so many calls, or with one for each of the results.
    fn push(&self, at: StepAt, session: &str, calls: usize, results: &[&str], out: &mut Vec<u8>) {
        if let Text::Line(head, tail) = &self.steps[at.0].text {
            out.extend_from_slice(head);
            out.extend_from_slice(results.first().copied().unwrap_or_default().as_bytes());
            return out.extend_from_slice(tail);
        }
        let mut text = Vec::with_capacity(TEXT_BYTES);
        let envelope = Envelope { session, name: NAME, id: None };
        match &self.steps[at.0].text {
            Text::Call(call) => {
                envelope.begin_list(&mut text);
                push_list(&mut text, 0..calls, |text, _| text.extend_from_slice(call));
                envelope.end_list(&mut text);
            }
            Text::Around(head, tail) => {
                envelope.begin_list(&mut text);
                push_list(&mut text, results, |text, result| {
                    text.extend_from_slice(head);
                    text.extend_from_slice(result.as_bytes());
                    text.extend_from_slice(tail);
                });
                envelope.end_list(&mut text);
            }
            Text::Handshake(data) => {
                let envelope = Envelope { session: "", ..envelope };
                envelope.begin(&mut text);
                text.extend_from_slice(data);
                envelope.end(&mut text);
            }
            Text::Logout => {
                let session = results.first().copied().unwrap_or_default();
                Envelope { session, ..envelope }.push_command(&mut text, Command::Logout);
            }
            Text::Line(..) => {}
        }
        wire::encode(&text, out);
    }

    /// Appends the frame that follows an answer with these results.
    pub fn push_next(&self, at: StepAt, sheet: &Sheet, results: &[&str], out: &mut Vec<u8>) {
        self.push(at, &sheet.session, results.len(), results, out);
    }
}

fn push_list<T>(text: &mut Vec<u8>, of: impl IntoIterator<Item = T>, mut push: impl FnMut(&mut Vec<u8>, T)) {
    for (at, item) in of.into_iter().enumerate() {
        if at > 0 {
            text.push(b',');
        }
        push(text, item);
    }
}

fn text(step: Step, credentials: &Credentials, job: &Request) -> Text {
    match step {
        Step::Call { fname } => Text::Call(json(&Request::new(fname))),
        Step::Create => Text::Call(json(job)),
        Step::CallOn { fname, arg } => {
            let mut head = json(&Request::new(fname));
            head.pop();
            head.extend_from_slice(format!(",\"{arg}\":").as_bytes());
            Text::Around(head, b"}".to_vec())
        }
        Step::Handshake => Text::Handshake(json(credentials)),
        Step::Logout => Text::Logout,
    }
}

/// A value that is all text and numbers can always be written.
fn json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_else(|_| b"null".to_vec())
}

/// The first messages of all works under one session, as frames.
pub struct Sheet {
    session: String,
    /// By step; empty where a step is no first one.
    frames: Vec<Vec<u8>>,
}

impl Sheet {
    /// The frames of a script under a session.
    pub fn new(script: &Script, session: String) -> Sheet {
        let mut frames = vec![Vec::new(); script.len()];
        for first in &script.round {
            if frames[first.0].is_empty() {
                script.push(*first, &session, script.calls(*first), &[], &mut frames[first.0]);
            }
        }
        Sheet { session, frames }
    }

    /// Appends the frame that begins a work with so many calls.
    pub fn push_first(&self, script: &Script, first: StepAt, calls: usize, out: &mut Vec<u8>) {
        match calls == script.calls(first) {
            true => out.extend_from_slice(&self.frames[first.0]),
            false => script.push(first, &self.session, calls, &[], out),
        }
    }
}

/// A list with one place per step.
#[derive(Clone, Default)]
pub struct PerStep<T>(pub Vec<T>);

impl<T> PerStep<T> {
    /// What is at a step.
    pub fn at(&mut self, at: StepAt) -> &mut T {
        &mut self.0[at.0]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FrameLimits, Unframer};
    use serde_json::{Value, json};

    fn script(mix: &str, batch: usize) -> Script {
        let job = Request::new("create_job").with("boards", 1);
        Script::new(Mix::named(mix).unwrap(), Tongue::Native, &Credentials::user("ada", "x"), &job, batch)
    }

    fn read(frame: &[u8]) -> Value {
        let (bytes, body) = Unframer::new(FrameLimits::default()).feed(frame);
        assert_eq!(bytes, frame.len(), "one frame");
        serde_json::from_slice(&body.unwrap().unwrap()).unwrap()
    }

    fn first(script: &Script, calls: usize) -> Value {
        let mut out = Vec::new();
        let sheet = Sheet::new(script, "s".to_owned());
        sheet.push_first(script, script.first(0), calls, &mut out);
        read(&out)
    }

    fn next(script: &Script, results: &[&str]) -> Value {
        let mut out = Vec::new();
        let sheet = Sheet::new(script, "s".to_owned());
        let next = script.next(script.first(0)).unwrap();
        assert_eq!(script.next(next), None);
        script.push_next(next, &sheet, results, &mut out);
        read(&out)
    }

    #[test]
    fn first_messages_have_as_many_calls_as_asked() {
        let version = script("version", 3);
        let call = json!({"fname": "get_version"});
        let expected = json!({"session": "s", "name": NAME, "data": [call, call, call]});
        assert_eq!(first(&version, 3), expected);
        assert_eq!(first(&version, 1)["data"], json!([call]));
        assert_eq!(version.next(version.first(0)), None);
    }

    #[test]
    fn earlier_results_stand_in_what_follows() {
        let pairs = script("pairs", 2);
        assert_eq!(first(&pairs, 1)["data"], json!([{"fname": "create_job", "boards": 1}]));
        let destroy = |job| json!({"fname": "destroy_job", "job_id": job});
        assert_eq!(
            next(&pairs, &["7", "18446744073709551615"])["data"],
            json!([destroy(7), destroy(u64::MAX)])
        );
        assert_eq!(next(&pairs, &["1"])["session"], "s");
    }

    #[test]
    fn a_handshake_has_no_session_and_a_logout_has_the_one_it_ends() {
        let login = script("login", 9);
        assert_eq!(login.calls(login.first(0)), 1);
        let expected = json!({"session": "", "name": NAME, "data": {"user": "ada", "password": "x"}});
        assert_eq!(first(&login, 1), expected);
        assert_eq!(next(&login, &["t"]), json!({"session": "t", "name": NAME, "data": "logout"}));
    }

    #[test]
    fn turns_follow_the_round() {
        let mixed = script("mixed", 1);
        let names: Vec<_> = mixed.names().collect();
        assert_eq!(names.len(), 8);
        let handshakes = (0..200).filter(|turn| mixed.step(mixed.first(*turn)) == Step::Handshake).count();
        assert_eq!(handshakes, 2);
    }
}
