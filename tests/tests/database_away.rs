//! A control plane that starts ahead of its database waits for it.

use servers::MariaDb;
use tests::Program;

const WAITING: &str = "waiting for the database";

#[test]
fn a_start_waits_for_its_database() {
    let mut mariadb = MariaDb::start();
    let url = mariadb.database();
    mariadb.kill();
    let mut migration = Program::start("switchyard-control", &["migrate", "--database-url", &url], &[]);
    let said = migration.logged(WAITING);
    assert!(said["cause"].as_str().is_some_and(|cause| !cause.is_empty()), "{said}");
    mariadb.restart();
    assert!(migration.ended().success(), "{}", migration.log_lines().join("\n"));
}

#[test]
fn a_start_that_waits_can_be_ended_and_ends_by_itself() {
    let mut mariadb = MariaDb::start();
    let url = mariadb.database();
    mariadb.kill();
    let serve = ["serve", "--database-url", &url, "--admin-listen", "127.0.0.1:0"];
    let mut control = Program::start("switchyard-control", &serve, &[("SWITCHYARD_MASTER_KEY", MASTER_KEY)]);
    _ = control.logged(WAITING);
    control.terminate();
    assert!(control.ended().success(), "{}", control.log_lines().join("\n"));

    let impatient = [("SWITCHYARD_DATABASE_WAIT", "1ms")];
    let mut migration =
        Program::start("switchyard-control", &["migrate", "--database-url", &url], &impatient);
    assert!(!migration.ended().success());
    let said = migration.log_lines().join("\n");
    assert!(said.contains("the database is out of reach: "), "{said}");
}

/// 32 bytes.
const MASTER_KEY: &str = "c3dpdGNoeWFyZC10ZXN0cy1tYXN0ZXIta2V5LTMyYiE=";
