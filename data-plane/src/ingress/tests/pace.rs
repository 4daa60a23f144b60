//! Answers at the pace of life, under paused time: what is within the limits reaches the client whole, however long it
//! takes; what is beyond one is ended as that limit says, at its time, and recorded under its reason.

mod broken;
mod drawn;
mod paths;
mod played;

use std::time::Duration;

use super::gateway::Gateway;

/// Steps that time goes in. Where nobody has anything to do, a paused clock jumps to the next timer; with steps as short
/// as this, bytes that the kernel has still in hand can't be overtaken by minutes.
const STEP: Duration = Duration::from_millis(20);

/// Keeps time going in steps; call once in a test.
fn step_by_step(gateway: &Gateway) {
    gateway.tasks.spawn(async {
        loop {
            tokio::time::sleep(STEP).await;
        }
    });
}

/// What the clock says at an end that came at its time. Timers and steps round up.
fn at(end: Duration, expected: Duration) -> bool {
    (expected..expected + Duration::from_millis(500)).contains(&end)
}
