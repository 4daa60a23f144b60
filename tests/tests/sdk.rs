//! The providers' official Python SDKs, old and new, against standalone and against split planes.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

use tests::{Caller, Gateway, SdkGeneration, Split, run_pytest};

const CLAUDE: &str = "sk-ant-of-the-sdk-test";
const OPENAI: &str = "sk-of-the-sdk-test";

#[tokio::test(flavor = "multi_thread")]
async fn sdks_through_standalone() {
    let gateway = Gateway::standalone().await;
    gateway.account("claude-console", CLAUDE).await;
    gateway.account("openai", OPENAI).await;
    let caller = gateway.caller().await;
    run_all(&caller, &gateway.emulator.base_url()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sdks_through_split_planes() {
    let split = Split::start(2).await;
    split.account("claude-console", CLAUDE).await;
    split.account("openai", OPENAI).await;
    for caller in split.callers().await {
        run_all(&caller, &split.emulator.base_url()).await;
    }
}

async fn run_all(caller: &Caller, emulator_url: &str) {
    caller.offered("claude-sonnet-5").await;
    caller.offered("gpt-4o").await;
    for (generation, file, credential) in [
        (SdkGeneration::Current, "test_anthropic.py", CLAUDE),
        (SdkGeneration::Previous, "test_anthropic.py", CLAUDE),
        (SdkGeneration::Current, "test_openai.py", OPENAI),
    ] {
        let variables = [
            ("SWITCHYARD_TEST_URL", caller.url.clone()),
            ("SWITCHYARD_TEST_KEY", caller.key.clone()),
            ("SWITCHYARD_TEST_EMULATOR", emulator_url.to_owned()),
            ("SWITCHYARD_TEST_CREDENTIAL", credential.to_owned()),
        ];
        // pytest blocks; the emulator runs on this runtime.
        tokio::task::spawn_blocking(move || {
            let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
            run_pytest(generation, file, &variables);
        })
        .await
        .unwrap();
    }
}
