//! Which worker takes a connection.
//!
//! Workers are filled one after the other, each to about half of what it can do: with little to do, all of it is done by
//! few workers, whose connections to upstreams stay warm. Beyond that, the one with the least to do takes the next.

use crate::metrics::Load;

/// A worker is filled up to here before the next one is given anything; in thousandths of its time.
const HALF: u32 = 500;
/// What a connection is taken for until its work shows.
const FRESH: u32 = 125;
/// A worker beyond this sheds connections, where another one is below [`IDLE_ENOUGH`].
const OVERLOADED: u32 = 850;
const IDLE_ENOUGH: u32 = 500;

/// The worker's number; none where there is none at all.
pub(super) fn choose<'a>(loads: impl Iterator<Item = &'a Load> + Clone) -> Option<usize> {
    let expected = loads.map(|load| (load.busy() + load.fresh() * FRESH, load.connections())).enumerate();
    let first = expected.clone().find(|(_, (expected, _))| *expected < HALF);
    first.or_else(|| expected.min_by_key(|(_, load)| *load)).map(|(number, _)| number)
}

/// How many connections the worker should end behind their next answers, so that their clients' work moves: part of what
/// sets it apart from the one with the least to do, taken evenly over its connections.
pub(crate) fn surplus(load: &Load, least: u32) -> u32 {
    let busy = load.busy();
    if busy < OVERLOADED || least > IDLE_ENOUGH {
        return 0;
    }
    let connections = u32::try_from(load.connections()).unwrap_or(u32::MAX);
    let share = u64::from(connections) * u64::from(busy - least) / u64::from(busy) / 4;
    // With a single connection there is nothing to move.
    u32::try_from(share).unwrap_or(u32::MAX).max(1).min(connections.saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn loads(count: usize) -> Vec<Arc<Load>> {
        (0..count).map(|_| Arc::default()).collect()
    }

    fn chosen(loads: &[Arc<Load>]) -> usize {
        choose(loads.iter().map(|load| &**load)).unwrap()
    }

    #[test]
    fn connections_that_do_little_all_go_to_the_first_worker() {
        let loads = loads(16);
        for _ in 0..32 {
            let number = chosen(&loads);
            assert_eq!(number, 0);
            loads[number].add_fresh();
            // It shows how little that was.
            loads[number].forget_fresh(1);
            loads[number].set_busy(20, 0);
        }
    }

    #[test]
    fn a_burst_of_connections_is_spread_though_nothing_of_it_shows_yet() {
        let loads = loads(2);
        for _ in 0..32 {
            loads[chosen(&loads)].add_fresh();
        }
        assert_eq!((loads[0].fresh(), loads[1].fresh()), (16, 16));
    }

    #[test]
    fn a_worker_that_is_half_busy_is_left_alone_while_another_has_less_to_do() {
        let loads = loads(3);
        loads[0].set_busy(510, 0);
        assert_eq!(chosen(&loads), 1);
        loads[1].set_busy(900, 0);
        loads[2].set_busy(700, 0);
        assert_eq!(chosen(&loads), 0);
        assert_eq!(choose([].into_iter()), None);
    }

    #[test]
    fn only_an_overloaded_worker_sheds_and_only_where_another_has_room() {
        let load = Arc::new(Load::default());
        let counted: Vec<_> = (0..20).map(|_| load.connection()).collect();
        load.set_busy(1000, 0);
        assert_eq!(surplus(&load, 200), 4);
        assert_eq!(surplus(&load, 600), 0);
        load.set_busy(800, 0);
        assert_eq!(surplus(&load, 0), 0);
        drop(counted);
        load.set_busy(1000, 0);
        let _one = load.connection();
        assert_eq!(surplus(&load, 0), 0);
    }

    #[test]
    fn as_many_connections_are_shed_as_were_asked_for() {
        let load = Load::default();
        assert!(!load.sheds());
        load.ask_to_shed(2);
        assert_eq!([load.sheds(), load.sheds(), load.sheds()], [true, true, false]);
    }
}
