//! Machines, boards and places as callers read them.

use super::{Board, Counts, Each, place};
use crate::clock::Moment;
use crate::lab::fact::Mark;
use crate::lab::machine::{MachineSpec, Shape, TriadsSpec};
use crate::lab::view::{BoardView, MachineView, WhereView};
use crate::service::plan::{BoardRecord, PowerResult, SensorReadings, SensorValues};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use std::sync::Arc;

/// A machine, with all its boards or without.
pub struct Machine<'a> {
    /// The machine.
    pub view: &'a MachineView,
    /// Its boards, if they are to be listed.
    pub boards: Option<&'a [BoardView]>,
}

impl Serialize for Machine<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let spec: &MachineSpec = &self.view.spec;
        let torus = spec.triads();
        let shape = match spec.shape {
            Shape::Triads(_) => "triads",
            Shape::Pool { .. } => "pool",
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", &*spec.name)?;
        map.serialize_entry("shape", shape)?;
        map.serialize_entry("tags", &Each(|| spec.tags.iter().map(|tag| &**tag)))?;
        map.serialize_entry("kinds", &Each(|| spec.kinds.iter().map(|kind| &**kind)))?;
        map.serialize_entry("width", &torus.map(|torus| torus.width))?;
        map.serialize_entry("height", &torus.map(|torus| torus.height))?;
        map.serialize_entry("dead_boards", &Each(|| torus.into_iter().flat_map(dead_boards)))?;
        map.serialize_entry("dead_links", &Each(|| torus.into_iter().flat_map(dead_links)))?;
        map.serialize_entry("boards", &WithTotal(self.view))?;
        if let Some(boards) = self.boards {
            map.serialize_entry("board_list", &Each(|| boards.iter().map(WholeBoard)))?;
        }
        map.end()
    }
}

fn dead_boards(torus: &TriadsSpec) -> impl Iterator<Item = [u32; 3]> + '_ {
    torus.dead_boards.iter().map(|board| [board.x, board.y, board.z])
}

fn dead_links(torus: &TriadsSpec) -> impl Iterator<Item = [u32; 4]> + '_ {
    torus.dead_links.iter().map(|(board, link)| [board.x, board.y, board.z, link.number()])
}

/// How many boards a machine has, and how many in each state.
struct WithTotal<'a>(&'a MachineView);

impl Serialize for WithTotal<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let total = ("total", self.0.spec.board_count());
        serializer.collect_map(std::iter::once(total).chain(Counts(&self.0.boards).entries()))
    }
}

/// A board with all that is known of it.
pub struct WholeBoard<'a>(pub &'a BoardView);

impl Serialize for WholeBoard<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(16))?;
        push_board(&mut map, self.0)?;
        map.end()
    }
}

/// The entries of a board.
fn push_board<M: SerializeMap>(map: &mut M, board: &BoardView) -> Result<(), M::Error> {
    map.serialize_entry("machine", &*board.machine)?;
    map.serialize_entry("board", &Board(&board.name))?;
    map.serialize_entry("state", board.state.word())?;
    map.serialize_entry("since", &board.since.unix_s())?;
    map.serialize_entry("reason", &board.reason.as_deref())?;
    map.serialize_entry("job_id", &board.holder.as_ref().map(|(job, _)| job.0))?;
    map.serialize_entry("owner", &board.holder.as_ref().map(|(_, owner)| &**owner))?;
    map.serialize_entry("physical", &board.physical.map(place))?;
    map.serialize_entry("host", &*board.host)?;
    map.serialize_entry("retest_at", &board.retest_at.map(Moment::unix_s))?;
    map.serialize_entry("marked", &board.marked.map(mark))?;
    map.serialize_entry("reports", &board.reports)?;
    map.serialize_entry("name", &*board.called)?;
    map.serialize_entry("offers", &Each(|| board.offers.iter().map(|label| &**label)))?;
    map.serialize_entry("done", &board.tally.done)?;
    map.serialize_entry("failed", &board.tally.failed)
}

/// A board with what is known of it beside the lab.
pub struct BoardWithReadings<'a> {
    /// The board.
    pub board: &'a BoardView,
    /// The rest.
    pub record: &'a BoardRecord,
}

impl Serialize for BoardWithReadings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(18))?;
        push_board(&mut map, self.board)?;
        map.serialize_entry("power", &self.record.power.as_ref().map(Power))?;
        map.serialize_entry("sensors", &self.record.sensors.as_ref().map(Readings))?;
        map.end()
    }
}

/// What came of switching a board.
struct Power<'a>(&'a PowerResult);

impl Serialize for Power<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(4))?;
        map.serialize_entry("action", self.0.action)?;
        map.serialize_entry("at", &self.0.at.unix_s())?;
        map.serialize_entry("ok", &self.0.failed.is_none())?;
        map.serialize_entry("reason", &self.0.failed.as_deref())?;
        map.end()
    }
}

/// What the sensors of a board said, and when.
struct Readings<'a>(&'a SensorReadings);

impl Serialize for Readings<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("at", &self.0.at.unix_s())?;
        map.serialize_entry("values", &Sensors(&self.0.values))?;
        map.end()
    }
}

/// What sensors measured, by their names.
pub struct Sensors<'a>(pub &'a SensorValues);

impl Serialize for Sensors<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let measured = |value: &f64, unit: &'_ Arc<str>| Measured { value: *value, unit: unit.clone() };
        serializer.collect_map(self.0.iter().map(|(name, (value, unit))| (&**name, measured(value, unit))))
    }
}

/// What one sensor measured.
struct Measured {
    value: f64,
    unit: Arc<str>,
}

impl Serialize for Measured {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("value", &self.value)?;
        map.serialize_entry("unit", &*self.unit)?;
        map.end()
    }
}

/// The word for what an operator wants a board to be.
pub fn mark(mark: Mark) -> &'static str {
    match mark {
        Mark::Free => "free",
        Mark::Maintenance => "maintenance",
        Mark::Dead => "dead",
    }
}

/// Where something is.
pub struct Where<'a>(pub &'a WhereView);

impl Serialize for Where<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let at = self.0;
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("machine", &*at.machine)?;
        map.serialize_entry("logical", &[at.logical.x, at.logical.y, at.logical.z])?;
        map.serialize_entry("physical", &place(at.physical))?;
        map.serialize_entry("chip", &[at.chip.x, at.chip.y])?;
        map.serialize_entry("board_chip", &[at.board_chip.x, at.board_chip.y])?;
        map.serialize_entry("job_id", &at.job.map(|job| job.0))?;
        map.serialize_entry("job_chip", &at.job_chip.map(|chip| [chip.x, chip.y]))?;
        map.end()
    }
}
