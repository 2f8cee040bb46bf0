//! A simulated burner's way to a stand door: one connection after the other, what the burner says into it, what the server says
//! out of it.
//!
//! What the burner does and when is `stand::simulate`'s; here is the socket. The command line, the server's own simulated burners
//! and tests all use this. Nothing here ends by itself: whoever runs it drops it.

use crate::clock::{Clock, Moment};
use crate::stand::message::{Reply, Said, Then};
use crate::stand::simulate::{Deed, Simulated};
use crate::stand::{Piece, Splitter};
use async_std::io::{ReadExt, WriteExt};
use async_std::net::TcpStream;
use futures_util::future::{Either, select};
use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};

/// The longest message of a server that a simulated burner listens to.
const MESSAGE_BYTES_MAX: usize = 64 * 1024;
/// How long a server may take to accept a connection, or a message.
const PATIENCE_MS: u64 = 10_000;
/// So many bytes are read at once.
const READ_BYTES: usize = 4 * 1024;

/// What happens to a simulated burner.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// It is connected.
    Connected,
    /// It said something.
    Said(&'a Said),
    /// The server said something.
    Heard(&'a Reply),
    /// It hung up.
    HungUp,
    /// The server is not there, or not any more, and why.
    Lost(&'a io::Error),
}

/// Has a burner live, with the door at `HOST:PORT`, for ever. What happens to it is told.
pub async fn live(
    clock: &Clock,
    door: &str,
    simulated: Simulated,
    tell: impl FnMut(Moment, Event<'_>),
) -> Infallible {
    let mut life =
        Life { clock, door, simulated, tell, line: None, splitter: Splitter::new(MESSAGE_BYTES_MAX) };
    loop {
        life.act().await;
        life.wait().await;
    }
}

/// A burner, and its connection while there is one.
struct Life<'a, Tell> {
    clock: &'a Clock,
    door: &'a str,
    simulated: Simulated,
    tell: Tell,
    line: Option<TcpStream>,
    splitter: Splitter,
}

impl<Tell: FnMut(Moment, Event<'_>)> Life<'_, Tell> {
    /// Does all that the burner does now.
    async fn act(&mut self) {
        while let Some(deed) = self.simulated.poll(self.clock.now()) {
            match deed {
                Deed::Connect => self.connect().await,
                Deed::Say(said) => self.say(&said).await,
                Deed::HangUp => {
                    self.line = None;
                    self.tell(Event::HungUp);
                }
            }
        }
    }

    fn tell(&mut self, event: Event<'_>) {
        (self.tell)(self.clock.now(), event);
    }

    async fn connect(&mut self) {
        self.splitter = Splitter::new(MESSAGE_BYTES_MAX);
        let connected = within(self.clock, pin!(TcpStream::connect(self.door))).await;
        // Messages are small and answered: none should wait for the next.
        match connected.and_then(|line| line.set_nodelay(true).map(|()| line)) {
            Ok(line) => {
                self.line = Some(line);
                self.simulated.connected();
                self.tell(Event::Connected);
            }
            Err(error) => self.lose(&error),
        }
    }

    async fn say(&mut self, said: &Said) {
        let Some(line) = &mut self.line else { return };
        let mut bytes = Vec::new();
        said.encode(&mut bytes);
        match within(self.clock, pin!(line.write_all(&bytes))).await {
            Ok(()) => self.tell(Event::Said(said)),
            Err(error) => self.lose(&error),
        }
    }

    /// There is no connection any more.
    fn lose(&mut self, error: &io::Error) {
        self.line = None;
        self.simulated.hung_up(self.clock.now());
        self.tell(Event::Lost(error));
    }

    /// Waits until the burner wants to do something, or the server says something.
    async fn wait(&mut self) {
        let until = self.simulated.wake_at().unwrap_or(Moment(u64::MAX));
        let Some(line) = &mut self.line else { return self.clock.sleep_until(until).await };
        let mut buffer = [0; READ_BYTES];
        let read = match select(pin!(line.read(&mut buffer)), pin!(self.clock.sleep_until(until))).await {
            Either::Left((read, _)) => read,
            Either::Right(_) => return,
        };
        match read {
            Ok(0) => self.lose(&io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => self.hear(buffer.get(..bytes).unwrap_or_default()),
            Err(error) => self.lose(&error),
        }
    }

    fn hear(&mut self, mut bytes: &[u8]) {
        let broken = io::Error::new(io::ErrorKind::InvalidData, "what the server says has no end");
        while let Some(piece) = self.splitter.pull(&mut bytes) {
            let heard = match piece {
                Ok(Piece::Raw(_)) => continue,
                Ok(Piece::Message(message)) => Reply::hear(message),
                Err(_) => return self.lose(&broken),
            };
            match heard {
                Ok(reply) => {
                    // A burner asks for no images, but what is sent is no message.
                    if let Reply::Data { bytes, .. } = reply {
                        self.splitter.expect_raw(bytes);
                    }
                    self.simulated.hear(self.clock.now(), &reply);
                    self.tell(Event::Heard(&reply));
                }
                Err(complaint) => {
                    self.simulated.hear_nonsense(&complaint);
                    match complaint.then {
                        Then::GoOn => {}
                        Then::Skip(bytes) => self.splitter.expect_raw(bytes),
                        Then::HangUp => return self.lose(&broken),
                    }
                }
            }
        }
    }
}

/// What comes of something that must not take long.
async fn within<T>(clock: &Clock, work: Pin<&mut impl Future<Output = io::Result<T>>>) -> io::Result<T> {
    let late = clock.now().plus_ms(PATIENCE_MS);
    match select(work, pin!(clock.sleep_until(late))).await {
        Either::Left((done, _)) => done,
        Either::Right(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

#[cfg(test)]
mod tests;
