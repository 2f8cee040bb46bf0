//! The router of one chip: rows of multicast routes, who has them, and the route of packets without a key.

use super::layout::{ROUTER, ROUTER_COPY};
use crate::spinnaker::scamp::App;
use std::collections::BTreeMap;

/// Rows of the table. The first is the monitor's own.
pub const ROWS: u32 = 1024;

/// The bits of a route that mean something: six links, eighteen cores.
const ROUTE_BITS: u32 = 0x00FF_FFFF;

/// The route of a row that is not in use.
const UNUSED: Row = Row { route: 0xFF00_0000, key: 0xFFFF_FFFF, mask: 0, app: App(0) };

/// A row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    /// Links in bits 0 to 5, virtual cores above.
    pub route: u32,
    /// What a key must be.
    pub key: u32,
    /// In these bits.
    pub mask: u32,
    /// Whose it is.
    pub app: App,
}

/// Some rows in a row.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u32,
    rows: u32,
    owner: Option<App>,
}

/// The router.
#[derive(Debug)]
pub struct Router {
    rows: BTreeMap<u32, Row>,
    spans: Vec<Span>,
    fixed: u32,
}

impl Router {
    /// With no row but the monitor's.
    pub fn new(monitor: Row) -> Router {
        let rows = BTreeMap::from([(0, monitor)]);
        Router { rows, spans: vec![Span { first: 1, rows: ROWS - 1, owner: None }], fixed: 0 }
    }

    /// Forgets all rows but the first, and who had them.
    pub fn reset(&mut self) {
        self.rows.retain(|number, _| *number == 0);
        self.spans = vec![Span { first: 1, rows: ROWS - 1, owner: None }];
    }

    /// Takes so many rows; the first of them, zero if there is no room.
    pub fn take(&mut self, app: App, rows: u32) -> u32 {
        let fits = |span: &Span| span.owner.is_none() && span.rows >= rows;
        let Some(at) = self.spans.iter().position(fits).filter(|_| rows > 0) else { return 0 };
        let Span { first, rows: had, .. } = self.spans[at];
        self.spans[at] = Span { first, rows, owner: Some(app) };
        if had > rows {
            self.spans.insert(at + 1, Span { first: first + rows, rows: had - rows, owner: None });
        }
        first
    }

    /// Gives rows back, and forgets what is in them if so asked.
    pub fn free(&mut self, first: u32, clear: bool) {
        self.free_where(|span| span.first == first, clear);
    }

    /// Gives all rows of an application back; says how many rows in a row they were.
    pub fn free_all(&mut self, app: App, clear: bool) -> u32 {
        self.free_where(|span| span.owner == Some(app), clear)
    }

    fn free_where(&mut self, wanted: impl Fn(&Span) -> bool, clear: bool) -> u32 {
        let mut count = 0;
        for span in self.spans.iter_mut().filter(|span| span.owner.is_some() && wanted(span)) {
            span.owner = None;
            count += 1;
            if clear {
                self.rows.retain(|number, _| !(span.first..span.first + span.rows).contains(number));
            }
        }
        self.spans.dedup_by(|next, span| {
            let both_free = next.owner.is_none() && span.owner.is_none();
            if both_free {
                span.rows += next.rows;
            }
            both_free
        });
        count
    }

    /// The longest row of rows that is free.
    pub fn free_rows_max(&self) -> u16 {
        let free = self.spans.iter().filter(|span| span.owner.is_none()).map(|span| span.rows);
        free.max().unwrap_or(0) as u16
    }

    /// Forgets rows; false if there are not so many.
    pub fn clear(&mut self, first: u32, rows: u32) -> bool {
        let end = first.checked_add(rows).filter(|end| *end <= ROWS);
        if let Some(end) = end {
            self.rows.retain(|number, _| !(first..end).contains(number));
        }
        end.is_some()
    }

    /// Sets a row; false if there is none.
    pub fn set(&mut self, number: u32, row: Row) -> bool {
        if number < ROWS {
            self.rows.insert(number, Row { route: row.route & ROUTE_BITS, ..row });
        }
        number < ROWS
    }

    /// The route of packets without a key.
    pub fn fixed(&self) -> u32 {
        self.fixed
    }

    /// Sets it.
    pub fn set_fixed(&mut self, route: u32) {
        self.fixed = route & ROUTE_BITS;
    }

    /// The first row that is free, zero if none is.
    pub fn first_free(&self) -> u32 {
        self.spans.iter().find(|span| span.owner.is_none()).map_or(0, |span| span.first)
    }

    /// A word of the registers and the copy of the table, if one of them lies there.
    pub fn word(&self, address: u32) -> Option<u32> {
        if let Some(offset) = address.checked_sub(ROUTER_COPY).filter(|offset| *offset < 16 * (ROWS + 1)) {
            return Some(self.copied(offset / 16, offset % 16 / 4));
        }
        let offset = address.checked_sub(ROUTER + 0x4000).filter(|offset| *offset < 0xC000)?;
        let number = offset % 0x4000 / 4;
        let row = self.rows.get(&number).copied().filter(|_| number < ROWS).unwrap_or(UNUSED);
        Some([row.route, row.key, row.mask][(offset / 0x4000) as usize])
    }

    /// A word of a row of the copy: `owner<<16, next`, route, key, mask.
    fn copied(&self, number: u32, word: u32) -> u32 {
        let row = self.rows.get(&number);
        let span = self.spans.iter().find(|span| span.first == number);
        let owner = row.map(|row| row.app).or(span.and_then(|span| span.owner));
        let next = span.map_or(0, |span| span.first + span.rows);
        let shown = row.copied().unwrap_or(UNUSED);
        let owned = owner.map_or(0, |app| 0x8000 | u32::from(app.0));
        [owned << 16 | next, shown.route, shown.key, shown.mask][word as usize % 4]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_taken_set_shown_and_given_back() {
        let mut router = Router::new(Row { route: 1 << 6, key: 5, mask: 7, app: App(0) });
        assert_eq!(router.free_rows_max(), 1023);
        assert_eq!([router.take(App(3), 10), router.take(App(4), 1013), router.take(App(5), 1)], [1, 11, 0]);
        let row = Row { route: 0xFF00_0041, key: 0x1000, mask: 0xF000, app: App(3) };
        assert!(router.set(2, row) && !router.set(1024, row) && !router.clear(1000, 25));
        let copy = ROUTER_COPY + 2 * 16;
        assert_eq!(
            [0, 4, 8, 12].map(|offset| router.word(copy + offset)),
            [0x8003_0000, 0x41, 0x1000, 0xF000].map(Some)
        );
        assert_eq!(router.word(ROUTER + 0x8000 + 8), Some(0x1000));
        assert_eq!((router.free_all(App(3), true), router.free_all(App(3), true)), (1, 0));
        assert_eq!(router.word(copy + 4), Some(0xFF00_0000));
        router.free(11, false);
        assert_eq!((router.free_rows_max(), router.first_free()), (1023, 1));
        router.set_fixed(0x1234_5678);
        assert_eq!(router.fixed(), 0x0034_5678);
    }
}
