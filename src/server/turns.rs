//! Answers that take time, each leaving when it may: in the order of its request, or as it comes if it carries an id.

use super::conversation::{Later, Said};
use futures_util::Stream;
use futures_util::stream::{FuturesOrdered, FuturesUnordered};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

/// See above. Each answer bears a mark of who waits for it.
pub struct Turns<M> {
    /// Answers that must leave in the order of their requests.
    ordered: FuturesOrdered<Marked<M>>,
    /// Answers that carry an id, so that they may leave as they come.
    unordered: FuturesUnordered<Marked<M>>,
    /// A hand-shake that is being checked; nothing after it is looked at before it is over. One that carries an id may
    /// leave before the answers that wait.
    barrier: Option<(bool, Marked<M>)>,
}

impl<M> Turns<M> {
    /// Nobody waits.
    pub fn new() -> Turns<M> {
        Turns { ordered: FuturesOrdered::new(), unordered: FuturesUnordered::new(), barrier: None }
    }

    /// How many answers are to come, but for that of a hand-shake.
    pub fn in_flight(&self) -> usize {
        self.ordered.len() + self.unordered.len()
    }

    /// Whether no answer is to come.
    pub fn is_empty(&self) -> bool {
        self.in_flight() == 0 && self.barrier.is_none()
    }

    /// Whether a hand-shake is being checked.
    pub fn is_barred(&self) -> bool {
        self.barrier.is_some()
    }

    /// Whether what is answered at once may leave at once.
    pub fn is_free(&self) -> bool {
        self.ordered.is_empty()
    }

    /// Another answer is to come.
    pub fn add(&mut self, has_id: bool, mark: M, answer: Later) {
        let answer = Marked { mark: Some(mark), answer };
        match has_id {
            true => self.unordered.push(answer),
            false => self.ordered.push_back(answer),
        }
    }

    /// An answer that is known already has to wait for its turn.
    pub fn add_known(&mut self, mark: M, answer: Said) {
        self.add(false, mark, Box::pin(std::future::ready(answer)));
    }

    /// A hand-shake is being checked.
    pub fn bar(&mut self, has_id: bool, mark: M, answer: Later) {
        self.barrier = Some((has_id, Marked { mark: Some(mark), answer }));
    }

    /// The next answer that may leave now.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<(M, Said)> {
        if !self.ordered.is_empty()
            && let Poll::Ready(Some(answer)) = Pin::new(&mut self.ordered).poll_next(cx)
        {
            return Poll::Ready(answer);
        }
        let in_turn = self.ordered.is_empty();
        let barrier = self.barrier.as_mut().filter(|(has_id, _)| *has_id || in_turn);
        if let Some(Poll::Ready(answer)) = barrier.map(|(_, answer)| Pin::new(answer).poll(cx)) {
            self.barrier = None;
            return Poll::Ready(answer);
        }
        if !self.unordered.is_empty()
            && let Poll::Ready(Some(answer)) = Pin::new(&mut self.unordered).poll_next(cx)
        {
            return Poll::Ready(answer);
        }
        Poll::Pending
    }
}

/// An answer and its mark.
struct Marked<M> {
    mark: Option<M>,
    answer: Later,
}

/// A mark is moved out whole and never pinned.
impl<M> Unpin for Marked<M> {}

impl<M> Future for Marked<M> {
    type Output = (M, Said);

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<(M, Said)> {
        let Poll::Ready(answer) = self.answer.as_mut().poll(cx) else { return Poll::Pending };
        match self.mark.take() {
            Some(mark) => Poll::Ready((mark, answer)),
            // Nobody polls it again after it was ready.
            None => Poll::Pending,
        }
    }
}
