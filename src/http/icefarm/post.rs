//! Who is told what. A client is whoever calls himself so: he may have several sockets, and one that leaves takes nothing
//! from the others. What concerns a client who is away waits for a while.
//!
//! Clients open two sorts of sockets, one for the control server and one for each worker. Those of ours that stand for a
//! worker say so in their address; older clients drop that, so theirs are used for both.

use super::farm::{Farm, Held, News};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep};

/// Events that wait for a socket; one that takes no more of them is given up.
const MAIL_MAX: usize = 1024;

/// Events that wait for a client who is away; the oldest are dropped.
const KEPT_MAX: usize = 256;

/// How long things wait.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// Events for a client who is away.
    pub kept_max: Duration,
    /// The word that a board is ready: a client only listens for it once it has its answer and its socket, and nothing
    /// tells when that is.
    pub ready_after: Duration,
}

impl Times {
    /// Those of published clients.
    pub const DEFAULT: Times =
        Times { kept_max: Duration::from_secs(60), ready_after: Duration::from_millis(400) };
}

/// Clients who are away and for whom something waits.
const AWAY_MAX: usize = 10_000;

/// The `serial` of what concerns no board.
const META: &str = "meta";

/// An event as it is sent: JSON text.
pub type Mail = Arc<str>;

/// See above.
pub struct Post {
    farm: Arc<dyn Farm>,
    times: Times,
    inside: Mutex<Inside>,
    amount: watch::Sender<Option<usize>>,
}

/// Who is there, and what waits for whom.
#[derive(Default)]
struct Inside {
    clients: BTreeMap<Arc<str>, Client>,
    /// Holders of boards that are ready and have no agent.
    ready: BTreeMap<Arc<str>, Arc<str>>,
    /// Sockets there are.
    sockets: usize,
    next: u64,
}

/// A client.
#[derive(Default)]
struct Client {
    sockets: BTreeMap<u64, Socket>,
    /// What it was not told yet, and since when that waits.
    kept: VecDeque<(Instant, Mail)>,
}

/// A socket of a client.
struct Socket {
    sort: Sort,
    mail: mpsc::Sender<Mail>,
}

/// What a socket is for, as far as we know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// For the control server; of older clients, for either.
    Control,
    /// For a worker.
    Worker,
}

/// What a socket is to be told, from now on.
pub struct Mailbox {
    /// The number under which it leaves.
    pub number: u64,
    /// What concerns its client. Closed when it is given up.
    pub mail: mpsc::Receiver<Mail>,
    /// How many boards are available.
    pub amount: watch::Receiver<Option<usize>>,
}

impl Post {
    /// Nobody is there.
    pub fn new(farm: Arc<dyn Farm>, times: Times) -> Post {
        Post { farm, times, inside: Mutex::default(), amount: watch::Sender::new(None) }
    }

    /// A client has another socket. What waited for the client is in its mailbox already.
    pub fn join(self: &Arc<Post>, name: &Arc<str>, sort: Sort) -> Mailbox {
        let (sender, mail) = mpsc::channel(MAIL_MAX);
        let mut inside = self.inside();
        inside.next += 1;
        let number = inside.next;
        let client = inside.clients.entry(name.clone()).or_default();
        if sort == Sort::Control {
            client.forget_old(self.times.kept_max);
            for (_, text) in client.kept.drain(..) {
                // There is more room than was kept.
                let _ = sender.try_send(text);
            }
        }
        client.sockets.insert(number, Socket { sort, mail: sender });
        inside.sockets += 1;
        if inside.sockets == 1 {
            self.farm.watch_available(true);
        }
        let has_ready = inside.ready.values().any(|holder| holder == name);
        drop(inside);
        if has_ready {
            let name = name.clone();
            self.after_a_while(move |post| post.announce(|holder, _| *holder == *name));
        }
        let mut amount = self.amount.subscribe();
        // The number there is now is news to who has just come.
        amount.mark_changed();
        Mailbox { number, mail, amount }
    }

    /// A socket has left.
    pub fn leave(&self, name: &str, number: u64) {
        let mut inside = self.inside();
        let Some(client) = inside.clients.get_mut(name) else { return };
        let was_there = client.sockets.remove(&number).is_some();
        if client.is_gone(self.times.kept_max) {
            inside.clients.remove(name);
        }
        if was_there {
            inside.sockets -= 1;
            if inside.sockets == 0 {
                self.farm.watch_available(false);
                self.amount.send_replace(None);
            }
        }
    }

    /// How many sockets there are.
    pub fn sockets(&self) -> usize {
        self.inside().sockets
    }

    /// Passes on something that happened.
    pub fn hear(self: &Arc<Post>, news: News) {
        match news {
            News::Available(amount) => drop(self.amount.send_replace(Some(amount))),
            News::EndingSoon(held) => self.tell_holder(&held, "reservation ending soon"),
            News::Failed(held) => self.tell_holder(&held, "failure"),
            News::Ended(held) => {
                let mut inside = self.inside();
                if inside.ready.get(&held.serial) == Some(&held.name) {
                    inside.ready.remove(&held.serial);
                }
                drop(inside);
                self.tell_holder(&held, "reservation end");
            }
            News::Ready(held) => {
                self.inside().ready.insert(held.serial.clone(), held.name);
                self.after_a_while(move |post| post.announce(|_, serial| *serial == *held.serial));
            }
        }
    }

    /// These boards were switched off and on: those that were ready are so again.
    pub fn rebooted(self: &Arc<Post>, serials: &[Arc<str>]) {
        let serials: BTreeSet<Arc<str>> = serials.iter().cloned().collect();
        self.after_a_while(move |post| post.announce(|_, serial| serials.contains(serial)));
    }

    fn after_a_while(self: &Arc<Post>, act: impl FnOnce(&Post) + Send + 'static) {
        let post = self.clone();
        drop(tokio::spawn(async move {
            sleep(post.times.ready_after).await;
            act(&post);
        }));
    }

    /// Tells the holders of boards that these are ready, as a worker would. Who is not there hears it when he comes.
    fn announce(&self, which: impl Fn(&str, &str) -> bool) {
        let mut inside = self.inside();
        let Inside { clients, ready, sockets, .. } = &mut *inside;
        for (serial, name) in ready.iter().filter(|(serial, name)| which(name, serial)) {
            if let Some(client) = clients.get_mut(name) {
                let any_worker = client.sockets.values().any(|socket| socket.sort == Sort::Worker);
                let text = event(serial, json!({"event": "initialized"}));
                *sockets -= client.send(&text, |sort| !any_worker || sort == Sort::Worker).cut;
            }
        }
    }

    /// Tells a client something of a board, now or when he comes back.
    fn tell_holder(&self, held: &Held, word: &str) {
        let text = event(&held.serial, json!({"event": word}));
        let mut inside = self.inside();
        if !inside.clients.contains_key(&held.name) && inside.clients.len() >= AWAY_MAX + inside.sockets {
            inside.clients.retain(|_, client| !client.is_gone(self.times.kept_max));
            if inside.clients.len() >= AWAY_MAX + inside.sockets {
                return;
            }
        }
        let client = inside.clients.entry(held.name.clone()).or_default();
        let Sent { told, cut } = client.send(&text, |sort| sort == Sort::Control);
        if told == 0 {
            client.keep(text, self.times.kept_max);
        }
        inside.sockets -= cut;
    }

    /// What is inside stays whole, so a panic elsewhere does no harm.
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of sending something to a client.
struct Sent {
    /// Sockets that will be told.
    told: usize,
    /// Sockets that were given up because they take nothing.
    cut: usize,
}

impl Client {
    /// Sends something to the sockets of a sort.
    fn send(&mut self, text: &Mail, to: impl Fn(Sort) -> bool) -> Sent {
        let (mut sent, before) = (Sent { told: 0, cut: 0 }, self.sockets.len());
        self.sockets.retain(|_, socket| {
            let fits = !to(socket.sort) || socket.mail.try_send(text.clone()).is_ok();
            sent.told += usize::from(fits && to(socket.sort));
            fits
        });
        sent.cut = before - self.sockets.len();
        sent
    }

    fn keep(&mut self, text: Mail, time_max: Duration) {
        self.forget_old(time_max);
        if self.kept.len() >= KEPT_MAX {
            self.kept.pop_front();
        }
        self.kept.push_back((Instant::now(), text));
    }

    fn forget_old(&mut self, time_max: Duration) {
        while self.kept.front().is_some_and(|(since, _)| since.elapsed() >= time_max) {
            self.kept.pop_front();
        }
    }

    /// Whether there is nobody, and nothing waits.
    fn is_gone(&mut self, time_max: Duration) -> bool {
        self.forget_old(time_max);
        self.sockets.is_empty() && self.kept.is_empty()
    }
}

/// How many boards there are, as clients are told.
pub fn available(amount: usize) -> Mail {
    event(META, json!({"event": "devices_available", "amount": amount}))
}

/// An event, as text.
fn event(serial: &str, content: Value) -> Mail {
    json!({"serial": serial, "contents": [content]}).to_string().into()
}

#[cfg(test)]
mod tests {
    use super::super::farm::{Admission, Answer, Ask};
    use super::*;
    use crate::error::Fault;
    use crate::http::house::Later;
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A farm of which only is asked whether somebody wants to know how many boards there are.
    #[derive(Default)]
    struct Watched(AtomicBool);

    impl Farm for Watched {
        fn admits(&self, _: std::net::IpAddr) -> Admission {
            Admission::Welcome
        }
        fn own_url(&self) -> Option<String> {
            None
        }
        fn ask(&self, _: Ask) -> Later<'static, Result<Answer, Fault>> {
            Box::pin(async { Ok(Answer::Done) })
        }
        fn news(&self) -> async_channel::Receiver<News> {
            async_channel::bounded(1).1
        }
        fn watch_available(&self, wanted: bool) {
            self.0.store(wanted, Ordering::Relaxed);
        }
    }

    fn held(serial: &str) -> Held {
        Held { name: "me".into(), serial: serial.into() }
    }

    /// What is in a mailbox, in short.
    fn heard(mail: &mut Mailbox) -> String {
        let mut all = Vec::new();
        while let Ok(text) = mail.mail.try_recv() {
            let event: Value = serde_json::from_str(&text).expect("JSON");
            let word = event["contents"][0]["event"].as_str().expect("an event").to_owned();
            all.push(format!("{} {word}", event["serial"].as_str().expect("a serial")));
        }
        all.join(", ")
    }

    /// What comes next, in short.
    async fn next(mail: &mut Mailbox) -> String {
        let text = mail.mail.recv().await.expect("an event");
        let event: Value = serde_json::from_str(&text).expect("JSON");
        format!("{} {}", event["serial"], event["contents"][0]["event"]).replace('"', "")
    }

    /// Runs a test with these times.
    fn run(kept_max: Duration, test: impl AsyncFnOnce(Arc<Post>, Arc<Watched>)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let watched = Arc::new(Watched::default());
        let times = Times { kept_max, ready_after: Duration::ZERO };
        let post = Arc::new(Post::new(watched.clone(), times));
        runtime.expect("a runtime").block_on(test(post, watched));
    }

    #[test]
    fn all_sockets_of_a_client_hear_and_one_that_leaves_takes_nothing_from_the_others() {
        run(Duration::MAX, async |post, watched| {
            let name: Arc<str> = "me".into();
            let (mut old, mut new) = (post.join(&name, Sort::Control), post.join(&name, Sort::Control));
            assert!(watched.0.load(Ordering::Relaxed) && post.sockets() == 2);
            post.hear(News::EndingSoon(held("a")));
            assert_eq!([heard(&mut old), heard(&mut new)], ["a reservation ending soon"; 2]);
            post.leave("me", old.number);
            post.leave("me", old.number);
            post.hear(News::Failed(held("a")));
            assert_eq!([heard(&mut old), heard(&mut new)], ["", "a failure"]);
            post.leave("me", new.number);
            assert!(!watched.0.load(Ordering::Relaxed) && post.sockets() == 0);
        });
    }

    #[test]
    fn what_concerns_a_client_who_is_away_waits_for_a_while() {
        let name: Arc<str> = "me".into();
        run(Duration::MAX, async |post, _| {
            post.hear(News::Ended(held("b")));
            // A worker's socket is not where he hears of it.
            let mut worker = post.join(&name, Sort::Worker);
            let mut control = post.join(&name, Sort::Control);
            assert_eq!([heard(&mut worker), heard(&mut control)], ["", "b reservation end"]);
            post.leave("me", control.number);
            (0..=KEPT_MAX).for_each(|nth| post.hear(News::Ended(held(&nth.to_string()))));
            let kept = heard(&mut post.join(&name, Sort::Control));
            assert_eq!((kept.split(", ").count(), kept.starts_with("1 ")), (KEPT_MAX, true));
        });
        run(Duration::ZERO, async |post, _| {
            post.hear(News::Ended(held("b")));
            assert_eq!(heard(&mut post.join(&name, Sort::Control)), "");
        });
    }

    #[test]
    fn a_board_is_ready_when_its_holder_can_hear_of_it() {
        run(Duration::MAX, async |post, _| {
            let name: Arc<str> = "me".into();
            let mut control = post.join(&name, Sort::Control);
            let mut worker = post.join(&name, Sort::Worker);
            post.hear(News::Ready(held("a")));
            assert_eq!(heard(&mut worker), "", "never at once");
            assert_eq!(next(&mut worker).await, "a initialized");
            post.rebooted(&["a".into(), "b".into()]);
            assert_eq!(next(&mut worker).await, "a initialized");
            // Who comes later hears of it as well; and while there are sockets for workers, no other does.
            let mut late = post.join(&name, Sort::Worker);
            assert_eq!([next(&mut late).await, next(&mut worker).await], ["a initialized"; 2]);
            assert_eq!(heard(&mut control), "");
            post.leave("me", worker.number);
            post.leave("me", late.number);
            post.rebooted(&["a".into()]);
            assert_eq!(next(&mut control).await, "a initialized", "a client that knows no sorts");
            post.hear(News::Ready(held("b")));
            post.hear(News::Ended(held("a")));
            post.rebooted(&["a".into()]);
            post.rebooted(&["b".into()]);
            let mut words = Vec::new();
            for _ in 0..3 {
                words.push(next(&mut control).await);
            }
            assert_eq!(words, ["a reservation end", "b initialized", "b initialized"]);
        });
    }

    #[test]
    fn a_socket_that_takes_nothing_is_given_up() {
        run(Duration::MAX, async |post, _| {
            let name: Arc<str> = "me".into();
            let mut slow = post.join(&name, Sort::Control);
            (0..=MAIL_MAX).for_each(|_| post.hear(News::EndingSoon(held("a"))));
            assert_eq!(post.sockets(), 0);
            assert_eq!(heard(&mut slow).split(", ").count(), MAIL_MAX);
            assert!(slow.mail.recv().await.is_none(), "it is told all there was, and that is the end");
            // What did not fit waits for the next one.
            assert_eq!(heard(&mut post.join(&name, Sort::Control)), "a reservation ending soon");
        });
    }
}
