//! What the pipelines of other libraries did against a scripted answerer, done again by ours: the same datagrams, the same number
//! of times, and the same end, but where ours decides otherwise on purpose.

use super::super::super::scp::DATA_BYTES_MAX;
use super::*;
use serde_json::Value;
use std::path::Path;

/// Where ours ends otherwise, and why.
const OTHERWISE: [(&str, &str); 3] = [
    ("transcripts-0015", "a datagram that is too short for a result is a stray"),
    ("transcripts-0025", "a link that timed out is asked again"),
    ("transcripts-0028", "a chip that did not reply is asked again"),
];

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn ms(seconds: &Value) -> u64 {
    (seconds.as_f64().unwrap() * 1000.0).round() as u64
}

/// How often a transcript's library sends, and how long it waits.
fn limits(settings: &Value) -> Limits {
    let tries = settings["n_tries"].as_u64().or(settings["n_retries"].as_u64().map(|retries| retries + 1));
    let window = settings["window"].as_u64().unwrap_or(8) as usize;
    Limits {
        in_flight_max: window,
        tries_max: tries.unwrap() as u32,
        answer_ms_max: ms(&settings["timeout"]),
        ..Limits::SCAMP
    }
}

/// What happened when ours was asked the same.
struct Played {
    datagrams: Vec<Vec<u8>>,
    ended: Vec<Done>,
    at: At,
}

/// Asks for every different datagram of a transcript, and answers each copy as it was answered then.
fn play(fields: &Value) -> Played {
    let script: Vec<_> = fields["datagrams"].as_array().unwrap().iter().collect();
    let bytes: Vec<_> = script.iter().map(|sent| unhex(sent["hex"].as_str().unwrap())).collect();
    let first = Request::decode(&bytes[0]).unwrap().sequence;
    let mut exchange = Exchange::starting_at(limits(&fields["settings"]), first);
    let mut asked = BTreeSet::new();
    for datagram in &bytes {
        let request = Request::decode(datagram).unwrap();
        if asked.insert(request.sequence) {
            let command = super::super::super::scamp::Command::of(request.call);
            let wish = Wish::scamp(request.header.destination, &command);
            exchange.push(&Wish { header: request.header, ..wish }).unwrap();
        }
    }
    let (mut now, mut played) = (At(0), Played { datagrams: Vec::new(), ended: Vec::new(), at: At(0) });
    let mut used = vec![false; script.len()];
    let mut coming = BTreeSet::new();
    loop {
        while let Some(datagram) = exchange.poll_send(now).map(<[u8]>::to_vec) {
            let copy = (0..script.len()).find(|at| !used[*at] && bytes[*at] == datagram);
            if let Some(copy) = copy {
                used[copy] = true;
                for answer in script[copy]["answers"].as_array().into_iter().flatten() {
                    let at = now.plus_ms(ms(&answer["after"]));
                    coming.insert((at, coming.len(), unhex(answer["hex"].as_str().unwrap())));
                }
            }
            played.datagrams.push(datagram);
        }
        let next = [coming.first().map(|(at, ..)| *at), exchange.next_deadline()].into_iter().flatten().min();
        let Some(next) = next else { break };
        now = next.max(now);
        while coming.first().is_some_and(|(at, ..)| *at <= now) {
            let (_, _, answer) = coming.pop_first().unwrap();
            played.ended.extend(exchange.handle(&answer, now));
        }
        played.ended.extend(exchange.poll_expired(now));
        if !played.ended.is_empty() {
            played.at = now;
        }
        if exchange.in_flight() + exchange.waiting() == 0 {
            break;
        }
    }
    assert_eq!(played.ended.len(), asked.len(), "each ends once");
    played
}

#[test]
fn transcripts_are_replayed() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/spinnaker/transcripts.json");
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let (mut same, mut otherwise) = (0, Vec::new());
    for transcript in file["vectors"].as_array().unwrap() {
        let fields = &transcript["fields"];
        let played = play(fields);
        let (id, says_ok) = (transcript["id"].as_str().unwrap(), fields["outcome"]["result"] == "ok");
        let is_ok = played.ended.iter().all(|done| done.outcome.is_ok());
        let mut theirs: Vec<_> = fields["datagrams"].as_array().unwrap().iter().collect();
        theirs.sort_by_key(|sent| sent["hex"].as_str().unwrap());
        let theirs: Vec<_> = theirs.iter().map(|sent| unhex(sent["hex"].as_str().unwrap())).collect();
        let mut ours = played.datagrams.clone();
        ours.sort();
        match OTHERWISE.iter().find(|(other, _)| *other == id) {
            None => {
                assert_eq!(is_ok, says_ok, "{id} {}", transcript["description"]);
                assert_eq!(ours, theirs, "{id} {}", transcript["description"]);
                same += 1;
            }
            Some((_, why)) => {
                assert!(ours.len() > theirs.len(), "{id}: {why}");
                otherwise.push(id);
            }
        }
        if fields["outcome"]["error"].as_str().is_some_and(|error| error.contains("Timeout")) {
            assert_eq!(played.ended[0].outcome, Err(Failure::Silent), "{id}");
            assert_eq!(played.at.0, ms(&fields["outcome"]["after"]), "{id}");
        }
    }
    println!("transcripts: {same} end the same, {} otherwise on purpose", otherwise.len());
    assert_eq!((same, otherwise.len()), (27, OTHERWISE.len()));
}

#[test]
fn a_read_of_a_transcript_is_cut_as_ours_are() {
    let pieces: Vec<_> = super::super::super::scp::pieces(0x6000_0000, 3072).collect();
    assert!(pieces.len() == 12 && pieces.iter().all(|piece| piece.1 as usize == DATA_BYTES_MAX));
}
