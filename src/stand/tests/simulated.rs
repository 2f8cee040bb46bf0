//! Simulated burners, with a server and a clock that are not there either.

use super::super::message::{Reply, Said, Status, Tray, Verdict};
use super::super::simulate::{Deed, Settings, Share, Simulated, image};
use super::super::{ClientType, ErrorCode, Medium};
use crate::clock::Moment;

/// A burner, and the time.
struct Life {
    burner: Simulated,
    now: Moment,
}

/// When a burner did what.
type Story = Vec<(u64, Deed)>;

impl Life {
    fn new(settings: Settings, seed: u64) -> Life {
        Life { burner: Simulated::new(settings, seed, 0, Moment(0)), now: Moment(0) }
    }

    /// What it does until then, or until it hangs up.
    fn until(&mut self, ms: u64) -> Story {
        let mut story = Vec::new();
        loop {
            while let Some(deed) = self.burner.poll(self.now) {
                let over = deed == Deed::HangUp;
                story.push((self.now.0, deed));
                if over {
                    return story;
                }
            }
            match self.burner.wake_at().filter(|at| at.0 <= ms) {
                Some(at) => self.now = at,
                None => break,
            }
        }
        self.now = Moment(ms);
        story
    }

    /// Connects, and is asked what a server asks.
    fn introduce(&mut self) -> Story {
        assert_eq!(self.until(self.now.0), [(self.now.0, Deed::Connect)]);
        self.burner.connected();
        self.burner.hear(self.now, &Reply::Ident);
        self.burner.hear(self.now, &Reply::Capab);
        self.until(self.now.0)
    }

    fn burn(&mut self) {
        self.burner.hear(self.now, &Reply::Burn { image: image(1) });
    }
}

fn status(status: Status) -> Deed {
    Deed::Say(Said::Status(status))
}

fn tray(tray: Tray) -> Deed {
    status(Status::Tray { disc: Medium::Dvd, tray })
}

fn percent(percent: u8) -> Deed {
    status(Status::Burning { image: image(1), percent, time_s: (percent == 100).then_some(8) })
}

fn verdict(verdict: Verdict) -> Deed {
    status(Status::Verified { image: image(1), verdict })
}

#[test]
fn a_disc_is_burnt_verified_and_changed() {
    let mut life = Life::new(Settings::default(), 7);
    let client = ClientType::Burner(Medium::Dvd);
    let images = vec![image(0), image(1), image(2)];
    let (id, cap) =
        (Said::Id { client, uid: life.burner.uid() }, Said::Cap { burner: Some(Medium::Dvd), images });
    assert_eq!(life.introduce(), [(0, Deed::Say(id)), (0, Deed::Say(cap)), (0, tray(Tray::Avail))]);
    assert_eq!(life.until(20_500), [(10_000, tray(Tray::Avail)), (20_000, tray(Tray::Avail))]);
    life.burn();
    let story = [
        (20_500, percent(0)),
        (22_500, percent(25)),
        (24_500, percent(50)),
        (26_500, percent(75)),
        (28_500, percent(100)),
        (30_500, verdict(Verdict::Pass)),
        (30_500, tray(Tray::Open)),
        (32_500, tray(Tray::Avail)),
    ];
    assert_eq!(life.until(33_000), story);
}

#[test]
fn what_cannot_be_burnt_is_refused() {
    let mut life = Life::new(Settings::default(), 0);
    life.introduce();
    life.burner.hear(life.now, &Reply::Burn { image: image(9) });
    life.burn();
    life.burn();
    let codes = life.until(0).into_iter().filter_map(|(_, deed)| match deed {
        Deed::Say(Said::Error { code, .. }) => Some(code),
        _ => None,
    });
    assert_eq!(codes.collect::<Vec<_>>(), [ErrorCode::NOISO, ErrorCode::NODISC]);
    // Opening the tray ends it.
    life.burner.hear(life.now, &Reply::Open);
    assert_eq!(life.until(9_999), [(0, tray(Tray::Open)), (2_000, tray(Tray::Avail))]);
}

#[test]
fn bad_discs_are_as_many_as_they_should_be() {
    let failed = |fail| {
        let settings = Settings { fail, avail_ms: 1_000_000, ..Settings::default() };
        let mut life = Life::new(settings, 3);
        life.introduce();
        let story: Story = (1..=200)
            .flat_map(|round| {
                life.burn();
                life.until(round * 20_000)
            })
            .collect();
        let count = |what| story.iter().filter(|(_, deed)| *deed == verdict(what)).count();
        assert_eq!(count(Verdict::Pass) + count(Verdict::Fail), 200);
        count(Verdict::Fail)
    };
    assert_eq!((failed(Share::default()), failed(Share::ALL)), (0, 200));
    assert!((20..=60).contains(&failed(Share::new(0.2).unwrap())));
}

#[test]
fn a_burner_that_drops_out_comes_back_with_its_name_and_another_disc() {
    let settings = Settings { drop: Share::ALL, ..Settings::default() };
    let mut life = Life::new(settings, 5);
    life.introduce();
    let uid = life.burner.uid();
    life.burn();
    let story = life.until(100_000);
    let (at, last) = story.last().unwrap();
    assert_eq!((last, &story[0].1), (&Deed::HangUp, &percent(0)));
    assert!(!story.iter().any(|(_, deed)| *deed == verdict(Verdict::Pass)));
    let back = at + 5_000;
    assert_eq!(life.until(back - 1), []);
    life.now = Moment(back);
    let story = life.introduce();
    let id = Said::Id { client: ClientType::Burner(Medium::Dvd), uid };
    assert_eq!(story.first(), Some(&(back, Deed::Say(id))));
    assert_eq!(story.last(), Some(&(back, tray(Tray::Avail))));
}

#[test]
fn a_server_that_hangs_up_finds_the_burn_where_it_is() {
    let mut life = Life::new(Settings::default(), 0);
    life.introduce();
    life.burn();
    life.until(2_500);
    life.burner.hung_up(life.now);
    assert_eq!(life.until(3_499), []);
    life.now = Moment(3_500);
    let story = life.introduce();
    assert_eq!(story.last(), Some(&(3_500, percent(25))));
    assert_eq!(life.until(4_000), [(4_000, percent(50))]);
    // The disc is done while nobody listens; that is told afterwards.
    life.burner.hung_up(life.now);
    life.now = Moment(60_000);
    let story = life.introduce();
    let done = [percent(100), verdict(Verdict::Pass), tray(Tray::Open)].map(|deed| (60_000, deed));
    assert_eq!(story[story.len() - 3..], done);
}

#[test]
fn the_same_seed_is_the_same_life() {
    let lives = |seed| {
        let settings = Settings {
            fail: Share::new(0.5).unwrap(),
            drop: Share::new(0.3).unwrap(),
            ..Settings::default()
        };
        let mut life = Life::new(settings, seed);
        let mut story = Vec::new();
        for _ in 0..30 {
            if life.burner.wake_at() == Some(life.now) || story.is_empty() {
                story.extend(life.introduce());
            }
            life.burn();
            let end = life.now.0 + 20_000;
            story.extend(life.until(end));
            if story.last().is_some_and(|(_, deed)| *deed == Deed::HangUp) {
                life.now = life.burner.wake_at().unwrap();
            }
        }
        story
    };
    assert_eq!(lives(1), lives(1));
    assert_ne!(lives(1), lives(2));
    let uids = |seed| [0, 1].map(|number| Simulated::new(Settings::default(), seed, number, Moment(0)).uid());
    assert!(uids(1)[0] != uids(1)[1] && uids(1)[0] != uids(2)[0] && uids(1) == uids(1));
}
