//! The circuit breaker: no requests during an outage of the cloud, and recovery after it.

use dockbridge_hetzner::{Error, Query};

use crate::bodies::list;
use crate::scripted::{Answer, Cloud, fast, refusal, reply};

fn away() -> Answer {
    refusal(503, "unavailable", "service unavailable")
}

fn back() -> Answer {
    reply(200, list("servers", vec![]))
}

#[tokio::test]
async fn breaker_opens_during_an_outage_and_one_request_tries_again() {
    let (calls, requests) = (3, 3 * (fast().retries as usize + 1));
    let script =
        std::iter::repeat_with(away).take(requests).chain([away(), back(), back(), back()]);
    let cloud = Cloud::with(script).await;
    let client = cloud.client();
    for _ in 0..calls {
        let error = client.servers().list(&Query::default()).await.unwrap_err();
        assert!(error.is_lost_reply(), "{error}");
    }
    let suspended = async || {
        let error = client.servers().list(&Query::default()).await.unwrap_err();
        let Error::Suspended { again_in, .. } = error else { panic!("{error}") };
        again_in
    };
    let first = suspended().await;
    assert!(first <= fast().outage_pause, "{first:?}");
    tokio::time::sleep(first).await;
    // The trial is not retried, and a call that waits for it fails with it.
    let (servers, all) = (client.servers(), Query::default());
    let (trial, waits) = tokio::join!(servers.list(&all), servers.list(&all));
    let failed = [trial.unwrap_err(), waits.unwrap_err()];
    assert_eq!(
        failed.iter().filter(|error| matches!(error, Error::Suspended { .. })).count(),
        1,
        "{failed:?}"
    );
    let second = suspended().await;
    assert!(second > fast().outage_pause, "the pause grows: {second:?}");

    tokio::time::sleep(second).await;
    let (trial, waits, also) =
        tokio::join!(servers.list(&all), servers.list(&all), servers.list(&all));
    assert!(
        trial.is_ok() && waits.is_ok() && also.is_ok(),
        "all calls follow a trial that is answered"
    );
    assert_eq!(cloud.asked().len(), requests + 4);
}

#[tokio::test]
async fn refusals_and_short_failures_do_not_open_the_breaker() {
    let refused = || refusal(422, "invalid_input", "no");
    let twice_away = || [away(), away(), back()];
    let script = (0..12)
        .flat_map(|_| twice_away())
        .chain(std::iter::repeat_with(refused).take(12))
        .chain([back()]);
    let cloud = Cloud::with(script).await;
    let client = cloud.client();
    for _ in 0..12 {
        client.servers().list(&Query::default()).await.unwrap();
    }
    for _ in 0..12 {
        client.servers().list(&Query::default()).await.unwrap_err();
    }
    client.servers().list(&Query::default()).await.unwrap();
    assert_eq!(cloud.asked().len(), 12 * 3 + 13);
}
