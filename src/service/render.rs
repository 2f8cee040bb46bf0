//! Documents and help, made of the list of functions and of the table of errors.

use super::schema::NAMED;
use super::{Arg, COMMON_ERRORS, Function, SERVICES, Service, all};
use crate::error::{Code, ROWS};
use std::fmt::Write;

impl Arg {
    /// What the argument means, and which other names it goes by.
    pub fn full_doc(&self) -> String {
        match self.aliases {
            [] => self.doc.to_owned(),
            others => format!("{} Also called {}.", self.doc, others.join(", ")),
        }
    }

    /// Whether it may be left out, and what it is then.
    fn default_text(&self) -> &str {
        self.default.unwrap_or("required")
    }
}

/// `protocol-spec/functions.md`: everything that can be called.
pub fn functions_markdown() -> String {
    let mut text = HEAD.to_owned();
    for service in SERVICES {
        let names: Vec<_> =
            service.functions.iter().map(|function| format!("[{0}](#{0})", function.name)).collect();
        line(&mut text, &format!("- **{}**: {}", service.name, names.join(", ")));
    }
    text.push_str(SHAPES);
    for named in NAMED {
        line(&mut text, &format!("| {} | `{}` | {} |", named.name, cell(named.shape), cell(named.doc)));
    }
    line(&mut text, "\n## How every call can fail\n");
    line(&mut text, &codes(COMMON_ERRORS));
    SERVICES.iter().for_each(|service| push_service(&mut text, service));
    text
}

/// What functions.md begins with.
const HEAD: &str = r#"# Functions

Made from the list of functions in `src/service`; a test holds them equal.
`BERTH_WRITE_DOCS=1 cargo test documents_are_current` writes it anew.

A call is an object with `fname` and the arguments by name: `{"fname": "get_job_state", "job_id": 1}`. Its
answer is `{"fname": "get_job_state", "data": RESULT}`, or, when it failed,
`{"fname": "get_job_state", "data": null, "error": {"code": NUMBER, "msg": SENTENCE}}`.

An argument that is `null` counts as left out, unless its description says what null means. Integers may be
written with a point (`1.0`). Times in answers are Unix seconds with a fraction, spans of time are seconds.

"#;

/// What stands over the table of shapes.
const SHAPES: &str = r#"
## Shapes

`int` `num` `str` `bool` `null` `any` are values of that type, `num` with or without a fraction; `"word"` is
exactly this string; `{a:int, b?:str}` is an object with these keys and no others, of which `b` may be missing;
`{*:int}` an object with any keys; `[int]` a list of any length, `[int, str]` a list of exactly these; `|` is or.

| name | shape | |
|---|---|---|
"#;

fn push_service(text: &mut String, service: &Service) {
    line(text, &format!("\n## {}\n\n{}", service.name, service.doc));
    service.functions.iter().for_each(|function| push_function(text, function));
}

fn push_function(text: &mut String, function: &Function) {
    line(text, &format!("\n### {}\n\n{}\n", function.name, function.doc));
    if !function.args.is_empty() {
        line(text, "| argument | type | default | |\n|---|---|---|---|");
    }
    for arg in function.args {
        let (kind, default) = (cell(&arg.kind.to_string()), cell(arg.default_text()));
        line(text, &format!("| {} | {kind} | {default} | {} |", arg.name, cell(&arg.full_doc())));
    }
    if !function.args.is_empty() {
        text.push('\n');
    }
    line(text, &format!("- result: `{}`", function.result));
    line(text, &format!("- least role: {}", function.role));
    if !function.errors.is_empty() {
        line(text, &format!("- errors: {}", codes(function.errors)));
    }
    line(text, &format!("- example: `{}`", call_json(function)));
}

/// A call of the example, as JSON.
fn call_json(function: &Function) -> String {
    match function.example.strip_prefix('{') {
        Some("}") | None => format!("{{\"fname\": \"{}\"}}", function.name),
        Some(args) => format!("{{\"fname\": \"{}\", {args}", function.name),
    }
}

fn codes(codes: &[Code]) -> String {
    let names: Vec<_> = codes.iter().map(|code| format!("{} {}", code.number(), code.row().name)).collect();
    names.join(", ")
}

/// A text that breaks neither its table nor the page.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// `protocol-spec/errors.md`: every error a caller may see, and which functions have it.
pub fn errors_markdown() -> String {
    let mut text = ERRORS_HEAD.to_owned();
    for row in ROWS {
        let raised = raised_by(row.code);
        let (number, name, meaning) = (row.code.number(), row.name, cell(row.meaning));
        line(&mut text, &format!("| {number} | {name} | {meaning} | {raised} |"));
    }
    text
}

/// What errors.md begins with.
const ERRORS_HEAD: &str = r#"# Errors

Made from the table in `src/error.rs`; a test holds them equal.
`BERTH_WRITE_DOCS=1 cargo test documents_are_current` writes it anew.

An error is `{"code": NUMBER, "msg": SENTENCE}`: at the root of a message when it concerns the whole message,
in one entry of the list of answers when it concerns one call. A number never changes its meaning and is never
given to another one. Numbers below 1000 are those of the HappyPanda X protocol.

| code | name | meaning | functions |
|---|---|---|---|
"#;

fn raised_by(code: Code) -> String {
    if COMMON_ERRORS.contains(&code) {
        return "all".to_owned();
    }
    let names: Vec<_> =
        all().filter(|function| function.errors.contains(&code)).map(|function| function.name).collect();
    match names.len() {
        0..=6 => names.join(", "),
        more => format!("{} and {} more", names[..4].join(", "), more - 4),
    }
}

/// What the command line says about a function.
pub fn help_text(function: &Function) -> String {
    let mut text = String::new();
    line(&mut text, &format!("{} - {} (least role: {})\n", function.name, function.service, function.role));
    wrapped(&mut text, "", function.doc);
    if !function.args.is_empty() {
        line(&mut text, "\nArguments:");
    }
    for arg in function.args {
        let default =
            arg.default.map_or_else(|| "required".to_owned(), |default| format!("default {default}"));
        line(&mut text, &format!("  {} ({default})", arg.name));
        wrapped(&mut text, "      ", &format!("{} It is {}.", arg.full_doc(), arg.kind));
    }
    line(&mut text, "\nResult:");
    wrapped(&mut text, "  ", function.result);
    if !function.errors.is_empty() {
        line(&mut text, "\nErrors:");
        function
            .errors
            .iter()
            .for_each(|code| line(&mut text, &format!("  {:<5} {}", code.number(), code.row().name)));
    }
    line(&mut text, &format!("\nExample:\n  {}", call_json(function)));
    text
}

/// Help is at most so wide.
const HELP_COLUMNS: usize = 100;

/// Appends words in lines that fit, each after an indent.
fn wrapped(text: &mut String, indent: &str, words: &str) {
    let mut width = 0;
    for word in words.split_whitespace() {
        if width > 0 && width + 1 + word.chars().count() > HELP_COLUMNS {
            text.push('\n');
            width = 0;
        }
        let gap = if width == 0 { indent } else { " " };
        width += gap.len() + word.chars().count();
        text.push_str(gap);
        text.push_str(word);
    }
    text.push('\n');
}

fn line(text: &mut String, line: &str) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{line}");
}
