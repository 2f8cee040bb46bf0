//! What holds for all functions at once. `house` is a lab in which calls are carried out, `table` has a row for everything
//! a function can come to, `conform` holds answers against their shapes, `answers` reads some of them closely, `random` calls functions with nonsense.

mod answers;
mod conform;
mod house;
mod random;
mod reservation;
mod table;

use super::arguments::ARGS_MAX;
use super::render::{errors_markdown, functions_markdown, help_text};
use super::*;
use house::House;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn the_list_of_functions_is_sound() {
    let mut names = BTreeSet::new();
    for service in SERVICES {
        for function in service.functions {
            let name = function.name;
            assert_eq!(function.service, service.name, "{name}");
            assert!(names.insert(name), "{name} is there twice");
            assert!(std::ptr::eq(find(name).unwrap(), function), "{name}");
            assert!(function.args.len() <= ARGS_MAX, "{name}");
            assert!(function.errors.windows(2).all(|pair| pair[0] < pair[1]), "errors of {name} in order");
            assert!(function.errors.iter().all(|code| !COMMON_ERRORS.contains(code)), "{name}");
            assert!(
                function.doc.ends_with('.') && function.args.iter().all(|arg| !arg.doc.is_empty()),
                "{name}"
            );
        }
    }
    assert_eq!(find("get_versions").map(|function| function.name), None);
    assert_eq!(find("").map(|function| function.name), None);
}

#[test]
fn names_of_arguments_are_unique_and_defaults_are_json() {
    for function in all() {
        let mut names = BTreeSet::new();
        for arg in function.args {
            for name in std::iter::once(&arg.name).chain(arg.aliases) {
                assert!(names.insert(*name), "{} of {}", name, function.name);
                assert_ne!(*name, "fname");
            }
            if let Some(default) = arg.default {
                serde_json::from_str::<serde_json::Value>(default).unwrap();
            }
        }
    }
}

#[test]
fn a_default_that_is_given_changes_nothing() {
    for function in all() {
        let house = House::new();
        let bare = house.plan(function.name, "admin", "{}");
        let base = if bare.is_ok() { "{}" } else { function.example };
        let base: serde_json::Map<String, serde_json::Value> = serde_json::from_str(base).unwrap();
        let without = house.plan(function.name, "admin", &serde_json::to_string(&base).unwrap()).unwrap();
        for arg in function.args {
            let mut args = base.clone();
            let Some(default) = arg.default.filter(|_| !args.contains_key(arg.name)) else { continue };
            args.insert(arg.name.to_owned(), serde_json::from_str(default).unwrap());
            let with = house.plan(function.name, "admin", &serde_json::to_string(&args).unwrap()).unwrap();
            assert_eq!(
                format!("{:?}", with.plan),
                format!("{:?}", without.plan),
                "{} of {}",
                arg.name,
                function.name
            );
        }
    }
}

#[test]
fn every_function_is_for_its_least_role_and_for_none_below() {
    for function in all() {
        let house = House::new();
        for (who, role) in
            [("guest", Role::Guest), ("ada", Role::User), ("op", Role::Operator), ("admin", Role::Admin)]
        {
            let planned = house.plan(function.name, who, function.example);
            match role >= function.role {
                true => assert!(planned.is_ok(), "{} for {who}: {planned:?}", function.name),
                false => {
                    let fault = planned.unwrap_err();
                    assert_eq!(fault.code, Code::NOT_PERMITTED);
                    assert!(fault.msg.contains(function.role.name()), "{}", fault.msg);
                }
            }
        }
    }
}

#[test]
fn unknown_functions_are_named_and_the_nearest_is_hinted_at() {
    let house = House::new();
    let rows = [
        ("get_job_stat", "Function not found: 'get_job_stat' (did you mean 'get_job_state'?)"),
        ("Get_Version", "Function not found: 'Get_Version' (did you mean 'get_version'?)"),
        ("", "Function not found: ''"),
        ("gallery_view", "Function not found: 'gallery_view'"),
    ];
    for (name, sentence) in rows {
        let fault = house.plan(name, "admin", "{}").unwrap_err();
        assert_eq!((fault.code, fault.msg.as_str()), (Code::INVALID_MESSAGE, sentence));
    }
    let long = house.plan(&"x".repeat(100_000), "admin", "{}").unwrap_err();
    assert!(long.msg.len() < 200);
}

#[test]
fn the_services_can_be_asked_for_by_name() {
    let mut house = House::new();
    for service in SERVICES {
        let answer =
            house.call("list_functions", "guest", &format!("{{\"service\": \"{}\"}}", service.name)).unwrap();
        let functions: Vec<serde_json::Value> = serde_json::from_str(&answer).unwrap();
        assert_eq!(functions.len(), service.functions.len());
    }
    let whole: Vec<serde_json::Value> =
        serde_json::from_str(&house.call("list_functions", "guest", "{}").unwrap()).unwrap();
    assert_eq!(whole.len(), all().count());
}

#[test]
fn help_has_every_argument_and_fits_a_screen() {
    for function in all() {
        let help = help_text(function);
        assert!(function.args.iter().all(|arg| help.contains(&format!("  {} (", arg.name))), "{help}");
        assert!(help.lines().all(|line| line.chars().count() <= 120), "{help}");
    }
}

/// The documents are what the code says. With BERTH_WRITE_DOCS=1 they are written instead of compared.
#[test]
fn documents_are_current() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("protocol-spec");
    for (file, text) in [("functions.md", functions_markdown()), ("errors.md", errors_markdown())] {
        let path = folder.join(file);
        if std::env::var_os("BERTH_WRITE_DOCS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, &text).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            kept == text,
            "{} is not current: run BERTH_WRITE_DOCS=1 cargo test documents_are_current",
            path.display()
        );
    }
}
