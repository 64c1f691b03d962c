//! `GET /clients`.

use std::collections::BTreeSet;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use super::{answer, ask, send};
use support::{Connection, Daemon, Stream, publish};

const KEYS: [&str; 12] = [
    "address",
    "state",
    "messages",
    "reinit",
    "tls",
    "connected_seconds",
    "handshaked_seconds",
    "http",
    "id",
    "agent",
    "subscribes",
    "waiting_bytes",
];

fn list(control: SocketAddr) -> Vec<Value> {
    rows(&ask(control, "GET /clients").body)
}

fn rows(body: &str) -> Vec<Value> {
    let list: Value = serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {body}"));
    list.as_array().unwrap().clone()
}

fn ids(rows: &[Value]) -> Vec<&str> {
    rows.iter().map(|row| row["id"].as_str().unwrap()).collect()
}

/// Streams that nobody reads, with the ids 0, 1, …
fn crowd(daemon: &Daemon, count: usize, agent: &str) -> Vec<Connection> {
    crowd_of(daemon, count, "all", agent)
}

fn crowd_of(daemon: &Daemon, count: usize, tokens: &str, agent: &str) -> Vec<Connection> {
    let streams = (0..count).map(|id| {
        let mut connection = Connection::to(daemon.listen);
        let request = format!(
            "GET /sse?subscribe={tokens}-own{id}&id={id} HTTP/1.1\r\nHost: x\r\nUser-Agent: {agent}\r\n\r\n"
        );
        connection.send(request.as_bytes());
        connection
    });
    let streams = streams.collect();
    daemon.wait_for_clients(count);
    streams
}

#[test]
fn each_client_has_exactly_the_promised_keys() {
    let daemon = Daemon::start("");
    assert_eq!(ask(daemon.control, "GET /clients").body, "[]\n");
    let request = "GET /sse?subscribe=a&token=b-%22%5C&id=%22%E2%80%A8%5C HTTP/1.1\r\nHost: x\r\n\
                   User-Agent: \"<\\> \u{e9}\t;\r\n\r\n";
    let mut stream = Stream::request(daemon.listen, request);
    stream.position();
    publish::http(daemon.control, "a", "x");
    stream.data();
    let answer = ask(daemon.control, "GET /clients");
    let kind = answer.header("content-type");
    assert_eq!(kind.as_deref(), Some("application/json"));
    let rows = rows(&answer.body);
    assert_eq!(rows.len(), 1, "{}", answer.body);
    let keys: BTreeSet<&str> = rows[0]
        .as_object()
        .unwrap()
        .keys()
        .map(|key| &**key)
        .collect();
    assert_eq!(keys, KEYS.into());
    let mut row = rows[0].clone();
    assert!(row["address"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert!(row["connected_seconds"].as_u64().unwrap() < 20);
    for key in ["address", "connected_seconds", "handshaked_seconds"] {
        row.as_object_mut().unwrap().remove(key);
    }
    let expected = json!({
        "state": "SSE", "messages": 1, "reinit": 0, "tls": false, "http": "1.1", "id": "\"\u{2028}\\",
        "agent": "\"<\\> \u{e9}\t;", "subscribes": ["a", "b-\"\\"], "waiting_bytes": 0,
    });
    assert_eq!(row, expected);

    // Someone who has not asked for anything yet is there too.
    let _silent = Connection::to(daemon.listen);
    support::eventually("the silent one", || {
        let states = list(daemon.control);
        let new = states.iter().find(|row| row["state"] == "NEW")?;
        assert_eq!(new["handshaked_seconds"], Value::Null);
        Some(())
    });
}

#[test]
fn old_clients_and_head_get_it_too() {
    let daemon = Daemon::start("");
    let _streams = crowd(&daemon, 3, "x");
    let old = Connection::to(daemon.control)
        .send(b"GET /clients HTTP/1.0\r\n\r\n")
        .response();
    assert_eq!(old.header("transfer-encoding"), None);
    assert_eq!(rows(&old.body).len(), 3);
    let mut connection = Connection::to(daemon.control);
    send(&mut connection, "HEAD /clients");
    assert_eq!(connection.head().status, 200);
    assert_eq!(connection.rest(), b"");
    assert_eq!(ask(daemon.control, "POST /clients").status, 405);
}

#[test]
fn pages_hold_every_client_once() {
    let daemon = Daemon::start("");
    let _streams = crowd(&daemon, 300, "x");
    let mut connection = Connection::to(daemon.control);
    let mut target = "/clients?limit=70".to_owned();
    let (mut found, mut pages) = (Vec::new(), 0);
    loop {
        send(&mut connection, &format!("GET {target}"));
        let page = answer(&mut connection);
        let rows = rows(&page.body);
        assert!(rows.len() <= 70);
        found.extend(ids(&rows).into_iter().map(str::to_owned));
        pages += 1;
        let Some(link) = page.header("link") else {
            break;
        };
        let next = link.strip_prefix('<').unwrap();
        target = next.strip_suffix(">; rel=\"next\"").unwrap().to_owned();
        assert!(target.contains("limit=70"), "{target}");
    }
    assert_eq!(pages, 5);
    assert_eq!(found.len(), 300);
    assert_eq!(found.iter().collect::<BTreeSet<_>>().len(), 300);
}

#[test]
fn a_search_finds_by_token_id_and_agent() {
    let daemon = Daemon::start("");
    let _streams = crowd(&daemon, 250, "Walkman");
    let request = "GET /sse?subscribe=R%C3%93MA&id=me+%26 HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut other = Stream::request(daemon.listen, request);
    other.position();
    let search = |query: &str| {
        let answer = ask(daemon.control, &format!("GET /clients?{query}"));
        let rows = rows(&answer.body);
        let found: Vec<String> = ids(&rows).into_iter().map(str::to_owned).collect();
        (found, answer.header("link"))
    };
    assert_eq!(search("search=own17").0.len(), 11);
    assert_eq!(search("search=OWN249&limit=5").0, ["249"]);
    assert_eq!(
        search("search=r%C3%B3ma&limit=1"),
        (vec!["me &".into()], None)
    );
    assert_eq!(search("search=me+%26").0, ["me &"]);
    assert_eq!(search("search=walkMAN").0.len(), 250);
    assert_eq!(search("search=nobody").0.len(), 0);
    let (found, link) = search("search=me+%26&limit=1");
    assert_eq!((found.len(), link), (1, None));
    let (_, link) = search("search=own+%26%3E&limit=1");
    assert_eq!(link, None);
    let (_, link) = search("search=wal&limit=1");
    assert!(link.unwrap().contains("search=wal>"));
    for query in ["limit=0", "limit=1001", "after=x", "search=%", "page=2"] {
        let refused = ask(daemon.control, &format!("GET /clients?{query}"));
        assert_eq!(refused.status, 400, "{query}");
    }
}

#[test]
fn who_reads_a_long_list_slowly_delays_nobody_and_costs_no_memory() {
    let _alone = support::heavy();
    const COUNT: usize = 5_000;
    let daemon = Daemon::start("");
    let _streams = crowd(&daemon, COUNT, &"long name ".repeat(50));
    let mut listener = daemon.subscribe("subscribe=live&id=listener");
    list(daemon.control);
    let before = daemon.resident_kib();
    // Many readers that take a little and then nothing.
    let mut readers: Vec<Connection> = (0..10).map(|_| narrow(daemon.control)).collect();
    for reader in &mut readers {
        send(reader, "GET /clients");
        assert_eq!(reader.head().status, 200);
    }
    let began = Instant::now();
    for n in 0..100 {
        publish::http(daemon.control, "live", &n.to_string());
        assert_eq!(listener.data(), n.to_string());
    }
    // Who waited for one of the readers would wait for its ten seconds.
    let took = began.elapsed();
    assert!(took < Duration::from_secs(9), "{took:?}");
    let grown = daemon.resident_kib().saturating_sub(before);
    assert!(grown < 4096, "{grown} KiB for ten lists of {COUNT} clients");
    // A client that comes while a list is read, and one that goes, harm nothing.
    let late = daemon.subscribe("subscribe=live&id=late");
    drop(late);
    for (n, mut reader) in readers.into_iter().enumerate() {
        if n > 2 {
            continue;
        }
        let mut body = String::new();
        while let Some(chunk) = super::chunk(&mut reader) {
            body += &chunk;
        }
        let rows = rows(&body);
        let ids: BTreeSet<&str> = ids(&rows).into_iter().collect();
        assert!(rows.len() > COUNT, "{}", rows.len());
        assert!((0..COUNT).all(|id| ids.contains(id.to_string().as_str())));
        // The connection serves on.
        send(&mut reader, "GET /healthz");
        assert_eq!(answer(&mut reader).body, "ok");
    }
}

#[test]
fn a_stop_waits_for_no_reader() {
    let _alone = support::heavy();
    let mut daemon = Daemon::start("");
    // More than the system takes ahead.
    let tokens: Vec<String> = (0..30).map(|n| format!("{n:0>200}")).collect();
    let _streams = crowd_of(&daemon, 2_000, &tokens.join("-"), "x");
    let mut reader = narrow(daemon.control);
    send(&mut reader, "GET /clients");
    assert_eq!(reader.head().status, 200);
    let mut live = Connection::to(daemon.control);
    send(&mut live, "GET /live");
    assert_eq!(live.head().status, 200);
    daemon.stop();
    assert!(!daemon.log().contains("took too long"), "{}", daemon.log());
}

/// A connection that takes little ahead.
fn narrow(to: SocketAddr) -> Connection {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&to.into()).unwrap();
    Connection::over(TcpStream::from(socket))
}
