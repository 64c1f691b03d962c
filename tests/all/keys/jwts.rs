//! JSON Web Tokens.

use std::fs;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::maker::{self, by_secret, jwt, jwts, now, part};
use super::{SECRET, bearer, open, refused, with_key, with_secret};
use support::{Stream, needs, publish, temp_dir};

const ALL: &str = r#"{"subscribe":["*"]}"#;

/// Every algorithm, with the private key that makes it.
const ALGORITHMS: [(&str, &str); 12] = [
    ("HS256", "secret"),
    ("HS384", "secret"),
    ("HS512", "secret"),
    ("RS256", "rsa.pem"),
    ("RS384", "rsa.pem"),
    ("RS512", "rsa.pem"),
    ("PS256", "rsa.pem"),
    ("PS384", "rsa.pem"),
    ("PS512", "rsa.pem"),
    ("ES256", "p256.pem"),
    ("ES384", "p384.pem"),
    ("EdDSA", "ed25519.pem"),
];

#[test]
fn the_keys_kind_fixes_the_algorithms() {
    needs!("node");
    let keys = maker::keys();
    let file = |name: &str| keys.path().join(name);
    fs::write(file("secret"), SECRET).unwrap();
    let parts = ALGORITHMS.map(|(alg, key)| part(alg, &file(key), ALL));
    let made = jwts(&parts);
    for (own, pair) in [
        ("secret", "secret"),
        ("rsa.pub.pem", "rsa.pem"),
        ("pkcs1.pub.pem", "rsa.pem"),
        ("p256.pub.pem", "p256.pem"),
        ("p384.pub.pem", "p384.pem"),
        ("ed25519.pub.pem", "ed25519.pem"),
    ] {
        let daemon = with_key(&fs::read_to_string(file(own)).unwrap(), "");
        for ((alg, key), jwt) in ALGORITHMS.iter().zip(&made) {
            if *key == pair {
                let mut stream = open(&daemon, "subscribe=a", &bearer(jwt));
                publish::http(daemon.control, "a", alg);
                assert_eq!(stream.data(), *alg);
            } else {
                let told = format!("algorithm \"{alg}\" is not allowed");
                refused(&daemon, "subscribe=a", &bearer(jwt), 401, &told);
            }
        }
    }
}

#[test]
fn it_comes_in_the_field_the_cookie_or_the_query() {
    needs!("node");
    let daemon = with_secret("");
    let [one, two] = by_secret(
        SECRET,
        [r#"{"subscribe":["one"]}"#, r#"{"subscribe":["two"]}"#],
    );
    let cookie = |jwt: &str| format!("Cookie: theme=dark; hasses={jwt}; x=y\r\n");
    for (query, lines) in [
        ("subscribe=one".to_owned(), bearer(&one)),
        ("subscribe=one".to_owned(), cookie(&one)),
        (format!("subscribe=one&auth={one}"), String::new()),
        (
            format!("auth={two}&subscribe=one"),
            bearer(&one) + &cookie(&two),
        ),
        (format!("auth={two}&subscribe=one"), cookie(&one)),
        (
            format!("subscribe=one&auth={one}&lastEventId=7"),
            "Authorization: Basic eDp5\r\n".into(),
        ),
    ] {
        open(&daemon, &query, &lines);
    }
    // The first that holds and covers what is asked for counts.
    for (query, lines) in [
        ("subscribe=one".to_owned(), bearer(&two) + &cookie(&one)),
        ("subscribe=one".to_owned(), bearer("x.y.z") + &cookie(&one)),
        (
            "subscribe=one".to_owned(),
            format!("Cookie: hasses=old; hasses={two}; hasses={one}\r\n"),
        ),
        (format!("subscribe=one&auth={one}"), cookie("old")),
    ] {
        open(&daemon, &query, &lines);
    }
    refused(
        &daemon,
        "subscribe=one",
        &(bearer("x.y.z") + &cookie(&two)),
        403,
        "\"one\" is not covered",
    );
}

#[test]
fn a_refusal_names_the_tokens_and_a_stream_its_proof() {
    needs!("node");
    let daemon = with_secret("");
    let token = jwt(r#"{"subscribe":["news"]}"#);
    let query = "subscribe=news-%C3%A9+x-a%2Cb&token=c-d";
    let answer = super::ask(&daemon, query, &bearer(&token));
    assert_eq!(answer.status, 403);
    let header = |name| answer.header(name);
    assert_eq!(
        header("hasses-denied").as_deref(),
        Some("%C3%A9%20x,a%2Cb,c-d")
    );
    let exposed = header("access-control-expose-headers");
    assert_eq!(exposed.as_deref(), Some("Hasses-Denied"));
    let all = super::ask(&daemon, "subscribe=*", &bearer(&token));
    assert_eq!(all.header("hasses-denied").as_deref(), Some("*"));

    let signed = maker::good("subscribe=news");
    for (query, lines, proof) in [
        ("subscribe=news", bearer(&token), "jwt"),
        (&*signed, String::new(), "url"),
    ] {
        let stream = open(&daemon, query, &lines);
        assert_eq!(stream.head.header("hasses-auth").as_deref(), Some(proof));
        let exposed = stream.head.header("access-control-expose-headers");
        assert_eq!(exposed.as_deref(), Some("Hasses-Auth"));
        let head = format!("HEAD /sse?{query} HTTP/1.0\r\n{lines}\r\n");
        assert_eq!(
            daemon.ask(head).header("hasses-auth").as_deref(),
            Some(proof)
        );
    }
    let open_to_all = support::Daemon::start("");
    let stream = open_to_all.subscribe("subscribe=a");
    assert_eq!(stream.head.header("hasses-auth"), None);
    let all = super::ask(&open_to_all, "subscribe=a-*", "");
    assert_eq!(
        (all.status, all.header("hasses-denied").as_deref()),
        (403, Some("*"))
    );
}

#[test]
fn times_in_milliseconds_are_refused_and_clocks_may_differ() {
    needs!("node");
    let daemon = with_secret("");
    let at =
        |claim: &str, moment: u64| jwt(&format!(r#"{{"subscribe":["*"],"{claim}":{moment}}}"#));
    open(&daemon, "subscribe=a", &bearer(&at("nbf", now() + 20)));
    for (token, told) in [
        (at("nbf", now() + 60), "not valid yet"),
        (at("exp", (now() + 60) * 1000), "milliseconds"),
        (at("nbf", now() * 1000), "milliseconds"),
    ] {
        refused(&daemon, "subscribe=a", &bearer(&token), 401, told);
    }
    let signed = maker::signed("subscribe=a", (now() + 60) * 1000);
    refused(&daemon, &signed, "", 401, "milliseconds");
}

#[test]
fn presence_is_asked_for_with_a_right_to_it() {
    needs!("node");
    let daemon = with_secret("");
    let query = "subscribe=a&presence=1";
    let with = |claims: &str| bearer(&jwt(claims));
    open(
        &daemon,
        query,
        &with(r#"{"subscribe":["a"],"presence":true,"info":{"n":1}}"#),
    );
    open(&daemon, &maker::good(query), "");
    refused(
        &daemon,
        query,
        &with(r#"{"subscribe":["a"]}"#),
        403,
        "claim presence: true",
    );
    let after = format!("{}&presence=1", maker::good("subscribe=a"));
    refused(&daemon, &after, "", 401, "may follow sign=");
    let long = format!(r#"{{"subscribe":["a"],"info":"{}"}}"#, "x".repeat(1025));
    let answer = super::ask(&daemon, "subscribe=a", &with(&long));
    assert_eq!(answer.status, 400, "{answer:?}");
    // Beside a JWT the query's is not looked at; a signed one is.
    open(
        &daemon,
        "subscribe=a&info=x",
        &with(r#"{"subscribe":["a"]}"#),
    );
    let answer = super::ask(&daemon, &maker::good("subscribe=a&info=x"), "");
    assert_eq!(answer.status, 400, "{answer:?}");
}

#[test]
fn it_names_the_tokens_and_the_client() {
    needs!("node");
    let daemon = with_secret("");
    let claims = r#"{"subscribe":["news","room_*"],"id":"7"}"#;
    let jwt = jwt(claims);
    let mut stream = open(&daemon, "subscribe=news-room_1&id=8", &bearer(&jwt));
    publish::tcp(daemon.control, "news-7=not for 7\nroom_1-8=for 7\n");
    assert_eq!(stream.data(), "for 7");
    for (query, token) in [
        ("subscribe=room", "room"),
        ("subscribe=news-room9", "room9"),
        ("token=news-room_1", "news-room_1"),
        ("subscribe=*", "*"),
        ("subscribe=news-*", "*"),
    ] {
        let told = format!("the token \"{token}\" is not covered");
        refused(&daemon, query, &bearer(&jwt), 403, &told);
    }
    let all = maker::jwt(ALL);
    publish::http(daemon.control, "before", "kept");
    let start = Stream::starting(daemon.listen, "subscribe=*&lastEventId=0", &bearer(&all));
    let head = format!("HEAD /sse?subscribe=news HTTP/1.0\r\n{}\r\n", bearer(&jwt));
    assert_eq!(daemon.ask(head).status, 200);
    drop(start);
}

#[test]
fn its_end_is_the_streams_end() {
    needs!("node");
    let daemon = with_secret("");
    let millis =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap() + Duration::from_millis(4500);
    let exp = millis.as_secs_f64();
    let [short, long] = by_secret(
        SECRET,
        [
            &format!(r#"{{"subscribe":["a"],"exp":{exp}}}"#),
            &format!(r#"{{"subscribe":["a"],"exp":{}}}"#, now() + 600),
        ],
    );
    let mut ends = open(&daemon, "subscribe=a", &bearer(&short));
    let mut lives = open(&daemon, "subscribe=a", &bearer(&long));
    publish::http(daemon.control, "a", "one");
    assert_eq!(ends.data(), "one");
    assert_eq!(ends.try_event(), None);
    assert!(ends.ended_well);
    let ended = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    assert!(ended >= millis, "it ended {:?} too early", millis - ended);
    refused(
        &daemon,
        "subscribe=a",
        &bearer(&short),
        401,
        "the JWT expired ",
    );
    assert_eq!(publish::http(daemon.control, "a", "two").1, 1);
    assert_eq!((lives.data(), lives.data()), ("one".into(), "two".into()));
}

#[test]
fn a_new_get_on_an_open_stream_needs_one_too() {
    needs!("node");
    let daemon = with_secret("--reinit");
    let exp = now() + 3;
    let [a, b] = by_secret(
        SECRET,
        [
            &format!(r#"{{"subscribe":["a"],"exp":{exp}}}"#),
            r#"{"subscribe":["b"]}"#,
        ],
    );
    let get = |query: &str, jwt: &str| {
        format!(
            "GET /sse?{query} HTTP/1.1\r\nHost: h\r\n{}\r\n",
            bearer(jwt)
        )
    };
    let mut stream = open(&daemon, "subscribe=a", &bearer(&a));
    stream.send(get("subscribe=b", &b).as_bytes());
    let mut stream = Stream::answered(stream.into_connection());
    stream.position();
    // The end of the first does not end what took its place.
    support::eventually("the first one's end", || (now() > exp + 2).then_some(()));
    publish::http(daemon.control, "b", "x");
    assert_eq!(stream.data(), "x");
    stream.send(get("subscribe=a", &b).as_bytes());
    let answer = stream.into_connection().response();
    assert_eq!(answer.status, 403, "{answer:?}");
    assert_eq!(publish::http(daemon.control, "b", "y").1, 0);
}

#[test]
fn a_long_one_fits_and_a_longer_one_is_refused() {
    needs!("node");
    let keys = maker::keys();
    let public = fs::read_to_string(keys.path().join("rsa.pub.pem")).unwrap();
    let daemon = with_key(&public, "");
    let tokens = |count: usize| {
        let tokens: Vec<String> = (0..count).map(|n| format!("\"room-{n:08}\"")).collect();
        format!(r#"{{"subscribe":[{}]}}"#, tokens.join(","))
    };
    let key = keys.path().join("rsa.pem");
    let made = jwts(&[
        part("RS512", &key, &tokens(700)),
        part("RS512", &key, &tokens(1600)),
    ]);
    assert!(
        (14_000..16_000).contains(&made[0].len()),
        "{}",
        made[0].len()
    );
    assert!(made[1].len() > 32 * 1024);
    let asked = "token=room-00000299";
    open(&daemon, asked, &bearer(&made[0]));
    open(&daemon, asked, &format!("Cookie: hasses={}\r\n", made[0]));
    open(&daemon, &format!("{asked}&auth={}", made[0]), "");
    let long = ask_status(&daemon, asked, &bearer(&made[1]));
    assert_eq!(long, 431);
    assert_eq!(
        ask_status(&daemon, &format!("{asked}&auth={}", made[1]), ""),
        414
    );
}

fn ask_status(daemon: &support::Daemon, query: &str, lines: &str) -> u16 {
    super::ask(daemon, query, lines).status
}

#[test]
fn pyjwts_way_of_making_one_is_understood() {
    needs!("python3");
    // As any backend does it with nothing but a standard library.
    let script = "import base64, hmac, json, sys\n\
        b = lambda data: base64.urlsafe_b64encode(data).rstrip(b'=').decode()\n\
        head = b(json.dumps({'typ': 'JWT', 'alg': 'HS512'}).encode())\n\
        message = head + '.' + b(json.dumps({'subscribe': ['szoba_é*']}).encode())\n\
        print(message + '.' + b(hmac.new(sys.argv[1].encode(), message.encode(), 'sha512').digest()))";
    let dir = temp_dir();
    let file = dir.path().join("make.py");
    fs::write(&file, script).unwrap();
    let output = support::run("python3", &[file.to_str().unwrap(), SECRET]);
    let jwt = String::from_utf8(output.stdout).unwrap();
    let daemon = with_secret("");
    open(&daemon, "token=szoba_%C3%A9-1", &bearer(jwt.trim_end()));
}
