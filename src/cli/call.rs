//! `berth call`: any function by its name, and what functions there are.

use super::answers::FunctionRow;
use super::context::{Context, read};
use super::exit::{Exit, Failure};
use super::table::{Table, plain};
use crate::client::Request;
use clap::Args;
use serde_json::Value;

/// `berth call`.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub struct CallArgs {
    /// The function.
    #[arg(required_unless_present_any = ["list", "help"])]
    fname: Option<String>,
    /// Its arguments: name=value. What is JSON is taken as JSON, anything else as text.
    #[arg(value_name = "NAME=VALUE", value_parser = parse_argument)]
    args: Vec<(String, Value)>,
    /// Print the functions of the server.
    #[arg(long)]
    list: bool,
    /// Print what the function does, its arguments and its result; without a function print this.
    #[arg(long, short)]
    help: bool,
}

/// Reads `name=value`.
pub fn parse_argument(text: &str) -> Result<(String, Value), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => {
            let value = serde_json::from_str(value).unwrap_or_else(|_| value.into());
            Ok((name.to_owned(), value))
        }
        _ => Err(format!("'{text}' is not name=value")),
    }
}

/// Calls a function and prints its answer as JSON, or tells of functions.
pub fn call(context: &Context, args: &CallArgs) -> Result<(), Failure> {
    let Some(fname) = &args.fname else {
        return if args.list { list(context) } else { context.print(&super::shell::help_text("call")) };
    };
    if args.help || args.list {
        return help(context, fname);
    }
    let request = Request { fname: fname.clone(), args: args.args.clone() };
    let answer = context.ask(request)?;
    context.print_json(&answer)
}

fn list(context: &Context) -> Result<(), Failure> {
    context.show(Request::new("list_functions"), |functions: Vec<FunctionRow>| {
        let mut table = Table::new(&["SERVICE", "FUNCTION", "ROLE", "DOES"]);
        for function in functions {
            let does = function.doc.split_inclusive(". ").next().unwrap_or_default().trim_end().to_owned();
            table.push([function.service, function.name, function.role, does]);
        }
        context.table_text(&table)
    })
}

/// What a function is, as the server that would carry it out describes it.
fn help(context: &Context, fname: &str) -> Result<(), Failure> {
    let Value::Array(functions) = context.ask(Request::new("list_functions"))? else {
        return Err(Failure::unexpected("list_functions answered no list"));
    };
    let Some(function) = functions.into_iter().find(|function| function["name"] == fname) else {
        let msg = format!("the server has no function '{fname}'; 'berth call --list' prints those it has");
        return Err(Failure::new(Exit::Refused, msg));
    };
    if context.shared.json {
        return context.print_json(&function);
    }
    context.print(&function_text(&read(&function)?))
}

fn function_text(function: &FunctionRow) -> String {
    let words = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut text = format!("{} (service {}, role {})\n\n", function.name, function.service, function.role);
    text.push_str(&format!("{}\n\n", plain(&function.doc)));
    for arg in &function.args {
        let default = if arg.required { "required".to_owned() } else { format!("default {}", arg.default) };
        let (name, kind) = (plain(&arg.name), plain(&arg.kind));
        text.push_str(&format!("  {name}  {kind}, {default}\n      {}\n", plain(&arg.doc)));
    }
    text.push_str(&format!("result: {}\n", plain(&words(&function.result))));
    let errors: Vec<_> = function.errors.iter().map(words).collect();
    if !errors.is_empty() {
        text.push_str(&format!("errors: {}\n", errors.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn arguments_are_json_or_text() {
        for (text, value) in [
            ("a=7", json!(7)),
            ("a=[1,\"x\"]", json!([1, "x"])),
            ("a=null", json!(null)),
            ("a=ada", json!("ada")),
            ("a=\"7\"", json!("7")),
            ("a=x=y", json!("x=y")),
            ("a=", json!("")),
        ] {
            assert_eq!(parse_argument(text), Ok(("a".to_owned(), value)), "{text}");
        }
        assert!(parse_argument("a").is_err() && parse_argument("=a").is_err());
    }

    #[test]
    fn a_function_is_described() {
        let function: FunctionRow = read(&json!({
            "name": "get_job", "service": "job", "doc": "All there is.", "role": "guest", "result": "JOB", "errors": [1001],
            "args": [{"name": "job_id", "type": "int", "default": null, "required": true, "doc": "The job."}],
        }))
        .unwrap();
        assert_eq!(
            function_text(&function),
            "get_job (service job, role guest)\n\nAll there is.\n\n  job_id  int, required\n      The job.\nresult: JOB\nerrors: 1001\n"
        );
    }
}
