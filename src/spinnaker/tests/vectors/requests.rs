//! Requests: what a caller asks for gives the datagram, and the datagram gives what was asked for.

use super::super::super::scp::{
    Arguments, Call, CommandCode, LedAction, LedActions, Request, Sequence, Unit, pieces,
};
use super::super::super::sdp::{Chip, Core, Endpoint, Header, Port};
use super::super::super::{bmp, scamp};
use super::json::Vector;
use super::{encoded, header};
use bmp::{Board, Boards, DelayMs, InfoKind};
use scamp::{Allocate, App, Block, Cores, Neighbour, Router, Signal, Start, TagCommand, TagId};
use std::net::Ipv4Addr;

pub fn check(vector: &Vector) {
    let (fields, bytes) = (vector.at("fields"), vector.hex());
    if vector.kind() == "SCPPacket" {
        return check_bare(vector, &fields, &bytes);
    }
    let request = Request::decode(&bytes).unwrap();
    let data = fields.bytes("data");
    let arguments = Arguments::three([fields.u32("arg1"), fields.u32("arg2"), fields.u32("arg3")]);
    let call = Call { command: CommandCode(fields.u16("command")), arguments, data: &data };
    let sequence = Sequence(fields.u16("sequence"));
    assert_eq!(request, Request { header: header(&fields.at("sdp")), sequence, call }, "{vector}");

    let params = vector.at("params");
    let data = if params.has("data") { params.bytes("data") } else { Vec::new() };
    let value = if params.has("value") { params.u32("value").to_le_bytes() } else { [0; 4] };
    let built = match fields_are_of_bmp(vector) {
        true => bmp_request(vector, &params, &data, &value),
        false => scamp_request(vector, &params, &data, call.arguments.padded()[0]),
    };
    let (header, call) = built;
    let built = Request { header, sequence, call };
    assert_eq!(built, request, "{vector}");
    assert_eq!(encoded(|out| built.encode(out)), bytes, "{vector}");
}

fn fields_are_of_bmp(vector: &Vector) -> bool {
    let params = vector.at("params");
    params.has("board") || params.has("boards")
}

/// Packets with fewer arguments, and commands nobody defined.
fn check_bare(vector: &Vector, fields: &Vector, bytes: &[u8]) {
    let names = ["arg1", "arg2", "arg3"];
    let count = names.iter().filter(|name| fields.has(name)).count();
    let words = names.map(|name| if fields.has(name) { fields.u32(name) } else { 0 });
    let endpoint = |side: &str| Endpoint {
        chip: Chip { x: fields.u8(&format!("{side}_x")), y: fields.u8(&format!("{side}_y")) },
        core: Core::new(fields.u8(&format!("{side}_cpu"))).unwrap(),
        port: Port::new(fields.u8(&format!("{side}_port"))).unwrap(),
    };
    let mut header = Header::asking(endpoint("dest"), endpoint("src").chip);
    header.source = endpoint("src");
    if !fields.bool("reply_expected") {
        header.flags = super::Flags::NO_REPLY;
    }
    let data = fields.bytes("data");
    let call = Call {
        command: CommandCode(fields.u16("cmd_rc")),
        arguments: Arguments::first(count, words),
        data: &data,
    };
    let request = Request { header, sequence: Sequence(fields.u16("sequence")), call };
    assert_eq!(encoded(|out| request.encode(out)), bytes, "{vector}");
    assert_eq!(Request::decode_with(count, bytes), Ok(request), "{vector}");
    assert_eq!(scamp::Command::of(call).call(), call);
    assert_eq!(bmp::Command::of(call).call(), call);
}

fn led(action: &Vector) -> LedAction {
    match action.at("action").is_null() {
        true => LedAction::Toggle,
        false if action.bool("action") => LedAction::On,
        false => LedAction::Off,
    }
}

fn bmp_request<'a>(vector: &Vector, params: &Vector, data: &'a [u8], value: &'a [u8]) -> (Header, Call<'a>) {
    let board = |number: u32| Board::new(u8::try_from(number).unwrap()).unwrap();
    let boards = || params.numbers("boards").into_iter().map(board).collect::<Boards>();
    let leds = |action| {
        params.numbers("leds").iter().fold(LedActions(0), |actions, led| actions.and(*led as u8, action))
    };
    let argument = |number: usize| params.u32(&format!("arg{number}"));
    let (first_board, command) = match vector.kind() {
        "BMPGetVersion" | "BMPController.get_software_version" => (None, bmp::Command::Version),
        "SetPower" | "BMPController.set_power" => {
            let delay = DelayMs::of_seconds(params.f64("delay_seconds")).unwrap();
            (None, bmp::Command::Power { on: params.bool("on"), delay, boards: boards() })
        }
        "ReadFPGARegister" | "BMPController.read_fpga_reg" => {
            let register = params.u32("register") & !3;
            (None, bmp::Command::FpgaRead { register, length: 4, fpga: params.u32("fpga") })
        }
        "WriteFPGARegister" | "BMPController.write_fpga_reg" => {
            let register = params.u32("register") & !3;
            (None, bmp::Command::FpgaWrite { register, fpga: params.u32("fpga"), data: value })
        }
        "BMPSetLed" => {
            let action = match params.text("action") {
                "TOGGLE" => LedAction::Toggle,
                "OFF" => LedAction::Off,
                "ON" => LedAction::On,
                other => panic!("{other}"),
            };
            (None, bmp::Command::Led { actions: leds(action), boards: boards() })
        }
        // That library asks the first of the list, whichever that is.
        "BMPController.set_led" => (
            params.numbers("boards").first().copied().map(board),
            bmp::Command::Led { actions: leds(led(params)), boards: boards() },
        ),
        "ReadADC" | "BMPController.read_adc" => (None, bmp::Command::Info(InfoKind::STATUS)),
        "BmpInfo" => (None, bmp::Command::Info(InfoKind(argument(1)))),
        "BmpReset" => {
            let (code, delay) = (argument(1), DelayMs((argument(1) >> 16) as u16));
            let how = [bmp::Reset::Release, bmp::Reset::Hold, bmp::Reset::Pulse][code as usize & 3];
            let reset = bmp::Command::Reset { how, fpgas: code & 4 != 0, delay, boards: Boards(argument(2)) };
            (Some(board(params.u32("board"))), reset)
        }
        "BmpRead" => {
            let (address, length) = (argument(1), argument(2));
            let unit = Unit::suiting(address, length);
            (None, bmp::Command::Read { address, length, unit })
        }
        "BmpWrite" => {
            let unit = Unit::suiting(argument(1), argument(2));
            (None, bmp::Command::Write { address: argument(1), unit, data })
        }
        "FlashErase" => (None, bmp::Command::FlashErase { start: argument(1), end: argument(2) }),
        "FlashWrite" => {
            let (address, length, erase) = (argument(1), argument(2), argument(3) == 1);
            (None, bmp::Command::FlashWrite { address, length, erase })
        }
        "FlashCopy" => {
            (None, bmp::Command::FlashCopy { to: argument(1), from: argument(2), length: argument(3) })
        }
        other => panic!("nobody checks {other}"),
    };
    let call = command.call();
    assert_eq!(bmp::Command::of(call), command, "{vector}");
    let asked = params.has("board").then(|| board(params.u32("board")));
    let board = first_board.or(command.addressee()).or(asked).unwrap();
    (bmp::header(board), call)
}

fn scamp_request<'a>(vector: &Vector, params: &Vector, data: &'a [u8], address: u32) -> (Header, Call<'a>) {
    let coordinate = |name: &str, otherwise: u8| if params.has(name) { params.u8(name) } else { otherwise };
    // A flood fill starts from where it is heard, whichever chip it is for.
    let chip = match vector.kind() {
        "FloodFillStart" => Chip::NEAREST,
        _ => Chip { x: coordinate("x", 255), y: coordinate("y", 255) },
    };
    // Chip LEDs are asked of any core by that library, which is not among what was asked for.
    let core = match vector.kind() {
        "SetLED" => vector.at("fields").at("sdp").u8("dest_cpu"),
        _ => coordinate("p", 0),
    };
    let core = Core::new(core).unwrap();
    let connection = params.at("connection_chip");
    let source = match connection.is_null() {
        true => Chip::ROOT,
        false => Chip { x: connection.item_u8(0), y: connection.item_u8(1) },
    };
    let command = scamp_command(vector.kind(), params, data, address);
    let call = command.call();
    assert_eq!(scamp::Command::of(call), command, "{vector}");
    (Header::asking(Endpoint::system(chip, core), source), call)
}

fn app(params: &Vector) -> App {
    App(params.u8("app_id"))
}

fn start(params: &Vector) -> Start {
    let cores =
        params.numbers("processors").iter().fold(Cores::default(), |cores, core| cores.and(*core as u8));
    Start { app: app(params), wait: params.bool("wait"), cores }
}

fn scamp_command<'a>(kind: &str, params: &Vector, data: &'a [u8], at: u32) -> scamp::Command<'a> {
    use scamp::Command;
    let tag = || TagId(params.u8("tag"));
    let length = || params.u32("size");
    match kind {
        "GetVersion" => Command::Version,
        "GetChipInfo" => Command::Info { wanted: if params.bool("with_size") { 0x7F } else { 0x5F } },
        "ReadMemory" => {
            let (address, length) = (params.u32("address"), length());
            Command::Read { address, length, unit: Unit::suiting(address, length) }
        }
        "WriteMemory" => {
            let address = params.u32("address");
            Command::Write { address, unit: Unit::suiting(address, data.len() as u32), data }
        }
        "MachineController.write" => {
            let whole = params.u32("address");
            let mut all = pieces(whole, data.len() as u32);
            let (address, length, unit) = all.find(|(address, ..)| *address == at).unwrap();
            let from = (address - whole) as usize;
            Command::Write { address, unit, data: &data[from..from + length as usize] }
        }
        "FillRequest" => {
            Command::Fill { address: params.u32("address"), word: params.u32("value"), length: length() }
        }
        "ReadLink" => {
            Command::LinkRead { address: params.u32("address"), length: length(), link: params.u32("link") }
        }
        "WriteLink" => Command::LinkWrite { address: params.u32("address"), link: params.u32("link"), data },
        "IPTagSet" => {
            let host = params.at("host");
            Command::Tag(TagCommand::Set {
                tag: Some(tag()),
                udp_port: params.u16("port"),
                address: Ipv4Addr::from([0, 1, 2, 3].map(|index| host.item_u8(index))),
                strip: params.bool("strip"),
                use_sender: params.bool("use_sender"),
                timeout: 0,
            })
        }
        "MachineController.iptag_set" => Command::Tag(TagCommand::Set {
            tag: Some(tag()),
            udp_port: params.u16("port"),
            address: params.text("address").parse().unwrap(),
            strip: false,
            use_sender: false,
            timeout: 0,
        }),
        "ReverseIPTagSet" => Command::Tag(TagCommand::SetReverse {
            tag: Some(tag()),
            udp_port: params.u16("port"),
            target: Endpoint {
                chip: Chip { x: params.u8("destination_x"), y: params.u8("destination_y") },
                core: Core::new(params.u8("destination_p")).unwrap(),
                port: Port::new(params.u8("sdp_port")).unwrap(),
            },
            strip: true,
        }),
        "IPTagClear" | "MachineController.iptag_clear" => Command::Tag(TagCommand::Clear { tag: tag() }),
        "IPTagGet" => Command::Tag(TagCommand::Get { tag: tag(), count: 1 }),
        "IPTagSetTTO" => {
            let ms: u32 = params.text("timeout").split('_').nth(1).unwrap().parse().unwrap();
            Command::Tag(TagCommand::TransientTimeout { setting: (ms / 10).ilog2() + 1 })
        }
        "IPTagGetInfo" => Command::Tag(TagCommand::SIZES),
        "SDRAMAlloc" | "MachineController.sdram_alloc" => Command::Allocate(Allocate::Sdram {
            app: app(params),
            size: length(),
            tag: if params.has("tag") { params.u32("tag") } else { 0 },
            retry: params.has("tag") && params.has("retry_tag") && params.bool("retry_tag"),
        }),
        "SDRAMDeAlloc" if params.has("base_address") => {
            Command::Allocate(Allocate::FreeSdram { address: params.u32("base_address") })
        }
        "SDRAMDeAlloc" => Command::Allocate(Allocate::FreeSdramOf { app: app(params) }),
        "RouterAlloc" => {
            Command::Allocate(Allocate::Routes { app: app(params), count: params.u32("n_entries") })
        }
        "RouterInit" => Command::Router(Router::Load {
            app: app(params),
            count: params.u16("n_entries"),
            table: params.u32("table_address"),
            offset: params.u32("base_address"),
        }),
        "FixedRouteInit" => {
            Command::Router(Router::SetFixedRoute { app: app(params), route: params.u32("entry") })
        }
        "FixedRouteRead" => Command::Router(Router::FixedRoute { app: app(params) }),
        "RouterClear" => Command::Router(Router::Init),
        "SendSignal" => Command::Signal(Signal::to(app(params), params.u8("signal_value"))),
        "AppStop" => Command::Neighbour(Neighbour::Stop { app: app(params) }),
        "CountState" => {
            Command::Count { app: app(params), state: scamp::CoreState(params.u8("state_value")) }
        }
        "ApplicationRun" => Command::Run { start: start(params) },
        "AppCopyRun" => Command::CopyRun {
            link: params.u8("link"),
            checksum: params.u32("checksum") & (u32::MAX >> 3),
            size: length(),
            start: start(params),
        },
        "FloodFillStart" => Command::Neighbour(Neighbour::FloodStart {
            id: params.u8("nn_id"),
            blocks: params.u8("n_blocks"),
            region: match params.has("x") {
                true => Neighbour::region_of(Chip { x: params.u8("x"), y: params.u8("y") }),
                false => Neighbour::EVERYWHERE,
            },
        }),
        "FloodFillData" => Command::Block(Block {
            id: params.u8("nn_id"),
            number: params.u8("block"),
            address: params.u32("address"),
            data,
        }),
        "FloodFillEnd" => {
            Command::Neighbour(Neighbour::FloodEnd { id: params.u8("nn_id"), start: start(params) })
        }
        "SetLED" => {
            let states = params.at("states");
            let actions = [LedAction::Off, LedAction::On, LedAction::Toggle];
            Command::Led(states.entries().fold(LedActions(0), |all, (led, state)| {
                all.and(led.parse().unwrap(), actions[state as usize])
            }))
        }
        "MachineController.set_led" => Command::Led(LedActions(0).and(params.u8("led"), led(params))),
        "DoSync" => Command::Sync(params.bool("on")),
        other => panic!("nobody checks {other}"),
    }
}
