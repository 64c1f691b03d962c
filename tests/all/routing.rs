//! Who gets what: tokens, prefixes, everyone, and who is spared.

use support::{Daemon, Stream, publish};

/// Each subscriber's name, and its query.
const SUBSCRIBERS: [(char, &str); 6] = [
    ('1', "subscribe=room1&id=7"),
    ('2', "subscribe=room1-room2&id=8"),
    ('3', "subscribe=roof&id=7"),
    ('4', "token=room1-7"),
    ('5', "subscribe=a+b&id=x-y"),
    ('*', "subscribe=*&id=9"),
];

/// Publishes each message and looks who got it; an `x` in the text stands for the data.
fn check(table: &[(&str, &str)], send: impl Fn(&Daemon, &str)) {
    let daemon = Daemon::start("--allow-all --fifo {dir}/in --control unix:{dir}/control");
    let mut streams: Vec<(char, Stream)> = SUBSCRIBERS
        .iter()
        .map(|(name, query)| (*name, daemon.subscribe(query)))
        .collect();
    for (message, wanted) in table {
        send(&daemon, message);
        let mut got = String::new();
        for (name, stream) in &mut streams {
            for data in stream.data_until("end") {
                assert_eq!(data, "x", "{message:?} to {name}");
                got.push(*name);
            }
        }
        assert_eq!(got, *wanted, "{message:?}");
    }
}

const TEXT: &[(&str, &str)] = &[
    ("room1=x", "12*"),
    ("room2=x", "2*"),
    ("nobody=x", "*"),
    ("room1-7=x", "2*"),
    ("room1-r7=x", "12*"),
    ("room1-8=x", "1*"),
    ("room1-9=x", "12"),
    ("a b=x", "5*"),
    ("a b-x-y=x", "*"),
    ("a%20b=x", "*"),
    ("ro*=x", "1234*"),
    ("roo*-7=x", "24*"),
    ("room1*=x", "124*"),
    ("*=x", "12345*"),
    ("*-7=x", "245*"),
    ("*-9=x", "12345"),
    ("zzz*=x", "*"),
    ("room1=x;room2=x", "122**"),
];

#[test]
fn text_over_tcp() {
    check(TEXT, |daemon, message| {
        publish::tcp(daemon.control, format!("{message}\n*=end"));
    });
}

#[test]
fn text_over_the_fifo() {
    check(TEXT, |daemon, message| {
        publish::fifo(&daemon.file("in"), format!("{message};*=end;"));
    });
}

#[test]
fn text_over_a_unix_socket() {
    check(TEXT, |daemon, message| {
        publish::unix(&daemon.file("control"), format!("{message}\r\n*=end\r\n"));
    });
}

#[test]
fn json_lines() {
    let table = [
        (r#"{"to":"room1","data":"x"}"#, "12*"),
        (r#"{"to":"room1-7","data":"x"}"#, "4*"),
        (r#"{"to":"room1","except":"7","data":"x"}"#, "2*"),
        (r#"{"to":"a b","data":"x","except":"x-y"}"#, "*"),
        (r#"{"to":"ro*","data":"x"}"#, "1234*"),
        (r#"{"to":"room1-*","data":"x"}"#, "4*"),
        (r#"{"to":"*","data":"x"}"#, "12345*"),
        (r#"{"to":["room1","room2"],"data":"x"}"#, "12*"),
        (r#"{"to":["room1","ro*","*","roof"],"data":"x"}"#, "12345*"),
        (r#"{"to":["roof","a b"],"except":"7","data":"x"}"#, "5*"),
        (r#"{"to":["nobody"],"data":"x"}"#, "*"),
    ];
    check(&table, |daemon, message| {
        publish::tcp(daemon.control, format!("{message}\n*=end\n"));
    });
}

#[test]
fn http_targets() {
    let table = [
        ("room1", "12*"),
        ("room1?except=7", "2*"),
        ("room1-7", "4*"),
        ("room1%2d7", "4*"),
        ("a%20b", "5*"),
        ("a%20b?except=x-y", "*"),
        ("a+b", "*"),
        ("ro*", "1234*"),
        ("ro%2A", "1234*"),
        ("*", "12345*"),
        ("%2A?except=9", "12345"),
    ];
    check(&table, |daemon, target| {
        let (_, recipients) = publish::http(daemon.control, target, "x");
        let wanted = table.iter().find(|row| row.0 == target).unwrap().1;
        assert_eq!(recipients, wanted.len() as u64, "{target}");
        publish::http(daemon.control, "*", "end");
    });
}

#[test]
fn a_star_needs_leave() {
    let daemon = Daemon::start("");
    let refused = daemon.ask("GET /sse?subscribe=* HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains('*'), "{refused:?}");
}
