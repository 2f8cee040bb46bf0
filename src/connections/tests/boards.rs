//! SCP to SC&MP and BMPs, one request at a time.

use super::super::{
    BmpConnection, BmpConnectionData, ConnectionError, Ends, RESPONSE_TIMEOUT, ScampConnection, ScpRequest,
};
use super::{Board, answer, host};
use crate::clock::{Clock, Moment};
use crate::spinnaker::scamp::Command;
use crate::spinnaker::scp::{CommandCode, Request, ResultCode, Sequence};
use crate::spinnaker::sdp::{Chip, Core, Endpoint, Flags, Header};
use crate::spinnaker::{PacketError, SCP_UDP_PORT, bmp};
use async_std::task::block_on;
use futures_util::future::join;
use std::net::SocketAddrV4;

const MONITOR: Endpoint = Endpoint::system(Chip { x: 1, y: 2 }, Core::MONITOR);

async fn opened() -> (Board, Clock, ScampConnection) {
    let (board, clock) = (Board::new(), Clock::moved(Moment(1_000_000)));
    let remote_port = Some(board.address().port());
    let ends = Ends { remote_port, ..ScampConnection::ends(&board.address().ip().to_string()) };
    let scamp = ScampConnection::open(Chip::NEAREST, &ends, clock.clone()).await.unwrap();
    (board, clock, scamp)
}

fn version() -> ScpRequest<'static> {
    ScpRequest::scamp(MONITOR, &Command::Version)
}

#[test]
fn requests_are_numbered_one_after_the_other_unless_they_have_a_number() {
    block_on(async {
        let (board, _clock, scamp) = opened().await;
        let numbers = [None, None, Some(65_535), None, Some(7), None];
        for (number, expected) in numbers.into_iter().zip([0, 1, 65_535, 2, 7, 8]) {
            let request = ScpRequest { sequence: number.map(Sequence), ..version() };
            let preview = scamp.scp_data(&request, None);
            scamp.send_scp_request(&request).await.unwrap();
            let (heard, _) = board.hears().await;
            assert_eq!(heard, preview, "a look at a number does not use it up");
            let heard = Request::decode(&heard).unwrap();
            assert_eq!(heard.sequence, Sequence(expected), "0 and 1 are in flight");
            assert_eq!(heard.header, Header::asking(MONITOR, Chip::NEAREST));
        }
    });
}

#[test]
fn the_source_is_the_host_on_behalf_of_a_chip() {
    block_on(async {
        let (board, _clock, scamp) = opened().await;
        assert_eq!((scamp.chip_x(), scamp.chip_y()), (255, 255));
        scamp.update_chip_coordinates(Chip { x: 4, y: 8 });
        assert_eq!((scamp.chip_x(), scamp.chip_y()), (4, 8));
        let silent = ScpRequest { flags: Flags::NO_REPLY, ..version() };
        scamp.send_scp_request(&silent).await.unwrap();
        let (heard, _) = board.hears().await;
        assert_eq!(heard[..10], [0, 0, 0x07, 0xFF, 0, 0xFF, 2, 1, 8, 4]);
        let other = scamp.scp_data(&silent, Some(Chip { x: 6, y: 5 }));
        assert_eq!(other[..10], [0, 0, 0x07, 0xFF, 0, 0xFF, 2, 1, 5, 6]);
    });
}

#[test]
fn requests_to_an_address_go_to_the_one_port() {
    block_on(async {
        let (_board, clock, scamp) = opened().await;
        // Who is connected hears its own end only, so who asks around is not.
        let around = ScampConnection::open(Chip::NEAREST, &Ends::default(), clock).await.unwrap();
        let board = Board::at(SocketAddrV4::new(host(), SCP_UDP_PORT));
        for connection in [&scamp, &around] {
            let source = Chip { x: 3, y: 1 };
            let request = version();
            connection.send_scp_request_to(&request, source, *board.address().ip()).await.unwrap();
            let (heard, from) = board.hears().await;
            assert_eq!(Request::decode(&heard).unwrap().header, Header::asking(MONITOR, source));
            board.says(&answer(&heard, 0x80, b"me"), from).await;
        }
        let (response, from) = around.receive_scp_response_with_address(RESPONSE_TIMEOUT).await.unwrap();
        assert_eq!((response.body(), from), (&b"me"[..], board.address()));
    });
}

#[test]
fn responses_are_whatever_a_board_says() {
    block_on(async {
        let (board, clock, scamp) = opened().await;
        scamp.send_scp_request(&version()).await.unwrap();
        let (heard, from) = board.hears().await;
        for result in [0x80, 0x8D, 0x90, 0xFFFF] {
            let said = answer(&heard, result, &[1, 2]);
            board.says(&said, from).await;
            let response = scamp.receive_scp_response(RESPONSE_TIMEOUT).await.unwrap();
            assert_eq!((response.result, response.sequence), (ResultCode(result), Sequence(0)));
            assert_eq!((response.body(), &response.datagram), (&[1, 2][..], &said));
        }
        board.says(&heard[..13], from).await;
        let short = scamp.receive_scp_response(RESPONSE_TIMEOUT).await;
        assert!(matches!(short, Err(ConnectionError::Packet(PacketError::TooShort { .. }))));
        let waits = scamp.receive_scp_response(RESPONSE_TIMEOUT);
        let (late, ()) = join(waits, async { clock.advance(1_000) }).await;
        assert!(matches!(late, Err(ConnectionError::Timeout { seconds: 1.0, .. })));
    });
}

#[test]
fn a_board_is_there_if_it_answers_whatever_that_is() {
    block_on(async {
        let (board, clock, scamp) = opened().await;
        for result in [0x80, 0x83] {
            let answers = async {
                let (heard, from) = board.hears().await;
                assert_eq!(Request::decode(&heard).unwrap().call.command, CommandCode::VER);
                board.says(&answer(&heard, result, &[]), from).await;
            };
            let (is_there, ()) = join(scamp.is_connected(), answers).await;
            assert!(is_there.unwrap());
        }
        let stays_silent = async {
            for _ in 0..5 {
                board.hears().await;
                clock.advance(1_200);
            }
        };
        let (is_there, ()) = join(scamp.is_connected(), stays_silent).await;
        assert!(!is_there.unwrap());
        scamp.close();
        assert!(!scamp.is_connected().await.unwrap());
    });
}

#[test]
fn a_bmp_is_addressed_by_its_board() {
    block_on(async {
        let (board, clock) = (Board::new(), Clock::moved(Moment(0)));
        let (second, third) = (bmp::Board::new(2).unwrap(), bmp::Board::new(3).unwrap());
        let data = BmpConnectionData {
            cabinet: 1,
            frame: 2,
            address: board.address().ip().to_string(),
            boards: bmp::Boards::from_iter([second, third]),
            port: Some(board.address().port()),
        };
        let connection = BmpConnection::open(data.clone(), clock.clone()).await.unwrap();
        assert_eq!((connection.cabinet(), connection.frame()), (1, 2));
        assert_eq!((connection.chip_x(), connection.chip_y()), (0, 0));
        assert_eq!(connection.boards().iter().collect::<Vec<_>>(), [second, third]);
        let request = ScpRequest::bmp(third, &bmp::Command::Version);
        let preview = connection.scp_data(&request);
        connection.send_scp_request(&request).await.unwrap();
        let (heard, from) = board.hears().await;
        assert_eq!(heard, preview);
        assert_eq!(heard[..10], [0, 0, 0x87, 0xFF, 3, 0xFF, 0, 0, 0, 0]);
        board.says(&answer(&heard, 0x80, b"!"), from).await;
        assert_eq!(connection.receive_scp_response(None).await.unwrap().body(), b"!");

        let answers = async {
            let (heard, from) = board.hears().await;
            assert_eq!(heard[4], second.number(), "the lowest is asked");
            board.says(&answer(&heard, 0x80, &[0; 12]), from).await;
        };
        assert!(join(connection.is_connected(), answers).await.0.unwrap());
        let elsewhere = BmpConnection::open(BmpConnectionData { port: None, ..data }, clock).await.unwrap();
        assert_eq!(elsewhere.remote_port(), Some(SCP_UDP_PORT));
    });
}
