//! A server that sends the answers of a script, one for each request, and records the requests.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use dockbridge_hetzner::{Client, Config};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub const TOKEN: &str = "wohlgehuetet";

/// The answer to a request.
pub enum Answer {
    Reply {
        status: u16,
        headers: Vec<(&'static str, String)>,
        body: String,
    },
    /// Reads the request and closes the connection.
    HangUp,
    /// A success whose body is cut off.
    Cut,
    /// Reads the request and never answers.
    Silence,
}

pub fn reply(status: u16, body: impl ToString) -> Answer {
    Answer::Reply { status, headers: Vec::new(), body: body.to_string() }
}

pub fn refusal(status: u16, code: &str, message: &str) -> Answer {
    reply(status, serde_json::json!({"error": {"code": code, "message": message, "details": null}}))
}

impl Answer {
    pub fn header(mut self, name: &'static str, value: impl ToString) -> Self {
        if let Self::Reply { headers, .. } = &mut self {
            headers.push((name, value.to_string()));
        }
        self
    }

    pub fn budget(self, limit: u32, remaining: u32) -> Self {
        self.header("RateLimit-Limit", limit)
            .header("RateLimit-Remaining", remaining)
            .header("RateLimit-Reset", 1_900_000_000)
    }
}

/// A recorded request.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Such as `GET /servers?page=1`.
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: Value,
    pub at: Instant,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    asked: Vec<Asked>,
}

pub struct Cloud {
    address: String,
    script: Arc<Mutex<Script>>,
    listening: JoinHandle<()>,
}

impl Cloud {
    pub async fn with(answers: impl IntoIterator<Item = Answer>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}/v1", listener.local_addr().unwrap());
        let script = Arc::new(Mutex::new(Script {
            answers: answers.into_iter().collect(),
            asked: Vec::new(),
        }));
        let shared = script.clone();
        let listening = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(answer(stream, shared.clone()));
            }
        });
        Self { address, script, listening }
    }

    /// A client with short timeouts.
    pub fn client(&self) -> Client {
        client(&self.address)
    }

    /// All requests, once every answer of the script was sent.
    pub fn asked(&self) -> Vec<Asked> {
        let script = self.script.lock().unwrap();
        assert!(
            script.answers.is_empty(),
            "{} answers were not asked for; asked was {:#?}",
            script.answers.len(),
            script.asked
        );
        script.asked.clone()
    }

    pub fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

pub fn client(endpoint: &str) -> Client {
    Client::new(endpoint.parse().unwrap(), TOKEN.into()).unwrap().with(fast())
}

pub fn fast() -> Config {
    Config {
        poll_interval: Duration::from_millis(5),
        longest_poll_interval: Duration::from_millis(20),
        action_timeout: Duration::from_secs(20),
        request_timeout: Duration::from_secs(20),
        longest_silence: Duration::from_secs(20),
        retries: 2,
        locked_retries: 3,
        backoff: Duration::from_millis(5),
        longest_backoff: Duration::from_millis(10),
        rate_reserve: 2,
        outage_pause: Duration::from_millis(200),
        longest_outage_pause: Duration::from_secs(2),
    }
}

async fn answer(stream: TcpStream, script: Arc<Mutex<Script>>) {
    let mut stream = BufReader::new(stream);
    let Some(asked) = read(&mut stream).await else { return };
    let answer = {
        let mut script = script.lock().unwrap();
        script.asked.push(asked);
        script
            .answers
            .pop_front()
            .unwrap_or_else(|| refusal(500, "script_ended", "the script has no more answers"))
    };
    let text = match answer {
        Answer::HangUp => return,
        Answer::Silence => return std::future::pending().await,
        Answer::Cut => "HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n{\"ser".to_owned(),
        Answer::Reply { status, headers, body } => {
            let headers: String =
                headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
            format!(
                "HTTP/1.1 {status} Scripted\r\n{headers}connection: close\r\ncontent-length: \
                {}\r\n\r\n{body}",
                body.len()
            )
        }
    };
    // A client may close the connection before it has read the answer.
    let _ = stream.write_all(text.as_bytes()).await;
    let _ = stream.shutdown().await;
}

async fn read(stream: &mut BufReader<TcpStream>) -> Option<Asked> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let line = lines.first()?.trim_end_matches(" HTTP/1.1").replacen(" /v1/", " /", 1);
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.into(), value.into()))
        .collect();
    let mut asked = Asked { line, headers, body: Value::Null, at: Instant::now() };
    let length = asked.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    asked.body = serde_json::from_slice(&body).unwrap_or(Value::Null);
    Some(asked)
}
