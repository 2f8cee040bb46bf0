//! What spalloc's server granted, on idle machines and in streams: ours must grant at least as much.

use serde_json::Value;

use super::model::Model;
use super::vectors::{list, torus, triad, vectors};
use crate::allocator::geometry::Geometry;
use crate::allocator::link::Link;
use crate::allocator::torus::Triad;
use crate::allocator::{BoardIndex, Placement, Request, Size, Triads};

/// The machine of a record.
fn model(machine: &Value) -> Model {
    let torus = torus(machine);
    let dead = machine["dead_boards"].as_array().unwrap().iter().map(triad).collect();
    let dead_links = machine["dead_links"].as_array().unwrap().iter().map(|entry| {
        let number = |at: usize| entry[at].as_u64().unwrap() as u32;
        (Triad::new(number(0), number(1), number(2)), Link::from_number(number(3)).unwrap())
    });
    Model { dead, dead_links: dead_links.collect(), ..Model::new(torus.width, torus.height) }
}

/// The request of a record; a board outside the machine becomes one that no machine has.
fn request(model: &Model, record: &Value) -> Request {
    let args: Vec<f64> = record["args"].as_array().unwrap().iter().map(|arg| arg.as_f64().unwrap()).collect();
    let size = match args[..] {
        [] => Size::Board,
        [count] => Size::Count(count.max(0.0).ceil() as u32),
        [width, height] => Size::Triads { width: width as u32, height: height as u32 },
        [x, y, z] => {
            let board = Triad::new(x.max(-1.0) as i64 as u32, y as u32, z as u32);
            let outside = BoardIndex(u32::MAX);
            Size::Named(vec![model.torus.index_within(board).unwrap_or(outside)])
        }
        _ => panic!("{record}"),
    };
    let terms = &record["kwargs"];
    let limit = |name: &str| terms.get(name).and_then(Value::as_u64).map(|max| max as u32);
    Request {
        size,
        min_ratio: terms.get("min_ratio").and_then(Value::as_f64).unwrap_or(0.0),
        max_dead_boards: limit("max_dead_boards"),
        max_dead_links: limit("max_dead_links"),
        require_torus: terms.get("require_torus").and_then(Value::as_bool).unwrap_or(false),
    }
}

/// How many boards a recorded grant had.
fn granted(result: &Value) -> usize {
    match result.get("n_boards") {
        Some(count) => count.as_u64().unwrap() as usize,
        None => list(&result["boards"]).len(),
    }
}

#[test]
fn whatever_was_granted_on_an_idle_machine_is_granted() {
    let file = vectors("alloc_idle.json");
    let mut more = 0;
    for case in list(&file["cases"]) {
        let model = model(&file["machines"][case["machine"].as_str().unwrap()]);
        let machine = model.build();
        let request = request(&model, case);
        let (possible, placement) = (machine.possible(&request), machine.find(&request, &[]));
        assert_eq!(possible.is_ok(), placement.is_some(), "{case}: {possible:?}");
        assert_eq!(possible.is_ok(), model.has_place(&request), "{case}: {possible:?}");
        if case["possible"] == true {
            assert!(possible.is_ok(), "{case}: {}", possible.unwrap_err());
        } else {
            more += u32::from(possible.is_ok());
        }
        if let Some(placement) = placement {
            model.check_grant(&request, &placement.boards, placement.region);
            check_against(&model, &request, case, &placement);
        }
    }
    assert!(more > 0, "no request that only its place in the middle makes possible");
}

/// What of a recorded grant binds: as many boards; for a rectangle of a sound machine everything but its place.
fn check_against(model: &Model, request: &Request, case: &Value, placement: &Placement) {
    let result = &case["result"];
    if result.is_null() {
        return;
    }
    let geometry = Geometry::new(model.torus, &placement.boards).unwrap();
    match request.size {
        Size::Count(count) if count > 1 => {
            let enough = placement.boards.len() >= granted(result).min(count as usize);
            assert!(enough, "{case}: only {}", placement.boards.len());
        }
        _ => assert!(placement.boards.len() >= granted(result), "{case}: only {}", placement.boards.len()),
    }
    let sound = model.dead.is_empty() && model.dead_links.is_empty();
    if sound && !matches!(request.size, Size::Count(_)) {
        assert_eq!(placement.boards.len(), granted(result), "{case}");
        let found = serde_json::json!([
            geometry.wraps.bits(),
            [geometry.width_chips, geometry.height_chips],
            geometry.periphery().len(),
        ]);
        assert_eq!(
            found,
            serde_json::json!([result["torus"], result["chips"], result["periphery"]]),
            "{case}"
        );
    }
}

/// A recorded stream, replayed on our books.
struct Stream {
    model: Model,
    machine: Triads,
    /// Our grants by the record's id.
    grants: Vec<(u64, Vec<BoardIndex>)>,
    /// Boards lent by us and by the reference, summed over all steps.
    lent: (usize, usize),
}

#[test]
fn streams_are_served_at_least_as_well() {
    let file = vectors("alloc_sequences.json");
    let mut all = (0, 0);
    for sequence in list(&file["sequences"]) {
        let model = model(&sequence["machine"]);
        let machine = model.build();
        let mut stream = Stream { model, machine, grants: Vec::new(), lent: (0, 0) };
        let mut reference: Vec<(u64, usize)> = Vec::new();
        for op in list(&sequence["ops"]) {
            let id = op["id"].as_u64().unwrap();
            if op["op"] == "alloc" {
                stream.serve(id, op);
                if !op["result"].is_null() {
                    reference.push((id, granted(&op["result"])));
                }
            } else {
                stream.give_back(id);
                reference.retain(|(other, _)| *other != id);
            }
            stream.lent.0 += stream.grants.iter().map(|(_, boards)| boards.len()).sum::<usize>();
            stream.lent.1 += reference.iter().map(|(_, boards)| boards).sum::<usize>();
        }
        println!("{}: {:?}", sequence["name"], stream.lent);
        all = (all.0 + stream.lent.0, all.1 + stream.lent.1);
    }
    assert!(all.0 > all.1, "{all:?}");
}

impl Stream {
    /// Serves one request of the record.
    fn serve(&mut self, id: u64, op: &Value) {
        let request = request(&self.model, op);
        let possible = self.machine.possible(&request);
        assert_eq!(possible.is_ok(), self.model.idle().has_place(&request));
        assert!(possible.is_ok() || op["possible"] == false, "{op}: {possible:?}");
        let placement = self.machine.find(&request, &[]);
        assert_eq!(placement.is_some(), self.model.has_place(&request), "{op}");
        if let Some(placement) = placement {
            self.model.check_grant(&request, &placement.boards, placement.region);
            self.machine.take(&placement.boards);
            let torus = self.model.torus;
            self.model.taken.extend(placement.boards.iter().map(|board| torus.triad(*board)));
            self.grants.push((id, placement.boards));
        }
        assert_eq!(self.machine, self.model.build());
    }

    /// Gives the boards of a grant back, if there was one.
    fn give_back(&mut self, id: u64) {
        let Some(at) = self.grants.iter().position(|(other, _)| *other == id) else { return };
        let (_, boards) = self.grants.remove(at);
        self.machine.give_back(&boards);
        boards.iter().for_each(|board| {
            self.model.taken.remove(&self.model.torus.triad(*board));
        });
    }
}

#[test]
fn what_the_reference_could_place_we_place() {
    // The books of the reference, step by step: at each, whatever it granted must have a place for us too.
    let file = vectors("alloc_sequences.json");
    let mut asked = 0;
    for sequence in list(&file["sequences"]) {
        let mut model = model(&sequence["machine"]);
        let mut grants: Vec<(u64, Vec<Triad>)> = Vec::new();
        for op in list(&sequence["ops"]) {
            let id = op["id"].as_u64().unwrap();
            if op["op"] == "free" {
                let Some(at) = grants.iter().position(|(other, _)| *other == id) else { continue };
                grants.remove(at).1.iter().for_each(|board| {
                    model.taken.remove(board);
                });
            } else if let Some(boards) = op["result"].get("boards") {
                asked += 1;
                let request = request(&model, op);
                let placement = model.build().find(&request, &[]).unwrap_or_else(|| panic!("{op}"));
                model.check_grant(&request, &placement.boards, placement.region);
                let boards: Vec<Triad> = list(boards).iter().map(triad).collect();
                model.taken.extend(&boards);
                grants.push((id, boards));
            }
        }
    }
    assert!(asked > 100);
}
