//! What is killed comes back.

use std::time::{Duration, Instant};

use emulator::{Behaviour, Condition, Position};
use rand::Rng as _;

use super::world::{EACH, PATIENCE, World};

const NODES: usize = 2;
/// How long everything dies at once.
const CHAOS: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn nodes_that_are_killed_again_and_again() {
    let mut world = World::start(NODES).await;
    for _ in 0..6 {
        let node = world.chance.random_range(0..NODES);
        world.kill_node(node);
        // The other one goes on.
        world.more(1..30).await;
        world.start_node(node);
        world.more(1..60).await;
    }
    // Once with something under way for certain: more is held than the other node's clients ask.
    let node = world.chance.random_range(0..NODES);
    let held = Behaviour::chunked(5).with_hold(Position::Bytes(1));
    world.credential().next_all(vec![held; EACH + 1]).unwrap();
    let all_held = Condition::held(EACH as u64 + 1);
    world.credential().wait_for(all_held, PATIENCE).await.unwrap();
    world.kill_node(node);
    world.credential().release();
    world.start_node(node);
    world.more(20..40).await;
    let books = world.law().await;
    assert!(books.cut_off() > 0, "{:#?}", books.records);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_is_killed_twice() {
    let mut world = World::start(NODES).await;
    for _ in 0..2 {
        world.split.mariadb.kill();
        world.more(20..150).await;
        world.split.mariadb.restart();
        world.more(20..150).await;
    }
    let books = world.law().await;
    assert_eq!(books.cut_off(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_control_plane_that_is_killed_again_and_again() {
    let mut world = World::start(NODES).await;
    for _ in 0..5 {
        world.kill_control();
        world.more(1..100).await;
        world.split.restart_control().await;
        world.more(1..100).await;
    }
    let books = world.law().await;
    assert_eq!(books.cut_off(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn everything_dies_in_any_order() {
    let mut world = World::start(NODES).await;
    let end = Instant::now() + CHAOS;
    let (mut nodes, mut control, mut database) = ([true; NODES], true, true);
    while Instant::now() < end {
        match world.chance.random_range(0..NODES + 2) {
            node if node < NODES && nodes[node] => {
                world.kill_node(node);
                nodes[node] = false;
            }
            node if node < NODES => {
                world.start_node(node);
                nodes[node] = true;
            }
            NODES if control => {
                world.kill_control();
                control = false;
            }
            // It can't start without its database.
            NODES if database => {
                world.split.restart_control().await;
                control = true;
            }
            _ if database => {
                world.split.mariadb.kill();
                database = false;
            }
            _ => {
                world.split.mariadb.restart();
                database = true;
            }
        }
        if nodes.contains(&true) {
            world.more(1..50).await;
        }
    }
    if !database {
        world.split.mariadb.restart();
    }
    if !control {
        world.split.restart_control().await;
    }
    for (node, _) in nodes.iter().enumerate().filter(|(_, runs)| !**runs) {
        world.start_node(node);
    }
    world.more(20..40).await;
    world.law().await;
}
