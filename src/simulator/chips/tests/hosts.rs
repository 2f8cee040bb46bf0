//! A host that talks to simulated boards.

use super::super::*;
use crate::spinnaker::boot;
use crate::spinnaker::scp::{Call, Reply, Request, ResultCode, Sequence};
use crate::spinnaker::sdp::{Core, Endpoint, Header};
use crate::spinnaker::system_variables::SystemVariables;
use std::net::SocketAddrV4;

/// Where the host asks from.
pub const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::LOCALHOST, 43981);

/// A machine and the time.
pub struct Bench {
    pub chips: Chips,
    pub now: At,
}

/// A reply that came.
#[derive(Debug)]
pub struct Heard {
    pub header: Header,
    pub result: ResultCode,
    pub body: Vec<u8>,
}

impl Bench {
    /// All boards have power.
    pub fn powered(spec: ChipsSpec) -> Bench {
        let mut bench = Bench { chips: Chips::new(spec), now: At(1000) };
        let boards: Vec<_> = bench.chips.addresses.keys().copied().collect();
        boards.iter().for_each(|board| bench.chips.set_power(bench.now, *board, true));
        bench
    }

    /// The same, booted from one board and awake.
    pub fn booted(spec: ChipsSpec, board: u32) -> Bench {
        let mut bench = Bench::powered(spec);
        bench.boot(board);
        bench
    }

    /// Boots with an image of nothing, and waits until the machine is awake.
    pub fn boot(&mut self, board: u32) {
        let variables = SystemVariables::for_boot(5, 1_700_000_000, 1);
        for message in boot::messages(&[0; 2000], &variables).unwrap() {
            let mut bytes = Vec::new();
            message.encode(&mut bytes);
            assert!(self.send(board, BOOT_UDP_PORT, &bytes).is_empty());
        }
        self.wait(5000);
        assert!(self.chips.is_booted(BoardIndex(board)));
    }

    /// Lets time pass, stopping whenever something is due.
    pub fn wait(&mut self, ms: u64) -> Vec<(BoardIndex, Leaving)> {
        let (end, mut out) = (self.now.plus_ms(ms), Vec::new());
        while let Some(at) = self.chips.wake_at().filter(|at| *at <= end) {
            self.chips.wake(at, &mut out);
        }
        self.now = end;
        out
    }

    /// Sends a datagram; what leaves at once.
    pub fn send(&mut self, board: u32, port: u16, bytes: &[u8]) -> Vec<(BoardIndex, Leaving)> {
        let mut out = Vec::new();
        self.chips.handle(self.now, BoardIndex(board), &Arrived { from: HOST, port, bytes }, &mut out);
        out
    }

    /// Asks a core by way of a board, and waits a little for the answer.
    pub fn ask_core(&mut self, board: u32, to: Endpoint, call: Call<'_>) -> Option<Heard> {
        let header = Header::asking(to, Chip::NEAREST);
        let mut bytes = Vec::new();
        Request { header, sequence: Sequence(7), call }.encode(&mut bytes);
        let mut out = self.send(board, SCP_UDP_PORT, &bytes);
        if out.is_empty() {
            out = self.wait(20);
        }
        let (from, leaving) = out.iter().find(|(_, leaving)| leaving.to == HOST)?;
        assert_eq!((*from, leaving.port), (BoardIndex(board), SCP_UDP_PORT));
        let reply = Reply::decode(&leaving.bytes).unwrap();
        assert_eq!(reply.sequence, Sequence(7));
        Some(Heard { header: reply.header, result: reply.result, body: reply.body.to_vec() })
    }

    /// Asks the monitor of a chip.
    pub fn ask(&mut self, board: u32, x: u8, y: u8, call: Call<'_>) -> Option<Heard> {
        self.ask_core(board, Endpoint::system(Chip { x, y }, Core::MONITOR), call)
    }

    /// Asks, and is content with nothing but success.
    pub fn done(&mut self, board: u32, x: u8, y: u8, call: Call<'_>) -> Vec<u8> {
        let heard = self.ask(board, x, y, call).expect("an answer");
        assert_eq!(heard.result, ResultCode::OK);
        heard.body
    }

    /// Memory of a chip.
    pub fn read(&mut self, board: u32, x: u8, y: u8, address: u32, bytes: u32) -> Vec<u8> {
        let pieces: Vec<_> = crate::spinnaker::scp::pieces(address, bytes).collect();
        let read = |(address, length, unit): (u32, u32, crate::spinnaker::scp::Unit)| {
            let call = Call::new(crate::spinnaker::scp::CommandCode::READ, [address, length, unit.number()]);
            self.done(board, x, y, call)
        };
        pieces.into_iter().flat_map(read).collect()
    }
}
