//! The ledger of bad files: each with everything that is said of it.

use super::{TRIADS, lines, load};

/// Each bad text with all that is said of it.
fn ledger() -> Vec<(String, Vec<&'static str>)> {
    let top: &[(&str, &[&str])] = &[
        ("nam = \"x\"", &["1:1: nam: unknown key; the nearest is 'name'"]),
        ("\n\n[nativ]\nlisten = \"\"", &["3:2: nativ: unknown key; the nearest is 'native'"]),
        ("[native]\nlistn = \"\"\n", &["2:1: native.listn: unknown key; the nearest is 'listen'"]),
        ("jobs_max = 1", &["1:1: jobs_max: unknown key here; there is a key 'limits.jobs_max'"]),
        ("width = 1", &["1:1: width: unknown key here; there is a key 'machine.width'"]),
        ("limits = 7", &["1:10: limits: this is a section: write [limits] and its keys below"]),
        ("name = 7", &["1:8: name: needs a name in quotes, not a whole number"]),
        ("name = \"\"", &["1:8: name: \"\": a name has 1 to 64 characters that can be printed"]),
        ("name = 2020-01-01", &["1:8: name: needs a name in quotes, not a date"]),
        (
            "[native]\nlisten = \"7007\"",
            &["2:10: native.listen: \"7007\": host:port is needed, as 127.0.0.1:7007 or [::1]:7007"],
        ),
        ("[native]\nlisten = 7007", &["2:10: native.listen: needs host:port in quotes, not a whole number"]),
        (
            "[native]\nguests = \"root\"",
            &[
                "2:10: native.guests: \"root\" is not one of \"refused\", \"guest\", \"user\", \"operator\", \"admin\"",
            ],
        ),
        (
            "[native]\nsession_span_s = -1",
            &["2:18: native.session_span_s: -1 is out of range: 0 to 315360000 seconds"],
        ),
        ("[stand]\nopen = 1", &["2:8: stand.open: needs true or false, not a whole number"]),
        (
            "[stand]\nrole = \"admin\"",
            &["2:8: stand.role: \"admin\" is not one of \"guest\", \"user\", \"operator\""],
        ),
        ("[limits]\njobs_max = 0", &["2:12: limits.jobs_max: 0 is out of range: 1 to 10000000"]),
        (
            "[limits]\njobs_max = 1.5",
            &["2:12: limits.jobs_max: needs a whole number, not a number with a fraction"],
        ),
        ("[limits]\nstop_s = \"10\"", &["2:10: limits.stop_s: needs a number of seconds, not a text"]),
        (
            "[log]\nlevel = \"loud\"",
            &["2:9: log.level: \"loud\" is not one of \"error\", \"warn\", \"info\", \"debug\", \"trace\""],
        ),
        (
            "[native]\nlisten = \"h:1\"\n[web]\nlisten = \"h:1\"",
            &["4:10: web.listen: native.listen listens at h:1 already"],
        ),
        ("name = \"a\"\nname = \"b\"", &["2:1: this is not TOML: duplicate key"]),
        ("name = \"a", &["1:10: this is not TOML: invalid basic string, expected `\"`"]),
        ("x = 1\n\n\u{1}", &["3:2: this is not TOML: key with no value, expected `=`"]),
        (
            "[machine]\nname = \"m\"",
            &["1:2: machine: each machine is written below [[machine]], with two brackets"],
        ),
        ("machine = [7]", &["1:12: machine: needs a table, not a whole number"]),
        (
            "[[machine]]",
            &[
                "1:1: machine.name: every machine needs a name",
                "1:1: machine.shape: is missing: \"triads\" or \"pool\"",
            ],
        ),
    ];
    // Lines 5 and 6 of these.
    let triads: &[(&str, &[&str])] = &[
        (
            "width = 0\nheight = 1001",
            &[
                "5:9: machine.width: 0 is out of range: 1 to 1000",
                "6:10: machine.height: 1001 is out of range: 1 to 1000",
            ],
        ),
        ("width = 4", &["1:1: machine.height: is missing: how many triads from south to north"]),
        (
            "width = 4\nheigth = 2",
            &[
                "1:1: machine.height: is missing: how many triads from south to north",
                "6:1: machine.heigth: unknown key; the nearest is 'height'",
            ],
        ),
        (
            "width = 1\nheight = 1\ncount = 3",
            &["7:1: machine.count: has no meaning for the shape \"triads\""],
        ),
        (
            "width = 1\nheight = 1\nseed = 3",
            &["7:1: machine.seed: unknown key here; there is a key 'machine.simulated.seed'"],
        ),
    ];
    // Line 7 of these.
    let small: &[(&str, &[&str])] = &[
        (
            "dead_boards = [[1, 1, 2], [2, 0, 0], [0, 0, 3], [0, 0], 7, [-1, 0, 0], [1, 1, 2]]",
            &[
                "7:27: machine.dead_boards: [2, 0, 0] is not on a machine of 2 x 2 triads of 3 boards",
                "7:38: machine.dead_boards: [0, 0, 3] is not on a machine of 2 x 2 triads of 3 boards",
                "7:49: machine.dead_boards: needs [x, y, z]",
                "7:57: machine.dead_boards: needs [x, y, z], not a whole number",
                "7:60: machine.dead_boards: needs [x, y, z]",
                "7:72: machine.dead_boards: named twice",
            ],
        ),
        ("dead_boards = 7", &["7:15: machine.dead_boards: needs a list, not a whole number"]),
        (
            "dead_links = [[0, 0, 0, 6], [0, 2, 0, 0], [0, 0, 0, 5], [0, 0, 0, 5]]",
            &[
                "7:15: machine.dead_links: there is no link 6: 0 east, 1 north_east, 2 north, 3 west, 4 south_west, 5 south",
                "7:29: machine.dead_links: [0, 2, 0] is not on a machine of 2 x 2 triads of 3 boards",
                "7:57: machine.dead_links: named twice",
            ],
        ),
        (
            "tags = [\"a b\", \"c\", \"c\", 7]",
            &[
                "7:9: machine.tags: \"a b\": a name has 1 to 64 letters, digits, '.', '_' and '-'",
                "7:21: machine.tags: named twice",
                "7:26: machine.tags: needs a name in quotes, not a whole number",
            ],
        ),
        (
            "kinds = []",
            &["7:9: machine.kinds: at least one is needed: boards are always prepared as something"],
        ),
        ("settle_s = 86401", &["7:12: machine.settle_s: 86401 is out of range: 0 to 86400 seconds"]),
        ("order_s_max = 0.5", &["7:15: machine.order_s_max: 0.5 is out of range: 1 to 3600 seconds"]),
        (
            "host_base = \"255.255.255.250\"",
            &["7:13: machine.host_base: the addresses of the boards go beyond 255.255.255.255"],
        ),
        (
            "host_base = \"10.11.0\"",
            &["7:13: machine.host_base: \"10.11.0\": four numbers are needed, as 10.11.0.1"],
        ),
        ("boards_per_frame = 0", &["7:20: machine.boards_per_frame: 0 is out of range: 1 to 65535"]),
        (
            "bmps = [{ cabinet = 0, frame = 0, host = \"a\" }, { cabinet = 0, frame = 0, host = \"b\" }, { cabinet = 0, host = 7 }]",
            &[
                "7:49: machine.bmps: cabinet 0 frame 0 has a BMP already",
                "7:89: machine.bmps.frame: is missing; needs { cabinet = 0, frame = 0, host = \"...\" }",
                "7:111: machine.bmps.host: needs a host in quotes, not a whole number",
            ],
        ),
        (
            "boards = [\n{ logical = [0, 0, 0], physical = [0, 0, 0], host = \"a\" },\n{ logical = [0, 0, 0], physical = [0, 0, 1], host = \"b\" },\n{ logical = [0, 0, 1], physical = [0, 0, 0], host = \"c\" },\n{ logical = [2, 0, 0], physical = [0, 0, 65536], hots = \"c\" }]",
            &[
                "9:1: machine.boards: this board has a place on line 8 already",
                "10:1: machine.boards: the board of line 8 stands in [0, 0, 0] already",
                "11:13: machine.boards.logical: [2, 0, 0] is not on a machine of 2 x 2 triads of 3 boards",
                "11:35: machine.boards.physical: no number may be beyond 65535",
                "11:50: machine.boards.hots: unknown key; needs { logical = [x, y, z], physical = [cabinet, frame, board], host = \"...\" }",
            ],
        ),
        (
            "[machine.simulated]\nfail_share = 1.5\npower_ms = -1\nseeed = 1\nbroken_boards = [[5, 5, 5]]",
            &[
                "8:14: machine.simulated.fail_share: 1.5 is not from 0 to 1",
                "9:12: machine.simulated.power_ms: -1 is out of range: 0 to 3600000",
                "10:1: machine.simulated.seeed: unknown key; the nearest is 'seed'",
                "11:18: machine.simulated.broken_boards: [5, 5, 5] is not on a machine of 2 x 2 triads of 3 boards",
            ],
        ),
        (
            "simulated = 7",
            &["7:13: machine.simulated: needs a table below [machine.simulated], not a whole number"],
        ),
        (
            "[machine.command]\nprogram = []\nparallel_max = 0",
            &[
                "8:11: machine.command.program: the first word names the program",
                "9:16: machine.command.parallel_max: 0 is out of range: 1 to 1000",
            ],
        ),
    ];
    let pools: &[(&str, &[&str])] = &[
        (
            "shape = \"pool\"\ncontroller = \"simulated\"",
            &["1:1: machine.count: is missing: a pool needs either count or serials"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"simulated\"\ncount = 1\nserials = [\"a\"]",
            &["5:1: machine.count: either count or serials, not both"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"simulated\"\ncount = 1000001",
            &["5:9: machine.count: 1000001 is out of range: 1 to 1000000"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"simulated\"\nserials = []",
            &["5:11: machine.serials: a pool needs at least one board"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"simulated\"\nserials = [\"a\", \"b\", \"a\"]",
            &["5:22: machine.serials: named twice"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"simulated\"\ncount = 1\nwidth = 4",
            &["6:1: machine.width: has no meaning for the shape \"pool\""],
        ),
        (
            "shape = \"pool\"\ncount = 1",
            &[
                "1:1: machine.controller: is missing: what makes the boards obey; this build has \"simulated\", \"command\", \"bmp\", \"agent\"",
            ],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"bmp\"",
            &["5:14: machine.controller: \"bmp\" is for machines of triads; a pool has no BMPs"],
        ),
        (
            "shape = \"triads\"\nwidth = 1\nheight = 1\ncontroller = \"agent\"",
            &["6:14: machine.controller: agents bring boards to pools only"],
        ),
        (
            "shape = \"pool\"\ncontroller = \"agent\"\n[machine.agent]\ntimeout_s = 0\ntoken = \"short\"\ntoken_file = \"\"",
            &[
                "6:13: machine.agent.timeout_s: 0 is out of range: 1 to 86400 seconds",
                "7:9: machine.agent.token: a token has 16 to 256 bytes that can be printed",
                "8:14: machine.agent.token_file: \"\": a path has 1 to 4096 bytes, none of them 0",
            ],
        ),
        (
            "shape = \"pool\"\ncontroller = \"agent\"\n[machine.agent]\ntoken = \"0123456789abcdef\"\ntoken_file = \"t\"",
            &["7:1: machine.agent.token_file: either token or token_file, not both"],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"bmp\"\n[machine.bmp]\nretries = 1",
            &[
                "5:14: machine.controller: \"bmp\" is for machines of triads; a pool has no BMPs",
                "7:1: machine.bmp.retries: unknown key; the nearest is 'power_tries'",
            ],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"simulated\"\n[machine.bmp]\nx = 1",
            &["7:1: machine.bmp.x: unknown key; the nearest is 'port'"],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"command\"\n[machine.command]\nprogram = [\"x\"]\nenvironment = { \"1\" = \"a\", B = 7 }\ndirectory = \"\"",
            &[
                "8:17: machine.command.environment: \"1\": a variable has letters, digits and '_' and begins with no digit",
                "8:32: machine.command.environment: needs a text in quotes, not a whole number",
                "9:13: machine.command.directory: \"\": a path has 1 to 4096 bytes, none of them 0",
            ],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"magic\"",
            &[
                "5:14: machine.controller: \"magic\" is not one of \"simulated\", \"command\", \"bmp\", \"agent\"",
            ],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"command\"",
            &["5:14: machine.command.program: is missing: write it below [machine.command]"],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"command\"\n[machine.command]\nprogram = [7]",
            &["7:12: machine.command.program: needs a text in quotes, not a whole number"],
        ),
        (
            "shape = \"pool\"\ncount = 1\ncontroller = \"simulated\"\n[machine.simulated]\nstuck_boards = [\"m-0\", \"m-1\", [0, 0, 0], \"m-0\"]",
            &[
                "7:24: machine.simulated.stuck_boards: the pool has no board \"m-1\"",
                "7:31: machine.simulated.stuck_boards: needs the serial of a board in quotes, not a list",
                "7:42: machine.simulated.stuck_boards: named twice",
            ],
        ),
        (
            "count = 0\ncontroller = \"simulated\"",
            &[
                "1:1: machine.shape: is missing: \"triads\" or \"pool\"",
                "3:9: machine.count: 0 is out of range: 1 to 1000000",
            ],
        ),
        (
            "shape = \"pol\"\ncount = 1\ncontroller = \"simulated\"",
            &["3:9: machine.shape: \"pol\" is not one of \"triads\", \"pool\""],
        ),
    ];
    let mut rows: Vec<(String, Vec<&'static str>)> = Vec::new();
    let mut add = |before: &str, some: &[(&str, &[&'static str])]| {
        rows.extend(some.iter().map(|(text, said)| (format!("{before}{text}"), said.to_vec())));
    };
    add("", top);
    add(TRIADS, triads);
    add(&format!("{TRIADS}width = 2\nheight = 2\n"), small);
    add("[[machine]]\nname = \"m\"\n", pools);
    rows
}

#[test]
fn everything_bad_is_said_with_its_place() {
    for (text, said) in ledger() {
        let complaints = load(&text).err().unwrap_or_default();
        assert_eq!(lines(&complaints), said, "{text}");
    }
}
