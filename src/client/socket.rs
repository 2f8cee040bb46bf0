//! A blocking socket that carries whole messages: text in, text out, one write each, all of it within a deadline.

use super::ClientError;
use crate::wire::{self, Body, FrameLimits, Unframer};
use rustix::io::Errno;
use rustix::net::RecvFlags;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// Read at a time.
const READ_BYTES: usize = 16 * 1024;
/// A socket cannot be told to wait for no time at all.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// See above.
pub(super) struct Socket {
    stream: TcpStream,
    unframer: Unframer,
    /// What was read and not yet taken apart: `input[from..to]`.
    input: Vec<u8>,
    from: usize,
    to: usize,
    /// Bytes of the present frame so far.
    frame_bytes: usize,
    /// Where frames are built.
    output: Vec<u8>,
}

/// A message that came.
pub(super) struct Received {
    /// Its text.
    pub body: Body,
    /// How many bytes it had on the wire.
    pub frame_bytes: usize,
}

/// Ends a connection from another thread, which wakes whoever waits on it.
#[derive(Debug)]
pub struct HangUp(TcpStream);

impl HangUp {
    /// Ends the connection.
    pub fn hang_up(&self) {
        // It may be over already.
        let _ = self.0.shutdown(Shutdown::Both);
    }
}

impl Socket {
    /// Connects to the first address of a host that answers.
    pub fn connect(address: &str, timeout: Duration) -> Result<Socket, ClientError> {
        let failed = |cause| ClientError::Connect { address: address.to_owned(), cause };
        let stream = connect_any(address, timeout).map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(Socket {
            stream,
            unframer: Unframer::new(FrameLimits::default()),
            input: vec![0; READ_BYTES],
            from: 0,
            to: 0,
            frame_bytes: 0,
            output: Vec::new(),
        })
    }

    /// A handle that can end this connection.
    pub fn hang_up(&self) -> io::Result<HangUp> {
        self.stream.try_clone().map(HangUp)
    }

    /// Sends one message and tells how many bytes that took.
    pub fn send(&mut self, text: &[u8], deadline: Instant) -> io::Result<usize> {
        self.output.clear();
        wire::encode(text, &mut self.output);
        self.stream.set_write_timeout(Some(wait(deadline)))?;
        let written = self.stream.write_all(&self.output).map_err(timed_out);
        // What was sent may have been a password.
        self.output.fill(0);
        written.map(|()| self.output.len())
    }

    /// The next message; none if it did not come in time.
    pub fn receive(&mut self, deadline: Instant) -> Result<Option<Received>, ClientError> {
        loop {
            if let Some(received) = self.take()? {
                return Ok(Some(received));
            }
            self.stream.set_read_timeout(Some(wait(deadline)))?;
            match self.stream.read(&mut self.input) {
                Ok(0) => return Err(closed().into()),
                Ok(bytes) => (self.from, self.to) = (0, bytes),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if is_time_out(&error) => {
                    if Instant::now() >= deadline {
                        return Ok(None);
                    }
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next message, if it is here.
    pub fn try_receive(&mut self) -> Result<Option<Received>, ClientError> {
        loop {
            if let Some(received) = self.take()? {
                return Ok(Some(received));
            }
            match rustix::net::recv(&self.stream, &mut self.input[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(closed().into()),
                Ok((bytes, _)) => (self.from, self.to) = (0, bytes),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return Ok(None),
                Err(error) => return Err(io::Error::from(error).into()),
            }
        }
    }

    /// The next message of what was read.
    fn take(&mut self) -> Result<Option<Received>, ClientError> {
        while self.from < self.to {
            let (bytes, frame) = self.unframer.feed(&self.input[self.from..self.to]);
            self.from += bytes;
            self.frame_bytes += bytes;
            if let Some(frame) = frame {
                let body = frame.map_err(|error| ClientError::Protocol(error.to_string()))?;
                return Ok(Some(Received { body, frame_bytes: std::mem::take(&mut self.frame_bytes) }));
            }
        }
        Ok(None)
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

fn connect_any(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout.max(WAIT_MIN)) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// How long a socket may wait so as to be back by the deadline.
fn wait(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now()).max(WAIT_MIN)
}

/// A socket whose time is over says so in one of two ways.
fn is_time_out(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut)
}

fn timed_out(error: io::Error) -> io::Error {
    if is_time_out(&error) { no_answer() } else { error }
}

/// The error of a server that takes too long.
pub(super) fn no_answer() -> io::Error {
    io::Error::new(io::ErrorKind::TimedOut, "no answer in time")
}

fn closed() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")
}
