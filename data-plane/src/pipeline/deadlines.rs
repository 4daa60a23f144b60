//! The limits in time that a request is under, and the one timer that watches them.
//!
//! Limits come and go while a request is under way. Which of them is over next is therefore never kept: it is worked out
//! anew from those in force, at each look. The timer is only a bell. It may ring early, for a limit that was moved or
//! lifted meanwhile; what is over is for the clock to say, limit by limit.

use std::{
    future::{Future as _, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use tokio::time::{Instant, Sleep, sleep_until};

/// What can run out. Where several have, the first of them in this order is what is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// To the first content, over all attempts.
    Deadline,
    /// From the first content on, in place of the deadline.
    MaxStream,
    /// To the end of an attempt at a plain answer.
    Attempt,
    /// To the head of a stream.
    FirstByte,
    /// Between two reads.
    Idle,
    /// How long an answer's head may be held back.
    Hold,
    /// The wait ahead of a repeat.
    Pause,
}

impl Limit {
    const ALL: [Self; 7] = [
        Self::Deadline,
        Self::MaxStream,
        Self::Attempt,
        Self::FirstByte,
        Self::Idle,
        Self::Hold,
        Self::Pause,
    ];
    /// Those that end with the attempt.
    const OF_ATTEMPT: [Self; 4] = [Self::Attempt, Self::FirstByte, Self::Idle, Self::Hold];
}

/// The limits in force.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    ends: [Option<Instant>; Limit::ALL.len()],
    /// Not made before somebody has to wait. A limit that moves to a later time costs nothing: the timer is only set
    /// anew once it has rung.
    timer: Option<Pin<Box<Sleep>>>,
    /// Taken since a limit was found to be over.
    turns: u8,
}

/// Turns that what is waited for has, once a limit is over. Where the process stood still for longer than the limit, it
/// may be there already, in the hands of a task that has not had its turn yet.
const TURNS: u8 = 4;

impl Deadlines {
    pub(super) const fn set(&mut self, limit: Limit, end: Instant) {
        self.ends[limit as usize] = Some(end);
    }

    pub(super) const fn lift(&mut self, limit: Limit) {
        self.ends[limit as usize] = None;
    }

    /// What bound the attempt binds the next one no more.
    pub(super) fn end_attempt(&mut self) {
        for limit in Limit::OF_ATTEMPT {
            self.lift(limit);
        }
    }

    pub(super) const fn end_of(&self, limit: Limit) -> Option<Instant> {
        self.ends[limit as usize]
    }

    /// What `work` gives; none: a limit in force is over first.
    pub(super) async fn within<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = pin!(work);
        poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(done) => Poll::Ready(Some(done)),
            Poll::Pending => self.poll_over(cx).map(|_| None),
        })
        .await
    }

    /// Resolves once a limit in force is over, and says which.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<Limit> {
        loop {
            let Some(next) = self.ends.iter().flatten().min().copied() else {
                return Poll::Pending;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(next)));
            if timer.deadline() > next {
                timer.as_mut().reset(next);
            }
            let now = Instant::now();
            // A task that has used up its turn gets no word of the timer, so the clock is asked too.
            if timer.as_mut().poll(cx).is_pending() && now < next {
                self.turns = 0;
                return Poll::Pending;
            }
            let over = |limit: &Limit| self.end_of(*limit).is_some_and(|end| end <= now);
            if let Some(limit) = Limit::ALL.into_iter().find(over) {
                if self.turns < TURNS {
                    self.turns += 1;
                    // Unlike a task that wakes itself, one that yields lets the runtime look at its sockets first.
                    _ = pin!(tokio::task::yield_now()).poll(cx);
                    return Poll::Pending;
                }
                self.turns = 0;
                return Poll::Ready(limit);
            }
            if let Some(timer) = &mut self.timer {
                timer.as_mut().reset(next);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    async fn is_pending(deadlines: &mut Deadlines) -> bool {
        poll_fn(|cx| Poll::Ready(deadlines.poll_over(cx).is_pending())).await
    }

    async fn over(deadlines: &mut Deadlines) -> Limit {
        poll_fn(|cx| deadlines.poll_over(cx)).await
    }

    #[test]
    fn limits_stand_where_their_numbers_say() {
        for (place, limit) in Limit::ALL.into_iter().enumerate() {
            assert_eq!(limit as usize, place);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_bell_that_was_set_for_a_limit_since_lifted_says_nothing() {
        let mut deadlines = Deadlines::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        deadlines.set(Limit::Hold, after(1));
        deadlines.set(Limit::Idle, after(120));
        assert!(is_pending(&mut deadlines).await);
        deadlines.lift(Limit::Hold);
        assert_eq!((over(&mut deadlines).await, start.elapsed().as_secs()), (Limit::Idle, 120));
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_may_come_closer_and_move_away() {
        let mut deadlines = Deadlines::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        deadlines.set(Limit::Idle, after(10));
        assert!(is_pending(&mut deadlines).await);
        deadlines.set(Limit::Idle, after(60));
        assert_eq!((over(&mut deadlines).await, start.elapsed().as_secs()), (Limit::Idle, 60));
        deadlines.set(Limit::Idle, after(100));
        assert!(is_pending(&mut deadlines).await);
        deadlines.set(Limit::Idle, after(70));
        assert_eq!((over(&mut deadlines).await, start.elapsed().as_secs()), (Limit::Idle, 70));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_over_where_no_limit_is_in_force() {
        let mut deadlines = Deadlines::default();
        assert!(is_pending(&mut deadlines).await);
        deadlines.set(Limit::Idle, Instant::now());
        deadlines.set(Limit::FirstByte, Instant::now());
        deadlines.end_attempt();
        assert!(is_pending(&mut deadlines).await);
    }

    /// A limit, and after how many seconds from now it is over; none: it is lifted.
    type Change = (usize, Option<u64>);

    proptest! {
        /// Whatever is set, moved and lifted, and whenever: what is told is over, nothing that is over goes untold, and
        /// nothing is told late.
        #[test]
        fn the_clock_decides(
            changes in prop::collection::vec((1_u64..50, (0..Limit::ALL.len(), prop::option::of(0_u64..100))), 1..30),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(play(changes))?;
        }
    }

    async fn play(changes: Vec<(u64, Change)>) -> Result<(), TestCaseError> {
        let (mut deadlines, start) = (Deadlines::default(), Instant::now());
        let mut model: [Option<u64>; Limit::ALL.len()] = Default::default();
        let now = || start.elapsed().as_secs();
        for (wait, (place, after)) in changes {
            let limit = Limit::ALL[place];
            model[place] = after.map(|after| now() + after);
            match model[place] {
                Some(end) => deadlines.set(limit, start + Duration::from_secs(end)),
                None => deadlines.lift(limit),
            }
            let until = now() + wait;
            let waiting = tokio::time::timeout_at(start + Duration::from_secs(until), over(&mut deadlines));
            let first = model.iter().flatten().min().copied();
            match waiting.await {
                Ok(limit) => {
                    let told = first.unwrap().max(until - wait);
                    prop_assert_eq!(now(), told);
                    prop_assert!(model[limit as usize].is_some_and(|end| end <= told));
                    model[limit as usize] = None;
                    deadlines.lift(limit);
                }
                Err(_) => prop_assert!(first.is_none_or(|end| end >= until), "{first:?} {until}"),
            }
        }
        Ok(())
    }
}
