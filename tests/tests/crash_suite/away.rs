//! No control plane for the whole run of a node.

use super::{disk, world::World};

#[tokio::test(flavor = "multi_thread")]
async fn whole_runs_of_a_node_without_a_control_plane() {
    let mut world = World::start(1).await;
    world.kill_control();
    world.kill_node(0);

    // From its sealed copy, to an orderly end.
    world.start_node(0);
    world.more(50..150).await;
    world.end_node(0);
    // The same, killed.
    world.start_node(0);
    world.more(50..150).await;
    world.kill_node(0);
    assert_eq!(disk::runs(world.split.nodes[0].data_folder()).len(), 3);

    world.start_node(0);
    world.more(20..50).await;
    world.split.restart_control().await;
    world.more(20..50).await;
    world.law().await;
}
