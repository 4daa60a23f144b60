//! A first start takes the providers' keys that it finds in the environment, says so once, and never again.

use tests::{ADMIN_PASSWORD, Gateway};

#[tokio::test(flavor = "multi_thread")]
async fn provider_keys_of_the_environment_become_accounts_once() {
    let keys = [("ANTHROPIC_API_KEY", "sk-ant-environment"), ("GEMINI_API_KEY", "AIza-environment")];
    let mut gateway = Gateway::standalone_with(&[], &keys).await;
    // The last line of a start.
    _ = gateway.program.printed("Clients: http://");
    let made = gateway.program.printed("API key, shown this once: sk-");
    assert_eq!(made.rsplit(' ').next().unwrap().len(), 67, "{made}");
    let printed = gateway.program.out_lines().join("\n");
    for said in ["ANTHROPIC_API_KEY found: made the claude-console account", "GEMINI_API_KEY found"] {
        assert!(printed.contains(said), "no {said:?} in:\n{printed}");
    }
    for secret in ["sk-ant-environment", "AIza-environment", ADMIN_PASSWORD] {
        let log = gateway.program.log_lines().join("\n");
        assert!(!printed.contains(secret) && !log.contains(secret), "{secret} was written down");
    }
    let accounts = gateway.admin.get("/api/admin/accounts").await.ok();
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 2, "{accounts}");

    gateway.program.terminate();
    assert!(gateway.program.ended().success());
    gateway.restart().await;
    let accounts = gateway.admin.get("/api/admin/accounts").await.ok();
    assert_eq!(accounts["accounts"].as_array().unwrap().len(), 2, "a later start makes none: {accounts}");
}
