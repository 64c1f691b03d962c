//! The attacks.

mod connections;
mod publishers;
mod subscribers;

use crate::scene::Scene;

/// What an attack may do at the most.
pub(crate) struct Bounds {
    /// Milliseconds that a bystander waits.
    pub(crate) delay: u64,
    /// Mebibytes of the daemon.
    pub(crate) daemon: u64,
    /// Mebibytes of the kernel's sockets.
    pub(crate) kernel: u64,
}

/// What is promised where an attack is not about memory.
const USUAL: Bounds = Bounds {
    delay: 10,
    daemon: 48,
    kernel: 64,
};

pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What the table says of it.
    pub(crate) what: &'static str,
    /// Further options of its daemon.
    pub(crate) options: &'static str,
    /// The kind of its key for TLS, if it is attacked through that.
    pub(crate) key: Option<&'static [&'static str]>,
    pub(crate) bounds: Bounds,
    /// What is there before, such as a history.
    pub(crate) prepare: fn(&Scene),
    /// Goes on until the scene is over.
    pub(crate) run: fn(&Scene),
}

/// An attack that needs nothing special.
const PLAIN: Attack = Attack {
    name: "",
    what: "",
    options: "",
    key: None,
    bounds: USUAL,
    prepare: |_| {},
    run: |_| {},
};

const P256: &[&str] = &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"];
const RSA_2048: &[&str] = &["rsa:2048"];
const RSA_4096: &[&str] = &["rsa:4096"];

/// All that are known. What is no matter of time or memory has its test in tests/all.
pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "nothing",
        what: "no attack",
        ..PLAIN
    },
    Attack {
        name: "healthz",
        what: "`GET /healthz` without a pause, without the secret",
        options: "--control-secret {dir}/secret",
        run: |scene| publishers::pipeline(scene, "GET /healthz"),
        ..PLAIN
    },
    Attack {
        name: "dashboard",
        what: "`GET /` without a pause, without the secret",
        options: "--control-secret {dir}/secret",
        run: |scene| publishers::pipeline(scene, "GET /"),
        ..PLAIN
    },
    Attack {
        name: "figures",
        what: "`HEAD /`, `GET /status`, `/metrics` and 404s without a pause, one connection each",
        run: publishers::figures,
        ..PLAIN
    },
    Attack {
        name: "discarded",
        what: "bytes without end behind an answer or beside a stream, five connections",
        options: "--reinit",
        run: publishers::discarded,
        ..PLAIN
    },
    Attack {
        name: "webrtc",
        what: "STUN frames with messages in them, as a page's WebRTC writes them",
        prepare: publishers::listen_for_forged,
        run: publishers::stun,
        ..PLAIN
    },
    Attack {
        name: "silent",
        what: "connections to the control port that say nothing, 5,000 of them kept (4,096 descriptors)",
        options: "--control-secret {dir}/secret --max-publishers 256 --max-clients 3000",
        run: |scene| crate::peers::pile_up(scene, scene.daemon.control, b"", 5000),
        ..PLAIN
    },
    Attack {
        name: "unread",
        what: "connections to the control port with 64 KiB of `GET /` each, of which no answer is read",
        options: "--control-secret {dir}/secret",
        bounds: Bounds {
            kernel: 2048,
            ..USUAL
        },
        run: publishers::unread,
        ..PLAIN
    },
    Attack {
        name: "lists",
        what: "`tcpclientlist` without end, with 1,000 clients, of which nothing is read; four connections",
        prepare: |scene| subscribers::idle(scene, 1000),
        run: publishers::lists,
        ..PLAIN
    },
    Attack {
        name: "json",
        what: "`POST /publish` of 8.4 MB: `[{},{},…]`, 900,000 targets, 10,000 messages",
        bounds: Bounds {
            daemon: 96,
            ..USUAL
        },
        run: publishers::json,
        ..PLAIN
    },
    Attack {
        name: "unfinished",
        what: "bodies of 8 MB that never end, as many as there may be publishers",
        bounds: Bounds {
            daemon: 400,
            kernel: 2048,
            ..USUAL
        },
        run: publishers::unfinished,
        ..PLAIN
    },
    Attack {
        name: "recent",
        what: "`recent=` of 256 tokens, with 1,000 kept messages to all",
        prepare: |scene| subscribers::fill(scene, 1000),
        run: subscribers::recent,
        ..PLAIN
    },
    Attack {
        name: "recent-all",
        what: "`subscribe=*&recent=99999` with 20,000 kept messages",
        options: "--history 20000 --allow-all",
        prepare: |scene| subscribers::fill(scene, 20_000),
        run: subscribers::recent_of_all,
        ..PLAIN
    },
    Attack {
        name: "tokens",
        what: "1,000 clients with 256 tokens of their own come and leave at once, beside messages to `x*`",
        bounds: Bounds {
            daemon: 160,
            ..USUAL
        },
        run: subscribers::tokens,
        ..PLAIN
    },
    Attack {
        name: "replays",
        what: "1,000 clients with 256 tokens do not read their replay, beside messages to them",
        options: "--history 20000",
        bounds: Bounds {
            daemon: 128,
            kernel: 1024,
            ..USUAL
        },
        prepare: |scene| subscribers::fill(scene, 20_000),
        run: subscribers::replays,
        ..PLAIN
    },
    Attack {
        name: "reinit",
        what: "requests without a pause on a stream that each replay 1,000 events",
        options: "--reinit",
        prepare: |scene| subscribers::fill(scene, 1000),
        run: subscribers::reinit,
        ..PLAIN
    },
    Attack {
        name: "deaf",
        what: "400 clients read nothing of events of 50 kB",
        bounds: Bounds {
            daemon: 320,
            kernel: 1000,
            ..USUAL
        },
        run: subscribers::deaf,
        ..PLAIN
    },
    Attack {
        name: "deaf-small",
        what: "2,000 clients read nothing of events of 10 bytes",
        bounds: Bounds {
            daemon: 320,
            kernel: 2500,
            ..USUAL
        },
        run: subscribers::deaf_to_small,
        ..PLAIN
    },
    Attack {
        name: "half-open",
        what: "connections to the subscribers' port that say nothing, made without a pause",
        options: "--max-clients-per-ip 5",
        run: |scene| crate::peers::pile_up(scene, scene.daemon.listen, b"", 5000),
        ..PLAIN
    },
    Attack {
        name: "lingering",
        what: "refused requests that do not close, made without a pause",
        run: connections::lingering,
        ..PLAIN
    },
    Attack {
        name: "log",
        what: "refused subscribers with 300 control characters",
        run: connections::fill_the_log,
        ..PLAIN
    },
    Attack {
        name: "tls-p256",
        what: "the same ClientHello on 1,500 connections at once, P-256, both ports",
        key: Some(P256),
        run: connections::hellos,
        ..PLAIN
    },
    Attack {
        name: "tls-rsa2048",
        what: "… RSA-2048",
        key: Some(RSA_2048),
        bounds: Bounds { delay: 50, ..USUAL },
        run: connections::hellos,
        ..PLAIN
    },
    Attack {
        name: "tls-rsa4096",
        what: "… RSA-4096",
        key: Some(RSA_4096),
        bounds: Bounds { delay: 50, ..USUAL },
        run: connections::hellos,
        ..PLAIN
    },
];
