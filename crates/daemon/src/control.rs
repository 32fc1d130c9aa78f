//! The daemon's own API, on a Unix socket beside the Docker socket: HTTP with JSON, for the command
//! line and for programs.

use std::num::NonZeroU16;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use agent_proto::{Call, Reply};
use api::{
    Answer, ByHand, Code, DestroyQuery, Error, Local, MachineLogQuery, PinQuery, Status,
    VolumeSummary,
};
use axum::body::Body;
use axum::extract::{Query, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router, middleware};
use jiff::Timestamp;
use lifecycle::{Activity, Clock, decide};
use machine::Provider;
use ports::{AddError, Ports};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::timeout;
use tunnel::current_request;

use crate::conditions::conditions;
use crate::containers;
use crate::health::Health;
use crate::machine_log;
use crate::observability::Observability;
use crate::pin::PinFile;
use crate::request_id::{named, traced};
use crate::rereading::{InForce, Order};
use crate::state::{DaemonState, MachineState};
use crate::status::status_of;
use crate::supervisor::{Command, DestroyOrder};

/// The longest wait for the machine's own report.
const LONGEST_REPORT: Duration = Duration::from_secs(2);

/// What the control API reads, and where it sends commands.
pub(crate) struct Control {
    pub(crate) profile: String,
    pub(crate) socket: PathBuf,
    pub(crate) proxy_port: Option<NonZeroU16>,
    pub(crate) service: Option<String>,
    pub(crate) state: watch::Receiver<DaemonState>,
    pub(crate) activity: Activity,
    pub(crate) settings: watch::Receiver<InForce>,
    pub(crate) orders: mpsc::Sender<Order>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ports: Option<Ports>,
    pub(crate) commands: mpsc::Sender<Command>,
    pub(crate) pin: PinFile,
    pub(crate) provider: Arc<dyn Provider>,
    pub(crate) health: Health,
    pub(crate) observability: Observability,
}

pub(crate) fn router(control: Control) -> Router {
    let observability = control.observability.clone().router();
    Router::new()
        .route("/status", get(status))
        .route("/machine-log", get(machine_log))
        .route("/wake", post(wake))
        .route("/pin", post(pin))
        .route("/unpin", post(unpin))
        .route("/destroy", post(destroy))
        .route("/volume", put(volume))
        .route("/settings", post(settings))
        .route("/stop", post(stop))
        .route("/ports", post(add_forward))
        .route("/ports", delete(remove_forward))
        .layer(middleware::from_fn(traced))
        .with_state(Arc::new(control))
        .merge(observability)
}

async fn status(Shared(control): Shared<Arc<Control>>) -> Json<Status> {
    let mut now = control.state.borrow().clone();
    // The last heartbeat may be half a minute old.
    if let MachineState::Up(ready) = &now.machine
        && let Ok(Ok(Reply::Report(report))) =
            timeout(LONGEST_REPORT, ready.tunnel.call(Call::Report)).await
    {
        now.report = Some(report);
        if ready.summary.id.is_some()
            && let Some(running) = containers::running(&ready.tunnel, LONGEST_REPORT).await
        {
            control.activity.set_containers(running);
        }
    }
    let moment = control.clock.now();
    let snapshot = control.activity.snapshot();
    let policy = control.settings.borrow().live.policy.clone();
    let verdict = decide(&snapshot, &policy, &now.tenure(moment), moment);
    if let Some(ports) = &control.ports {
        ports.opened(None).await;
    }
    let ports = control.ports.as_ref().map(Ports::list).unwrap_or_default();
    let offset = control.provider.clock_offset();
    let mut holding = conditions(&now, &ports, offset);
    holding.extend(control.settings.borrow().conditions.iter().cloned());
    control.health.observe(holding, moment);
    let socket = (control.socket.clone(), control.proxy_port);
    let history = control.activity.history();
    let judged = (&verdict, snapshot.pin);
    let mut status = status_of(&control.profile, socket, &now, judged, &history, moment, ports);
    status.service.clone_from(&control.service);
    status.why.warnings = control.health.warnings(moment, Timestamp::now());
    Json(status)
}

/// Answered with the lines of the machine's journal. Wakes no machine.
async fn machine_log(
    Shared(control): Shared<Arc<Control>>,
    Query(query): Query<MachineLogQuery>,
) -> Response {
    let ready = match &control.state.borrow().machine {
        MachineState::Up(ready) => Ok(ready.clone()),
        other => Err(format!("the machine is {}, so it has no log now", other.kind())),
    };
    let ready = match ready {
        Ok(ready) => ready,
        Err(message) => return refused(StatusCode::CONFLICT, Error::new(Code::NoMachine, message)),
    };
    match machine_log::lines(&ready.tunnel, &query).await {
        Ok(lines) => Body::from_stream(lines).into_response(),
        Err(error) => refused(StatusCode::BAD_GATEWAY, error),
    }
}

async fn wake(Shared(control): Shared<Arc<Control>>) -> (StatusCode, Json<Answer>) {
    let before = control.state.borrow().attempts;
    let sent = send(&control, Command::Wake(current_request())).await;
    // The next query of the state must not show the failure of the attempt before.
    let begun = |now: &DaemonState| {
        matches!(now.machine, MachineState::Waking | MachineState::Up(_)) || now.attempts > before
    };
    let begun = control.state.clone().wait_for(begun).await.is_ok();
    if begun { sent } else { stopping() }
}

/// Has the settings read again.
async fn settings(Shared(control): Shared<Arc<Control>>) -> Response {
    let (answer, answered) = oneshot::channel();
    if control.orders.send(answer).await.is_ok()
        && let Ok(report) = answered.await
    {
        return Json(report).into_response();
    }
    stopping().into_response()
}

async fn stop(Shared(control): Shared<Arc<Control>>) -> (StatusCode, Json<Answer>) {
    let (answer, answered) = oneshot::channel();
    if control.commands.send(Command::Stop(Some(answer))).await.is_err() {
        return stopping();
    }
    // If no wake was called off, the answer is dropped.
    (StatusCode::ACCEPTED, Json(Answer::done(answered.await.ok())))
}

async fn pin(
    Shared(control): Shared<Arc<Control>>,
    Query(query): Query<PinQuery>,
) -> (StatusCode, Json<Answer>) {
    let pinned = control.pin.pin(
        &control.activity,
        query.seconds.map(Duration::from_secs),
        Timestamp::now(),
    );
    report_pin(&control, pinned.map(|()| None)).await
}

async fn unpin(Shared(control): Shared<Arc<Control>>) -> (StatusCode, Json<Answer>) {
    let unpinned = control.pin.unpin(&control.activity);
    report_pin(&control, unpinned.map(|was| (!was).then(|| "It was not pinned.".to_owned()))).await
}

/// Sends the machine a heartbeat at once: its lease depends on the pin.
async fn report_pin(
    control: &Control,
    done: std::io::Result<Option<String>>,
) -> (StatusCode, Json<Answer>) {
    match done {
        Ok(message) => {
            let (status, _) = send(control, Command::Heartbeat(None)).await;
            (status, Json(Answer::done(message)))
        }
        Err(error) => {
            let message = format!("the pin cannot be written: {error}");
            let error = Error::new(Code::PinNotWritten, message);
            (StatusCode::INTERNAL_SERVER_ERROR, Json(named(error).into()))
        }
    }
}

async fn destroy(
    Shared(control): Shared<Arc<Control>>,
    Query(query): Query<DestroyQuery>,
) -> (StatusCode, Json<Answer>) {
    let (answer, answered) = oneshot::channel();
    let order = DestroyOrder { then_stop: query.stop, answer };
    if control.commands.send(Command::Destroy(order)).await.is_err() {
        return stopping();
    }
    match answered.await {
        Ok(Ok(message)) => (StatusCode::OK, Json(Answer::done(message))),
        Ok(Err(error)) => (StatusCode::CONFLICT, Json(named(*error).into())),
        Err(_) => stopping(),
    }
}

/// The volume has another size now: the daemon updates its state and the ledger.
async fn volume(
    Shared(control): Shared<Arc<Control>>,
    Json(volume): Json<VolumeSummary>,
) -> (StatusCode, Json<Answer>) {
    send(&control, Command::Volume(volume)).await
}

/// Answered with the new forward.
async fn add_forward(
    Shared(control): Shared<Arc<Control>>,
    Json(forward): Json<ByHand>,
) -> Response {
    let Some(ports) = &control.ports else { return no_ports() };
    let container = forward.container.clone();
    match ports.add(forward) {
        Ok(made) => (StatusCode::OK, Json(made.first().cloned())).into_response(),
        Err(error) => {
            tracing::debug!(%container, %error, "a forward was not made");
            let code = match error {
                AddError::Exists { .. } => Code::ForwardExists,
                AddError::Taken { .. } => Code::ForwardTaken,
                AddError::Exposed { .. } => Code::ForwardExposed,
            };
            refused(StatusCode::CONFLICT, Error::new(code, error.to_string()))
        }
    }
}

async fn remove_forward(
    Shared(control): Shared<Arc<Control>>,
    Json(local): Json<Local>,
) -> Response {
    let Some(ports) = &control.ports else { return no_ports() };
    if ports.remove(local) {
        return (StatusCode::OK, Json(Answer::default())).into_response();
    }
    let message = format!("no forward made by hand listens on {local}");
    refused(StatusCode::NOT_FOUND, Error::new(Code::ForwardUnknown, message))
}

fn no_ports() -> Response {
    let error = Error::new(Code::PortsDisabled, "published ports are switched off");
    refused(StatusCode::CONFLICT, error)
}

fn refused(status: StatusCode, error: Error) -> Response {
    (status, Json(Answer::from(named(error)))).into_response()
}

async fn send(control: &Control, command: Command) -> (StatusCode, Json<Answer>) {
    match control.commands.send(command).await {
        Ok(()) => (StatusCode::ACCEPTED, Json(Answer::default())),
        Err(_) => stopping(),
    }
}

fn stopping() -> (StatusCode, Json<Answer>) {
    let error = Error::new(Code::DaemonStopping, "the daemon is stopping");
    (StatusCode::SERVICE_UNAVAILABLE, Json(named(error).into()))
}
