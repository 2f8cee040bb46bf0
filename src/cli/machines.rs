//! `berth machines` and `berth where-is`.

use super::answers::{Machine, Place};
use super::boards::boards_table;
use super::context::{Context, read};
use super::exit::Failure;
use super::jobs::no_such;
use super::table::{Table, plain};
use crate::client::Request;
use clap::Args;
use serde_json::Value;

/// `berth machines`.
#[derive(Args, Debug)]
pub struct MachinesArgs {
    /// This machine with all its boards; without it all machines.
    name: Option<String>,
}

/// Prints machines, or one with its boards.
pub fn machines(context: &Context, args: &MachinesArgs) -> Result<(), Failure> {
    let Some(name) = &args.name else {
        return context.show(Request::new("list_machines"), |machines: Vec<Machine>| {
            context.table_text(&machines_table(&machines))
        });
    };
    context.show(Request::new("get_machine").with("machine", name.as_str()), |machine: Machine| {
        let boards = context.table_text(&boards_table(&machine.board_list));
        context.table_text(&machines_table(std::slice::from_ref(&machine)))
            + &dead_links_text(&machine)
            + "\n"
            + &boards
    })
}

fn machines_table(machines: &[Machine]) -> Table {
    let mut table =
        Table::new(&["MACHINE", "SHAPE", "SIZE", "BOARDS", "FREE", "LENT", "OTHER", "TAGS", "KINDS"]);
    for machine in machines {
        let count = |state: &str| machine.boards.get(state).copied().unwrap_or(0);
        let (total, free, lent) = (count("total"), count("free"), count("lent"));
        let size = machine.width.zip(machine.height).map(|(width, height)| format!("{width}x{height}"));
        table.push([
            machine.name.clone(),
            machine.shape.clone(),
            size.unwrap_or_default(),
            total.to_string(),
            free.to_string(),
            lent.to_string(),
            total.saturating_sub(free + lent).to_string(),
            machine.tags.join(" "),
            machine.kinds.join(" "),
        ]);
    }
    table
}

fn dead_links_text(machine: &Machine) -> String {
    if machine.dead_links.is_empty() {
        return String::new();
    }
    let links: Vec<_> =
        machine.dead_links.iter().map(|[x, y, z, link]| format!("{x},{y},{z}/{link}")).collect();
    format!("dead links: {}\n", links.join(" "))
}

/// `berth where-is`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("where").required(true))]
pub struct WhereArgs {
    /// A board by its place: its machine, and x, y, z.
    #[arg(num_args = 4, value_names = ["MACHINE", "X", "Y", "Z"], group = "where")]
    logical: Vec<String>,
    /// A board by where it stands: its machine, and cabinet, frame, board.
    #[arg(long, num_args = 4, value_names = ["MACHINE", "CABINET", "FRAME", "BOARD"], group = "where")]
    physical: Vec<String>,
    /// A chip of a machine.
    #[arg(long, num_args = 3, value_names = ["MACHINE", "X", "Y"], group = "where")]
    chip: Vec<String>,
    /// A chip of a job.
    #[arg(long, num_args = 3, value_names = ["JOB", "X", "Y"], group = "where")]
    job_chip: Vec<String>,
}

impl WhereArgs {
    fn request(&self) -> Result<Request, Failure> {
        let forms: [(&[String], &[&str]); 4] = [
            (&self.logical, &["machine", "x", "y", "z"]),
            (&self.physical, &["machine", "cabinet", "frame", "board"]),
            (&self.chip, &["machine", "chip_x", "chip_y"]),
            (&self.job_chip, &["job_id", "chip_x", "chip_y"]),
        ];
        let request = Request::new("where_is");
        let Some((words, names)) = forms.into_iter().find(|(words, _)| !words.is_empty()) else {
            return Ok(request);
        };
        words.iter().zip(names).try_fold(request, |request, (word, name)| match *name {
            "machine" => Ok(request.with(name, word.as_str())),
            _ => match word.parse::<u32>() {
                Ok(number) => Ok(request.with(name, number)),
                Err(_) => Err(Failure::usage(format!("'{word}' is no number, as {name} has to be"))),
            },
        })
    }
}

/// Prints where a board or a chip is, in every way of counting.
pub fn where_is(context: &Context, args: &WhereArgs) -> Result<(), Failure> {
    let answer = context.ask(args.request()?)?;
    if context.shared.json {
        context.print_json(&answer)?;
    }
    match answer {
        Value::Null => Err(no_such("what was asked for")),
        _ if context.shared.json => Ok(()),
        answer => context.print(&place_text(&read(&answer)?)),
    }
}

fn place_text(place: &Place) -> String {
    let list = |numbers: &[u32]| numbers.iter().map(u32::to_string).collect::<Vec<_>>();
    let mut text = format!(
        "machine    {}\nboard      {}\nstands in  {} (cabinet/frame/board)\nchip       {} of the machine, {} of the board\n",
        plain(&place.machine),
        list(&place.logical).join(","),
        list(&place.physical).join("/"),
        list(&place.chip).join(","),
        list(&place.board_chip).join(","),
    );
    if let Some(job) = place.job_id {
        let chip = place.job_chip.as_deref().map(|chip| format!(", its chip {}", list(chip).join(",")));
        text.push_str(&format!("lent to    job {job}{}\n", chip.unwrap_or_default()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;
    use serde_json::json;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: WhereArgs,
    }

    fn asked(line: &str) -> Option<Request> {
        let words = std::iter::once("where-is").chain(line.split_whitespace());
        Line::try_parse_from(words).ok()?.args.request().ok()
    }

    #[test]
    fn a_place_is_named_in_four_ways() {
        let request = Request::new("where_is").with("machine", "m");
        assert_eq!(asked("m 1 2 0"), Some(request.clone().with("x", 1).with("y", 2).with("z", 0)));
        let physical = request.clone().with("cabinet", 0).with("frame", 1).with("board", 2);
        assert_eq!(asked("--physical m 0 1 2"), Some(physical));
        assert_eq!(asked("--chip m 8 4"), Some(request.with("chip_x", 8).with("chip_y", 4)));
        let job = Request::new("where_is").with("job_id", 7).with("chip_x", 0).with("chip_y", 1);
        assert_eq!(asked("--job-chip 7 0 1"), Some(job));
        for line in ["", "m 1 2", "m 1 2 x", "--chip m 1", "m 1 2 0 --chip m 1 2", "--job-chip seven 0 0"] {
            assert_eq!(asked(line), None, "{line}");
        }
    }

    #[test]
    fn machines_and_places_are_printed() {
        let machines: Vec<Machine> = read(&json!([
            {"name": "m", "shape": "triads", "tags": ["default"], "kinds": ["spinnaker"], "width": 4, "height": 2,
             "dead_links": [[0, 0, 0, 3]], "boards": {"total": 24, "free": 20, "lent": 3, "dead": 1}},
            {"name": "p", "shape": "pool", "width": null, "height": null, "boards": {"total": 8, "free": 8}},
        ]))
        .unwrap();
        assert_eq!(
            machines_table(&machines).render(false),
            "MACHINE  SHAPE   SIZE  BOARDS  FREE  LENT  OTHER  TAGS     KINDS\n\
             m        triads  4x2   24      20    3     1      default  spinnaker\n\
             p        pool    -     8       8     0     0      -        -\n"
        );
        assert_eq!(dead_links_text(&machines[0]), "dead links: 0,0,0/3\n");
        let place: Place =
            read(&json!({"machine": "m", "logical": [0, 1, 2], "physical": [0, 0, 5], "chip": [8, 4],
            "board_chip": [0, 0], "job_id": 7, "job_chip": [4, 4]}))
            .unwrap();
        let text = place_text(&place);
        assert!(text.contains("board      0,1,2\n") && text.contains("job 7, its chip 4,4\n"), "{text}");
    }
}
