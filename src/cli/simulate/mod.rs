//! `berth simulate`: hardware that is not there, for tests and for trying things out. `plan` makes a plant of a configuration,
//! `trace` tells what its hardware does; here is the process around it: what it prints, what it is told, how it ends. `burner` is
//! the same for disc burners, which need no plant.

mod burner;
mod plan;
mod trace;

use super::context::Context;
use super::exit::{Exit, Failure};
use super::host;
use super::loopback::{self, NETS, Obeys};
use super::serve::{self, Origin};
use super::table::Table;
use crate::config::{Config, TEXT_BYTES_MAX};
use crate::simulator::chips::{Dialect, Firmware};
use crate::simulator::faults::{Fault, GRAMMAR, LINE_BYTES_MAX};
use crate::simulator::plant::{PORTS, PlantSpec};
use crate::simulator::serve::{Events, Options, Simulation, foreign_addresses};
use crate::spinnaker::BOOT_UDP_PORT;
use clap::{Args, Subcommand};
use serde_json::{Value, json};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, SyncSender};
use std::thread;

/// `berth simulate`.
#[derive(Args, Debug)]
pub struct SimulateArgs {
    /// What is simulated.
    #[command(subcommand)]
    action: SimulateAction,
}

/// What can be simulated.
#[derive(Subcommand, Debug)]
enum SimulateAction {
    /// SpiNNaker machines that answer over UDP as their firmware does: BMPs, boot ROMs, SC&MP.
    ///
    /// Whatever is typed on standard input goes wrong, one fault on a line, and each line is answered with one line.
    #[command(after_long_help = faults_help())]
    Spinnaker(SpinnakerArgs),
    /// Disc burners that come to a server's stand door, say what they could burn, and burn what they are told.
    Burner(burner::BurnerArgs),
}

/// `berth simulate spinnaker`.
#[derive(Args, Debug)]
pub struct SpinnakerArgs {
    /// The configuration whose machines of triads are simulated, those that say where BMPs and boards answer; without it
    /// the built-in one, with its boards at 127.11.0.1 and on.
    #[arg(long, env = "BERTH_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// A file of faults that are there from the beginning.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Print what the hardware does, as one JSON object on each line.
    #[arg(long)]
    trace: bool,
    /// End when standard input does.
    #[arg(long)]
    until_eof: bool,
    /// How the hardware behaves.
    #[command(flatten)]
    manner: Manner,
}

/// How simulated hardware behaves.
#[derive(Args, Debug)]
struct Manner {
    /// Boards that wait to be booted say so every few seconds, to this address, port 54321.
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1")]
    hello: Option<Ipv4Addr>,
    /// Where chance begins, for faults that are a matter of chance.
    #[arg(long, value_name = "NUMBER", default_value_t = 0)]
    seed: u64,
    /// How long a board needs for its FPGAs after power-on, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(..=60_000))]
    fpga_ms: u64,
    /// How long a board needs to boot, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 100, value_parser = clap::value_parser!(u64).range(..=60_000))]
    boot_ms: u64,
    /// This core of every chip, 1 to 17, sends back what is sent to it, as nothing else runs there.
    #[arg(long, value_name = "CORE", value_parser = clap::value_parser!(u8).range(1..=17))]
    echo_core: Option<u8>,
    /// The version that SC&MP says it has. Clients look at it: SpiNNMan 7.0.0 and before want 3.
    #[arg(long, value_name = "N.N.N", default_value = "4.0.0", value_parser = parse_release)]
    scamp: [u8; 3],
    /// SC&MP hides what its commands find wrong, as 4.0.0 does: OK comes back, and nothing in it.
    #[arg(long)]
    scamp_masks_errors: bool,
}

/// Major, minor and patch.
fn parse_release(text: &str) -> Result<[u8; 3], String> {
    let numbers: Result<Vec<u8>, _> = text.split('.').map(str::parse).collect();
    numbers
        .ok()
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| "three numbers are needed, as 4.0.0".into())
}

impl Manner {
    /// What images turn into.
    fn firmware(&self) -> Firmware {
        let dialect = if self.scamp_masks_errors { Dialect::Masked } else { Dialect::Codes };
        Firmware { dialect, release: self.scamp, ..Firmware::default() }
    }
}

impl Default for Manner {
    fn default() -> Manner {
        let spec = PlantSpec::default();
        Manner {
            hello: None,
            seed: spec.seed,
            fpga_ms: spec.fpga_load_ms,
            boot_ms: spec.boot_ms,
            echo_core: None,
            scamp: spec.scamp.release,
            scamp_masks_errors: false,
        }
    }
}

/// All lines of faults, for `--help`.
fn faults_help() -> String {
    let lines = GRAMMAR.iter().map(|(form, meaning)| format!("  {form}\n        {meaning}\n"));
    format!("Faults:\n{}", lines.collect::<String>().trim_end())
}

/// Simulates until told to stop.
pub fn simulate(context: &Context, args: &SimulateArgs) -> Result<(), Failure> {
    match &args.action {
        SimulateAction::Spinnaker(args) => simulate_spinnaker(context, args),
        SimulateAction::Burner(args) => burner::simulate(context, args, &Told::heed()?),
    }
}

fn simulate_spinnaker(context: &Context, args: &SpinnakerArgs) -> Result<(), Failure> {
    let told = Told::heed()?;
    let faults = args.faults.as_deref().map(read_faults).transpose()?.unwrap_or_default();
    let simulation = match &args.config {
        Some(_) => {
            let config = host::origin(args.config.as_ref(), None, None).load().map_err(host::wrong)?;
            start(context, plant_spec(context, &config, &args.manner)?, &faults)?
        }
        None => start_built_in(context, &args.manner, &faults, Obeys::AsBuiltIn)?.1,
    };
    // Whoever reads where things listen may ask them at once, and that is told too.
    let events = args.trace.then(|| simulation.events());
    print_places(context, simulation.spec())?;
    if let Some(events) = events {
        print_events(events, told.sender.clone())?;
    }
    listen(context, args, &simulation, &told)
}

/// Why the command goes on, or ends.
enum News {
    /// A line was typed.
    Line(String),
    /// Nothing will be typed any more.
    InputEnded,
    /// A signal says that it is enough.
    Enough,
    /// The output cannot be written.
    Output(Failure),
}

/// What the process is told.
struct Told {
    news: mpsc::Receiver<News>,
    sender: SyncSender<News>,
}

impl Told {
    /// Hears signals and standard input from now on.
    fn heed() -> Result<Told, Failure> {
        let not_available = |error: io::Error| Failure::new(Exit::NotAvailable, error.to_string());
        let (sender, news) = mpsc::sync_channel(1);
        let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(not_available)?;
        let (enough, lines) = (sender.clone(), sender.clone());
        spawn("signals", move || {
            if signals.forever().next().is_some() {
                enough.send(News::Enough).ok();
            }
        })?;
        spawn("input", move || {
            read_lines(io::stdin().lock(), |line| lines.send(News::Line(line)).is_ok());
            lines.send(News::InputEnded).ok();
        })?;
        Ok(Told { news, sender })
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<(), Failure> {
    let spawned = thread::Builder::new().name(name.into()).spawn(run);
    spawned.map(drop).map_err(|error| Failure::new(Exit::NotAvailable, error.to_string()))
}

/// Takes lines until their end, or until nobody wants any more. A line that is too long is cut, but remains too long.
fn read_lines(mut input: impl BufRead, mut take: impl FnMut(String) -> bool) {
    let limit = LINE_BYTES_MAX as u64 + 2;
    let mut line = Vec::new();
    loop {
        line.clear();
        match input.by_ref().take(limit).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.ends_with(b"\n") => {}
            Ok(_) => {
                if input.skip_until(b'\n').is_err() {
                    return;
                }
            }
        }
        if !take(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']).to_owned()) {
            return;
        }
    }
}

/// Answers lines until it is enough.
fn listen(
    context: &Context,
    args: &SpinnakerArgs,
    simulation: &Simulation,
    told: &Told,
) -> Result<(), Failure> {
    // We hold a sender ourselves, so there is always more to come.
    while let Ok(news) = told.news.recv() {
        match news {
            News::Line(line) => answer(context, args, simulation, &line)?,
            News::InputEnded if args.until_eof => return Ok(()),
            News::InputEnded => {}
            News::Enough => return Ok(()),
            News::Output(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// Carries out one line and says so; what is no fault and no mistake is passed over.
fn answer(
    context: &Context,
    args: &SpinnakerArgs,
    simulation: &Simulation,
    line: &str,
) -> Result<(), Failure> {
    let suffered = match Fault::of_line(line) {
        Ok(None) => return Ok(()),
        Ok(Some(fault)) => simulation.suffer(vec![fault]),
        Err(wrong) => Err(wrong),
    };
    let line = line.trim();
    if args.trace || context.shared.json {
        let answer = match suffered {
            Ok(()) => json!({"line": line, "ok": true}),
            Err(wrong) => json!({"line": line, "ok": false, "error": wrong.0}),
        };
        return context.print_json_line(&answer);
    }
    context.print(&match suffered {
        Ok(()) => format!("ok: {}\n", super::table::plain(line)),
        Err(wrong) => format!("error: {}\n", super::table::plain(&wrong.0)),
    })
}

/// Prints what hardware does, until the end.
fn print_events(events: Events, news: SyncSender<News>) -> Result<(), Failure> {
    spawn("trace", move || {
        while let Some(event) = events.next_ever() {
            if let Err(failure) = print_line(&trace::event_json(&event)) {
                news.send(News::Output(failure)).ok();
                return;
            }
        }
    })
}

fn print_line(value: &Value) -> Result<(), Failure> {
    use std::io::Write;
    // In one piece: at the end of the process output is no longer buffered, and half a line would be left.
    let mut out = io::stdout().lock();
    out.write_all(format!("{value}\n").as_bytes())?;
    Ok(out.flush()?)
}

fn read_faults(path: &Path) -> Result<Vec<Fault>, Failure> {
    let wrong = |why: String| Failure::usage(format!("{}: {why}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
    let limit = TEXT_BYTES_MAX as u64;
    BufReader::new(file).take(limit).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
    Fault::of_text(&text).map_err(|error| wrong(error.0))
}

/// The plant of a configuration; says which machines are not in it.
fn plant_spec(context: &Context, config: &Config, manner: &Manner) -> Result<PlantSpec, Failure> {
    let (machines, sentences) = plan::machines(config);
    if machines.is_empty() {
        let why = if sentences.is_empty() {
            "there is no machine of triads".to_owned()
        } else {
            sentences.join("; ")
        };
        return Err(Failure::usage(format!("nothing can be simulated: {why}")));
    }
    sentences.iter().for_each(|sentence| context.note(sentence));
    Ok(PlantSpec {
        machines,
        seed: manner.seed,
        hello_to: manner.hello.map(|address| SocketAddrV4::new(address, BOOT_UDP_PORT)),
        fpga_load_ms: manner.fpga_ms,
        boot_silence_ms: manner.boot_ms / 5,
        boot_ms: manner.boot_ms,
        echo_core: manner.echo_core,
        scamp: manner.firmware(),
    })
}

fn start(context: &Context, spec: PlantSpec, faults: &[Fault]) -> Result<Simulation, Failure> {
    spec.check().map_err(|wrong| Failure::usage(wrong.0))?;
    let sockets = spec.addresses().count() * PORTS.len();
    let files = serve::raise_open_files(sockets);
    if !files.suffice() {
        context.note(&format!(
            "{} sockets are needed, and the system allows {} open files",
            sockets, files.allowed
        ));
    }
    let foreign = foreign_addresses(&spec);
    if !foreign.is_empty() {
        return Err(Failure::usage(plan::foreign_sentence(&foreign)));
    }
    Simulation::start(spec, Options { faults: faults.to_vec() }).map_err(not_started)
}

fn not_started(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::InvalidInput => Failure::usage(error.to_string()),
        _ => Failure::new(Exit::NotAvailable, format!("the simulation cannot start: {error}")),
    }
}

/// The built-in lab, whose boards BMPs switch, as a text of configuration, and its hardware.
pub fn demo_lab(context: &Context) -> Result<(String, Simulation), Failure> {
    start_built_in(context, &Manner::default(), &[], Obeys::Bmp)
}

/// The built-in lab on the first addresses that are free: its configuration and its hardware.
fn start_built_in(
    context: &Context,
    manner: &Manner,
    faults: &[Fault],
    obeys: Obeys,
) -> Result<(String, Simulation), Failure> {
    let mut refused = None;
    for net in NETS {
        let text = loopback::lab(net, obeys).map_err(host::wrong)?;
        let config = Origin { text: Some(text.clone()), ..Origin::default() }.load().map_err(host::wrong)?;
        match start(context, plant_spec(context, &config, manner)?, faults) {
            Err(failure) if failure.status() == Exit::NotAvailable as u8 => refused = Some(failure),
            other => return other.map(|simulation| (text, simulation)),
        }
    }
    Err(refused.unwrap_or_else(|| Failure::new(Exit::NotAvailable, "no address is free")))
}

/// Says what listens where.
fn print_places(context: &Context, spec: &PlantSpec) -> Result<(), Failure> {
    if context.shared.json {
        return context.print_json_line(&json!({"listening": places_json(spec)}));
    }
    let mut table =
        Table::new(&["MACHINE", "WHAT", "CABINET", "FRAME", "BOARD", "X,Y,Z", "ADDRESS", "PORTS"]);
    let ports = PORTS.map(|port| port.to_string()).join(" ");
    for machine in &spec.machines {
        let name = machine.name.to_string();
        for frame in &machine.frames {
            let [cabinet, number] = [frame.cabinet, frame.frame].map(|number| number.to_string());
            let address = frame.address.to_string();
            table.push([
                name.clone(),
                "bmp".into(),
                cabinet,
                number,
                String::new(),
                String::new(),
                address,
                ports.clone(),
            ]);
        }
        for board in &machine.boards {
            let [cabinet, frame] = [board.cabinet, board.frame].map(|number| number.to_string());
            let logical = format!("{},{},{}", board.logical.x, board.logical.y, board.logical.z);
            let (number, address) = (board.board.number().to_string(), board.address.to_string());
            table.push([
                name.clone(),
                "board".into(),
                cabinet,
                frame,
                number,
                logical,
                address,
                ports.clone(),
            ]);
        }
    }
    context.print(&context.table_text(&table))
}

fn places_json(spec: &PlantSpec) -> Vec<Value> {
    let mut places = Vec::new();
    for machine in &spec.machines {
        let name = &*machine.name;
        places.extend(machine.frames.iter().map(|frame| {
            json!({"machine": name, "what": "bmp", "cabinet": frame.cabinet, "frame": frame.frame,
                "address": frame.address.to_string(), "ports": PORTS})
        }));
        places.extend(machine.boards.iter().map(|board| {
            json!({"machine": name, "what": "board", "cabinet": board.cabinet, "frame": board.frame,
                "board": board.board.number(), "logical": [board.logical.x, board.logical.y, board.logical.z],
                "address": board.address.to_string(), "ports": PORTS})
        }));
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines_of(text: &str) -> Vec<String> {
        let mut lines = Vec::new();
        read_lines(text.as_bytes(), |line| {
            lines.push(line);
            true
        });
        lines
    }

    #[test]
    fn lines_are_bounded_and_those_behind_a_long_one_are_read() {
        let long = "x".repeat(10_000);
        let lines = lines_of(&format!("loss 1\r\n\n{long}\nclear"));
        assert_eq!((lines[0].as_str(), lines[1].as_str(), lines[3].as_str()), ("loss 1", "", "clear"));
        assert!(lines[2].len() <= LINE_BYTES_MAX + 2 && Fault::of_line(&lines[2]).is_err());
        assert_eq!(lines.len(), 4);
        let exact = "y".repeat(LINE_BYTES_MAX);
        assert_eq!(lines_of(&format!("{exact}\nclear\n")), [exact, "clear".to_owned()]);
    }

    #[test]
    fn a_release_is_three_numbers() {
        assert_eq!(parse_release("3.4.1"), Ok([3, 4, 1]));
        for wrong in ["", "4", "4.0", "4.0.0.0", "4.0.256", "4.0.-1", "4..0"] {
            assert!(parse_release(wrong).is_err(), "{wrong}");
        }
        let told = |scamp_masks_errors| {
            Manner { scamp: [3, 4, 1], scamp_masks_errors, ..Manner::default() }.firmware()
        };
        assert_eq!((told(false).dialect, told(true).dialect), (Dialect::Codes, Dialect::Masked));
        assert_eq!(told(true).release, [3, 4, 1]);
    }

    #[test]
    fn the_help_names_every_fault() {
        assert!(
            GRAMMAR
                .iter()
                .all(|(form, meaning)| { faults_help().contains(form) && faults_help().contains(meaning) })
        );
    }

    #[test]
    fn machines_that_cannot_be_simulated_say_why() {
        let text = |bmps: &str| {
            format!(
                "[[machine]]\nname = \"m\"\nshape = \"triads\"\nwidth = 1\nheight = 1\ncontroller = \"simulated\"\n{bmps}"
            )
        };
        let sentences = |bmps: &str| plan::machines(&Config::load(Some(&text(bmps)), &[], &[]).unwrap());
        let (plans, why) = sentences("");
        assert!(plans.is_empty() && why[0].contains("names no BMPs"), "{why:?}");
        let (plans, why) = sentences("bmps = [{ cabinet = 0, frame = 0, host = \"bmp.lab\" }]");
        assert!(plans.is_empty() && why[0].contains("'bmp.lab', which is no IPv4 address"), "{why:?}");
        let (plans, why) =
            sentences("boards_per_frame = 2\nbmps = [{ cabinet = 0, frame = 0, host = \"127.0.1.1\" }]");
        assert!(
            plans.is_empty() && why[0].contains("cabinet 0 frame 1, for which 'bmps' has no BMP"),
            "{why:?}"
        );
        let (plans, why) =
            sentences("bmps = [{ cabinet = 0, frame = 0, host = \"127.0.1.1\" }]\ndead_boards = [[0, 0, 1]]");
        assert!(why.is_empty());
        assert_eq!(plans[0].boards.iter().map(|board| board.board.number()).collect::<Vec<_>>(), [0, 2]);
    }

    #[test]
    fn foreign_addresses_are_named_with_a_way_out() {
        let foreign: Vec<_> = (0..5).map(|n| (Ipv4Addr::new(10, 11, 0, n), format!("board {n}"))).collect();
        let sentence = plan::foreign_sentence(&foreign);
        assert!(sentence.contains("10.11.0.0 (board 0)") && sentence.contains("and 2 more"), "{sentence}");
        assert!(
            sentence.contains("host_base = \"127.11.0.1\"") && sentence.contains("bmps = "),
            "{sentence}"
        );
    }
}
