//! What is in force, as a file that would bring it about; and what there is to complain of.

use super::Config;
use super::complaint::Complaint;
use super::key::{KEYS, Value};
use super::machine::{MachineConfig, counted_serial};
use crate::allocator::{BoardIndex, Triad};
use crate::controller::agent::AgentSettings;
use crate::controller::{ControllerSettings, SimulatedSettings};
use crate::lab::machine::{Physical, Places, Shape, TriadsSpec};
use std::fmt::Display;
use std::net::Ipv4Addr;
use std::sync::Arc;

/// The configuration in force as TOML, each value with its source as a comment.
pub fn show(config: &Config) -> String {
    let mut text = String::new();
    let mut section_before = "";
    for key in KEYS {
        let (section, name) = key.section_and_name();
        if section != section_before {
            text += &format!("\n[{section}]\n");
            section_before = section;
        }
        let setting = config.settings.setting(key.path);
        text += &format!("{name} = {}  # {}\n", setting.value, setting.source);
    }
    for machine in &config.machines {
        text += &show_machine(machine);
    }
    text
}

/// What `config check` prints: every complaint or every warning with the file's name, then one line that sums up.
pub fn report(outcome: &Result<Config, Vec<Complaint>>, file: &str) -> String {
    let line = |complaint: &Complaint, word: &str| match complaint.at {
        super::Place::Line { .. } => format!("{file}:{}", word_before(complaint, word)),
        _ => word_before(complaint, word),
    };
    let (lines, sum) = match outcome {
        Ok(config) => {
            (config.warnings.iter().map(|warning| line(warning, "warning: ")).collect(), "ok".to_owned())
        }
        Err(complaints) => {
            let lines: Vec<String> = complaints.iter().map(|complaint| line(complaint, "")).collect();
            let sum =
                if lines.len() == 1 { "1 complaint".into() } else { format!("{} complaints", lines.len()) };
            (lines, sum)
        }
    };
    lines.into_iter().chain([sum]).map(|line| line + "\n").collect()
}

/// A complaint with a word between its place and its sentence.
fn word_before(complaint: &Complaint, word: &str) -> String {
    match complaint.key.as_str() {
        "" => format!("{}: {word}{}", complaint.at, complaint.what),
        key => format!("{}: {word}{key}: {}", complaint.at, complaint.what),
    }
}

/// Writes the keys of one table below its header.
struct Sheet<'m> {
    text: String,
    machine: &'m MachineConfig,
    section: &'static str,
}

impl Sheet<'_> {
    fn put(&mut self, key: &str, value: impl Display) {
        let source = match self.machine.written.get(&format!("{}{key}", self.section)) {
            Some(line) => format!("line {line}"),
            None => "built in".into(),
        };
        self.text += &format!("{key} = {value}  # {source}\n");
    }
}

fn show_machine(machine: &MachineConfig) -> String {
    let spec = &machine.spec;
    let mut sheet = Sheet { text: "\n[[machine]]\n".into(), machine, section: "" };
    sheet.put("name", text(&spec.name));
    match &spec.shape {
        Shape::Triads(triads) => show_triads(&mut sheet, triads),
        Shape::Pool { serials } => show_pool(&mut sheet, serials),
    }
    sheet.put("tags", texts(&spec.tags));
    sheet.put("kinds", texts(&spec.kinds));
    sheet.put("settle_s", Value::Millis(spec.settle_ms));
    sheet.put("order_s_max", Value::Millis(spec.order_ms_max));
    match &machine.controller {
        ControllerSettings::Simulated(settings) => show_simulated(&mut sheet, settings),
        ControllerSettings::Command(settings) => {
            sheet.put("controller", text("command"));
            begin_section(&mut sheet, "command.", "machine.command");
            sheet.put("program", list(settings.program.iter().map(|word| text(word))));
            if let Some(directory) = &settings.directory {
                sheet.put("directory", text(&directory.to_string_lossy()));
            }
            let variables =
                settings.environment.iter().map(|(name, value)| format!("{name} = {}", text(value)));
            sheet.put("environment", format!("{{ {} }}", variables.collect::<Vec<_>>().join(", ")));
            sheet.put("time_limit_s", Value::Millis(settings.time_limit_ms));
            sheet.put("parallel_max", settings.parallel_max);
        }
        ControllerSettings::Agent(settings) => show_agent(&mut sheet, settings),
    }
    sheet.text
}

/// Secrets are not shown, only that they are set.
fn show_agent(sheet: &mut Sheet, settings: &AgentSettings) {
    sheet.put("controller", text("agent"));
    begin_section(sheet, "agent.", "machine.agent");
    sheet.put("timeout_s", Value::Millis(settings.timeout_ms));
    match (&settings.token_file, &settings.token) {
        (Some(file), _) => sheet.put("token_file", text(&file.to_string_lossy())),
        (None, Some(_)) => sheet.text += "# token is set and not shown\n",
        (None, None) => {}
    }
}

fn begin_section(sheet: &mut Sheet, section: &'static str, header: &str) {
    sheet.section = section;
    sheet.text += &format!("[{header}]\n");
}

fn show_triads(sheet: &mut Sheet, triads: &TriadsSpec) {
    sheet.put("shape", text("triads"));
    sheet.put("width", triads.width);
    sheet.put("height", triads.height);
    sheet.put("dead_boards", list(triads.dead_boards.iter().map(|board| triad(*board))));
    let links = triads
        .dead_links
        .iter()
        .map(|(at, link)| format!("[{}, {}, {}, {}]", at.x, at.y, at.z, link.number()));
    sheet.put("dead_links", list(links));
    match &triads.places {
        Places::Rule(rule) => {
            sheet.put("boards_per_frame", rule.boards_per_frame);
            sheet.put("frames_per_cabinet", rule.frames_per_cabinet);
            let addresses = [rule.base, rule.strides[0], rule.strides[1], rule.strides[2]];
            for (key, number) in
                ["host_base", "cabinet_stride", "frame_stride", "board_stride"].into_iter().zip(addresses)
            {
                sheet.put(key, text(&Ipv4Addr::from(number).to_string()));
            }
        }
        Places::Table(_) => sheet.put("boards", show_places(triads)),
    }
    let bmps = triads.bmps.iter().map(|((cabinet, frame), host)| {
        format!("{{ cabinet = {cabinet}, frame = {frame}, host = {} }}", text(host))
    });
    sheet.put("bmps", list(bmps));
}

fn show_places(triads: &TriadsSpec) -> String {
    let row = |board: BoardIndex| {
        let Physical { cabinet, frame, board: number } = triads.place(board)?;
        let (logical, host) = (triad(triads.torus().triad(board)), triads.host(board));
        let host = if host.is_empty() { String::new() } else { format!(", host = {}", text(&host)) };
        Some(format!("{{ logical = {logical}, physical = [{cabinet}, {frame}, {number}]{host} }}"))
    };
    list((0..triads.torus().board_count()).filter_map(|board| row(BoardIndex(board))))
}

fn show_pool(sheet: &mut Sheet, serials: &[Arc<str>]) {
    sheet.put("shape", text("pool"));
    let name = sheet.machine.spec.name.clone();
    let counted = serials.iter().zip(0..).all(|(serial, number)| *serial == counted_serial(&name, number));
    if serials.is_empty() {
        // Its boards come with agents.
    } else if counted {
        sheet.put("count", serials.len());
    } else {
        sheet.put("serials", texts(serials));
    }
}

fn show_simulated(sheet: &mut Sheet, settings: &SimulatedSettings) {
    sheet.put("controller", text("simulated"));
    begin_section(sheet, "simulated.", "machine.simulated");
    let numbers = [
        ("seed", settings.seed),
        ("prepare_ms", settings.prepare_ms),
        ("power_ms", settings.power_ms),
        ("clean_ms", settings.clean_ms),
        ("test_ms", settings.test_ms),
        ("jitter_ms", settings.jitter_ms),
    ];
    for (key, number) in numbers {
        sheet.put(key, number);
    }
    sheet.put("fail_share", Value::Share(settings.fail_share));
    sheet.put("silent_share", Value::Share(settings.silent_share));
    let shape = &sheet.machine.spec.shape;
    let board = |board: &BoardIndex| match shape {
        Shape::Triads(triads) => triad(triads.torus().triad(*board)),
        Shape::Pool { serials } => {
            serials.get(board.0 as usize).map_or_else(String::new, |serial| text(serial))
        }
    };
    let (broken, stuck) =
        (list(settings.broken_boards.iter().map(board)), list(settings.stuck_boards.iter().map(board)));
    sheet.put("broken_boards", broken);
    sheet.put("stuck_boards", stuck);
}

fn text(text: &str) -> String {
    Value::Text(text.to_owned()).to_string()
}

fn texts<'t>(texts: impl IntoIterator<Item = &'t Arc<str>>) -> String {
    list(texts.into_iter().map(|word| text(word)))
}

fn triad(board: Triad) -> String {
    format!("[{}, {}, {}]", board.x, board.y, board.z)
}

/// A list on one line when it is short, and otherwise with a line for each item.
fn list(items: impl Iterator<Item = String>) -> String {
    const LINE_CHARS_MAX: usize = 80;
    let items: Vec<String> = items.collect();
    if items.iter().map(String::len).sum::<usize>() <= LINE_CHARS_MAX {
        return format!("[{}]", items.join(", "));
    }
    format!("[\n    {},\n]", items.join(",\n    "))
}
