//! The one table of errors a caller may see: a number that never changes its meaning, a name, a sentence.
//!
//! Every boundary has an enum of its own and maps it into this table, so a caller reads the same number at
//! every door. Numbers below 1000 are those of the HappyPanda X protocol and keep its meanings; ours begin
//! at 1000, limits at 1100. protocol-spec/errors.md is a rendering of this table and a test holds them equal.

use std::fmt;

/// The number of an error, as it goes over the wire.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(u16);

impl Code {
    /// The number itself.
    pub const fn number(self) -> u16 {
        self.0
    }

    /// The row of the table that belongs to this code.
    pub fn row(self) -> &'static Row {
        ROWS.iter().find(|row| row.code == self).unwrap_or(&ROWS[0])
    }

    /// The code with this number, if the table has one.
    pub fn from_number(number: u16) -> Option<Code> {
        ROWS.iter().map(|row| row.code).find(|code| code.0 == number)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.row().name, self.0)
    }
}

/// One row of the table.
#[derive(Debug)]
pub struct Row {
    /// The number.
    pub code: Code,
    /// The name, as the constants of `Code` and errors.md spell it.
    pub name: &'static str,
    /// What it means, and what to do about it.
    pub meaning: &'static str,
}

/// What a caller is told: a code of the table and one sentence about this very case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The code.
    pub code: Code,
    /// What was wrong, where, and what to do.
    pub msg: String,
}

impl Fault {
    /// A fault with its sentence.
    pub fn new(code: Code, msg: impl Into<String>) -> Fault {
        Fault { code, msg: msg.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {}", self.code.0, self.msg)
    }
}

impl std::error::Error for Fault {}

/// Writes the constants and the table from one list.
macro_rules! table {
    ($($name:ident = $number:literal, $meaning:literal;)*) => {
        impl Code {
            $(#[doc = $meaning] pub const $name: Code = Code($number);)*
        }
        /// The table, in the order of the numbers.
        pub static ROWS: &[Row] = &[
            $(Row { code: Code($number), name: stringify!($name), meaning: $meaning },)*
        ];
    };
}

table! {
    INTERNAL = 100, "A fault inside the server. The log has the cause under the same session; the call may be repeated.";
    TIME_OUT = 102, "Something the call depends on did not answer in time. The call may be repeated.";
    INVALID_MESSAGE = 403, "The message has the wrong form: a root key, the list of calls, a call's name or its arguments. Correct the message.";
    BAD_ARGUMENT = 404, "An argument has the wrong type or a value out of its range. The sentence names the argument.";
    AUTH_REQUIRED = 407, "No session, or one this server does not know. Hand-shake first.";
    SESSION_EXPIRED = 408, "The session's lifespan ran out or it was ended. Hand-shake again with session \"\".";
    UNKNOWN_NAME = 409, "A word that is not one of the words allowed here. The sentence lists them.";
    BAD_FRAME = 410, "The bytes are not a gzip stream followed by <EOF>, or the stream is damaged.";
    WRONG_CREDENTIALS = 411, "The user is unknown or the password is wrong.";
    MISSING_CREDENTIALS = 412, "Guests are refused here: hand-shake with {\"user\": ..., \"password\": ...} and nothing else.";
    NOT_PERMITTED = 413, "The caller's role, or not owning the job, forbids it.";
    BAD_JSON = 900, "The text in the frame is not JSON in UTF-8.";

    JOB_UNKNOWN = 1001, "No job has this number, or it ended so long ago that only the history knows it.";
    JOB_OVER = 1002, "The job is destroyed; the sentence says why.";
    JOB_WITHOUT_BOARDS = 1003, "The job is still queued and has no boards yet.";
    JOB_NOT_READY = 1004, "The job's boards are being powered; wait until it is ready.";
    MACHINE_UNKNOWN = 1010, "No machine has this name.";
    BOARD_UNKNOWN = 1011, "The machine has no board there.";
    IMPOSSIBLE = 1012, "No machine of this lab could ever meet the request, even if it were empty. The sentence names the constraint that fails.";
    KIND_UNKNOWN = 1013, "No machine that was asked for prepares boards as this kind.";
    BOARD_STATE = 1014, "The board cannot go from its state to the one asked for.";
    BOARD_FAILED = 1015, "The board's controller carried out the order and failed; the sentence has its reason.";
    BOARD_STALE = 1016, "The order is older than the board's present grant and was refused.";
    NOT_AVAILABLE = 1017, "Boards that were to be reserved are not available at present: lent, on their way back, out of use, or kept for a job that waits. Nothing was reserved.";
    USER_UNKNOWN = 1020, "No user has this name.";
    USER_EXISTS = 1021, "A user of this name exists.";
    LAST_ADMIN = 1022, "It would leave the server without an administrator.";
    BAD_USER_NAME = 1023, "User names have 1 to 64 letters, digits, '.', '_', '-', and 'guest' is taken.";
    BAD_PASSWORD = 1024, "A new password has 1 to 1024 bytes.";
    SESSION_UNKNOWN = 1025, "No living session has this id.";
    DRAINING = 1030, "The service takes no new jobs; the sentence has the operator's reason.";
    STOPPING = 1031, "The server is shutting down. Connect again later.";
    NOT_KEPT = 1032, "The journal could not be written, so nothing was changed. Try again when there is room.";
    BAD_CONFIG = 1033, "The configuration file was refused and the old one stays in force; the sentence lists the complaints.";

    CHANNEL_UNKNOWN = 1040, "No channel of this number is open on this connection under this session.";
    BOARD_NOT_HELD = 1041, "The job does not hold this board.";
    BOARD_UNREACHABLE = 1042, "Datagrams cannot reach the board: no host is configured for it, or the host has no address.";
    PORT_REFUSED = 1043, "channel.ports: channels may not be opened to this port of a board.";

    NO_AGENTS = 1050, "No worker may register for this machine: its boards do not come with agents, or no token is set for it.";
    WRONG_TOKEN = 1051, "The token is not the one that the machine's workers have.";
    STAY_UNKNOWN = 1052, "No worker with this stay is registered on this connection under this session, or its stay is over. Register again.";
    BOARD_TAKEN = 1053, "Another worker of the machine has this board; the sentence names both.";

    FRAME_TOO_LARGE = 1100, "limits.frame_bytes_max: the frame has too many compressed bytes. The connection is closed.";
    BODY_TOO_LARGE = 1101, "limits.body_bytes_max: the frame inflates to too many bytes. The connection is closed.";
    TOO_MANY_MEMBERS = 1102, "limits.members_max: the frame has too many gzip members. The connection is closed.";
    TOO_MANY_CALLS = 1103, "limits.calls_max: too many calls in one message. Send them in several.";
    TOO_DEEP = 1104, "limits.json_depth_max: the JSON is nested too deeply.";
    TOO_MANY_CONNECTIONS = 1105, "limits.connections_max: the server has as many connections as it takes. Try again later.";
    TOO_MANY_FROM_ADDRESS = 1106, "limits.connections_per_address_max: this address has as many connections as it may.";
    HANDSHAKE_TIME = 1107, "limits.handshake_s: a frame was begun before a session was named, and not finished in time. The connection is closed.";
    IDLE_TIME = 1108, "limits.idle_s: nothing was said on a connection that never named a session. The connection is closed.";
    SLOW_READER = 1109, "limits.output_bytes_max: too much unread output. The connection is closed.";
    TOO_MANY_SESSIONS = 1110, "limits.sessions_per_user_max: the user has as many sessions as one may. Log one out or let one expire.";
    ANSWER_TOO_LARGE = 1111, "limits.answer_bytes_max: the answer would be too large. Ask for less, by a filter or in parts.";
    LOGIN_BUSY = 1112, "limits.logins_waiting_max: too many log-ins wait to be checked. Try again in a second.";
    LOGIN_DELAYED = 1113, "Too many wrong passwords for this user or from this address. The sentence says how long to wait.";
    TOO_MANY_JOBS = 1114, "limits.jobs_max: the lab has as many live jobs as it takes.";
    TOO_MANY_OWN_JOBS = 1115, "limits.jobs_per_owner_max: the owner has as many live jobs as one may.";
    TEXT_TOO_LONG = 1116, "A text is longer than its limit; the sentence names both.";
    KEEPALIVE_RANGE = 1117, "limits.keepalive_s_max: the keepalive is too long, or null, for this role.";
    TOO_MANY_WATCHES = 1118, "limits.watches_max: the connection watches as many jobs and machines as it may.";
    TOO_MANY_WAITS = 1119, "limits.waits_max: the connection waits for as many jobs as it may.";
    TOO_MANY_USERS = 1120, "limits.users_max: the server has as many users as it takes.";
    BOARD_BUSY = 1122, "limits.board_orders_max: too many orders wait for this board. Try again when it has answered.";
    HISTORY_BUSY = 1123, "limits.history_waiting_max: too many look-ups in the journal's history wait. Try again in a second.";
    TOO_MANY_CHANNELS = 1130, "limits.channels_per_connection_max: the connection has as many channels as it may. Close one.";
    TOO_MANY_CHANNELS_IN_ALL = 1131, "limits.channels_max: the server has as many channels as it takes. Try again later.";
    DATAGRAM_TOO_LARGE = 1132, "limits.datagram_bytes_max: a datagram has too many bytes. None of the call was sent.";
    TOO_MANY_DATAGRAMS = 1133, "limits.datagrams_per_call_max: too many datagrams in one call. None of them was sent.";
    DATAGRAM_RATE = 1134, "channel.rate_per_s: the channel may not send another datagram yet. Try again in a moment.";
    TOO_MANY_AGENTS = 1140, "A machine has 1000 workers at most, and a connection 64.";
    TOO_MANY_AGENT_BOARDS = 1141, "A worker has 1000 boards at most.";
    AGENTS_BUSY = 1142, "The lab has not heard yet of all that workers of the machine said, or the machine is being configured. Try again in a second.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_rise_and_names_are_unique() {
        for pair in ROWS.windows(2) {
            assert!(pair[0].code < pair[1].code, "{} and {}", pair[0].name, pair[1].name);
        }
        let mut names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
    }

    #[test]
    fn a_code_finds_its_row() {
        assert_eq!(Code::SESSION_EXPIRED.number(), 408);
        assert_eq!(Code::SESSION_EXPIRED.row().name, "SESSION_EXPIRED");
        assert_eq!(Code::from_number(408), Some(Code::SESSION_EXPIRED));
        assert_eq!(Code::from_number(1), None);
    }
}
