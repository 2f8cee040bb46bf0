//! A job that is given back when its holder is dropped: at the end, on an error, in a panic.

use crate::cli::exit::Failure;
use crate::cli::table::plain;
use crate::client::keeper::Keeper;
use crate::client::{Client, ClientError, Dial, Request};
use crate::error::Code;
use serde_json::Value;
use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

/// Giving back is tried for this long.
const GIVE_BACK_MAX: Duration = Duration::from_secs(10);
/// Each try, and each answer, may take so long.
const TRY_MAX: Duration = Duration::from_secs(5);
/// The pause between two tries; it doubles.
const PAUSE_MIN: Duration = Duration::from_millis(50);

/// See above.
pub struct Loan {
    dial: Dial,
    session: String,
    job: u64,
    client: Option<Client>,
    keeper: Option<Keeper>,
    /// Why it is given back.
    reason: String,
    /// Whether there is nothing left to give back.
    over: bool,
}

impl Loan {
    /// Holds a job that this client has created.
    pub fn new(dial: Dial, client: Client, job: u64) -> Loan {
        Loan {
            session: client.session().to_owned(),
            dial,
            job,
            client: Some(client),
            keeper: None,
            reason: "the program was not run".to_owned(),
            over: false,
        }
    }

    /// The job.
    pub fn job(&self) -> u64 {
        self.job
    }

    /// Has it kept alive until it is given back.
    pub fn keep(&mut self, keeper: Keeper) {
        self.keeper = Some(keeper);
    }

    /// Says why it will be given back.
    pub fn because(&mut self, reason: &str) {
        reason.clone_into(&mut self.reason);
    }

    /// Notes that there is nothing left to give back.
    pub fn is_over(&mut self) {
        self.over = true;
    }

    /// Makes a call that may be made twice: if the connection broke, over a new one.
    pub fn ask(&mut self, request: Request) -> Result<Value, Failure> {
        if let Some(client) = &mut self.client {
            match client.ask(request.clone()) {
                Err(error) if error.is_connection() => self.client = None,
                answer => return Ok(answer?),
            }
        }
        let mut client = self.dial.join(&self.session)?;
        let answer = client.ask(request)?;
        self.client = Some(client);
        Ok(answer)
    }

    fn give_back(&mut self) -> Result<(), ClientError> {
        let deadline = Instant::now() + GIVE_BACK_MAX;
        let mut pause = PAUSE_MIN;
        self.dial.timeout = TRY_MAX;
        loop {
            let error = match self.try_to_give_back() {
                Err(error) if error.is_connection() => error,
                Err(error) if error.is(Code::JOB_UNKNOWN) || error.is(Code::JOB_OVER) => return Ok(()),
                ended => return ended,
            };
            if Instant::now() + pause >= deadline {
                return Err(error);
            }
            thread::sleep(pause);
            pause *= 2;
        }
    }

    fn try_to_give_back(&mut self) -> Result<(), ClientError> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.dial.join(&self.session)?,
        };
        let request = Request::new("destroy_job").with("job_id", self.job);
        client.ask_within(request.with("reason", self.reason.as_str()), TRY_MAX).map(drop)
    }
}

impl Drop for Loan {
    fn drop(&mut self) {
        self.keeper = None;
        if self.over {
            return;
        }
        if let Err(error) = self.give_back() {
            let job = self.job;
            let what =
                format!("berth: job {job} could not be given back ({error}); it ends with its keepalive");
            // There may be nobody left to read it.
            let _ = writeln!(io::stderr(), "{}", plain(&what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::client::Credentials;
    use crate::wire::answer::Envelope;
    use crate::wire::{self, FrameLimits, Unframer, envelope};
    use serde_json::json;
    use std::io::Read;
    use std::net::TcpListener;
    use std::sync::mpsc::{self, Receiver, Sender};

    /// A server that takes every call, answers null, and tells the test of it; the first connections it hangs up on.
    fn server(deaf: usize) -> (Dial, Receiver<Value>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (tell, told) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming().skip(deaf).map_while(Result::ok) {
                serve(stream, &tell);
            }
        });
        let credentials = Credentials::Guest;
        (Dial { address, name: "test".to_owned(), credentials, timeout: GIVE_BACK_MAX }, told)
    }

    fn serve(stream: std::net::TcpStream, tell: &Sender<Value>) {
        let say = |data: &Value, id: Option<wire::json::Raw<'_>>| {
            let (mut text, mut frame) = (Vec::new(), Vec::new());
            Envelope { session: "f00", name: "fake", id }.push_data(&mut text, data);
            wire::encode(&text, &mut frame);
            let _ = (&stream).write_all(&frame);
        };
        say(&json!({}), None);
        let mut unframer = Unframer::new(FrameLimits::default());
        let mut bytes = [0; 4096];
        while let Ok(count @ 1..) = (&stream).read(&mut bytes) {
            let (_, Some(Ok(body))) = unframer.feed(&bytes[..count]) else { continue };
            let message = envelope::decode(&body, 9).unwrap();
            let data: Value = serde_json::from_str(message.data.get()).unwrap();
            match &data[0] {
                Value::Null => say(&json!("Authenticated"), message.id),
                call => {
                    // Told first, so that whoever has the answer finds it told.
                    let _ = tell.send(call.clone());
                    say(&json!([{"fname": call["fname"], "data": null}]), message.id);
                }
            }
        }
    }

    #[test]
    fn a_panic_gives_the_job_back() {
        let (dial, told) = server(0);
        let client = dial.open().unwrap();
        let panicking = thread::spawn(move || {
            let mut loan = Loan::new(dial, client, 7);
            loan.because("it is seen to panic");
            std::panic::resume_unwind(Box::new("a panic that prints nothing"))
        });
        let panicked = panicking.join();
        assert!(panicked.is_err());
        let call = json!({"fname": "destroy_job", "job_id": 7, "reason": "it is seen to panic"});
        assert_eq!(told.try_recv(), Ok(call));
    }

    #[test]
    fn giving_back_is_tried_again_and_what_is_over_is_left_alone() {
        let (dial, told) = server(2);
        let loan = Loan {
            session: "f00".to_owned(),
            dial: dial.clone(),
            job: 7,
            client: None,
            keeper: None,
            reason: "enough".to_owned(),
            over: false,
        };
        drop(loan);
        assert_eq!(told.try_recv().unwrap()["job_id"], 7);
        let mut loan = Loan::new(dial.clone(), dial.open().unwrap(), 8);
        loan.is_over();
        drop(loan);
        assert!(told.try_recv().is_err());
    }
}
