//! Publishing as text over TCP, Unix socket and FIFO: what is a message, what is refused, what is
//! answered.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;

use support::{Connection, Daemon, Stream, publish};

/// What one publisher writes, and the data of the events that come of it.
const GRAMMAR: &[(&str, &[&str])] = &[
    ("a=one;b=two", &["one", "two"]),
    ("a=one;b=two;", &["one", "two"]),
    ("a=one\nb=two\r\nc=three", &["one", "two", "three"]),
    ("a=1=2==3\n", &["1=2==3"]),
    ("a=\n", &[""]),
    ("a=", &[""]),
    (";;\n\r\n;a=x;;\n;", &["x"]),
    ("a= spaced \n", &[" spaced "]),
    ("a=cr\rinside\r\n", &["cr\ninside"]),
    ("a=é☃\n", &["é☃"]),
    (
        "{\"to\":\"a\",\"data\":\"p;q=r\\ns\"}\nb=t",
        &["p;q=r\ns", "t"],
    ),
    ("{\"to\":\"a\",\"data\":\"last line\"}", &["last line"]),
    (
        "a=x;{\"to\":\"a\",\"data\":\"p;q\"}\na=y",
        &["x", "p;q", "y"],
    ),
    // Refused pieces in between change nothing for their neighbours.
    ("nonsense\na=x\n", &["x"]),
    ("=x;a=y\n", &["y"]),
    ("a-=x;-7=y;a=z\n", &["z"]),
    ("a*b=x;**=y;a-b*=z;*x=1;a=ok\n", &["ok"]),
    ("{\"to\":\"a\",\"data\":5}\na=ok\n", &["ok"]),
    ("{broken\na=ok\n", &["ok"]),
];

fn check_grammar(send: impl Fn(&Daemon, &str)) {
    let daemon = Daemon::start("--allow-all --fifo {dir}/in --control unix:{dir}/control");
    let mut stream = daemon.subscribe("subscribe=*");
    for (text, wanted) in GRAMMAR {
        send(&daemon, text);
        for data in *wanted {
            assert_eq!(stream.data(), *data, "{text:?}");
        }
        // Nothing more came of it.
        publish::http(daemon.control, "end", "end");
        assert_eq!(stream.data(), "end", "{text:?}");
    }
}

#[test]
fn the_grammar_over_tcp() {
    check_grammar(|daemon, text| {
        publish::talk_tcp(daemon.control, text);
    });
}

#[test]
fn the_grammar_over_tcp_in_single_bytes() {
    check_grammar(|daemon, text| {
        let mut socket = TcpStream::connect(daemon.control).unwrap();
        socket.set_nodelay(true).unwrap();
        for byte in text.bytes() {
            socket.write_all(&[byte]).unwrap();
        }
        socket.shutdown(std::net::Shutdown::Write).unwrap();
        socket.read_to_end(&mut Vec::new()).unwrap();
    });
}

#[test]
fn the_grammar_over_a_unix_socket() {
    check_grammar(|daemon, text| publish::unix(&daemon.file("control"), text));
}

#[test]
fn the_grammar_over_the_fifo() {
    check_grammar(|daemon, text| publish::fifo(&daemon.file("in"), text));
}

#[test]
fn another_delimiter() {
    let daemon = Daemon::start("--delimiter |");
    let mut stream = daemon.subscribe("subscribe=a");
    publish::tcp(daemon.control, "a=1;2|a=3");
    assert_eq!([stream.data(), stream.data()], ["1;2", "3"]);
}

#[test]
fn a_text_message_is_never_answered() {
    let daemon = Daemon::start("");
    let text = "a=x\nnonsense\n=\n{\"to\":\"a\",\"data\":\"x\"}\n";
    assert!(publish::talk_tcp(daemon.control, text).is_empty());
}

#[test]
fn json_is_acknowledged_on_request_and_refused_by_name() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let answers = publish::talk_tcp(
        daemon.control,
        "{\"to\":\"a\",\"data\":\"x\",\"event\":\"news\",\"retain\":false,\"ack\":true}\n",
    );
    let event = stream.event();
    assert_eq!(event.event.as_deref(), Some("news"));
    let id = event.id.unwrap();
    assert_eq!(answers, [format!("{{\"id\":{id},\"recipients\":1}}")]);

    // What is wrong, and a word that the answer must have in it.
    let table = [
        (r#"{"to":"a","data":"x","colour":"red"}"#, "colour"),
        (r#"{"to":"a","data":7}"#, "data"),
        (r#"{"to":"a"}"#, "data"),
        (r#"{"data":"x"}"#, "to"),
        (r#"{"to":7,"data":"x"}"#, "to"),
        (r#"{"to":[],"data":"x"}"#, "to"),
        (r#"{"to":["a",1],"data":"x"}"#, "to"),
        (r#"{"to":"","data":"x"}"#, "to"),
        (r#"{"to":"a*b","data":"x"}"#, "*"),
        (r#"{"to":"a","data":"x","ack":1}"#, "ack"),
        (r#"{"to":"a","data":"x","retain":"no"}"#, "retain"),
        (r#"{"to":"a","data":"x","event":5}"#, "event"),
        (r#"{"to":"a","data":"x","event":"a\nb"}"#, "event"),
        (r#"{"to":"a","data":"x","except":[]}"#, "except"),
        (r#"{"to":"a","data":"x"} more"#, ""),
        (r#"{"to":"a","data":"x""#, ""),
        ("{nonsense", ""),
    ];
    for (line, word) in table {
        let answers = publish::talk_tcp(daemon.control, format!("{line}\n"));
        assert_eq!(answers.len(), 1, "{line}: {answers:?}");
        let answer: serde_json::Value = serde_json::from_str(&answers[0]).unwrap();
        let error = answer["error"].as_str().unwrap();
        assert!(error.contains(word), "{line}: {error}");
    }
    publish::tcp(daemon.control, "a=nothing came of them");
    assert_eq!(stream.data(), "nothing came of them");
}

#[test]
fn a_message_over_the_limit_is_refused_whole() {
    let daemon = Daemon::start("--max-message 1000 --fifo {dir}/in");
    let mut stream = daemon.subscribe("subscribe=a");
    let (fits, over) = ("f".repeat(1000), "o".repeat(1001));
    let text = format!("a={over}\na={fits}\na={};a=next\n", "o".repeat(200_000));
    let senders: [fn(&Daemon, &str); 2] = [
        |daemon, text| publish::tcp(daemon.control, text),
        |daemon, text| publish::fifo(&daemon.file("in"), text),
    ];
    for send in senders {
        send(&daemon, &text);
        assert_eq!(stream.data(), fits);
        assert_eq!(stream.data(), "next");
    }
    daemon.wait_for_log("1000");
    let json = format!("{{\"to\":\"a\",\"data\":\"{over}\"}}\n");
    let answers = publish::talk_tcp(daemon.control, json);
    assert!(answers[0].starts_with("{\"error\":\""), "{answers:?}");
    let json = format!("{{\"to\":\"a\",\"data\":\"{}\"}}\n", "\\u0041".repeat(1000));
    assert!(publish::talk_tcp(daemon.control, json).is_empty());
    assert_eq!(stream.data(), "A".repeat(1000));
}

#[test]
fn a_message_of_a_mebibyte_passes() {
    let daemon = Daemon::start("--fifo {dir}/in");
    let mut stream = daemon.subscribe("subscribe=a");
    let text = "m".repeat(1_048_576);
    publish::tcp(daemon.control, format!("a={text}"));
    assert_eq!(stream.data(), text);
    publish::fifo(&daemon.file("in"), format!("a={text}\n"));
    assert_eq!(stream.data(), text);
}

#[test]
fn bytes_that_are_no_utf_8_are_replaced() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    publish::tcp(daemon.control, b"a=x\xffy\xc3\na=\xe2\x98\x83\n");
    assert_eq!(stream.data(), "x\u{fffd}y\u{fffd}");
    assert_eq!(stream.data(), "☃");
}

#[test]
fn the_first_bytes_decide_between_text_and_http() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=GET");
    publish::tcp(daemon.control, "GET=text\n");
    assert_eq!(stream.data(), "text");
    let mut connection = Connection::to(daemon.control);
    for byte in b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n" {
        connection.send(&[*byte]);
    }
    assert_eq!(connection.response().body.trim_end(), "ok");
}

const WRITERS: usize = 8;
const MESSAGES: usize = 10_000;

/// Every writer's messages must come, whole and in the writer's order.
fn all_arrive(stream: &mut Stream) {
    let mut next = [0; WRITERS];
    for _ in 0..WRITERS * MESSAGES {
        let data = stream.data();
        let (writer, number) = data.split_once(' ').unwrap();
        let expected = &mut next[writer.parse::<usize>().unwrap()];
        assert_eq!(number, expected.to_string(), "writer {writer}");
        *expected += 1;
    }
    assert_eq!(next, [MESSAGES; WRITERS]);
}

#[test]
fn eight_processes_write_the_fifo() {
    let daemon = Daemon::start("--fifo {dir}/in --client-buffer 67108864");
    let mut stream = daemon.subscribe("subscribe=a");
    let script = "i=0; while [ $i -lt $2 ]; do echo \"a=$1 $i\"; i=$((i+1)); done > \"$3\"";
    let writers: Vec<Child> = (0..WRITERS)
        .map(|writer| {
            Command::new("sh")
                .args(["-c", script, "sh"])
                .args([writer.to_string(), MESSAGES.to_string()])
                .arg(daemon.file("in"))
                .stdin(Stdio::null())
                .spawn()
                .unwrap()
        })
        .collect();
    all_arrive(&mut stream);
    for mut writer in writers {
        assert!(writer.wait().unwrap().success());
    }
}

#[test]
fn eight_connections_write_over_tcp() {
    let daemon = Daemon::start("--client-buffer 67108864");
    let mut stream = daemon.subscribe("subscribe=a");
    let control = daemon.control;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            thread::spawn(move || {
                let mut socket = TcpStream::connect(control).unwrap();
                for number in 0..MESSAGES {
                    writeln!(socket, "a={writer} {number}").unwrap();
                }
            })
        })
        .collect();
    all_arrive(&mut stream);
    for writer in writers {
        writer.join().unwrap();
    }
}
