//! What spalloc's server computed for coordinates, shapes and geometry, number for number.

use std::path::Path;

use serde_json::Value;

use crate::allocator::geometry::Geometry;
use crate::allocator::link::Link;
use crate::allocator::shape;
use crate::allocator::torus::{Chip, Torus, Triad, Wraps, board_has_chip, chips_of_triads};
use crate::allocator::{BoardIndex, Region, Request, Size, Triads};

/// One of the recorded files.
pub fn vectors(name: &str) -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/spalloc").join(name);
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The records of a list, at least one.
pub fn list(value: &Value) -> &[Value] {
    let list = value.as_array().unwrap();
    assert!(!list.is_empty());
    list
}

/// A record of small integers.
fn row<const N: usize>(value: &Value) -> [i64; N] {
    let row: Vec<i64> = list(value).iter().map(|number| number.as_i64().unwrap()).collect();
    row.try_into().unwrap()
}

fn rows<const N: usize>(file: &str) -> Vec<[i64; N]> {
    list(&vectors(file)["cases"]).iter().map(row).collect()
}

/// [x, y, z].
pub fn triad(value: &Value) -> Triad {
    let [x, y, z] = row(value);
    Triad::new(x as u32, y as u32, z as u32)
}

fn chip(value: &Value) -> Chip {
    let [x, y] = row(value);
    Chip { x: x as u32, y: y as u32 }
}

/// The machine of a record, without faults.
pub fn torus(value: &Value) -> Torus {
    let side = |name: &str| value[name].as_u64().unwrap() as u32;
    Torus { width: side("width"), height: side("height") }
}

#[test]
fn boards_have_their_ethernet_chip() {
    for [x, y, z, chip_x, chip_y] in rows("board_to_chip.json") {
        let chip = Triad::new(x as u32, y as u32, z as u32).chip();
        assert_eq!((i64::from(chip.x), i64::from(chip.y)), (chip_x, chip_y));
    }
}

#[test]
fn chips_lie_on_their_board() {
    for [width, height, chip_x, chip_y, x, y, z] in rows("chip_to_board.json") {
        let torus = Torus { width: width as u32 / 12, height: height as u32 / 12 };
        let (board, on_board) = torus.board_at_chip(torus.wrap_chip(chip_x, chip_y));
        assert_eq!(board, Triad::new(x as u32, y as u32, z as u32), "{chip_x}, {chip_y}");
        let ethernet = torus.chip_of_board(board);
        let back = torus.wrap_chip((ethernet.x + on_board.x).into(), (ethernet.y + on_board.y).into());
        assert_eq!((i64::from(back.x), i64::from(back.y)), (chip_x, chip_y));
    }
}

#[test]
fn chips_have_their_place_on_the_board() {
    let torus = Torus { width: 3, height: 2 };
    for [x, y, board_x, board_y] in rows("chip_in_board.json") {
        let (_, on_board) = torus.board_at_chip(torus.wrap_chip(x + 12, y - 12));
        assert_eq!((i64::from(on_board.x), i64::from(on_board.y)), (board_x, board_y), "{x}, {y}");
    }
    let file = vectors("chip_in_board.json");
    let mut chips: Vec<Chip> = list(&file["board_chips_from_ethernet"]).iter().map(chip).collect();
    chips.sort();
    let square = (0..12).flat_map(|x| (0..12).map(move |y| Chip { x, y }));
    assert_eq!(chips, square.filter(|chip| board_has_chip(chip.x, chip.y)).collect::<Vec<_>>());
}

#[test]
fn links_lead_where_they_should() {
    let file = vectors("links.json");
    for (link, record) in Link::ALL.into_iter().zip(list(&file["links"])) {
        assert_eq!(link.name(), record["name"]);
        assert_eq!(link.number(), record["number"].as_u64().unwrap() as u32);
        assert_eq!(link.opposite().number(), record["opposite"].as_u64().unwrap() as u32);
        let (dx, dy) = link.chip_vector();
        assert_eq!([i64::from(dx), i64::from(dy)], row(&record["chip_vector"]));
        assert_eq!(Link::from_number(link.number()), Some(link));
    }
    assert_eq!(Link::from_number(6), None);
    for record in list(&file["board_vectors"]) {
        let number = |name: &str| record[name].as_i64().unwrap();
        let step = Link::from_number(number("link") as u32).unwrap().step(number("z") as u32);
        let given = (i64::from(step.dx), i64::from(step.dy), i64::from(step.z) - number("z"));
        assert_eq!(given, (number("dx"), number("dy"), number("dz")));
    }
    for record in list(&file["fpga_stop_registers"]) {
        let number = |name: &str| record[name].as_u64().unwrap() as u32;
        let register = Link::from_number(number("link")).unwrap().stop_register();
        assert_eq!((u32::from(register.fpga), register.address), (number("fpga"), number("address")));
    }
    for [width, height, x, y, z, link, x2, y2, z2, wrapped] in rows("board_down_link.json") {
        let torus = Torus { width: width as u32, height: height as u32 };
        let board = Triad::new(x as u32, y as u32, z as u32);
        let link = Link::from_number(link as u32).unwrap();
        let (other, wraps) = torus.neighbour(board, link);
        assert_eq!(other, Triad::new(x2 as u32, y2 as u32, z2 as u32));
        assert_eq!(i64::from(wraps.bits()), wrapped);
        assert_eq!(torus.neighbour(other, link.opposite()), (board, wraps));
    }
}

#[test]
fn triads_have_their_size_in_chips() {
    for [width, height, torus, chips_wide, chips_high] in rows("triad_dimensions_to_chips.json") {
        let wraps = Wraps { x: torus & 1 != 0, y: torus & 2 != 0 };
        let (wide, high) = chips_of_triads(width as u32, height as u32, wraps);
        assert_eq!((i64::from(wide), i64::from(high)), (chips_wide, chips_high));
    }
}

#[test]
fn regions_of_sound_machines_wrap_as_they_should() {
    for [width, height, w, h, torus, chips_wide, chips_high, boards, periphery] in rows("torus.json") {
        let machine = Triads::new(width as u32, height as u32, &[], &[]).unwrap();
        let request = Request::of(Size::Triads { width: w as u32, height: h as u32 });
        let placement = machine.find(&request, &[]).unwrap();
        assert_eq!(placement.region, Some(Region { x: 0, y: 0, width: w as u32, height: h as u32 }));
        let geometry = Geometry::new(machine.torus(), &placement.boards).unwrap();
        let found = [
            i64::from(geometry.wraps.bits()),
            i64::from(geometry.width_chips),
            i64::from(geometry.height_chips),
            placement.boards.len() as i64,
            geometry.periphery().len() as i64,
        ];
        assert_eq!(found, [torus, chips_wide, chips_high, boards, periphery], "{w}x{h} of {width}x{height}");
    }
}

#[test]
fn areas_become_rectangles() {
    let file = vectors("area_to_rect.json");
    for case in list(&file["cases"]) {
        let number = |at: usize| case[at].as_u64().unwrap() as u32;
        let (area, width, height, ratio) = (number(0), number(1), number(2), case[3].as_f64().unwrap());
        let rectangle = shape::area_to_rect(area, width, height, ratio);
        let expected = case[4].as_array().map(|_| row(&case[4])).map(|[w, h]: [i64; 2]| (w as u32, h as u32));
        assert_eq!(rectangle, expected, "{case}");
        let shapes = shape::shapes(area, ratio, width, height, true);
        let mut ways = shapes.iter().flat_map(|shape| shape.laid_in(width, height));
        if let Some(expected) = expected {
            assert!(ways.any(|way| way == expected), "{case}: not among {shapes:?}");
        }
    }
    for [area, width, height] in list(&file["squarest_rectangle"]).iter().map(row) {
        assert_eq!(shape::squarest_rectangle(area as u32), (width as u32, height as u32));
    }
    for case in list(&file["rectangle_with_aspect_ratio"]) {
        let number = |at: usize| case[at].as_u64().unwrap() as u32;
        let rectangle = shape::rectangle_with_aspect_ratio(number(0), case[1].as_f64().unwrap());
        assert_eq!(rectangle, (number(2), number(3)), "{case}");
    }
}

/// A job of job_geometry.json: its machine's name and size, and its geometry.
fn job(file: &Value, case: &Value) -> (String, Geometry) {
    let name = case["machine"].as_str().unwrap();
    let machine = list(&file["machines"]).iter().find(|machine| machine["name"] == name).unwrap();
    let torus = torus(machine);
    let boards: Vec<BoardIndex> = list(&case["boards"]).iter().map(|b| torus.index(triad(b))).collect();
    (name.to_owned(), Geometry::new(torus, &boards).unwrap())
}

#[test]
fn jobs_have_their_geometry() {
    let file = vectors("job_geometry.json");
    for case in list(&file["cases"]) {
        let (name, geometry) = job(&file, case);
        assert_eq!(u64::from(geometry.wraps.bits()), case["torus"].as_u64().unwrap());
        assert_eq!(u64::from(geometry.width_chips), case["width"].as_u64().unwrap());
        assert_eq!(u64::from(geometry.height_chips), case["height"].as_u64().unwrap());

        let machine = list(&file["machines"]).iter().find(|machine| machine["name"] == *name).unwrap();
        let torus = torus(machine);
        let host = |board: &BoardIndex| {
            let board = torus.triad(*board);
            list(&machine["boards"]).iter().find(|entry| triad(&entry["logical"]) == board).unwrap()["ip"]
                .clone()
        };
        let connections: Vec<_> = geometry.connections().iter().map(|(c, b)| (*c, host(b))).collect();
        let mut expected: Vec<_> =
            list(&case["connections"]).iter().map(|entry| (chip(&entry[0]), entry[1].clone())).collect();
        expected.sort_by_key(|(chip, _)| *chip);
        assert_eq!(connections, expected);
        assert_eq!(connections[0].0, Chip { x: 0, y: 0 });

        let mut periphery: Vec<[i64; 4]> = case["periphery"].as_array().unwrap().iter().map(row).collect();
        periphery.sort();
        let found = geometry.periphery().into_iter().map(|(board, link)| {
            let Triad { x, y, z } = torus.triad(board);
            [x.into(), y.into(), z.into(), link.number().into()]
        });
        assert_eq!(found.collect::<Vec<[i64; 4]>>(), periphery);
    }
}

#[test]
fn size_is_taken_from_the_true_bounds() {
    let torus = Torus { width: 3, height: 3 };
    let boards = [(0, 0), (0, 1), (1, 0)].map(|(x, y)| [0, 1, 2].map(|z| torus.index(Triad::new(x, y, z))));
    let geometry = Geometry::new(torus, boards.as_flattened()).unwrap();
    assert_eq!((geometry.width_chips, geometry.height_chips), (28, 28));
}

#[test]
fn every_chip_is_found() {
    let file = vectors("where_is.json");
    let jobs = vectors("job_geometry.json");
    for case in list(&file["cases"]) {
        let geometry = case["geometry"].as_u64().map(|at| job(&jobs, &jobs["cases"][at as usize]));
        let query = &case["query"];
        let of_job = query.get("machine").is_none();
        let name = match (&geometry, query.get("machine")) {
            (_, Some(name)) => name.as_str().unwrap().to_owned(),
            (Some((name, _)), None) => name.clone(),
            _ => panic!("{case}"),
        };
        let machine = list(&file["machines"]).iter().find(|machine| machine["name"] == *name);
        let answer = machine.and_then(|machine| {
            let geometry = geometry.as_ref().filter(|(of, _)| *of == name).map(|(_, geometry)| geometry);
            where_is(machine, geometry, query, of_job)
        });
        assert_eq!(answer, (!case["result"].is_null()).then(|| case["result"].clone()), "{case}");
    }
}

/// The answer to a query, from the pure functions of this room and the machine's table of places.
fn where_is(machine: &Value, geometry: Option<&Geometry>, query: &Value, of_job: bool) -> Option<Value> {
    let torus = torus(machine);
    let number = |name: &str| query.get(name).and_then(Value::as_i64);
    let entries = list(&machine["boards"]);
    let (board, on_board) = if of_job {
        geometry?.board_at_job_chip(number("chip_x")?, number("chip_y")?)?
    } else if let Some(chip_x) = number("chip_x") {
        torus.board_at_chip(torus.wrap_chip(chip_x, number("chip_y")?))
    } else if let Some(x) = number("x") {
        (torus.wrap_board(x, number("y")?, number("z")?), Chip::default())
    } else {
        let place = ["cabinet", "frame", "board"].map(|name| query[name].as_i64().unwrap());
        let entry = entries.iter().find(|entry| row(&entry["physical"]) == place)?;
        (triad(&entry["logical"]), Chip::default())
    };
    let entry = entries.iter().find(|entry| triad(&entry["logical"]) == board)?;
    let ethernet = torus.chip_of_board(board);
    let chip = torus.wrap_chip((ethernet.x + on_board.x).into(), (ethernet.y + on_board.y).into());
    let geometry = geometry.filter(|geometry| geometry.has(board));
    let job_chip = geometry.map(|geometry| geometry.job_chip(board, on_board)).map(|chip| [chip.x, chip.y]);
    Some(serde_json::json!({
        "machine": machine["name"],
        "logical": [board.x, board.y, board.z],
        "physical": entry["physical"],
        "chip": [chip.x, chip.y],
        "board_chip": [on_board.x, on_board.y],
        "job_id": geometry.map(|_| "this"),
        "job_chip": job_chip,
    }))
}
