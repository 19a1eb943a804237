//! What is asked when, and what becomes of the answers.

use std::net::SocketAddr;
use std::sync::Mutex;

use futures::FutureExt as _;
use futures::future::BoxFuture;
use tokio::time::sleep;

use super::*;

/// Answers as it was told last, and keeps when it was asked.
#[derive(Debug)]
struct Names {
    answer: Mutex<Answer>,
    began: Instant,
    asked: Mutex<Vec<Duration>>,
}

#[derive(Clone, Debug)]
enum Answer {
    Found(Vec<&'static str>),
    Fails,
    Hangs,
}

#[derive(Debug, Default)]
struct Heard(Mutex<Vec<Event>>);

impl Listener for Heard {
    fn on_event(&self, event: &Event) {
        self.0.lock().unwrap().push(event.clone());
    }
}

impl Names {
    fn new(answer: Answer) -> Arc<Self> {
        Arc::new(Self {
            answer: Mutex::new(answer),
            began: Instant::now(),
            asked: Mutex::default(),
        })
    }

    fn say(&self, answer: Answer) {
        *self.answer.lock().unwrap() = answer;
    }

    fn asked(&self) -> Vec<Duration> {
        self.asked.lock().unwrap().clone()
    }

    fn gaps(&self) -> Vec<Duration> {
        self.asked().windows(2).map(|two| two[1].saturating_sub(two[0])).collect()
    }
}

impl Resolve for Names {
    fn resolve(&self) -> BoxFuture<'_, Result<Resolved, ResolveError>> {
        self.asked.lock().unwrap().push(self.began.elapsed());
        match self.answer.lock().unwrap().clone() {
            Answer::Found(texts) => {
                let addresses = sockets(&texts);
                let refresh = Some(Duration::from_secs(30));
                std::future::ready(Ok(Resolved { addresses, refresh, incomplete: None })).boxed()
            }
            Answer::Fails => {
                let host = "inventory".to_owned();
                let error = ResolveError::Lookup { host, source: "NXDOMAIN".into() };
                std::future::ready(Err(error)).boxed()
            }
            Answer::Hangs => std::future::pending().boxed(),
        }
    }
}

fn sockets(texts: &[&str]) -> Vec<Address> {
    texts.iter().map(|text| Address::from(text.parse::<SocketAddr>().unwrap())).collect()
}

fn seeded(seed: u64) -> Environment {
    Environment { random: Arc::new(Random::seeded(seed)), ..Environment::tokio() }
}

fn current(watched: &Watched) -> Vec<Address> {
    watched.addresses.borrow().as_deref().map(<[_]>::to_vec).unwrap_or_default()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Behaviour 45.
#[tokio::test(start_paused = true)]
async fn hosts_that_come_and_go_are_seen_without_any_traffic() {
    let names = Names::new(Answer::Found(vec!["10.0.0.2:1", "10.0.0.1:1", "10.0.0.2:1"]));
    let mut watched = watch(names.clone(), &seeded(1), "inventory".into());
    watched.addresses.changed().await.unwrap();
    assert_eq!(current(&watched), sockets(&["10.0.0.1:1", "10.0.0.2:1"]), "sorted, each once");

    names.say(Answer::Found(vec!["10.0.0.2:1", "10.0.0.3:1"]));
    let before = Instant::now();
    watched.addresses.changed().await.unwrap();
    assert_eq!(current(&watched), sockets(&["10.0.0.2:1", "10.0.0.3:1"]));
    assert!(before.elapsed() <= seconds(36));

    names.say(Answer::Found(vec!["10.0.0.3:1", "10.0.0.2:1"]));
    sleep(seconds(200)).await;
    assert!(!watched.addresses.has_changed().unwrap(), "another order is no change");
}

/// Behaviour 45.
#[tokio::test(start_paused = true)]
async fn an_empty_or_failed_answer_keeps_the_old_set_and_is_told_once() {
    let names = Names::new(Answer::Found(vec!["10.0.0.1:1"]));
    let heard = Arc::new(Heard::default());
    let listener = Arc::<Heard>::clone(&heard);
    let environment = Environment { listener, ..seeded(1) };
    let mut watched = watch(names.clone(), &environment, "inventory".into());
    watched.addresses.changed().await.unwrap();

    for bad in [Answer::Found(vec![]), Answer::Fails, Answer::Hangs] {
        names.say(bad);
        sleep(seconds(300)).await;
        assert_eq!(current(&watched), sockets(&["10.0.0.1:1"]));
    }
    assert!(!watched.addresses.has_changed().unwrap());
    assert_eq!(heard.0.lock().unwrap().len(), 1, "it is one trouble");

    names.say(Answer::Found(vec!["10.0.0.1:1"]));
    sleep(seconds(60)).await;
    names.say(Answer::Fails);
    sleep(seconds(60)).await;
    let event = |cause: &str| Event::ResolutionFailed {
        target: "inventory".into(),
        cause: cause.to_owned(),
    };
    let expected =
        [event("the answer has no addresses"), event("cannot resolve inventory: NXDOMAIN")];
    assert_eq!(*heard.0.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn good_answers_are_asked_for_every_thirty_seconds_give_or_take_a_fifth() {
    let names = Names::new(Answer::Found(vec!["10.0.0.1:1"]));
    let _watched = watch(names.clone(), &seeded(7), "inventory".into());
    sleep(seconds(30_000)).await;

    let gaps = names.gaps();
    assert!(gaps.iter().all(|gap| (seconds(24)..=seconds(37)).contains(gap)));
    assert!(gaps.iter().any(|gap| *gap < seconds(25)) && gaps.iter().any(|gap| *gap > seconds(35)));
    assert!((950..1050).contains(&gaps.len()), "{}", gaps.len());
}

#[tokio::test(start_paused = true)]
async fn after_a_failure_it_is_asked_sooner_but_never_within_five_seconds() {
    let mut firsts = Vec::new();
    for seed in 0..20 {
        let names = Names::new(Answer::Fails);
        let watched = watch(names.clone(), &seeded(seed), "inventory".into());
        sleep(seconds(600)).await;
        let gaps = names.gaps();
        assert!((seconds(5)..=seconds(11)).contains(&gaps[0]), "{gaps:?}");
        assert!(gaps[2..].iter().all(|gap| (seconds(15)..=seconds(31)).contains(gap)), "{gaps:?}");
        assert_eq!(watched.addresses.borrow().as_deref(), None);
        firsts.push(gaps[0]);
    }
    firsts.dedup();
    assert!(firsts.len() > 15, "not everyone asks at once");
}

#[tokio::test(start_paused = true)]
async fn a_hint_asks_at_once_but_many_hints_ask_every_five_seconds() {
    let names = Names::new(Answer::Found(vec!["10.0.0.1:1"]));
    let watched = watch(names.clone(), &seeded(1), "inventory".into());
    sleep(seconds(10)).await;
    assert_eq!(names.asked().len(), 1);

    let heard = Arc::new(Heard::default());
    let listener = watched.refresh.on_loss(heard.clone());
    let lost = Event::EndpointLost {
        target: "inventory".into(),
        endpoint: "10.0.0.1:1".into(),
        cause: "gone".to_owned(),
    };
    listener.on_event(&Event::ChaosChanged { rules: 1 });
    sleep(seconds(1)).await;
    assert_eq!(names.asked().len(), 1, "that says nothing about addresses");
    for _ in 0..100 {
        listener.on_event(&lost);
        sleep(Duration::from_millis(100)).await;
    }
    sleep(seconds(5)).await;

    let expected = [seconds(0), seconds(11), seconds(16), seconds(21)];
    let asked: Vec<_> = names.asked().iter().map(|at| seconds(at.as_secs())).collect();
    assert_eq!(asked, expected);
    assert_eq!(heard.0.lock().unwrap().len(), 101, "everything is handed on");
}

#[tokio::test(start_paused = true)]
async fn nothing_is_left_when_nobody_listens() {
    let alive = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = alive();
    let fixed = Arc::new(super::super::Static::new(sockets(&["10.0.0.1:1"])));
    let resolvers: [Arc<dyn Resolve>; 3] =
        [Names::new(Answer::Hangs), Names::new(Answer::Found(vec!["10.0.0.1:1"])), fixed];
    for resolver in resolvers {
        let watched = watch(resolver, &seeded(1), "inventory".into());
        let copy = watched.clone();
        drop(watched);
        sleep(seconds(1)).await;
        assert_eq!(alive(), before + 1);
        drop(copy);
        sleep(seconds(1)).await;
        assert_eq!(alive(), before);
    }
}
