//! A simulated burner at a real socket.

use super::{Event, live};
use crate::clock::Clock;
use crate::stand::message::{Reply, Said, Status, Tray, Verdict};
use crate::stand::simulate::{Settings, Simulated, image};
use crate::stand::{ClientType, Medium, Piece, Splitter};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

/// How long a test waits for what must come: far longer than it takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// The server's end of one connection.
struct Door {
    stream: TcpStream,
    splitter: Splitter,
    said: Vec<Said>,
}

impl Door {
    fn accept(listener: &TcpListener) -> Door {
        let (stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Door { stream, splitter: Splitter::new(4096), said: Vec::new() }
    }

    fn tell(&mut self, reply: &Reply) {
        let mut bytes = Vec::new();
        reply.encode(&mut bytes);
        self.stream.write_all(&bytes).unwrap();
    }

    /// Hears until this was said; what was said before it is dropped.
    fn hear(&mut self, wanted: impl Fn(&Said) -> bool) -> Said {
        let mut buffer = [0; 512];
        loop {
            if let Some(at) = self.said.iter().position(&wanted) {
                return self.said.drain(..=at).next_back().unwrap();
            }
            let bytes = self.stream.read(&mut buffer).expect("something is said");
            assert_ne!(bytes, 0, "the burner hung up");
            let mut input = &buffer[..bytes];
            while let Some(Ok(Piece::Message(message))) = self.splitter.pull(&mut input) {
                let who = match message.starts_with(b"ID\t") {
                    true => None,
                    false => Some(ClientType::Burner(Medium::Dvd)),
                };
                self.said.push(Said::hear(message, who).unwrap());
            }
        }
    }

    fn introduce(&mut self) {
        self.tell(&Reply::Ident);
        self.hear(|said| matches!(said, Said::Id { .. }));
        self.tell(&Reply::Capab);
        self.hear(|said| matches!(said, Said::Cap { .. }));
    }
}

fn is_tray(said: &Said) -> bool {
    matches!(said, Said::Status(Status::Tray { tray: Tray::Avail, .. }))
}

#[test]
fn a_burner_burns_and_comes_back_when_the_server_hangs_up() {
    let settings = Settings { burn_ms: 40, verify_ms: 10, swap_ms: 10, retry_ms: 10, ..Settings::default() };
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = listener.local_addr().unwrap().to_string();
    let (seen, sees) = mpsc::channel();
    let clock = Clock::system();
    let burner = Simulated::new(settings, 1, 0, clock.now());
    let living = async_std::task::spawn(async move {
        let tell = |_, event: Event<'_>| {
            seen.send(format!("{event:?}")).ok();
        };
        live(&clock, &door, burner, tell).await
    });
    let mut door = Door::accept(&listener);
    door.introduce();
    door.hear(is_tray);
    door.tell(&Reply::Burn { image: image(2) });
    let over = door.hear(|said| matches!(said, Said::Status(Status::Verified { .. })));
    let passed = Status::Verified { image: image(2), verdict: Verdict::Pass };
    assert_eq!(over, Said::Status(passed));
    door.hear(is_tray);
    // What cannot be understood is complained of, and does no harm.
    door.stream.write_all(b"PLEASE\tBURN\r\n\r\n").unwrap();
    door.hear(|said| matches!(said, Said::Error { .. }));
    // Raw bytes are no messages, whatever they look like.
    door.tell(&Reply::Data { image: image(2), bytes: 8 });
    door.stream.write_all(b"OPEN\r\n\r\n").unwrap();
    door.tell(&Reply::WhatIs { image: image(0) });
    assert!(matches!(door.hear(|said| !is_tray(said)), Said::Info(_)));
    drop(door);
    let mut door = Door::accept(&listener);
    door.introduce();
    door.hear(is_tray);
    let events: Vec<_> = sees.try_iter().collect();
    assert_eq!(events.iter().filter(|event| *event == "Connected").count(), 2);
    assert!(events.iter().any(|event| event.starts_with("Lost")));
    async_std::task::block_on(living.cancel());
}
