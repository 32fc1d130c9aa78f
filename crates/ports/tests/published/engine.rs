//! A scripted engine. It passes the far end of each forwarded connection to the test.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use api::RequestId;
use bytes::Bytes;
use dockbridge_ports::{Options, Ports};
use futures::FutureExt;
use futures::future::BoxFuture;
use futures::stream::StreamExt;
use http::{Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use lifecycle::{Activity, FakeClock};
use serde_json::json;
use tokio::io::DuplexStream;
use tokio::sync::mpsc;
use tunnel::{Class, Connector, Destination, OpenError, Stream};

pub const CEILING: Duration = Duration::from_secs(20);

type Frames = futures::channel::mpsc::UnboundedSender<Result<Frame<Bytes>, std::io::Error>>;

#[derive(Default)]
struct State {
    /// Id (and name) to requested bindings, actual bindings, and whether it runs.
    containers: BTreeMap<String, (serde_json::Value, serde_json::Value, bool)>,
    followers: Vec<Frames>,
    refuses_connections: bool,
    without_datagrams: Option<String>,
    security_options: Vec<&'static str>,
    /// The classes of the connections to containers.
    classes: Vec<Class>,
    /// On whose behalf the last connection to a container was opened.
    opened_for: Option<RequestId>,
    /// Where these connections lead, as `host:port`.
    destinations: Vec<String>,
    /// Containers in overlay networks only.
    in_overlays: BTreeSet<String>,
    /// The answer to `GET /services`; null without a swarm.
    services: serde_json::Value,
}

#[derive(Clone)]
pub struct Engine {
    state: Arc<Mutex<State>>,
    connected: mpsc::UnboundedSender<DuplexStream>,
}

/// The engine, the ports in front of it, and the far ends of forwarded connections.
pub fn rig() -> (Engine, Ports, Activity, mpsc::UnboundedReceiver<DuplexStream>) {
    rig_with(Options::default())
}

/// The rig with these settings.
pub fn rig_with(
    options: Options,
) -> (Engine, Ports, Activity, mpsc::UnboundedReceiver<DuplexStream>) {
    let (connected, far_ends) = mpsc::unbounded_channel();
    let engine = Engine { state: Arc::default(), connected };
    let activity = Activity::new(Arc::new(FakeClock::default()));
    let ports = Ports::new(Arc::new(engine.clone()), activity.clone(), options);
    (engine, ports, activity, far_ends)
}

impl Engine {
    /// Creates a container that publishes these host ports; 0 means any.
    pub fn create(&self, id: &str, ports: &[u16]) {
        let ports: Vec<_> = ports
            .iter()
            .enumerate()
            .map(|(at, port)| (format!("{}/tcp", 80 + at), "", *port))
            .collect();
        self.create_with(
            id,
            &ports
                .iter()
                .map(|(inside, address, port)| (inside.as_str(), *address, *port))
                .collect::<Vec<_>>(),
        );
    }

    /// Creates a container that publishes these ports: container port (`53/udp`), address and port
    /// of the host.
    pub fn create_with(&self, id: &str, ports: &[(&str, &str, u16)]) {
        let number = |port: u16| if port == 0 { String::new() } else { port.to_string() };
        let bindings: serde_json::Map<_, _> = ports
            .iter()
            .map(|(inside, address, port)| {
                ((*inside).to_owned(), json!([{"HostIp": address, "HostPort": number(*port)}]))
            })
            .collect();
        self.state
            .lock()
            .unwrap()
            .containers
            .insert(id.into(), (bindings.clone().into(), bindings.into(), false));
    }

    /// Puts a container in overlay networks only, which have no gateway.
    pub fn put_in_an_overlay(&self, id: &str) {
        self.state.lock().unwrap().in_overlays.insert(id.to_owned());
    }

    /// Sets the services of a swarm and sends an event.
    pub fn serve(&self, services: serde_json::Value) {
        self.state.lock().unwrap().services = services;
        let event =
            format!("{}\n", json!({"Type": "service", "Action": "update", "Actor": {"ID": "q1"}}));
        for follower in &self.state.lock().unwrap().followers {
            let _ = follower.unbounded_send(Ok(Frame::data(Bytes::from(event.clone()))));
        }
    }

    /// Simulates a machine without the agent.
    pub fn carry_no_datagrams(&self, why: Option<&str>) {
        self.state.lock().unwrap().without_datagrams = why.map(str::to_owned);
    }

    /// Starts a container without an event. `any` is the number that the engine chooses.
    pub fn start_silently(&self, id: &str, any: u16) {
        let mut state = self.state.lock().unwrap();
        let (_, actual, running) = state.containers.get_mut(id).unwrap();
        *running = true;
        for (_, bindings) in actual.as_object_mut().unwrap() {
            if bindings[0]["HostPort"] == "" {
                bindings[0]["HostPort"] = any.to_string().into();
            }
        }
    }

    pub fn start(&self, id: &str) {
        self.start_silently(id, 0);
        self.send_event("start", id);
    }

    pub fn runs(&self, id: &str) -> bool {
        self.state.lock().unwrap().containers[id].2
    }

    pub fn die_silently(&self, id: &str) {
        self.state.lock().unwrap().containers.get_mut(id).unwrap().2 = false;
    }

    pub fn die(&self, id: &str) {
        self.die_silently(id);
        self.send_event("die", id);
    }

    pub fn send_event(&self, action: &str, id: &str) {
        let actor = json!({"ID": id, "Attributes": {"name": id}});
        let event = json!({"Type": "container", "Action": action, "Actor": actor});
        let event = format!("{event}\n");
        // In two pieces: events may arrive in parts.
        let (one, two) = event.split_at(event.len() / 2);
        for piece in [one, two] {
            for follower in &self.state.lock().unwrap().followers {
                let _ = follower.unbounded_send(Ok(Frame::data(Bytes::from(piece.to_owned()))));
            }
        }
    }

    pub fn is_followed(&self) -> bool {
        self.state.lock().unwrap().followers.iter().any(|follower| !follower.is_closed())
    }

    /// Simulates a lost path.
    pub fn cut_events(&self) {
        for follower in self.state.lock().unwrap().followers.drain(..) {
            let _ = follower.unbounded_send(Err(std::io::ErrorKind::ConnectionReset.into()));
        }
    }

    /// The id under which the last connection to a container was opened.
    pub fn opened_for(&self) -> Option<RequestId> {
        self.state.lock().unwrap().opened_for
    }

    /// The classes of the opened connections to containers.
    pub fn classes(&self) -> Vec<Class> {
        self.state.lock().unwrap().classes.clone()
    }

    /// Where the opened connections lead, as `host:port`.
    pub fn destinations(&self) -> Vec<String> {
        self.state.lock().unwrap().destinations.clone()
    }

    /// Simulates a rootless engine.
    pub fn run_rootless(&self) {
        self.state.lock().unwrap().security_options =
            vec!["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"];
    }

    pub fn refuse_connections(&self) {
        self.state.lock().unwrap().refuses_connections = true;
    }

    fn answer(&self, request: &Request<Incoming>) -> Response<BoxBody<Bytes, std::io::Error>> {
        let mut state = self.state.lock().unwrap();
        let whole = |status: StatusCode, body: serde_json::Value| {
            let body = Full::new(Bytes::from(body.to_string()))
                .map_err(|never: Infallible| match never {})
                .boxed();
            Response::builder().status(status).body(body).unwrap()
        };
        match request.uri().path() {
            "/containers/json" => whole(StatusCode::OK, state.list()),
            "/events" => {
                let (follower, frames) = futures::channel::mpsc::unbounded();
                state.followers.push(follower);
                Response::new(BodyExt::boxed(StreamBody::new(frames.map(|frame| frame))))
            }
            path if path.ends_with("/kill") => {
                let id = path.trim_start_matches("/containers/").trim_end_matches("/kill");
                state.containers.get_mut(id).unwrap().2 = false;
                whole(StatusCode::NO_CONTENT, json!(null))
            }
            "/services" if state.services.is_null() => {
                whole(StatusCode::SERVICE_UNAVAILABLE, json!({"message": "no swarm manager"}))
            }
            "/services" => whole(StatusCode::OK, state.services.clone()),
            "/networks" => whole(
                StatusCode::OK,
                json!([{"Name": "none"}, {"IPAM": {"Config": [{"Gateway": "172.17.0.1"}]}}]),
            ),
            "/networks/docker_gwbridge" => {
                let task = json!({"IPv4Address": "172.18.0.3/16"});
                whole(StatusCode::OK, json!({"Containers": {"task": task, "ingress-sbox": {}}}))
            }
            "/info" => whole(
                StatusCode::OK,
                json!({"ServerVersion": "28.5.2", "SecurityOptions": state.security_options}),
            ),
            path => {
                let id = path.trim_start_matches("/containers/").trim_end_matches("/json");
                match state.inspect(id) {
                    Some(container) => whole(StatusCode::OK, container),
                    None => whole(
                        StatusCode::NOT_FOUND,
                        json!({"message": format!("No such container: {id}")}),
                    ),
                }
            }
        }
    }
}

impl State {
    fn list(&self) -> serde_json::Value {
        let number = |text: &str| text.parse::<u16>().unwrap();
        let port = |(inside, bindings): (&String, &serde_json::Value)| {
            let (inside, protocol) = inside.split_once('/').unwrap();
            json!({
                "IP": "0.0.0.0",
                "PrivatePort": number(inside),
                "PublicPort": number(bindings[0]["HostPort"].as_str().unwrap()),
                "Type": protocol,
            })
        };
        let running = self.containers.iter().filter(|(_, (_, _, running))| *running);
        let entry = |(id, (_, actual, _)): (&String, &(_, serde_json::Value, _))| {
            let ports: Vec<_> = actual.as_object().unwrap().iter().map(port).collect();
            json!({
                "Id": id,
                "Names": [format!("/{id}")],
                "Ports": ports,
                "HostConfig": {"NetworkMode": "default"},
                "NetworkSettings": {"Networks": own_network(self.in_overlays.contains(id))},
            })
        };
        running.map(entry).collect()
    }

    fn inspect(&self, id: &str) -> Option<serde_json::Value> {
        let (asked, actual, running) = self.containers.get(id)?;
        let ports = if *running { actual.clone() } else { json!({}) };
        let networks = own_network(self.in_overlays.contains(id));
        Some(json!({
            "Id": id,
            "Name": format!("/{id}"),
            "State": {"Running": running},
            "HostConfig": {"PortBindings": asked},
            "NetworkSettings": {"Ports": ports, "Networks": networks},
        }))
    }
}

/// The networks of every container.
fn own_network(is_overlay: bool) -> serde_json::Value {
    match is_overlay {
        true => json!({"ingress": {"IPAddress": "10.0.0.9", "Gateway": ""}}),
        false => json!({"bridge": {
            "IPAddress": "172.17.0.9",
            "GlobalIPv6Address": "",
            "Gateway": "172.17.0.1",
        }}),
    }
}

impl Connector for Engine {
    fn open(&self, to: Destination, class: Class) -> BoxFuture<'_, Result<Stream, OpenError>> {
        async move {
            let (here, there) = tokio::io::duplex(64 * 1024);
            if to != Destination::Docker {
                self.state.lock().unwrap().opened_for = tunnel::current_request();
            }
            match to {
                Destination::Docker => {
                    let engine = self.clone();
                    let service = service_fn(move |request| {
                        let answer = engine.answer(&request);
                        async move { Ok::<_, Infallible>(answer) }
                    });
                    tokio::spawn(
                        hyper::server::conn::http1::Builder::new()
                            .serve_connection(TokioIo::new(there), service),
                    );
                }
                Destination::Tcp { .. } if self.state.lock().unwrap().refuses_connections => {
                    return Ok(refusing());
                }
                Destination::Tcp { host, port } | Destination::Udp { host, port } => {
                    let mut state = self.state.lock().unwrap();
                    state.classes.push(class);
                    state.destinations.push(format!("{host}:{port}"));
                    // A test that does not look at connections has dropped the receiver.
                    let _ = self.connected.send(there);
                }
                Destination::Socket(path) => panic!("no test opens {path}"),
            }
            Ok(Stream::new(here))
        }
        .boxed()
    }

    fn without_datagrams(&self) -> Option<String> {
        self.state.lock().unwrap().without_datagrams.clone()
    }
}

/// A stream that accepts bytes and reports with its first read that its destination refuses, as the
/// tunnel's streams do.
fn refusing() -> Stream {
    let refusal = futures::stream::once(async {
        Err::<bytes::Bytes, _>(io::Error::new(
            io::ErrorKind::ConnectionRefused,
            OpenError::Refused { message: "connection refused".into() },
        ))
    });
    Stream::new(tokio::io::join(
        tokio_util::io::StreamReader::new(Box::pin(refusal)),
        tokio::io::sink(),
    ))
}

/// A port that is free now.
pub fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

pub fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

/// Whether another program could listen there now.
pub fn is_free(port: u16) -> bool {
    TcpListener::bind(local(port)).is_ok()
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(CEILING, future).await.unwrap_or_else(|_| panic!("timed out: {what}"))
}

pub async fn eventually(what: &str, ports: &Ports, mut is: impl FnMut() -> bool) {
    let since = tokio::time::Instant::now();
    while !is() {
        assert!(since.elapsed() < CEILING, "timed out: {what}; {:#?}", ports.list());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
