//! Frames: against the firmware's own conversations (`firmware`), over time (`power`), each command (`commands`), with faults
//! (`faults`), and with anything at all (`properties`).

use super::*;
use crate::spinnaker::SCP_UDP_PORT;
use crate::spinnaker::bmp::{self, Boards, Command};
use crate::spinnaker::scp::{Call, CommandCode, Reply, Request, ResultCode, Sequence};
use std::net::{Ipv4Addr, SocketAddrV4};

mod commands;
mod faults;
mod firmware;
mod power;
mod properties;

/// A host.
const HOST: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(127, 0, 0, 9), 4_711);

/// How long FPGAs take here.
const LOAD_MS: u64 = 3_000;

/// Power on, and FPGAs.
const ON_MS: u64 = 25 + LOAD_MS;

fn board(number: u8) -> Board {
    Board::new(number).unwrap()
}

fn boards(numbers: &[u8]) -> Boards {
    numbers.iter().map(|number| board(*number)).collect()
}

fn spec() -> FrameSpec {
    let whole = FrameSpec::new(7, boards(&[0, 1, 2, 5, 23]));
    FrameSpec { fpga_load_ms: LOAD_MS, fpgas_outlive_power: true, ..whole }
}

/// A frame, the time, and what left it.
struct Bench {
    frame: Frame,
    at: At,
    sequence: Sequence,
    out: Vec<Leaving>,
}

impl Bench {
    fn new(spec: FrameSpec) -> Bench {
        Bench { frame: Frame::new(spec), at: At(0), sequence: Sequence(0), out: Vec::new() }
    }

    /// A datagram that asks a board something.
    fn datagram(&mut self, asked: u8, call: Call<'_>) -> Vec<u8> {
        self.sequence = self.sequence.next();
        let mut bytes = Vec::new();
        Request { header: bmp::header(board(asked)), sequence: self.sequence, call }.encode(&mut bytes);
        bytes
    }

    fn send(&mut self, bytes: &[u8]) {
        self.frame.handle(self.at, &Arrived { from: HOST, port: SCP_UDP_PORT, bytes }, &mut self.out);
    }

    fn tell(&mut self, asked: u8, command: Command<'_>) {
        let bytes = self.datagram(asked, command.call());
        self.send(&bytes);
    }

    /// Asks, and takes the one reply that comes at once.
    fn ask(&mut self, asked: u8, command: Command<'_>) -> (ResultCode, Vec<u8>) {
        self.call(asked, command.call())
    }

    fn call(&mut self, asked: u8, call: Call<'_>) -> (ResultCode, Vec<u8>) {
        assert!(self.out.is_empty());
        let bytes = self.datagram(asked, call);
        self.send(&bytes);
        let replies = self.replies();
        let [(result, body)] = replies.as_slice() else { panic!("{replies:?}") };
        (*result, body.clone())
    }

    /// The body of a good reply that comes at once.
    fn body(&mut self, asked: u8, command: Command<'_>) -> Vec<u8> {
        let (result, body) = self.ask(asked, command);
        assert_eq!(result, ResultCode::OK, "{command:?}");
        body
    }

    /// What left since it was last asked for.
    fn replies(&mut self) -> Vec<(ResultCode, Vec<u8>)> {
        let left = std::mem::take(&mut self.out);
        let read = |leaving: &Leaving| {
            assert_eq!((leaving.port, leaving.to), (SCP_UDP_PORT, HOST));
            let reply = Reply::decode(&leaving.bytes).unwrap();
            (reply.result, reply.body.to_vec())
        };
        left.iter().map(read).collect()
    }

    /// Moves the clock.
    fn pass_ms(&mut self, ms: u64) {
        self.at = self.at.plus_ms(ms);
        self.frame.wake(self.at, &mut self.out);
    }

    /// Moves the clock until nothing more happens by itself.
    fn settle(&mut self) {
        for _ in 0..1_000 {
            let Some(at) = self.frame.wake_at() else { return };
            self.at = self.at.max(at);
            self.frame.wake(self.at, &mut self.out);
        }
        panic!("it never settles");
    }

    fn events(&mut self) -> Vec<FrameEvent> {
        std::iter::from_fn(|| self.frame.poll_event()).collect()
    }

    /// What happened but for requests.
    fn deeds(&mut self) -> Vec<FrameEvent> {
        self.events().into_iter().filter(|event| !matches!(event, FrameEvent::Asked { .. })).collect()
    }

    fn power(&mut self, on: bool, delay_ms: u16, numbers: &[u8]) {
        self.tell(0, Command::Power { on, delay: bmp::DelayMs(delay_ms), boards: boards(numbers) });
    }

    fn register(&mut self, asked: u8, fpga: u32, register: u32) -> u32 {
        let body = self.body(asked, Command::FpgaRead { register, length: 4, fpga });
        u32::from_le_bytes(body.try_into().unwrap())
    }

    fn write_register(&mut self, asked: u8, fpga: u32, register: u32, word: u32) {
        let data = word.to_le_bytes();
        self.body(asked, Command::FpgaWrite { register, fpga, data: &data });
    }
}

/// A call with numbers that need not make sense.
fn raw(command: CommandCode, arguments: [u32; 3]) -> Call<'static> {
    Call::new(command, arguments)
}
