//! The service `channel`: datagrams between whoever holds a board and the board.
//!
//! Opening one is asking for pushes: what the board says comes as events on the connection that opened the channel
//! (`protocol-spec/channels.md`). Sockets, queues and how a channel is cut with its loan are the server's affair.

use super::arguments::NAME_BYTES_MAX;
use super::board::{address, addressed};
use super::plan::{Asker, ChannelUse, ChannelView, Plan};
use super::{Arg, ArgType, Arguments, Function, Outcome, shape};
use crate::error::{Code, Fault};
use crate::user::Role;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// No call may have more datagrams than this, whatever its limit in the configuration.
const DATAGRAMS_MAX: usize = 65_536;

/// A number that counts something.
const COUNT: ArgType = ArgType::Int(0, u32::MAX as i64);

/// The channel that is meant.
const CHANNEL: Arg =
    Arg::needed("channel", ArgType::Int(0, 1 << 53), "The channel, by the number open_channel gave.");

/// The functions of this service.
pub static FUNCTIONS: &[Function] = &[
    Function {
        name: "open_channel",
        service: "channel",
        doc: "Opens a channel to a UDP port of a board of a job that is ready; the job's owner may, and \
             operators. What the board sends comes to this connection as events: {\"datagrams\": [{\"channel\": \
             1, \"data\": [base64]}]}. The channel ends with the loan, with the session, or with the connection.",
        args: addressed!(
            Arg::needed("job_id", ArgType::JobId, "The job that holds the board."),
            Arg::needed("port", ArgType::Int(1, u16::MAX as i64), "The port of the board.")
        ),
        result: "CHANNEL",
        role: Role::User,
        errors: &[
            Code::TIME_OUT,
            Code::BAD_ARGUMENT,
            Code::SESSION_EXPIRED,
            Code::JOB_UNKNOWN,
            Code::JOB_OVER,
            Code::JOB_WITHOUT_BOARDS,
            Code::JOB_NOT_READY,
            Code::MACHINE_UNKNOWN,
            Code::BOARD_UNKNOWN,
            Code::BOARD_NOT_HELD,
            Code::BOARD_UNREACHABLE,
            Code::PORT_REFUSED,
            Code::TEXT_TOO_LONG,
            Code::TOO_MANY_CHANNELS,
            Code::TOO_MANY_CHANNELS_IN_ALL,
        ],
        example: r#"{"job_id": 1, "machine": "m", "x": 0, "y": 0, "z": 0, "port": 17893}"#,
        plan: plan_open,
        answer: |outcome, _, out| match outcome {
            Outcome::Channels(channels) => match channels.as_slice() {
                [channel] => shape::write(out, &Told(channel)),
                _ => Err(shape::unexpected()),
            },
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "send_datagrams",
        service: "channel",
        doc: "Sends datagrams through a channel, in this order, and is a sign of life for its job. Answers how \
             many were sent: fewer than given when the rate or the network takes no more for now; the rest may be \
             sent again. Nobody knows whether they arrive.",
        args: &[
            CHANNEL,
            Arg::needed("datagrams", ArgType::Blobs(DATAGRAMS_MAX), "The bytes of each, in base64."),
        ],
        result: "int",
        role: Role::User,
        errors: &[
            Code::BAD_ARGUMENT,
            Code::CHANNEL_UNKNOWN,
            Code::DATAGRAM_TOO_LARGE,
            Code::TOO_MANY_DATAGRAMS,
            Code::DATAGRAM_RATE,
        ],
        example: r#"{"channel": 1, "datagrams": ["AAAHcQ=="]}"#,
        plan: |args, _| {
            let datagrams = args.need("datagrams", Arguments::blobs)?;
            Ok(Plan::UseChannel(ChannelUse::Send { channel: channel(args)?, datagrams }))
        },
        answer: |outcome, _, out| match outcome {
            Outcome::Sent(count) => shape::write(out, count),
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
    Function {
        name: "close_channel",
        service: "channel",
        doc: "Ends a channel. What came through it and was not pushed yet is dropped.",
        args: &[CHANNEL],
        result: "null",
        role: Role::User,
        errors: &[Code::BAD_ARGUMENT, Code::CHANNEL_UNKNOWN],
        example: r#"{"channel": 1}"#,
        plan: |args, _| Ok(Plan::UseChannel(ChannelUse::Close { channel: channel(args)? })),
        answer: shape::null,
        null_for: &[],
    },
    Function {
        name: "list_channels",
        service: "channel",
        doc: "The channels that this session has open on this connection.",
        args: &[],
        result: "[CHANNEL]",
        role: Role::Guest,
        errors: &[],
        example: "{}",
        plan: |_, _| Ok(Plan::UseChannel(ChannelUse::List)),
        answer: |outcome, _, out| match outcome {
            Outcome::Channels(channels) => shape::write(out, &shape::Each(|| channels.iter().map(Told))),
            _ => Err(shape::unexpected()),
        },
        null_for: &[],
    },
];

fn plan_open(args: &Arguments<'_>, _: &Asker<'_>) -> Result<Plan, Fault> {
    let (job, board) = (args.need("job_id", Arguments::job)?, address(args)?);
    let port = args.need("port", Arguments::u32)?;
    let port = u16::try_from(port).map_err(|_| args.bad("port"))?;
    Ok(Plan::OpenChannel { job, board, port })
}

/// The number of a channel that a call names.
fn channel(args: &Arguments<'_>) -> Result<u64, Fault> {
    u64::try_from(args.need("channel", Arguments::int)?).map_err(|_| args.bad("channel"))
}

/// A channel as callers read it.
struct Told<'a>(&'a ChannelView);

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let channel = self.0;
        let mut map = serializer.serialize_map(Some(13))?;
        map.serialize_entry("channel", &channel.channel)?;
        map.serialize_entry("job_id", &channel.reach.job.0)?;
        map.serialize_entry("machine", &*channel.reach.machine)?;
        map.serialize_entry("board", &shape::Board(&channel.reach.board))?;
        map.serialize_entry("host", &*channel.reach.host)?;
        map.serialize_entry("port", &channel.remote.port())?;
        map.serialize_entry("local_host", &shape::Shown(channel.local.ip()))?;
        map.serialize_entry("local_port", &channel.local.port())?;
        map.serialize_entry("opened", &channel.opened.unix_s())?;
        map.serialize_entry("sent", &channel.sent)?;
        map.serialize_entry("received", &channel.received)?;
        map.serialize_entry("dropped", &channel.dropped)?;
        map.serialize_entry("waiting", &channel.waiting)?;
        map.end()
    }
}
