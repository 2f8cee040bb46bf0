//! For every function: calls that are answered, nearly the same ones that are refused, and every error it lists.

use super::conform::conforms;
use super::house::House;
use crate::error::Code;
use crate::lab::Options;
use crate::service::{COMMON_ERRORS, all};
use std::collections::{BTreeMap, BTreeSet};

/// One call in a lab of its own.
struct Row {
    /// The function.
    name: &'static str,
    /// Who calls.
    who: &'static str,
    /// The arguments.
    args: String,
    /// The code of the refusal; none when it is answered.
    refused: Option<Code>,
    /// The lab before the call.
    house: fn() -> House,
}

/// Calls of one function.
pub struct Rows {
    name: &'static str,
    rows: Vec<Row>,
}

impl Rows {
    pub fn of(name: &'static str) -> Rows {
        Rows { name, rows: Vec::new() }
    }

    pub fn row(mut self, who: &'static str, args: &str, refused: Option<Code>, house: fn() -> House) -> Rows {
        self.rows.push(Row { name: self.name, who, args: args.to_owned(), refused, house });
        self
    }

    /// These are answered.
    pub fn good(self, who: &'static str, calls: &[&str]) -> Rows {
        calls.iter().fold(self, |rows, args| rows.row(who, args, None, House::new))
    }

    /// These are refused.
    pub fn bad(self, who: &'static str, code: Code, calls: &[&str]) -> Rows {
        calls.iter().fold(self, |rows, args| rows.row(who, args, Some(code), House::new))
    }

    /// This one is refused in a lab like that.
    pub fn bad_in(self, house: fn() -> House, who: &'static str, code: Code, args: &str) -> Rows {
        self.row(who, args, Some(code), house)
    }
}

/// Codes that no pure code gives: they come from journal, hardware, threads, files or the limits of a connection.
const FROM_ELSEWHERE: &[Code] = &[
    Code::NOT_KEPT,
    Code::LOGIN_BUSY,
    Code::TIME_OUT,
    Code::BOARD_FAILED,
    Code::BOARD_STALE,
    Code::BOARD_BUSY,
    Code::TOO_MANY_WATCHES,
    Code::TOO_MANY_WAITS,
    Code::HISTORY_BUSY,
    Code::BAD_CONFIG,
    Code::SESSION_EXPIRED,
    Code::PORT_REFUSED,
    Code::TOO_MANY_CHANNELS,
    Code::TOO_MANY_CHANNELS_IN_ALL,
    Code::DATAGRAM_TOO_LARGE,
    Code::TOO_MANY_DATAGRAMS,
    Code::DATAGRAM_RATE,
    Code::NO_AGENTS,
    Code::WRONG_TOKEN,
    Code::BOARD_TAKEN,
    Code::LOGIN_DELAYED,
    Code::TOO_MANY_AGENTS,
    Code::TOO_MANY_AGENT_BOARDS,
    Code::AGENTS_BUSY,
];

fn draining() -> House {
    let mut house = House::new();
    house.call("set_service", "admin", r#"{"accept": false, "reason": "new cables"}"#).unwrap();
    house
}

fn crowded() -> House {
    House::with(Options { jobs_max: 4, ..Options::default() })
}

fn crowded_for_each() -> House {
    House::with(Options { jobs_per_owner_max: 2, ..Options::default() })
}

fn impatient() -> House {
    House::with(Options { keepalive_ms_max: 60_000, jobs_per_owner_max: 9, ..Options::default() })
}

/// A text that is longer than any text may be.
pub fn long(before: &str, bytes: usize, after: &str) -> String {
    format!("{before}{}{after}", "x".repeat(bytes))
}

fn about() -> Vec<Rows> {
    use Code as C;
    vec![
        Rows::of("get_version").good("guest", &["{}"]).bad(
            "guest",
            C::INVALID_MESSAGE,
            &[r#"{"verbose": true}"#],
        ),
        Rows::of("list_functions")
            .good("guest", &["{}", r#"{"service": null}"#, r#"{"service": "admin"}"#])
            .bad("guest", C::UNKNOWN_NAME, &[r#"{"service": "jobs"}"#, r#"{"service": ""}"#])
            .bad("guest", C::BAD_ARGUMENT, &[r#"{"service": 1}"#])
            .bad("guest", C::INVALID_MESSAGE, &[r#"{"services": "job"}"#]),
        Rows::of("get_status").good("guest", &["{}"]).bad("guest", C::INVALID_MESSAGE, &[r#"{"x": null}"#]),
        Rows::of("whoami").good("guest", &["{}"]).good("admin", &["{}"]).bad(
            "guest",
            C::INVALID_MESSAGE,
            &[r#"{"": 1}"#],
        ),
    ]
}

fn machine() -> Vec<Rows> {
    use Code as C;
    let long_name = long(r#"{"machine": ""#, 257, r#"", "x": 0, "y": 0, "z": 0}"#);
    vec![
        Rows::of("list_machines").good("guest", &["{}"]).bad(
            "guest",
            C::INVALID_MESSAGE,
            &[r#"{"machine": "m"}"#],
        ),
        Rows::of("get_machine")
            .good("guest", &[r#"{"machine": "m"}"#, r#"{"machine": "devices"}"#])
            .bad("guest", C::INVALID_MESSAGE, &["{}", r#"{"machine": null}"#, r#"{"machine_name": "m"}"#])
            .bad("guest", C::MACHINE_UNKNOWN, &[r#"{"machine": "M"}"#])
            .bad("guest", C::BAD_ARGUMENT, &[r#"{"machine": ""}"#, r#"{"machine": ["m"]}"#])
            .bad("guest", C::TEXT_TOO_LONG, &[&long(r#"{"machine": ""#, 257, r#""}"#)]),
        Rows::of("get_board_position")
            .good(
                "guest",
                &[
                    r#"{"machine": "m", "x": 3, "y": 1, "z": 2}"#,
                    r#"{"machine_name": "m", "x": 0.0, "y": 0, "z": 0}"#,
                    r#"{"machine": "m", "x": 4, "y": 0, "z": 0}"#,
                    r#"{"machine": "m", "x": -1, "y": 0, "z": 0}"#,
                    r#"{"machine": "devices", "x": 0, "y": 0, "z": 0}"#,
                    r#"{"machine": "none", "x": 0, "y": 0, "z": 0}"#,
                ],
            )
            .bad(
                "guest",
                C::BAD_ARGUMENT,
                &[
                    r#"{"machine": "m", "x": 0.5, "y": 0, "z": 0}"#,
                    r#"{"machine": "m", "x": "0", "y": 0, "z": 0}"#,
                ],
            )
            .bad("guest", C::TEXT_TOO_LONG, &[&long_name])
            .bad(
                "guest",
                C::INVALID_MESSAGE,
                &[
                    r#"{"machine": "m", "x": 0, "y": 0}"#,
                    r#"{"machine": "m", "machine_name": "m", "x": 0, "y": 0, "z": 0}"#,
                ],
            ),
        Rows::of("get_board_at_position")
            .good(
                "guest",
                &[
                    r#"{"machine": "m", "cabinet": 0, "frame": 1, "board": 11}"#,
                    r#"{"machine_name": "m", "x": 0, "y": 0, "z": 3}"#,
                    r#"{"machine": "m", "cabinet": 7, "frame": 0, "board": 0}"#,
                    r#"{"machine": "none", "cabinet": 0, "frame": 0, "board": 0}"#,
                    r#"{"machine": "m", "cabinet": 0, "frame": -1, "board": 0}"#,
                ],
            )
            .bad("guest", C::BAD_ARGUMENT, &[r#"{"machine": "m", "cabinet": 0, "frame": 0, "board": 1e99}"#])
            .bad("guest", C::TEXT_TOO_LONG, &[&long_name])
            .bad(
                "guest",
                C::INVALID_MESSAGE,
                &[r#"{"machine": "m", "cabinet": 0, "x": 0, "frame": 0, "board": 0}"#],
            ),
        Rows::of("where_is")
            .good(
                "guest",
                &[
                    r#"{"machine": "m", "x": 0, "y": 0, "z": 0}"#,
                    r#"{"machine": "m", "x": -9, "y": 9, "z": 7, "job_id": null}"#,
                    r#"{"machine": "m", "cabinet": 0, "frame": 0, "board": 5}"#,
                    r#"{"machine": "m", "chip_x": 13, "chip_y": 2147483647}"#,
                    r#"{"job_id": 1, "chip_x": 2, "chip_y": 1}"#,
                    r#"{"job_id": 1, "chip_x": -2147483648, "chip_y": 2147483647}"#,
                    r#"{"job_id": 2, "chip_x": 0, "chip_y": 0}"#,
                    r#"{"machine": "devices", "x": 0, "y": 0, "z": 0}"#,
                    r#"{"job_id": 99, "chip_x": 0, "chip_y": 0}"#,
                ],
            )
            .bad(
                "guest",
                C::BAD_ARGUMENT,
                &[
                    "{}",
                    r#"{"machine": "m"}"#,
                    r#"{"machine": "m", "x": 0, "y": 0}"#,
                    r#"{"machine": "m", "x": 0, "y": 0, "z": 0, "chip_x": 1}"#,
                    r#"{"machine": "m", "job_id": 1, "chip_x": 0, "chip_y": 0}"#,
                    r#"{"machine": "m", "cabinet": -1, "frame": 0, "board": 5}"#,
                    r#"{"machine": "m", "chip_x": 2147483648, "chip_y": 0}"#,
                ],
            )
            .bad("guest", C::TEXT_TOO_LONG, &[&long_name])
            .bad("guest", C::INVALID_MESSAGE, &[r#"{"machine_name": "m", "x": 0, "y": 0, "z": 0}"#]),
    ]
}

fn create_job() -> Vec<Rows> {
    use Code as C;
    let rows = Rows::of("create_job")
        .good("ada", &[
            "{}",
            r#"{"boards": 1}"#,
            r#"{"args": [], "tags": ["lab"]}"#,
            r#"{"args": [3], "min_ratio": 0.5, "max_dead_boards": 0, "max_dead_links": 0}"#,
            r#"{"args": [1, 1], "require_torus": false, "keepalive": null, "lease": 0.5, "note": "\u00eb"}"#,
            r#"{"args": [1, 0, 2], "machine": "m", "tags": null}"#,
            r#"{"width": 1.0, "height": 1, "x": null, "priority": -3}"#,
            r#"{"x": 1, "y": 0, "z": 1, "keepalive": 0.001}"#,
            r#"{"serials": ["devices-2"], "args": [], "kind": "variance", "kind_args": [1, {"a": "b"}]}"#,
            r#"{"owner": "ada", "tags": []}"#,
            r#"{"boot": true, "kind": "spinnaker", "kind_args": {"x": 1}}"#,
            r#"{"boot": false, "kind": null, "kind_args": null}"#,
        ])
        .good("op", &[r#"{"owner": "ada", "priority": 5}"#])
        .bad("guest", C::NOT_PERMITTED, &["{}"])
        .bad("ada", C::NOT_PERMITTED, &[r#"{"owner": "bob"}"#, r#"{"priority": 1}"#])
        .bad("ada", C::INVALID_MESSAGE, &[r#"{"board": 1}"#, r#"{"keep_alive": 60}"#])
        .bad("ada", C::BAD_ARGUMENT, &[
            r#"{"boards": -1}"#,
            r#"{"boards": 1.5}"#,
            r#"{"boards": true}"#,
            r#"{"boards": 4294967296}"#,
            r#"{"boards": "1"}"#,
            r#"{"boards": 1, "args": [1]}"#,
            r#"{"boards": 1, "width": 1, "height": 1}"#,
            r#"{"width": 1}"#,
            r#"{"x": 1, "y": 1}"#,
            r#"{"serials": []}"#,
            r#"{"serials": [""]}"#,
            r#"{"serials": ["devices-2", "devices-3", "devices-2"]}"#,
            r#"{"serials": "devices-2"}"#,
            r#"{"args": [1, 2, 3, 4]}"#,
            r#"{"args": [-1]}"#,
            r#"{"args": [null]}"#,
            r#"{"args": 1}"#,
            r#"{"machine": "m", "tags": ["default"]}"#,
            r#"{"tags": "default"}"#,
            r#"{"keepalive": 0}"#,
            r#"{"keepalive": -1}"#,
            r#"{"keepalive": "60"}"#,
            r#"{"keepalive": 1e10}"#,
            r#"{"keepalive": 1e999}"#,
            r#"{"lease": 0}"#,
            r#"{"min_ratio": -0.1}"#,
            r#"{"min_ratio": -0}"#,
            r#"{"max_dead_boards": -1}"#,
            r#"{"require_torus": 1}"#,
            r#"{"priority": 2147483648}"#,
            r#"{"owner": ""}"#,
            r#"{"note": 5}"#,
            r#"{"note": "\ud800"}"#,
            r#"{"kind": ""}"#,
            r#"{"boot": 1}"#,
            r#"{"boot": true, "kind": "variance"}"#,
            r#"{"boot": true, "kind_args": [1]}"#,
        ])
        .bad("ada", C::MACHINE_UNKNOWN, &[r#"{"machine": "M"}"#])
        .bad("ada", C::IMPOSSIBLE, &[r#"{"boards": 0}"#, r#"{"boards": 100}"#, r#"{"width": 5, "height": 1}"#, r#"{"tags": ["none"]}"#])
        .bad("ada", C::KIND_UNKNOWN, &[r#"{"kind": "burn"}"#, r#"{"machine": "m", "kind": "variance"}"#])
        .bad("ada", C::TEXT_TOO_LONG, &[
            &long(r#"{"note": ""#, 1025, r#""}"#),
            &long(r#"{"kind_args": ""#, 1025, r#""}"#),
            &long(r#"{"owner": ""#, 257, r#""}"#),
        ])
        .bad_in(draining, "ada", C::DRAINING, "{}")
        .bad_in(crowded, "ada", C::TOO_MANY_JOBS, "{}")
        .bad_in(crowded_for_each, "ada", C::TOO_MANY_OWN_JOBS, "{}");
    vec![rows.bad_in(impatient, "ada", C::KEEPALIVE_RANGE, r#"{"keepalive": 60.1}"#).bad_in(
        impatient,
        "ada",
        C::KEEPALIVE_RANGE,
        r#"{"keepalive": null}"#,
    )]
}

fn job_changes() -> Vec<Rows> {
    use Code as C;
    let not_a_job = [
        r#"{"job_id": "1"}"#,
        r#"{"job_id": 1.5}"#,
        r#"{"job_id": -1}"#,
        r#"{"job_id": true}"#,
        r#"{"job_id": [1]}"#,
        r#"{"job_id": 18446744073709551616}"#,
        r#"{"job_id": 1e999}"#,
        r#"{"job_id": -0}"#,
    ];
    let power = |name| {
        Rows::of(name)
            .good("ada", &[r#"{"job_id": 1}"#])
            .good("op", &[r#"{"job_id": 1.0}"#])
            .bad("guest", C::NOT_PERMITTED, &[r#"{"job_id": 1}"#])
            .bad("bob", C::NOT_PERMITTED, &[r#"{"job_id": 1}"#])
            .bad("ada", C::INVALID_MESSAGE, &["{}", r#"{"job_id": null}"#, r#"{"job": 1}"#])
            .bad("ada", C::BAD_ARGUMENT, &not_a_job)
            .bad("ada", C::JOB_UNKNOWN, &[r#"{"job_id": 0}"#, r#"{"job_id": 99}"#])
            .bad("ada", C::JOB_OVER, &[r#"{"job_id": 3}"#])
    };
    vec![
        power("job_keepalive").good("ada", &[r#"{"job_id": 2}"#]),
        power("power_on_job_boards").bad("ada", C::JOB_WITHOUT_BOARDS, &[r#"{"job_id": 2}"#]),
        power("power_off_job_boards").bad("ada", C::JOB_WITHOUT_BOARDS, &[r#"{"job_id": 2}"#]),
        power("destroy_job")
            .good(
                "ada",
                &[r#"{"job_id": 2, "reason": "\"not\" needed"}"#, r#"{"job_id": 2, "reason": null}"#],
            )
            .bad("ada", C::BAD_ARGUMENT, &[r#"{"job_id": 1, "reason": 1}"#])
            .bad("ada", C::TEXT_TOO_LONG, &[&long(r#"{"job_id": 1, "reason": ""#, 1025, r#""}"#)]),
    ]
}

fn job_questions() -> Vec<Rows> {
    use Code as C;
    let known = [
        r#"{"job_id": 1}"#,
        r#"{"job_id": 2}"#,
        r#"{"job_id": 3}"#,
        r#"{"job_id": 4}"#,
        r#"{"job_id": 5e0}"#,
    ];
    let of_any = |name| {
        Rows::of(name)
            .good("guest", &known)
            .bad("guest", C::INVALID_MESSAGE, &["{}", r#"{"job_id": 1, "job": 1}"#])
            .bad("guest", C::BAD_ARGUMENT, &[r#"{"job_id": "1"}"#, r#"{"job_id": 0.1}"#])
    };
    let of_known = |name| of_any(name).bad("guest", C::JOB_UNKNOWN, &[r#"{"job_id": 99}"#]);
    vec![
        of_any("get_job_state").good("ada", &[r#"{"job_id": 99}"#, r#"{"job_id": 18446744073709551615}"#]),
        of_any("get_job_machine_info").good("ada", &[r#"{"job_id": 99}"#]),
        of_known("get_job"),
        of_known("explain_job"),
        of_known("job_history"),
        of_known("wait_job")
            .good(
                "ada",
                &[
                    r#"{"job_id": 1, "state": 3, "timeout": 0}"#,
                    r#"{"job_id": 1, "state": "destroyed", "timeout": 3600.0}"#,
                ],
            )
            .bad("ada", C::UNKNOWN_NAME, &[r#"{"job_id": 1, "state": "Ready"}"#])
            .bad(
                "ada",
                C::BAD_ARGUMENT,
                &[
                    r#"{"job_id": 1, "state": 5}"#,
                    r#"{"job_id": 1, "state": 0}"#,
                    r#"{"job_id": 1, "state": "unknown"}"#,
                    r#"{"job_id": 1, "timeout": 3600.1}"#,
                    r#"{"job_id": 1, "timeout": -1}"#,
                ],
            ),
        Rows::of("list_jobs")
            .good(
                "guest",
                &[
                    "{}",
                    r#"{"state": "destroyed"}"#,
                    r#"{"state": 4}"#,
                    r#"{"state": 0}"#,
                    r#"{"owner": "bob", "machine": "devices", "limit": 1}"#,
                    r#"{"owner": "nobody", "limit": 0}"#,
                ],
            )
            .bad("guest", C::UNKNOWN_NAME, &[r#"{"state": "over"}"#])
            .bad(
                "guest",
                C::BAD_ARGUMENT,
                &[r#"{"state": 5}"#, r#"{"state": []}"#, r#"{"limit": -1}"#, r#"{"owner": 1}"#],
            )
            .bad("guest", C::TEXT_TOO_LONG, &[&long(r#"{"owner": ""#, 257, r#""}"#)])
            .bad("guest", C::INVALID_MESSAGE, &[r#"{"user": "bob"}"#]),
    ]
}

fn board() -> Vec<Rows> {
    use Code as C;
    vec![
        Rows::of("list_boards")
            .good(
                "guest",
                &[
                    "{}",
                    r#"{"machine": "devices"}"#,
                    r#"{"state": "quarantined"}"#,
                    r#"{"state": "dead", "offset": 0, "limit": 10000}"#,
                    r#"{"offset": 4294967295}"#,
                ],
            )
            .bad("guest", C::MACHINE_UNKNOWN, &[r#"{"machine": "none"}"#])
            .bad("guest", C::UNKNOWN_NAME, &[r#"{"state": "Free"}"#])
            .bad("guest", C::BAD_ARGUMENT, &[r#"{"limit": 10001}"#, r#"{"offset": -1}"#, r#"{"state": 1}"#])
            .bad("guest", C::TEXT_TOO_LONG, &[&long(r#"{"machine": ""#, 257, r#""}"#)])
            .bad("guest", C::INVALID_MESSAGE, &[r#"{"max": 1}"#]),
        addressed(Rows::of("get_board"), "guest", "")
            .good("guest", &[r#"{"machine": "m", "x": 3, "y": 1, "z": 2}"#]),
        addressed(Rows::of("report_board"), "op", r#", "reason": "dark""#)
            .good("ada", &[r#"{"machine": "m", "x": 0, "y": 0, "z": 0, "reason": "link 3"}"#])
            .bad(
                "bob",
                C::NOT_PERMITTED,
                &[r#"{"machine": "m", "x": 0, "y": 0, "z": 0, "reason": "link 3"}"#],
            )
            .bad("op", C::BAD_ARGUMENT, &[r#"{"serial": "devices-0", "reason": {}}"#])
            .bad("op", C::INVALID_MESSAGE, &[r#"{"serial": "devices-0"}"#])
            .bad("op", C::TEXT_TOO_LONG, &[&long(r#"{"serial": "devices-0", "reason": ""#, 1025, r#""}"#)]),
        addressed(Rows::of("set_board_state"), "op", r#", "state": "maintenance""#)
            .good(
                "op",
                &[
                    r#"{"serial": "devices-3", "state": "dead", "reason": "fell down"}"#,
                    r#"{"serial": "devices-1", "state": "maintenance"}"#,
                    r#"{"serial": "devices-0", "state": "retest"}"#,
                    r#"{"serial": "devices-0", "state": "free"}"#,
                ],
            )
            .bad("ada", C::NOT_PERMITTED, &[r#"{"serial": "devices-3", "state": "dead"}"#])
            .bad("op", C::BOARD_STATE, &[r#"{"serial": "devices-3", "state": "retest"}"#])
            .bad("op", C::UNKNOWN_NAME, &[r#"{"serial": "devices-3", "state": "offline"}"#])
            .bad("op", C::BAD_ARGUMENT, &[r#"{"serial": "devices-3", "state": true}"#])
            .bad("op", C::INVALID_MESSAGE, &[r#"{"serial": "devices-3"}"#]),
        addressed(Rows::of("name_board"), "op", r#", "name": "left""#)
            .good(
                "op",
                &[
                    r#"{"serial": "devices-3", "name": "left of the \u2192 door"}"#,
                    r#"{"serial": "devices-3", "name": ""}"#,
                    &long(r#"{"serial": "devices-3", "name": ""#, 64, r#""}"#),
                ],
            )
            .bad("ada", C::NOT_PERMITTED, &[r#"{"serial": "devices-3", "name": "mine"}"#])
            .bad(
                "op",
                C::BAD_ARGUMENT,
                &[
                    r#"{"serial": "devices-3", "name": 1}"#,
                    r#"{"serial": "devices-3", "name": "a\nb"}"#,
                    &long(r#"{"serial": "devices-3", "name": ""#, 65, r#""}"#),
                ],
            )
            .bad("op", C::INVALID_MESSAGE, &[r#"{"serial": "devices-3"}"#])
            .bad("op", C::TEXT_TOO_LONG, &[&long(r#"{"serial": "devices-3", "name": ""#, 257, r#""}"#)]),
        consulted(Rows::of("power_cycle_board"), ""),
        consulted(Rows::of("identify_board"), r#", "on": false"#).bad(
            "op",
            C::BAD_ARGUMENT,
            &[r#"{"serial": "devices-0", "on": 1}"#],
        ),
        consulted(Rows::of("read_board_sensors"), ""),
        consulted(Rows::of("send_board_command"), r#", "command": "evaluate""#)
            .good("op", &[r#"{"serial": "devices-0", "command": "echo", "args": ["\u00eb", 1.50]}"#])
            .bad("op", C::BAD_ARGUMENT, &[r#"{"serial": "devices-0", "command": ""}"#])
            .bad("op", C::INVALID_MESSAGE, &[r#"{"serial": "devices-0", "args": {}}"#])
            .bad(
                "op",
                C::TEXT_TOO_LONG,
                &[&long(r#"{"serial": "devices-0", "command": "x", "args": ""#, 65_535, r#""}"#)],
            ),
    ]
}

/// The ways to name a board, right and nearly right; `more` is what the function needs besides.
fn addressed(rows: Rows, who: &'static str, more: &str) -> Rows {
    use Code as C;
    let with = |address: &str| format!("{{{address}{more}}}");
    let all = |addresses: &[&str]| addresses.iter().map(|address| with(address)).collect::<Vec<_>>();
    let good = all(&[
        r#""machine": "m", "x": 0, "y": 0, "z": 0"#,
        r#""machine": "m", "cabinet": 0, "frame": 0, "board": 0, "x": null"#,
        r#""machine": "devices", "serial": "devices-3""#,
        r#""serial": "devices-3""#,
    ]);
    let bad = all(&[
        r#""machine": "m""#,
        r#""x": 0, "y": 0, "z": 0"#,
        r#""machine": "m", "x": 0, "y": 0"#,
        r#""machine": "m", "x": 0, "y": 0, "z": 0, "board": 0"#,
        r#""machine": "m", "x": 0, "y": 0, "z": -1"#,
        r#""machine": "m", "x": 0, "y": 0, "z": 4294967296"#,
        r#""serial": 3"#,
    ]);
    let unknown = all(&[
        r#""machine": "m", "x": 4, "y": 0, "z": 0"#,
        r#""machine": "m", "x": 0, "y": 0, "z": 4294967295"#,
        r#""machine": "m", "cabinet": 4294967295, "frame": 0, "board": 0"#,
        r#""serial": "m""#,
        r#""machine": "m", "serial": "devices-3""#,
    ]);
    let too_long = long(r#""serial": ""#, 257, r#"""#);
    let rows = good.iter().fold(rows, |rows, args| rows.good(who, &[args]));
    let rows = bad.iter().fold(rows, |rows, args| rows.bad(who, C::BAD_ARGUMENT, &[args]));
    let rows = unknown.iter().fold(rows, |rows, args| rows.bad(who, C::BOARD_UNKNOWN, &[args]));
    rows.bad(who, C::MACHINE_UNKNOWN, &[&with(r#""machine": "none", "x": 0, "y": 0, "z": 0"#)])
        .bad(who, C::TEXT_TOO_LONG, &[&with(&too_long)])
        .bad(who, C::INVALID_MESSAGE, &[&with(r#""machine_name": "m", "x": 0, "y": 0, "z": 0"#)])
}

/// Questions to a board, which its holder and operators may put.
fn consulted(rows: Rows, more: &str) -> Rows {
    let held = format!(r#"{{"machine": "m", "x": 0, "y": 0, "z": 0{more}}}"#);
    let free = format!(r#"{{"serial": "devices-3"{more}}}"#);
    addressed(rows, "op", more)
        .good("ada", &[&held])
        .bad("bob", Code::NOT_PERMITTED, &[&held])
        .bad("ada", Code::NOT_PERMITTED, &[&free])
        .bad("guest", Code::NOT_PERMITTED, &[&held])
}

fn notice() -> Vec<Rows> {
    use Code as C;
    let job = |name| {
        Rows::of(name)
            .good("guest", &["{}", r#"{"job_id": null}"#, r#"{"job_id": 99}"#])
            .bad("guest", C::BAD_ARGUMENT, &[r#"{"job_id": "1"}"#, r#"{"job_id": -1}"#])
            .bad("guest", C::INVALID_MESSAGE, &[r#"{"jobs": [1]}"#])
    };
    let machine = |name| {
        Rows::of(name)
            .good("guest", &["{}", r#"{"machine": "m"}"#, r#"{"machine_name": "none"}"#])
            .bad("guest", C::BAD_ARGUMENT, &[r#"{"machine": 1}"#, r#"{"machine": ""}"#])
            .bad("guest", C::TEXT_TOO_LONG, &[&long(r#"{"machine": ""#, 257, r#""}"#)])
            .bad("guest", C::INVALID_MESSAGE, &[r#"{"name": "m"}"#])
    };
    let devices =
        |name| Rows::of(name).good("guest", &["{}"]).bad("guest", C::INVALID_MESSAGE, &[r#"{"amount": 1}"#]);
    vec![
        job("notify_job"),
        job("no_notify_job"),
        machine("notify_machine"),
        machine("no_notify_machine"),
        devices("notify_devices"),
        devices("no_notify_devices"),
    ]
}

fn users() -> Vec<Rows> {
    use Code as C;
    let long_user = long(r#"{"user": ""#, 257, r#"", "role": "user", "password": "12345678"}"#);
    let long_alone = long(r#"{"user": ""#, 257, r#""}"#);
    vec![
        Rows::of("list_users").good("op", &["{}"]).bad("ada", C::NOT_PERMITTED, &["{}"]).bad(
            "op",
            C::INVALID_MESSAGE,
            &[r#"{"user": "ada"}"#],
        ),
        Rows::of("create_user")
            .good(
                "admin",
                &[
                    r#"{"user": "eve", "password": "12345678"}"#,
                    r#"{"user": "eve", "role": "admin", "password": "12345678"}"#,
                ],
            )
            .bad("admin", C::USER_EXISTS, &[r#"{"user": "ada", "password": "12345678"}"#])
            .bad(
                "admin",
                C::BAD_USER_NAME,
                &[
                    r#"{"user": "guest", "password": "12345678"}"#,
                    r#"{"user": "a b", "password": "12345678"}"#,
                ],
            )
            .bad(
                "admin",
                C::BAD_PASSWORD,
                &[
                    r#"{"user": "eve", "password": ""}"#,
                    &long(r#"{"user": "eve", "password": ""#, 1025, r#""}"#),
                ],
            )
            .bad(
                "admin",
                C::BAD_ARGUMENT,
                &[r#"{"user": "eve", "password": 12345678}"#, r#"{"user": 1, "password": "12345678"}"#],
            )
            .bad("admin", C::UNKNOWN_NAME, &[r#"{"user": "eve", "role": "root", "password": "12345678"}"#])
            .bad("admin", C::INVALID_MESSAGE, &[r#"{"user": "eve"}"#, r#"{"password": "12345678"}"#])
            .bad("admin", C::TEXT_TOO_LONG, &[&long_user])
            .bad("op", C::NOT_PERMITTED, &[r#"{"user": "eve", "password": "12345678"}"#])
            .bad_in(
                || House::with(Options { users_max: 4, ..Options::default() }),
                "admin",
                C::TOO_MANY_USERS,
                r#"{"user": "eve", "password": "12345678"}"#,
            ),
        Rows::of("set_password")
            .good("ada", &[r#"{"password": "12345678"}"#, r#"{"user": "ada", "password": "12345678"}"#])
            .good("admin", &[r#"{"user": "bob", "password": "12345678"}"#])
            .bad("ada", C::NOT_PERMITTED, &[r#"{"user": "bob", "password": "12345678"}"#])
            .bad("op", C::NOT_PERMITTED, &[r#"{"user": "bob", "password": "12345678"}"#])
            .bad("guest", C::NOT_PERMITTED, &[r#"{"password": "12345678"}"#])
            .bad(
                "admin",
                C::USER_UNKNOWN,
                &[r#"{"user": "eve", "password": "12345678"}"#, r#"{"user": "a b", "password": "12345678"}"#],
            )
            .bad("ada", C::BAD_PASSWORD, &[r#"{"password": ""}"#])
            .bad("ada", C::BAD_ARGUMENT, &[r#"{"password": ["12345678"]}"#])
            .bad("ada", C::INVALID_MESSAGE, &["{}", r#"{"password": null}"#])
            .bad("admin", C::TEXT_TOO_LONG, &[&long(r#"{"user": ""#, 257, r#"", "password": "12345678"}"#)]),
        Rows::of("set_role")
            .good(
                "admin",
                &[r#"{"user": "bob", "role": "operator"}"#, r#"{"user": "admin", "role": "admin"}"#],
            )
            .bad("op", C::NOT_PERMITTED, &[r#"{"user": "bob", "role": "operator"}"#])
            .bad(
                "admin",
                C::USER_UNKNOWN,
                &[r#"{"user": "eve", "role": "user"}"#, r#"{"user": "guest", "role": "user"}"#],
            )
            .bad("admin", C::LAST_ADMIN, &[r#"{"user": "admin", "role": "operator"}"#])
            .bad("admin", C::UNKNOWN_NAME, &[r#"{"user": "bob", "role": "Admin"}"#])
            .bad("admin", C::BAD_ARGUMENT, &[r#"{"user": "bob", "role": 3}"#])
            .bad("admin", C::TEXT_TOO_LONG, &[&long(r#"{"user": ""#, 257, r#"", "role": "user"}"#)])
            .bad("admin", C::INVALID_MESSAGE, &[r#"{"user": "bob"}"#]),
        Rows::of("delete_user")
            .good("admin", &[r#"{"user": "bob"}"#])
            .bad("op", C::NOT_PERMITTED, &[r#"{"user": "bob"}"#])
            .bad("admin", C::USER_UNKNOWN, &[r#"{"user": "eve"}"#])
            .bad("admin", C::LAST_ADMIN, &[r#"{"user": "admin"}"#])
            .bad("admin", C::BAD_ARGUMENT, &[r#"{"user": ""}"#])
            .bad("admin", C::TEXT_TOO_LONG, &[&long_alone])
            .bad("admin", C::INVALID_MESSAGE, &["{}"]),
        Rows::of("list_sessions")
            .good("ada", &["{}", r#"{"user": "ada"}"#])
            .good("admin", &["{}", r#"{"user": "guest"}"#])
            .bad("guest", C::NOT_PERMITTED, &["{}"])
            .bad("op", C::NOT_PERMITTED, &[r#"{"user": "ada"}"#])
            .bad("admin", C::USER_UNKNOWN, &[r#"{"user": "a b"}"#])
            .bad("admin", C::BAD_ARGUMENT, &[r#"{"user": 1}"#])
            .bad("admin", C::TEXT_TOO_LONG, &[&long_alone])
            .bad("admin", C::INVALID_MESSAGE, &[r#"{"users": "ada"}"#]),
        Rows::of("end_session")
            .good("ada", &[r#"{"session": "00000ada000000000000000000000002"}"#])
            .good(
                "admin",
                &[
                    r#"{"session": "00000ADA"}"#,
                    r#"{"session": "00000ada.."}"#,
                    r#"{"session": "00000b0b000000000000000000000003"}"#,
                ],
            )
            .bad(
                "ada",
                C::NOT_PERMITTED,
                &[r#"{"session": "00000ada"}"#, r#"{"session": "00000b0b000000000000000000000003"}"#],
            )
            .bad("guest", C::NOT_PERMITTED, &[r#"{"session": "00c0ffee000000000000000000000001"}"#])
            .bad("ada", C::SESSION_UNKNOWN, &[r#"{"session": "00000ada000000000000000000000003"}"#])
            .bad("admin", C::SESSION_UNKNOWN, &[r#"{"session": "12345678"}"#])
            .bad(
                "admin",
                C::BAD_ARGUMENT,
                &[
                    r#"{"session": "00000adax"}"#,
                    r#"{"session": "+0000ada"}"#,
                    r#"{"session": 1}"#,
                    r#"{"session": ""}"#,
                ],
            )
            .bad("admin", C::TEXT_TOO_LONG, &[&long(r#"{"session": ""#, 33, r#""}"#)])
            .bad("admin", C::INVALID_MESSAGE, &["{}"]),
    ]
}

fn admin() -> Vec<Rows> {
    use Code as C;
    vec![
        Rows::of("reload_config").good("admin", &["{}"]).bad("op", C::NOT_PERMITTED, &["{}"]).bad(
            "admin",
            C::INVALID_MESSAGE,
            &[r#"{"file": "x"}"#],
        ),
        Rows::of("set_service")
            .good("admin", &[r#"{"accept": true}"#, r#"{"accept": false, "reason": "move"}"#])
            .bad("op", C::NOT_PERMITTED, &[r#"{"accept": true}"#])
            .bad("admin", C::BAD_ARGUMENT, &[r#"{"accept": 1}"#, r#"{"accept": "false"}"#])
            .bad("admin", C::TEXT_TOO_LONG, &[&long(r#"{"accept": true, "reason": ""#, 1025, r#""}"#)])
            .bad("admin", C::INVALID_MESSAGE, &["{}", r#"{"accept": null}"#]),
        Rows::of("get_log_level").good("admin", &["{}"]).bad("op", C::NOT_PERMITTED, &["{}"]).bad(
            "admin",
            C::INVALID_MESSAGE,
            &[r#"{"level": "info"}"#],
        ),
        Rows::of("set_log_level")
            .good("admin", &[r#"{"level": "trace"}"#])
            .bad("op", C::NOT_PERMITTED, &[r#"{"level": "trace"}"#])
            .bad("admin", C::UNKNOWN_NAME, &[r#"{"level": "loud"}"#])
            .bad("admin", C::BAD_ARGUMENT, &[r#"{"level": 3}"#])
            .bad("admin", C::INVALID_MESSAGE, &["{}"]),
    ]
}

fn channel() -> Vec<Rows> {
    use Code as C;
    let at = |job: &str, board: &str| format!(r#"{{"job_id": {job}, {board}, "port": 17893}}"#);
    let first = r#""machine": "m", "x": 0, "y": 0, "z": 0"#;
    vec![
        Rows::of("open_channel")
            .good(
                "ada",
                &[&at("1", first), &at("1", r#""machine": "m", "cabinet": 0, "frame": 0, "board": 0"#)],
            )
            .good("op", &[&at("1", first)])
            .bad("bob", C::NOT_PERMITTED, &[&at("1", first)])
            .bad("guest", C::NOT_PERMITTED, &[&at("1", first)])
            .bad("ada", C::JOB_UNKNOWN, &[&at("99", first)])
            .bad("ada", C::JOB_OVER, &[&at("3", first)])
            .bad("ada", C::JOB_WITHOUT_BOARDS, &[&at("2", first)])
            .bad("bob", C::JOB_NOT_READY, &[&at("4", r#""serial": "devices-1""#)])
            .bad("ada", C::BOARD_NOT_HELD, &[&at("1", r#""machine": "m", "x": 1, "y": 0, "z": 0"#)])
            .bad("ada", C::BOARD_UNKNOWN, &[&at("1", r#""machine": "m", "x": 9, "y": 0, "z": 0"#)])
            .bad("ada", C::MACHINE_UNKNOWN, &[&at("1", r#""machine": "n", "x": 0, "y": 0, "z": 0"#)])
            .bad_in(
                || {
                    let mut house = House::new();
                    house.obey();
                    house
                },
                "bob",
                C::BOARD_UNREACHABLE,
                &at("4", r#""serial": "devices-1""#),
            )
            .bad(
                "ada",
                C::BAD_ARGUMENT,
                &[
                    r#"{"job_id": 1, "machine": "m", "x": 0, "y": 0, "z": 0, "port": 0}"#,
                    r#"{"job_id": 1, "machine": "m", "x": 0, "y": 0, "z": 0, "port": 65536}"#,
                    r#"{"job_id": 1, "machine": "m", "port": 17893}"#,
                ],
            )
            .bad(
                "ada",
                C::INVALID_MESSAGE,
                &[r#"{"job_id": 1, "serial": "s"}"#, r#"{"serial": "s", "port": 1}"#],
            )
            .bad("ada", C::TEXT_TOO_LONG, &[&long(r#"{"job_id": 1, "port": 1, "serial": ""#, 257, r#""}"#)]),
        Rows::of("send_datagrams")
            .good(
                "ada",
                &[
                    r#"{"channel": 1, "datagrams": []}"#,
                    r#"{"channel": 1, "datagrams": ["", "Zm9v", "AAAHcQ=="]}"#,
                ],
            )
            .bad("guest", C::NOT_PERMITTED, &[r#"{"channel": 1, "datagrams": []}"#])
            .bad("ada", C::CHANNEL_UNKNOWN, &[r#"{"channel": 2, "datagrams": []}"#])
            .bad(
                "ada",
                C::BAD_ARGUMENT,
                &[
                    r#"{"channel": 1, "datagrams": ["Zm9"]}"#,
                    r#"{"channel": 1, "datagrams": [7]}"#,
                    r#"{"channel": 1, "datagrams": "Zm9v"}"#,
                    r#"{"channel": -1, "datagrams": []}"#,
                ],
            )
            .bad("ada", C::INVALID_MESSAGE, &[r#"{"channel": 1}"#, r#"{"datagrams": []}"#]),
        Rows::of("close_channel")
            .good("ada", &[r#"{"channel": 1}"#])
            .bad("ada", C::CHANNEL_UNKNOWN, &[r#"{"channel": 2}"#])
            .bad("ada", C::BAD_ARGUMENT, &[r#"{"channel": "1"}"#])
            .bad("ada", C::INVALID_MESSAGE, &["{}"]),
        Rows::of("list_channels").good("guest", &["{}"]).bad(
            "guest",
            C::INVALID_MESSAGE,
            &[r#"{"job_id": 1}"#],
        ),
    ]
}

fn agent() -> Vec<Rows> {
    use Code as C;
    let worker = |more: &str| {
        format!(
            r#"{{"machine": "devices", "worker": "host-1", "token": "0123456789abcdef", "version": "1"{more}}}"#
        )
    };
    let boards = |boards: &str| worker(&format!(r#", "boards": {boards}"#));
    let long_serial = format!(r#"[{{"serial": "{}"}}]"#, "x".repeat(65));
    let many = format!("[{}]", vec![r#"{"serial": "a"}"#; 1_001].join(","));
    vec![
        Rows::of("register_worker")
            .good(
                "guest",
                &[
                    &worker(""),
                    &worker(r#", "url": "http://h:1", "draining": true"#),
                    &boards("[]"),
                    &boards(r#"[{"serial": "A7F2", "model": "iCE40", "holds": "12.0"}, {"serial": "b", "holds": null}]"#),
                ],
            )
            .bad(
                "guest",
                C::BAD_ARGUMENT,
                &[
                    r#"{"machine": "devices", "worker": "two words", "token": "t", "version": "1"}"#,
                    &boards(r#"["A7F2"]"#),
                    &boards(r#"[{"serial": "a b"}]"#),
                    &boards(r#"[{"serial": ""}]"#),
                    &boards(r#"[{"serial": "a", "holds": "12"}]"#),
                    &boards(r#"[{"serial": "a", "holds": "12.-1"}]"#),
                    &boards(r#"[{"serial": "a", "colour": "red"}]"#),
                    &boards(&long_serial),
                    &boards(&many),
                    &worker(r#", "draining": 1"#),
                ],
            )
            .bad(
                "guest",
                C::MACHINE_UNKNOWN,
                &[r#"{"machine": "n", "worker": "w", "token": "t", "version": "1"}"#],
            )
            .bad("guest", C::TEXT_TOO_LONG, &[&worker(&long(r#", "url": ""#, 257, r#"""#))])
            .bad("guest", C::INVALID_MESSAGE, &["{}", r#"{"machine": "devices", "worker": "w", "version": "1"}"#])
            .bad_in(House::new, "guest", C::BAD_ARGUMENT, r#"{"machine": "", "worker": "w", "token": "t", "version": "1"}"#),
        Rows::of("list_workers")
            .good("guest", &["{}", r#"{"machine": "devices"}"#])
            .bad("guest", C::MACHINE_UNKNOWN, &[r#"{"machine": "n"}"#])
            .bad("guest", C::BAD_ARGUMENT, &[r#"{"machine": 1}"#])
            .bad("guest", C::TEXT_TOO_LONG, &[&long(r#"{"machine": ""#, 257, r#""}"#)])
            .bad("guest", C::INVALID_MESSAGE, &[r#"{"worker": "w"}"#]),
    ]
}

fn agent_words() -> Vec<Rows> {
    use Code as C;
    let spoken = |name: &'static str, good: &[&str], bad: &[&str], long: &[&str]| {
        let (first, stranger) = (good[0].to_owned(), good[0].replace(r#""stay": 1"#, r#""stay": 2"#));
        let rows = Rows::of(name).good("guest", good).bad("guest", C::STAY_UNKNOWN, &[&stranger]);
        let without = first.replace(r#""stay": 1, "#, "").replace(r#""stay": 1"#, "");
        let rows = rows.bad("guest", C::INVALID_MESSAGE, &[&without]).bad("guest", C::TEXT_TOO_LONG, long);
        rows.bad("guest", C::BAD_ARGUMENT, bad)
    };
    let reason = |name: &'static str| {
        let good = r#"{"stay": 1, "boards": ["A7F2"], "reason": "x"}"#;
        let bad = r#"{"stay": 1, "boards": "A7F2", "reason": "x"}"#;
        spoken(name, &[good], &[bad], &[&long(r#"{"stay": 1, "boards": [], "reason": ""#, 1025, r#""}"#)])
    };
    vec![
        spoken("worker_heartbeat", &[r#"{"stay": 1}"#], &[r#"{"stay": -1}"#, r#"{"stay": "1"}"#], &[]),
        spoken(
            "answer_order",
            &[
                r#"{"stay": 1, "order": "12.0", "obeyed": ["a"], "failed": {"b": "stuck"}}"#,
                r#"{"stay": 1, "order": "1.2"}"#,
            ],
            &[
                r#"{"stay": 1, "order": "12"}"#,
                r#"{"stay": 1, "order": "a.b"}"#,
                r#"{"stay": 1, "order": "1.0", "obeyed": [1]}"#,
                r#"{"stay": 1, "order": "1.0", "failed": ["a"]}"#,
                r#"{"stay": 1, "order": "1.0", "failed": {"a": 1}}"#,
            ],
            &[&long(r#"{"stay": 1, "order": "1.0", "failed": {"a": ""#, 1025, r#""}}"#)],
        ),
        spoken(
            "answer_question",
            &[
                r#"{"stay": 1, "question": 3}"#,
                r#"{"stay": 1, "question": 3, "answer": {"level": 7}}"#,
                r#"{"stay": 1, "question": 3, "sensors": {"top": [41.5, "C"]}}"#,
                r#"{"stay": 1, "question": 3, "error": "no answer"}"#,
            ],
            &[r#"{"stay": 1, "question": "3"}"#, r#"{"stay": 1, "question": 3, "sensors": {"top": 41.5}}"#],
            &[&long(r#"{"stay": 1, "question": 3, "error": ""#, 1025, r#""}"#)],
        ),
        spoken(
            "add_worker_boards",
            &[r#"{"stay": 1, "boards": [{"serial": "a"}]}"#],
            &[r#"{"stay": 1, "boards": {}}"#],
            &[&long(r#"{"stay": 1, "boards": [{"serial": "a", "model": ""#, 1 << 18, r#""}]}"#)],
        )
        .bad("guest", C::INVALID_MESSAGE, &[r#"{"stay": 1}"#])
        .bad_in(House::new, "guest", C::BAD_ARGUMENT, r#"{"stay": 1, "boards": [{"model": "a"}]}"#),
        reason("remove_worker_boards"),
        reason("break_worker_boards"),
        spoken(
            "drain_worker",
            &[r#"{"stay": 1, "draining": true}"#],
            &[r#"{"stay": 1, "draining": 1}"#],
            &[],
        ),
        spoken(
            "leave_worker",
            &[r#"{"stay": 1, "reason": "x"}"#],
            &[r#"{"stay": 1, "reason": 1}"#],
            &[&long(r#"{"stay": 1, "reason": ""#, 1025, r#""}"#)],
        ),
    ]
}

fn rows() -> Vec<Row> {
    let services = [
        about(),
        machine(),
        create_job(),
        job_changes(),
        job_questions(),
        board(),
        super::reservation::rows(),
        channel(),
        agent(),
        agent_words(),
        notice(),
        users(),
        admin(),
    ];
    services.into_iter().flatten().flat_map(|rows| rows.rows).collect()
}

#[test]
fn every_call_of_the_table_comes_to_what_it_says() {
    let mut wrong = Vec::new();
    for row in rows() {
        let came = (row.house)().call(row.name, row.who, &row.args);
        let short: String = row.args.chars().take(80).collect();
        match (&came, row.refused) {
            (Ok(answer), None) => {
                let result = crate::service::find(row.name).unwrap().result;
                wrong
                    .extend(conforms(answer, result).err().map(|why| format!("{} {short}: {why}", row.name)));
            }
            (Err(fault), Some(code)) if fault.code == code => {}
            _ => wrong.push(format!("{} of {} {short}: {came:?}", row.name, row.who)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_function_has_its_rows_and_every_error_it_lists_is_among_them() {
    let mut answered = BTreeSet::new();
    let mut refused: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    for row in rows() {
        match row.refused {
            None => drop(answered.insert(row.name)),
            Some(code) => drop(refused.entry(row.name).or_default().insert(code)),
        }
    }
    for function in all() {
        let name = function.name;
        assert!(answered.contains(name), "{name} is never answered");
        let seen = refused.get(name).unwrap_or_else(|| panic!("{name} is never refused"));
        for code in function.errors.iter().filter(|code| !FROM_ELSEWHERE.contains(code)) {
            assert!(seen.contains(code), "{name} lists {code:?}, and no row has it");
        }
        for code in seen {
            assert!(
                function.errors.contains(code) || COMMON_ERRORS.contains(code),
                "{name} has {code:?} and does not list it"
            );
        }
    }
}
