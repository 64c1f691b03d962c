//! Publishers over TLS.

use std::io::{BufRead, BufReader, Read, Write};

use super::site::Site;
use support::{Connection, needs};

#[test]
fn text_json_and_commands() {
    needs!("openssl");
    let site = Site::all_tls("");
    let mut stream = site.subscribe("subscribe=a");
    let mut publisher = BufReader::new(site.connect(site.daemon.control));
    publisher.get_mut().write_all(b"a=text;").unwrap();
    assert_eq!(stream.data(), "text");
    let json = b"{\"to\":\"a\",\"data\":\"json\",\"ack\":true}\ntcpnumberofclients\n";
    publisher.get_mut().write_all(json).unwrap();
    let mut line = || {
        let mut line = String::new();
        publisher.read_line(&mut line).unwrap();
        line
    };
    assert!(line().ends_with("\"recipients\":1}\n"));
    assert_eq!(line(), "{\"numberofclients\":1}\n");
    assert_eq!(stream.data(), "json");
}

#[test]
fn a_message_without_its_end_counts_when_the_publisher_says_that_it_is_done() {
    needs!("openssl");
    let site = Site::all_tls("");
    let mut stream = site.subscribe("subscribe=a");
    let mut publisher = site.connect(site.daemon.control);
    publisher.write_all(b"a=unfinished").unwrap();
    publisher.conn.send_close_notify();
    publisher.flush().unwrap();
    assert_eq!(stream.data(), "unfinished");
    // The daemon says that it is done too.
    assert_eq!(publisher.read(&mut [0]).unwrap(), 0);
}

#[test]
fn http_of_any_length() {
    needs!("openssl");
    let site = Site::all_tls("");
    let mut stream = site.subscribe("subscribe=a");
    let mut connection = Connection::over(site.connect(site.daemon.control));
    for length in [0, 1, 20_000, 1_000_000] {
        let data = "z".repeat(length);
        let head = format!(
            "POST /publish/a HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n\r\n"
        );
        connection.send(head.as_bytes()).send(data.as_bytes());
        let answer = connection.response();
        assert_eq!(
            (answer.status, &answer.json()["recipients"]),
            (200, &1.into())
        );
        assert!(stream.data() == data, "{length}");
    }
}

#[test]
fn a_megabyte_of_messages_in_order() {
    needs!("openssl");
    let site = Site::all_tls("");
    let mut stream = site.subscribe("subscribe=a");
    let mut publisher = site.connect(site.daemon.control);
    let many: String = (0..20_000).map(|n| format!("a={n:050}\n")).collect();
    publisher.write_all(many.as_bytes()).unwrap();
    publisher.write_all(b"a=end\n").unwrap();
    let came = stream.data_until("end");
    assert!(
        came.iter()
            .map(|data| data.parse::<u32>().unwrap())
            .eq(0..20_000)
    );
}
