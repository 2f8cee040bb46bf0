//! The socket of a connection, whatever its door speaks: one read at a time into a shared buffer, and all there is to say
//! in one write, kept up to a limit while the peer does not take it.

use super::sockets::Socket;
use rustix::net::sockopt::{set_tcp_nodelay, set_tcp_quickack};
use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use crate::error::Code;

/// Bytes read at once, into a buffer that all connections of a thread share.
const READ_BYTES: usize = 64 * 1024;

/// A buffer that grew beyond this is given back once it is empty.
const OUT_BYTES_KEPT: usize = 4 * 1024;

/// While this much is unsent nothing more is read: who does not read is not served.
pub const OUT_BYTES_PAUSE: usize = 256 * 1024;

/// How long we wait for a peer to take its last answer after we have said all.
pub const LINGER_MS: u64 = 1000;

/// So many reads in a row, then the other connections of the thread have their turn.
pub const READS_IN_A_ROW_MAX: usize = 16;

thread_local! {
    static READ: RefCell<Vec<u8>> = RefCell::new(vec![0; READ_BYTES]);
}

/// See above.
pub struct Pipe {
    socket: Socket,
    /// What is to be said; part of it may be sent.
    pub out: Vec<u8>,
    sent: usize,
    /// What is to be said after that, and many are told: it is kept once for all of them.
    shared: Option<Arc<[u8]>>,
    shared_sent: usize,
    /// How much the peer has taken so far.
    taken: u64,
    /// The last read left the socket empty.
    drained: bool,
    /// The last write left the socket full.
    blocked: bool,
}

/// The connection cannot go on.
#[derive(Debug)]
pub struct Broken;

impl Pipe {
    /// The pipe of a socket that was just accepted.
    pub fn new(socket: Socket) -> Pipe {
        // A socket without it only answers later.
        let _ = set_tcp_nodelay(socket.stream(), true);
        Pipe {
            socket,
            out: Vec::new(),
            sent: 0,
            shared: None,
            shared_sent: 0,
            taken: 0,
            drained: true,
            blocked: false,
        }
    }

    /// How many bytes wait for the peer.
    pub fn unsent(&self) -> usize {
        self.out.len() - self.sent + self.shared.as_ref().map_or(0, |shared| shared.len() - self.shared_sent)
    }

    /// Says what many are told after all that is in `out`. Until all of it is sent nothing may be added to `out`.
    pub fn share(&mut self, shared: Arc<[u8]>) {
        debug_assert!(self.shared.is_none());
        (self.shared, self.shared_sent) = (Some(shared), 0);
    }

    /// Whether something that many are told is on its way.
    pub fn is_sharing(&self) -> bool {
        self.shared.is_some()
    }

    /// How much the peer has taken so far.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// Whether the peer takes nothing at present.
    pub fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Acknowledges at once what was read last: a peer that sends in two pieces may wait for it in between.
    pub fn acknowledge(&self) {
        let _ = set_tcp_quickack(self.socket.stream(), true);
    }

    /// Says that nothing more will come; false when even that is too late.
    pub fn hang_up(&self) -> bool {
        self.socket.stream().shutdown(Shutdown::Write).is_ok()
    }

    /// Ends it both ways.
    pub fn cut(&self) {
        let _ = self.socket.stream().shutdown(Shutdown::Both);
    }

    /// Sends what there is to send; registers for more room when there is none. What is not taken is kept up to a limit.
    pub fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        peer: SocketAddr,
        kept_max: impl FnOnce() -> usize,
    ) -> Result<(), Broken> {
        self.blocked = false;
        while let Some(next) = self.next_unsent() {
            match self.socket.stream().write(next) {
                Ok(0) => return Err(Broken),
                Ok(bytes) => self.count_sent(bytes),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.socket.poll_writable(cx).is_pending() {
                        self.blocked = true;
                        return self.keep_unsent(peer, kept_max());
                    }
                }
                Err(_) => return Err(Broken),
            }
        }
        (self.out, self.sent) = (emptied(std::mem::take(&mut self.out)), 0);
        self.shared = None;
        Ok(())
    }

    /// What is to be sent next, if anything.
    fn next_unsent(&self) -> Option<&[u8]> {
        let shared = || self.shared.as_ref().and_then(|shared| shared.get(self.shared_sent..));
        let own = self.out.get(self.sent..).filter(|own| !own.is_empty());
        own.or_else(shared).filter(|next| !next.is_empty())
    }

    fn count_sent(&mut self, bytes: usize) {
        self.taken += bytes as u64;
        match self.sent < self.out.len() {
            true => self.sent += bytes,
            false => self.shared_sent += bytes,
        }
    }

    /// The peer does not take what it asked for: up to the limit it is kept.
    fn keep_unsent(&mut self, peer: SocketAddr, kept_max: usize) -> Result<(), Broken> {
        self.out.drain(..self.sent);
        self.sent = 0;
        if self.out.len() <= kept_max {
            return Ok(());
        }
        tracing::info!(%peer, "closed: {} (limits.output_bytes_max = {kept_max})", Code::SLOW_READER.row().meaning);
        Err(Broken)
    }

    /// Reads once; no bytes are the end.
    pub fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<Result<usize, Broken>> {
        loop {
            if self.drained {
                ready!(self.socket.poll_readable(cx));
                self.drained = false;
            }
            match self.socket.stream().read(buffer) {
                Ok(bytes) => {
                    self.drained = bytes > 0 && bytes < buffer.len();
                    return Poll::Ready(Ok(bytes));
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.socket.clear_ended();
                    self.drained = true;
                }
                Err(_) => return Poll::Ready(Err(Broken)),
            }
        }
    }
}

/// Lends the buffer of this thread to read into.
pub fn with_buffer<T>(read: impl FnOnce(&mut [u8]) -> T) -> T {
    READ.with_borrow_mut(|buffer| read(buffer))
}

/// An empty buffer: the same one, unless it grew too large to keep.
fn emptied(mut buffer: Vec<u8>) -> Vec<u8> {
    buffer.clear();
    if buffer.capacity() > OUT_BYTES_KEPT { Vec::new() } else { buffer }
}
