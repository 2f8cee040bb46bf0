//! `berth call`: any function by its name, and what functions there are.

use super::answers::FunctionRow;
use super::context::Context;
use super::exit::{Exit, Failure};
use super::table::Table;
use crate::client::Request;
use crate::service;
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

/// What a function is: out of our own registry, without a server. One that only the server has, or JSON, is told in
/// the server's own words.
fn help(context: &Context, fname: &str) -> Result<(), Failure> {
    if let (Some(function), false) = (service::find(fname), context.shared.json) {
        return context.print(&service::render::help_text(function));
    }
    let Value::Array(functions) = context.ask(Request::new("list_functions"))? else {
        return Err(Failure::unexpected("list_functions answered no list"));
    };
    let Some(function) = functions.into_iter().find(|function| function["name"] == fname) else {
        let msg = format!("the server has no function '{fname}'; 'berth call --list' prints those it has");
        return Err(Failure::new(Exit::Refused, msg));
    };
    context.print_json(&function)
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
}
