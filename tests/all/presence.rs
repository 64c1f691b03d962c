//! Who is there: what pages and backends are told of it.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::stream::Block;
use support::{Connection, Daemon, Response, Stream, eventually, number_from, publish};

fn open(daemon: &Daemon, query: &str) -> Stream {
    daemon.subscribe(query)
}

fn data(block: &Block) -> Value {
    serde_json::from_str(block.data.as_deref().unwrap()).unwrap()
}

/// The next presence event, which has this name.
fn told(stream: &mut Stream, name: &str) -> Value {
    let block = stream.event();
    assert_eq!(block.event.as_deref(), Some(name), "{block:?}");
    assert_eq!(block.id, None, "it is not kept");
    data(&block)
}

fn ask(daemon: &Daemon, path: &str) -> Response {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    Connection::to(daemon.control)
        .send(request.as_bytes())
        .response()
}

/// Joins and leaves, as a backend hears them.
fn backend(daemon: &Daemon, lines: &str) -> Stream {
    let request = format!("GET /presence HTTP/1.1\r\nHost: localhost\r\n{lines}\r\n");
    Stream::request(daemon.control, &request)
}

fn members(daemon: &Daemon, token: &str) -> Vec<String> {
    let page = ask(daemon, &format!("/presence/{token}")).json();
    let members = page["members"].as_array().unwrap().iter();
    members
        .map(|one| one["id"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_page_is_told_who_comes_and_goes() {
    let daemon = Daemon::start("--presence room* --presence-grace 1");
    let mut ann = open(&daemon, "subscribe=room1-other&id=ann&presence=1");
    let first = told(&mut ann, "members");
    let me = json!({"id": "ann", "info": null});
    assert_eq!(
        first,
        json!({"token": "room1", "members": [me], "anonymous": 0})
    );
    let bob = open(
        &daemon,
        "subscribe=room1&id=bob&info=%7B%22name%22%3A%22Bob%22%7D",
    );
    let shown = json!({"token": "room1", "id": "bob", "info": {"name": "Bob"}});
    assert_eq!(told(&mut ann, "join"), shown);
    let _nobody = open(&daemon, "subscribe=room1");
    let mut late = open(&daemon, "subscribe=room1&id=cleo&presence=1");
    let view = told(&mut late, "members");
    assert_eq!(view["anonymous"], 1);
    assert_eq!(view["members"].as_array().unwrap().len(), 3);
    assert_eq!(told(&mut ann, "join")["id"], "cleo");
    let began = Instant::now();
    drop(bob);
    assert_eq!(told(&mut ann, "leave"), shown);
    assert!(began.elapsed() >= Duration::from_secs(1));
    assert_eq!(told(&mut late, "leave"), shown);
    // Events and presence share the stream.
    publish::http(daemon.control, "room1", "hello");
    assert_eq!(ann.data(), "hello");
    let figures = ask(&daemon, "/metrics").body;
    for line in [
        "hasses_presence_members 2",
        "hasses_presence_joins_total 3",
        "hasses_presence_leaves_total 1",
    ] {
        assert!(
            figures.contains(&format!("\n{line}\n")),
            "{line} in {figures}"
        );
    }
}

#[test]
fn members_come_behind_gap_replay_and_position() {
    let daemon = Daemon::start("--presence *");
    publish::http(daemon.control, "a", "kept");
    for (form, position) in [
        ("", "position"),
        ("&ping=1", "ping"),
        ("&format=json&ping=1", "ping"),
    ] {
        let query = format!("subscribe=a-b&id=me&presence=1&lastEventId=5{form}");
        let request = format!("GET /sse?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut stream = Stream::request(daemon.listen, &request);
        let mut names = Vec::new();
        while names.last().map(String::as_str) != Some("members b") {
            let block = stream.block().unwrap();
            names.push(match (&block.event, &block.data) {
                (None, None) => "position".to_owned(),
                (None, Some(_)) => "event".to_owned(),
                (Some(name), _) if name == "members" => {
                    format!("members {}", data(&block)["token"].as_str().unwrap())
                }
                (Some(name), _) => name.clone(),
            });
        }
        assert_eq!(names, ["gap", "event", position, "members a", "members b"]);
    }
}

#[test]
fn a_reload_shows_nothing_and_several_streams_are_one_member() {
    let daemon = Daemon::start("--presence room --presence-grace 3");
    let mut ann = open(&daemon, "subscribe=room&id=ann&presence=1");
    told(&mut ann, "members");
    let mut bobs: Vec<Stream> = (0..3)
        .map(|_| open(&daemon, "subscribe=room&id=bob&info=1"))
        .collect();
    assert_eq!(told(&mut ann, "join")["id"], "bob");
    bobs.clear();
    let page = eventually("the ends", || {
        let page = ask(&daemon, "/presence/room").json();
        (page["members"][1]["streams"] == 0).then_some(page)
    });
    assert_eq!(page["members"][1]["id"], "bob");
    let _again = open(&daemon, "subscribe=room&id=bob&info=1");
    std::thread::sleep(Duration::from_secs(4));
    publish::http(daemon.control, "room", "nothing before this");
    assert_eq!(ann.data(), "nothing before this");
    // Another thing to be shown is told.
    let _other = open(&daemon, "subscribe=room&id=bob&info=2");
    assert_eq!(told(&mut ann, "join")["info"], 2);
}

/// `HASSES_PRESENCE=1000 cargo test --test all pages_that_are_loaded_anew` is the large one.
#[test]
fn pages_that_are_loaded_anew_at_once_show_no_leave() {
    let count = number_from("HASSES_PRESENCE", 200) as usize;
    let daemon = Daemon::start("--presence room --presence-grace 30");
    let mut hears = backend(&daemon, "");
    let load = || -> Vec<Stream> {
        let ask = |n| {
            let query = format!("subscribe=room&id=m{n}&presence=1");
            let mut connection = Connection::to(daemon.listen);
            connection.send(format!("GET /sse?{query} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
            connection
        };
        let asked: Vec<Connection> = (0..count).map(ask).collect();
        let mut pages: Vec<Stream> = asked.into_iter().map(Stream::answered).collect();
        for page in &mut pages {
            page.position();
        }
        pages
    };
    let pages = load();
    for _ in 0..count {
        assert_eq!(hears.event().event.as_deref(), Some("join"));
    }
    drop(pages);
    let in_grace = || {
        let page = ask(&daemon, "/presence/room?limit=10000").json();
        let members = page["members"].as_array().unwrap();
        assert_eq!(members.len(), count);
        members.iter().filter(|one| one["streams"] == 0).count()
    };
    eventually("the ends", || (in_grace() == count).then_some(()));
    let _again = load();
    assert_eq!(in_grace(), 0);
    let _other = open(&daemon, "subscribe=room&id=other");
    let next = hears.event();
    assert_eq!(
        (next.event.as_deref(), &data(&next)["id"]),
        (Some("join"), &json!("other"))
    );
}

#[test]
fn a_backend_asks_who_is_there_in_pages() {
    let daemon = Daemon::start("--presence room*");
    let _streams: Vec<Stream> = (0..25)
        .map(|n| open(&daemon, &format!("subscribe=room1&id=m%2F{n:02}")))
        .collect();
    let (mut path, mut all) = ("/presence/room1?limit=10".to_owned(), Vec::new());
    let mut pages = 0;
    loop {
        let answer = ask(&daemon, &path);
        let page = answer.json();
        assert_eq!(page["token"], "room1");
        for member in page["members"].as_array().unwrap() {
            assert_eq!(member["streams"], 1);
            assert!(member["since"].as_u64().unwrap() > 1_700_000_000_000);
            all.push(member["id"].as_str().unwrap().to_owned());
        }
        pages += 1;
        let Some(link) = answer.header("link") else {
            break;
        };
        path = link.split(['<', '>']).nth(1).unwrap().to_owned();
    }
    let expected: Vec<String> = (0..25).map(|n| format!("m/{n:02}")).collect();
    assert_eq!((all, pages), (expected, 3));
    let empty = ask(&daemon, "/presence/room2").json();
    assert_eq!(empty["members"], json!([]));
    assert!(empty["position"].is_u64());
    for (path, status) in [
        ("/presence/other", 404),
        ("/presence/room*", 400),
        ("/presence/room1?limit=0", 400),
        ("/presence/room1?limit=10001", 400),
        ("/presence/room1?page=2", 400),
        ("/presence?limit=2", 400),
    ] {
        assert_eq!(ask(&daemon, path).status, status, "{path}");
    }
    let none = Daemon::start("");
    assert_eq!(ask(&none, "/presence/room1").status, 404);
    let mut stream = open(&none, "subscribe=room1&id=ann&presence=1");
    publish::http(none.control, "room1", "x");
    assert_eq!(stream.data(), "x", "it costs and tells nothing");
}

#[test]
fn a_backend_hears_who_went_and_goes_on_where_it_was() {
    let daemon = Daemon::start("--presence room --presence-grace 0 --heartbeat 1 --retry 2000");
    let mut hears = backend(&daemon, "");
    let first = hears.block().unwrap();
    assert!(first.retry.is_some() && first.is_position() || first.id.is_some());
    let ann = open(&daemon, "subscribe=room&id=ann&info=%7B%22n%22:1%7D");
    let join = hears.event();
    assert_eq!(join.event.as_deref(), Some("join"));
    let shown = json!({"token": "room", "id": "ann", "info": {"n": 1}});
    assert_eq!(data(&join), shown);
    assert!(join.id > first.id);
    let position = ask(&daemon, "/presence/room").json()["position"].as_u64();
    assert_eq!(position, join.id);
    drop(ann);
    let leave = hears.event();
    assert_eq!(
        (leave.event.as_deref(), data(&leave)),
        (Some("leave"), shown)
    );
    let beat = hears.block().unwrap();
    assert!(beat.is_position() && beat.id == leave.id, "{beat:?}");

    // It comes back with what it had.
    let mut again = backend(&daemon, &format!("Last-Event-ID: {}\r\n", join.id.unwrap()));
    assert_eq!(again.event().id, leave.id);
    assert!(again.block().unwrap().is_position());
    let lost = backend(&daemon, "Last-Event-ID: 5\r\n").event();
    assert_eq!(lost.event.as_deref(), Some("gap"));
}

#[test]
fn a_restart_behind_a_history_file_shows_nothing() {
    let mut daemon =
        Daemon::start("--presence room --presence-grace 5 --history-file {dir}/history");
    let mut hears = backend(&daemon, "");
    let ann = open(&daemon, "subscribe=room&id=ann");
    let bob = open(&daemon, "subscribe=room&id=bob");
    let mut last = hears.event().id;
    while members(&daemon, "room").len() < 2 || hears_all(&daemon) > last {
        last = hears.event().id;
    }
    daemon.stop();
    drop((ann, bob));
    daemon.start_again();
    assert_eq!(members(&daemon, "room"), ["ann", "bob"]);
    let _ann = open(&daemon, "subscribe=room&id=ann");
    let mut hears = backend(&daemon, &format!("Last-Event-ID: {}\r\n", last.unwrap()));
    let leave = hears.event();
    assert_eq!(leave.event.as_deref(), Some("leave"), "{leave:?}");
    assert_eq!(data(&leave)["id"], "bob");

    daemon.crash();
    daemon.start_again();
    assert!(members(&daemon, "room").is_empty());
    let lost = backend(&daemon, &format!("Last-Event-ID: {}\r\n", last.unwrap())).event();
    assert_eq!(lost.event.as_deref(), Some("gap"));
}

/// The newest id that a backend can have heard.
fn hears_all(daemon: &Daemon) -> Option<u64> {
    ask(daemon, "/presence/room").json()["position"].as_u64()
}

#[test]
fn a_list_is_written_as_the_socket_drains() {
    let daemon = Daemon::start("--presence room* --client-buffer 1000");
    let _crowd: Vec<Stream> = (0..300)
        .map(|n| {
            open(
                &daemon,
                &format!("subscribe=room1-room2-room3&id=member-{n:04}"),
            )
        })
        .collect();
    let mut ann = open(&daemon, "subscribe=room1-room2-room3&id=ann&presence=1");
    for token in ["room1", "room2", "room3"] {
        let view = told(&mut ann, "members");
        assert_eq!(view["token"], token);
        assert_eq!(view["members"].as_array().unwrap().len(), 301);
    }
}
