//! Memory and routes of a chip: allocated, freed, loaded.

use super::super::scp::Unit;
use super::App;

/// What is asked of the heap of SDRAM and of the table of routes. Argument 1 is `flags<<16, app<<8, operation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Allocate {
    /// 0: a block of SDRAM. Answered with its address, 0 if there is none.
    Sdram {
        /// For whom.
        app: App,
        /// Argument 2: bytes.
        size: u32,
        /// Argument 3: the tag by which it is found again, 0 for none.
        tag: u32,
        /// Flag 4: if the tag is taken already, that block is the answer, so that asking again is safe.
        retry: bool,
    },
    /// 1: free a block. Nothing is answered.
    FreeSdram {
        /// Argument 2: its address.
        address: u32,
    },
    /// 2: free all blocks of an application. Answered with their number.
    FreeSdramOf {
        /// Whose.
        app: App,
    },
    /// 3: a row of routes. Answered with the first, 0 if there is none.
    Routes {
        /// For whom.
        app: App,
        /// Argument 2: how many.
        count: u32,
    },
    /// 4: free a row of routes. Nothing is answered.
    FreeRoutes {
        /// Argument 2: the first.
        first: u32,
    },
    /// 5: free all routes of an application. Answered with their number.
    FreeRoutesOf {
        /// Whose.
        app: App,
    },
    /// 6: what is left? Answered with two words.
    Space {
        /// Argument 2: the heap.
        heap: u32,
    },
    /// 7: the block with a tag. Answered with its address, 0 if there is none.
    Find {
        /// Whose.
        app: App,
        /// Argument 2: the tag.
        tag: u32,
    },
}

/// The flag that makes allocating again safe.
const RETRY: u32 = 4;

impl Allocate {
    pub(super) fn arguments(&self) -> [u32; 3] {
        let of = |app: App, operation: u32| u32::from(app.0) << 8 | operation;
        match *self {
            Allocate::Sdram { app, size, tag, retry } => {
                [if retry { RETRY << 16 } else { 0 } | of(app, 0), size, tag]
            }
            Allocate::FreeSdram { address } => [1, address, 0],
            Allocate::FreeSdramOf { app } => [of(app, 2), 0, 0],
            Allocate::Routes { app, count } => [of(app, 3), count, 0],
            Allocate::FreeRoutes { first } => [4, first, 0],
            Allocate::FreeRoutesOf { app } => [of(app, 5), 0, 0],
            Allocate::Space { heap } => [6, heap, 0],
            Allocate::Find { app, tag } => [of(app, 7), tag, 0],
        }
    }

    /// The nearest meaning, which may have lost something.
    pub(super) fn of_arguments([first, second, third]: [u32; 3]) -> Option<Allocate> {
        let app = App((first >> 8) as u8);
        Some(match first & 0xFF {
            0 => Allocate::Sdram { app, size: second, tag: third, retry: first >> 16 == RETRY },
            1 => Allocate::FreeSdram { address: second },
            2 => Allocate::FreeSdramOf { app },
            3 => Allocate::Routes { app, count: second },
            4 => Allocate::FreeRoutes { first: second },
            5 => Allocate::FreeRoutesOf { app },
            6 => Allocate::Space { heap: second },
            7 => Allocate::Find { app, tag: second },
            _ => return None,
        })
    }

    /// The fewest bytes that the body of a good reply has.
    pub fn reply_bytes_min(&self) -> usize {
        match self {
            Allocate::FreeSdram { .. } | Allocate::FreeRoutes { .. } => 0,
            Allocate::Space { .. } => 2 * Unit::WORD_BYTES,
            _ => Unit::WORD_BYTES,
        }
    }

    /// Whether asking takes or frees anything.
    pub fn changes_state(&self) -> bool {
        !matches!(self, Allocate::Space { .. } | Allocate::Find { .. })
    }
}

/// What is asked of the router. Argument 1 is `count<<16, app<<8, operation`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Router {
    /// 0: forget all routes.
    Init,
    /// 1: forget the routes of an application.
    Clear {
        /// Whose.
        app: App,
    },
    /// 2: take routes from a table in memory.
    Load {
        /// Whose they are.
        app: App,
        /// How many.
        count: u16,
        /// Argument 2: where the table lies.
        table: u32,
        /// Argument 3: the row of the router that the first is written to.
        offset: u32,
    },
    /// 3: where packets without a key go.
    SetFixedRoute {
        /// In whose name.
        app: App,
        /// Argument 2: the links and cores, a bit each; never bit 31 alone, which asks.
        route: u32,
    },
    /// 3, with bit 31 alone as argument 2: where do packets without a key go? Answered with a word.
    FixedRoute {
        /// In whose name.
        app: App,
    },
}

/// The word that asks for the fixed route.
const ASK: u32 = 1 << 31;

impl Router {
    pub(super) fn arguments(&self) -> [u32; 3] {
        let of = |app: App, operation: u32| u32::from(app.0) << 8 | operation;
        match *self {
            Router::Init => [0; 3],
            Router::Clear { app } => [of(app, 1), 0, 0],
            Router::Load { app, count, table, offset } => {
                [u32::from(count) << 16 | of(app, 2), table, offset]
            }
            Router::SetFixedRoute { app, route } => [of(app, 3), route, 0],
            Router::FixedRoute { app } => [of(app, 3), ASK, 0],
        }
    }

    /// The nearest meaning, which may have lost something.
    pub(super) fn of_arguments([first, second, third]: [u32; 3]) -> Option<Router> {
        let app = App((first >> 8) as u8);
        Some(match first & 0xFF {
            0 => Router::Init,
            1 => Router::Clear { app },
            2 => Router::Load { app, count: (first >> 16) as u16, table: second, offset: third },
            3 if second == ASK => Router::FixedRoute { app },
            3 => Router::SetFixedRoute { app, route: second },
            _ => return None,
        })
    }
}
