//! The connector that everything local uses: it leads to the machine, and waits for one where there is none.

use std::sync::Arc;

use futures::future::BoxFuture;
use tokio::sync::watch;
use tunnel::{Class, Connector, Destination, OpenError, Stream};

use crate::state::{Situation, State};

/// Wishes for a machine, and what became of them.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    situation: watch::Receiver<Situation>,
    /// The number of the attempt that somebody waits for.
    wanted: Arc<watch::Sender<u64>>,
}

impl Link {
    pub(crate) fn new(situation: watch::Receiver<Situation>, wanted: Arc<watch::Sender<u64>>) -> Self {
        Self { situation, wanted }
    }

    /// Asks for a machine: the attempt under way, or the next.
    fn want(&self) -> u64 {
        let wish = self.situation.borrow().attempts + 1;
        self.wanted.send_if_modified(|wanted| {
            let newer = wish > *wanted;
            *wanted = (*wanted).max(wish);
            newer
        });
        wish
    }

    async fn stream(&self, to: Destination, class: Class) -> Result<Stream, OpenError> {
        let mut situation = self.situation.clone();
        // A tunnel that turns out to be dead is given back once; the next one has just been made.
        let mut second_chance = true;
        loop {
            let wish = if is_up(&situation.borrow()) { 0 } else { self.want() };
            let settled = situation
                .wait_for(|now| match &now.state {
                    State::Up(_) => is_up(now),
                    State::Failed { .. } => now.attempts >= wish,
                    State::Absent { .. } | State::Waking | State::Lost { .. } | State::Releasing { .. } => false,
                })
                .await
                .map(|now| now.state.clone());
            let ready = match settled {
                Ok(State::Up(ready)) => ready,
                Ok(State::Failed { message }) => return Err(OpenError::NoMachine { message }),
                Ok(_) | Err(_) => return Err(OpenError::NoMachine { message: "dockbridge is stopping".to_owned() }),
            };
            match ready.tunnel.open(to.clone(), class).await {
                Err(OpenError::Dead { .. }) if second_chance => second_chance = false,
                opened => return opened,
            }
        }
    }
}

fn is_up(now: &Situation) -> bool {
    matches!(&now.state, State::Up(ready) if ready.tunnel.is_dead().is_none())
}

impl Connector for Link {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        Box::pin(self.stream(to, class))
    }
}
