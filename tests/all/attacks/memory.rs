//! What large bodies leave behind.

use support::{Daemon, publish};

#[test]
fn large_bodies_leave_nothing_behind() {
    let daemon = Daemon::start("");
    let bodies = [
        format!("[{}{{}}]", "{},".repeat((8 << 20) / 3 - 2)),
        format!(r#"{{"to":[{}"a"],"data":""}}"#, r#""a","#.repeat(900_000)),
        format!("[{}]", vec![r#"{"to":"a","data":""}"#; 10_000].join(",")),
    ];
    let post = |body: &String| {
        let answer = publish::post(
            daemon.control,
            "/publish",
            "application/json",
            body.as_bytes(),
        );
        assert!((200..500).contains(&answer.status), "{answer:?}");
    };
    let before = daemon.resident_kib();
    // Different threads read them, one after the other.
    for _ in 0..20 {
        bodies.iter().for_each(post);
    }
    let left = daemon.resident_kib().saturating_sub(before);
    assert!(left < 24 * 1024, "{left} KiB are left");
}
