//! What the boards of a machine offer: by board, and by label, so that who needs a label finds its boards at once.

use super::board::OFFERS_MAX;
use crate::allocator::BoardIndex;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The offers of all boards of a machine.
#[derive(Clone, Debug, Default)]
pub struct Offers {
    by_board: BTreeMap<BoardIndex, Arc<[Arc<str>]>>,
    by_label: BTreeMap<Arc<str>, BTreeSet<BoardIndex>>,
}

impl Offers {
    /// What a board offers, in order.
    pub fn of(&self, board: BoardIndex) -> &[Arc<str>] {
        self.by_board.get(&board).map_or(&[], |labels| labels)
    }

    /// The boards that offer a label, in order.
    pub fn with(&self, label: &str) -> impl Iterator<Item = BoardIndex> {
        self.by_label.get(label).into_iter().flatten().copied()
    }

    /// The boards that offer anything, in order.
    pub fn boards(&self) -> impl Iterator<Item = &BoardIndex> {
        self.by_board.keys()
    }

    /// A board offers these labels now, and no others.
    pub fn set(&mut self, board: BoardIndex, labels: Arc<[Arc<str>]>) {
        for label in self.by_board.remove(&board).iter().flat_map(|labels| labels.iter()) {
            if let Some(boards) = self.by_label.get_mut(label) {
                boards.remove(&board);
                if boards.is_empty() {
                    self.by_label.remove(label);
                }
            }
        }
        for label in labels.iter() {
            self.by_label.entry(label.clone()).or_default().insert(board);
        }
        if !labels.is_empty() {
            self.by_board.insert(board, labels);
        }
    }

    /// Both ways of asking give the same answer, and nobody offers too much.
    pub fn check(&self) -> Result<(), String> {
        let mut by_label: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
        for (board, labels) in &self.by_board {
            if labels.len() > OFFERS_MAX || !labels.is_sorted_by(|one, next| one < next) {
                return Err(format!("the offers of board {} are too many, or in no order", board.0));
            }
            for label in labels.iter() {
                by_label.entry(label.clone()).or_default().insert(*board);
            }
        }
        match by_label == self.by_label {
            true => Ok(()),
            false => Err("boards offer other labels than are listed".to_owned()),
        }
    }
}
