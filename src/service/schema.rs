//! The little language that says how answers look, and the shapes that have names.
//!
//! ```text
//! int num str bool null any     a value of that type; num is with or without a fraction
//! "word"                        exactly this string
//! {a:int, b?:str}               an object with these keys and no others; one with ? may be missing
//! {*:int}                       an object with any keys and such values
//! [int]                         a list of any length
//! [int, str]                    a list of exactly these
//! int|null                      one or the other
//! JOB                           what the table below says
//! ```
//!
//! Real answers of every function are held against their shape by a test.

use std::borrow::Cow;

/// A shape with a name.
#[derive(Debug)]
pub struct Named {
    /// The name, in capitals.
    pub name: &'static str,
    /// What it is.
    pub doc: &'static str,
    /// The shape, which may use names that stand further up.
    pub shape: &'static str,
}

/// All shapes with names. One that is used by another stands before it.
pub static NAMED: &[Named] = &[
    Named {
        name: "VERSION",
        doc: "Versions, each as major, minor, patch.",
        shape: "{core:[int, int, int], db:[int, int, int], torrent:[int, int, int]}",
    },
    Named {
        name: "ARG",
        doc: "An argument of a function. default is null where required is true.",
        shape: "{name:str, type:str, default:any, required:bool, doc:str}",
    },
    Named {
        name: "COUNTS",
        doc: "How many boards are in each state.",
        shape: "{free:int, lent:int, cleaning:int, quarantined:int, maintenance:int, dead:int, offline:int}",
    },
    Named {
        name: "BOARDNAME",
        doc: "A board inside its machine: [x, y, z] in a torus, the serial in a pool.",
        shape: "[int, int, int]|str",
    },
    Named {
        name: "BOARD",
        doc: "A board. since, retest_at: Unix seconds. physical: cabinet, frame, board. marked: what it \
             is to be when it comes back. name: what name_board called it. offers: what a burner could write now. \
             done, failed: how many jobs were done on it, and how many put back in the line.",
        shape: "{machine:str, board:BOARDNAME, state:str, since:num, reason:str|null, job_id:int|null, \
             owner:str|null, physical:[int, int, int]|null, host:str, retest_at:num|null, \
             marked:str|null, reports:int, name:str, offers:[str], done:int, failed:int}",
    },
    Named {
        name: "BOARD_WITH_READINGS",
        doc: "A board as above, and what is no fact of the lab. power: the last time it was switched: action \
             is prepare, power_off, clean, test or cycle. sensors: what read_board_sensors answered last. at: \
             Unix seconds. null: not since the server was started.",
        shape: "{machine:str, board:BOARDNAME, state:str, since:num, reason:str|null, job_id:int|null, \
             owner:str|null, physical:[int, int, int]|null, host:str, retest_at:num|null, \
             marked:str|null, reports:int, name:str, offers:[str], done:int, failed:int, \
             power:{action:str, at:num, ok:bool, reason:str|null}|null, \
             sensors:{at:num, values:{*:{value:num|null, unit:str}}}|null}",
    },
    Named {
        name: "CHANNEL",
        doc: "A channel to a board. host, port: the board's. local_host, local_port: the address of the \
             server from which its datagrams come to the board, and where it must send its own. opened: Unix \
             seconds. sent, received, dropped: datagrams since then. waiting: those not pushed yet.",
        shape: "{channel:int, job_id:int, machine:str, board:BOARDNAME, host:str, port:int, local_host:str, \
             local_port:int, opened:num, sent:int, received:int, dropped:int, waiting:int}",
    },
    Named {
        name: "WORKER",
        doc: "A worker with boards of a pool. url: where holders reach it. connected: false of one that hung up and may \
             come back. draining: it wants no new work. seen: when it was heard last, in Unix seconds.",
        shape: "{machine:str, worker:str, version:str, url:str|null, boards:[{serial:str, model:str}], draining:bool, \
             connected:bool, seen:num}",
    },
    Named {
        name: "MACHINE",
        doc: "A machine. width, height: triads, null of a pool. dead_boards and dead_links are those of \
             the configuration.",
        shape: "{name:str, shape:\"triads\"|\"pool\", tags:[str], kinds:[str], width:int|null, \
             height:int|null, dead_boards:[[int, int, int]], dead_links:[[int, int, int, int]], \
             boards:{total:int, free:int, lent:int, cleaning:int, quarantined:int, maintenance:int, \
             dead:int, offline:int}}",
    },
    Named {
        name: "MACHINE_WITH_BOARDS",
        doc: "A machine and all its boards.",
        shape: "{name:str, shape:\"triads\"|\"pool\", tags:[str], kinds:[str], width:int|null, \
             height:int|null, dead_boards:[[int, int, int]], dead_links:[[int, int, int, int]], \
             boards:{total:int, free:int, lent:int, cleaning:int, quarantined:int, maintenance:int, \
             dead:int, offline:int}, board_list:[BOARD]}",
    },
    Named {
        name: "EVENT",
        doc: "What happened to a job.",
        shape: "\"queued\"|\"granted\"|\"ready\"|\"powering\"|\"extended\"|\"requeued\"|\"board_failed\"|\
             \"destroyed\"",
    },
    Named {
        name: "RESERVED",
        doc: "A board that is reserved: the job it is lent to, and until when (Unix seconds). url: where the \
             board's agent answers, if it has one.",
        shape: "{serial:str, job_id:int, owner:str, machine:str, kind:str, url:str|null, ends_at:num}",
    },
    Named {
        name: "JOB",
        doc: "A job. Times are Unix seconds, spans are seconds. machine: the one asked for; \
             allocated_machine_name, boards, grant: what it has, or had last. args and kwargs: what \
             create_job would take to ask for the same again, but for owner and keepalive. ahead: how \
             many jobs stand before it, told by get_job and wait_job of a queued one.",
        shape: "{job_id:int, owner:str, state:int, state_name:str, power:bool|null, start_time:num, \
             keepalive:num|null, lapses_at:num|null, lease:num|null, lease_ends_at:num|null, \
             priority:int, kind:str|null, kind_args:any, note:str, want:str, args:[int], \
             kwargs:{serials?:[str], machine?:str, tags?:[str], kind?:str, kind_args?:any, lease?:num, \
             min_ratio?:num, max_dead_boards?:int, max_dead_links?:int, require_torus?:bool, \
             priority?:int, note?:str}, tags:[str], machine:str|null, allocated_machine_name:str|null, \
             boards:[BOARDNAME]|null, grant:int|null, granted_at:num|null, ahead:int|null, attempts:int, \
             reason:str|null, ended_at:num|null}",
    },
];

/// The shape of this name.
pub fn named(name: &str) -> Option<&'static Named> {
    NAMED.iter().find(|named| named.name == name)
}

/// A shape with every name replaced by what it stands for.
pub fn expanded(shape: &str) -> Cow<'_, str> {
    let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
    let mut text = Cow::Borrowed(shape);
    // The last ones use the first ones, so one pass from the end leaves no name behind.
    for known in NAMED.iter().rev() {
        let mut rest = &*text;
        let mut out = String::new();
        while let Some(at) = rest.find(known.name) {
            let (before, after) = (&rest[..at], &rest[at + known.name.len()..]);
            out.push_str(before);
            let whole = !before.ends_with(is_name) && !after.starts_with(is_name);
            out.push_str(if whole { known.shape } else { known.name });
            rest = after;
        }
        if !out.is_empty() {
            out.push_str(rest);
            text = Cow::Owned(out);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_wholly() {
        assert_eq!(expanded("int"), "int");
        assert_eq!(expanded("[BOARDNAME]|null"), "[[int, int, int]|str]|null");
        let job = expanded("[JOB]");
        assert!(job.starts_with("[{job_id:int") && !job.contains("BOARD"), "{job}");
        assert!(
            expanded("MACHINE_WITH_BOARDS").contains("board_list:[{machine:str, board:[int, int, int]|str,")
        );
        assert_eq!(expanded("JOBS"), "JOBS");
    }
}
