//! The single-file helpers for PHP and Python, with real interpreters.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use serde_json::{Value, json};
use support::{Connection, Daemon, PATIENCE, Stream, needs, temp_dir};

const TOP: &str = env!("CARGO_MANIFEST_DIR");
/// What a helper must carry whole.
const AWKWARD: &str = "a;b=c\n*=x\r\n{\"é\":😀} ";

/// What a helper writes for a command.
fn ask(language: &str, command: &[&str]) -> Value {
    let (program, script) = match language {
        "php" => ("php", "try.php"),
        _ => ("python3", "try.py"),
    };
    let output = Command::new("timeout")
        .args(["20", program])
        .arg(format!("{TOP}/tests/all/helpers/{script}"))
        .arg(format!("{TOP}/examples/clients"))
        .args(command)
        .output()
        .unwrap();
    let written = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    serde_json::from_str(&written).unwrap_or_else(|error| panic!("{error}: {written}{told}"))
}

fn publish(language: &str, address: &str, secret: &str, data: &Value) -> Value {
    let data = data.to_string();
    ask(
        language,
        &["publish", address, secret, "\"a\"", &data, "{}"],
    )
}

fn publishes_on_every_way(language: &str) {
    let dir = temp_dir();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let options = format!(
        "--control unix:{} --control 127.0.0.1:0 --fifo {}",
        path("control"),
        path("fifo")
    );
    let daemon = Daemon::start(&options);
    let mut stream = Stream::open(daemon.listen, "token=a");
    let addresses = [
        format!("http://{}", daemon.control),
        format!("tcp:{}", daemon.control),
        format!("unix:{}", path("control")),
        format!("fifo:{}", path("fifo")),
    ];
    for address in &addresses {
        let told = publish(language, address, "", &json!(AWKWARD));
        assert_eq!(stream.data(), AWKWARD.replace("\r\n", "\n"), "{address}");
        if !address.starts_with("fifo") {
            assert!(
                told["id"].is_u64() && told["recipients"] == 1,
                "{address}: {told}"
            );
        }
        publish(language, address, "", &json!({"n": 1, "ü": [true]}));
        let data: Value = serde_json::from_str(&stream.data()).unwrap();
        assert_eq!(data, json!({"n": 1, "ü": [true]}));
    }
    let mut named = Stream::open(daemon.listen, "token=b&token=a&id=me");
    let more = match language {
        "php" => json!({"event": "e", "except": "me"}),
        _ => json!({"event": "e", "exclude": "me"}),
    };
    ask(
        language,
        &[
            "publish",
            &addresses[0],
            "",
            "[\"a\",\"c\"]",
            "\"not for me\"",
            &more.to_string(),
        ],
    );
    assert_eq!(stream.data(), "not for me");
    for address in &addresses[..2] {
        let told = ask(language, &["many", address]);
        assert_eq!(told.as_array().map(Vec::len), Some(2), "{told}");
        assert_eq!(stream.data(), "one");
        assert_eq!([named.data(), named.data()], ["one", "two"]);
    }

    // What hasses refuses is told with its reason.
    for address in &addresses[..3] {
        let told = ask(language, &["publish", address, "", "\"\"", "\"x\"", "{}"]);
        assert!(
            told["error"].as_str().is_some_and(|why| !why.is_empty()),
            "{told}"
        );
        assert_eq!(told["status"], 400);
    }
}

#[test]
fn python_publishes_on_every_way() {
    needs!("python3");
    publishes_on_every_way("python");
}

#[test]
fn php_publishes_on_every_way() {
    needs!("php");
    publishes_on_every_way("php");
}

#[test]
fn python_publishes_without_holding_up_the_loop() {
    needs!("python3");
    let daemon = Daemon::start("");
    let told = ask("python", &["async", &format!("http://{}", daemon.control)]);
    assert_eq!(told.as_array().map(Vec::len), Some(5), "{told}");
}

/// Nothing hangs: neither where nobody listens, nor where somebody takes everything and answers nothing.
fn never_hangs(language: &str) {
    let dir = temp_dir();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut fifo = Command::new("mkfifo");
    assert!(fifo.arg(path("fifo")).status().unwrap().success());
    let place = silent.local_addr().unwrap();
    for (address, data) in [
        (format!("http://{place}"), &json!("x")),
        (format!("tcp:{place}"), &json!("x")),
        (format!("https://{place}"), &json!("x")),
        (format!("http://{nobody}"), &json!("x")),
        (format!("unix:{}", path("none")), &json!("x")),
        (format!("fifo:{}", path("fifo")), &json!("x")),
        (format!("fifo:{}", path("missing")), &json!("x")),
        (format!("fifo:{}", path("fifo")), &json!("x".repeat(5000))),
    ] {
        let data = data.to_string();
        let told = ask(language, &["publish", &address, "", "\"a\"", &data, "{}"]);
        let why = told["error"]
            .as_str()
            .unwrap_or_else(|| panic!("{address}: {told}"));
        // What was sent may be published after all.
        let sent = address.ends_with(&place.to_string());
        // Over TLS it may be the handshake that was not answered.
        if !address.starts_with("https") {
            assert_eq!(why.starts_with("not confirmed"), sent, "{address}: {told}");
        }
        assert!(
            told["seconds"]
                .as_f64()
                .is_some_and(|seconds| seconds < 3.0),
            "{address}: {told}"
        );
    }
    assert!(
        !Path::new(&path("missing")).exists(),
        "a file was made where a pipe should be"
    );
    // A pipe that is full.
    let mut reader = fs::OpenOptions::new();
    let mut pipe = reader.read(true).write(true).open(path("fifo")).unwrap();
    pipe.write_all(&[b'\n'; 61440]).unwrap();
    let data = json!("x".repeat(4000)).to_string();
    let mut last = Value::Null;
    for _ in 0..3 {
        last = ask(
            language,
            &[
                "publish",
                &format!("fifo:{}", path("fifo")),
                "",
                "\"a\"",
                &data,
                "{}",
            ],
        );
    }
    assert!(
        last["error"]
            .as_str()
            .is_some_and(|why| why.contains("full")),
        "{last}"
    );
}

#[test]
fn python_never_hangs() {
    needs!("python3");
    never_hangs("python");
}

#[test]
fn php_never_hangs() {
    needs!("php");
    never_hangs("php");
}

fn signs(language: &str) {
    let dir = temp_dir();
    let key = dir.path().join("key");
    fs::write(&key, format!("{}\n", "k".repeat(40))).unwrap();
    let key = key.display().to_string();
    let secret = dir.path().join("secret");
    fs::write(&secret, "s3cret\n").unwrap();
    let daemon = Daemon::start(&format!(
        "--subscribe-key {key} --control-secret {}",
        secret.display()
    ));
    let status = |query: &str| {
        let request = format!("HEAD /sse?{query} HTTP/1.1\r\nHost: x\r\n\r\n");
        let mut connection = Connection::to(daemon.listen);
        let head = connection
            .send(request.as_bytes())
            .until(b"\r\n\r\n", Instant::now() + PATIENCE)
            .unwrap();
        String::from_utf8_lossy(&head)[9..12].to_owned()
    };
    let more = json!({"id": "ann & bob", "info": {"name": "Ann"}}).to_string();
    let signed = ask(language, &["sign", &key, "[\"a-b c/é\", \"*\"]", &more]);
    let signed = signed.as_str().unwrap();
    assert_eq!(status(signed), "200", "{signed}");
    assert!(
        signed.contains("subscribe=*") && signed.contains("id=ann%20%26%20bob"),
        "{signed}"
    );
    assert_eq!(status(&signed.replace("ann", "eve")), "401");
    let late = ask(language, &["sign", &key, "[\"a\"]", "{\"seconds\": -5}"]);
    assert_eq!(status(late.as_str().unwrap()), "401");
    let jwt = ask(
        language,
        &["jwt", &key, "[\"room_*\", \"a\"]", "{\"id\": \"7\"}"],
    );
    let jwt = jwt.as_str().unwrap();
    for (tokens, expected) in [("token=a&token=room_1", "200"), ("token=b", "403")] {
        assert_eq!(status(&format!("{tokens}&auth={jwt}")), expected);
    }

    for address in [
        format!("http://{}", daemon.control),
        format!("tcp:{}", daemon.control),
    ] {
        assert!(
            publish(language, &address, "s3cret", &json!("x"))["id"].is_u64(),
            "{address}"
        );
        for wrong in ["", "wrong"] {
            let told = publish(language, &address, wrong, &json!("x"));
            assert!(told["error"].is_string(), "{address}: {told}");
        }
    }
}

#[test]
fn python_signs() {
    needs!("python3");
    signs("python");
}

#[test]
fn php_signs() {
    needs!("php");
    signs("php");
}

#[test]
fn the_helpers_run_on_old_interpreters_and_are_short() {
    needs!("python3", "php");
    let scripts = [
        "tests/all/helpers/old_php.php",
        "examples/clients/hasses.php",
    ];
    let scripts = scripts.map(|script| format!("{TOP}/{script}"));
    let found = Command::new("php").args(scripts).output().unwrap();
    assert!(found.status.success());
    assert_eq!(String::from_utf8_lossy(&found.stdout), "");
    let old = "import ast, sys; ast.parse(open(sys.argv[1]).read(), feature_version=(3, 8))";
    let file = format!("{TOP}/examples/clients/hasses.py");
    assert!(
        Command::new("python3")
            .args(["-c", old, &file])
            .status()
            .unwrap()
            .success()
    );
    for name in ["hasses.py", "hasses.php"] {
        let text = fs::read_to_string(format!("{TOP}/examples/clients/{name}")).unwrap();
        assert!(text.lines().count() < 250, "{name}");
    }
}

/// Runs a recipe with its framework by a script of this folder, which is given the helpers' folder and the
/// `arguments`. The recipe tells `user` this, and the script prints a signed query, which lets one in.
fn recipe_runs(program: &str, script: &str, arguments: &[&str], token: &str, told: &Value) {
    let dir = temp_dir();
    let key = dir.path().join("key");
    fs::write(&key, "k".repeat(40)).unwrap();
    let daemon = Daemon::start(&format!("--subscribe-key {}", key.display()));
    let tokens = json!([token]).to_string();
    let query = ask(
        "python",
        &["sign", &key.display().to_string(), &tokens, "{}"],
    );
    let mut stream = Stream::open(daemon.listen, query.as_str().unwrap());
    let output = Command::new("timeout")
        .args(["60", program])
        .arg(format!("{TOP}/tests/all/helpers/{script}"))
        .arg(format!("{TOP}/examples/clients"))
        .args(arguments)
        .env("HASSES", format!("http://{}", daemon.control))
        .env("HASSES_KEY", &key)
        .env("FOLDER", dir.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let signed = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{said}{signed}");
    let data: Value = serde_json::from_str(&stream.data()).unwrap();
    assert_eq!(data, *told, "{said}");
    let _lets_in = Stream::open(daemon.listen, signed.trim());
}

fn python_recipe_runs(name: &str) {
    let python = format!("{TOP}/tests/python/bin/python");
    let told = json!({"text": "your report is ready"});
    recipe_runs(&python, "recipe.py", &[name], "user:ann", &told);
}

#[test]
fn the_recipe_for_flask_runs() {
    needs!("python3", "pip:flask");
    python_recipe_runs("flask");
}

#[test]
fn the_recipe_for_fastapi_runs() {
    needs!("python3", "pip:fastapi", "pip:httpx");
    python_recipe_runs("fastapi");
}

#[test]
fn the_recipe_for_django_runs() {
    needs!("python3", "pip:django");
    python_recipe_runs("django");
}

#[test]
fn the_recipe_for_symfony_runs() {
    needs!(
        "php",
        "python3",
        "/usr/share/php/Symfony/Bundle/FrameworkBundle"
    );
    let told = json!({"text": "your report is ready"});
    recipe_runs("php", "frameworks/symfony.php", &[], "user:ann", &told);
}

#[test]
fn the_recipe_for_laravel_runs() {
    needs!("php", "python3", "/usr/share/php/Illuminate/Foundation");
    let told = json!({"order": 7, "state": "shipped"});
    recipe_runs("php", "frameworks/laravel.php", &[], "user:ann", &told);
}

#[test]
fn the_recipe_for_wordpress_runs() {
    needs!("php", "python3", "/usr/share/wordpress/wp-settings.php");
    let told = json!({"title": "News of the day", "link": "https://example.org/?p=7"});
    recipe_runs("php", "frameworks/wordpress.php", &[], "news", &told);
}

#[test]
fn what_recipes_say_in_php_can_be_read() {
    needs!("php");
    let dir = temp_dir();
    for name in ["laravel", "symfony", "wordpress"] {
        let text = fs::read_to_string(format!("{TOP}/examples/clients/recipes/{name}.md")).unwrap();
        let blocks: Vec<_> = text.split("```php\n").skip(1).collect();
        assert!(!blocks.is_empty(), "{name}");
        for block in blocks {
            let file = dir.path().join("block.php");
            fs::write(&file, block.split("```").next().unwrap()).unwrap();
            let output = Command::new("php").arg("-l").arg(&file).output().unwrap();
            assert!(
                output.status.success(),
                "{name}: {}",
                String::from_utf8_lossy(&output.stdout)
            );
        }
    }
}
