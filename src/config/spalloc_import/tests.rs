//! What is read of configurations in all their forms, and what is named when it is not.

use super::*;
use crate::allocator::{BoardIndex, Link, Triad};
use crate::config::Config;
use crate::lab::machine::{Physical, Places, TriadsSpec};
use proptest::prelude::*;

/// A lab in every form that its own documentation describes.
const WHOLE: &str = r#"
"""Boards of the third floor."""
# spinner-ethernet-chips -n 3 > floor3.csv
from spalloc_server.configuration import Machine, Configuration
import os

desk = Machine.single_board("desk", {"default", "desk"}, bmp_ip="desk-bmp", spinnaker_ip="desk-board")

shelf = Machine(
    name="shelf",
    dead_boards=set([(0, 0, 1)]),
    dead_links=set([(0, 0, 0, Links.west), (0, 0, 2, 5)]),
    board_locations={
        # x  y  z    c  f  b
        (0, 0, 0): (0, 0, 0),
        (0, 0, 1): (0, 0, 2),
        (0, 0, 2): (0, 0, 5),
    },
    bmp_ips={(0, 0): "192.168.240.0"},
    spinnaker_ips={(0, 0, 0): "192.168.240.1", (0, 0, 2): "192.168.240.41"})

rack = Machine.with_standard_ips("rack", tags=["big"], board_locations=board_locations_from_spinner("floor3.csv"),
                                 base_ip="10." "2.0.0")

configuration = Configuration(
    machines=[desk, shelf, rack], ip="127.0.0.1", port=22300, max_retired_jobs=77, seconds_before_free=12.5)
"#;

/// The table that goes with it: one triad.
const FLOOR: &str = "cabinet,frame,board,x,y\n0,1,0,0,0\n0,1,2,8,4\n0,1,1,4,8\n";

fn no_file(_: &str) -> Result<String, String> {
    Err("no such file".into())
}

fn read(text: &str) -> Import {
    import_spalloc(text, "lab.py", &|name| {
        if name == "floor3.csv" { Ok(FLOOR.into()) } else { no_file(name) }
    })
}

/// What our own reader makes of the result; it must not complain, nor warn of anything but doors to come
/// and of a lab without machines.
fn load(import: &Import) -> Config {
    let config = Config::load(Some(&import.config), &[], &[]);
    let config = config.unwrap_or_else(|complaints| panic!("{complaints:?}\n{}", import.config));
    let expected = |key: &str| key.ends_with(".listen") || key == "machine";
    let odd: Vec<_> = config.warnings.iter().filter(|warning| !expected(&warning.key)).collect();
    assert!(odd.is_empty(), "{odd:?}\n{}", import.config);
    config
}

fn whole(text: &str) -> Config {
    let import = read(text);
    assert!(import.is_whole(), "{:?}\n{text}", import.unread);
    load(&import)
}

fn triads(config: &Config, machine: usize) -> &TriadsSpec {
    config.machines[machine].spec.triads().unwrap()
}

fn physical([cabinet, frame, board]: [u32; 3]) -> Option<Physical> {
    Some(Physical { cabinet, frame, board })
}

#[test]
fn every_documented_form_is_read() {
    let import = read(WHOLE);
    assert!(import.is_whole(), "{:?}", import.unread);
    let config = load(&import);
    assert_eq!(config.spalloc.listen.as_deref(), Some("127.0.0.1:22300"));
    assert_eq!(config.limits.retired_jobs, 77);
    let names: Vec<_> = config.machines.iter().map(|machine| &*machine.spec.name).collect();
    assert_eq!(names, ["desk", "shelf", "rack"]);
    assert!(config.machines.iter().all(|machine| machine.spec.settle_ms == 12_500));
    let tags: Vec<_> = config.machines[0].spec.tags.iter().map(|tag| &**tag).collect();
    assert_eq!(tags, ["default", "desk"]);
    assert_eq!(config.machines[2].spec.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["big"]);

    let desk = triads(&config, 0);
    assert_eq!((desk.width, desk.height), (1, 1));
    assert_eq!(desk.dead_boards, [Triad::new(0, 0, 1), Triad::new(0, 0, 2)]);
    assert_eq!(&*desk.host(BoardIndex(0)), "desk-board");
    assert_eq!(&*desk.bmps[&(0, 0)], "desk-bmp");
    assert_eq!(desk.place(BoardIndex(1)), None);

    let shelf = triads(&config, 1);
    assert_eq!(shelf.dead_links, [(Triad::new(0, 0, 0), Link::West), (Triad::new(0, 0, 2), Link::South)]);
    // A dead board has a place and no host.
    assert_eq!(shelf.place(BoardIndex(1)), physical([0, 0, 2]));
    assert_eq!(&*shelf.host(BoardIndex(1)), "");
    assert_eq!(&*shelf.host(BoardIndex(2)), "192.168.240.41");

    let rack = triads(&config, 2);
    assert_eq!(rack.place(BoardIndex(1)), physical([0, 1, 2]));
    assert_eq!(&*rack.host(BoardIndex(1)), "10.2.1.17");
    assert_eq!(&*rack.bmps[&(0, 1)], "10.2.1.0");
}

#[test]
fn what_is_shown_of_an_import_says_the_same() {
    let config = load(&read(WHOLE));
    let again = Config::load(Some(&crate::config::show(&config)), &[], &[]).unwrap();
    let specs =
        |config: &Config| config.machines.iter().map(|machine| machine.spec.clone()).collect::<Vec<_>>();
    assert_eq!(specs(&config), specs(&again));
}

/// A machine whose boards fill frames of so many, so many frames to a cabinet.
fn standard(width: u32, height: u32, per_frame: u32, per_cabinet: u32) -> String {
    let mut places = String::new();
    for number in 0..width * height * 3 {
        let (x, y, z) = (number / 3 / height, number / 3 % height, number % 3);
        let frame = number / per_frame;
        let (cabinet, frame, board) = (frame / per_cabinet, frame % per_cabinet, number % per_frame);
        places += &format!("({x}, {y}, {z}): ({cabinet}, {frame}, {board}),\n");
    }
    format!(
        "configuration = Configuration([Machine.with_standard_ips('m', board_locations={{{places}}}, \
         base_ip='10.9.0.0', dead_boards=[(0, 0, 2)])])"
    )
}

#[test]
fn machines_in_order_become_a_rule_that_says_the_same() {
    for (width, height) in (1..=5).flat_map(|width| (1..=4).map(move |height| (width, height))) {
        for (per_frame, per_cabinet) in [(24, 5), (6, 2), (1, 1), (7, 3), (24, 1), (1, 4)] {
            let config = whole(&standard(width, height, per_frame, per_cabinet));
            let spec = triads(&config, 0);
            assert!(matches!(spec.places, Places::Rule(_)), "{width}x{height}, {per_frame}, {per_cabinet}");
            for number in 0..width * height * 3 {
                let frame = number / per_frame;
                let place = [frame / per_cabinet, frame % per_cabinet, number % per_frame];
                let [c, f, b] = place;
                let host = std::net::Ipv4Addr::from(0x0a09_0001 + c * 0x500 + f * 0x100 + b * 8);
                assert_eq!(spec.place(BoardIndex(number)), physical(place));
                assert_eq!(*spec.host(BoardIndex(number)), host.to_string());
                let bmp = std::net::Ipv4Addr::from(0x0a09_0000 + c * 0x500 + f * 0x100);
                assert_eq!(*spec.bmps[&(c, f)], bmp.to_string());
            }
        }
    }
}

#[test]
fn names_and_comprehensions_are_worked_out() {
    let rows = [
        "W, H = 2, 1\nplaces = {(x, y, z): (0, x, 3 * y + z) for x in range(W) for y in range(H) for z in range(3)}",
        "places = dict(((x, 0, z), (0, x, z)) for x in range(2) for z in [0, 1, 2] if True)",
        "places = {}\nplaces[(0, 0, 0)] = (0, 0, 0)\nplaces.update({(0, 0, z): (0, 0, z) for z in (1, 2)})\n\
         places[1, 0, 0] = 0, 1, 0\nplaces.update({(1, 0, z): (0, 1, z) for z in range(1, 3)})",
    ];
    for row in rows {
        let text = format!(
            "{row}\nhosts = {{b: 'b%d-%02d' % (b[0], b[2]) for b in places}}\n\
             bmps = {{(c, f): 'bmp-{{}}-{{:02d}}'.format(c, f) for c, f, b in places.values()}}\n\
             machines = []\nmachines.append(Machine('m', width=2, height=1, board_locations=places, \
             bmp_ips=bmps, spinnaker_ips=hosts))\nmachines += []\nconfiguration = Configuration(machines)"
        );
        let config = whole(&text);
        let spec = triads(&config, 0);
        assert_eq!(&*spec.host(BoardIndex(5)), "b1-02", "{row}");
        assert_eq!(spec.place(BoardIndex(4)), physical([0, 1, 1]), "{row}");
        assert_eq!(&*spec.bmps[&(0, 1)], "bmp-0-01", "{row}");
    }
}

#[test]
fn defaults_are_those_of_its_server() {
    let config = whole("configuration = Configuration()");
    assert_eq!(config.spalloc.listen.as_deref(), Some("0.0.0.0:22244"));
    assert_eq!(config.spalloc.allow.len(), 2, "whoever reached it before is let in");
    assert_eq!(config.limits.retired_jobs, 1200);
    let config =
        whole("configuration = Configuration([Machine.single_board('a', bmp_ip='b', spinnaker_ip='c')])");
    assert_eq!(config.machines[0].spec.settle_ms, 30_000);
    assert_eq!(config.machines[0].spec.tags.iter().map(|tag| &**tag).collect::<Vec<_>>(), ["default"]);
}

/// A machine that is good but for these arguments.
fn board(arguments: &str) -> String {
    format!(
        "configuration = Configuration([Machine(name='m', board_locations={{(0,0,0): (0,0,0)}}, bmp_ips={{(0,0): 'b'}}, \
         spinnaker_ips={{(0,0,0): 'h'}}, {arguments})])"
    )
}

const DEAD: &str = "dead_boards={(0,0,1), (0,0,2)}";

#[test]
fn what_is_not_understood_is_named_with_its_place() {
    let rows = [
        ("", "1:1: 'configuration' must be a Configuration; it is nothing"),
        ("configuration = 5", "it is a whole number"),
        ("x = 1\nconfiguration = Configuration(machines=load())", "2:40: the name 'load' is not known"),
        ("import lab\nconfiguration = lab.configuration", "1:8: 'lab' is imported"),
        (
            "configuration = Configuration()\nfor x in y:\n  configuration.add(x)",
            "2:1: 'for' and what belongs to it",
        ),
        (
            "def make():\n  return 1\nconfiguration = Configuration([make()])",
            "1:1: 'def' and what belongs to it",
        ),
        (
            "configuration = Configuration([Machine.single_board(f'x', bmp_ip='b', spinnaker_ip='h')])",
            "1:53: a text with",
        ),
        (
            "configuration = Configuration([Machine.single_board('x', bmp_ip='b')])",
            "'spinnaker_ip' is missing",
        ),
        ("configuration = Configuration(prot=5)", "1:36: there is no argument 'prot' here"),
        ("configuration = Configuration(port='5')", "'port' needs a whole number from 0 to 65535"),
        ("configuration = Configuration(seconds_before_free=-1)", "needs 0 to 86400 seconds"),
        ("configuration = Configuration(ip='a b')", "a host name or an IP address is needed"),
        ("configuration = Configuration((1, 2)", "1:36: this ends too early"),
        ("configuration = Configuration(*x)", "1:31: '*' is not understood here"),
        ("configuration = Configuration([1, 'a'])", "'machines' needs machines, not a whole number"),
        ("configuration = Configuration(lambda: 1)", "'lambda' is not understood here"),
        ("a = []\nb = a\nb.append(1)\nconfiguration = Configuration(b)", "3:1: this changes something"),
        ("configuration = Configuration(range(10000000))", "this range is too long"),
        (
            "configuration = Configuration([Machine.with_standard_ips('m', board_locations=board_locations_from_spinner('x'))])",
            "'x' cannot be read: no such file",
        ),
    ];
    for (text, expected) in rows {
        let import = read(text);
        let told: Vec<_> =
            import.unread.iter().filter(|unread| unread.matters).map(Unread::to_string).collect();
        assert!(told.iter().any(|line| line.contains(expected)), "{expected}: {told:?}\n{text}");
        load(&import);
    }
}

#[test]
fn what_its_server_or_ours_refuses_is_named() {
    let rows = [
        (board("dead_boards=[(0,0,1), (0,0,2)]"), "'dead_boards' needs a set, not a list"),
        (board("dead_boards={(0,0,1)}"), "boards without a place: (0, 0, 2)"),
        (
            board("dead_boards={(0,0,1), (0,0,2), (1,0,0)}, width=1, height=1"),
            "dead boards that are not on a machine",
        ),
        (board(&format!("{DEAD}, dead_links={{(0,0,0,6)}}")), "there is no link 6"),
        (board(&format!("{DEAD}, dead_links={{(0,0,9,1)}}")), "boards with dead links that are not on"),
        (board(&format!("{DEAD}, width=1")), "both width and height are needed, or neither"),
        (board(&format!("{DEAD}, width=1001, height=1")), "a machine has 1 to 1000 triads on each side"),
        (board(&format!("{DEAD}, tags={{'a b'}}")), "the tag \"a b\""),
        (board(DEAD).replace("'m'", "'the rack'"), "\"the rack\": a name has"),
        (
            board(DEAD).replace("(0,0): 'b'", "(0,1): 'b'"),
            "1 frames without a BMP, as (cabinet, frame) [0, 0]",
        ),
        (
            board(DEAD).replace("spinnaker_ips={(0,0,0)", "spinnaker_ips={(0,0,1)"),
            "boards without a host: (0, 0, 0)",
        ),
        (
            board(DEAD).replace("{(0,0,0): (0,0,0)}", "{(0,0,0): (0,0,0), (0,0,1): (0,0,0)}"),
            "stand in the same place",
        ),
        (board(DEAD).replace("Machine(name", "Machine('m', name"), "the argument 'name' is given twice"),
        (
            format!("m = 1; {}", board(DEAD).replace("[Machine", "2 * [Machine")),
            "'*' of a whole number and a list",
        ),
    ];
    for (text, expected) in rows {
        let import = read(&text);
        let told: Vec<_> =
            import.unread.iter().filter(|unread| unread.matters).map(Unread::to_string).collect();
        assert!(told.iter().any(|line| line.contains(expected)), "{expected}: {told:?}\n{text}");
        load(&import);
    }
    whole(&board(DEAD));
}

#[test]
fn machines_share_neither_names_nor_hosts() {
    let two = |a: &str, b: &str| {
        let one = |name: &str| {
            format!("Machine.single_board('{name}', bmp_ip='{name}-b', spinnaker_ip='{name}-h')")
        };
        read(&format!("configuration = Configuration([{}, {}])", one(a), one(b)))
    };
    assert!(two("a", "b").is_whole());
    let import = two("a", "a");
    assert!(
        import.unread[0].what.contains("the name a is used twice, and 2 more things"),
        "{:?}",
        import.unread
    );
    assert_eq!(load(&import).machines.len(), 2);
}

#[test]
fn what_nothing_needs_does_not_matter() {
    let import = read("import os\nhere = os.getcwd()\ndef f(): return 1\nconfiguration = Configuration()");
    assert!(import.is_whole(), "{:?}", import.unread);
    assert!(import.unread.iter().any(|unread| unread.to_string().contains("note: 'os' is imported")));
}

#[test]
fn one_bad_argument_leaves_the_rest() {
    let import = read(
        "configuration = Configuration([Machine.single_board('a', bmp_ip=find('a'), spinnaker_ip='h'), \
         Machine.single_board('b', bmp_ip='b', spinnaker_ip='g')], max_retired_jobs=9)",
    );
    assert!(!import.is_whole());
    let config = load(&import);
    assert_eq!((config.machines.len(), config.limits.retired_jobs), (2, 9));
}

#[test]
fn nothing_grows_without_bound() {
    let deep = |open: &str, close: &str, times| format!("x = {}1{}", open.repeat(times), close.repeat(times));
    let texts = [
        deep("(", ")", 100_000),
        deep("[", "]", 100_000),
        deep("f(", ")", 100_000),
        deep("-", "", 100_000),
        deep("not ", "", 100_000),
        deep("1 if 1 else ", "", 100_000),
        format!("x = 1{}", " + 1".repeat(100_000)),
        format!("x = a{}", ".b".repeat(100_000)),
        format!("x = ()\n{}", "x = (x, x)\n".repeat(10_000)),
        format!("x = 'a'\n{}", "x = x + x\n".repeat(1_000)),
        "x = [a for a in range(100000) for b in range(100000)]".into(),
        "r = range(400000)\nx = [len(r) for a in r]".into(),
        "x = [Machine('m', width=500, height=500) for a in range(100000)]".into(),
        format!("x = [{}]", "1, ".repeat(200_000)),
        format!("{}\n", "x = y\n".repeat(100_000)),
    ];
    for text in texts {
        let import = read(&text);
        assert!(import.unread.len() <= UNREAD_MAX + 1);
        load(&import);
    }
}

#[test]
fn tables_of_places_are_read_or_told_what_is_wrong() {
    let good = machine::read_spinner("x,y,board,frame,cabinet\r\n0,0,3,2,1\r\n\r\n").unwrap();
    assert_eq!(good[&Triad::new(0, 0, 0)], [1, 2, 3]);
    let rows = [
        ("", "there is no column 'cabinet'"),
        ("cabinet,frame,board,x,y\n0,0,a,0,0", "line 2 is not understood"),
        ("cabinet,frame,board,x,y\n0,0,0,0,0\n0,0,1,0,0", "line 3: chip (0, 0) is there twice"),
        ("cabinet,frame,board,x,y\n0,0,0,60000,0", "at most 1000 triads"),
    ];
    for (text, expected) in rows {
        assert!(machine::read_spinner(text).unwrap_err().contains(expected), "{text}");
    }
}

/// Pieces of configurations, to be put together in any order.
fn pieces() -> impl Strategy<Value = String> {
    let words = [
        "configuration",
        "=",
        "Configuration",
        "Machine",
        ".single_board",
        ".with_standard_ips",
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ":",
        "'a'",
        "\"b\"",
        "'''",
        "0",
        "1",
        "2.5",
        "-",
        "+",
        "%",
        "*",
        "in",
        "not",
        "for",
        "x",
        "if",
        "else",
        "range",
        "set",
        "dict",
        "\n",
        "\n  ",
        "#",
        "\\",
        "name",
        "bmp_ip=",
        "board_locations=",
        "(0,0,0):(0,0,0)",
        "def f():",
        ";",
        ".append",
        "Links.east",
        "'{}'.format",
        "lambda",
        "+=",
        "\u{e9}",
        "and",
        "or",
        "None",
        "==",
        "<",
    ];
    let word = proptest::sample::select(words.to_vec());
    proptest::collection::vec(word, 0..60).prop_map(|words| words.join(" "))
}

proptest! {
    #[test]
    fn any_text_is_read_without_a_panic(text in "\\PC*|[ -~\n\t]{0,200}") {
        load(&read(&text));
    }

    #[test]
    fn any_pieces_are_read_without_a_panic(text in pieces()) {
        load(&read(&text));
    }

    #[test]
    fn any_change_of_a_good_text_is_read_without_a_panic(at in 0..WHOLE.len(), cut in 0_usize..40, put in pieces()) {
        let mut text = WHOLE.to_owned();
        let start = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let end = (start + cut..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(text.len());
        text.replace_range(start..end, &put);
        load(&read(&text));
    }

    #[test]
    fn any_table_of_places_is_read_without_a_panic(table in "\\PC*|cabinet,frame,board,x,y\n([0-9]{1,5},?|\n){0,40}") {
        let _ = machine::read_spinner(&table);
    }
}
