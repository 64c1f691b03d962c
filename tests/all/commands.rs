//! Commands: what the log says, and what the sender is told.

use support::{Connection, Daemon, Stream, publish};

/// The keys of a JSON object in the order in which they stand.
fn keys(json: &str) -> Vec<String> {
    let mut keys = Vec::new();
    let mut rest = json;
    while let Some((before, after)) = rest.split_once("\":") {
        keys.push(before.rsplit_once('"').unwrap().1.to_owned());
        rest = after;
    }
    keys
}

#[test]
fn replies_in_json_have_the_old_keys_in_the_old_order() {
    let daemon = Daemon::start("");
    let _stream = daemon.subscribe("subscribe=room1-b&id=7");
    publish::http(daemon.control, "room1", "x");
    let table: [(&str, &[&str]); 3] = [
        (
            "tcpstatus",
            &[
                "version",
                "runningtime",
                "mode",
                "loglevel",
                "allconncli",
                "sseconncli",
                "maxconncli",
                "msgproccnt",
                "msgsendcnt",
            ],
        ),
        ("tcpnumberofclients", &["numberofclients"]),
        (
            "tcpsubscribedclients:room1",
            &["subscribedclients", "subscribedfor"],
        ),
    ];
    for (command, wanted) in table {
        for end in ["\n", ";", ""] {
            let answers = publish::talk_tcp(daemon.control, format!("{command}{end}"));
            assert_eq!(answers.len(), 1, "{command}{end:?}: {answers:?}");
            let keys = keys(&answers[0]);
            assert_eq!(keys[..wanted.len()], *wanted, "{}", answers[0]);
            serde_json::from_str::<serde_json::Value>(&answers[0]).unwrap();
        }
    }
    let ask = |command: &str| -> serde_json::Value {
        serde_json::from_str(&publish::ask_tcp(daemon.control, command)).unwrap()
    };
    let status = ask("tcpstatus\n");
    assert_eq!(status["sseconncli"], 1);
    assert_eq!(status["msgproccnt"], 1);
    assert_eq!(status["msgsendcnt"], 1);
    assert_eq!(ask("tcpnumberofclients\n")["numberofclients"], 1);
    let counted = ask("tcpsubscribedclients:room1\n");
    assert_eq!(counted["subscribedclients"], 1);
    assert_eq!(counted["subscribedfor"], "room1");
    let nobody = ask("tcpsubscribedclients:nobody\n");
    assert_eq!(nobody["subscribedclients"], 0);

    let list = ask("tcpclientlist\n");
    let client = &list.as_array().unwrap()[0];
    assert_eq!(client["id"], "7");
}

#[test]
fn the_status_text_keeps_the_old_layout() {
    let daemon = Daemon::start("");
    let answer = publish::talk_tcp(daemon.control, "status\n");
    let labels: Vec<&str> = answer
        .iter()
        .map(|line| {
            line.split_once(": ")
                .map_or(line.as_str(), |(label, _)| label)
        })
        .collect();
    let wanted = [
        "------- status of hasses -------",
        "Version",
        "Compiled",
        "Pid",
        "Uid",
        "Running time",
        "Mode",
        "Loglevel",
        "Reinit allowed",
        "CORS-base url",
        "Count of connected clients",
        "Current registred SSE clients",
        "Maximum number of connections",
        "Total client handshaked",
        "Total reinit connection",
        "Total message processed",
        "Total message sent",
    ];
    assert_eq!(labels[..wanted.len()], wanted, "{answer:#?}");
    assert_eq!(*labels.last().unwrap(), "------------- end --------------");
    for line in [
        "Version: 2.0.0".to_owned(),
        format!("Pid: {}", daemon.pid()),
        "Mode: unencrypted (http)".to_owned(),
        "Reinit allowed: no".to_owned(),
        "CORS-base url: *".to_owned(),
        "Total message sent: 0".to_owned(),
    ] {
        assert!(answer.contains(&line), "{line}: {answer:#?}");
        daemon.wait_for_log(&line);
    }
}

#[test]
fn the_client_list_keeps_the_old_layout() {
    let daemon = Daemon::start("");
    let request = "GET /sse?subscribe=room624-b&id=me HTTP/1.1\r\nHost: x\r\n\
                   User-Agent: Mozilla/5.0 (X11)\r\n\r\n";
    let mut stream = Stream::request(daemon.listen, request);
    stream.position();
    publish::http(daemon.control, "b", "x");
    stream.event();
    let lines = publish::talk_tcp(daemon.control, "clientlist\n");
    assert_eq!(lines[0], "------- requested client list -------");
    assert_eq!(lines[1], "List of clients:");
    assert!(lines[2].starts_with("#1 - <"), "{lines:#?}");
    assert!(lines[2].contains("> info: 127.0.0.1:"), "{lines:#?}");
    assert!(
        lines[2].ends_with(" S:SSE Err: 0 Messages: 1 Reinit: 0 SSL:No"),
        "{lines:#?}"
    );
    assert!(lines[3].starts_with("  Connection time: 00:00:0"));
    assert!(lines[3].contains("  Handshaked time: 00:00:0"));
    assert!(lines[3].ends_with("UniqId:me"), "{lines:#?}");
    assert_eq!(lines[4], "  Agent: Mozilla/5.0 (X11)");
    assert!(lines[5].starts_with("  Subscribes: room624"), "{lines:#?}");
    assert_eq!(lines[6], "---------------- end ----------------");
    daemon.wait_for_log("Agent: Mozilla/5.0 (X11)");
}

/// What changes from run to run, as one sign each.
fn generalized(line: &str) -> String {
    let mut digits = line.replace(|sign: char| sign.is_ascii_digit(), "9");
    while digits.contains("99") {
        digits = digits.replace("99", "9");
    }
    digits
}

#[test]
fn scripts_that_read_the_old_log_can_go_on() {
    let line = "-p={listen} -cp={control} -nodaemon -l={dir}/log";
    let daemon = Daemon::command_line(line);
    let request = "GET /sse?subscribe=room624&id=7 HTTP/1.1\r\nHost: x\r\n\
                   User-Agent: Mozilla/5.0 (X11)\r\n\r\n";
    let mut stream = Stream::request(daemon.listen, request);
    stream.position();
    publish::talk_tcp(daemon.control, "status\n");
    publish::talk_tcp(daemon.control, "clientlist\n");
    let log = support::eventually("both lists", || {
        let log = daemon.text_of("log");
        log.contains("---------------- end ----------------")
            .then_some(log)
    });
    let block = |begin: &str, end: &str| -> Vec<String> {
        let lines = log.lines().skip_while(|line| !line.ends_with(begin));
        let mut all = Vec::new();
        for line in lines {
            let (stamp, text) = line.split_at_checked(28).unwrap_or((line, ""));
            assert_eq!(generalized(stamp), "9-9-9 9:9:9 hasses: ", "{line}");
            all.push(generalized(text));
            if text == end {
                break;
            }
        }
        all
    };
    let status = block(
        "------- status of hasses -------",
        "------------- end --------------",
    );
    let wanted = [
        "------- status of hasses -------",
        "Version: 9.9.9",
        "Compiled: ",
        "Pid: 9",
        "Uid: 9 (not set)",
        "Running time: 9:9:9",
        "Mode: unencrypted (http)",
        "Loglevel: 9",
        "Reinit allowed: no",
        "CORS-base url: *",
        "Count of connected clients: 9",
        "Current registred SSE clients: 9",
        "Maximum number of connections: 9",
        "Total client handshaked: 9",
        "Total reinit connection: 9",
        "Total message processed: 9",
        "Total message sent: 9",
    ];
    for (line, wanted) in status.iter().zip(wanted) {
        match wanted {
            "Compiled: " => assert!(line.starts_with(wanted), "{line}"),
            _ => assert_eq!(line, wanted),
        }
    }
    assert!(status.len() > wanted.len(), "{status:#?}");
    let list = block(
        "------- requested client list -------",
        "---------------- end ----------------",
    );
    let wanted = [
        "------- requested client list -------",
        "List of clients:",
        "#9 - <9> info: 9.9.9.9:9 S:SSE Err: 9 Messages: 9 Reinit: 9 SSL:No",
        "  Connection time: 9:9:9  Handshaked time: 9:9:9 UniqId:9",
        "  Agent: Mozilla/9.9 (X9)",
        "  Subscribes: room9",
        "---------------- end ----------------",
    ];
    assert_eq!(list, wanted);
}

#[test]
fn the_other_commands() {
    let daemon = Daemon::start("--fifo {dir}/in");
    let _stream = daemon.subscribe("subscribe=room1");
    let table = [
        ("numberofclients", "Number of connected clients: 1"),
        (
            "subscribedclients:room1",
            "Client count subscribed for \"room1\": 1",
        ),
        (
            "subscribedclients:a b",
            "Client count subscribed for \"a b\": 0",
        ),
        ("loglevel_debug", "Set loglevel to the maximum."),
        ("loglevel_normal", "Set loglevel to normal."),
        ("loglevel_quiet", "Set loglevel to the minimum."),
        ("reinit_enable", "Reinit enabled."),
        ("reinit_disable", "Reinit disabled."),
    ];
    for (command, text) in table {
        let answer = publish::talk_tcp(daemon.control, format!("{command}\n"));
        assert_eq!(answer, [text], "{command}");
        daemon.wait_for_log(text);
    }
    publish::fifo(&daemon.file("in"), "subscribedclients:fifo\n");
    daemon.wait_for_log("Client count subscribed for \"fifo\": 0");
    publish::fifo(&daemon.file("in"), "loglevel_debug;");
    let loglevel = |level: &str| {
        let status = publish::talk_tcp(daemon.control, "status\n");
        assert!(
            status.contains(&format!("Loglevel: {level}")),
            "{status:#?}"
        );
    };
    support::eventually("the highest level", || {
        publish::talk_tcp(daemon.control, "status\n")
            .contains(&"Loglevel: 2".to_owned())
            .then_some(())
    });
    publish::talk_tcp(daemon.control, "loglevel_quiet\n");
    loglevel("0");
}

#[test]
fn several_commands_and_messages_on_one_connection() {
    let daemon = Daemon::start("");
    let mut stream = daemon.subscribe("subscribe=a");
    let mut connection = Connection::to(daemon.control);
    connection.send(b"a=1;tcpnumberofclients;a=2\ntcpsubscribedclients:a\nbogus\ntcpstatus");
    assert!(connection.line().starts_with("{\"numberofclients\":"));
    assert!(connection.line().starts_with("{\"subscribedclients\":"));
    connection.finish();
    assert!(connection.line().starts_with("{\"version\":"));
    assert_eq!([stream.data(), stream.data()], ["1", "2"]);
}

#[test]
fn disconnecting_by_id() {
    let daemon = Daemon::start("");
    let one = daemon.subscribe("subscribe=a&id=x-1");
    let two = daemon.subscribe("subscribe=b&id=x-1");
    let mut other = daemon.subscribe("subscribe=a&id=x-2");
    publish::talk_tcp(daemon.control, "disconnect:x-1\n");
    one.into_connection();
    two.into_connection();
    publish::http(daemon.control, "a", "still there");
    assert_eq!(other.data(), "still there");
    daemon.wait_for_clients(1);
}

#[test]
fn a_disconnected_client_that_never_closes_holds_nothing_up() {
    let daemon = Daemon::start("");
    let mut ended: Vec<Stream> = (0..5)
        .map(|_| daemon.subscribe("subscribe=a&id=x"))
        .collect();
    publish::talk_tcp(daemon.control, "disconnect:x\n");
    for stream in &mut ended {
        assert_eq!(stream.try_event(), None);
        assert!(stream.ended_well);
    }
    let before = daemon.cpu_ticks();
    for _ in 0..200 {
        assert_eq!(publish::http(daemon.control, "a", "x").1, 0);
    }
    daemon.wait_for_clients(0);
    let used = daemon.cpu_ticks() - before;
    assert!(used < 100, "{used} ticks of 10 ms for 200 messages");
}
