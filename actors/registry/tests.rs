#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::*;
use crate::config::{About, LogTarget, SubscribeAll};
use crate::messages::client::{End, LimitReached, Message as ToClient};
use crate::messages::publisher::Receipt;
use crate::model::publication::Targets;
use crate::model::{
    Channel, ClientId, ClientKey, Cors, Form, Member, Policy, Positions, Publication, Resume,
    Retention, Subscription, Target, Token,
};
use crate::net::stream::Stream;
use crate::wire::sse::Frame;

/// So many events of each token, of at most a minute.
pub(crate) fn kept(count: usize, bytes: usize) -> Policy {
    let age = Some(Duration::from_secs(60));
    Policy::new(Retention { count, age }, bytes)
}

pub(crate) fn config() -> Config {
    Config {
        path: "/sse".into(),
        cors: Cors::Any,
        delimiter: b';',
        max_message: 1000,
        max_connections: 100,
        max_clients: 3,
        max_clients_per_ip: Some(2),
        ip6_prefix: 64,
        max_tokens: 256,
        total_buffer: 256 << 20,
        trust_proxy: Default::default(),
        history: kept(3, 1 << 20),
        history_file: None,
        bus: None,
        mercure: None,
        client_buffer: 1 << 20,
        heartbeat: None,
        retry: None,
        presence: Vec::new(),
        presence_grace: Duration::from_secs(10),
        subscribe_all: SubscribeAll::Nobody,
        subscribe_keys: None,
        reinit: false,
        silence_ends_message: false,
        tls: None,
        encrypted: false,
        control_hosts: Vec::new(),
        max_publishers: 512,
        shut_windows: false,
        watch_secret: None,
        control_secret: None,
        log_level: LogLevel::Quiet,
        log: LogTarget::Stderr,
        fifo: None,
        about: About {
            version: "2.0.0",
            compiled: "today",
            user: None,
        },
        warnings: Vec::new(),
        reread: None,
        greeting: None,
    }
}

/// A registry whose clients do nothing: what it sends them stays in their mailboxes.
struct Rig {
    registry: Registry,
    peers: Vec<UnixStream>,
}

impl Rig {
    fn new() -> Self {
        Self::with(|_| {})
    }

    fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_file(change, None)
    }

    fn with_file(change: impl FnOnce(&mut Config), kept: Option<Kept>) -> Self {
        let mut config = config();
        change(&mut config);
        let settings = Settings::new(config);
        let pool = ClientPool::new(1 << 20, 100, |_, _| {}).unwrap();
        let (log, _) = logger::logger(&LogTarget::Stderr, 10).unwrap();
        Self {
            registry: Registry::new(settings, pool, Rc::default(), log, kept, None),
            peers: Vec::new(),
        }
    }

    fn connect(&mut self, address: &str) -> ClientKey {
        let (ours, theirs) = UnixStream::pair().unwrap();
        self.peers.push(theirs);
        let stream = Stream::new(OwnedFd::from(ours), None).unwrap();
        let key = self
            .registry
            .pool
            .join(stream, None, |_| std::future::pending())
            .unwrap();
        let address: std::net::SocketAddr = address.parse().unwrap();
        self.registry.handle_client(FromClient::Arrived {
            key,
            peer: address.into(),
            descriptor: 7,
            tls: false,
        });
        key
    }

    fn subscribe(&mut self, key: ClientKey, token: &str, id: Option<&str>, resume: Resume) {
        self.subscribe_as(key, token, id, Form::default(), resume);
    }

    fn subscribe_as(
        &mut self,
        key: ClientKey,
        tokens: &str,
        id: Option<&str>,
        form: Form,
        resume: Resume,
    ) {
        let tokens = tokens.split(' ').map(|token| Token::new(token).unwrap());
        self.registry.handle_client(FromClient::Subscribe {
            key,
            subscription: Subscription {
                tokens: tokens.collect(),
                all: false,
                id: id.map(|id| ClientId::new(id).unwrap()),
                form,
                hub: None,
                presence: false,
                inside: false,
            },
            resume,
            member: Member::default(),
            recent_of: Vec::new(),
            ends: None,
            agent: Some("agent".into()),
        });
    }

    fn client(&mut self, token: &str, id: Option<&str>, resume: Resume) -> ClientKey {
        let address = format!("10.0.0.{}:5", self.peers.len());
        let key = self.connect(&address);
        self.subscribe(key, token, id, resume);
        key
    }

    fn publish(&mut self, token: &str, except: Option<&str>) -> Receipt {
        let mut publication = Publication::new(Target::Token(Token::new(token).unwrap()), "x");
        publication.except = except.map(|id| ClientId::new(id).unwrap());
        self.registry.publish(publication, Channel::Tcp)
    }

    fn publish_unkept(&mut self, token: &str) -> Receipt {
        let mut publication = Publication::new(Target::Token(Token::new(token).unwrap()), "x");
        publication.retain = false;
        self.registry.publish(publication, Channel::Tcp)
    }

    /// What a client is told that asks for each part of its replay until it has all.
    fn told_in_all(&mut self, key: ClientKey) -> Vec<String> {
        let mut all = self.told(key);
        while all.last().is_some_and(|last| last == "More") {
            all.pop();
            self.registry.handle_client(FromClient::More { key });
            all.extend(self.told(key));
        }
        all
    }

    /// What a client was told, events by their ids, positions without.
    fn told(&self, key: ClientKey) -> Vec<String> {
        let told = self.registry.pool.take_waiting(key.index);
        let text = |message: ToClient| match message {
            ToClient::Event(frame) => {
                let text = String::from_utf8(frame.bytes(false).to_vec()).unwrap();
                match frame.is_event() {
                    true => text.lines().next().unwrap().to_owned(),
                    false if text.starts_with("id: ") => "position".into(),
                    false => text.lines().nth(1).unwrap().to_owned(),
                }
            }
            other => format!("{other:?}"),
        };
        told.into_iter().map(text).collect()
    }
}

#[test]
fn a_message_reaches_its_subscribers_but_the_one_who_is_spared() {
    let mut rig = Rig::new();
    let one = rig.client("a", Some("me"), Resume::Live);
    let two = rig.client("a", None, Resume::Live);
    assert_eq!(rig.told(one), ["Accepted", "position"]);
    assert_eq!(rig.told(two), ["Accepted", "position"]);
    let first = rig.publish("a", None);
    let second = rig.publish("a", Some("me"));
    assert_eq!((first.recipients, second.recipients), (2, 1));
    assert!(first.id < second.id);
    assert_eq!(rig.publish("b", None).recipients, 0);
    assert_eq!(rig.told(one), [format!("id: {}", first.id)]);
    assert_eq!(
        rig.told(two),
        [first.id, second.id].map(|id| format!("id: {id}"))
    );
    let end = End::Left;
    rig.registry
        .handle_client(FromClient::Exited { key: two, end });
    assert_eq!(rig.publish("a", None).recipients, 1);
}

#[test]
fn who_comes_back_gets_what_it_missed_or_a_gap() {
    let mut rig = Rig::new();
    let ids: Vec<_> = (0..5).map(|_| rig.publish("a", None).id).collect();
    let after = |n: usize| Resume::After(Some(ids[n]));
    let late = rig.client("a", None, after(2));
    let more = [
        "Accepted".to_owned(),
        format!("id: {}", ids[3]),
        format!("id: {}", ids[4]),
    ];
    assert_eq!(rig.told(late)[..3], more);
    let lost = rig.client("a", None, after(0));
    let told = rig.told(lost);
    let gap = format!(r#"data: {{"after":{},"oldest":{}}}"#, ids[0], ids[2]);
    assert_eq!(told[..2], ["Accepted".to_owned(), gap]);
    let recent = rig.client("a", None, Resume::Recent(1));
    assert_eq!(rig.told(recent)[1], format!("id: {}", ids[4]));
    assert_eq!(
        (rig.registry.counters.replays, rig.registry.counters.gaps),
        (3, 1)
    );
}

#[test]
fn what_is_published_during_a_replay_comes_in_its_place_and_once() {
    // One event fills a part.
    let mut rig = Rig::with(|config| config.client_buffer = 1);
    let ids: Vec<_> = (0..3).map(|_| rig.publish("a", None).id).collect();
    let text = |id: &EventId| format!("id: {id}");
    let early = rig.client("a", None, Resume::After(Some(ids[0])));
    assert_eq!(rig.told(early), ["Accepted", &text(&ids[1]), "More"]);
    let (unkept, kept) = (rig.publish_unkept("a"), rig.publish("a", None));
    assert_eq!((unkept.recipients, kept.recipients), (1, 1));
    assert!(rig.told(early).is_empty());
    // Who comes after an event that is not kept must not get it.
    let late = rig.client("a", None, Resume::After(Some(ids[2])));
    let told = rig.told_in_all(late);
    assert_eq!(told, ["Accepted", &text(&kept.id), "position"]);

    let more = FromClient::More { key: early };
    rig.registry.handle_client(more);
    let expected = [ids[2], unkept.id, kept.id].map(|id| text(&id));
    let told = rig.told_in_all(early);
    assert_eq!(told[..3], expected);
    assert_eq!(told[3..], ["position"]);
    let live = rig.publish("a", None);
    assert_eq!(live.recipients, 2);
    assert_eq!(rig.told(early), [text(&live.id)]);
}

#[test]
fn who_has_still_to_catch_up_gets_no_position() {
    let mut rig = Rig::with(|config| config.client_buffer = 1);
    let ids: Vec<_> = (0..3).map(|_| rig.publish("a", None).id).collect();
    let after = Resume::After(Some(ids[0]));
    let first = rig.client("a", None, after);
    // One that was live asks anew.
    let again = rig.client("a", None, Resume::Live);
    rig.subscribe(again, "a", None, after);
    let live = rig.client("b", None, Resume::Live);
    for key in [first, again, live] {
        rig.told(key);
        rig.registry.pool.set_writable(key.index);
    }
    let heartbeat = rig.registry.heartbeat();
    let began = Instant::now();
    let mut told = Vec::new();
    while told.is_empty() {
        assert!(began.elapsed() < Duration::from_secs(5), "none for anyone");
        rig.registry.pool.expire();
        rig.registry.pool.send_heartbeats(0, 1, &heartbeat);
        told = rig.told(live);
    }
    assert_eq!(told, ["position"]);
    assert!(rig.told(first).is_empty() && rig.told(again).is_empty());
}

#[test]
fn a_replay_looks_at_no_other_tokens_events_and_at_few_in_a_part() {
    let mut rig = Rig::with(|config| config.history = kept(20_000, 8 << 20));
    let first = rig.publish("a", None).id;
    for _ in 0..10_000 {
        rig.publish("b", None);
    }
    let key = rig.client("a", None, Resume::After(Some(first)));
    assert_eq!(rig.told(key), ["Accepted", "position"]);
    // Those that spared it are looked at.
    for _ in 0..10_000 {
        rig.publish("c", Some("me"));
    }
    let key = rig.client("c", Some("me"), Resume::After(Some(first)));
    assert_eq!(rig.told(key), ["Accepted", "More"]);
    rig.registry.handle_client(FromClient::More { key });
    assert_eq!(rig.told_in_all(key), ["position"]);
}

#[test]
fn what_a_ring_lets_go_during_a_replay_still_comes_and_what_is_too_much_ends_it() {
    // One event fills a part, and a few fill what may wait.
    let mut rig = Rig::with(|config| {
        config.client_buffer = 1000;
        config.history = kept(1, 1 << 20);
    });
    let text = |id: EventId| format!("id: {id}");
    let first = rig.publish("a", None).id;
    let old: Vec<_> = ["b", "c"].map(|token| rig.publish(token, None).id).into();
    let key = rig.connect("10.0.0.1:5");
    let publish = |rig: &mut Rig, token: &str, retain: bool, bytes: usize| {
        let token = Target::Token(Token::new(token).unwrap());
        let mut publication = Publication::new(token, "x".repeat(bytes));
        publication.retain = retain;
        rig.registry.publish(publication, Channel::Tcp)
    };
    let large = publish(&mut rig, "d", true, 2000).id;
    let tokens = ["a", "b", "c", "d"].map(|name| Token::new(name).unwrap());
    rig.registry.handle_client(FromClient::Subscribe {
        key,
        subscription: Subscription {
            tokens: tokens.into(),
            ..Subscription::default()
        },
        member: Member::default(),
        resume: Resume::After(Some(first)),
        recent_of: Vec::new(),
        ends: None,
        agent: None,
    });
    let told = rig.told(key);
    assert_eq!(
        told[1..],
        [text(old[0]), text(old[1]), text(large), "More".into()]
    );
    let more: Vec<_> = (0..3).map(|n| publish(&mut rig, "a", n != 1, 10)).collect();
    assert!(more.iter().all(|receipt| receipt.recipients == 1));
    let ids: Vec<_> = more.iter().map(|receipt| text(receipt.id)).collect();
    rig.registry.handle_client(FromClient::More { key });
    let told = rig.told_in_all(key);
    assert_eq!(told[..3], ids);
    assert_eq!(told[3], "position");

    let key = rig.client("d", None, Resume::Recent(1));
    assert_eq!(rig.told(key)[1..], [text(large), "More".into()]);
    for _ in 0..5 {
        publish(&mut rig, "d", false, 10);
    }
    assert_eq!(rig.told(key), ["Finish { end: Outrun }"]);
    assert!(rig.registry.replays.is_empty());
    let after = rig.client("d", None, Resume::After(Some(large)));
    assert_eq!(
        rig.told(after),
        ["Accepted", "position"],
        "nothing that is kept was lost"
    );
}

#[test]
fn what_waits_apart_for_all_is_bounded_and_counts_once() {
    let mut rig = Rig::with(|config| {
        config.max_clients = 10;
        config.total_buffer = 5000;
    });
    let token = Target::Token(Token::new("a").unwrap());
    let large = Publication::new(token.clone(), "x".repeat(70_000));
    rig.registry.publish(large, Channel::Tcp);
    let mut replaying: Vec<_> = (0..3)
        .map(|_| rig.client("a", None, Resume::Recent(1)))
        .collect();
    let publish = |rig: &mut Rig, bytes: usize| {
        let mut publication = Publication::new(token.clone(), "y".repeat(bytes));
        publication.retain = false;
        rig.registry.publish(publication, Channel::Tcp);
    };
    // Each of the three has 3,000 bytes waiting: together that is no more.
    publish(&mut rig, 3000);
    rig.registry.tick();
    assert_eq!(rig.registry.replays.clients().count(), 3);
    replaying.push(rig.client("a", None, Resume::Recent(1)));
    publish(&mut rig, 3000);
    rig.registry.tick();
    let left: Vec<_> = rig.registry.replays.clients().collect();
    assert_eq!(left, [replaying[3].index], "those that have most go first");
    rig.registry.leave(replaying[3].index);
    rig.registry.tick();
    assert!(rig.registry.replays.is_empty());
}

#[test]
fn too_many_are_told_so_and_places_come_back() {
    let mut rig = Rig::new();
    let keys: Vec<_> = (0..3).map(|_| rig.connect("10.1.1.1:5")).collect();
    for key in &keys {
        rig.subscribe(*key, "a", None, Resume::Live);
    }
    let of = LimitReached::FromAddress;
    assert_eq!(rig.told(keys[2]), [format!("{:?}", ToClient::Full { of })]);
    let third = rig.client("a", None, Resume::Live);
    assert_eq!(rig.told(third)[0], "Accepted");
    let fourth = rig.client("a", None, Resume::Live);
    let of = LimitReached::Clients;
    assert_eq!(rig.told(fourth), [format!("{:?}", ToClient::Full { of })]);
    let end = End::Left;
    rig.registry
        .handle_client(FromClient::Exited { key: keys[0], end });
    rig.subscribe(keys[2], "a", None, Resume::Live);
    assert_eq!(rig.told(keys[2])[0], "Accepted");
}

#[test]
fn agents_are_kept_once_and_forgotten_with_their_last_client() {
    let mut rig = Rig::new();
    let keys = ["a", "b"].map(|token| rig.client(token, None, Resume::Live));
    assert_eq!(rig.registry.sessions.agents(), 1);
    for key in keys {
        let end = End::Left;
        rig.registry.handle_client(FromClient::Exited { key, end });
    }
    assert!(rig.registry.sessions.agents() == 0 && rig.registry.routes.is_empty());
}

#[test]
fn no_id_is_given_out_that_the_history_file_has_not_reserved() {
    let name = format!("hasses-registry-{}", std::process::id());
    let path = std::env::temp_dir().join(name);
    let (file, recovered) = archive::Archive::open(&path, config().history.together()).unwrap();
    std::fs::remove_file(&path).unwrap();
    let archive = file.mailbox().0;
    let kept = Kept {
        recovered,
        archive: archive.clone(),
    };
    let mut rig = Rig::with_file(|_| {}, Some(kept));
    let last = rig.registry.sequence.last().0;
    archive.set_reserved(EventId(last + 2));
    // The clock is beyond what is reserved; when that is used up there is nothing better.
    while Sequence::starting(EventId(0)).last().0 < last + 1000 {}
    let ids: Vec<_> = (0..3).map(|_| rig.publish("a", None).id.0).collect();
    assert_eq!(ids[..2], [last + 1, last + 2]);
    assert!(ids[2] > last + 900, "{ids:?} after {last}");
}

#[test]
fn places_are_counted_for_whom_a_proxy_speaks_for() {
    let mut rig = Rig::new();
    let introduced = |rig: &mut Rig, address: &str| {
        let key = rig.connect("10.1.1.1:5");
        let peer = address.parse::<std::net::SocketAddr>().unwrap().into();
        rig.registry
            .handle_client(FromClient::Introduced { key, peer });
        rig.subscribe(key, "a", None, Resume::Live);
        (key, rig.told(key)[0].clone())
    };
    let accepted = "Accepted".to_owned();
    let (first, told) = introduced(&mut rig, "192.0.2.7:0");
    assert_eq!(told, accepted);
    assert_eq!(introduced(&mut rig, "192.0.2.7:80").1, accepted);
    assert_ne!(introduced(&mut rig, "192.0.2.7:0").1, accepted);
    // The first goes on for somebody else, and ends.
    let key = first;
    let peer = "192.0.2.8:0".parse::<std::net::SocketAddr>().unwrap();
    let peer = peer.into();
    rig.registry
        .handle_client(FromClient::Introduced { key, peer });
    let counts = |rig: &Rig| {
        let mut counts: Vec<usize> = rig.registry.sessions.by_address();
        counts.sort_unstable();
        counts
    };
    assert_eq!(counts(&rig), [1, 1]);
    let end = End::Left;
    rig.registry.handle_client(FromClient::Exited { key, end });
    assert_eq!(counts(&rig), [1]);
}

#[test]
fn each_form_gets_its_own_frames() {
    let mut rig = Rig::with(|config| config.max_clients = 10);
    let json = Form::new(true, Positions::None);
    let mut join = |tokens: &str, form| {
        let address = format!("10.0.1.{}:5", rig.peers.len());
        let key = rig.connect(&address);
        rig.subscribe_as(key, tokens, None, form, Resume::Live);
        key
    };
    let plain = join("a b", Form::default());
    let pings = join("a", Form::new(false, Positions::Pings));
    let one = join("a b", json);
    let same = join("b a", json);
    let other = join("b", json);
    let frames = |rig: &Rig, key: ClientKey| -> Vec<Rc<Frame>> {
        let told = rig.registry.pool.take_waiting(key.index);
        let frame = |message| match message {
            ToClient::Event(frame) => Some(frame),
            _ => None,
        };
        told.into_iter().filter_map(frame).collect()
    };
    let text = |frame: &Frame| String::from_utf8(frame.bytes(false).to_vec()).unwrap();
    assert!(text(&frames(&rig, plain)[0]).starts_with("id: "));
    assert!(text(&frames(&rig, pings)[0]).starts_with("event: ping\nid: "));
    for key in [one, same, other] {
        assert!(frames(&rig, key).is_empty());
    }

    let token = |name| Target::Token(Token::new(name).unwrap());
    let mut publication = Publication::new(token("a"), "x");
    publication.to = Targets::Many([token("a"), token("b")].into());
    let receipt = rig.registry.publish(publication, Channel::Tcp);
    assert_eq!(receipt.recipients, 5);
    let id = receipt.id;
    let of = |key| frames(&rig, key).remove(0);
    let (plain, pings, one, same, other) = (of(plain), of(pings), of(one), of(same), of(other));
    assert!(Rc::ptr_eq(&plain, &pings) && Rc::ptr_eq(&one, &same));
    assert_eq!(text(&plain), format!("id: {id}\ndata: x\n\n"));
    let line = |to| format!("id: {id}\ndata: {{\"id\":{id},\"to\":{to},\"data\":\"x\"}}\n\n");
    assert_eq!(text(&one), line(r#"["a","b"]"#));
    assert_eq!(text(&other), line(r#""b""#));

    // In a replay too, and once for all that meet the same.
    let before = Resume::After(Some(EventId(id.0 - 1)));
    let mut again = |key: ClientKey| {
        rig.subscribe_as(key, "b a", None, json, before);
        let frame = frames(&rig, key).remove(0);
        assert_eq!(text(&frame), line(r#"["a","b"]"#));
        frame
    };
    let keys = [3, 4].map(ClientKey::from_number);
    assert!(Rc::ptr_eq(&again(keys[0]), &again(keys[1])));
}

#[test]
fn a_ping_comes_in_each_heartbeat_whatever_else_comes() {
    let mut rig = Rig::with(|config| {
        config.max_clients = 100;
        config.heartbeat = Some(Duration::from_secs(2));
    });
    let keys: Vec<ClientKey> = (0..50)
        .map(|number| {
            let key = rig.connect(&format!("10.0.2.{number}:5"));
            let form = Form::new(false, Positions::Pings);
            rig.subscribe_as(key, "a", None, form, Resume::Live);
            rig.told(key);
            key
        })
        .collect();
    let mut last = vec![0; keys.len()];
    let heartbeat = rig.registry.heartbeat();
    for now in 1..200 {
        rig.registry.pool.set_now(now);
        rig.publish("a", None);
        if now % 2 == 0 {
            rig.registry.pool.send_heartbeats(20, 2, &heartbeat);
        }
        for (key, last) in keys.iter().zip(&mut last) {
            let told = rig.registry.pool.take_waiting(key.index);
            if told.contains(&ToClient::Event(Rc::clone(&heartbeat.ping))) {
                assert!(now - *last >= 16 || *last == 0, "{last} {now}");
                *last = now;
            }
            assert!(now - *last <= 20, "{last} {now}");
        }
    }
}
