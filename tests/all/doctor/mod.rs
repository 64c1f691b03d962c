//! `hasses doctor` in front of real proxies: it names what is wrong, and what it advises mends that.

mod proxy;
mod stranger;

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::thread;

use proxy::{APACHE, CADDY, GZIP, HAPROXY, NGINX, Proxy, VARNISH};
use support::{Daemon, Port, needs, temp_dir};

use crate::tls::authority::{Authority, ECDSA};

/// What the doctor said: its exit code, and its findings.
struct Told {
    code: i32,
    report: serde_json::Value,
}

impl Told {
    /// The level, the text and the advice of a check's last finding.
    fn finding(&self, check: &str) -> (String, String, String) {
        let findings = self.report["findings"].as_array().unwrap();
        let found = findings.iter().rfind(|finding| finding["check"] == check);
        let found = found.unwrap_or_else(|| panic!("{check}: {:#}", self.report));
        let advice = found["advice"].as_array().unwrap();
        let lines = advice.iter().map(|one| one["lines"].as_str().unwrap());
        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
        (
            text(&found["level"]),
            text(&found["text"]),
            lines.collect::<Vec<_>>().join("\n"),
        )
    }

    /// Asserts that the check has this level, says this, and advises that.
    fn says(&self, check: &str, level: &str, text: &str, advice: &str) -> &Self {
        let found = self.finding(check);
        assert_eq!(found.0, level, "{check}: {:#}", self.report);
        assert!(found.1.contains(text), "{check}: {}", found.1);
        assert!(found.2.contains(advice), "{check}: {}", found.2);
        self.is_coherent();
        self
    }

    /// Asserts that the exit code and `well` follow from the findings.
    fn is_coherent(&self) {
        let findings = self.report["findings"].as_array().unwrap();
        let has = |level: &str| findings.iter().any(|finding| finding["level"] == level);
        let code = match (has("wrong"), has("unchecked")) {
            (true, _) => 1,
            (false, true) => 2,
            (false, false) => 0,
        };
        assert_eq!(self.code, code, "{:#}", self.report);
        assert_eq!(self.well(), code == 0, "{:#}", self.report);
    }

    /// The checks that have no result.
    fn unchecked(&self) -> Vec<&str> {
        let checks = self.report["unchecked"].as_array().unwrap();
        checks.iter().map(|check| check.as_str().unwrap()).collect()
    }

    /// The checks that are worth a note.
    fn notes(&self) -> Vec<String> {
        let findings = self.report["findings"].as_array().unwrap();
        let notes = findings.iter().filter(|one| one["level"] == "note");
        let names = notes.map(|one| one["check"].as_str().unwrap().to_owned());
        names.collect()
    }

    fn well(&self) -> bool {
        self.report["well"].as_bool().unwrap()
    }

    fn is_well(&self) {
        assert!(self.well(), "{:#}", self.report);
        assert_eq!(self.code, 0);
    }
}

/// Sends the doctor to a URL; it publishes by the daemon's control address.
fn doctor(url: &str, daemon: &Daemon, options: &[&str], trusts: Option<&PathBuf>) -> Told {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
    let control = daemon.control.to_string();
    command.args(["doctor", url, "--json", "--control", &control]);
    if !options.contains(&"--wait") {
        command.args(["--wait", "1"]);
    }
    command.args(options);
    if let Some(file) = trusts {
        command.env("SSL_CERT_FILE", file);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let complained = String::from_utf8_lossy(&output.stderr);
    Told {
        code: output.status.code().unwrap(),
        report: serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}{complained}")),
    }
}

fn through(proxy: &Proxy, daemon: &Daemon, options: &[&str]) -> Told {
    let url = format!("http://{}/sse", proxy.address);
    doctor(&url, daemon, options, None)
}

/// Tries all cases beside one another: the doctor mostly waits.
fn each<T: Sync>(cases: &[T], tried: impl Fn(&T) + Sync) {
    thread::scope(|scope| {
        for case in cases {
            scope.spawn(|| tried(case));
        }
    });
}

fn daemon() -> Daemon {
    Daemon::start("--trust-proxy 127.0.0.1")
}

/// The location of a right set-up, with further lines in it.
fn nginx(further: &str) -> String {
    format!(
        "location /sse {{ proxy_pass http://DAEMON; \
         proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; {further} }}"
    )
}

#[test]
fn a_right_set_up_is_well() {
    needs!("nginx", "apache2", "caddy", "haproxy", "varnishd");
    let daemon = daemon();
    let cases = [
        (
            NGINX,
            nginx("proxy_http_version 1.1; proxy_set_header Connection '';"),
        ),
        (
            APACHE,
            "ProxyPass /sse http://DAEMON/sse\nProxyPass /sse.js http://DAEMON/sse.js".to_owned(),
        ),
        (CADDY, "reverse_proxy /sse* DAEMON".to_owned()),
        (
            HAPROXY,
            "option http-no-delay\noption forwardfor\nserver one DAEMON".to_owned(),
        ),
        (VARNISH, "sub vcl_recv { return (pipe); }".to_owned()),
    ];
    each(&cases, |(kind, text)| {
        let proxy = Proxy::start(*kind, text, &daemon);
        let told = through(&proxy, &daemon, &[]);
        told.is_well();
        for check in [
            "script",
            "first bytes",
            "delivery",
            "end",
            "reconnect",
            "address",
            "silence",
        ] {
            told.says(check, "ok", "", "");
        }
        assert!(
            !told.notes().contains(&"upstream".to_owned()),
            "{:#}",
            told.report
        );
    });
    // Without anything between.
    doctor(&format!("http://{}/sse", daemon.listen), &daemon, &[], None).is_well();
}

#[test]
fn what_nginx_does_wrong_is_named_and_mended() {
    needs!("nginx");
    let daemon = daemon();
    let cases = [
        (
            nginx("proxy_ignore_headers X-Accel-Buffering;"),
            "request",
            "holds the stream back",
            "proxy_buffering off;",
            nginx("proxy_ignore_headers X-Accel-Buffering; proxy_buffering off;"),
        ),
        (
            nginx("proxy_set_header Last-Event-ID \"\";"),
            "reconnect",
            "Last-Event-ID does not reach hasses",
            "proxy_set_header Last-Event-ID \"\";",
            nginx(""),
        ),
        (
            "location /sse { proxy_pass http://DAEMON/; }".to_owned(),
            "status",
            "404",
            "proxy_pass http://127.0.0.1:8080;     # no path",
            nginx(""),
        ),
        (
            "location /sse { proxy_pass http://DAEMON/sse/; }".to_owned(),
            "status",
            "404",
            "proxy_pass http://127.0.0.1:8080;     # no path",
            nginx(""),
        ),
        (
            "location / { default_type text/html; return 200 '<html>'; }".to_owned(),
            "content type",
            "another program answers",
            "proxy_pass http://127.0.0.1:8080;     # no path",
            nginx(""),
        ),
        (
            "location /sse { rewrite ^ /sse? break; proxy_pass http://DAEMON; }".to_owned(),
            "status",
            "400",
            "$request_uri",
            nginx(""),
        ),
        (
            nginx("proxy_hide_header Access-Control-Allow-Origin;"),
            "CORS",
            "no Access-Control-Allow-Origin",
            "--cors",
            nginx(""),
        ),
        (
            nginx("add_header Access-Control-Allow-Origin '*';"),
            "CORS",
            "twice",
            "proxy_hide_header Access-Control-Allow-Origin;",
            nginx("add_header Access-Control-Allow-Origin '*'; proxy_hide_header Access-Control-Allow-Origin;"),
        ),
        (
            "location /sse { return 301 http://$host:PORT/new$uri; } location /new { rewrite ^ /sse? break; proxy_pass http://DAEMON; }".to_owned(),
            "redirect",
            "loses the query",
            "$request_uri",
            "location /sse { return 301 http://$host:PORT/new$request_uri; } location /new { rewrite ^/new(.*) $1 break; proxy_pass http://DAEMON; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }".to_owned(),
        ),
        (
            nginx("proxy_cache one; proxy_cache_key $uri; proxy_cache_valid 200 1m; proxy_ignore_headers Cache-Control X-Accel-Buffering; add_header X-Cache-Status $upstream_cache_status;"),
            "request",
            "holds the stream back",
            "proxy_buffering off;",
            nginx("proxy_cache off;"),
        ),
    ];
    each(&cases, |(wrong, check, text, advice, mended)| {
        let options = ["--origin", "https://www.example.com"];
        let proxy = Proxy::start(NGINX, wrong, &daemon);
        let told = through(&proxy, &daemon, &options);
        told.says(check, "wrong", text, advice);
        assert_eq!(told.report["between"], "nginx");
        let proxy = Proxy::start(NGINX, mended, &daemon);
        through(&proxy, &daemon, &options).is_well();
    });
}

#[test]
fn a_script_that_is_not_passed_on_and_a_slash_too_many_are_worth_a_note() {
    needs!("nginx", "apache2");
    let daemon = daemon();
    let only = nginx("").replace("location /sse", "location = /sse");
    let stream = "ProxyPass /sse http://DAEMON/sse".to_owned();
    let cases = [
        (NGINX, only, "not: location = /sse"),
        (APACHE, stream, "ProxyPass /sse.js "),
    ];
    each(&cases, |(kind, text, advice)| {
        let proxy = Proxy::start(*kind, text, &daemon);
        let told = through(&proxy, &daemon, &[]);
        told.says(
            "script",
            "note",
            "/sse.js does not come from hasses (404",
            advice,
        );
        told.is_well();
    });
    let text = "location /sse/ { proxy_pass http://DAEMON/; }";
    let proxy = Proxy::start(NGINX, text, &daemon);
    let told = through(&proxy, &daemon, &[]);
    told.says("redirect", "note", "a slash at the end", "location /sse {");
}

#[test]
fn a_silent_stream_that_is_cut_is_named() {
    needs!("nginx", "apache2", "haproxy");
    let daemon = daemon();
    let wait = ["--wait", "8"];
    let cases = [
        (
            NGINX,
            nginx("proxy_read_timeout 5s;"),
            "proxy_read_timeout 60s;",
            nginx("proxy_read_timeout 60s;"),
        ),
        (
            HAPROXY,
            "option http-no-delay\noption forwardfor\ntimeout server 5s\nserver one DAEMON"
                .to_owned(),
            "timeout server 60s",
            "option http-no-delay\noption forwardfor\ntimeout server 60s\nserver one DAEMON"
                .to_owned(),
        ),
        (
            APACHE,
            "ProxyPass /sse http://DAEMON/sse timeout=5".to_owned(),
            "timeout=60",
            "ProxyPass /sse http://DAEMON/sse timeout=60".to_owned(),
        ),
    ];
    each(&cases, |(kind, wrong, advice, mended)| {
        let proxy = Proxy::start(*kind, wrong, &daemon);
        let options = [&wait[..], &["--proxy", kind.name]].concat();
        through(&proxy, &daemon, &options).says("silence", "wrong", "was cut after", advice);
        let proxy = Proxy::start(*kind, mended, &daemon);
        through(&proxy, &daemon, &options).is_well();
    });
}

#[test]
fn http_1_0_behind_the_proxy_is_worth_a_note() {
    needs!("nginx");
    let daemon = daemon();
    let proxy = Proxy::start(NGINX, &nginx(""), &daemon);
    let told = through(&proxy, &daemon, &[]);
    told.says("upstream", "note", "HTTP/1.0", "proxy_http_version 1.1;")
        .is_well();
}

#[test]
fn an_answer_out_of_a_cache_is_named() {
    needs!("nginx", "varnishd");
    let daemon = daemon();
    let keeps = "sub vcl_backend_response { set beresp.ttl = 1h; return (deliver); }";
    let mended =
        format!("sub vcl_recv {{ if (req.url ~ \"^/sse\") {{ return (pipe); }} }}\n{keeps}");
    let cached = "proxy_http_version 1.1; proxy_cache one; proxy_cache_key $uri; \
                  proxy_cache_valid 200 1m; proxy_ignore_headers Cache-Control X-Accel-Buffering;";
    // The second comes after a stream that was kept, and says so.
    let says_hit = format!("{cached} add_header X-Cache-Status $upstream_cache_status;");
    let cases = [
        (VARNISH, keeps.to_owned(), "return (pipe)", mended),
        (
            NGINX,
            nginx(&says_hit),
            "proxy_cache off;",
            nginx("proxy_cache off;"),
        ),
    ];
    each(&cases, |(kind, wrong, advice, mended)| {
        let proxy = Proxy::start(*kind, wrong, &daemon);
        through(&proxy, &daemon, &[]).says("reconnect", "wrong", "a cache answers", advice);
        if kind.name == "nginx" {
            through(&proxy, &daemon, &[]).says("cache", "wrong", "from a cache", advice);
        }
        let proxy = Proxy::start(*kind, mended, &daemon);
        through(&proxy, &daemon, &[]).is_well();
    });
}

#[test]
fn a_redirect_to_https_that_loses_the_query_is_named() {
    needs!("nginx", "openssl");
    let daemon = daemon();
    let dir = temp_dir();
    Authority::new(dir.path()).issue("site", ECDSA);
    let file = |name: &str| dir.path().join(name);
    let tls = format!(
        "TLS ssl_certificate {}; ssl_certificate_key {}; {}",
        file("site.pem").display(),
        file("site.key").display(),
        nginx("")
    );
    let site = Proxy::start(NGINX, &tls, &daemon);
    let plain = |rest: &str| {
        let port = site.address.port();
        let text = format!("return 301 https://localhost:{port}{rest};");
        let proxy = Proxy::start(NGINX, &text, &daemon);
        let url = format!("http://localhost:{}/sse", proxy.address.port());
        doctor(&url, &daemon, &[], Some(&file("ca.pem")))
    };
    plain("$uri").says("redirect", "wrong", "loses the query", "$request_uri");
    plain("$request_uri")
        .says("redirect", "note", "use that URL", "")
        .is_well();
}

#[test]
fn a_restart_behind_a_proxy_is_a_502_until_it_is_over() {
    needs!("nginx");
    let mut daemon = daemon();
    let proxy = Proxy::start(NGINX, &nginx(""), &daemon);
    through(&proxy, &daemon, &[]).is_well();
    daemon.stop();
    through(&proxy, &daemon, &[]).says("status", "wrong", "502", "hasses.socket");
    daemon.start_again();
    through(&proxy, &daemon, &[]).is_well();
}

#[test]
fn compression_is_wrong_only_where_it_holds_events_back() {
    needs!("nginx", "node", "varnishd");
    let daemon = daemon();
    // nginx passes what is compressed on at once, as hasses switches its buffering off.
    let text = "gzip on; gzip_types text/event-stream; gzip_min_length 1;";
    let proxy = Proxy::start(NGINX, &nginx(text), &daemon);
    let told = through(&proxy, &daemon, &[]);
    told.says("compression", "note", "gzip", "gzip off")
        .is_well();
    // A program that never flushes its compressor.
    let proxy = Proxy::start(GZIP, "", &daemon);
    let told = through(&proxy, &daemon, &["--proxy", "Varnish"]);
    told.says(
        "compression",
        "wrong",
        "holds events back",
        "do_gzip = false",
    );
    // Varnish compresses for all, and expands for who did not ask: all events are held back.
    let text =
        "sub vcl_backend_response { set beresp.do_gzip = true; set beresp.uncacheable = true; }";
    let proxy = Proxy::start(VARNISH, text, &daemon);
    let told = through(&proxy, &daemon, &[]);
    told.says("request", "wrong", "holds the stream back", "return (pipe)");
}

#[test]
fn other_proxies_are_known_by_what_they_say_and_advised_in_their_words() {
    needs!("apache2", "caddy", "haproxy");
    let daemon = daemon();
    let cases = [
        (
            APACHE,
            "Apache",
            "RequestHeader unset Last-Event-ID\nProxyPass /sse http://DAEMON/sse",
            "RequestHeader unset",
        ),
        (
            CADDY,
            "Caddy",
            "reverse_proxy /sse* DAEMON {\nheader_up -Last-Event-ID\n}",
            "header_up",
        ),
        (
            HAPROXY,
            "unknown",
            "option forwardfor\nhttp-request del-header last-event-id\nserver one DAEMON",
            "del-header last-event-id",
        ),
    ];
    each(&cases, |(kind, between, wrong, advice)| {
        let proxy = Proxy::start(*kind, wrong, &daemon);
        let told = through(&proxy, &daemon, &[]);
        told.says("reconnect", "wrong", "Last-Event-ID", advice);
        assert_eq!(told.report["between"], *between);
    });
}

#[test]
fn whose_address_hasses_sees_is_told() {
    needs!("nginx");
    let daemon = Daemon::start("");
    let proxy = Proxy::start(NGINX, &nginx(""), &daemon);
    through(&proxy, &daemon, &[]).says(
        "address",
        "wrong",
        "hasses sees 127.0.0.1 instead of the client 127.0.0.77",
        "--trust-proxy",
    );
}

#[test]
fn a_daemon_that_is_away_behind_a_proxy_is_told_from_a_wrong_path() {
    needs!("nginx");
    let daemon = daemon();
    let proxy = Proxy::start(NGINX, &nginx("").replace("DAEMON", "127.0.0.1:1"), &daemon);
    through(&proxy, &daemon, &[]).says("status", "wrong", "502", "is hasses running");
    let nobody = Port::reserve();
    let nobody = nobody.address();
    let told = doctor(&format!("http://{nobody}/sse"), &daemon, &[], None);
    told.says("connection", "wrong", "connection refused", "");
}

#[test]
fn a_cookie_that_is_dropped_is_named() {
    needs!("nginx", "php");
    let daemon = Daemon::prepared(
        "--listen 127.0.0.1:{listen} --control 127.0.0.1:{control} --trust-proxy 127.0.0.1 \
         --subscribe-key {dir}/key",
        |preparation| preparation.write("key", "0123456789abcdef0123456789abcdef\n"),
    );
    // {"alg":"HS256"} {"subscribe":["*"]}, signed with the key above.
    let jwt = {
        let php = "$e=fn($b)=>rtrim(strtr(base64_encode($b),'+/','-_'),'=');\
                   $j=$e('{\"alg\":\"HS256\"}').'.'.$e('{\"subscribe\":[\"*\"]}');\
                   echo $j.'.'.$e(hash_hmac('sha256',$j,'0123456789abcdef0123456789abcdef',true));";
        String::from_utf8(support::run("php", &["-r", php]).stdout).unwrap()
    };
    let cookie = format!("hasses={jwt}");
    let wrong = Proxy::start(NGINX, &nginx("proxy_set_header Cookie \"\";"), &daemon);
    let key = daemon.file("key");
    let signed = ["--key", key.to_str().unwrap()];
    // With a signed query the stream is there, whatever becomes of cookies.
    through(&wrong, &daemon, &signed).is_well();
    let by_cookie = ["--cookie", &cookie];
    through(&wrong, &daemon, &by_cookie).says("status", "wrong", "401", "proxy_set_header Cookie");
    let right = Proxy::start(NGINX, &nginx(""), &daemon);
    let told = through(&right, &daemon, &by_cookie);
    told.says("cookie", "ok", "reaches hasses", "").is_well();
    // Without a proof nobody knows, and a wrong one is wrong.
    let told = through(&right, &daemon, &[]);
    told.says("status", "unchecked", "--key FILE", "");
    assert!(told.unchecked().contains(&"delivery"), "{:#}", told.report);
    let other = daemon.file("other");
    fs::write(&other, "fedcba9876543210fedcba9876543210\n").unwrap();
    let with_other = ["--key", other.to_str().unwrap()];
    through(&right, &daemon, &with_other).says("status", "wrong", "--subscribe-key", "");
    let url = format!("http://{}/sse?token=room1", right.address);
    let told = doctor(&url, &daemon, &[], None);
    told.says("status", "wrong", "gives no right", "");
    let text = "auth_basic one; auth_basic_user_file /dev/null;";
    let closed = Proxy::start(NGINX, &nginx(text), &daemon);
    through(&closed, &daemon, &signed).says("status", "wrong", "not from hasses", "");
}

#[test]
fn certificates_are_looked_at() {
    needs!("nginx", "openssl");
    let daemon = daemon();
    let dir = temp_dir();
    let authority = Authority::new(dir.path());
    authority.issue("site", ECDSA);
    let file = |name: &str| dir.path().join(name);
    let root = file("ca.pem");
    let told = |pem: &str, host: &str, trusts: Option<&PathBuf>| {
        let tls = format!(
            "ssl_certificate {}; ssl_certificate_key {};",
            file(pem).display(),
            file(&pem.replace(".pem", ".key")).display()
        );
        let proxy = Proxy::start(NGINX, &format!("TLS {tls}{}", nginx("")), &daemon);
        let url = format!("https://{host}:{}/sse", proxy.address.port());
        doctor(&url, &daemon, &[], trusts)
    };
    told("site.pem", "localhost", Some(&root))
        .says("TLS", "note", "ends in", "")
        .is_well();
    told("site.pem", "localhost", None).says("TLS", "wrong", "not trusted", "fullchain.pem");
    told("site.pem", "127.0.0.2", Some(&root)).says(
        "TLS",
        "wrong",
        "not for the name",
        "server_name",
    );
    authority.issue_expired("old");
    told("old.pem", "localhost", Some(&root)).says("TLS", "wrong", "has expired", "certbot renew");
    // Only the server's own certificate, without the one below the root.
    let chain = fs::read_to_string(file("site.pem")).unwrap();
    let end = "-----END CERTIFICATE-----\n";
    let first = chain.split_inclusive(end).next().unwrap();
    fs::write(file("short.pem"), first).unwrap();
    fs::copy(file("site.key"), file("short.key")).unwrap();
    told("short.pem", "localhost", Some(&root)).says(
        "TLS",
        "wrong",
        "intermediate",
        "fullchain.pem",
    );
}

#[test]
fn the_command_line_is_checked_and_text_is_for_people() {
    needs!("nc");
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
        command.arg("doctor").args(arguments).output().unwrap()
    };
    for (arguments, told) in [
        (&[][..], "the URL is missing"),
        (&["room1"][..], "'room1' is not a URL"),
        (&["ftp://a/"], "http:// or https://"),
        (&["http://a/", "http://b/"], "more than one URL"),
        (&["http://a/", "--wait", "x"], "--wait needs"),
        (&["http://a/", "--proxy", "squid"], "nginx, Apache"),
        (&["http://a/", "--pubish", "x"], "did you mean --publish?"),
    ] {
        let output = run(arguments);
        let complained = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{complained}");
        assert!(complained.contains(told), "{complained}");
    }
    let daemon = daemon();
    let url = format!("http://{}/sse", daemon.listen);
    let publish = format!(
        "nc -q1 {} {} <<END\n$1=$2\nEND",
        "127.0.0.1",
        daemon.control.port()
    );
    let output = run(&[&url, "--publish", &publish, "--wait", "1"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    let last = "\nNothing is wrong. Not checked: end, address.\n";
    assert!(text.ends_with(last), "{text}");
    let output = run(&[&url, "--publish", "false", "--wait", "1"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text.contains("\nOne thing is wrong. Mend it"), "{text}");
}

#[test]
fn what_was_not_looked_at_is_said() {
    let daemon = daemon();
    let url = format!("http://{}/sse", daemon.listen);
    let nobody = Port::reserve().address().to_string();
    let other = Daemon::start("");
    let other = other.control.to_string();
    // Nobody takes the test events in, or another hasses does, or they would go nowhere.
    let open = Daemon::start("--allow-all");
    let everything = format!("http://{}/sse?subscribe=*", open.listen);
    for (url, control, told) in [
        (&url, &nobody, "--publish CMD is another way"),
        (&url, &other, "--control ADDR must name"),
        (&everything, &other, "names no token"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
        command.args(["doctor", url, "--wait", "1", "--control", control]);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(text.contains("\n  ?     delivery "), "{text}");
        let words: Vec<&str> = text.split_whitespace().collect();
        assert!(words.join(" ").contains(told), "{text}");
        let last = "Not checked: delivery, compression, end, reconnect, address.\n";
        assert!(text.ends_with(last), "{text}");
        let output = command.arg("--json").output().unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap();
        let code = output.status.code().unwrap();
        Told { code, report }.says("delivery", "unchecked", "", "");
    }
}

#[test]
fn a_silence_as_long_as_a_heartbeat_is_seen() {
    needs!("nginx");
    let daemon = Daemon::start("--trust-proxy 127.0.0.1 --heartbeat 4");
    let direct = format!("http://{}/sse", daemon.listen);
    let told = |url: &str| {
        let control = daemon.control.to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hasses"));
        command.args(["doctor", url, "--json", "--control", &control]);
        let output = command.output().unwrap();
        let report = serde_json::from_slice(&output.stdout).unwrap();
        let code = output.status.code().unwrap();
        Told { code, report }
    };
    // With a stream of its own, and on one that has events too.
    each(&["", "?token=a&id=b"], |query| {
        let told = told(&format!("{direct}{query}"));
        told.says("silence", "ok", "a heartbeat was seen after", "");
        let (_, text, _) = told.finding("silence");
        let seconds: u64 = (text.split(' ').find_map(|word| word.parse().ok())).unwrap();
        assert!((3..=6).contains(&seconds), "{text}");
    });
    // A time-out between the first heartbeat after an event and the length of a silence.
    let proxy = Proxy::start(NGINX, &nginx("proxy_read_timeout 2s;"), &daemon);
    let url = format!("http://{}/sse", proxy.address);
    told(&url).says(
        "silence",
        "wrong",
        "was cut after 2 s",
        "proxy_read_timeout",
    );
}
