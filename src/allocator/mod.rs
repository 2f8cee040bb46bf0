//! stand-in while the allocator is written
#![allow(dead_code)]
pub mod geometry; pub mod link; pub mod request; mod shape; pub mod torus;
pub use geometry::Geometry; pub use link::Link; pub use request::*; pub use torus::{Chip, Torus, Triad};
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BoardIndex(pub u32);
use std::collections::BTreeSet;
#[derive(Clone)] pub struct Base { count: u32, taken: BTreeSet<BoardIndex>, dead: BTreeSet<BoardIndex>, oos: BTreeSet<BoardIndex> }
#[derive(Clone)] pub struct Triads { t: Torus, b: Base } #[derive(Clone)] pub struct Pool(Base);
#[derive(Debug)] pub struct Bad;
impl Triads { pub fn new(w: u32, h: u32, dead: &[Triad], _l: &[(Triad, Link)]) -> Result<Triads, Bad> { let t = Torus{width:w,height:h}; Ok(Triads { t, b: Base { count: w*h*3, taken: BTreeSet::new(), dead: dead.iter().map(|d| t.index(*d)).collect(), oos: BTreeSet::new() } }) } }
impl Pool { pub fn new(count: u32) -> Pool { Pool(Base { count, taken: BTreeSet::new(), dead: BTreeSet::new(), oos: BTreeSet::new() }) } }
#[derive(Clone)] pub struct Hold(BTreeSet<BoardIndex>);
impl Hold { pub fn contains(&self, b: BoardIndex) -> bool { self.0.contains(&b) } pub fn boards(&self) -> impl Iterator<Item = BoardIndex> + '_ { self.0.iter().copied() } }
#[derive(Clone)] pub enum Allocator { Triads(Triads), Pool(Pool) }
impl Allocator {
    fn b(&self) -> &Base { match self { Allocator::Triads(t) => &t.b, Allocator::Pool(p) => &p.0 } }
    fn m(&mut self) -> &mut Base { match self { Allocator::Triads(t) => &mut t.b, Allocator::Pool(p) => &mut p.0 } }
    fn boards(&self, r: &Request) -> Vec<BTreeSet<BoardIndex>> { match &r.size {
        Size::Board => (0..self.b().count).map(|b| BTreeSet::from([BoardIndex(b)])).collect(),
        Size::Count(n) => match self { Allocator::Pool(_) => vec![(0..self.b().count).map(BoardIndex).filter(|b| self.is_free(*b)).take(*n as usize).collect()], Allocator::Triads(t) => vec![(0..n.div_ceil(3)*3).map(BoardIndex).filter(|b| b.0 < t.b.count && !self.is_dead(*b)).collect()] },
        Size::Triads { width, height } => match self { Allocator::Triads(t) if *width <= t.t.width && *height <= t.t.height && *width * *height > 0 => { let mut v = vec![]; for x in 0..=t.t.width-width { for y in 0..=t.t.height-height { let mut s = BTreeSet::new(); for i in 0..*width { for j in 0..*height { for z in 0..3 { let b = t.t.index(Triad{x:x+i,y:y+j,z}); if !self.is_dead(b) { s.insert(b); } } } } v.push(s); } } v } _ => vec![] },
        Size::Named(v) => vec![v.iter().copied().collect()] } }
    pub fn board_count(&self) -> u32 { self.b().count }
    pub fn free_count(&self) -> u32 { (0..self.b().count).filter(|b| self.is_free(BoardIndex(*b))).count() as u32 }
    pub fn possible(&self, r: &Request) -> Result<(), Impossible> { let n = match &r.size { Size::Count(0) => return Err(Impossible::Nothing), Size::Count(n) => *n, _ => 1 }; if n <= self.b().count && self.boards(r).iter().any(|s| !s.is_empty() && s.iter().all(|b| !self.is_dead(*b))) { Ok(()) } else { Err(Impossible::Nothing) } }
    pub fn find(&self, r: &Request, h: &[&Hold]) -> Option<Placement> { let n = match &r.size { Size::Count(n) => *n as usize, _ => 1 }; self.boards(r).into_iter().find(|s| s.len() >= n && s.iter().all(|b| self.is_free(*b) && !h.iter().any(|h| h.contains(*b)))).map(|s| Placement { boards: s.into_iter().collect(), region: None }) }
    pub fn take(&mut self, b: &[BoardIndex]) { for b in b { assert!(self.m().taken.insert(*b)); } }
    pub fn give_back(&mut self, b: &[BoardIndex]) { for b in b { assert!(self.m().taken.remove(b)); } }
    pub fn set_out_of_service(&mut self, b: BoardIndex, on: bool) { if on { self.m().oos.insert(b); } else { self.m().oos.remove(&b); } }
    pub fn set_dead(&mut self, b: BoardIndex, on: bool) { if on { self.m().dead.insert(b); } else { self.m().dead.remove(&b); } }
    pub fn is_free(&self, b: BoardIndex) -> bool { let x = self.b(); b.0 < x.count && !x.taken.contains(&b) && !x.dead.contains(&b) && !x.oos.contains(&b) }
    pub fn is_dead(&self, b: BoardIndex) -> bool { self.b().dead.contains(&b) }
    pub fn hold(&self, r: &Request, _u: &dyn Fn(BoardIndex) -> u64) -> Option<Hold> { self.boards(r).into_iter().find(|s| !s.is_empty()).map(Hold) }
}
