//! A desktop's service for notices, which keeps what it receives.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::StreamExt as _;
use tokio::time::timeout;
use zbus::{Connection, MessageStream, OwnedVariant, connection};

/// What a desktop received.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    pub application: String,
    /// The number of the notice whose place it takes, or 0.
    pub replaced: u32,
    pub summary: String,
    pub body: String,
}

pub struct Listener {
    bus: Connection,
    messages: MessageStream,
    last: u32,
}

impl Listener {
    /// Owns the name of the service on this bus.
    pub async fn at(address: &str) -> Self {
        let bus = connection::Builder::address(address).build().await.unwrap();
        let messages = MessageStream::from(&bus);
        bus.request_name("org.freedesktop.Notifications").await.unwrap();
        Self { bus, messages, last: 0 }
    }

    /// The next notice, which gets the next number: 1, 2, 3.
    pub async fn next(&mut self, longest: Duration) -> Received {
        let next = async {
            loop {
                let message = self.messages.next().await.unwrap().unwrap();
                let header = message.header();
                if header.member().is_some_and(|member| member.as_str() == "Notify") {
                    return message.clone();
                }
            }
        };
        let call = timeout(longest, next).await.expect("a notice arrives");
        type Arguments =
            (String, u32, String, String, String, Vec<String>, BTreeMap<String, OwnedVariant>, i32);
        let (application, replaced, _, summary, body, ..): Arguments =
            call.body().deserialize().unwrap();
        self.last += 1;
        self.bus.reply(&call.header(), &self.last).await.unwrap();
        Received { application, replaced, summary, body }
    }
}
