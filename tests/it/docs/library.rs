//! The example of the library, without a network and without an account.

#[path = "../../../examples/watch_one_customer.rs"]
#[allow(dead_code, reason = "its `main` is the example's")]
mod watch_one_customer;

#[tokio::test]
async fn the_example_finds_the_outage_and_says_it_in_words() {
    let said = watch_one_customer::watch().await.expect("it goes the whole way");
    assert!(said.starts_with("200: "), "{said}");
    assert!(said.contains("2 subscriptions read, 0 gaps"), "{said}");
    assert!(said.contains("eventOpened: ") && said.contains("Virtual Machines in West Europe"), "{said}");
    assert!(said.contains("\nMessage "), "a message is shown: {said}");
}
