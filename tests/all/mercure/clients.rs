//! Real clients: browsers, Symfony's component, laravel-echo.

use std::process::{Command, Output};

use support::{Daemon, Port, Program, eventually, needs};

use super::hub::{ALL_7, ALL_8, Hub, KEY, options, write_key};
use crate::tls::authority::{Authority, ECDSA};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/clients/mercure");

fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let bad: Vec<&str> = told
        .lines()
        .filter(|line| !line.starts_with("ok "))
        .collect();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{bad:#?} {errors}");
    output
}

#[test]
fn the_conformance_cases_in_a_browser_over_https() {
    needs!("node", "chromium", "npm:playwright-core", "openssl");
    let arguments = format!(
        "--listen tls:127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} \
         --tls-cert {{dir}}/site.pem --tls-key {{dir}}/site.key {} --mercure-anonymous",
        options()
    );
    let daemon = Daemon::prepared(&arguments, |place| {
        write_key(place);
        Authority::new(&place.dir).issue("site", ECDSA);
    });
    let origin = format!("https://localhost:{}", daemon.listen.port());
    let output = run(Command::new("timeout").args([
        "90",
        "node",
        &format!("{SCRIPTS}/browser.mjs"),
        &origin,
        daemon.file("browser").to_str().unwrap(),
        ALL_8,
        ALL_7,
    ]));
    let told = String::from_utf8(output.stdout).unwrap();
    let passed = |version: &str| {
        told.lines()
            .filter(|line| line.starts_with(version))
            .count()
    };
    assert_eq!((passed("ok 8"), passed("ok 7")), (10, 11), "{told}");
}

#[test]
fn symfonys_component_publishes() {
    needs!(
        "php",
        "/usr/share/php/Symfony/Component/Mercure/autoload.php"
    );
    let hub = Hub::start("--mercure-anonymous");
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/symfony/publish.php");
    let topic = "https://example.org/books/1";
    let mut stranger = hub.stream(&format!("topic={topic}"), "");
    let bearer = format!("Authorization: Bearer {ALL_7}\r\n");
    let mut friend = hub.stream("topic=https://example.org/books/{id}", &bearer);
    for more in [&["private"][..], &[]] {
        let url = hub.url();
        let arguments = [&[script, &url, KEY, topic, "a\nb & c"], more].concat();
        let output = Command::new("php").args(arguments).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let id = String::from_utf8(output.stdout).unwrap();
        let event = friend.event();
        assert_eq!(event.data.as_deref(), Some("a\nb & c"));
        assert_eq!(event.id.as_deref(), Some(id.trim_end()));
        if more.is_empty() {
            assert_eq!(stranger.event().id, event.id, "the public one alone");
        }
    }
}

#[test]
fn pages_with_laravel_echo() {
    needs!(
        "node",
        "chromium",
        "php",
        "npm:playwright-core",
        "npm:laravel-echo"
    );
    let application = Port::reserve();
    let app = format!("http://localhost:{}", application.number());
    let arguments = format!(
        "--listen 127.0.0.1:{{listen}} --control 127.0.0.1:{{control}} \
         --mercure http://localhost:{{listen}}/.well-known/mercure --mercure-cookie mercure \
         --mercure-publish-key {{dir}}/key --mercure-subscribe-key {{dir}}/key --mercure-anonymous \
         --mercure-subscriptions --mercure-issuer {app} --mercure-origin {app}"
    );
    let daemon = Daemon::prepared(&arguments, write_key);
    let hub = format!(
        "http://localhost:{}/.well-known/mercure",
        daemon.listen.port()
    );
    let echo = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/node_modules/laravel-echo/dist/echo.js"
    );
    let mut php = Command::new("php");
    php.args(["-S", &format!("localhost:{}", application.number())])
        .arg(format!("{SCRIPTS}/app.php"))
        .env("HUB", &hub)
        .env("SECRET", KEY)
        .env("ECHO", echo);
    let php = Program::start(&mut php);
    eventually("PHP listens", || {
        let address = application.address();
        std::net::TcpStream::connect(("localhost", address.port())).ok()
    });
    run(Command::new("timeout").args([
        "100",
        "node",
        &format!("{SCRIPTS}/echo.mjs"),
        &app,
        &hub,
        daemon.file("browser").to_str().unwrap(),
    ]));
    drop(php);
}
