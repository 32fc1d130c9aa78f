//! The request that work is done for. It travels with the work as a task-local value, so that every
//! stream that is opened meanwhile carries its id to the agent, through any connector.

use api::RequestId;
use tokio::task::futures::TaskLocalFuture;

tokio::task_local! {
    static REQUEST: RequestId;
}

/// Does the work for a request. A nested call overrides it for its part of the work; a task that
/// the work spawns is not part of it.
pub fn for_request<F: Future>(request: RequestId, work: F) -> TaskLocalFuture<RequestId, F> {
    REQUEST.scope(request, work)
}

/// The request that the work in progress is done for; `None` outside of [`for_request`].
pub fn current_request() -> Option<RequestId> {
    REQUEST.try_with(|request| *request).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn innermost_request_applies_and_ends_with_its_work() {
        let (outer, inner) = (RequestId::new(1), RequestId::new(2));
        for_request(outer, async {
            assert_eq!(for_request(inner, async { current_request() }).await, Some(inner));
            assert_eq!(current_request(), Some(outer));
        })
        .await;
        assert_eq!(current_request(), None);
    }
}
