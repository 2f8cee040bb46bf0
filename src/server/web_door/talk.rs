//! A native conversation over channels: messages whole instead of bytes, everything else as at the native door. It is one
//! task; all that it waits for is polled in one place.

use super::super::bell::Bell;
use super::super::conversation::{Conversation, Form as Leaves, Handled, Said as Answer, TEXT_END};
use super::super::house::{House, Poke};
use super::super::pipe::{Broken, OUT_BYTES_PAUSE};
use super::super::turns::Turns;
use crate::error::{Code, Fault};
use crate::http::{Form, Heard, Said};
use crate::wire::{self, Body, FrameError, Unframer};
use async_channel::{Receiver, Sender};
use futures_util::Stream;
use std::collections::VecDeque;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// So many messages in a row, then others have their turn.
const MESSAGES_IN_A_ROW_MAX: usize = 16;

/// What is said beside answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// A greeting, notices, and what everybody is told: the peer stays.
    Lasting,
    /// Nothing: the peer has one question.
    AskedOnly,
}

/// The ends of the channels that a conversation holds.
pub struct Ends {
    /// What the peer says.
    pub hear: Receiver<Heard>,
    /// What it is told.
    pub say: Sender<Said>,
    /// Closes when it is gone.
    pub gone: Receiver<()>,
}

/// Something that is waited for.
type Wait<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// See above.
pub struct Talk {
    house: Arc<House>,
    number: u64,
    conversation: Conversation,
    bell: Arc<Bell>,
    manner: Manner,
    hear: Pin<Box<Receiver<Heard>>>,
    say: Sender<Said>,
    gone: Pin<Box<Receiver<()>>>,
    /// Answers that take time, and how each is to travel.
    turns: Turns<Form>,
    /// What is to be said, and how many bytes that is.
    unsaid: VecDeque<Said>,
    unsaid_bytes: usize,
    /// What is being said; false comes of it when nobody listens.
    saying: Option<Wait<bool>>,
    /// How the last message came: what nobody asked for travels likewise.
    form: Form,
    /// Nothing more is heard; what was heard is answered.
    closing: bool,
    /// Something that is watched may have changed.
    notices_due: bool,
    /// Runs out when a peer that never named a session is silent for too long.
    idle: Option<Wait<()>>,
}

impl Talk {
    /// A conversation that begins.
    pub fn new(house: Arc<House>, peer: SocketAddr, manner: Manner, ends: Ends) -> Talk {
        let number = house.number();
        let bell = house.enter(number);
        let conversation = Conversation::new(house.clone(), peer, number, bell.clone(), Leaves::Texts);
        Talk {
            house,
            number,
            conversation,
            bell,
            manner,
            hear: Box::pin(ends.hear),
            say: ends.say,
            gone: Box::pin(ends.gone),
            turns: Turns::new(),
            unsaid: VecDeque::new(),
            unsaid_bytes: 0,
            saying: None,
            form: Form::Text,
            closing: false,
            notices_due: false,
            idle: None,
        }
    }

    /// Greets, and serves until it is over.
    pub async fn run(mut self) {
        if self.manner == Manner::Lasting {
            self.tell(|conversation, out| conversation.greet(out));
        }
        self.set_idle();
        if self.house.end().is_some() {
            // Whoever was told to close was told before this one came.
            self.closing = true;
        }
        std::future::poll_fn(|cx| self.poll(cx)).await;
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..MESSAGES_IN_A_ROW_MAX {
            if self.gone.as_mut().poll_next(cx).is_ready() {
                return Poll::Ready(());
            }
            self.take_answers(cx);
            if self.bell.poll_rung(cx).is_ready() {
                self.take_pokes();
            }
            self.watch_time(cx);
            if self.poll_say(cx).is_err() || self.is_over() {
                return Poll::Ready(());
            }
            self.push_notices();
            let has_more = self.saying.is_none() && !self.unsaid.is_empty();
            if !self.poll_hear(cx) && !has_more {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Collects answers that took time.
    fn take_answers(&mut self, cx: &mut Context<'_>) {
        while let Poll::Ready((form, answer)) = self.turns.poll_next(cx) {
            let mut out = Vec::new();
            self.conversation.finish(answer, &mut out);
            self.push(form, out);
        }
    }

    /// Takes in what others want of this conversation.
    fn take_pokes(&mut self) {
        for poke in self.house.pokes_of(self.number) {
            if let (Poke::Command(command), false, Manner::Lasting) = (poke, self.closing, self.manner) {
                self.tell(|conversation, out| conversation.push_command(command, out));
            }
            self.closing = true;
        }
        self.notices_due = true;
    }

    /// Tells what changed, once everything was taken that was said before: until then changes coalesce.
    fn push_notices(&mut self) {
        let silent = self.saying.is_none() && self.unsaid.is_empty();
        if self.notices_due && silent && self.manner == Manner::Lasting {
            let mut out = Vec::new();
            self.notices_due = self.conversation.push_notices(&mut out);
            self.push(self.form, out);
        }
    }

    /// Whether there is nothing left to do.
    fn is_over(&self) -> bool {
        self.closing && self.turns.is_empty() && self.saying.is_none() && self.unsaid.is_empty()
    }

    /// Says what there is to say; what is not taken is kept up to a limit.
    fn poll_say(&mut self, cx: &mut Context<'_>) -> Result<(), Broken> {
        loop {
            if let Some(saying) = &mut self.saying {
                match saying.as_mut().poll(cx) {
                    Poll::Ready(true) => self.saying = None,
                    Poll::Ready(false) => return Err(Broken),
                    Poll::Pending => return self.keep_unsaid(),
                }
            }
            let Some(next) = self.unsaid.pop_front() else { return Ok(()) };
            self.unsaid_bytes -= next.bytes.len();
            let say = self.say.clone();
            self.saying = Some(Box::pin(async move { say.send(next).await.is_ok() }));
        }
    }

    fn keep_unsaid(&self) -> Result<(), Broken> {
        let kept_max = self.house.config().limits.output_bytes_max;
        if self.unsaid_bytes <= kept_max {
            return Ok(());
        }
        let (peer, why) = (self.conversation.peer(), Code::SLOW_READER.row().meaning);
        tracing::info!(%peer, "closed: {why} (limits.output_bytes_max = {kept_max})");
        Err(Broken)
    }

    /// Hears the next message, when another may be taken; false while there is none.
    fn poll_hear(&mut self, cx: &mut Context<'_>) -> bool {
        if self.closing || !self.may_take() {
            return false;
        }
        match self.hear.as_mut().poll_next(cx) {
            Poll::Pending => return false,
            Poll::Ready(Some(message)) => {
                self.take(message);
                self.set_idle();
            }
            // The peer will say no more.
            Poll::Ready(None) => {
                self.conversation.hear_end();
                self.closing = true;
            }
        }
        true
    }

    fn may_take(&self) -> bool {
        !self.turns.is_barred()
            && self.unsaid_bytes < OUT_BYTES_PAUSE
            && self.turns.in_flight() < self.house.config().limits.in_flight_max
    }

    fn take(&mut self, Heard { form, bytes }: Heard) {
        self.form = form;
        match form {
            Form::Text => self.take_body(form, &bytes),
            Form::Frame => match self.unframed(&bytes) {
                Ok(body) => self.take_body(form, &body),
                Err(fault) => self.refuse(form, &fault),
            },
        }
    }

    /// The body of a message that is one whole frame.
    fn unframed(&self, bytes: &[u8]) -> Result<Body, Fault> {
        let mut unframer = Unframer::new(self.house.frame_limits());
        let fault = |error: FrameError| Fault::new(error.code(), error.to_string());
        match unframer.feed(bytes) {
            (read, Some(Ok(body))) if read == bytes.len() => Ok(body),
            (_, Some(Ok(_))) => {
                Err(Fault::new(Code::INVALID_MESSAGE, "a binary message is one frame, and nothing behind it"))
            }
            (_, Some(Err(error))) => Err(fault(error)),
            (_, None) => Err(fault(unframer.give_up())),
        }
    }

    fn take_body(&mut self, form: Form, body: &[u8]) {
        let (waiting, mut out) = (self.turns.in_flight() > 0, Vec::new());
        match self.conversation.handle(body, waiting, &mut out) {
            Handled::Answered { has_id: false } if !self.turns.is_free() => {
                self.turns.add_known(form, Answer::from(out));
            }
            Handled::Answered { .. } => self.push(form, out),
            Handled::Later { has_id, answer } => self.turns.add(has_id, form, answer),
            Handled::Handshake { has_id, answer } => self.turns.bar(has_id, form, answer),
            Handled::Quit => {
                self.push(form, out);
                self.closing = true;
            }
        }
    }

    /// Refuses something that was no message, in its turn.
    fn refuse(&mut self, form: Form, fault: &Fault) {
        let mut out = Vec::new();
        self.conversation.push_error(fault, &mut out);
        match self.turns.is_free() {
            true => self.push(form, out),
            false => self.turns.add_known(form, Answer::from(out)),
        }
    }

    /// Says something that nobody asked for.
    fn tell(&mut self, write: impl FnOnce(&mut Conversation, &mut Vec<u8>)) {
        let mut out = Vec::new();
        write(&mut self.conversation, &mut out);
        self.push(self.form, out);
    }

    /// Takes texts to be said, each as a message of its own.
    fn push(&mut self, form: Form, mut out: Vec<u8>) {
        if out.last() == Some(&TEXT_END) {
            out.pop();
        }
        if out.is_empty() {
            return;
        }
        for text in out.split(|byte| *byte == TEXT_END) {
            let bytes = match form {
                Form::Text => text.to_vec(),
                Form::Frame => framed(text),
            };
            self.unsaid_bytes += bytes.len();
            self.unsaid.push_back(Said { form, bytes });
        }
    }

    /// Whoever never named a session must say something now and then.
    fn set_idle(&mut self) {
        self.idle = (!self.conversation.is_known()).then(|| {
            let (clock, idle_ms) = (self.house.clock.clone(), self.house.config().limits.idle_ms);
            let until = clock.now().plus_ms(idle_ms);
            Box::pin(async move { clock.sleep_until(until).await }) as Wait<()>
        });
    }

    fn watch_time(&mut self, cx: &mut Context<'_>) {
        let Some(idle) = &mut self.idle else { return };
        if idle.as_mut().poll(cx).is_ready() {
            self.idle = None;
            if !self.conversation.is_known() && self.turns.is_empty() {
                let fault = Fault::new(Code::IDLE_TIME, Code::IDLE_TIME.row().meaning);
                self.tell(|conversation, out| conversation.push_error(&fault, out));
                self.closing = true;
            }
        }
    }
}

fn framed(text: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    wire::encode(text, &mut frame);
    frame
}

impl Drop for Talk {
    fn drop(&mut self) {
        self.house.part(self.number);
    }
}
