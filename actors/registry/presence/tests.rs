#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::*;
use crate::model::EventId;

/// Presence of `room*` with ten seconds of grace, and its clock.
struct House {
    presence: Presence,
    steady: u64,
    told: Vec<(Vec<u32>, String)>,
}

fn token(name: &str) -> Token {
    Token::new(name).unwrap()
}

fn id(name: &str) -> ClientId {
    ClientId::new(name).unwrap()
}

impl House {
    fn new() -> Self {
        Self::with_grace(10)
    }

    fn with_grace(seconds: u64) -> Self {
        let rules = vec![Target::Prefix(token("room"))];
        Self {
            presence: Presence::new(rules, Duration::from_secs(seconds), News::new()),
            steady: 0,
            told: Vec::new(),
        }
    }

    fn now(&self) -> Now {
        let steady = self.steady;
        Now {
            steady,
            unix: 1_000_000 + steady,
        }
    }

    /// A stream of an id (none: empty), to tokens with blanks between them, with what is shown of it.
    fn join(&mut self, client: u32, name: &str, tokens: &str, info: Option<&str>) {
        self.enter(client, name, tokens, info, false);
    }

    /// As [`House::join`], and it is told what it has to be told first.
    fn listen(&mut self, client: u32, name: &str, tokens: &str) -> String {
        self.enter(client, name, tokens, None, true);
        let mut text = String::new();
        while let Some(frame) = self.presence.greet(client, 1) {
            text += std::str::from_utf8(frame.bytes(false)).unwrap();
        }
        assert!(!self.presence.has_greetings(client));
        text
    }

    fn enter(&mut self, client: u32, name: &str, tokens: &str, info: Option<&str>, listens: bool) {
        let tokens: Vec<Token> = tokens.split(' ').map(token).collect();
        let member = Member {
            id: (!name.is_empty()).then(|| id(name)),
            info: info.map(Into::into),
        };
        let now = self.now();
        self.presence.join(client, &tokens, member, listens, now);
    }

    fn leave(&mut self, client: u32) {
        let now = self.now();
        self.presence.leave(client, now);
    }

    /// Time passes, looked at again and again; what was told in it, as `client: what`.
    fn pass(&mut self, milliseconds: u64) -> Vec<String> {
        let end = self.steady + milliseconds;
        while self.steady < end {
            self.steady = end.min(self.steady + 50);
            let telling = self.presence.tick(self.now());
            for (mut clients, frame) in telling.frames {
                clients.sort_unstable();
                let text = std::str::from_utf8(frame.bytes(false)).unwrap();
                self.told.push((clients, text.to_owned()));
            }
        }
        let mut all = Vec::new();
        for (clients, text) in std::mem::take(&mut self.told) {
            for block in text.split_terminator("\n\n") {
                let block = block.replace("event: ", "").replace("\ndata: ", " ");
                all.extend(clients.iter().map(|client| format!("{client}: {block}")));
            }
        }
        all.sort();
        all
    }

    /// What a backend has heard.
    fn heard(&self) -> Vec<String> {
        let events = self.presence.news().events();
        let heard = events.map(|(_, block)| {
            let mut lines = block.lines().skip(1);
            let name = lines.next().unwrap().trim_start_matches("event: ");
            let data = lines.next().unwrap().trim_start_matches("data: ");
            let data: serde_json::Value = serde_json::from_str(data).unwrap();
            format!("{name} {} {}", data["id"].as_str().unwrap(), data["info"])
        });
        heard.collect()
    }

    fn page(&self, name: &str) -> serde_json::Value {
        let page = self.presence.page(&token(name), None, 100).unwrap();
        serde_json::from_str(&page.json).unwrap()
    }
}

#[test]
fn members_come_and_go_with_their_streams() {
    let mut house = House::new();
    let first = house.listen(1, "ann", "room1 other room2");
    let block = |name: &str, members: &str| {
        format!(
            "event: members\ndata: {{\"token\":\"{name}\",\"members\":[{members}],\"anonymous\":0}}\n\n"
        )
    };
    let ann = r#"{"id":"ann","info":null}"#;
    assert_eq!(first, block("room1", ann) + &block("room2", ann));
    house.join(2, "bob", "room1", Some(r#"{"n":1}"#));
    house.join(3, "", "room1", None);
    let bob = r#"{"token":"room1","id":"bob","info":{"n":1}}"#;
    assert_eq!(
        house.pass(300),
        [format!("1: join {bob}")],
        "its own is told to nobody"
    );
    let page = house.page("room1");
    assert_eq!(page["anonymous"], 1);
    assert_eq!(page["members"][1]["streams"], 1);
    assert_eq!(page["members"][1]["since"], 1_000_000);
    assert!(house.presence.page(&token("other"), None, 10).is_none());

    house.leave(2);
    house.leave(3);
    assert!(house.pass(9_900).is_empty());
    assert_eq!(house.page("room1")["members"][1]["streams"], 0);
    assert_eq!(house.pass(500), [format!("1: leave {bob}")]);
    house.leave(1);
    house.pass(11_000);
    assert_eq!(
        house.presence.counts().tokens,
        0,
        "empty rooms are taken away"
    );
    assert_eq!(
        house.heard(),
        [
            "join ann null",
            "join bob {\"n\":1}",
            "join ann null",
            "leave bob {\"n\":1}",
            "leave ann null",
            "leave ann null"
        ]
    );
}

#[test]
fn a_page_that_is_loaded_anew_shows_nothing() {
    let mut house = House::new();
    house.listen(1, "ann", "room1");
    house.join(2, "bob", "room1", Some("1"));
    house.pass(300);
    for turn in 0..100 {
        house.leave(2 + turn);
        assert!(house.pass(5000).is_empty());
        house.join(3 + turn, "bob", "room1", Some("1"));
        assert!(house.pass(20_000).is_empty());
    }
    assert_eq!(house.heard().len(), 2);
}

#[test]
fn several_streams_of_an_id_are_one_member_and_the_newest_is_shown() {
    let mut house = House::new();
    house.listen(1, "ann", "room1");
    house.join(2, "bob", "room1", Some("1"));
    house.pass(300);
    house.join(3, "bob", "room1", Some("1"));
    assert!(house.pass(300).is_empty());
    house.join(4, "bob", "room1", Some("2"));
    let bob = |info| format!(r#"{{"token":"room1","id":"bob","info":{info}}}"#);
    assert_eq!(house.pass(300), [format!("1: join {}", bob(2))]);
    house.leave(4);
    house.leave(2);
    assert!(house.pass(20_000).is_empty());
    assert_eq!(house.page("room1")["members"][1]["streams"], 1);
    house.leave(3);
    assert_eq!(house.pass(20_000), [format!("1: leave {}", bob(2))]);
}

#[test]
fn what_comes_and_goes_within_a_moment_shows_nothing() {
    let mut house = House::with_grace(0);
    house.listen(1, "ann", "room1");
    house.pass(300);
    house.join(2, "bob", "room1", None);
    house.pass(50);
    house.leave(2);
    assert!(house.pass(1000).is_empty());
    house.join(2, "bob", "room1", None);
    assert_eq!(house.pass(300).len(), 1);
    house.leave(2);
    house.pass(50);
    house.join(2, "bob", "room1", None);
    assert!(house.pass(1000).is_empty());
}

#[test]
fn who_comes_within_a_moment_is_told_what_its_view_lacks() {
    let mut house = House::with_grace(0);
    house.listen(1, "ann", "room1");
    house.pass(300);
    house.join(2, "bob", "room1", None);
    house.pass(50);
    // Its view has bob and itself.
    let view = house.listen(3, "cleo", "room1");
    assert!(view.contains("\"bob\"") && view.contains("\"cleo\""));
    house.join(4, "dan", "room1", None);
    house.leave(2);
    let line = |client: u32, name: &str, who: &str| {
        format!("{client}: {name} {{\"token\":\"room1\",\"id\":\"{who}\",\"info\":null}}")
    };
    assert_eq!(
        house.pass(400),
        [
            line(1, "join", "cleo"),
            line(1, "join", "dan"),
            line(3, "join", "dan"),
            line(3, "leave", "bob"),
        ]
    );
    house.leave(4);
    assert_eq!(
        house.pass(400),
        [line(1, "leave", "dan"), line(3, "leave", "dan")]
    );
}

#[test]
fn a_large_room_tells_totals() {
    let mut house = House::with_grace(0);
    house.listen(1, "a", "room1");
    for client in 2..=1000 {
        house.join(client, &format!("m{client}"), "room1", None);
    }
    assert_eq!(house.pass(300).len(), 999);
    house.join(1001, "one", "room1", None);
    let total =
        |total| format!("1: members {{\"token\":\"room1\",\"total\":{total},\"anonymous\":0}}");
    assert_eq!(house.pass(300), [total(1001)]);
    let view = house.listen(1002, "b", "room1");
    assert!(view.contains("\"total\":1002"), "{view}");
    for client in 1003..1010 {
        house.join(client, &format!("n{client}"), "room1", None);
        assert!(house.pass(300).is_empty());
    }
    let told = house.pass(5000);
    assert_eq!(told.len(), 2, "both listeners, once: {told:?}");
    assert!(told[0].contains("\"total\":1009"));
    assert!(
        house.pass(20_000).is_empty(),
        "again only when it has changed"
    );
    for client in 2..=200 {
        house.leave(client);
    }
    let told = house.pass(5000);
    assert!(
        told.iter().all(|told| told.contains("\"members\":[")),
        "{told:?}"
    );
    assert_eq!(told.len(), 2);
    // A few members with much to show are large too.
    let large = format!("\"{}\"", "x".repeat(1000));
    house.listen(5000, "p", "room2");
    for client in 5001..5080 {
        house.join(client, &format!("q{client}"), "room2", Some(&large));
    }
    assert!(house.pass(300)[0].contains("\"total\":80"));
}

#[test]
fn a_backend_hears_all_from_where_it_was() {
    let mut house = House::with_grace(0);
    for client in 0..3 {
        house.join(client, &format!("m{client}"), "room1", None);
    }
    house.pass(300);
    let news = house.presence.news();
    let ids: Vec<EventId> = news.events().map(|(id, _)| *id).collect();
    assert_eq!(house.page("room1")["position"], ids[2].0);
    let after = |id| {
        news.after(id)
            .map(|news| (news.text.matches("event: join").count(), news.last))
    };
    assert_eq!(after(ids[0]), Some((2, ids[2])));
    assert_eq!(after(ids[2]), None);
    let begin = |id| {
        let begun = news.begin(id);
        (begun.text.contains("event: gap"), begun.last)
    };
    assert_eq!(begin(Some(ids[1])), (false, ids[1]));
    assert_eq!(begin(Some(news.forgotten())), (false, news.forgotten()));
    assert_eq!(begin(Some(EventId(5))), (true, news.forgotten()));
    assert_eq!(begin(Some(EventId(EventId::END - 1))), (true, ids[2]));
    assert_eq!(begin(None), (true, ids[2]));
    for _ in 0..5001 {
        house.leave(0);
        house.pass(300);
        house.join(0, "m0", "room1", None);
        house.pass(300);
    }
    let news = house.presence.news();
    assert_eq!(news.events().count(), 10_000);
    assert!(news.begin(Some(ids[1])).text.contains("event: gap"));
}

#[test]
fn pages_have_all_members_once() {
    let mut house = House::new();
    for client in 0..250 {
        house.join(client, &format!("m{client}"), "room1", None);
    }
    let (mut after, mut all, mut pages) = (None, std::collections::BTreeSet::new(), 0);
    loop {
        let page = house
            .presence
            .page(&token("room1"), after.as_ref(), 100)
            .unwrap();
        let value: serde_json::Value = serde_json::from_str(&page.json).unwrap();
        for member in value["members"].as_array().unwrap() {
            assert!(all.insert(member["id"].as_str().unwrap().to_owned()));
        }
        pages += 1;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!((all.len(), pages), (250, 3));
}

#[test]
fn a_clean_restart_shows_nothing() {
    let mut house = House::new();
    house.join(1, "ann", "room1", Some(r#"{"n":"é"}"#));
    house.join(2, "bob", "room1", None);
    house.pass(300);
    let history = std::env::temp_dir().join(format!("hasses-presence-{}", std::process::id()));
    house.presence.save(&history).unwrap();
    let last = house.presence.news().last();
    let rules = vec![Target::Prefix(token("room"))];
    let grace = Duration::from_secs(10);
    house = House {
        presence: store::take(&history).begin(rules.clone(), grace),
        steady: 0,
        told: Vec::new(),
    };
    assert_eq!(house.page("room1")["members"][0]["streams"], 0);
    assert_eq!(house.presence.news().last(), last);
    assert!(house.presence.news().begin(Some(last)).text.is_empty());
    house.pass(5000);
    house.join(7, "ann", "room1", Some(r#"{"n":"é"}"#));
    assert!(house.pass(4000).is_empty());
    assert_eq!(house.heard().len(), 2, "{:?}", house.heard());
    house.pass(2000);
    assert_eq!(house.heard()[2..], ["leave bob null"]);
    // The file is used once: after another stop nothing is known.
    let unclean = store::take(&history).begin(rules, grace);
    assert_eq!(unclean.counts().members, 0);
    assert!(unclean.news().begin(Some(last)).text.contains("event: gap"));
}

#[test]
fn members_of_other_nodes_are_there_until_they_are_nowhere() {
    let mut house = House::new();
    house.listen(1, "ann", "room1");
    house.pass(300);
    let on = |name: &str, here: Option<&str>| NodeChange {
        token: token("room1"),
        what: match here {
            None => What::Gone(id(name)),
            Some(info) => What::Here {
                id: id(name),
                streams: 1,
                since: 7,
                info: Some(info.into()),
            },
        },
    };
    let line = |name: &str, who: &str, info: &str| {
        format!("1: {name} {{\"token\":\"room1\",\"id\":\"{who}\",\"info\":{info}}}")
    };
    let hear = |house: &mut House, node, changes| {
        let now = house.now();
        house.presence.hear(node, changes, now);
        house.pass(300)
    };
    assert_eq!(
        hear(&mut house, 2, vec![on("bob", Some("1"))]),
        [line("join", "bob", "1")]
    );
    assert!(hear(&mut house, 3, vec![on("bob", Some("1"))]).is_empty());
    assert_eq!(house.page("room1")["members"][1]["since"], 7);
    // He goes from one node to another.
    assert!(hear(&mut house, 2, vec![on("bob", None)]).is_empty());
    // Here he is shown as here.
    house.join(2, "bob", "room1", Some("2"));
    assert_eq!(house.pass(300), [line("join", "bob", "2")]);
    house.leave(2);
    assert!(house.pass(20_000).is_empty());
    // The other node dies, and comes back in time; then it does not.
    house.pass(FRESH);
    let hear_of = |house: &mut House, nodes: &[u64]| {
        let now = house.now();
        house.presence.hear_of(nodes, now);
    };
    hear_of(&mut house, &[1]);
    house.pass(9000);
    hear_of(&mut house, &[1, 3]);
    assert!(house.pass(20_000).is_empty());
    hear_of(&mut house, &[1]);
    house.pass(5000);
    hear_of(&mut house, &[1]);
    house.pass(4000);
    assert_eq!(house.pass(2000), [line("leave", "bob", "2")]);
    // What a node tells of all replaces what was known of it.
    hear(
        &mut house,
        4,
        vec![on("cleo", Some("1")), on("dan", Some("1"))],
    );
    let now = house.now();
    house
        .presence
        .hear_all(4, vec![on("dan", Some("1")), on("eve", Some("1"))], now);
    assert_eq!(
        house.pass(300),
        [line("join", "eve", "1"), line("leave", "cleo", "1")]
    );
}

fn here(name: &str, streams: u32) -> What {
    What::Here {
        id: id(name),
        streams,
        since: 7,
        info: None,
    }
}

#[test]
fn streams_are_those_of_all_nodes() {
    let mut house = House::new();
    house.presence.share();
    house.join(1, "ann", "room1", None);
    let mut told = Vec::new();
    let mut tick = |house: &mut House| {
        house.steady += 300;
        let telling = house.presence.tick(house.now());
        told.extend(telling.nodes.into_iter().map(|change| change.what));
        assert_eq!(telling.frames, [], "nobody listens");
    };
    tick(&mut house);
    for (client, name) in [(2, "ann"), (3, ""), (4, "")] {
        house.join(client, name, "room1", None);
    }
    tick(&mut house);
    house.leave(1);
    house.leave(2);
    house.leave(3);
    tick(&mut house);
    let ann = |streams| What::Streams(Some(id("ann")), streams);
    let none = |streams| What::Streams(None, streams);
    let came = What::Here {
        id: id("ann"),
        streams: 1,
        since: 1_000_000,
        info: None,
    };
    assert_eq!(told, [came, ann(2), none(2), ann(0), none(1)]);

    // What others tell is added.
    let hear = |house: &mut House, node, what: &[What]| {
        let now = house.now();
        let token = token("room1");
        let change = |what: &What| NodeChange {
            token: token.clone(),
            what: what.clone(),
        };
        (house.presence).hear(node, what.iter().map(change).collect(), now);
        let page = house.page("room1");
        (
            page["members"][0]["streams"].as_u64(),
            page["anonymous"].as_u64(),
        )
    };
    assert_eq!(
        hear(&mut house, 2, &[here("ann", 1), none(5)]),
        (Some(1), Some(6))
    );
    assert_eq!(hear(&mut house, 3, &[here("ann", 3)]), (Some(4), Some(6)));
    assert_eq!(hear(&mut house, 3, &[ann(2), none(1)]), (Some(3), Some(7)));
    // A node that is not known to have her says nothing of her by a number.
    assert_eq!(hear(&mut house, 4, &[ann(9)]), (Some(3), Some(7)));
    assert_eq!(
        hear(&mut house, 2, &[What::Gone(id("ann")), none(0)]),
        (Some(2), Some(2))
    );
    let now = house.now();
    house.presence.hear_all(3, Vec::new(), now);
    let page = house.page("room1");
    assert_eq!(
        (
            page["members"][0]["streams"].as_u64(),
            page["anonymous"].as_u64()
        ),
        (Some(0), Some(1))
    );
    // A room of which only others have somebody is gone with them.
    assert_eq!(hear(&mut house, 5, &[none(2)]), (Some(0), Some(3)));
    house.leave(4);
    house.pass(20_000);
    assert_eq!(house.page("room1")["anonymous"], 2);
    house.presence.hear_all(5, Vec::new(), house.now());
    assert_eq!(house.presence.counts().tokens, 0);
}

#[test]
fn a_node_that_has_just_come_is_not_thought_to_be_gone() {
    let mut house = House::with_grace(1);
    let now = house.now();
    let change = NodeChange {
        token: token("room1"),
        what: here("bob", 1),
    };
    house.presence.hear(2, vec![change], now);
    // The bus does not know the node yet.
    for _ in 0..5 {
        house.presence.hear_of(&[], house.now());
        house.pass(1000);
    }
    assert_eq!(house.page("room1")["members"][0]["id"], "bob");
    for _ in 0..3 {
        house.presence.hear_of(&[], house.now());
        house.pass(1000);
    }
    assert_eq!(
        house.page("room1")["members"][0]["id"],
        serde_json::Value::Null
    );
}

#[test]
fn an_id_of_another_node_is_a_gap() {
    let mut house = House::new();
    house.join(1, "ann", "room1", None);
    house.pass(300);
    let last = house.presence.news().last();
    house.steady += 1;
    house.join(2, "bob", "room1", None);
    house.pass(300);
    let begin = |id| house.presence.news().begin(Some(id)).text;
    assert_eq!(begin(last), "");
    assert_eq!(begin(house.presence.news().last()), "");
    for other in [last.0 - 1, last.0 + 1] {
        assert!(begin(EventId(other)).contains("event: gap"), "{other}");
    }
}

#[test]
fn other_nodes_are_told_of_this_ones_own() {
    let mut house = House::with_grace(1);
    let told = |house: &mut House| {
        let mut all = Vec::new();
        for _ in 0..50 {
            house.steady += 50;
            all.extend(house.presence.tick(house.now()).nodes);
        }
        let told = all.into_iter().map(|change| match change.what {
            What::Here { id, .. } => (id.to_string(), true),
            What::Gone(id) => (id.to_string(), false),
            What::Streams(..) => panic!("nobody is to know: {change:?}"),
        });
        told.collect::<Vec<_>>()
    };
    house.join(1, "ann", "room1", None);
    house.join(2, "ann", "room1", None);
    house.join(3, "", "room1", None);
    assert_eq!(told(&mut house), [("ann".to_owned(), true)]);
    assert_eq!(
        house.presence.own_members().count(),
        2,
        "and those without an id"
    );
    // Who is elsewhere already is told of too, as he may leave there.
    let now = house.now();
    let bob = NodeChange {
        token: token("room1"),
        what: here("bob", 1),
    };
    house.presence.hear(9, vec![bob], now);
    assert!(told(&mut house).is_empty());
    house.join(4, "bob", "room1", None);
    assert_eq!(told(&mut house), [("bob".to_owned(), true)]);
    house.leave(4);
    house.leave(1);
    assert_eq!(told(&mut house), [("bob".to_owned(), false)]);
    house.leave(2);
    assert_eq!(told(&mut house), [("ann".to_owned(), false)]);
}

#[test]
fn what_nodes_tell_one_another_is_understood() {
    let token = token("room \u{2028}1");
    let what = [
        What::Here {
            id: id("ann"),
            streams: 2,
            since: u64::MAX,
            info: Some(r#"{"n":1e400}"#.into()),
        },
        here("bob\"", 0),
        What::Gone(id("cleo")),
        What::Streams(Some(id("dan")), 7),
        What::Streams(None, u32::MAX),
    ];
    let changes = what.map(|what| NodeChange {
        token: token.clone(),
        what,
    });
    let changes = changes.to_vec();
    for all in [false, true] {
        let text = nodes::text(all, &changes);
        let told = nodes::read(&text).unwrap();
        assert_eq!(
            told,
            nodes::Told::Changes {
                all,
                changes: changes.clone()
            }
        );
    }
    assert_eq!(nodes::read(nodes::HELLO), Some(nodes::Told::Hello));
    for text in ["", "some\n[]", "all\n7", "other"] {
        assert_eq!(nodes::read(text), None, "{text}");
    }
}
