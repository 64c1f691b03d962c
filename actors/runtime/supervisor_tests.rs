#![expect(clippy::unwrap_used, reason = "a test may panic")]

use super::*;
use crate::runtime::unbounded;

/// Runs a supervisor with what `set_up` starts, stops it when `until` is done.
fn supervised(
    set_up: impl FnOnce(&Spawner),
    until: impl Future<Output = ()>,
    deadline: Duration,
) -> Result<(), Failure> {
    let executor = Rc::new(LocalExecutor::new());
    let supervisor = Supervisor::new(Rc::clone(&executor));
    let spawner = supervisor.spawner();
    set_up(&spawner);
    let stop = async {
        until.await;
        let _gone = spawner.supervisor().send(Message::Stop).await;
        std::future::pending().await
    };
    async_io::block_on(executor.run(supervisor.run(deadline).or(stop)))
}

const LONG: Duration = Duration::from_secs(30);

#[test]
fn what_fails_or_panics_starts_again() {
    let (says, mut hears) = unbounded();
    let start = move |stop: CancellationToken| {
        let says = says.clone();
        async move {
            let _heard = says.send(Instant::now()).await;
            match says.depth() {
                1 => Err(Failure("first".into())),
                2 => panic!("second"),
                _ => {
                    stop.cancelled().await;
                    Ok(())
                }
            }
        }
    };
    let until = async {
        while hears.depth() < 3 {
            Timer::after(Duration::from_millis(1)).await;
        }
    };
    let outcome = supervised(
        |spawner| {
            spawner.permanent("worker", Stage::Intake, start);
        },
        until,
        LONG,
    );
    assert_eq!(outcome, Ok(()));
    let starts: Vec<_> = std::iter::from_fn(|| hears.try_recv()).collect();
    assert!(starts[1] - starts[0] >= PAUSE.0 && starts[2] - starts[1] >= PAUSE.0 * 2);
}

#[test]
fn pauses_double_and_are_short_again_after_a_minute_of_life() {
    let spawner = Supervisor::new(Rc::default()).spawner();
    spawner.permanent("worker", Stage::Intake, |_| std::future::pending());
    let actor = ActorId(0);
    let next_pause = || {
        let pause = spawner.shared.actors.borrow()[&actor].pause;
        spawner.exited(actor, Exit::Finished).unwrap();
        pause.as_millis()
    };
    let pauses: Vec<_> = (0..8).map(|_| next_pause()).collect();
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 5000, 5000]);
    if let Some(entry) = spawner.shared.actors.borrow_mut().get_mut(&actor) {
        entry.started = Instant::now() - SETTLED;
    }
    let pauses: Vec<_> = (0..2).map(|_| next_pause()).collect();
    assert_eq!(pauses, [5000, 200]);
}

#[test]
fn a_vital_actor_takes_the_process_with_it() {
    let outcome = supervised(
        |spawner| {
            spawner.vital("registry", Stage::Delivery, |_| async { panic!("broken") });
        },
        std::future::pending(),
        LONG,
    );
    assert_eq!(outcome, Err(Failure("registry panicked: broken".into())));
}

#[test]
fn stages_end_in_order_and_each_waits_for_the_one_before() {
    let (says, mut hears) = unbounded();
    let actor = |name: &'static str| {
        let says = says.clone();
        move |stop: CancellationToken| async move {
            stop.cancelled().await;
            Timer::after(Duration::from_millis(5)).await;
            let _heard = says.send(name).await;
            Ok(())
        }
    };
    let outcome = supervised(
        |spawner| {
            spawner.vital("watch", Stage::Watch, actor("watch"));
            spawner.vital("out", Stage::Delivery, actor("out"));
            spawner.temporary("in", Stage::Intake, actor("in"));
        },
        async {},
        LONG,
    );
    assert_eq!(outcome, Ok(()));
    let order: Vec<_> = std::iter::from_fn(|| hears.try_recv()).collect();
    assert_eq!(order, ["in", "out", "watch"]);
}

#[test]
fn a_deadline_bounds_the_stop() {
    let outcome = supervised(
        |spawner| {
            spawner.temporary("deaf", Stage::Intake, |_| std::future::pending());
        },
        async {},
        Duration::from_millis(20),
    );
    assert_eq!(outcome, Ok(()));
}

#[test]
fn a_stop_at_once_waits_for_nobody_also_in_the_midst_of_a_stop_in_order() {
    for in_order_first in [false, true] {
        let executor = Rc::new(LocalExecutor::new());
        let supervisor = Supervisor::new(Rc::clone(&executor));
        let spawner = supervisor.spawner();
        let (says, mut hears) = unbounded();
        spawner.temporary("deaf", Stage::Intake, |stop| async move {
            stop.cancelled().await;
            let _heard = says.send(()).await;
            std::future::pending().await
        });
        let stops = async {
            if in_order_first {
                let _gone = spawner.supervisor().send(Message::Stop).await;
                hears.next().await.unwrap();
            }
            let why = "enough".to_owned();
            let _gone = spawner.supervisor().send(Message::StopNow { why }).await;
            std::future::pending().await
        };
        let outcome = async_io::block_on(executor.run(supervisor.run(LONG).or(stops)));
        assert_eq!(outcome, Err(Failure("enough".into())));
    }
}
