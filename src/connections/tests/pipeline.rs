//! Pipelines: loss, doubles, disorder, silence, a busy board, a closed port, and askers who go away.

use super::super::pipeline::{AskError, Pipeline};
use super::{Board, answer, memory, read_answer, word};
use crate::clock::{Clock, Moment};
use crate::spinnaker::bmp;
use crate::spinnaker::exchange::{Failure, Flow, Limits, Unacceptable, Wish};
use crate::spinnaker::scp::{Call, CommandCode, ResultCode};
use crate::spinnaker::sdp::{Chip, Core, Endpoint, Flags, Header};
use async_std::task::{block_on, yield_now};
use futures_util::future::{join, join_all};
use std::net::SocketAddrV4;
use std::pin::pin;

const MONITOR: Endpoint = Endpoint::system(Chip::NEAREST, Core::MONITOR);
/// A request whose answer may be empty, and which is not asked again for fun.
const LED: Wish<'static> = Wish {
    flow: Flow(0),
    header: Header::asking(MONITOR, Chip::ROOT),
    call: Call::new(CommandCode::LED, [3, 0, 0]),
    reply_bytes_min: 0,
    changes_state: true,
    counts: false,
    tries_max: None,
    answer_ms_max: None,
};

/// A board, a clock that stands still, and a pipeline between them.
async fn opened(limits: Limits) -> (Board, Clock, Pipeline) {
    let (board, clock) = (Board::new(), Clock::moved(Moment(1_000_000)));
    let pipeline = Pipeline::connect(board.address(), limits, clock.clone()).await.unwrap();
    (board, clock, pipeline)
}

#[test]
fn what_is_lost_is_sent_again_bit_by_bit() {
    block_on(async {
        let (board, clock, pipeline) = opened(Limits::SCAMP).await;
        let script = async {
            let (first, _) = board.hears().await;
            clock.advance(Limits::SCAMP.answer_ms_max - 1);
            assert!(board.hears_nothing(), "too early");
            clock.advance(1);
            let (second, from) = board.hears().await;
            assert_eq!(first, second);
            board.says(&answer(&second, 0x80, b"good"), from).await;
            second
        };
        let (answered, request) = join(pipeline.ask(&LED), script).await;
        assert_eq!(answered, Ok(answer(&request, 0x80, b"good")));
        assert_eq!((pipeline.counts().sent, pipeline.counts().received), (2, 1));
    });
}

#[test]
fn who_is_never_answered_is_told_so_after_all_tries() {
    block_on(async {
        let (board, clock, pipeline) = opened(Limits::SCAMP).await;
        let script = async {
            for _ in 0..Limits::SCAMP.tries_max {
                board.hears().await;
                clock.advance(Limits::SCAMP.answer_ms_max);
            }
        };
        let (answered, ()) = join(pipeline.ask(&LED), script).await;
        assert_eq!(answered, Err(AskError::Failed(Failure::Silent)));
        assert!(board.hears_nothing());
    });
}

#[test]
fn memory_comes_in_order_out_of_doubled_and_reordered_answers() {
    block_on(async {
        let (board, _clock, pipeline) = opened(Limits::SCAMP).await;
        let length = 12 * 256 - 3;
        let script = async {
            let mut asked = 0;
            while asked < 12 {
                let mut heard = Vec::new();
                let together = Limits::SCAMP.in_flight_max.min(12 - asked);
                for _ in 0..together {
                    heard.push(board.hears().await);
                }
                assert!(board.hears_nothing(), "never more than eight in flight");
                asked += together;
                for (request, from) in heard.iter().rev() {
                    board.says(&read_answer(request), *from).await;
                    board.says(&read_answer(request), *from).await;
                }
            }
        };
        let (read, ()) = join(pipeline.read(MONITOR, 0x6000_0001, length), script).await;
        assert_eq!(read, Ok(memory(0x6000_0001, length)));
    });
}

#[test]
fn memory_is_written_in_pieces_with_the_widest_unit_that_suits() {
    block_on(async {
        let (board, _clock, pipeline) = opened(Limits::SCAMP).await;
        let data = memory(0x7000_0002, 700);
        let script = async {
            let (mut written, mut pieces) = (vec![0; 700], Vec::new());
            for _ in 0..3 {
                let (request, from) = board.hears().await;
                let (start, bytes) = (word(&request, 14) - 0x7000_0002, word(&request, 18));
                assert_eq!(bytes as usize, request.len() - 26);
                written[start as usize..][..bytes as usize].copy_from_slice(&request[26..]);
                pieces.push((start, bytes, word(&request, 22)));
                board.says(&answer(&request, 0x80, &[]), from).await;
            }
            assert_eq!(pieces, [(0, 256, 1), (256, 256, 1), (512, 188, 1)]);
            written
        };
        let (result, written) = join(pipeline.write(MONITOR, 0x7000_0002, &data), script).await;
        assert_eq!((result, written), (Ok(()), data));
    });
}

#[test]
fn nothing_is_read_without_asking_and_more_than_may_wait_in_the_end() {
    block_on(async {
        let limits = Limits { in_flight_max: 3, waiting_max: 3, ..Limits::SCAMP };
        let (board, _clock, pipeline) = opened(limits).await;
        assert_eq!(pipeline.read(MONITOR, 0, 0).await, Ok(Vec::new()));
        assert_eq!(pipeline.write(MONITOR, 0, &[]).await, Ok(()));
        assert!(board.hears_nothing());
        let script = async {
            for _ in 0..64 {
                let (request, from) = board.hears().await;
                board.says(&read_answer(&request), from).await;
            }
        };
        let (read, ()) = join(pipeline.read(MONITOR, 0x100, 64 * 256), script).await;
        assert_eq!(read, Ok(memory(0x100, 64 * 256)));
    });
}

#[test]
fn one_refused_piece_ends_the_whole_and_takes_the_rest_back() {
    block_on(async {
        let (board, _clock, pipeline) = opened(Limits::SCAMP).await;
        let script = async {
            for _ in 0..3 {
                let (request, from) = board.hears().await;
                if word(&request, 14) == 512 {
                    board.says(&answer(&request, 0x84, &[]), from).await;
                }
            }
        };
        let (read, ()) = join(pipeline.read(MONITOR, 0, 1 << 20), script).await;
        assert_eq!(read, Err(AskError::Failed(Failure::Refused(ResultCode::ARG))));
        // The other pieces hold no place in flight: the next request goes out at once.
        while !board.hears_nothing() {
            board.hears().await;
        }
        let script = async {
            let (request, from) = board.hears().await;
            assert_eq!(request[10], 25, "a piece of the transfer");
            board.says(&answer(&request, 0x80, &[]), from).await;
        };
        let (answered, ()) = join(pipeline.ask(&LED), script).await;
        answered.unwrap();
    });
}

#[test]
fn a_short_ok_is_a_refusal() {
    block_on(async {
        let (board, _clock, pipeline) = opened(Limits::SCAMP).await;
        let script = async {
            let (request, from) = board.hears().await;
            board.says(&answer(&request, 0x80, &[1, 2]), from).await;
        };
        let (read, ()) = join(pipeline.read(MONITOR, 0, 4), script).await;
        assert_eq!(read, Err(AskError::Failed(Failure::TooShort { bytes: 2, bytes_min: 4 })));
    });
}

#[test]
fn a_busy_board_is_left_alone_and_asked_again() {
    block_on(async {
        let (board, clock, pipeline) = opened(Limits::SCAMP).await;
        let script = async {
            let (request, from) = board.hears().await;
            board.says(&answer(&request, 0x8D, &[]), from).await;
            while pipeline.counts().received == 0 {
                yield_now().await;
            }
            clock.advance(Limits::SCAMP.pause_ms - 1);
            assert!(board.hears_nothing());
            clock.advance(1);
            let (again, from) = board.hears().await;
            assert_eq!(request, again);
            board.says(&answer(&request, 0x80, &[]), from).await;
        };
        join(pipeline.ask(&LED), script).await.0.unwrap();
    });
}

#[test]
fn a_closed_port_is_silence_and_may_open_again() {
    block_on(async {
        let (board, clock, pipeline) = opened(Limits::SCAMP).await;
        let address: SocketAddrV4 = board.address();
        drop(board);
        let script = async {
            for tries in 1..=3 {
                while pipeline.counts().sent < tries || pipeline.counts().complaints < tries {
                    yield_now().await;
                }
                clock.advance(Limits::SCAMP.answer_ms_max);
            }
            let board = Board::at(address);
            // Depending on who was faster, the fourth copy is lost, too.
            clock.advance(Limits::SCAMP.answer_ms_max);
            let (request, from) = board.hears().await;
            board.says(&answer(&request, 0x80, &[]), from).await;
        };
        join(pipeline.ask(&LED), script).await.0.unwrap();
        assert!(pipeline.counts().complaints >= 3);
    });
}

#[test]
fn who_goes_takes_the_request_back() {
    block_on(async {
        let (board, clock, pipeline) = opened(Limits::BMP).await;
        let wish = Wish::bmp(bmp::Board::FIRST, &bmp::Command::Version);
        let (request, from) = {
            let asking = pin!(pipeline.ask(&wish));
            assert!(futures_util::poll!(asking).is_pending());
            board.hears().await
        };
        clock.advance(60_000);
        let script = async {
            let (next, _) = board.hears().await;
            assert_ne!(request[12..14], next[12..14], "another number");
            board.says(&answer(&request, 0x80, &[0; 30]), from).await;
            board.says(&answer(&next, 0x80, &[1; 30]), from).await;
            next
        };
        let (answered, next) = join(pipeline.ask(&wish), script).await;
        assert_eq!(answered, Ok(answer(&next, 0x80, &[1; 30])));
        assert_eq!((pipeline.counts().sent, pipeline.counts().strays), (2, 1));
    });
}

#[test]
fn a_bmp_is_asked_one_thing_at_a_time_in_order() {
    block_on(async {
        let (board, _clock, pipeline) = opened(Limits::BMP).await;
        let script = async {
            for expected in 1..=5_u8 {
                let (request, from) = board.hears().await;
                assert_eq!(request[14], expected);
                assert!(board.hears_nothing());
                board.says(&answer(&request, 0x80, &[]), from).await;
            }
        };
        let asked = (1..=5).map(|number| {
            let pipeline = pipeline.clone();
            async move {
                let call = Call::new(CommandCode::LED, [number, 0, 0]);
                pipeline.ask(&Wish { call, ..LED }).await
            }
        });
        let (answered, ()) = join(join_all(asked), script).await;
        assert!(answered.iter().all(Result::is_ok));
    });
}

#[test]
fn many_askers_on_many_threads_get_each_their_own() {
    let (board, clock) = (Board::new(), Clock::moved(Moment(0)));
    let connected = Pipeline::connect(board.address(), Limits::SCAMP, clock);
    let pipeline = block_on(connected).unwrap();
    let askers: Vec<_> = (0..4_u32)
        .map(|asker| {
            let pipeline = pipeline.clone();
            async_std::task::spawn(async move {
                for turn in 0..50 {
                    let (address, length) = (asker << 20 | turn << 12, 256 * (turn % 20) + asker);
                    assert_eq!(pipeline.read(MONITOR, address, length).await, Ok(memory(address, length)));
                }
            })
        })
        .collect();
    let serves = async {
        loop {
            let (request, from) = board.hears().await;
            board.says(&read_answer(&request), from).await;
        }
    };
    let all = pin!(join_all(askers));
    block_on(futures_util::future::select(all, pin!(serves)));
    assert_eq!(pipeline.counts().strays, 0);
}

#[test]
fn closing_ends_all_who_wait_and_all_who_come() {
    block_on(async {
        let (board, clock, pipeline) = opened(Limits::BMP).await;
        let closes = async {
            board.hears().await;
            pipeline.close();
            pipeline.close();
        };
        let read = pipeline.read(MONITOR, 0, 10_000);
        let ((asked, read), ()) = join(join(pipeline.ask(&LED), read), closes).await;
        assert_eq!((asked, read), (Err(AskError::Closed), Err(AskError::Closed)));
        assert_eq!(pipeline.ask(&LED).await, Err(AskError::Closed));
        assert_eq!(pipeline.write(MONITOR, 0, &[1]).await, Err(AskError::Closed));
        clock.advance(60_000);
        assert!(board.hears_nothing());
    });
}

#[test]
fn what_cannot_be_asked_is_refused_at_once() {
    block_on(async {
        let (board, _clock, pipeline) = opened(Limits { waiting_max: 1, ..Limits::BMP }).await;
        let mut wish = LED;
        wish.header.flags = Flags::NO_REPLY;
        let no_reply = Err(AskError::Unacceptable(Unacceptable::WantsNoReply));
        assert_eq!(pipeline.ask(&wish).await, no_reply);
        let too_long = Wish { call: LED.call.with(&[0; 257]), ..LED };
        assert_eq!(pipeline.ask(&too_long).await, Err(AskError::Unacceptable(Unacceptable::TooLong)));
        assert!(board.hears_nothing());
        let (mut flies, mut waits) = (pin!(pipeline.ask(&LED)), pin!(pipeline.ask(&LED)));
        assert!(futures_util::poll!(&mut flies).is_pending());
        assert!(futures_util::poll!(&mut waits).is_pending());
        assert_eq!(pipeline.ask(&LED).await, Err(AskError::Unacceptable(Unacceptable::Full)));
    });
}

#[test]
fn rubbish_answers_nothing() {
    block_on(async {
        let (board, _clock, pipeline) = opened(Limits::SCAMP).await;
        let script = async {
            let (request, from) = board.hears().await;
            for rubbish in [&[][..], &[0; 5], &request[..13], &[0xFF; 2000]] {
                board.says(rubbish, from).await;
            }
            board.says(&answer(&request, 0x80, &[]), from).await;
        };
        join(pipeline.ask(&LED), script).await.0.unwrap();
        assert_eq!(pipeline.counts().strays, 4);
    });
}
