//! What a host says to hardware, for the tests of this room: requests as datagrams, and replies read.

use crate::spinnaker::bmp::fpga::{self, BankRegister, Fpga, Link};
use crate::spinnaker::bmp::{self, Board, Boards, DelayMs};
use crate::spinnaker::scp::{Reply, Request, ResultCode, Sequence};
use crate::spinnaker::sdp::{Chip, Core, Endpoint, Header};
use crate::spinnaker::system_variables::SystemVariables;
use crate::spinnaker::{boot, scamp};

/// A board by its number in a frame.
pub fn board(number: u8) -> Board {
    Board::new(number).expect("a board")
}

/// A request to a board of a frame.
pub fn bmp_request(number: u8, sequence: u16, command: &bmp::Command<'_>) -> Vec<u8> {
    request(bmp::header(board(number)), sequence, command.call())
}

/// A request to the monitor of a chip; `Chip::NEAREST` is that with the plug.
pub fn chip_request(chip: Chip, sequence: u16, command: &scamp::Command<'_>) -> Vec<u8> {
    let destination = Endpoint::system(chip, Core::MONITOR);
    request(Header::asking(destination, Chip::ROOT), sequence, command.call())
}

fn request(header: Header, sequence: u16, call: crate::spinnaker::scp::Call<'_>) -> Vec<u8> {
    let mut datagram = Vec::new();
    Request { header, sequence: Sequence(sequence), call }.encode(&mut datagram);
    datagram
}

/// The order to switch boards on or off.
pub fn power(on: bool, numbers: &[u8]) -> bmp::Command<'static> {
    let boards = numbers.iter().fold(Boards(0), |boards, number| boards.and(board(*number)));
    bmp::Command::Power { on, delay: DelayMs(0), boards }
}

/// The order to write the STOP register of a link.
pub fn stop(link: Link) -> bmp::Command<'static> {
    let (fpga, register) = link.register(BankRegister::STOP);
    bmp::Command::FpgaWrite { register, fpga: fpga.number(), data: &[1, 0, 0, 0] }
}

/// The question who an FPGA is.
pub fn who(fpga: Fpga) -> bmp::Command<'static> {
    bmp::Command::FpgaRead { register: fpga::FLAGS, length: 4, fpga: fpga.number() }
}

/// A whole boot, datagram by datagram.
pub fn boot_datagrams() -> Vec<Vec<u8>> {
    let messages = boot::messages(&[0; 2_000], &SystemVariables::default()).expect("an image");
    let encoded = messages.iter().map(|message| {
        let mut datagram = Vec::new();
        message.encode(&mut datagram);
        datagram
    });
    encoded.collect()
}

/// What a reply says: its number, its result, its body.
pub fn read_reply(datagram: &[u8]) -> (u16, ResultCode, Vec<u8>) {
    let reply = Reply::decode(datagram).expect("a reply");
    (reply.sequence.0, reply.result, reply.body.to_vec())
}
