//! Names and numbers that others use, against ours.

use super::super::super::bmp::{InfoKind, Status};
use super::super::super::boot::Opcode;
use super::super::super::eieio::{CommandId, Kind};
use super::super::super::exchange::POWER_MS_MAX;
use super::super::super::scamp::{CoreState, Signal, SignalKind};
use super::super::super::scp::{CommandCode, LedAction, ResultCode, Unit};
use super::super::super::sdp::Flags;
use super::super::super::system_variables::{self, TABLE};
use super::super::super::{BOOT_UDP_PORT, SCP_UDP_PORT, eieio};
use super::json::Vector;

pub fn check(vector: &Vector) {
    let fields = vector.at("fields");
    let mut count = 0;
    for member in fields.list("members") {
        check_member(vector.kind(), &member);
        count += 1;
    }
    assert!(count > 0, "{vector}");
}

fn check_member(kind: &str, member: &Vector) {
    if kind == "unit_of_transfer" {
        let unit = Unit::suiting(member.u32("address"), member.u32("length"));
        return assert_eq!(unit.number(), member.u32("unit"));
    }
    let name = member.text("name");
    if kind == "constants" {
        return check_constant(name, member);
    }
    let value = member.u64("value");
    assert_eq!(number(kind, name, member), Some(value), "{kind} {name}");
}

/// Our number for their name.
fn number(kind: &str, name: &str, member: &Vector) -> Option<u64> {
    let code = |name: &str| CommandCode::ALL.iter().find(|code| code.name() == Some(name));
    let result = |name: &str| ResultCode::ALL.iter().find(|code| code.name() == Some(name));
    let of = |table: &[(&str, u64)]| table.iter().find(|(other, _)| *other == name).map(|row| row.1);
    match kind {
        "SCPCommand" => code(name.strip_prefix("CMD_")?).map(|code| code.0.into()),
        "SCPResult" => result(name.strip_prefix("RC_")?).map(|code| code.0.into()),
        "rig.SCPReturnCodes" => result(&name.to_uppercase()).map(|code| code.0.into()),
        "rig.SCPCommands" => {
            let renamed = [
                ("sver", "VER"),
                ("nearest_neighbour_packet", "NNP"),
                ("signal", "SIG"),
                ("flood_fill_data", "FFD"),
                ("alloc_free", "ALLOC"),
                ("router", "RTR"),
                ("power", "BMP_POWER"),
            ];
            let ours = renamed.iter().find(|(other, _)| *other == name).map(|row| row.1.to_owned());
            code(&ours.unwrap_or_else(|| name.to_uppercase())).map(|code| code.0.into())
        }
        "SDPFlag" => of(&[
            ("REPLY_NOT_EXPECTED", Flags::NO_REPLY.0.into()),
            ("REPLY_EXPECTED", Flags::REPLY.0.into()),
            ("REPLY_NOT_EXPECTED_NO_P2P", Flags::NO_REPLY_NO_ROUTE.0.into()),
            ("REPLY_EXPECTED_NO_P2P", Flags::REPLY_NO_ROUTE.0.into()),
        ]),
        "AllocFree" | "rig.AllocOperations" => allocate_number(name),
        "BMPInfo" | "rig.BMPInfoType" => {
            let kinds = [
                ("serial", InfoKind::IDENTITY),
                ("can_status", InfoKind::CAN_STATUS),
                ("adc", InfoKind::STATUS),
                ("ip_addr", InfoKind::IP),
            ];
            kinds.iter().find(|(other, _)| *other == name.to_lowercase()).map(|row| row.1.0.into())
        }
        "IPTagCommand" | "rig.IPTagCommands" => tag_number(&name.to_lowercase()),
        "LEDAction" | "rig.LEDAction" => match name.to_lowercase().as_str() {
            "toggle" => Some(LedAction::Toggle as u64),
            "off" => Some(LedAction::Off as u64),
            "on" => Some(LedAction::On as u64),
            _ => None,
        },
        "PowerCommand" => power_number(name == "POWER_ON"),
        "SpinnakerBootOpCode" => of(&[
            ("HELLO", Opcode::HELLO.0.into()),
            ("FLOOD_FILL_START", Opcode::START.0.into()),
            ("FLOOD_FILL_BLOCK", Opcode::BLOCK.0.into()),
            ("FLOOD_FILL_CONTROL", Opcode::CONTROL.0.into()),
        ]),
        "EIEIO_COMMAND_IDS" => of(&[
            ("DATABASE", CommandId::DATABASE.number().into()),
            ("EVENT_PADDING", CommandId::PADDING.number().into()),
            ("EVENT_STOP", CommandId::STOP.number().into()),
            ("STOP_SENDING_REQUESTS", CommandId::STOP_REQUESTS.number().into()),
            ("START_SENDING_REQUESTS", CommandId::START_REQUESTS.number().into()),
            ("SPINNAKER_REQUEST_BUFFERS", CommandId::REQUEST_BUFFERS.number().into()),
            ("HOST_SEND_SEQUENCED_DATA", CommandId::SEQUENCED_DATA.number().into()),
            ("SPINNAKER_REQUEST_READ_DATA", CommandId::REQUEST_READ.number().into()),
            ("HOST_DATA_READ", CommandId::DATA_READ.number().into()),
            ("STOP_PAUSE_NOTIFICATION", CommandId::PAUSED.number().into()),
            ("START_RESUME_NOTIFICATION", CommandId::RESUMED.number().into()),
            ("HOST_DATA_READ_ACK", CommandId::READ_ACKNOWLEDGED.number().into()),
        ]),
        "EIEIOPrefix" => prefix_bit(name == "UPPER_HALF_WORD"),
        "EIEIOType" => {
            let kind = *Kind::ALL.get(member.u64("value") as usize)?;
            let payload = if kind.has_payload() { kind.word_bytes() } else { 0 };
            assert_eq!(
                [kind.word_bytes(), payload],
                ["key_bytes", "payload_bytes"].map(|n| member.u64(n) as usize)
            );
            assert_eq!(name.contains("32"), kind.word_bytes() == 4);
            Some(kind as u64)
        }
        "CPUState" => state_number(cpu_state(name)),
        "rig.AppState" => state_number(name),
        "IPTAG_TIME_OUT_WAIT_TIMES" => {
            let ms: u64 = name.split('_').nth(1)?.parse().ok()?;
            Some(u64::from((ms / 10).ilog2()) + 1)
        }
        "READ_TYPES" => of(&[
            ("BYTE", Unit::Byte.number().into()),
            ("HALF_WORD", Unit::HalfWord.number().into()),
            ("WORD", Unit::Word.number().into()),
        ]),
        "SignalType" => of(&[
            ("MULTICAST", SignalKind::Multicast as u64),
            ("POINT_TO_POINT", SignalKind::PointToPoint as u64),
            ("NEAREST_NEIGHBOUR", SignalKind::NearestNeighbour as u64),
        ]),
        "Signal" => {
            let number = signal_number(&name.to_lowercase())?;
            let way = Signal::to(Default::default(), number).kind;
            assert_eq!(way as u64, member.u64("type_value"), "{name}");
            Some(number.into())
        }
        "rig.AppSignal" => signal_number(name).map(u64::from),
        "rig.RouterOperations" => router_number(name),
        "rig.NNCommands" => neighbour_number(name),
        other => panic!("nobody checks {other}"),
    }
}

/// The first argument of what our command sends.
fn first(command: super::scamp::Command<'_>) -> u64 {
    command.call().arguments.padded()[0].into()
}

fn allocate_number(name: &str) -> Option<u64> {
    use super::scamp::{Allocate, Command};
    let app = Default::default();
    let allocate = match name.to_lowercase().as_str() {
        "alloc_sdram" => Allocate::Sdram { app, size: 0, tag: 0, retry: false },
        "free_sdram_by_pointer" | "free_sdram_by_ptr" => Allocate::FreeSdram { address: 0 },
        "free_sdram_by_app_id" | "free_sdram_by_tag" => Allocate::FreeSdramOf { app },
        "alloc_routing" | "alloc_rtr" => Allocate::Routes { app, count: 0 },
        "free_routing_by_pointer" | "free_rtr_by_pos" => Allocate::FreeRoutes { first: 0 },
        "free_routing_by_app_id" | "free_rtr_by_app" => Allocate::FreeRoutesOf { app },
        _ => return None,
    };
    Some(first(Command::Allocate(allocate)))
}

fn tag_number(name: &str) -> Option<u64> {
    use super::scamp::{Command, TagCommand, TagId};
    let set = |tag| TagCommand::Set {
        tag,
        udp_port: 0,
        address: [0; 4].into(),
        strip: false,
        use_sender: false,
        timeout: 0,
    };
    let command = match name {
        "new" => set(None),
        "set" => set(Some(TagId(0))),
        "get" => TagCommand::Get { tag: TagId(0), count: 1 },
        "clr" | "clear" => TagCommand::Clear { tag: TagId(0) },
        "tto" => TagCommand::SIZES,
        _ => return None,
    };
    Some(first(Command::Tag(command)) >> 16)
}

fn power_number(on: bool) -> Option<u64> {
    let (delay, boards) = Default::default();
    let call = super::bmp::Command::Power { on, delay, boards }.call();
    Some(call.arguments.padded()[0].into())
}

fn prefix_bit(upper: bool) -> Option<u64> {
    let prefix = if upper { eieio::Prefix::Upper(0) } else { eieio::Prefix::Lower(0) };
    let builder = eieio::Builder::new(Kind::Key16).prefix(prefix);
    let bytes = super::encoded(|out| builder.data().encode(out));
    Some(u64::from(bytes[1] >> 6 & 1))
}

/// Their name of a core's state in our words.
fn cpu_state(name: &str) -> &'static str {
    match name {
        "POWERED_DOWN" => "power_down",
        "RUN_TIME_EXCEPTION" => "runtime_exception",
        "INITIALISING" => "init",
        "READY" => "wait",
        "RUNNING" => "run",
        "PAUSED" => "pause",
        "FINISHED" => "exit",
        other => {
            let ours = other.to_lowercase().replace("cpu_", "");
            CoreState::NAMES.into_iter().find(|name| *name == ours).unwrap_or("")
        }
    }
}

fn state_number(name: &str) -> Option<u64> {
    CoreState::NAMES.iter().position(|other| *other == name).map(|at| at as u64)
}

fn signal_number(name: &str) -> Option<u8> {
    Some(match name {
        "initialise" | "init" => Signal::INIT,
        "power_down" => Signal::POWER_DOWN,
        "stop" => Signal::STOP,
        "start" => Signal::START,
        "sync0" => Signal::SYNC0,
        "sync1" => Signal::SYNC1,
        "pause" => Signal::PAUSE,
        "continue" | "cont" => Signal::CONTINUE,
        "exit" => Signal::EXIT,
        "timer" => Signal::TIMER,
        user => {
            Signal::USER_0
                + user.trim_start_matches(|char: char| !char.is_ascii_digit()).parse::<u8>().ok()?
        }
    })
}

fn router_number(name: &str) -> Option<u64> {
    use super::scamp::{Command, Router};
    let app = Default::default();
    let router = match name {
        "init" => Router::Init,
        "clear" => Router::Clear { app },
        "load" => Router::Load { app, count: 0, table: 0, offset: 0 },
        "fixed_route_set_get" => Router::FixedRoute { app },
        _ => return None,
    };
    Some(first(Command::Router(router)))
}

fn neighbour_number(name: &str) -> Option<u64> {
    use super::scamp::{App, Command, Cores, Neighbour, NeighbourPacket, Start};
    let start = Start { app: App(0), wait: false, cores: Cores::default() };
    let neighbour = match name {
        "flood_fill_start" => Neighbour::FloodStart { id: 0, blocks: 0, region: 0 },
        // Sent by no tool of today; a packet like any other.
        "flood_fill_core_select" => {
            Neighbour::Packet(NeighbourPacket { key: 7 << 24, data: 0, mark: false, forward: 0, retry: 0 })
        }
        "flood_fill_end" => Neighbour::FloodEnd { id: 0, start },
        _ => return None,
    };
    Some(first(Command::Neighbour(neighbour)) >> 24)
}

/// Constants that stand in packets or in how they are exchanged; others are about the memory of chips.
fn check_constant(name: &str, member: &Vector) {
    let mut status = Status::decode(&[0; Status::BYTES]).unwrap();
    status.voltages = [1; 8];
    let volts = |rail| status.volts(rail);
    use super::super::super::bmp::Rail;
    match name {
        "BMP_MISSING_FAN" => assert_eq!(member.i64("value") as u16, Status::NO_FAN),
        "BMP_MISSING_TEMP" => assert_eq!(member.i64("value"), i64::from(Status::NO_TEMPERATURE)),
        "BMP_TEMP_SCALE" => assert_eq!(Some(member.f64("value")), Status::celsius(1)),
        "BMP_V_SCALE_12" => assert_eq!(member.f64("value"), volts(Rail::Supply)),
        "BMP_V_SCALE_2_5" => assert_eq!(member.f64("value"), volts(Rail::V18)),
        "BMP_V_SCALE_3_3" => assert_eq!(member.f64("value"), volts(Rail::V33)),
        "BMP_POWER_ON_TIMEOUT" => assert_eq!(member.f64("value") * 1000.0, POWER_MS_MAX as f64),
        "SCP_SCAMP_PORT" => assert_eq!(member.u16("value"), SCP_UDP_PORT),
        "UDP_BOOT_CONNECTION_DEFAULT_PORT" => assert_eq!(member.u16("value"), BOOT_UDP_PORT),
        "UDP_MESSAGE_MAX_SIZE" => {
            assert_eq!(member.u64("value") as usize, super::super::super::scp::DATA_BYTES_MAX)
        }
        "SYSTEM_VARIABLE_BASE_ADDRESS" => assert_eq!(member.u32("value"), system_variables::ADDRESS),
        "SYSTEM_VARIABLE_BYTES" => assert_eq!(member.u64("value") as usize, system_variables::BYTES),
        "BMP_ADC_MAX"
        | "BMP_POST_POWER_ON_SLEEP_TIME"
        | "BMP_TIMEOUT"
        | "BOOT_RETRIES"
        | "N_RETRIES"
        | "POWER_CYCLE_WAIT_TIME_IN_SECONDS"
        | "SCP_TIMEOUT"
        | "SCP_TIMEOUT_COUNT"
        | "MAX_TAG_ID" => (),
        chip => assert!(
            ["CPU_", "NO_ROUTER_", "ROUTER_"].iter().any(|start| chip.starts_with(start)),
            "nobody checks {chip}"
        ),
    }
}

pub fn check_system_variables(vector: &Vector) {
    let fields = vector.at("fields");
    let rows: Vec<_> = fields.list("rows").collect();
    assert_eq!(rows.len(), TABLE.len());
    for (row, ours) in rows.iter().zip(TABLE) {
        assert_eq!(row.text("name"), ours.name);
        let is_array = ours.bytes == 20 || ours.name == "ethernet_ip_address";
        assert_eq!(row.text("type") == "BYTE_ARRAY", is_array, "{}", ours.name);
        assert_eq!([row.u64("offset"), row.u64("bytes")], [ours.offset as u64, ours.bytes as u64]);
        assert_eq!(row.at("default").as_u64().unwrap_or(0), ours.default, "{}", ours.name);
    }
    let block = system_variables::SystemVariables::default();
    assert_eq!(as_that_library_writes(&block), vector.hex());
}

/// The block as that library writes it: of an array of bytes only the first, so that all that follows moves up. Boards keep the
/// table's offsets, and so do we; the 128 bytes that travel have no arrays.
pub fn as_that_library_writes(block: &system_variables::SystemVariables) -> Vec<u8> {
    let is_array = |row: &system_variables::Variable| row.bytes == 20 || row.name == "ethernet_ip_address";
    let written = |row: &system_variables::Variable| if is_array(row) { 1 } else { row.bytes };
    TABLE.iter().flat_map(|row| block.bytes()[row.offset..row.offset + written(row)].to_vec()).collect()
}
