//! What is done to the processes, and that it was really done.

use std::time::Duration;

use rand::seq::{IndexedMutRandom as _, SliceRandom as _};
use tokio::net::TcpStream;
use tokio::time::sleep;
use trellis_testkit::Nats;

use crate::child::Child;

/// How long a broker is away.
const AWAY: std::ops::Range<Duration> = Duration::ZERO..Duration::from_millis(500);

/// How often each was done and seen to be done.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Faults {
    pub(crate) relays_killed: u32,
    pub(crate) consumers_killed: u32,
    pub(crate) brokers_killed: u32,
    pub(crate) brokers_wiped: u32,
    /// Kills of what was dead already.
    pub(crate) unconfirmed: u32,
}

impl Faults {
    pub(crate) fn are_all_kinds(&self) -> bool {
        [self.relays_killed, self.consumers_killed, self.brokers_killed, self.brokers_wiped]
            .iter()
            .all(|&count| 0 < count)
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Relay,
    Consumer,
    Broker,
}

/// What there is to kill.
pub(crate) struct Victims<'a> {
    pub(crate) relays: Vec<Child>,
    pub(crate) consumers: Vec<Child>,
    pub(crate) nats: &'a Nats,
    pub(crate) faults: Faults,
    /// The kinds that are next; with each shuffle, every kind has its turn.
    deck: Vec<Kind>,
}

impl<'a> Victims<'a> {
    pub(crate) fn new(relays: Vec<Child>, consumers: Vec<Child>, nats: &'a Nats) -> Self {
        Self { relays, consumers, nats, faults: Faults::default(), deck: Vec::new() }
    }

    /// Does the next fault.
    pub(crate) async fn next(&mut self) {
        if self.deck.is_empty() {
            self.deck = vec![Kind::Relay, Kind::Consumer, Kind::Consumer, Kind::Broker];
            self.deck.shuffle(&mut rand::rng());
        }
        match self.deck.pop() {
            Some(Kind::Relay) => {
                let relay = self.relays.choose_mut(&mut rand::rng()).expect("there are some");
                note(
                    relay.kill_and_restart(),
                    &mut self.faults.relays_killed,
                    &mut self.faults.unconfirmed,
                );
            }
            Some(Kind::Consumer) => {
                let consumer = self.consumers.choose_mut(&mut rand::rng()).expect("there are some");
                note(
                    consumer.kill_and_restart(),
                    &mut self.faults.consumers_killed,
                    &mut self.faults.unconfirmed,
                );
            }
            Some(Kind::Broker) | None => self.kill_broker().await,
        }
    }

    async fn kill_broker(&mut self) {
        self.nats.kill();
        let is_gone = !answers(self.nats).await;
        note(is_gone, &mut self.faults.brokers_killed, &mut self.faults.unconfirmed);
        sleep(rand::random_range(AWAY)).await;
        self.nats.resume().await;
    }

    /// Robs the broker of all that it has.
    pub(crate) async fn wipe_broker(&mut self) {
        self.nats.wipe().await;
        self.faults.brokers_wiped += 1;
    }
}

fn note(is_confirmed: bool, count: &mut u32, unconfirmed: &mut u32) {
    *if is_confirmed { count } else { unconfirmed } += 1;
}

/// A killed server may take a moment to let go of its port.
async fn answers(nats: &Nats) -> bool {
    let url = nats.url();
    let address = url.trim_start_matches("nats://");
    for _ in 0..100 {
        if TcpStream::connect(address).await.is_err() {
            return false;
        }
        sleep(Duration::from_millis(10)).await;
    }
    true
}
