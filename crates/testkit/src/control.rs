//! Control requests to a local cloud, which are not part of Hetzner's API: faults, power cuts, a
//! view of its state. They meet no fault and do not count towards a project's rate limit.

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// The control requests of one local cloud.
#[derive(Debug, Clone)]
pub struct Control {
    address: String,
}

impl Control {
    /// Of the local cloud with this API endpoint, which ends in `/v1`.
    pub fn of(endpoint: &str) -> Self {
        let address = endpoint.strip_prefix("http://").and_then(|rest| rest.strip_suffix("/v1"));
        Self { address: address.expect("an endpoint like http://127.0.0.1:80/v1").to_owned() }
    }

    /// `GET`, such as `state`.
    pub async fn get(&self, path: &str) -> Value {
        self.send("GET", path, None).await
    }

    /// `POST` with a JSON body, such as `servers/7/power_cut`.
    pub async fn post(&self, path: &str, body: &str) -> Value {
        self.send("POST", path, Some(body)).await
    }

    /// `DELETE`, such as `faults`.
    pub async fn delete(&self, path: &str) -> Value {
        self.send("DELETE", path, None).await
    }

    async fn send(&self, method: &str, path: &str, body: Option<&str>) -> Value {
        let Self { address } = self;
        let body = body.unwrap_or_default();
        let request = format!(
            "{method} /_local/{path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let mut connection = TcpStream::connect(address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").expect(&answer);
        assert!(head.starts_with("HTTP/1.1 2"), "{method} {path} is refused: {answer}");
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }
}
