//! A bell: many may ring it, one task hears it; ringing twice before it is heard is ringing once.

use futures_util::task::AtomicWaker;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// See above.
#[derive(Default)]
pub struct Bell {
    rung: AtomicBool,
    waker: AtomicWaker,
}

impl Bell {
    /// Wakes the task that listens, now or when it listens next.
    pub fn ring(&self) {
        self.rung.store(true, Ordering::Release);
        self.waker.wake();
    }

    /// Whether it was rung since it was last heard; if not, the task is woken when it is.
    pub fn poll_rung(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.waker.register(cx.waker());
        match self.rung.swap(false, Ordering::AcqRel) {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }

    /// Waits until it is rung.
    pub async fn heard(&self) {
        std::future::poll_fn(|cx| self.poll_rung(cx)).await
    }
}
