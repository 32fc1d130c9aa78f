//! From a server that exists to an engine that answers: reach it, log in with the pinned host key,
//! hand the lease over, wait for docker.

use std::net::SocketAddr;
use std::pin::pin;
use std::time::Duration;

use agent_proto::{Call, DockerState, EndOfLease, Reply};
use secrecy::ExposeSecret as _;
use tokio::time::{Instant, sleep, timeout};
use tunnel::{
    AgentState, ConnectError, Endpoint, Fingerprint, HostKeys, Identity, Options, Route, Tunnel,
};

use super::creation::Creation;
use super::probe::knock;
use super::way::Purpose;
use super::{Cloud, SelfDestruct, cloud};
use crate::bootstrap::{HOST_KEY_SCRIPT, RUN_DIRECTORY};
use crate::error::MachineError;
use crate::host_key::parse_public;
use crate::identity::{HOST_KEY, NEXT_HOST_KEY, SETTLED};
use crate::observed::{Observed, Server, ServerStatus, is_young};
use crate::patience::patience;
use crate::provider::{Lease, Observer, Phase, Ready};
use crate::reach::{CloudSays, Elsewhere, Hold, Knock, Login, Seen, Verdict, judge, may_remove};

/// After this long without an answer the cloud is asked whether the server still exists.
const LOOK_AGAIN_AFTER: Duration = Duration::from_secs(20);
/// The same for a server that is being created, counted from the end of its creation: until then
/// its actions say more than a look.
const LOOK_AGAIN_AFTER_CREATION: Duration = Duration::from_secs(15);
/// A packet that a booting server did not answer is not answered later: ask anew rather than wait
/// for TCP's own repeats.
const PROBE: Duration = Duration::from_secs(1);
const BETWEEN_PROBES: Duration = Duration::from_millis(150);
/// A server that has not answered for so long is compared with other hosts.
const COMPARE_AFTER: Duration = Duration::from_secs(2);
/// And again after so long: the network may change while a server boots.
const COMPARE_AGAIN: Duration = Duration::from_secs(10);
/// After a refused login key: OpenSSH 9.8 and later locks an address out that fails often.
const BETWEEN_REFUSALS: Duration = Duration::from_secs(1);
/// Docker starts in seconds, but a volume may be attached late and be checked first.
const LONGEST_DOCKER_START: Duration = Duration::from_secs(6 * 60);
/// Whoever waits for the machine waits for the start of what ran before, but not for ever; it goes
/// on.
const LONGEST_RESUMPTION: Duration = Duration::from_secs(20);
/// The key that sshd presents on a machine.
const SSH_PORT: u16 = 22;

/// An attempt to reach a server.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt<'a> {
    /// When the way to a machine began: how long a server has been silent to us.
    pub(super) begun: Instant,
    pub(super) purpose: Purpose,
    /// Where this way has created the server and not reached it yet.
    pub(super) creation: Option<&'a Creation>,
    /// The server as this wake has created it.
    pub(super) fresh: Option<&'a Server>,
}

impl Attempt<'_> {
    /// After this long without an answer the cloud is asked whether the server still exists.
    fn look_again_after(self) -> Duration {
        match self.purpose {
            Purpose::Serve => LOOK_AGAIN_AFTER,
            Purpose::Join { patience } => patience.min(LOOK_AGAIN_AFTER),
        }
    }
}

/// Why no connection came of it.
pub(super) enum Lost {
    /// Something changed meanwhile; in words for a person.
    LookAgain(String),
    /// The cloud could not make it as ordered.
    Unmade(hetzner::Error),
    /// This server will never serve.
    Remove(MachineError),
    /// It was given up by whoever had it, who did not get to its deletion; in words for a person.
    Replace(String),
    /// The server may be fine; we are not.
    Failed(MachineError),
}

/// What came of trying to reach a server.
struct Tried {
    knock: Knock,
    elsewhere: Elsewhere,
    login: Option<Login>,
    error: Option<ConnectError>,
    /// For how long.
    tried: Duration,
}

impl Tried {
    /// At a moment of the cloud's clock, in seconds since 1970.
    fn seen(&self, server: &Server, cloud: CloudSays, now: i64) -> Seen {
        // One that has served does not boot any more, however young.
        let is_young = is_young(server.created, now) && !is_settled(&server.labels);
        Seen {
            knock: self.knock,
            elsewhere: self.elsewhere.clone(),
            login: self.login,
            cloud,
            is_young,
            tried: self.tried,
        }
    }
}

fn says(server: &hetzner::Server) -> CloudSays {
    match server.status {
        _ if server.locked => CloudSays::Busy,
        hetzner::ServerStatus::Running => CloudSays::Running,
        hetzner::ServerStatus::Off => CloudSays::Off,
        _ => CloudSays::Busy,
    }
}

/// Whether a client has served itself of a server: it replaces the host key of the creation then.
pub(super) fn is_settled(labels: &hetzner::Labels) -> bool {
    labels.contains_key(NEXT_HOST_KEY) || labels.contains_key(SETTLED)
}

impl Cloud {
    pub(super) async fn connect(
        &self,
        server: &Server,
        observed: &Observed,
        attempt: Attempt<'_>,
        observer: &dyn Observer,
    ) -> Result<Ready, Lost> {
        let Some(address) = server.address else {
            return Err(Lost::LookAgain("the server has no address yet".to_owned()));
        };
        self.may_log_in(server).await?;
        observer.stage(Phase::Boot, Some(format!("{} in {}", server.server_type, server.location)));
        self.reach(server, SocketAddr::new(address, SSH_PORT), attempt).await?;
        observer.stage(Phase::Connect, None);
        let tunnel = tokio::select! {
            tunnel = self.log_in(server, address.to_string(), attempt) => tunnel?,
            // Something on the way may answer in place of a server that never will.
            failure = self.failure_of(attempt.creation) => return Err(Lost::Unmade(failure)),
        };
        self.hand_over(server, &tunnel).await.map_err(Lost::Failed)?;
        observer.stage(Phase::Docker, None);
        let docker = async {
            tokio::select! {
                docker = await_docker(server, &tunnel, &self.options.lease) => docker,
                lost = self.lacks_volume(server, observed, attempt.creation) => Err(lost),
            }
        };
        let (docker, pricing) = tokio::join!(docker, self.prices_soon());
        docker?;
        observer.stage(Phase::Resume, None);
        self.resume(server, &tunnel).await;
        // What it is now that docker answers, which may be more than the cloud said when it was
        // looked at.
        let server = Server { status: ServerStatus::Running, busy: false, ..server.clone() };
        let mut summary = self.summary(&server, observed, pricing.as_deref());
        if let Some(volume) = &mut summary.volume {
            volume.server = summary.id;
        }
        Ok(Ready { tunnel, summary })
    }

    /// Waits until something listens on the SSH port. The answer to why nothing does comes with
    /// other hosts that are asked meanwhile.
    async fn reach(
        &self,
        server: &Server,
        address: SocketAddr,
        attempt: Attempt<'_>,
    ) -> Result<(), Lost> {
        let mut creation = pin!(self.end_of(attempt.creation));
        let mut is_created = attempt.creation.is_none();
        let begun = Instant::now();
        let mut look_again = begun + attempt.look_again_after();
        let compare = |after: Duration| async move {
            sleep(after).await;
            self.options.port_check.ask().await
        };
        // Before a server is created the other hosts have just been asked.
        let mut comparing =
            pin!(compare(if attempt.fresh.is_some() { COMPARE_AGAIN } else { COMPARE_AFTER }));
        let (mut knocked, mut elsewhere) = (Knock::TimedOut, None::<Elsewhere>);
        while !is_created || Instant::now() < look_again {
            tokio::select! {
                found = &mut comparing => {
                    let is_blocked = matches!(found, Elsewhere::Blocked { .. });
                    elsewhere = Some(found);
                    if is_blocked {
                        break;
                    }
                    comparing.set(compare(COMPARE_AGAIN));
                }
                answer = knock(address, PROBE) => {
                    if answer == Knock::Answers {
                        return Ok(());
                    }
                    knocked = answer;
                    sleep(BETWEEN_PROBES).await;
                }
                end = &mut creation, if !is_created => {
                    end.map_err(Lost::Unmade)?;
                    is_created = true;
                    look_again = Instant::now() + LOOK_AGAIN_AFTER_CREATION;
                }
            }
        }
        let elsewhere = match elsewhere {
            Some(elsewhere) => elsewhere,
            None => self.options.port_check.ask().await,
        };
        let tried = begun.elapsed();
        Err(self
            .lost(
                server,
                attempt,
                Tried { knock: knocked, elsewhere, login: None, error: None, tried },
            )
            .await)
    }

    /// Ends when a creation has left the server without its volume: docker waits for one in vain.
    async fn lacks_volume(
        &self,
        server: &Server,
        observed: &Observed,
        creation: Option<&Creation>,
    ) -> Lost {
        if let Err(failure) = self.end_of(creation).await {
            return Lost::Unmade(failure);
        }
        let lacks_it = match observed.volumes.first() {
            Some(volume) => self
                .client
                .volumes()
                .get(volume.id)
                .await
                .is_ok_and(|now| now.is_none_or(|now| now.server != Some(server.id))),
            None => true,
        };
        match lacks_it {
            true => {
                Lost::LookAgain(format!("server {} was created without its volume", server.name))
            }
            false => std::future::pending().await,
        }
    }

    async fn log_in(
        &self,
        server: &Server,
        host: String,
        attempt: Attempt<'_>,
    ) -> Result<Tunnel, Lost> {
        let options = Options {
            endpoint: Endpoint { host, port: SSH_PORT, user: "root".to_owned() },
            host_keys: HostKeys::Pinned(server.host_keys.clone().into()),
            identity: Identity::Key(self.options.login.clone()),
            route: Route::Direct,
            agent: Some(self.options.agent.clone()),
            docker_socket: "/var/run/docker.sock".to_owned(),
        };
        let asked = Instant::now();
        let (mut timed_out, mut key_refused) = (0, false);
        loop {
            let limit = match attempt.purpose {
                Purpose::Serve => patience(timed_out),
                Purpose::Join { patience } => patience,
            };
            let error = match Tunnel::connect_within(options.clone(), limit).await {
                Ok(tunnel) => return Ok(tunnel),
                Err(error @ ConnectError::Identity { .. }) => {
                    return Err(Lost::Failed(MachineError::Connect {
                        name: server.name.clone(),
                        source: Box::new(error),
                    }));
                }
                Err(error) => error,
            };
            tracing::debug!(%error, "not yet");
            timed_out += u32::from(matches!(error, ConnectError::TimedOut { .. }));
            // Another client may just be replacing the host key.
            if matches!(error, ConnectError::HostKeyRefused { .. })
                && self.has_other_host_keys(server).await
            {
                return Err(Lost::LookAgain("the host key was replaced meanwhile".to_owned()));
            }
            key_refused |= matches!(error, ConnectError::LoginRefused { .. });
            let login = match &error {
                ConnectError::HostKeyRefused { .. } => Login::OtherHostKey,
                // A server that has refused often ends further connections without a word.
                _ if key_refused => Login::KeyRefused,
                _ => Login::NoAnswer,
            };
            let tried = asked.elapsed();
            let tried = Tried {
                knock: Knock::Answers,
                elsewhere: Elsewhere::Unknown,
                login: Some(login),
                error: Some(error),
                tried,
            };
            // sshd listens before cloud-init has put key and login in place.
            if judge(&tried.seen(server, CloudSays::Running, self.now())) == Verdict::Passing
                && tried.tried < attempt.look_again_after()
            {
                sleep(if key_refused { BETWEEN_REFUSALS } else { BETWEEN_PROBES }).await;
                continue;
            }
            return Err(self.lost(server, attempt, tried).await);
        }
    }

    async fn has_other_host_keys(&self, server: &Server) -> bool {
        match self.client.servers().get(server.id).await {
            Ok(Some(now)) => [HOST_KEY, NEXT_HOST_KEY]
                .iter()
                .any(|label| now.labels.get(*label) != server.labels.get(*label)),
            Ok(None) => true,
            Err(_) => false,
        }
    }

    /// Judges a server that was tried in vain. The cloud is asked once more: what it says decides.
    async fn lost(&self, server: &Server, attempt: Attempt<'_>, tried: Tried) -> Lost {
        let (cloud, labels) = match self.client.servers().get(server.id).await {
            Ok(None) => (CloudSays::Absent, None),
            Ok(Some(now)) => (says(&now), Some(now.labels)),
            Err(_) => (CloudSays::Nothing, None),
        };
        let seen = tried.seen(server, cloud, self.now());
        let verdict = judge(&seen);
        tracing::info!(
            server = server.id,
            ?seen,
            ?verdict,
            "the server does not serve this computer"
        );
        let name = server.name.clone();
        let is_settled = labels.as_ref().is_none_or(is_settled);
        let hold = Hold { is_fresh: attempt.fresh.is_some(), is_settled };
        let removes = may_remove(&verdict, hold);
        match (verdict, tried.error) {
            (Verdict::Absent | Verdict::Passing, _) => {
                Lost::LookAgain(format!("server {name} does not answer yet"))
            }
            (Verdict::Blocked { hosts }, _) => Lost::Failed(MachineError::PortBlocked {
                hosts,
                kept: Some(name),
                created: attempt.fresh.and_then(|fresh| fresh.price_hourly),
            }),
            (Verdict::WrongLogin, _) => {
                let key = Fingerprint::of(self.options.login.public_key());
                Lost::Failed(MachineError::WrongLogin { name, key })
            }
            (Verdict::AnotherMachine, Some(error)) => Lost::Failed(refused(server, error)),
            (Verdict::Silent { .. }, error) if removes => Lost::Remove(MachineError::Silent {
                name,
                waited: attempt.begun.elapsed(),
                source: error.map(Box::new),
            }),
            (Verdict::Silent { is_the_server }, _) => Lost::Failed(MachineError::Unanswered {
                name,
                waited: attempt.begun.elapsed(),
                is_the_server,
            }),
            (Verdict::Busy | Verdict::AnotherMachine, error) => {
                Lost::Failed(MachineError::Overloaded {
                    name,
                    waited: tried.tried,
                    source: error.map(Box::new),
                })
            }
        }
    }

    /// The first sign of life, and what to do when there are no more.
    async fn hand_over(&self, server: &Server, tunnel: &Tunnel) -> Result<(), MachineError> {
        if let AgentState::Absent { reason } = tunnel.agent() {
            tracing::warn!(
                "no agent runs on {} ({reason}): when its lease ends it powers off and does \
                    not delete itself",
                server.name
            );
            tunnel
                .exec(&self.options.lease.renewal(), b"")
                .await
                .map_err(|error| refused(server, error))?;
            return Ok(());
        }
        let end = match &self.options.self_destruct {
            SelfDestruct::PowerOff => EndOfLease::PowerOff,
            SelfDestruct::Delete { endpoint, token } => EndOfLease::Delete {
                endpoint: endpoint.clone(),
                server: server.id,
                token: token.expose_secret().to_owned(),
            },
        };
        call(
            server,
            tunnel,
            "take over the lease",
            Call::Heartbeat(self.options.lease.heartbeat(Duration::ZERO)),
        )
        .await?;
        call(server, tunnel, "take over the end of the lease", Call::EndOfLease(end)).await?;
        Ok(())
    }

    /// What ran on the last machine is to run on this one before anybody sees it. That it does not
    /// is no reason to have no machine.
    async fn resume(&self, server: &Server, tunnel: &Tunnel) {
        let AgentState::Running { resident: true } = tunnel.agent() else { return };
        match timeout(LONGEST_RESUMPTION, tunnel.call(Call::Resume { all: self.options.resume }))
            .await
        {
            Ok(Ok(Reply::Resumed { started, failed })) => {
                if !started.is_empty() {
                    tracing::info!(containers = started.join(", "), "what ran before runs again");
                }
                for failure in failed {
                    tracing::warn!(%failure, "a container that ran before does not run again");
                }
            }
            Ok(Ok(_)) => {
                tracing::warn!(
                    "what ran before on {} may not run again: the agent gave another answer \
                        than was asked for",
                    server.name
                )
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "what ran before on {} may not run again", server.name)
            }
            Err(_) => tracing::warn!(
                "containers that ran before on {} are still being started",
                server.name
            ),
        }
    }

    /// The key that came with the user-data was readable on the machine; this one never leaves it.
    /// Both are accepted while it changes, so that it may be cut off anywhere.
    pub(super) async fn replace_host_key(&self, ready: &Ready) -> Result<(), MachineError> {
        let Some(id) = ready.summary.id else { return Ok(()) };
        let Some(server) =
            self.client.servers().get(id).await.map_err(cloud("look at the server"))?
        else {
            return Ok(());
        };
        let name = server.name.clone();
        let failed =
            |what, message: String| MachineError::Agent { name: name.clone(), what, message };
        let script = |verb: &'static str| async move {
            let output = ready
                .tunnel
                .exec(&format!("mkdir -p {RUN_DIRECTORY} && {HOST_KEY_SCRIPT} {verb}"), b"")
                .await;
            match output {
                Ok(output) if output.status == Some(0) => {
                    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
                }
                Ok(output) => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
                Err(error) => Err(error.to_string()),
            }
        };
        let printed =
            script("prepare").await.map_err(|message| failed("make a host key", message))?;
        let next =
            parse_public(&printed).map_err(|error| failed("make a host key", error.to_string()))?;
        let fingerprint = Fingerprint::of(&next);
        let next = fingerprint.to_label();
        let mut labels = server.labels;
        if labels.get(HOST_KEY) == Some(&next) && !labels.contains_key(NEXT_HOST_KEY) {
            ready.tunnel.trust_only(fingerprint);
            return Ok(());
        }
        labels.insert(NEXT_HOST_KEY.to_owned(), next.clone());
        self.client
            .servers()
            .update(id, None, Some(&labels))
            .await
            .map_err(cloud("label the server"))?;
        // Big transfers make connections of their own, now and later.
        ready.tunnel.trust_also(fingerprint);
        script("commit").await.map_err(|message| failed("replace its host key", message))?;
        ready.tunnel.trust_only(fingerprint);
        labels.remove(NEXT_HOST_KEY);
        labels.insert(HOST_KEY.to_owned(), next);
        labels.insert(SETTLED.to_owned(), "yes".to_owned());
        self.client
            .servers()
            .update(id, None, Some(&labels))
            .await
            .map_err(cloud("label the server"))?;
        Ok(())
    }
}

pub(super) fn refused(server: &Server, error: ConnectError) -> MachineError {
    match error {
        ConnectError::HostKeyRefused { presented, .. } => {
            MachineError::HostKey { name: server.name.clone(), presented }
        }
        other => MachineError::Connect { name: server.name.clone(), source: Box::new(other) },
    }
}

/// A call whose answer has to be a good one.
pub(super) async fn call(
    server: &Server,
    tunnel: &Tunnel,
    what: &'static str,
    call: Call,
) -> Result<Reply, MachineError> {
    let failed = |message: String| MachineError::Agent { name: server.name.clone(), what, message };
    match tunnel.call(call).await {
        Ok(Reply::Failed { message }) => Err(failed(message)),
        Ok(reply) => Ok(reply),
        Err(error) => Err(failed(error.to_string())),
    }
}

/// Renews the lease meanwhile: a volume may take longer than a lease, and the machine would end
/// itself.
async fn await_docker(server: &Server, tunnel: &Tunnel, lease: &Lease) -> Result<(), Lost> {
    let AgentState::Running { .. } = tunnel.agent() else {
        return await_docker_without_agent(server, tunnel, lease).await;
    };
    let begun = Instant::now();
    let seconds = u32::try_from(renewal_pause(lease).as_secs()).unwrap_or(1);
    while begun.elapsed() < LONGEST_DOCKER_START {
        let reply =
            call(server, tunnel, "tell whether docker is ready", Call::AwaitDocker { seconds })
                .await
                .map_err(Lost::Failed)?;
        let Reply::Report(report) = reply else { continue };
        match report.docker {
            DockerState::Ready => return Ok(()),
            DockerState::Failed { reason } => {
                return Err(Lost::Remove(MachineError::Docker {
                    name: server.name.clone(),
                    reason,
                }));
            }
            DockerState::Released => {
                return Err(Lost::Replace("docker was stopped there for its end".to_owned()));
            }
            DockerState::Starting => {}
        }
        let heartbeat = Call::Heartbeat(lease.heartbeat(Duration::ZERO));
        call(server, tunnel, "renew the lease", heartbeat).await.map_err(Lost::Failed)?;
    }
    let reason = format!("it did not answer within {} s", LONGEST_DOCKER_START.as_secs());
    Err(Lost::Remove(MachineError::Docker { name: server.name.clone(), reason }))
}

async fn await_docker_without_agent(
    server: &Server,
    tunnel: &Tunnel,
    lease: &Lease,
) -> Result<(), Lost> {
    let begun = Instant::now();
    let mut renewed = begun;
    while begun.elapsed() < LONGEST_DOCKER_START {
        if renewed.elapsed() > renewal_pause(lease) {
            renewed = Instant::now();
            tunnel
                .exec(&lease.renewal(), b"")
                .await
                .map_err(|error| Lost::Failed(refused(server, error)))?;
        }
        if tunnel.open(tunnel::Destination::Docker, tunnel::Class::Interactive).await.is_ok() {
            return Ok(());
        }
        if let Some(reason) = tunnel.is_dead() {
            return Err(Lost::LookAgain(reason));
        }
        sleep(BETWEEN_PROBES).await;
    }
    let reason = format!("its socket did not appear within {} s", LONGEST_DOCKER_START.as_secs());
    Err(Lost::Remove(MachineError::Docker { name: server.name.clone(), reason }))
}

/// A third of the lease, so that two renewals may be lost; at least a second and at most half a
/// minute.
fn renewal_pause(lease: &Lease) -> Duration {
    (lease.length / 3).clamp(Duration::from_secs(1), Duration::from_secs(30))
}

impl Cloud {
    /// A login for a few commands, without an agent.
    pub(super) async fn plain_login(
        &self,
        server: &Server,
        address: std::net::IpAddr,
    ) -> Result<Tunnel, MachineError> {
        self.is_admitted(server).await?;
        let options = Options {
            endpoint: Endpoint {
                host: address.to_string(),
                port: SSH_PORT,
                user: "root".to_owned(),
            },
            host_keys: HostKeys::Pinned(server.host_keys.clone().into()),
            identity: Identity::Key(self.options.login.clone()),
            route: Route::Direct,
            agent: None,
            docker_socket: Options::DOCKER_SOCKET.to_owned(),
        };
        Tunnel::connect(options).await.map_err(|error| refused(server, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The volume's script has the last word on a volume that does not come; docker's start is
    /// given up only behind it.
    #[test]
    fn a_volume_that_does_not_come_is_reported_before_docker_is_given_up() {
        let script = include_str!("../bootstrap/volume.sh");
        let wait = script.lines().find_map(|line| {
            line.strip_prefix("wait_seconds=${DOCKBRIDGE_VOLUME_WAIT:-")?.strip_suffix('}')
        });
        let wait = Duration::from_secs(wait.unwrap().parse().unwrap());
        assert!(wait + Duration::from_secs(30) <= LONGEST_DOCKER_START, "{wait:?}");
    }
}
