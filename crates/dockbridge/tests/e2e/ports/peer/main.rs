//! Runs in the containers of these tests, which build it with `rustc`: on port 7 it echoes
//! connections and datagrams; on port 9 it sends forever; on port 13 it greets and closes.

use std::io::{Read, Write};
use std::net::{Ipv6Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;

fn serve(port: u16, work: fn(TcpStream)) {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind(("0.0.0.0", port)))
        .unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || work(stream));
        }
    });
}

fn main() {
    let socket = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 7))
        .or_else(|_| UdpSocket::bind(("0.0.0.0", 7)))
        .unwrap();
    serve(7, |mut stream| {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if stream.write_all(&buffer[..length]).is_err() {
                return;
            }
        }
    });
    serve(9, |mut stream| while stream.write_all(&[0; 4096]).is_ok() {});
    serve(13, |mut stream| drop(stream.write_all(b"greeting")));
    let mut buffer = [0; 65536];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut buffer) {
            let _ = socket.send_to(&buffer[..length], from);
        }
    }
}
