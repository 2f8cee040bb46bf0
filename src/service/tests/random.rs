//! Functions called with nonsense: whatever comes, there is an answer of the declared shape or a fault of the table.

use super::conform::conforms;
use super::house::House;
use crate::service::{COMMON_ERRORS, Function, all};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::sync::LazyLock;

/// Values that have gone wrong somewhere before.
const NASTY: &[&str] = &[
    "null",
    "true",
    "false",
    "0",
    "-0",
    "-0.0",
    "1",
    "1.0",
    "2",
    "3",
    "-1",
    "0.5",
    "1e2",
    "1e999",
    "-1e999",
    "1e-999",
    "4294967295",
    "4294967296",
    "9007199254740993",
    "18446744073709551615",
    "18446744073709551616",
    "-9223372036854775809",
    "99999999999999999999999999999999999999999999999999",
    "\"\"",
    "\"m\"",
    "\"devices\"",
    "\"devices-1\"",
    "\"default\"",
    "\"queued\"",
    "\"ready\"",
    "\"free\"",
    "\"retest\"",
    "\"operator\"",
    "\"ada\"",
    "\"guest\"",
    "\"NaN\"",
    "\"1\"",
    r#""\ud800""#,
    r#""\u0000\n""#,
    "\"\u{1f600}\"",
    "\"correct horse\"",
    "\"00000ada\"",
    "[]",
    "[[]]",
    "[null]",
    "[1]",
    "[1, 1]",
    "[0, 0, 0]",
    "[1, 2, 3, 4]",
    "[\"devices-2\"]",
    "[\"default\", \"lab\"]",
    "[\"Zm9v\", \"\"]",
    "17893",
    "{}",
    r#"{"a": [1.5, {"b": null}]}"#,
];

/// Clones of this are spoilt, one for each case.
static HOUSE: LazyLock<House> = LazyLock::new(House::new);

fn function() -> impl Strategy<Value = &'static Function> {
    any::<Index>().prop_map(|index| {
        let functions: Vec<_> = all().collect();
        *index.get(&functions)
    })
}

fn value() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => select(NASTY).prop_map(str::to_owned),
        1 => any::<f64>().prop_map(|number| serde_json::to_string(&number).unwrap()),
        1 => any::<i64>().prop_map(|number| number.to_string()),
        1 => any::<String>().prop_map(|text| serde_json::to_string(&text).unwrap()),
    ]
}

/// Arguments as JSON: of the example, each declared one perhaps replaced, now and then an unknown one.
fn args(function: &Function, values: &[(bool, String)], unknown: Option<String>) -> String {
    let mut args: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(function.example).unwrap();
    args.retain(|name, _| {
        !function.args.iter().zip(values).any(|(arg, (replaced, _))| *replaced && arg.name == name)
    });
    let mut parts: Vec<String> = args.iter().map(|(name, value)| format!("{name:?}: {value}")).collect();
    for (arg, (_, value)) in function.args.iter().zip(values).filter(|(_, (replaced, _))| *replaced) {
        parts.push(format!("{:?}: {value}", arg.name));
    }
    parts.extend(unknown.map(|name| format!("{}: 1", serde_json::to_string(&name).unwrap())));
    format!("{{{}}}", parts.join(", "))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nonsense_is_answered_or_refused(
        function in function(),
        who in select(&["guest", "ada", "bob", "op", "admin"][..]),
        values in proptest::collection::vec((proptest::bool::weighted(0.3), value()), 24),
        unknown in proptest::option::weighted(0.05, any::<String>()),
    ) {
        let args = args(function, &values, unknown);
        match HOUSE.clone().call(function.name, who, &args) {
            Ok(answer) => prop_assert_eq!(conforms(&answer, function.result), Ok(()), "{} {}", function.name, args),
            Err(fault) => {
                let known = function.errors.contains(&fault.code) || COMMON_ERRORS.contains(&fault.code);
                prop_assert!(known && fault.code.number() != 100, "{} {args}: {fault:?}", function.name);
                prop_assert!(!fault.msg.is_empty() && fault.msg.len() < 2000, "{}", fault.msg);
            }
        }
    }
}
