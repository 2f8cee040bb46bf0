//! How bytes become frames again: the receiver follows the gzip structure, byte for byte as it arrives.
//!
//! ```text
//!  start ── 1f ──> header ──> body ──> trailer ──> member over ── <EOF> ──> a frame
//!    │               ^                                  │
//!    │               └──────────── 1f ──────────────────┘
//!    └── <EOF> ──> a frame that holds nothing
//! ```
//!
//! gzip knows its own end, so the marker is looked for only where a member has ended: the same five bytes inside a name,
//! deflate data or a checksum are what they are. But for the beginning of a frame, which may be
//! tried in one go first, every byte is inflated once, nothing is scanned twice, and a limit
//! stops a frame before its bytes are stored. What goes wrong where the structure is known (not gzip, checksum, length,
//! junk) is refused at once and the bytes up to the next marker are skipped. What goes wrong inside deflate data says
//! nothing about what follows: there only a peer that falls silent right after a marker shows where its frame ended.
//!
//! Two ways around the steps are there for speed alone: `feed_stored` and `feed_short` take what is short, whole and sound, and
//! come to what the steps would come to.
//!
//! Deliberately not here: time. The connection asks `mid_frame` and `stalled_at_marker` and looks at a clock itself.

use super::frame_error::FrameError;
use super::gzip::{self, Body, Header, Inflate};
use super::inflate::inflate;
use super::marker::{MARKER, Tail, find_marker};
use flate2::{FlushDecompress, Status};

/// What one frame may cost the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameLimits {
    /// Bytes on the wire, the marker included.
    pub frame_bytes_max: usize,
    /// Bytes after inflating, of all members together.
    pub body_bytes_max: usize,
    /// gzip members.
    pub members_max: usize,
}

impl Default for FrameLimits {
    fn default() -> FrameLimits {
        FrameLimits { frame_bytes_max: 16 << 20, body_bytes_max: 64 << 20, members_max: 64 }
    }
}

/// Where in a frame the next byte belongs.
#[derive(Debug)]
enum State {
    /// At the beginning of a frame, so many bytes of a marker (an empty frame) read.
    Start(usize),
    /// In a member's header.
    Header(Header),
    /// In a member's deflate data.
    Body,
    /// In checksum and length, which have to be these bytes; so many of them read.
    Trailer([u8; 8], usize),
    /// After a member, so many bytes of the marker read.
    MemberOver(usize),
    /// In what is left of a refused frame, so many bytes of the marker that ends it read.
    Skip(usize),
    /// Behind damaged deflate data, so many bytes of a marker read, which may or may not end the frame.
    Lost(usize),
    /// A limit or damage ended the conversation.
    Closed,
}

/// What a step came to.
enum Step {
    /// More bytes are needed, or the next step goes on with them.
    More,
    /// A frame is complete.
    Frame,
    /// A refused frame has been skipped.
    Skipped,
    /// The frame is refused.
    Refused(FrameError),
}

/// The receiver of one connection: bytes in, frames out.
pub struct Unframer {
    /// What a frame may cost.
    limits: FrameLimits,
    /// Where the next byte belongs.
    state: State,
    /// Bytes of the present frame so far.
    frame_bytes: usize,
    /// Members of the present frame so far.
    members: usize,
    /// The last bytes received.
    tail: Tail,
    /// The text so far; empty when the frame is complete.
    body: Option<Body>,
    /// The present member's inflating, from the first byte of its deflate data to the last.
    member: Option<Member>,
}

/// The inflating of one member.
struct Member {
    /// The state of the inflater.
    inflate: Inflate,
    /// The checksum of the member's text so far.
    crc: crc32fast::Hasher,
    /// The length of the member's text so far, modulo 2^32 as gzip counts it.
    bytes: u32,
}

impl Member {
    fn begin() -> Member {
        Member { inflate: Inflate::lend(), crc: crc32fast::Hasher::new(), bytes: 0 }
    }
}

impl Unframer {
    /// A receiver at the beginning of a frame.
    pub fn new(limits: FrameLimits) -> Unframer {
        Unframer {
            limits,
            state: State::Start(0),
            frame_bytes: 0,
            members: 0,
            tail: Tail::default(),
            body: None,
            member: None,
        }
    }

    /// Changes what frames may cost, the present one included.
    pub fn limit(&mut self, limits: FrameLimits) {
        self.limits = limits;
    }

    /// Reads input up to the end of a frame or its refusal, or all of it; tells how many bytes it read. It is called again
    /// with the rest until all input is read. After an error that does not go on, whatever comes is read and ignored.
    pub fn feed(&mut self, input: &[u8]) -> (usize, Option<Result<Body, FrameError>>) {
        if let Some((read, body)) = self.feed_stored(input) {
            return (read, Some(Ok(body)));
        }
        let mut read = self.feed_short(input).unwrap_or(0);
        while read < input.len() && !matches!(self.state, State::Closed) {
            let allowed = self.limits.frame_bytes_max.saturating_sub(self.frame_bytes);
            if allowed == 0 {
                let bytes_max = self.limits.frame_bytes_max;
                return (read, Some(Err(self.close(FrameError::FrameTooLarge { bytes_max }))));
            }
            let rest = &input[read..];
            let (bytes, step) = self.step(&rest[..rest.len().min(allowed)]);
            self.note(&rest[..bytes]);
            read += bytes;
            match step {
                Step::More => {}
                Step::Skipped => self.begin(),
                Step::Frame => {
                    let body = self.body.take().unwrap_or_default();
                    self.begin();
                    return (read, Some(Ok(body)));
                }
                Step::Refused(error) => {
                    (self.body, self.member) = (None, None);
                    if !self.mid_frame() && error.goes_on() {
                        self.begin();
                    }
                    return (read, Some(Err(error)));
                }
            }
        }
        (input.len(), None)
    }

    /// Whether a frame has begun and not ended.
    pub fn mid_frame(&self) -> bool {
        !matches!(self.state, State::Start(0) | State::Closed)
    }

    /// Whether all bytes so far end in a marker although the gzip stream has not ended. Soon after, more bytes show that
    /// the marker was part of the stream, or silence shows that the stream was cut short: then `give_up`.
    pub fn stalled_at_marker(&self) -> bool {
        let inside = matches!(
            self.state,
            State::Header(_) | State::Body | State::Trailer(..) | State::MemberOver(_) | State::Lost(_)
        );
        inside && self.tail.is_marker()
    }

    /// Refuses the frame that was begun; the next byte begins another.
    pub fn give_up(&mut self) -> FrameError {
        self.begin();
        FrameError::Cut
    }

    /// Whether it holds an inflate state or a buffer.
    #[cfg(test)]
    pub(super) fn holds_memory(&self) -> bool {
        self.body.is_some() || self.member.is_some()
    }

    fn begin(&mut self) {
        self.state = State::Start(0);
        (self.frame_bytes, self.members) = (0, 0);
        (self.body, self.member) = (None, None);
    }

    fn note(&mut self, bytes: &[u8]) {
        self.frame_bytes += bytes.len();
        self.tail = self.tail.after(bytes);
    }

    fn close(&mut self, error: FrameError) -> FrameError {
        self.state = State::Closed;
        (self.body, self.member) = (None, None);
        error
    }

    /// Reads some bytes of what the state expects; at least one, or the state changes.
    fn step(&mut self, input: &[u8]) -> (usize, Step) {
        match self.state {
            State::Start(matched) => self.step_outside(input[0], matched, FrameError::NotGzip),
            State::MemberOver(0) if input.starts_with(MARKER) => (MARKER.len(), Step::Frame),
            State::MemberOver(0) if input[0] == 0 => {
                (input.iter().take_while(|byte| **byte == 0).count(), Step::More)
            }
            State::MemberOver(matched) => self.step_outside(input[0], matched, FrameError::Junk),
            State::Header(_) => self.step_header(input),
            State::Body => self.step_body(input),
            State::Trailer(expected, seen) => self.step_trailer(input, expected, seen),
            State::Skip(mut matched) => match find_marker(&mut matched, input) {
                Some(end) => (end, Step::Skipped),
                None => {
                    self.state = State::Skip(matched);
                    (input.len(), Step::More)
                }
            },
            State::Lost(matched) => self.step_lost(input, matched),
            State::Closed => (input.len(), Step::More),
        }
    }

    /// One byte outside a member: of a member's beginning or of a marker.
    fn step_outside(&mut self, byte: u8, matched: usize, otherwise: FrameError) -> (usize, Step) {
        if matched == 0 && byte == gzip::MAGIC[0] {
            return (0, self.begin_member());
        }
        if byte != MARKER[matched] {
            self.state = State::Skip(matched);
            return (0, Step::Refused(otherwise));
        }
        let matched = matched + 1;
        if matched == MARKER.len() {
            return (1, Step::Frame);
        }
        self.state = match self.state {
            State::Start(_) => State::Start(matched),
            _ => State::MemberOver(matched),
        };
        (1, Step::More)
    }

    fn begin_member(&mut self) -> Step {
        self.members += 1;
        if self.members > self.limits.members_max {
            let members_max = self.limits.members_max;
            return Step::Refused(self.close(FrameError::TooManyMembers { members_max }));
        }
        self.state = State::Header(Header::new());
        Step::More
    }

    fn step_header(&mut self, input: &[u8]) -> (usize, Step) {
        let State::Header(header) = &mut self.state else { return (0, Step::More) };
        for (read, byte) in input.iter().enumerate() {
            match header.take(*byte) {
                Ok(false) => {}
                Ok(true) => {
                    self.state = State::Body;
                    return (read + 1, Step::More);
                }
                Err(FrameError::LongHeader) => {
                    return (read, Step::Refused(self.close(FrameError::LongHeader)));
                }
                Err(error) => {
                    self.state = State::Skip(0);
                    return (read, Step::Refused(error));
                }
            }
        }
        (input.len(), Step::More)
    }

    /// Inflates all of the input, or up to the end of the deflate data.
    fn step_body(&mut self, input: &[u8]) -> (usize, Step) {
        let bytes_max = self.limits.body_bytes_max;
        let body = self.body.get_or_insert_with(Body::lend);
        let member = self.member.get_or_insert_with(Member::begin);
        let mut read = 0;
        loop {
            let room = body.room(bytes_max);
            let state = member.inflate.state();
            let (read_before, made_before) = (state.total_in(), state.total_out());
            let status = state.decompress(&input[read..], room, FlushDecompress::None);
            let taken = (state.total_in() - read_before) as usize;
            let made = (state.total_out() - made_before) as usize;
            let full = made == room.len();
            member.crc.update(&room[..made]);
            member.bytes = member.bytes.wrapping_add(made as u32);
            body.fill(made);
            read += taken;
            if body.len() > bytes_max {
                return (read, Step::Refused(self.close(FrameError::BodyTooLarge { bytes_max })));
            }
            match status {
                Ok(Status::StreamEnd) => return (read, self.end_member()),
                Ok(_) if full => {}
                Ok(_) if read == input.len() => return (read, Step::More),
                Ok(_) if taken > 0 || made > 0 => {}
                _ => return (read, self.lose(&input[..read])),
            }
        }
    }

    /// After the deflate data: what checksum and length have to be is known before they come.
    fn end_member(&mut self) -> Step {
        let Some(member) = self.member.take() else { return Step::More };
        let [c0, c1, c2, c3] = member.crc.finalize().to_le_bytes();
        let [l0, l1, l2, l3] = member.bytes.to_le_bytes();
        self.state = State::Trailer([c0, c1, c2, c3, l0, l1, l2, l3], 0);
        Step::More
    }

    /// Compares byte by byte, so that the first wrong one may belong to the marker of a frame that was cut short.
    fn step_trailer(&mut self, input: &[u8], expected: [u8; 8], seen: usize) -> (usize, Step) {
        let rest = &expected[seen..];
        let same = rest.iter().zip(input).take_while(|(wanted, byte)| wanted == byte).count();
        if same == rest.len() {
            self.state = State::MemberOver(0);
        } else if same == input.len() {
            self.state = State::Trailer(expected, seen + same);
        } else {
            self.skip_after(&input[..same]);
            let error = if seen + same < 4 { FrameError::BadChecksum } else { FrameError::BadLength };
            return (same, Step::Refused(error));
        }
        (same, Step::More)
    }

    /// Skips to the next marker, which may have begun in what was read: cut short, deflate data can end inside it.
    fn skip_after(&mut self, read: &[u8]) {
        self.state = match self.tail.after(read).marker_bytes() {
            matched if matched == MARKER.len() => State::Start(0),
            matched => State::Skip(matched),
        };
    }

    /// Damaged deflate data: the frame is lost, but not told of yet, because its end may still be found.
    fn lose(&mut self, read: &[u8]) -> Step {
        (self.body, self.member) = (None, None);
        let matched = self.tail.after(read).marker_bytes();
        self.state = State::Lost(matched % MARKER.len());
        Step::More
    }

    /// Behind damage a marker counts only if nothing follows it.
    fn step_lost(&mut self, input: &[u8], mut matched: usize) -> (usize, Step) {
        let followed =
            self.tail.is_marker() || find_marker(&mut matched, input).is_some_and(|end| end < input.len());
        if followed {
            return (0, Step::Refused(self.close(FrameError::Damaged)));
        }
        self.state = State::Lost(matched);
        (input.len(), Step::More)
    }

    /// A whole frame of one member with one stored block, as `encode` makes them: nothing to inflate and no state to keep.
    /// Anything else, and anything wrong or over a limit, is left to the steps.
    fn feed_stored(&mut self, input: &[u8]) -> Option<(usize, Body)> {
        if !matches!(self.state, State::Start(0)) || self.limits.members_max == 0 {
            return None;
        }
        let (fixed, rest) = input.split_at_checked(gzip::FIXED_BYTES)?;
        let (block, rest) = rest.split_first_chunk::<5>()?;
        let [1, low, high, not_low, not_high] = *block else { return None };
        if !fixed.starts_with(&PLAIN_HEADER) || [!low, !high] != [not_low, not_high] {
            return None;
        }
        let (text, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([low, high])))?;
        let (trailer, rest) = rest.split_at_checked(8)?;
        let read = input.len() - rest.strip_prefix(MARKER)?.len();
        let crc = crc32fast::hash(text).to_le_bytes();
        let sound = trailer[..4] == crc && trailer[4..] == [low, high, 0, 0];
        if !sound || read > self.limits.frame_bytes_max || text.len() > self.limits.body_bytes_max {
            return None;
        }
        let mut body = Body::lend();
        body.append(text);
        Some((read, body))
    }

    /// A frame's first member that is short and whole, as clients send them that deflate: read in one go, with no state to keep.
    /// Whether the marker has come as well does not matter: some send it apart. Anything else, and anything wrong or over
    /// a limit, is left to the steps.
    fn feed_short(&mut self, input: &[u8]) -> Option<usize> {
        if !matches!(self.state, State::Start(0)) || self.limits.members_max == 0 {
            return None;
        }
        let (fixed, rest) = input.split_at_checked(gzip::FIXED_BYTES)?;
        let is_short = rest.len() <= SHORT_BYTES_MAX
            || find_marker(&mut 0, &rest[..SHORT_BYTES_MAX.min(rest.len())]).is_some();
        if !fixed.starts_with(&PLAIN_HEADER) || !is_short {
            return None;
        }
        let mut body = Body::lend();
        let (data_bytes, text_bytes) = inflate(rest, body.room(self.limits.body_bytes_max))?;
        body.fill(text_bytes);
        let (checksum, length) = rest.get(data_bytes..)?.first_chunk::<8>()?.split_at(4);
        let sound =
            checksum == crc32fast::hash(&body).to_le_bytes() && length == (text_bytes as u32).to_le_bytes();
        let read = gzip::FIXED_BYTES + data_bytes + 8;
        if !sound || read > self.limits.frame_bytes_max || text_bytes > self.limits.body_bytes_max {
            return None;
        }
        (self.state, self.members, self.body) = (State::MemberOver(0), 1, Some(body));
        self.note(&input[..read]);
        Some(read)
    }
}

/// What is short enough for `inflate`: for more than this, what zlib-rs prepares pays.
const SHORT_BYTES_MAX: usize = 1024;

/// Magic, method and flags of a member without optional fields.
const PLAIN_HEADER: [u8; 4] = [gzip::MAGIC[0], gzip::MAGIC[1], gzip::DEFLATE, 0];
