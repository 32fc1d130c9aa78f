//! A web server for files, which can break off or stall in the middle of one.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

/// What happens to archives; other files always arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    Whole,
    /// The connection ends after half of the bytes.
    BreaksOff,
    /// After half of the bytes nothing comes any more.
    Stalls,
}

pub struct Server {
    pub url: String,
    /// Receives one value for each archive that stalls.
    pub stalled: Receiver<()>,
}

impl Server {
    /// Serves the files of a directory until the test ends.
    pub fn start_on(address: IpAddr, directory: &Path, manner: Manner) -> Self {
        let listener = TcpListener::bind((address, 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stalling, stalled) = channel();
        let directory = directory.to_owned();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (directory, stalling) = (directory.clone(), stalling.clone());
                std::thread::spawn(move || answer(stream.unwrap(), directory, manner, &stalling));
            }
        });
        Self { url, stalled }
    }
}

fn answer(mut stream: TcpStream, directory: PathBuf, manner: Manner, stalling: &Sender<()>) {
    let mut lines = BufReader::new(&stream).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    lines.take_while(|line| !line.is_empty()).for_each(drop);
    let name = request.split(' ').nth(1).unwrap().trim_start_matches('/').to_owned();
    let Ok(content) = std::fs::read(directory.join(&name)) else {
        let _ = stream.write_all(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        return;
    };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", content.len());
    let _ = stream.write_all(format!("{head}Connection: close\r\n\r\n").as_bytes());
    let manner = if name.ends_with(".gz") { manner } else { Manner::Whole };
    let sent = if manner == Manner::Whole { content.len() } else { content.len() / 2 };
    let _ = stream.write_all(&content[..sent]);
    if manner == Manner::Stalls {
        let _ = stalling.send(());
        // Until the client goes.
        let _ = stream.read(&mut [0]);
    }
}
