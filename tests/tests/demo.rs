//! README's first command, from a newcomer's chair.

use tests::{Caller, Program, messages_body};

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_streams_an_answer_shows_its_record_and_goes_on_serving() {
    let mut demo = Program::start(
        "switchyard",
        &["demo", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"],
        &[],
    );
    let curl = demo.printed("curl ");
    let printed = demo.out_lines().join("\n");
    for expected in ["completed", "input_tokens", "cost"] {
        assert!(printed.contains(expected), "no {expected:?} in:\n{printed}");
    }

    // The line to paste names the address and the key.
    let url = curl.split_whitespace().find_map(|word| word.strip_suffix("/v1/messages")).unwrap();
    let key = curl
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .find(|word| word.starts_with("sk-"))
        .unwrap();
    let reply = Caller::new(url, key).messages(&messages_body("pasted", false)).await;
    assert_eq!(reply.status, 200, "{:?}", reply.body);
    assert!(reply.json()["content"][0]["text"].as_str().unwrap().contains("pasted"));

    demo.terminate();
    assert!(demo.ended().success());
}
