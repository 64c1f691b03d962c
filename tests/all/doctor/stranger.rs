//! Somebody who knows nothing, with a proxy that is wrong in every usual way and the doctor's advice alone.

use support::{Daemon, needs};

use super::proxy::{NGINX, Proxy};
use super::{Told, doctor};

/// The path of the stream, which no advice may take for the default one.
const PATH: &str = "/events/stream";

/// What is changed as the doctor says, and nothing else.
struct Site {
    location: &'static str,
    /// What stands in the location, without semicolons.
    lines: Vec<String>,
    trusts: bool,
}

impl Site {
    fn daemon(&self) -> Daemon {
        let trust = ["", "--trust-proxy 127.0.0.1"][usize::from(self.trusts)];
        Daemon::start(&format!("--path {PATH} {trust}"))
    }

    fn text(&self) -> String {
        let lines: Vec<String> = self.lines.iter().map(|line| format!("{line};")).collect();
        format!("location {} {{ {} }}", self.location, lines.join(" "))
    }

    /// Does what each finding advises, but for a certificate, which nobody has here.
    fn follow(&mut self, told: &Told) {
        let findings = told.report["findings"].as_array().unwrap();
        for finding in findings.iter().filter(|finding| finding["check"] != "TLS") {
            for advice in finding["advice"].as_array().unwrap() {
                assert_eq!(advice["for"], "nginx");
                let lines = advice["lines"].as_str().unwrap();
                lines.lines().for_each(|line| self.paste(line.trim()));
            }
        }
    }

    fn paste(&mut self, line: &str) {
        let removed = line
            .strip_prefix("# remove any: ")
            .or(line.strip_prefix("# and remove any: "));
        if let Some(removed) = removed {
            let removed = removed.trim_end_matches(';');
            self.lines.retain(|line| line != removed);
        } else if line.starts_with("# and start hasses with: --trust-proxy") {
            self.trusts = true;
        } else if line == format!("location {PATH} {{") {
            self.location = PATH;
        } else if !line.starts_with('#') && line != "}" {
            let (new, _) = line.split_once(';').unwrap();
            let new = new.replace("127.0.0.1:8080", "DAEMON");
            // A directive stands once in a location, proxy_set_header once for each field.
            let words = if new.starts_with("proxy_set_header") {
                2
            } else {
                1
            };
            let key = |line: &str| -> Vec<String> {
                line.split(' ').take(words).map(str::to_owned).collect()
            };
            self.lines.retain(|line| key(line) != key(&new));
            self.lines.push(new);
        }
    }
}

#[test]
fn mends_a_broken_proxy_by_the_advice_alone() {
    needs!("nginx");
    let wrong = [
        "proxy_pass http://DAEMON/",
        "proxy_http_version 1.0",
        "proxy_set_header Host $host",
        "proxy_set_header Last-Event-ID \"\"",
        "proxy_buffering on",
        "proxy_ignore_headers X-Accel-Buffering",
        "proxy_read_timeout 2s",
        "gzip on",
        "gzip_types text/event-stream",
        "add_header Access-Control-Allow-Origin *",
    ];
    let mut site = Site {
        location: "/events/stream/",
        lines: wrong.map(str::to_owned).to_vec(),
        trusts: false,
    };
    for step in 1.. {
        let daemon = site.daemon();
        let proxy = Proxy::start(NGINX, &site.text(), &daemon);
        let options = ["--wait", "3", "--origin", "https://www.example.com"];
        let url = format!("http://{}{PATH}", proxy.address);
        let told = doctor(&url, &daemon, &options, None);
        if told.well() && told.notes() == ["TLS"] {
            assert_eq!(told.code, 0);
            break;
        }
        assert!(step < 4, "{}: {:#}", site.text(), told.report);
        site.follow(&told);
    }
}
