//! `berth boards`: which there are, and what can be done with one.

use super::answers::Board;
use super::context::Context;
use super::exit::Failure;
use super::size::BoardAddress;
use super::table::{Table, plain, time_text};
use crate::client::Request;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};

/// So many boards are asked for at a time, as many as `list_boards` gives.
const PAGE: usize = 10_000;

/// `berth boards`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct BoardsArgs {
    #[command(subcommand)]
    action: Option<Action>,
    /// Only boards of this machine.
    #[arg(long, short, value_name = "NAME")]
    machine: Option<String>,
    /// Only boards in this state: free, lent, cleaning, quarantined, maintenance, dead, offline.
    #[arg(long, short, value_name = "STATE")]
    state: Option<String>,
}

/// One board, wherever one is named.
#[derive(Args, Debug)]
struct Which {
    /// MACHINE:X,Y,Z or MACHINE:CABINET/FRAME/BOARD or a serial.
    board: BoardAddress,
    /// The machine of a serial that several machines have.
    #[arg(long, short, value_name = "NAME")]
    machine: Option<String>,
}

impl Which {
    fn ask(&self, fname: &str) -> Request {
        let machine = self.machine.clone().filter(|_| matches!(self.board, BoardAddress::Serial(_)));
        self.board.ask(Request::new(fname)).with_some("machine", machine)
    }
}

/// What can be done with a board.
#[derive(Subcommand, Debug)]
enum Action {
    /// Print all there is to know of a board.
    Show {
        #[command(flatten)]
        which: Which,
    },
    /// Report that a board you hold does not work.
    Report {
        #[command(flatten)]
        which: Which,
        /// What is wrong with it.
        reason: String,
    },
    /// Put a board into a state (operators).
    Set {
        #[command(flatten)]
        which: Which,
        /// The state.
        state: Target,
        /// Why.
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Call a board by a name that people know (operators).
    Name {
        #[command(flatten)]
        which: Which,
        /// The name; an empty one takes it away.
        name: String,
    },
    /// Switch a board off and on.
    Cycle {
        #[command(flatten)]
        which: Which,
    },
    /// Let a board's light tell where it stands: blink, or be on or off.
    Identify {
        #[command(flatten)]
        which: Which,
        /// Leave the light on.
        #[arg(long, conflicts_with = "off")]
        on: bool,
        /// Leave the light off.
        #[arg(long)]
        off: bool,
    },
    /// Print a board's temperatures and voltages.
    Sensors {
        #[command(flatten)]
        which: Which,
    },
    /// Send a board's agent a command.
    Send {
        #[command(flatten)]
        which: Which,
        /// The command.
        command: String,
        /// Its arguments: name=value, the value as JSON or else as text.
        #[arg(value_name = "NAME=VALUE", value_parser = super::call::parse_argument)]
        args: Vec<(String, Value)>,
    },
}

/// The states an operator can put a board into.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Target {
    /// Out of use, until somebody puts it back.
    Maintenance,
    /// To be tried again, now.
    Retest,
    /// Out of use for good.
    Dead,
    /// Back in use.
    Free,
}

/// Lists boards, or does something with one.
pub fn boards(context: &Context, args: &BoardsArgs) -> Result<(), Failure> {
    let Some(action) = &args.action else { return list(context, args) };
    match action {
        Action::Show { which } => context.show(which.ask("get_board"), |board| whole_text(context, board)),
        Action::Report { which, reason } => {
            let request = which.ask("report_board").with("reason", reason.as_str());
            context.order(request, || format!("{} is reported", which.board))
        }
        Action::Set { which, state, reason } => {
            let word = state.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            let request = which.ask("set_board_state").with("state", word).with("reason", reason.as_str());
            context.show(request, |board| board_text(context, board))
        }
        Action::Name { which, name } => context
            .show(which.ask("name_board").with("name", name.as_str()), |board| board_text(context, board)),
        Action::Cycle { which } => context
            .order(which.ask("power_cycle_board"), || format!("{} was switched off and on", which.board)),
        Action::Identify { which, on, off } => {
            let request = which.ask("identify_board").with_some("on", (*on || *off).then_some(*on));
            context.order(request, || format!("{} shows its light", which.board))
        }
        Action::Sensors { which } => {
            context.show(which.ask("read_board_sensors"), |sensors| sensors_text(context, &sensors))
        }
        Action::Send { which, command, args } => {
            let args: Map<_, _> = args.iter().cloned().collect();
            let request =
                which.ask("send_board_command").with("command", command.as_str()).with("args", args);
            let answer = context.ask(request)?;
            context.print_json(&answer)
        }
    }
}

fn list(context: &Context, args: &BoardsArgs) -> Result<(), Failure> {
    let mut client = context.open()?;
    let mut boards = Vec::new();
    loop {
        let request = Request::new("list_boards")
            .with_some("machine", args.machine.clone())
            .with_some("state", args.state.clone())
            .with("offset", boards.len())
            .with("limit", PAGE);
        let Value::Array(page) = client.ask(request)? else {
            return Err(Failure::unexpected("list_boards answered no list"));
        };
        let last = page.len() < PAGE;
        boards.extend(page);
        if last {
            break;
        }
    }
    context
        .print_answer(&Value::Array(boards), |boards: Vec<Board>| context.table_text(&boards_table(&boards)))
}

fn board_text(context: &Context, board: Board) -> String {
    context.table_text(&boards_table(&[board]))
}

/// A board, what came of switching it last, and what its sensors said last.
fn whole_text(context: &Context, mut board: Board) -> String {
    let (power, sensors) = (board.power.take(), board.sensors.take());
    let offers = std::mem::take(&mut board.offers);
    let mut text = board_text(context, board);
    if !offers.is_empty() {
        text.push_str("\noffers\n");
        offers.iter().for_each(|label| text.push_str(&format!("{}\n", plain(label))));
    }
    if let Some(power) = power {
        let came = power.reason.map_or_else(|| "done".to_owned(), |why| format!("failed: {}", plain(&why)));
        text.push_str(&format!("\n{} {}  {came}\n", time_text(power.at), plain(&power.action)));
    }
    if let Some(sensors) = sensors {
        text.push_str(&format!("\n{} sensors\n", time_text(sensors.at)));
        text.push_str(&sensors_text(context, &sensors.values));
    }
    text
}

/// Boards as a table.
pub fn boards_table(boards: &[Board]) -> Table {
    let mut table = Table::new(&[
        "BOARD", "NAME", "MACHINE", "STATE", "JOB", "OWNER", "SINCE", "HOST", "DONE", "FAILED", "REASON",
    ]);
    for board in boards {
        table.push([
            board.board.on(&board.machine),
            board.name.clone(),
            board.machine.clone(),
            board.state.clone(),
            board.job_id.map(|job| job.to_string()).unwrap_or_default(),
            board.owner.clone().unwrap_or_default(),
            board.since.map(time_text).unwrap_or_default(),
            board.host.clone().unwrap_or_default(),
            board.done.to_string(),
            board.failed.to_string(),
            board.reason.clone().unwrap_or_default(),
        ]);
    }
    let named = boards.iter().any(|board| !board.name.is_empty());
    let counted = boards.iter().any(|board| board.done + board.failed > 0);
    table.keep(|column| match column {
        "NAME" => named,
        "DONE" | "FAILED" => counted,
        _ => true,
    });
    table
}

fn sensors_text(context: &Context, sensors: &Map<String, Value>) -> String {
    let mut table = Table::new(&["SENSOR", "VALUE", "UNIT"]);
    for (name, reading) in sensors {
        let unit = reading["unit"].as_str().unwrap_or_default();
        table.push([name.clone(), reading["value"].to_string(), unit.to_owned()]);
    }
    context.table_text(&table)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::context::read;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: BoardsArgs,
    }

    #[test]
    fn boards_are_a_table() {
        let boards: Vec<Board> = read(&json!([
            {"machine": "m", "board": [0, 0, 1], "state": "lent", "since": 0.5, "job_id": 7, "owner": "ada", "host": "h"},
            {"machine": "devices", "board": "s-1", "state": "quarantined", "reason": "silent"},
        ]))
        .unwrap();
        assert_eq!(
            boards_table(&boards).render(false),
            "BOARD    MACHINE  STATE        JOB  OWNER  SINCE                 HOST  REASON\n\
             m:0,0,1  m        lent         7    ada    1970-01-01T00:00:00Z  h     -\n\
             s-1      devices  quarantined  -    -      -                     -     silent\n"
        );
    }

    #[test]
    fn names_and_tallies_are_shown_where_there_are_any() {
        let boards: Vec<Board> = read(&json!([
            {"machine": "burners", "board": "b-0", "state": "free", "name": "left", "offers": ["x"], "done": 3, "failed": 1},
            {"machine": "burners", "board": "b-1", "state": "free", "name": "", "offers": [], "done": 0, "failed": 0},
        ]))
        .unwrap();
        assert_eq!(
            boards_table(&boards).render(false),
            "BOARD  NAME  MACHINE  STATE  JOB  OWNER  SINCE  HOST  DONE  FAILED  REASON\n\
             b-0    left  burners  free   -    -      -      -     3     1       -\n\
             b-1    -     burners  free   -    -      -      -     0     0       -\n"
        );
    }

    #[test]
    fn a_board_is_named_in_one_word() {
        let parse = |line: &str| Line::try_parse_from(std::iter::once("boards").chain(line.split(' ')));
        let Some(Action::Cycle { which }) = parse("cycle s-1 -m pool").unwrap().args.action else { panic!() };
        let request = Request::new("power_cycle_board").with("serial", "s-1").with("machine", "pool");
        assert_eq!(which.ask("power_cycle_board"), request);
        let Some(Action::Send { args, .. }) = parse("send m:0,0,0 blink n=3 who=ada").unwrap().args.action
        else {
            panic!()
        };
        assert_eq!(args, [("n".to_owned(), json!(3)), ("who".to_owned(), json!("ada"))]);
        for line in [
            "set m:0,0,0 lent",
            "report m:0,0,0",
            "cycle 0,0,0",
            "--state free show s",
            "identify s --on --off",
        ] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
